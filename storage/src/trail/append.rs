//! One duty's chain, open for appending.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{AuditDraft, AuditEntry, AuditEvent, AuditReceipt, JstMonth};

use crate::{
    files::{Disk, DiskFile, MODE_SECRET, MODE_SHARED},
    layout::Layout,
    lock::Duty,
    tree::{Frontier, leaf_hash},
};

use super::{
    AuditFault, ChainEnd, at, folder,
    line::{self, Line},
    month::{Lines, Next, beginning_of, file_name, months},
};

/// One duty's chain, open for appending.
pub struct AuditTrail {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    readers: Readers,
    end: ChainEnd,
    frontier: Frontier,
    file: Option<OpenFile>,
    /// How much a crash left behind the last whole line, until an entry tells of it.
    torn_bytes: Option<u64>,
}

/// Who reads a chain besides its writer: the office signs the heads of the calls' too, and nobody but the office reads its own.
#[derive(Clone, Copy)]
enum Readers {
    Group,
    Nobody,
}

impl Readers {
    fn of(duty: Duty) -> Readers {
        match duty {
            Duty::Calls => Readers::Group,
            Duty::Office => Readers::Nobody,
        }
    }

    fn folder_mode(self) -> u32 {
        match self {
            Readers::Group => 0o750,
            Readers::Nobody => 0o700,
        }
    }

    fn file_mode(self) -> u32 {
        match self {
            Readers::Group => MODE_SHARED,
            Readers::Nobody => MODE_SECRET,
        }
    }
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

/// What stands last in a month's file.
enum LastLine {
    None,
    Entry(ChainEnd),
    NoEntry,
}

impl AuditTrail {
    /// Opens a duty's chain at its end. A last line that was cut off by a crash is removed by the
    /// next entry, which tells of it.
    ///
    /// # Errors
    /// [`AuditFault`] if a file cannot be read, or the last whole line is no entry.
    pub fn open(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        duty: Duty,
    ) -> Result<AuditTrail, AuditFault> {
        let folder = folder(layout, duty);
        let readers = Readers::of(duty);
        let made = disk.make_folder(&folder, readers.folder_mode());
        made.map_err(at(&folder))?;
        let mut trail = AuditTrail {
            readers,
            end: ChainEnd::origin(duty),
            frontier: Frontier::empty(),
            disk,
            folder,
            file: None,
            torn_bytes: None,
        };
        let months = months(&*trail.disk, &trail.folder)?;
        let mut damaged = None;
        for month in &months[trail.newest_beginning(&months)?..] {
            match trail.read_month(month)? {
                LastLine::None => {}
                LastLine::Entry(end) => (trail.end, damaged) = (end, None),
                LastLine::NoEntry => damaged = Some(trail.folder.join(file_name(month))),
            }
        }
        match damaged {
            None => Ok(trail),
            Some(path) => Err(AuditFault::Damaged { path }),
        }
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
        now: Timestamp,
    ) -> Result<Vec<AuditReceipt>, AuditFault> {
        self.choose_file(now)?;
        let before = self.what_comes_first();
        let mut batch = Batch {
            end: self.end,
            frontier: self.frontier.clone(),
            lines: Vec::new(),
        };
        let first = before.len();
        let written = before
            .into_iter()
            .chain(drafts)
            .map(|draft| batch.add(draft, now))
            .collect::<Result<Vec<_>, _>>()?;
        self.write(&batch.lines)?;
        (self.end, self.frontier, self.torn_bytes) = (batch.end, batch.frontier, None);
        // The one place that makes receipts: the lines above are durable.
        Ok(written
            .into_iter()
            .skip(first)
            .map(|(entry, end)| AuditReceipt::durable(entry, end.hash.0))
            .collect())
    }

    /// The end of the chain.
    #[must_use]
    pub fn end(&self) -> ChainEnd {
        self.end
    }

    /// What the trail itself has to say before the next entry.
    fn what_comes_first(&self) -> Vec<AuditDraft> {
        let is_empty = self.file.as_ref().is_some_and(|open| open.bytes == 0);
        let begun = is_empty.then(|| AuditEvent::MonthBegun {
            size: self.end.seq,
            chain_hash: self.end.hash,
            frontier: self.frontier.roots().to_vec(),
        });
        let cut = self.torn_bytes.map(|bytes| AuditEvent::TrailCut { bytes });
        begun
            .into_iter()
            .chain(cut)
            .map(AuditDraft::system)
            .collect()
    }

