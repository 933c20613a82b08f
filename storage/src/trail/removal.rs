//! Removes the oldest months of a chain, by decision.
//!
//! First the tiles of what goes are durable, then the entry that tells of the decision, both by the office; then
//! whoever writes the chain removes the files, the oldest first. Cut off on the way, the rest verifies, and the same call
//! finishes it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rules::{Actor, AuditDraft, AuditEvent, Digest, Fault, JstMonth, TrailTerm};
use thiserror::Error;

use crate::{
    files::Disk,
    heads::{Heads, SignFault},
    layout::Layout,
    lock::Duty,
    signing::SigningKey,
    tiles::Tiles,
};

use super::{
    AuditFault, AuditTrail, ChainEnd, at, entries_gone, folder,
    line::Beginning,
    month::{Lines, Next, beginning_of, file_name, months},
    verify::is_decided,
};

/// The oldest months of a chain, up to one; its newest month always stays.
#[derive(Clone, Copy, Debug)]
pub struct OldMonths {
    /// Of which chain.
    pub chain: Duty,
    /// The last month that goes.
    pub through: JstMonth,
    /// How long entries are kept.
    pub term: TrailTerm,
}

/// What is to be removed, and by whose decision.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Which months.
    pub months: OldMonths,
    /// The salted hash of the decision.
    pub decision: Digest,
    /// Who carries it out.
    pub actor: Actor,
}

/// A month that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldMonth {
    /// Which.
    pub month: JstMonth,
    /// How many entries it has.
    pub entries: u64,
    /// Its length.
    pub bytes: u64,
}

/// Removes the months that were decided on; gives how many entries are gone since the chain began.
///
/// # Errors
/// [`RemovalFault`]; nothing is removed unless the entry that tells of it is durable.
pub fn remove_months(
    removal: &Removal,
    heads: &Heads,
    key: &SigningKey,
    office: &mut AuditTrail,
    now: Timestamp,
) -> Result<u64, RemovalFault> {
    let (disk, layout) = (heads.disk(), heads.layout());
    if let Some(announced) = announce_removal(removal, heads, key, office, now)? {
        unlink_months(announced, disk, layout, now)?;
    }
    Ok(entries_gone(disk, layout, removal.months.chain)?)
}

/// The office's part, which it does for either chain: tiles and the entry that tells of the decision are durable, once.
///
/// # Returns
/// The months that may go, to the last of them; a month that begins meanwhile lets no other go. `None` where none does.
///
/// # Errors
/// [`RemovalFault`]; then no file may go.
pub fn announce_removal(
    removal: &Removal,
    heads: &Heads,
    key: &SigningKey,
    office: &mut AuditTrail,
    now: Timestamp,
) -> Result<Option<OldMonths>, RemovalFault> {
    let (disk, layout) = (heads.disk(), heads.layout());
    let chain = removal.months.chain;
    let folder = folder(layout, chain);
    let Some(Planned { last, begun, .. }) = plan(removal.months, disk, &folder, now)? else {
        return Ok(None);
    };
    let size = heads.sign(chain, key)?.head().size;
    let tiles = Tiles::new(disk, layout, chain, size);
    let kept = tiles.frontier_at(begun.end.seq).map_err(at(&folder))?;
    if kept != begun.frontier {
        let size = begun.end.seq;
        return Err(SignFault::Altered { chain, size }.into());
    }
    if !is_decided(disk, layout, chain, begun.end)? {
        office.append_all(tell(removal, begun.end, disk, layout)?, now)?;
    }
    let through = last;
    Ok(Some(OldMonths {
        through,
        ..removal.months
    }))
}

/// The part of whoever writes the chain: the files go, the oldest first.
///
/// # Errors
/// [`RemovalFault`]; what is left has no gap, and the same call goes on.
pub fn unlink_months(
    months: OldMonths,
    disk: &dyn Disk,
    layout: &Layout,
    now: Timestamp,
) -> Result<(), RemovalFault> {
    let folder = folder(layout, months.chain);
    let planned = plan(months, disk, &folder, now)?;
    for path in planned.into_iter().flat_map(|planned| planned.going) {
        disk.unlink(&path).map_err(at(&path))?;
        // The oldest first, so that what a power cut leaves has no gap.
        disk.sync_folder(&folder).map_err(at(&folder))?;
    }
    Ok(())
}

