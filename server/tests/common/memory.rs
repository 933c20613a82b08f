//! The memory of a process of ours, as whoever takes it has it.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use aws_lc_rs::agreement::{PrivateKey, X25519};

use super::{Process, search::Search, wait_for};

/// Everything that a process may write, of one moment.
pub(crate) struct Memory {
    pid: rustix::process::Pid,
    parts: Vec<Vec<u8>>,
}

impl Memory {
    /// Stops the process and reads it. It stays stopped, so that the disk is of the same moment.
    pub(crate) fn of(process: &Process) -> Memory {
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let folder = PathBuf::from(format!("/proc/{}", process.pid()));
        wait_for("the process to stop", || {
            let state = fs::read_to_string(folder.join("stat")).ok()?;
            state.contains(") T ").then_some(())
        });
        let memory = File::open(folder.join("mem")).unwrap();
        let maps = fs::read_to_string(folder.join("maps")).unwrap();
        let parts = maps.lines().filter_map(|line| read_part(&memory, line));
        let parts = parts.flatten().collect();
        Memory { pid, parts }
    }

    pub(crate) fn go_on(&self) {
        rustix::process::kill_process(self.pid, rustix::process::Signal::CONT).unwrap();
    }

    pub(crate) fn find(&self, search: &Search) -> HashSet<[u8; 32]> {
        let parts = self.parts.iter();
        parts.flat_map(|part| search.found_in(part)).collect()
    }

    /// Whether a sender's private half lies there. Only windows at multiples of eight that look like chance are tried: each costs a multiplication.
    pub(crate) fn holds_private_half_of(&self, public: &BTreeSet<[u8; 32]>) -> bool {
        let windows = self
            .parts
            .iter()
            .flat_map(|part| part.windows(32).step_by(8));
        let mut seen = HashSet::new();
        windows
            .filter(|window| looks_like_chance(window))
            .filter(|window| seen.insert(*window))
            .filter_map(|window| PrivateKey::from_private_key(&X25519, window).ok())
            .filter_map(|half| half.compute_public_key().ok())
            .any(|half| public.contains(half.as_ref()))
    }
}

/// Of 32 bytes by chance some 30 differ.
fn looks_like_chance(window: &[u8]) -> bool {
    if window[..8].iter().filter(|byte| **byte == 0).count() > 2 {
        return false;
    }
    let mut there = [false; 256];
    for byte in window {
        there[usize::from(*byte)] = true;
    }
    there.iter().filter(|is_there| **is_there).count() >= 22
}

const PAGE: usize = 4_096;

/// The stretches of a mapping that hold anything, with zeros around them as in the pages before and behind. Most of what is mapped was never touched.
fn read_part(memory: &File, line: &str) -> Option<Vec<Vec<u8>>> {
    const ZEROS: [u8; 32] = [0; 32];
    let mut words = line.split_whitespace();
    let (range, access) = (words.next()?, words.next()?);
    if !access.starts_with("rw") {
        return None;
    }
    let (begin, end) = range.split_once('-')?;
    let begin = u64::from_str_radix(begin, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let mut stretches = vec![ZEROS.to_vec()];
    let mut page = [0; PAGE];
    for at in (begin..end).step_by(PAGE) {
        // A part that the kernel keeps for itself cannot be read.
        memory.read_exact_at(&mut page, at).ok()?;
        let last = stretches.last_mut()?;
        match page.iter().all(|byte| *byte == 0) {
            false => last.extend_from_slice(&page),
            true if last.len() > ZEROS.len() => {
                last.extend_from_slice(&ZEROS);
                stretches.push(ZEROS.to_vec());
            }
            true => {}
        }
    }
    Some(stretches)
}
