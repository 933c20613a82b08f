//! The spool: rows as lines of append-only files, which the office takes into the catalogue.
//!
//! The calls duty writes; the office reads, counts the lines that it has taken, and removes files
//! that are followed by another. Each start and each day begins a new file with a name of its own,
//! so that a line lost in a power cut is never mistaken for one that was taken in.
//! A line is the first 16 hexadecimal digits of the SHA-256 of the JSON that follows it, a space,
//! and the JSON.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{Fault, JstDay};
use thiserror::Error;

use crate::{
    files::{Disk, DiskFile, MODE_SHARED, list_if_there},
    hex,
    layout::Layout,
    rows::SpoolEntry,
    secret::{self, sha256},
};

const SUFFIX: &str = ".rows";
/// Follows the suffix of a file that the office takes in for the last time.
const LEAVING: &str = ".leaving";
const CHECK_DIGITS: usize = 16;
/// A file longer than this is followed by another, so that the office can remove it.
const LONGEST_FILE_BYTES: u64 = 256 * 1024;
/// A file that is removed under the writer is begun again; more than this is no disposal.
const ATTEMPTS: u32 = 3;
/// Rows of about an hour of the busiest disaster; beyond it a row is refused, never a call.
const LONGEST_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// The calls duty's end of the spool.
pub struct Spool {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    waiting: Vec<u8>,
    file: Option<OpenFile>,
}

struct OpenFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    day: JstDay,
    bytes: u64,
    tail: Tail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Durable,
    Unknown,
}

impl Spool {
    /// The spool of an installation. Nothing is touched yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, layout: &Layout) -> Spool {
        Spool {
            disk,
            folder: layout.spool(),
            waiting: Vec::new(),
            file: None,
        }
    }

    /// Puts an entry in line for the next flush.
    ///
    /// # Errors
    /// [`SpoolFault::Full`] if the disk has refused for so long that no more may wait.
    pub fn put(&mut self, entry: &SpoolEntry) -> Result<(), SpoolFault> {
        if self.waiting.len() >= LONGEST_WAITING_BYTES {
            return Err(SpoolFault::Full {
                bytes: self.waiting.len(),
            });
        }
        let text = serde_json::to_vec(entry).map_err(|_| SpoolFault::NotJson)?;
        self.waiting.extend_from_slice(check(&text).as_bytes());
        self.waiting.push(b' ');
        self.waiting.extend_from_slice(&text);
        self.waiting.push(b'\n');
        Ok(())
    }

    /// Writes what waits and makes it durable, with one sync for all of it.
    ///
    /// A recording's row should be put after its segment is finished, and the vault flushed before
    /// the spool; a power cut between the two is what [`Vault::recover`](crate::Vault::recover)
    /// sets right.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`]; the entries wait on, for the next flush.
    pub fn flush(&mut self, now: Timestamp) -> Result<(), SpoolFault> {
        let day = JstDay::of(now);
        let is_over = |file: &OpenFile| file.day != day || file.bytes >= LONGEST_FILE_BYTES;
        // A day's rows must not lie about in a spool that nobody writes to any more.
        let is_followed = self.file.as_ref().is_some_and(is_over);
        if self.waiting.is_empty() && !is_followed {
            return Ok(());
        }
        if is_followed {
            self.file = None;
        }
        // A disposal may remove the file between two flushes, or during one: then what was written
        // into it is written again. A row that arrives twice changes nothing.
        for _ in 0..ATTEMPTS {
            let path = self.write(day)?;
            if self.disk.exists(&path).map_err(at(&path))? {
                self.waiting.clear();
                return Ok(());
            }
            self.file = None;
        }
        Err(SpoolFault::Removed {
            path: self.folder.clone(),
        })
    }

    fn write(&mut self, day: JstDay) -> Result<PathBuf, SpoolFault> {
        let open = match self.file.take() {
            Some(file) => self.file.insert(file),
            None => {
                let file = self.create_file(day)?;
                self.file.insert(file)
            }
        };
        let path = &open.path;
        if open.tail == Tail::Unknown {
            open.file.cut(open.bytes).map_err(at(path))?;
        }
        open.tail = Tail::Unknown;
        open.file.write(&self.waiting).map_err(at(path))?;
        open.file.sync().map_err(at(path))?;
        open.tail = Tail::Durable;
        open.bytes += self.waiting.len() as u64;
        Ok(open.path.clone())
    }

    fn create_file(&self, day: JstDay) -> Result<OpenFile, SpoolFault> {
        // The office never removes the newest file, so numbers only go up; the random part tells
        // two files of one number apart if somebody emptied the folder.
        let last = files(&*self.disk, &self.folder)?
            .last()
            .and_then(|name| number(name));
        let random: [u8; 8] = secret::random().map_err(|_| SpoolFault::NoRandomness)?;
        let name = format!(
            "{:010}-{}{SUFFIX}",
            last.unwrap_or(0) + 1,
            hex::encode(&random)
        );
        let path = self.folder.join(name);
        let file = self.disk.create(&path, MODE_SHARED).map_err(at(&path))?;
        self.disk
            .sync_folder(&self.folder)
            .map_err(at(&self.folder))?;
        Ok(OpenFile {
            path,
            file,
            day,
            bytes: 0,
            tail: Tail::Durable,
        })
    }
}

