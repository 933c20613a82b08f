//! Verification: what an outsider can know of a chain, with the heads that he kept.

use rules::{AuditEntry, AuditEvent};

use crate::{
    files::Disk, head::Head, heads::last_head, layout::Layout, lock::Duty, signing::verifier_keys,
    tiles::Tiles, tree::Frontier,
};

use super::{AuditFault, BrokenReason, ChainEnd, FirstBad, Seen, Start, read::removals, walk};

/// What verification found of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Whose chain.
    pub chain: Duty,
    /// Entries of removed months.
    pub removed: u64,
    /// The last entry that is as it was written.
    pub end: ChainEnd,
    /// The head of the tree up to it.
    pub head: Head,
    /// The first entry that is not.
    pub first_bad: Option<FirstBad>,
    /// What the given heads say.
    pub anchored: Anchored,
    /// What the last head says that was signed here.
    pub signed_here: SignedHere,
}

/// What the last head that the office signed says of a chain. It lies beside the entries, so it shows only what somebody forgot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedHere {
    /// Nothing was signed here yet.
    Nothing,
    /// The entries lead through it.
    Agrees {
        /// Its size.
        size: u64,
    },
    /// They do not: some were changed, or are gone.
    Differs {
        /// Its size.
        size: u64,
    },
    /// It is no head that was signed here.
    Spoilt,
}

/// What heads that were kept outside say of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchored {
    /// None was given: a chain that was shortened or written anew is whole in itself.
    None,
    /// Some were given.
    Heads {
        /// The size of the last one that agrees.
        last_agreeing: Option<u64>,
        /// The size of the first one that does not.
        first_disagreeing: Option<u64>,
    },
}

impl Anchored {
    /// Whether none of the heads disagrees.
    #[must_use]
    pub fn agree(&self) -> bool {
        !matches!(
            self,
            Anchored::Heads {
                first_disagreeing: Some(_),
                ..
            }
        )
    }
}

impl ChainReport {
    /// How many entries are there.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.end.seq - self.removed
    }

    /// Whether every entry is as it was written, as far as anybody can know here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first_bad.is_none() && self.anchored.agree() && self.leads_on()
    }

    /// Whether the entries lead through the last head that was signed here, as far as there is one.
    #[must_use]
    pub fn leads_on(&self) -> bool {
        matches!(
            self.signed_here,
            SignedHere::Nothing | SignedHere::Agrees { .. }
        )
    }
}

/// Goes through a chain from its first file to its last entry, and compares it with heads. The
/// signatures of the heads were verified by whoever read them.
///
/// # Errors
/// [`AuditFault::Disk`]; what is wrong with entries stands in the report.
pub fn verify(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    heads: &[Head],
) -> Result<ChainReport, AuditFault> {
    let last = last_here(disk, layout, chain);
    let mut here = Anchors::new(chain, last.iter().flatten());
    let mut anchors = Anchors::new(chain, heads.iter());
    let mut begun = Frontier::empty();
    let mut removed_heads = Vec::new();
    let walked = walk(disk, layout, chain, Start::First, &mut |seen| {
        if let Seen::Beginning(frontier) = seen {
            begun = frontier.clone();
            removed_heads = anchors.before(frontier.size());
        }
        anchors.meet(seen.frontier());
        here.meet(seen.frontier());
        Ok::<(), AuditFault>(())
    })?;
    let mut first_bad = walked.first_bad.clone();
    if walked.before.seq > 0 {
        let tiles = joined_tiles(disk, layout, chain, &begun);
        for head in removed_heads {
            let tree = tiles
                .as_ref()
                .and_then(|tiles| tiles.frontier_at(head.size).ok());
            anchors.judge(head, tree.is_some_and(|tree| tree.root() == head.root));
        }
        let reason = match tiles {
            None => Some(BrokenReason::TilesDiffer),
            Some(_) => None,
        };
        let reason = match is_decided(disk, layout, chain, walked.before)? {
            true => reason,
            false => Some(BrokenReason::RemovedUndecided { size: begun.size() }),
        };
        first_bad = reason
            .map(|reason| walked.bad_beginning(reason))
            .or(first_bad);
    }
    Ok(ChainReport {
        chain,
        removed: walked.before.seq,
        end: walked.end,
        head: Head {
            chain,
            size: walked.end.seq,
            root: walked.frontier.root(),
        },
        first_bad,
        anchored: anchors.anchored(),
        signed_here: match (last, here.anchored()) {
            (Err(spoilt), _) => spoilt,
            (Ok(None), _) => SignedHere::Nothing,
            (Ok(Some(Head { size, .. })), anchored) => match anchored.agree() {
                true => SignedHere::Agrees { size },
                false => SignedHere::Differs { size },
            },
        },
    })
}