/// What would go, the oldest month first.
///
/// # Errors
/// [`RemovalFault`]: these months may not go, or cannot be read.
pub fn plan_removal(
    months: OldMonths,
    disk: &dyn Disk,
    layout: &Layout,
    now: Timestamp,
) -> Result<Vec<OldMonth>, RemovalFault> {
    let folder = folder(layout, months.chain);
    let planned = plan(months, disk, &folder, now)?;
    let going = planned.map_or_else(Vec::new, |planned| planned.going);
    let measured = going.iter().map(|path| measure(disk, path));
    measured
        .collect::<Result<_, _>>()
        .map_err(RemovalFault::from)
}

fn measure(disk: &dyn Disk, path: &Path) -> Result<OldMonth, AuditFault> {
    let mut lines = Lines::open(disk, path.to_owned());
    let mut entries = 0;
    while let Next::Line(_) = lines.next().map_err(at(path))? {
        entries += 1;
    }
    let month = month_of(path).ok_or_else(|| AuditFault::Damaged {
        path: path.to_owned(),
    })?;
    Ok(OldMonth {
        month,
        entries,
        bytes: disk.len(path).map_err(at(path))?,
    })
}

fn month_of(path: &Path) -> Option<JstMonth> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The files that go, the oldest first, the last month of them, and what the first that stays says of all before it.
struct Planned {
    going: Vec<PathBuf>,
    last: JstMonth,
    begun: Beginning,
}

/// `None` where nothing goes.
fn plan(
    OldMonths { through, term, .. }: OldMonths,
    disk: &dyn Disk,
    folder: &Path,
    now: Timestamp,
) -> Result<Option<Planned>, RemovalFault> {
    let end = through.end();
    if !term.is_over(end, now) {
        return Err(RemovalFault::TooEarly { month: through });
    }
    let months = months(disk, folder)?;
    let paths: Vec<PathBuf> = months
        .iter()
        .map(|month| folder.join(file_name(month)))
        .collect();
    let is_old = |path: &PathBuf| month_of(path).is_some_and(|month| month.end() <= end);
    let old = paths.iter().take_while(|path| is_old(path)).count();
    let (going, kept) = paths.split_at(old.min(paths.len().saturating_sub(1)));
    let (Some(last), Some(first_kept)) =
        (going.last().and_then(|path| month_of(path)), kept.first())
    else {
        return Ok(None);
    };
    let begun = beginning_of(disk, first_kept)?;
    let begun = begun.ok_or_else(|| RemovalFault::NoBeginning {
        path: first_kept.clone(),
    })?;
    Ok(Some(Planned {
        going: going.to_vec(),
        last,
        begun,
    }))
}

/// The entries that tell of it: this removal, and what of the other chain is gone already, so that
/// each stands in a month that is kept as long as this one.
fn tell(
    removal: &Removal,
    gone: ChainEnd,
    disk: &dyn Disk,
    layout: &Layout,
) -> Result<Vec<AuditDraft>, AuditFault> {
    let draft = |chain: Duty, gone: ChainEnd| AuditDraft {
        actor: removal.actor.clone(),
        event: AuditEvent::MonthsRemoved {
            chain: chain.chain(),
            size: gone.seq,
            chain_hash: gone.hash,
            decision: removal.decision,
        },
    };
    let other = match removal.months.chain {
        Duty::Calls => Duty::Office,
        Duty::Office => Duty::Calls,
    };
    let others = folder(layout, other);
    let first = months(disk, &others)?.into_iter().next();
    let begun = match first {
        Some(month) => beginning_of(disk, &others.join(file_name(&month)))?,
        None => None,
    };
    let gone_before = begun
        .map(|Beginning { end, .. }| end)
        .filter(|end| end.seq > 0);
    Ok([(removal.months.chain, Some(gone)), (other, gone_before)]
        .into_iter()
        .filter_map(|(chain, gone)| gone.map(|gone| draft(chain, gone)))
        .collect())
}

/// Why months stay.
#[derive(Debug, Error)]
pub enum RemovalFault {
    /// The term is not over.
    #[error("the term of {month} is not over; its entries stay")]
    TooEarly {
        /// The last month that was to go.
        month: JstMonth,
    },
    /// The first month that would stay does not say what came before it.
    #[error("{} was written by the first version and does not say what came before it; it is no first month", path.display())]
    NoBeginning {
        /// The file.
        path: PathBuf,
    },
    /// The trail cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// No head of what goes.
    #[error(transparent)]
    Sign(#[from] SignFault),
}

impl RemovalFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            RemovalFault::TooEarly { .. } | RemovalFault::NoBeginning { .. } => Fault::Operator,
            RemovalFault::Audit(fault) => fault.fault(),
            RemovalFault::Sign(fault) => fault.fault(),
        }
    }
}
