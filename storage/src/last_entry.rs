//! When a chain was written last, from the end of its newest file: read before anything else is, it says how long nobody wrote.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use jiff::Timestamp;
use serde::Deserialize;

/// More than the longest entry.
const TAIL_BYTES: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Line {
    entry: Entry,
}

#[derive(Deserialize)]
struct Entry {
    at: Timestamp,
}

/// The time of the newest entry in a chain's folder; `None` where there is none that can be read.
///
/// # Errors
/// The disk's own fault.
pub fn last_entry_at(folder: &Path) -> io::Result<Option<Timestamp>> {
    let names = match fs::read_dir(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut files = names
        .map(|name| name.map(|name| name.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    for file in files.iter().rev() {
        if let Some(at) = last_of(file)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn last_of(path: &Path) -> io::Result<Option<Timestamp>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let read = |line: &[u8]| serde_json::from_slice::<Line>(line).ok();
    // A last line that is cut off counts for nothing, as everywhere.
    let lines = tail.rsplit(|byte| *byte == b'\n');
    Ok(lines.skip(1).find_map(read).map(|line| line.entry.at))
}