/// The spool's files, the newest last; one that is leaving has another name than its own.
pub(crate) fn files(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, SpoolFault> {
    let mut names = list_if_there(disk, folder).map_err(at(folder))?;
    names.retain(|name| own_name(name).ends_with(SUFFIX) && number(name).is_some());
    Ok(names)
}

/// The name under which a file's lines are counted.
pub(crate) fn own_name(name: &str) -> &str {
    name.strip_suffix(LEAVING).unwrap_or(name)
}

pub(crate) fn is_leaving(name: &str) -> bool {
    name.ends_with(LEAVING)
}

/// Takes a file away from its writer before it is read for the last time. A writer that looks for
/// it after writing misses it, and writes again elsewhere; what one wrote that looked before is read.
pub(crate) fn take_away(disk: &dyn Disk, folder: &Path, name: &str) -> Result<String, SpoolFault> {
    let leaving = format!("{name}{LEAVING}");
    let path = folder.join(name);
    disk.rename(&path, &folder.join(&leaving))
        .map_err(at(&path))?;
    Ok(leaving)
}

fn number(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

/// The entries of a file's whole lines behind the first `taken`, which are not read again; `None` stands for a line that is not as it
/// was written.
pub(crate) fn entries(bytes: &[u8], taken: usize) -> impl Iterator<Item = Option<SpoolEntry>> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    bytes[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .skip(taken)
        .map(|line| entry(line.trim_ascii_end()))
}

fn entry(line: &[u8]) -> Option<SpoolEntry> {
    let (digits, text) = line.split_at_checked(CHECK_DIGITS)?;
    let text = text.strip_prefix(b" ")?;
    if digits != check(text).as_bytes() {
        return None;
    }
    serde_json::from_slice(text).ok()
}

fn check(text: &[u8]) -> String {
    hex::encode(&sha256(&[text])[..CHECK_DIGITS / 2])
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SpoolFault {
    let path = path.to_owned();
    move |source| SpoolFault::Disk { path, source }
}

/// Why a row could not be spooled.
#[derive(Debug, Error)]
pub enum SpoolFault {
    /// The disk refused.
    #[error("spool file {} cannot be used ({source}); check free space, the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody removes its files while they are written.
    #[error("the spool's files in {} are removed as soon as they are written; find out by whom", path.display())]
    Removed {
        /// The folder.
        path: PathBuf,
    },
    /// Too much waits already.
    #[error(
        "{bytes} bytes of rows wait for the spool's disk, which is the most; make the disk writable again"
    )]
    Full {
        /// How much waits.
        bytes: usize,
    },
    /// The row cannot be written as JSON.
    #[error("a row cannot be written as JSON; this is a defect of denwaban")]
    NotJson,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes; check getrandom(2) and seccomp filters")]
    NoRandomness,
}

impl SpoolFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            SpoolFault::Disk { .. }
            | SpoolFault::Removed { .. }
            | SpoolFault::Full { .. }
            | SpoolFault::NoRandomness => Fault::Resource,
            SpoolFault::NotJson => Fault::Ours,
        }
    }
}
