//! The audit trail: one file a month, one JSON line an entry, each linked to the one before it.
//!
//! A line is `{"hash":"..","entry":{..}}`. The hash is SHA-256 over the hash before it and the
//! bytes of the entry as they stand in the line; before the first entry stands the hash of the
//! trail's origin. A receipt exists only for what is durable.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{AuditDraft, AuditEntry, AuditReceipt, Digest, Fault};
use thiserror::Error;

use crate::{
    files::{Disk, DiskFile, MODE_SHARED, list_if_there},
    group::RegisterMonth,
    layout::Layout,
    lock::Duty,
    secret::sha256,
};

const LINE_BEGIN: &[u8] = b"{\"hash\":\"";
const LINE_MIDDLE: &[u8] = b"\",\"entry\":";
const LINE_END: &[u8] = b"}";
const HASH_DIGITS: usize = 64;
const ENTRY_AT: usize = LINE_BEGIN.len() + HASH_DIGITS + LINE_MIDDLE.len();

/// One duty's chain, open for appending.
pub struct AuditTrail {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    head: Head,
    file: Option<OpenFile>,
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

struct OpenFile {
    month: String,
    file: Box<dyn DiskFile>,
    /// Length of the durable lines; what stands behind them is cut off before the next write.
    bytes: u64,
    tail: Tail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Durable,
    Unknown,
}

impl AuditTrail {
    /// Opens a duty's chain at its end; a last line that was cut off by a crash is removed.
    ///
    /// # Errors
    /// [`AuditFault`] if the newest file cannot be read, or its last whole line is no entry.
    pub fn open(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        duty: Duty,
    ) -> Result<AuditTrail, AuditFault> {
        let folder = folder(layout, duty);
        disk.make_folder(&folder, 0o750).map_err(at(&folder))?;
        let mut trail = AuditTrail {
            head: origin(duty),
            disk,
            folder,
            file: None,
        };
        let months = months(&*trail.disk, &trail.folder)?;
        for (index, month) in months.iter().enumerate().rev() {
            let found = trail.open_file(month)?;
            // The newest file is written on; an empty one says nothing, so the one before it does.
            if index + 1 == months.len() {
                trail.file = Some(found.0);
            }
            if let Some(head) = found.1 {
                trail.head = head;
                break;
            }
        }
        Ok(trail)
    }

    /// Writes one entry and makes it durable.
    ///
    /// # Errors
    /// [`AuditFault`]: the entry is not in the chain, and is to be appended again later.
    pub fn append(&mut self, draft: AuditDraft, at: Timestamp) -> Result<AuditReceipt, AuditFault> {
        let receipts = self.append_all(vec![draft], at)?;
        Ok(receipts
            .into_iter()
            .next()
            .expect("one draft gives one receipt"))
    }

    /// Writes entries in their order and makes them durable with one sync.
    ///
    /// # Errors
    /// [`AuditFault`]: none of them is in the chain, and they are to be appended again later.
    pub fn append_all(
        &mut self,
        drafts: Vec<AuditDraft>,
        at: Timestamp,
    ) -> Result<Vec<AuditReceipt>, AuditFault> {
        let mut head = self.head;
        let mut lines = Vec::new();
        let mut receipts = Vec::with_capacity(drafts.len());
        for AuditDraft { actor, event } in drafts {
            let entry = AuditEntry {
                seq: head.seq + 1,
                at,
                actor,
                event,
            };
            let text = serde_json::to_vec(&entry).map_err(|_| AuditFault::NotJson)?;
            head = Head {
                seq: entry.seq,
                hash: Digest(sha256(&[&head.hash.0, &text])),
            };
            lines.extend_from_slice(LINE_BEGIN);
            lines.extend_from_slice(head.hash.to_string().as_bytes());
            lines.extend_from_slice(LINE_MIDDLE);
            lines.extend_from_slice(&text);
            lines.extend_from_slice(LINE_END);
            lines.push(b'\n');
            receipts.push((entry, head.hash));
        }
        self.write(&lines, at)?;
        self.head = head;
        // The one place that makes receipts: the lines above are durable.
        Ok(receipts
            .into_iter()
            .map(|(entry, hash)| AuditReceipt::durable(entry, hash.0))
            .collect())
    }