/// The last head that was signed here.
fn last_here(disk: &dyn Disk, layout: &Layout, chain: Duty) -> Result<Option<Head>, SignedHere> {
    let keys = verifier_keys(disk, layout).map_err(|_| SignedHere::Spoilt)?;
    // Where no key lies beside it, as in a copy, nobody can say whose it is.
    if keys.is_empty() {
        return Ok(None);
    }
    let last = last_head(disk, layout, chain, &keys).map_err(|_| SignedHere::Spoilt)?;
    Ok(last.map(|last| last.head()))
}

/// The tiles of removed entries, if they lead to the first month that is there.
fn joined_tiles<'disk>(
    disk: &'disk dyn Disk,
    layout: &Layout,
    chain: Duty,
    begun: &Frontier,
) -> Option<Tiles<'disk>> {
    let keys = verifier_keys(disk, layout).ok()?;
    let last = last_head(disk, layout, chain, &keys).ok()??.head();
    let tiles = Tiles::new(disk, layout, chain, last.size);
    let is_joined = tiles.frontier_at(begun.size()).ok()? == *begun;
    is_joined.then_some(tiles)
}

/// Whether the office's chain tells who decided that these entries go.
pub(super) fn is_decided(
    disk: &dyn Disk,
    layout: &Layout,
    removed_from: Duty,
    before: ChainEnd,
) -> Result<bool, AuditFault> {
    let is_told = |entry: &AuditEntry| match &entry.event {
        AuditEvent::MonthsRemoved {
            chain,
            size,
            chain_hash,
            ..
        } => {
            // A removal that was cut off on its way has taken fewer than was decided.
            let is_told = *size > before.seq || (*size, *chain_hash) == (before.seq, before.hash);
            *chain == removed_from.chain() && is_told
        }
        _ => false,
    };
    Ok(removals(disk, layout)?.iter().any(is_told))
}

/// The given heads of a chain, each compared where the chain has its size.
struct Anchors {
    /// Those that were not reached, the smallest last.
    waiting: Vec<Head>,
    is_given: bool,
    last_agreeing: Option<u64>,
    first_disagreeing: Option<u64>,
}

impl Anchors {
    fn new<'heads>(chain: Duty, heads: impl Iterator<Item = &'heads Head>) -> Anchors {
        let mut waiting: Vec<Head> = heads.filter(|head| head.chain == chain).copied().collect();
        waiting.sort_by_key(|head| std::cmp::Reverse(head.size));
        Anchors {
            is_given: !waiting.is_empty(),
            waiting,
            last_agreeing: None,
            first_disagreeing: None,
        }
    }

    /// Takes out the heads of trees smaller than this.
    fn before(&mut self, size: u64) -> Vec<Head> {
        std::iter::from_fn(|| self.waiting.pop_if(|head| head.size < size)).collect()
    }

    fn meet(&mut self, tree: &Frontier) {
        while let Some(head) = self.waiting.pop_if(|head| head.size == tree.size()) {
            self.judge(head, head.root == tree.root());
        }
    }

    fn judge(&mut self, head: Head, agrees: bool) {
        match agrees {
            true => self.last_agreeing = self.last_agreeing.max(Some(head.size)),
            false => {
                let first = self.first_disagreeing.unwrap_or(head.size);
                self.first_disagreeing = Some(first.min(head.size));
            }
        }
    }

    /// What is still waiting tells of entries that are gone.
    fn anchored(mut self) -> Anchored {
        for head in std::mem::take(&mut self.waiting) {
            self.judge(head, false);
        }
        match self.is_given {
            false => Anchored::None,
            true => Anchored::Heads {
                last_agreeing: self.last_agreeing,
                first_disagreeing: self.first_disagreeing,
            },
        }
    }
}