    /// Takes the month's file in hand.
    fn choose_file(&mut self, now: Timestamp) -> Result<(), AuditFault> {
        let month = JstMonth::of(now).to_string();
        // A clock that was put back does not lead back into an older file, and a month that cannot
        // begin leaves the file before it in hand.
        if self.file.as_ref().is_none_or(|open| open.month < month) {
            if let Some(open) = &mut self.file {
                open.cut_to_durable(&self.folder)?;
            }
            self.file = Some(self.create_file(&month)?);
        }
        self.check_unaltered()
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), AuditFault> {
        let open = self.file.as_mut().expect("it was chosen before");
        open.cut_to_durable(&self.folder)?;
        open.tail = Tail::Unknown;
        let written = open.file.write(lines).and_then(|()| open.file.sync());
        if let Err(source) = written {
            // Whoever opens the file anew must not find what was refused; this handle cuts it
            // again before its next write, because this cut may have been refused too.
            let _ = open.file.cut(open.bytes);
            let path = self.folder.join(file_name(&open.month));
            return Err(AuditFault::Disk { path, source });
        }
        open.tail = Tail::Durable;
        open.bytes += lines.len() as u64;
        Ok(())
    }

    /// Looks whether the file is as we left it: what is written into one that was deleted is durable nowhere.
    ///
    /// The next entry goes into whatever stands there then, and follows from the entries that are known here, so that
    /// [`verify`](super::verify) shows what is missing.
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
            .make_folder(&self.folder, self.readers.folder_mode())
            .map_err(at(&self.folder))?;
        // One that is there was left empty by a beginning that failed before its first entry; what
        // somebody else put into it is evidence, and stays.
        let (file, bytes) = match self.disk.exists(&path).map_err(at(&path))? {
            true => {
                let bytes = self.disk.len(&path).map_err(at(&path))?;
                (self.disk.append(&path).map_err(at(&path))?, bytes)
            }
            false => {
                let mode = self.readers.file_mode();
                (self.disk.create(&path, mode).map_err(at(&path))?, 0)
            }
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

    /// The index of the newest month that says what came before it; without one, of the first.
    fn newest_beginning(&self, months: &[String]) -> Result<usize, AuditFault> {
        for (index, month) in months.iter().enumerate().rev() {
            let path = self.folder.join(file_name(month));
            if beginning_of(&*self.disk, &path)?.is_some() {
                return Ok(index);
            }
        }
        Ok(0)
    }

    /// Takes in a month's entries as they stand, so that the next one follows the last. Whether they
    /// are as they were written, [`verify`](super::verify) says: a trail that somebody damaged goes on.
    fn read_month(&mut self, month: &str) -> Result<LastLine, AuditFault> {
        let path = self.folder.join(file_name(month));
        let mut lines = Lines::open(&*self.disk, path.clone());
        let (mut bytes, mut torn_bytes) = (0, None);
        let mut last = LastLine::None;
        loop {
            let line = match lines.next().map_err(at(&path))? {
                Next::Line(line) => line,
                Next::Cut(cut) => break torn_bytes = Some(cut),
                Next::End => break,
            };
            let parsed = Line::parse(line);
            if bytes == 0
                && let Some(Some(begun)) = parsed.as_ref().and_then(Line::beginning)
            {
                self.frontier = begun.frontier;
            }
            bytes += line.len() as u64 + 1;
            last = match parsed.as_ref().and_then(Line::end) {
                Some(end) => LastLine::Entry(end),
                None => LastLine::NoEntry,
            };
            let entry = parsed.map_or(line, |line| line.entry);
            self.frontier.push(leaf_hash(entry));
        }
        let tail = match torn_bytes {
            Some(_) => Tail::Unknown,
            None => Tail::Durable,
        };
        self.torn_bytes = torn_bytes;
        self.file = Some(OpenFile {
            month: month.to_owned(),
            file: self.disk.append(&path).map_err(at(&path))?,
            bytes,
            tail,
        });
        Ok(last)
    }
}

impl OpenFile {
    /// Cuts off what stands behind the durable lines.
    fn cut_to_durable(&mut self, folder: &Path) -> Result<(), AuditFault> {
        if self.tail == Tail::Unknown {
            let path = folder.join(file_name(&self.month));
            self.file
                .cut(self.bytes)
                .and_then(|()| self.file.sync())
                .map_err(at(&path))?;
            self.tail = Tail::Durable;
        }
        Ok(())
    }
}

/// Entries that are to become durable together, and what the chain is then.
struct Batch {
    end: ChainEnd,
    frontier: Frontier,
    lines: Vec<u8>,
}

impl Batch {
    fn add(
        &mut self,
        AuditDraft { actor, event }: AuditDraft,
        at: Timestamp,
    ) -> Result<(AuditEntry, ChainEnd), AuditFault> {
        let entry = AuditEntry {
            seq: self.end.seq + 1,
            at,
            actor,
            event,
        };
        let text = serde_json::to_vec(&entry).map_err(|_| AuditFault::NotJson)?;
        self.end = self.end.after(&text);
        self.frontier.push(leaf_hash(&text));
        line::write(&self.end.hash, &text, &mut self.lines);
        Ok((entry, self.end))
    }
}