    /// The end of the chain, to be kept outside: it shows a trail that was shortened.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    fn write(&mut self, lines: &[u8], now: Timestamp) -> Result<(), AuditFault> {
        let month = RegisterMonth::of(now).to_string();
        // A clock that was put back does not lead back into an older file, and a month that cannot
        // begin leaves the file before it in hand.
        if self.file.as_ref().is_none_or(|open| open.month < month) {
            self.file = Some(self.create_file(&month)?);
        }
        self.check_unaltered()?;
        let open = self.file.as_mut().expect("it was made above if need be");
        let path = self.folder.join(file_name(&open.month));
        if open.tail == Tail::Unknown {
            open.file.cut(open.bytes).map_err(at(&path))?;
        }
        open.tail = Tail::Unknown;
        let written = open.file.write(lines).and_then(|()| open.file.sync());
        if let Err(source) = written {
            // Whoever opens the file anew must not find what was refused; this handle cuts it
            // again before its next write, because this cut may have been refused too.
            let _ = open.file.cut(open.bytes);
            return Err(AuditFault::Disk { path, source });
        }
        open.tail = Tail::Durable;
        open.bytes += lines.len() as u64;
        Ok(())
    }

    /// Looks whether the file is as we left it: what is written into one that was deleted is durable nowhere.
    ///
    /// The next entry goes into whatever stands there then, and follows from the entries that are known here, so that
    /// [`verify`] shows what is missing.
    fn check_unaltered(&mut self) -> Result<(), AuditFault> {
        let Some(open) = &self.file else {
            return Ok(());
        };
        let path = self.folder.join(file_name(&open.month));
        let is_altered = match self.disk.len(&path) {
            Ok(bytes) => match open.tail {
                Tail::Durable => bytes != open.bytes,
                Tail::Unknown => bytes < open.bytes,
            },
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => true,
            Err(source) => return Err(AuditFault::Disk { path, source }),
        };
        if is_altered {
            self.file = None;
            return Err(AuditFault::Altered { path });
        }
        Ok(())
    }

    fn create_file(&self, month: &str) -> Result<OpenFile, AuditFault> {
        let path = self.folder.join(file_name(month));
        self.disk
            .make_folder(&self.folder, 0o750)
            .map_err(at(&self.folder))?;
        // One that is there was left empty by a beginning that failed before its first entry; what
        // somebody else put into it is evidence, and stays.
        let (file, bytes) = match self.disk.exists(&path).map_err(at(&path))? {
            true => {
                let bytes = self.disk.len(&path).map_err(at(&path))?;
                (self.disk.append(&path).map_err(at(&path))?, bytes)
            }
            false => (self.disk.create(&path, MODE_SHARED).map_err(at(&path))?, 0),
        };
        self.disk
            .sync_folder(&self.folder)
            .map_err(at(&self.folder))?;
        Ok(OpenFile {
            month: month.to_owned(),
            file,
            bytes,
            tail: Tail::Durable,
        })
    }

    /// Opens a month's file, cuts a torn last line, and reads the last whole one.
    fn open_file(&self, month: &str) -> Result<(OpenFile, Option<Head>), AuditFault> {
        let path = self.folder.join(file_name(month));
        let bytes = self.disk.read(&path).map_err(at(&path))?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let mut file = self.disk.append(&path).map_err(at(&path))?;
        if whole < bytes.len() {
            file.cut(whole as u64).map_err(at(&path))?;
            file.sync().map_err(at(&path))?;
        }
        let open = OpenFile {
            month: month.to_owned(),
            file,
            bytes: whole as u64,
            tail: Tail::Durable,
        };
        let Some(last) = bytes[..whole].split(|byte| *byte == b'\n').nth_back(1) else {
            return Ok((open, None));
        };
        let line = Line::parse(last).ok_or(AuditFault::Damaged { path })?;
        Ok((
            open,
            Some(Head {
                seq: line.seq,
                hash: line.hash,
            }),
        ))
    }
}

