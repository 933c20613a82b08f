//! Removes the oldest months of a chain, by decision.
//!
//! First the tiles of what goes are durable, then the entry that tells of the decision, then the files
//! go, the oldest first. Cut off on the way, the rest verifies, and the same call finishes it.

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
    AuditFault, AuditTrail, ChainEnd, at, folder,
    line::Beginning,
    month::{beginning_of, file_name, months},
};

/// What is to be removed, and by whose decision.
#[derive(Clone, Debug)]
pub struct Removal {
    /// From which chain.
    pub chain: Duty,
    /// The last month that goes.
    pub through: JstMonth,
    /// How long entries are kept.
    pub term: TrailTerm,
    /// The salted hash of the decision.
    pub decision: Digest,
    /// Who carries it out.
    pub actor: Actor,
}

/// Removes the months up to the last one that was decided on; gives how many entries are gone since the chain began.
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
    let folder = folder(layout, removal.chain);
    let (going, first_kept) = plan(removal, disk, &folder, now)?;
    let begun = beginning_of(disk, &first_kept)?;
    let begun = begun.ok_or(RemovalFault::NoBeginning { path: first_kept })?;
    if going.is_empty() {
        return Ok(begun.end.seq);
    }
    let size = heads.sign(removal.chain, key)?.head().size;
    let tiles = Tiles::new(disk, layout, removal.chain, size);
    let kept = tiles.frontier_at(begun.end.seq).map_err(at(&folder))?;
    if kept != begun.frontier {
        let (chain, size) = (removal.chain, begun.end.seq);
        return Err(SignFault::Altered { chain, size }.into());
    }
    office.append_all(tell(removal, begun.end, disk, layout)?, now)?;
    for path in going {
        disk.unlink(&path).map_err(at(&path))?;
        // The oldest first, so that what a power cut leaves has no gap.
        disk.sync_folder(&folder).map_err(at(&folder))?;
    }
    Ok(begun.end.seq)
}

/// The files that go, the oldest first, and the first that stays.
fn plan(
    removal: &Removal,
    disk: &dyn Disk,
    folder: &Path,
    now: Timestamp,
) -> Result<(Vec<PathBuf>, PathBuf), RemovalFault> {
    let end = removal.through.end();
    if !removal.term.is_over(end, now) {
        return Err(RemovalFault::TooEarly {
            month: removal.through,
        });
    }
    let mut going = Vec::new();
    for month in months(disk, folder)? {
        let path = folder.join(file_name(&month));
        let is_older = month
            .parse::<JstMonth>()
            .is_ok_and(|month| month.end() <= end);
        match is_older {
            true => going.push(path),
            false => return Ok((going, path)),
        }
    }
    Err(RemovalFault::Newest {
        month: removal.through,
    })
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
    let other = match removal.chain {
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
    Ok([(removal.chain, Some(gone)), (other, gone_before)]
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
    /// No newer month is there.
    #[error("{month} is not older than the newest month of the chain, which always stays")]
    Newest {
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
            RemovalFault::TooEarly { .. }
            | RemovalFault::Newest { .. }
            | RemovalFault::NoBeginning { .. } => Fault::Operator,
            RemovalFault::Audit(fault) => fault.fault(),
            RemovalFault::Sign(fault) => fault.fault(),
        }
    }
}
