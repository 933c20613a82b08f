//! Goes through a chain from a file on, and checks each entry against all that came before it.

use std::path::PathBuf;

use rules::{Digest, JstMonth};
use thiserror::Error;

use crate::{
    files::Disk,
    layout::Layout,
    lock::Duty,
    tree::{Frontier, leaf_hash},
};

use super::{
    AuditFault, ChainEnd, at, folder,
    line::{Beginning, Line},
    month::{Lines, Next, beginning_of, file_name, months},
};

/// Where a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the first file that is there.
    First,
    /// At the newest file that begins after this many entries at the latest, or at the first one.
    Size(u64),
    /// At the file of this month, or at the next one that is there.
    Month(JstMonth),
}

/// What a walk went through.
#[derive(Debug)]
pub(crate) struct Walked {
    /// How many entries came before the first file.
    pub(crate) before: ChainEnd,
    /// The last entry that is as it was written.
    pub(crate) end: ChainEnd,
    /// The tree up to it.
    pub(crate) frontier: Frontier,
    /// The files, in order.
    pub(crate) files: Vec<PathBuf>,
    /// How much is good of the last one that was read.
    pub(crate) last_file_bytes: u64,
    /// The first entry that is not as it was written.
    pub(crate) first_bad: Option<FirstBad>,
}

impl Walked {
    /// The first bad entry, but for a last line that is cut: it is being written, or a crash cut it.
    pub(crate) fn bad_before_its_end(&self) -> Option<&FirstBad> {
        let is_last = |bad: &FirstBad| {
            self.files.last() == Some(&bad.path) && bad.reason == BrokenReason::LineCut
        };
        self.first_bad.as_ref().filter(|bad| !is_last(bad))
    }

    /// What is before the first file makes that file the first bad one.
    pub(super) fn bad_beginning(&self, reason: BrokenReason) -> FirstBad {
        FirstBad {
            path: self.files.first().cloned().unwrap_or_default(),
            line: 1,
            seq: match reason {
                BrokenReason::RemovedUndecided { .. } => 1,
                _ => self.before.seq + 1,
            },
            reason,
        }
    }
}

/// What a walk shows of its beginning and of each good entry.
pub(crate) enum Seen<'walk> {
    /// The tree before the first entry of the walk.
    Beginning(&'walk Frontier),
    /// An entry, and the tree with it.
    Entry {
        line: &'walk Line<'walk>,
        leaf: Digest,
        frontier: &'walk Frontier,
    },
}

impl<'walk> Seen<'walk> {
    /// The tree so far.
    pub(crate) fn frontier(&self) -> &'walk Frontier {
        match self {
            Seen::Beginning(frontier) | Seen::Entry { frontier, .. } => frontier,
        }
    }

    /// The newest leaf of the walk.
    pub(crate) fn leaf(&self) -> Option<Digest> {
        match self {
            Seen::Beginning(_) => None,
            Seen::Entry { leaf, .. } => Some(*leaf),
        }
    }
}

