//! What whoever takes the call process has: its memory, in the midst of calls, and the disk (T-25).
//!
//! Everything that opens a recording is derived here once more, from `docs/recording-format.md` and RFC 9180, and looked for at every
//! place of the memory, aligned or not: a window of 32 bytes opens a chunk exactly if it is one of these.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree},
    error::Unspecified,
    hmac,
};
use common::{
    House, Process,
    telephone::{Dialog, Telephone, Voice},
    wait_for,
};
use serde_json::Value;

const CALLS: usize = 20;
/// A second of sound.
const SECOND: u64 = 8_000;

#[test]
fn the_memory_of_the_call_process_opens_the_last_three_seconds_of_live_calls_and_nothing_closed() {
    let house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    // Ports enough that no share of one number is used up.
    let config = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), config.replace("20000-20199", "20000-20999")).unwrap();
    let spare = house.dir().join("tmp");
    fs::create_dir(&spare).unwrap();
    let in_spare = |command: &mut std::process::Command| {
        command.env("TMPDIR", &spare);
    };
    let office = house.run_duty("office", in_spare);
    let calls = house.run_duty("calls", in_spare);
    let parties = Parties::new(&house);
    let closed: Vec<Talk> = (0..CALLS).map(|call| parties.call(call)).collect();
    wait_for("two seconds of each", || {
        let open = segments(&house);
        let is_long = open.iter().filter(|segment| segment.samples() > 2 * SECOND);
        (is_long.count() == CALLS).then_some(())
    });
    for talk in closed {
        parties.end(&talk);
    }
    wait_for("their recordings to be closed", || {
        let segments = segments(&house);
        let closed = segments.iter().filter(|segment| segment.is_closed());
        (closed.count() == CALLS).then_some(())
    });
    let live: Vec<Talk> = (CALLS..2 * CALLS).map(|call| parties.call(call)).collect();
    wait_for("five seconds of each live call", || {
        let segments = segments(&house);
        let long = segments
            .iter()
            .filter(|segment| !segment.is_closed() && segment.samples() > 5 * SECOND);
        (long.count() == CALLS).then_some(())
    });

    let memory = Memory::of(&calls);
    let segments = segments(&house);
    memory.go_on();

    let keys = Keys::read(&house);
    let secrets: Vec<Vec<Secret>> = segments.iter().map(|one| one.secrets(&keys)).collect();
    let mut wanted: Vec<[u8; 32]> = secrets.iter().flatten().map(|one| one.bytes).collect();
    wanted.extend(keys.all());
    let found = memory.find(&wanted);
    // The search finds what is there: the states of the live calls.
    assert!(!found.is_empty());
    for key in keys.all() {
        assert!(!found.contains(&key), "a root or a private half");
    }
    for (segment, secrets) in segments.iter().zip(&secrets) {
        let there = secrets
            .iter()
            .filter(|secret| found.contains(&secret.bytes));
        let opened = there.map(|secret| segment.opened_by(secret.opens)).max();
        let most = if segment.is_closed() { 0 } else { 3 * SECOND };
        let opened = opened.unwrap_or(0);
        assert!(opened <= most, "{} samples of {:?}", opened, segment.path);
    }
    let senders: BTreeSet<[u8; 32]> = segments.iter().map(|one| one.encapsulated()).collect();
    assert!(!memory.holds_private_half_of(&senders));

    let keys: Vec<[u8; 32]> = wanted;
    drop(live);
    calls.terminate();
    assert_nothing_lies_open(&house, &keys, &spare);
    office.terminate();
    assert_nothing_lies_open(&house, &keys, &spare);
}

