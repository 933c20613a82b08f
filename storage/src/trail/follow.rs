//! What a chain says behind an entry that is known. What came before was looked at then, and is looked at by `verify` whenever somebody asks.

use crate::{files::Disk, layout::Layout, lock::Duty};

use super::{
    AuditFault, BrokenReason, ChainEnd, FirstBad, at, folder,
    line::Line,
    month::{Lines, Next, file_name, months},
    walk::{Start, first_file},
};

/// What was found behind a known entry.
#[derive(Debug)]
pub(crate) struct Followed {
    /// The last entry that is as it was written.
    pub(crate) end: ChainEnd,
    /// Whether the known entry was met, or one that follows from it.
    pub(crate) is_met: bool,
    /// The first entry behind it that is not as it was written.
    pub(crate) first_bad: Option<FirstBad>,
}

/// Goes through the entries that follow from a known one, up to the chain's end or the first bad entry among them.
///
/// # Errors
/// [`AuditFault::Disk`], or what `see` says; a bad entry is no error.
pub(crate) fn follow<E: From<AuditFault>>(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    known: ChainEnd,
    see: &mut dyn FnMut(&Line<'_>) -> Result<(), E>,
) -> Result<Followed, E> {
    let folder = folder(layout, chain);
    let months = months(disk, &folder)?;
    let files = months.iter().map(|month| folder.join(file_name(month)));
    let files: Vec<_> = files.collect();
    let mut followed = Followed {
        end: known,
        is_met: false,
        first_bad: None,
    };
    for path in &files[first_file(disk, &files, Start::Size(known.seq))?..] {
        let mut lines = Lines::open(disk, path.clone());
        for number in 1.. {
            let reason = match lines.next().map_err(at(path))? {
                Next::End => break,
                Next::Cut(_) => BrokenReason::LineCut,
                Next::Line(bytes) => match followed.line(known, bytes) {
                    Ok(Some(line)) => {
                        see(&line)?;
                        continue;
                    }
                    Ok(None) => continue,
                    Err(reason) => reason,
                },
            };
            if followed.is_met {
                followed.first_bad = Some(FirstBad {
                    path: path.clone(),
                    line: number,
                    seq: followed.end.seq + 1,
                    reason,
                });
                return Ok(followed);
            }
        }
    }
    Ok(followed)
}

impl Followed {
    /// Takes in a line that follows. Before the known entry is met, another line is none of ours, whatever became of it.
    fn line<'line>(
        &mut self,
        known: ChainEnd,
        bytes: &'line [u8],
    ) -> Result<Option<Line<'line>>, BrokenReason> {
        let line = Line::parse(bytes);
        let following = line.filter(|line| {
            let next = self.end.after(line.entry);
            line.has_hash(&next.hash) && line.seq == next.seq
        });
        if let Some(line) = following {
            self.end = self.end.after(line.entry);
            self.is_met = true;
            return Ok(Some(line));
        }
        if self.is_met {
            return Err(match Line::parse(bytes) {
                Some(_) => BrokenReason::HashDiffers,
                None => BrokenReason::NoEntry,
            });
        }
        self.is_met = Line::parse(bytes).and_then(|line| line.end()) == Some(known);
        Ok(None)
    }
}