/// Goes through a chain up to its end or its first bad entry.
///
/// # Errors
/// [`AuditFault::Disk`], or what `see` says; a bad entry is no error of the walk.
pub(crate) fn walk<E: From<AuditFault>>(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    start: Start,
    see: &mut dyn FnMut(Seen<'_>) -> Result<(), E>,
) -> Result<Walked, E> {
    let folder = folder(layout, chain);
    let months = months(disk, &folder)?;
    let files = months.iter().map(|month| folder.join(file_name(month)));
    let mut files: Vec<PathBuf> = files.collect();
    files.drain(..first_file(disk, &files, start)?);
    let begun = match files.first() {
        Some(path) => beginning_of(disk, path)?,
        None => None,
    };
    // A first file that has nothing before it hangs at this chain's origin, whatever it says.
    let begun = begun.filter(|begun| begun.end.seq > 0);
    let Beginning { end, frontier } = begun.unwrap_or_else(|| Beginning {
        end: ChainEnd::origin(chain),
        frontier: Frontier::empty(),
    });
    see(Seen::Beginning(&frontier))?;
    let mut walked = Walked {
        before: end,
        end,
        frontier,
        files,
        last_file_bytes: 0,
        first_bad: None,
    };
    for path in walked.files.clone() {
        if walked.first_bad.is_none() {
            walked.file(Lines::open(disk, path), see)?;
        }
    }
    Ok(walked)
}

/// The index of the file to begin with.
pub(super) fn first_file(
    disk: &dyn Disk,
    files: &[PathBuf],
    start: Start,
) -> Result<usize, AuditFault> {
    let size = match start {
        Start::First => return Ok(0),
        Start::Size(size) => size,
        Start::Month(month) => {
            let month = file_name(&month.to_string());
            let is_before = |path: &PathBuf| path.file_name().is_some_and(|name| *name < *month);
            return Ok(files.iter().take_while(|path| is_before(path)).count());
        }
    };
    for (index, path) in files.iter().enumerate().rev() {
        let begun = beginning_of(disk, path)?;
        if begun.is_some_and(|begun| begun.end.seq <= size) {
            return Ok(index);
        }
    }
    Ok(0)
}

impl Walked {
    fn file<E: From<AuditFault>>(
        &mut self,
        mut lines: Lines<'_>,
        see: &mut dyn FnMut(Seen<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = lines.path().to_owned();
        self.last_file_bytes = 0;
        for number in 1.. {
            let reason = match lines.next().map_err(at(&path))? {
                Next::End => break,
                Next::Cut(_) => BrokenReason::LineCut,
                Next::Line(bytes) => match self.line(bytes, number) {
                    Ok((line, leaf)) => {
                        self.last_file_bytes += bytes.len() as u64 + 1;
                        see(Seen::Entry {
                            line: &line,
                            leaf,
                            frontier: &self.frontier,
                        })?;
                        continue;
                    }
                    Err(reason) => reason,
                },
            };
            self.first_bad = Some(FirstBad {
                path,
                line: number,
                seq: self.end.seq + 1,
                reason,
            });
            break;
        }
        Ok(())
    }

    /// Checks a line against all before it, and takes it in.
    fn line<'line>(
        &mut self,
        line: &'line [u8],
        number: u64,
    ) -> Result<(Line<'line>, Digest), BrokenReason> {
        let line = Line::parse(line).ok_or(BrokenReason::NoEntry)?;
        let next = self.end.after(line.entry);
        if !line.has_hash(&next.hash) {
            let is_beginning = (number, self.end.seq) == (1, 0);
            return Err(match is_beginning && line.seq > 1 {
                true => BrokenReason::NoBeginning,
                false => BrokenReason::HashDiffers,
            });
        }
        if line.seq != next.seq {
            return Err(BrokenReason::NumberDiffers { found: line.seq });
        }
        if let Some(beginning) = line.beginning() {
            let agrees = beginning.is_some_and(|beginning| {
                beginning.end == self.end && beginning.frontier == self.frontier
            });
            if number != 1 || !agrees {
                return Err(BrokenReason::MonthDiffers);
            }
        }
        let leaf = leaf_hash(line.entry);
        self.frontier.push(leaf);
        self.end = next;
        Ok((line, leaf))
    }
}

/// The first entry of a chain that is not as it was written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("audit entry {seq} in {}, line {line}, is the first that is not as it was written: {reason}", path.display())]
pub struct FirstBad {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The number that the entry should have.
    pub seq: u64,
    /// What is wrong.
    pub reason: BrokenReason,
}

impl BrokenReason {
    /// As `--json` shows it; codes are stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            BrokenReason::LineCut => "LINE_CUT",
            BrokenReason::NoEntry => "NO_ENTRY",
            BrokenReason::HashDiffers => "HASH_DIFFERS",
            BrokenReason::NumberDiffers { .. } => "NUMBER_DIFFERS",
            BrokenReason::MonthDiffers => "MONTH_DIFFERS",
            BrokenReason::NoBeginning => "NO_BEGINNING",
            BrokenReason::RemovedUndecided { .. } => "REMOVED_UNDECIDED",
            BrokenReason::TilesDiffer => "TILES_DIFFER",
        }
    }
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
    /// What a month says of all before it is not what was there, or it says so in the midst of a month.
    #[error("what it says of the entries before its month is not so")]
    MonthDiffers,
    /// The first file neither begins the chain nor says what came before.
    #[error("it does not begin the chain, and does not say what came before")]
    NoBeginning,
    /// The files before it are gone and no entry tells of a decision.
    #[error(
        "the entries up to number {size} are gone, and no entry of the office tells who decided to remove them"
    )]
    RemovedUndecided {
        /// The number of the last one that is gone.
        size: u64,
    },
    /// The tiles of removed months do not lead to the first month that is there.
    #[error("the tiles of the removed months do not lead to what it says of them")]
    TilesDiffer,
}