/// Neither a caller's number nor a key lies in a file, the write-ahead log, the spool, a log or a temporary file. The root alone is what it is.
fn assert_nothing_lies_open(house: &House, keys: &[[u8; 32]], spare: &Path) {
    assert_eq!(fs::read_dir(spare).unwrap().count(), 0);
    let number = b"790000001";
    let log = house.log().into_bytes();
    let root = house.dir().join("root");
    let mut texts = vec![(PathBuf::from("log"), log)];
    for path in files_under(house.dir()) {
        if !path.starts_with(&root) {
            texts.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    let digits = |key: &[u8; 32]| -> Vec<u8> {
        let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        text.into_bytes()
    };
    let keys: HashSet<&[u8]> = keys.iter().map(<[u8; 32]>::as_slice).collect();
    let written: Vec<Vec<u8>> = keys
        .iter()
        .map(|key| digits((*key).try_into().unwrap()))
        .collect();
    let written: HashSet<&[u8]> = written.iter().map(Vec::as_slice).collect();
    for (path, bytes) in &texts {
        let holds =
            |of: &HashSet<&[u8]>, length| bytes.windows(length).any(|window| of.contains(window));
        let has_number = bytes.windows(number.len()).any(|window| window == number);
        assert!(!has_number, "a number in {}", path.display());
        assert!(!holds(&keys, 32), "a key in {}", path.display());
        assert!(!holds(&written, 64), "a key in {}", path.display());
    }
    assert!(
        texts
            .iter()
            .any(|(path, _)| path.ends_with("office/catalogue.db"))
    );
}

/// A caller with a line for each call, and a department that takes them all.
struct Parties {
    department: Telephone,
    callers: Vec<Telephone>,
}

struct Talk {
    caller: usize,
    dialog: Dialog,
    _voices: [Voice; 2],
}

impl Parties {
    fn new(house: &House) -> Parties {
        let sip = (house.addresses.house, 5060).into();
        let caller = |_| Telephone::new(house.addresses.carrier, 0, sip);
        Parties {
            department: Telephone::new(house.addresses.pbx, 5062, sip),
            callers: (0..2 * CALLS).map(caller).collect(),
        }
    }

    fn call(&self, caller: usize) -> Talk {
        let call_id = format!("memory-{caller}");
        let telephone = &self.callers[caller];
        telephone.invite(&call_id);
        let invite = self.department.pick_up();
        let officer = self.department.speak(invite.media(), 0x47);
        let dialog = telephone.answered(&call_id);
        let citizen = telephone.speak(dialog.answer.media(), 0x21);
        Talk {
            caller,
            dialog,
            _voices: [officer, citizen],
        }
    }

    fn end(&self, talk: &Talk) {
        self.callers[talk.caller].hang_up(&talk.dialog);
        let bye = self.department.expect("BYE");
        self.department.respond(&bye, "200 OK", false);
    }
}

/// A segment's file, as far as it is written.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy)]
struct Chunk {
    index: u32,
    samples: u32,
    is_final: bool,
    /// Where its clear part, its sealed part and its end lie.
    clear: usize,
    sealed: usize,
    end: usize,
}

/// What opens the chunks from one on.
struct Secret {
    bytes: [u8; 32],
    opens: Opens,
}

#[derive(Clone, Copy)]
enum Opens {
    From(u32),
    Only(u32),
}

fn segments(house: &House) -> Vec<Segment> {
    let files = files_under(&house.dir().join("data/vault"));
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "krec"));
    // A file that is closed this moment is looked at again by whoever waits.
    files.filter_map(|path| Segment::read(&path)).collect()
}

impl Segment {
    fn read(path: &Path) -> Option<Segment> {
        let bytes = fs::read(path).ok()?;
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let size = |at: usize| number(at).map(|number| number as usize);
        let mut chunks = Vec::new();
        let mut at = size(12)?;
        while let (Some(clear), Some(sealed)) = (size(at), size(at + 4)) {
            let chunk = Chunk {
                index: number(at + 8)?,
                samples: number(at + 24)?,
                is_final: *bytes.get(at + 12)? == 1,
                clear: at,
                sealed: at + clear,
                end: at + clear + sealed,
            };
            at = chunk.end + 32;
            if at > bytes.len() {
                break;
            }
            chunks.push(chunk);
        }
        let path = path.to_owned();
        Some(Segment {
            path,
            bytes,
            chunks,
        })
    }

