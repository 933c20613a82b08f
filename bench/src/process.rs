//! What the kernel says about another process: processor time and memory.

use std::{fs, io, time::Duration};

/// Ticks per second in `/proc/PID/stat`; fixed at 100 for every Linux architecture we run on.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of a process so far, user and system, all threads.
///
/// # Errors
/// When the process is gone or its line cannot be read.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).ok_or_else(|| {
        io::Error::other("/proc/PID/stat has no utime and stime, expected 17 fields")
    })?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// When the process is gone or its status has no such line.
pub fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    value.ok_or_else(|| io::Error::other("/proc/PID/status has no VmRSS line"))
}

/// Fields 14 and 15 of the line; the command's name before them may hold anything, so counting starts behind its bracket.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (odd) (name) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 100 1000 200";
        assert_eq!(ticks(stat), Some(300));
    }

    #[test]
    fn our_own_memory_is_read() {
        assert!(resident_kib(std::process::id()).unwrap() > 100);
    }
}