/// Goes through a duty's chain from its first entry to its last.
///
/// A shortened chain is whole in itself: only a head kept outside shows that entries are missing
/// at its end.
///
/// # Errors
/// [`AuditFault::Broken`] names the first bad entry by file and line.
pub fn verify(disk: &dyn Disk, layout: &Layout, duty: Duty) -> Result<Head, AuditFault> {
    let folder = folder(layout, duty);
    let mut head = origin(duty);
    for month in months(disk, &folder)? {
        let path = folder.join(file_name(&month));
        let bytes = disk.read(&path).map_err(at(&path))?;
        let mut rest = &bytes[..];
        let mut line_number = 0;
        while !rest.is_empty() {
            line_number += 1;
            let broken = |reason| AuditFault::Broken {
                path: path.clone(),
                line: line_number,
                seq: head.seq + 1,
                reason,
            };
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return Err(broken(BrokenReason::LineCut));
            };
            let line = Line::parse(&rest[..end]).ok_or_else(|| broken(BrokenReason::NoEntry))?;
            let expected = Head {
                seq: head.seq + 1,
                hash: Digest(sha256(&[&head.hash.0, line.entry])),
            };
            if line.hash != expected.hash {
                return Err(broken(BrokenReason::HashDiffers));
            }
            if line.seq != expected.seq {
                return Err(broken(BrokenReason::NumberDiffers { found: line.seq }));
            }
            head = expected;
            rest = &rest[end + 1..];
        }
    }
    Ok(head)
}

struct Line<'bytes> {
    hash: Digest,
    entry: &'bytes [u8],
    seq: u64,
}

impl<'bytes> Line<'bytes> {
    fn parse(line: &'bytes [u8]) -> Option<Line<'bytes>> {
        let digits = line.strip_prefix(LINE_BEGIN)?.get(..HASH_DIGITS)?;
        let hash = std::str::from_utf8(digits).ok()?;
        // One spelling only, so that a changed letter case is a changed line.
        if hash.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let entry = line.get(ENTRY_AT..)?.strip_suffix(LINE_END)?;
        if &line[ENTRY_AT - LINE_MIDDLE.len()..ENTRY_AT] != LINE_MIDDLE {
            return None;
        }
        let seq = serde_json::from_slice::<AuditEntry>(entry).ok()?.seq;
        Some(Line {
            hash: hash.parse().ok()?,
            entry,
            seq,
        })
    }
}

fn folder(layout: &Layout, duty: Duty) -> PathBuf {
    match duty {
        Duty::Calls => layout.calls_audit(),
        Duty::Office => layout.office_audit(),
    }
}

/// Where a chain hangs: two duties' chains cannot be exchanged for each other.
fn origin(duty: Duty) -> Head {
    Head {
        seq: 0,
        hash: Digest(sha256(&[b"denwaban audit ", duty.name().as_bytes()])),
    }
}

fn file_name(month: &str) -> String {
    format!("{month}.jsonl")
}

/// The months that have a file, in order.
fn months(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, AuditFault> {
    let names = list_if_there(disk, folder).map_err(at(folder))?;
    let months: BTreeMap<String, ()> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".jsonl"))
        .map(|month| (month.to_owned(), ()))
        .collect();
    Ok(months.into_keys().collect())
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> AuditFault {
    let path = path.to_owned();
    move |source| AuditFault::Disk { path, source }
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BrokenReason {
    /// The file ends inside the line.
    #[error("the file ends inside it")]
    LineCut,
    /// The line is no entry.
    #[error("it is no entry")]
    NoEntry,
    /// The entry or one before it was changed, removed, doubled or moved.
    #[error("its hash does not follow from the entry before it")]
    HashDiffers,
    /// The number does not follow.
    #[error("it has number {found}")]
    NumberDiffers {
        /// The number that stands there.
        found: u64,
    },
}

/// Why the trail cannot be used, or is not whole.
#[derive(Debug, Error)]
pub enum AuditFault {
    /// The disk refused.
    #[error("audit file {} cannot be used ({source}); check free space, the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its last whole line is no entry, so nothing can follow it.
    #[error("the last line of audit file {} is no entry; run audit verify, and move the damaged file away as evidence", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Somebody deleted, cut or lengthened the file while it was in use.
    #[error("audit file {} is not as it was left: somebody else deleted it or wrote into it; put it back and run audit verify", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// Verification found a bad entry.
    #[error("audit entry {seq} in {}, line {line}, is the first that is not as it was written: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The number that the entry should have.
        seq: u64,
        /// What is wrong.
        reason: BrokenReason,
    },
    /// An entry cannot be written as JSON.
    #[error("an audit entry cannot be written as JSON; this is a defect of denwaban")]
    NotJson,
}

impl AuditFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            AuditFault::Disk { .. } | AuditFault::Damaged { .. } => Fault::Resource,
            AuditFault::Broken { .. } | AuditFault::Altered { .. } => Fault::Operator,
            AuditFault::NotJson => Fault::Ours,
        }
    }
}