    fn is_closed(&self) -> bool {
        self.chunks.last().is_some_and(|chunk| chunk.is_final)
    }

    fn samples(&self) -> u64 {
        self.opened_by(Opens::From(0))
    }

    fn opened_by(&self, opens: Opens) -> u64 {
        let opened = self.chunks.iter().filter(|chunk| match opens {
            Opens::From(first) => chunk.index >= first,
            Opens::Only(index) => chunk.index == index,
        });
        opened.map(|chunk| u64::from(chunk.samples)).sum()
    }

    fn part(&self, from: usize, length: usize) -> &[u8] {
        &self.bytes[from..from + length]
    }

    fn group(&self) -> String {
        let length = u32::from_be_bytes(self.part(68, 4).try_into().unwrap());
        String::from_utf8(self.part(84, length as usize).to_vec()).unwrap()
    }

    fn encapsulated(&self) -> [u8; 32] {
        let at = 84 + self.group().len();
        self.part(at, 32).try_into().unwrap()
    }

    /// Everything between the group's private half and the last chunk. That it is right, the last chunk says, which it opens.
    fn secrets(&self, keys: &Keys) -> Vec<Secret> {
        let sealed_at = 84 + self.group().len() + 32;
        let info = [
            &b"denwaban KREC1 segment key"[..],
            self.part(16, 16),
            self.part(48, 4),
        ]
        .concat();
        let hpke = Hpke::receive(&keys.private[&self.group()], &self.encapsulated(), &info);
        let mut state = hpke.open(self.part(sealed_at, 48));
        let all = hpke.secrets().map(|bytes| (bytes, Opens::From(0)));
        let mut secrets: Vec<_> = all.map(|(bytes, opens)| Secret { bytes, opens }).into();
        let last = *self.chunks.last().unwrap();
        for index in 0..=last.index + 1 {
            let key = sign(&state, b"denwaban KREC1 chunk\x01");
            if index == last.index {
                self.open(&last, &key);
            }
            let opens = Opens::From(index);
            secrets.push(Secret {
                bytes: state,
                opens,
            });
            let opens = Opens::Only(index);
            secrets.push(Secret { bytes: key, opens });
            state = sign(&state, b"denwaban KREC1 next\x01");
        }
        secrets
    }

    fn open(&self, chunk: &Chunk, key: &[u8; 32]) {
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&chunk.index.to_be_bytes());
        let clear = [
            self.part(chunk.clear - 32, 32),
            &self.bytes[chunk.clear..chunk.sealed],
        ]
        .concat();
        open(key, nonce, &clear, &self.bytes[chunk.sealed..chunk.end]).unwrap();
    }
}

fn open(key: &[u8], nonce: [u8; 12], clear: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key
        .open_in_place(nonce, Aad::from(clear), &mut bytes)?
        .len();
    bytes.truncate(length);
    Ok(bytes)
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().try_into().unwrap()
}

/// The receiver's side of RFC 9180 in base mode, with everything that it passes through.
struct Hpke {
    diffie_hellman: [u8; 32],
    shared: [u8; 32],
    secret: [u8; 32],
    key: [u8; 32],
    nonce: [u8; 12],
}

const KEM: &[u8] = b"KEM\x00\x20";
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x02";

impl Hpke {
    fn receive(private: &[u8; 32], encapsulated: &[u8; 32], info: &[u8]) -> Hpke {
        let half = PrivateKey::from_private_key(&X25519, private).unwrap();
        let own = half.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&X25519, encapsulated);
        let agreed = agree(&half, peer, Unspecified, |bytes| {
            bytes.try_into().map_err(|_| Unspecified)
        });
        let diffie_hellman: [u8; 32] = agreed.unwrap();
        // Section 4.1.
        let extracted = extract(b"", KEM, b"eae_prk", &diffie_hellman);
        let context = [&encapsulated[..], own.as_ref()].concat();
        let shared = expand(&extracted, KEM, b"shared_secret", &context, 32);
        // Section 5.1.
        let psk = extract(b"", SUITE, b"psk_id_hash", b"");
        let info = extract(b"", SUITE, b"info_hash", info);
        let context = [&[0][..], &psk, &info].concat();
        let secret = extract(&shared, SUITE, b"secret", b"");
        let key = expand(&secret, SUITE, b"key", &context, 32);
        let nonce = expand(&secret, SUITE, b"base_nonce", &context, 12);
        Hpke {
            diffie_hellman,
            shared,
            secret,
            key,
            nonce: nonce[..12].try_into().unwrap(),
        }
    }

    fn open(&self, sealed: &[u8]) -> [u8; 32] {
        let opened = open(&self.key, self.nonce, b"", sealed).unwrap();
        opened.try_into().unwrap()
    }

    fn secrets(&self) -> [[u8; 32]; 4] {
        [self.diffie_hellman, self.shared, self.secret, self.key]
    }
}

fn extract(salt: &[u8], suite: &[u8], label: &[u8], input: &[u8]) -> [u8; 32] {
    sign(salt, &[b"HPKE-v1", suite, label, input].concat())
}

fn expand(key: &[u8], suite: &[u8], label: &[u8], info: &[u8], length: u16) -> [u8; 32] {
    let length = length.to_be_bytes();
    sign(
        key,
        &[&length[..], b"HPKE-v1", suite, label, info, &[1]].concat(),
    )
}

/// What the office has, and the call process must not.
struct Keys {
    root: [u8; 32],
    private: BTreeMap<String, [u8; 32]>,
}

impl Keys {
    fn read(house: &House) -> Keys {
        let root = fs::read(house.dir().join("root/0001.root")).unwrap();
        let root: [u8; 32] = root[12..44].try_into().unwrap();
        let store = fs::read(house.dir().join("data/keys/store")).unwrap();
        let store: Value = serde_json::from_slice(&store).unwrap();
        let groups = store["groups"].as_object().unwrap();
        let private = groups.iter().map(|(name, pairs)| {
            let pair = pairs.as_array().unwrap().last().unwrap();
            let part = |key: &str| bytes_of(pair[key].as_str().unwrap());
            let generation = u32::try_from(pair["generation"].as_u64().unwrap()).unwrap();
            let words = [
                &b"denwaban wrapped half"[..],
                &1_u32.to_be_bytes(),
                &generation.to_be_bytes(),
                &part("public"),
                name.as_bytes(),
            ]
            .concat();
            let nonce = part("nonce").try_into().unwrap();
            let half = open(&root, nonce, &words, &part("wrapped")).unwrap();
            (name.clone(), half.try_into().unwrap())
        });
        Keys {
            root,
            private: private.collect(),
        }
    }

    fn all(&self) -> Vec<[u8; 32]> {
        let halves = self.private.values().copied();
        halves.chain([self.root]).collect()
    }
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// Everything that a process may write, of one moment.
struct Memory {
    pid: rustix::process::Pid,
    parts: Vec<Vec<u8>>,
}

impl Memory {
    /// Stops the process and reads it. It stays stopped, so that the disk is of the same moment.
    fn of(process: &Process) -> Memory {
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

    fn go_on(&self) {
        rustix::process::kill_process(self.pid, rustix::process::Signal::CONT).unwrap();
    }

    /// Which of these lie there, at whatever place.
    fn find(&self, wanted: &[[u8; 32]]) -> HashSet<[u8; 32]> {
        let front = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
        let mut fronts = vec![false; 1 << 16];
        for key in wanted {
            fronts[usize::from(front(key))] = true;
        }
        let wanted: HashSet<&[u8]> = wanted.iter().map(<[u8; 32]>::as_slice).collect();
        let windows = self.parts.iter().flat_map(|part| part.windows(32));
        windows
            .filter(|window| fronts[usize::from(front(window))] && wanted.contains(window))
            .map(|window| window.try_into().unwrap())
            .collect()
    }

    /// Whether a sender's private half lies there. Only windows at multiples of eight that look like chance are tried: each costs a multiplication.
    fn holds_private_half_of(&self, public: &BTreeSet<[u8; 32]>) -> bool {
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

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_under(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
