//! The register against the office's trail, which is right: what the trail has and the register lacks is taken up, what differs refuses.
//!
//! An entry is durable before its row (docs/decisions/0011), so a crash, an old copy of the database or a lost one leaves entries without rows.
//! How far both were compared lies in the database itself. Start at [`Catalogue::register`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rules::{AuditEntry, AuditEvent, Digest, Fault, Recorded, Register};
use sqlx::{Connection, Row as _, SqliteConnection, sqlite::SqliteRow};
use thiserror::Error;

use super::{
    ahead::{adopt, forget_ahead},
    insert_fact, recorded,
};
use crate::{
    catalogue::{Catalogue, CatalogueFault, RegisterState, parse},
    files::Disk,
    layout::Layout,
    lock::Duty,
    secret::sha256,
    trail::{AuditFault, ChainEnd, Followed, Line, Seen, Start, entries_gone, follow, walk},
};

/// What a comparison of the whole register with the whole trail found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Facts of the register.
    pub facts: u64,
    /// Facts of the trail that the next start takes up.
    pub lacking: u64,
}

/// How far register and trail were compared.
struct Mark {
    end: ChainEnd,
    /// Over the rows up to there.
    facts: Digest,
}

/// A row of the register.
struct KeptFact {
    seq: u64,
    /// `None`: not as this program writes it.
    recorded: Option<Recorded>,
    /// Over this row and all before it.
    digest: Digest,
}

/// What the trail says from a place on.
struct Told {
    end: ChainEnd,
    facts: BTreeMap<u64, Recorded>,
}

impl Catalogue {
    /// The register as it stands. The first time after the database was opened it is compared with the trail before; from then
    /// on [`Catalogue::record`] takes each new fact in, and a row that somebody else writes or changes counts for nothing.
    ///
    /// # Errors
    /// [`CatalogueFault`] if database or trail cannot be read, or they contradict each other; nothing is allowed by a register that has a hole.
    pub async fn register(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<Arc<Register>, CatalogueFault> {
        let register = match self.register_state() {
            RegisterState::Compared(register) => Arc::clone(register),
            RegisterState::Unread => self.compare(disk, layout).await?,
        };
        let is_lost = !register.is_founded() && entries_gone(disk, layout, Duty::Office)? > 0;
        Ok(match is_lost {
            true => Arc::new(Register::without_its_beginning()),
            false => register,
        })
    }

    /// The register as the database alone has it, for whoever only shows it.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn recorded_register(&mut self) -> Result<Register, CatalogueFault> {
        let facts = self.kept_facts().await?;
        Ok(fold(facts)?)
    }

    /// Takes up what the trail has and the register lacks, from the place on up to which they were compared.
    ///
    /// # Returns
    /// The register after that.
    ///
    /// # Errors
    /// As [`Catalogue::register`]; then nothing is taken up, and the next reader of the register compares again.
    pub async fn compare(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<Arc<Register>, CatalogueFault> {
        *self.register_state() = RegisterState::Unread;
        let kept = self.kept_facts().await?;
        let from = self.compared_up_to(disk, layout, &kept).await?;
        let told = tell(disk, layout, from)?;
        let young = kept.iter().filter(|fact| fact.seq > from.seq);
        let lacking = told.lacking(young)?;
        let taken = take_up(self.connection(), &told, &lacking).await;
        taken.map_err(|source| self.fault(source))?;
        let kept = self.kept_facts().await?;
        self.keep_mark(&Mark::over(told.end, &kept)).await?;
        let register = Arc::new(fold(kept)?);
        *self.register_state() = RegisterState::Compared(Arc::clone(&register));
        Ok(register)
    }

    /// Compares the whole register with the whole trail, and changes nothing.
    ///
    /// # Errors
    /// As [`Catalogue::register`].
    pub async fn compare_whole(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<Compared, CatalogueFault> {
        let kept = self.kept_facts().await?;
        self.compared_up_to(disk, layout, &kept).await?;
        let gone = entries_gone(disk, layout, Duty::Office)?;
        let told = tell(disk, layout, ChainEnd::origin(Duty::Office))?;
        let there = kept.iter().filter(|fact| fact.seq > gone);
        Ok(Compared {
            facts: kept.len() as u64,
            lacking: told.lacking(there)?.len() as u64,
        })
    }

    /// Where the rows begin for which nothing vouches but the trail.
    async fn compared_up_to(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
        kept: &[KeptFact],
    ) -> Result<ChainEnd, CatalogueFault> {
        // A mark over no row vouches for nothing, and may be of a trail that a restore replaced.
        let is_of_rows = |mark: &Mark| !kept.is_empty() && mark.is_over(kept);
        let mark = self.mark().await?.filter(is_of_rows);
        let from = mark.map_or_else(|| ChainEnd::origin(Duty::Office), |mark| mark.end);
        let before = entries_gone(disk, layout, Duty::Office)?;
        // Without any row nothing can be revived: a designation never outlives its own withdrawal, which is younger.
        match before > from.seq && !kept.is_empty() {
            true => Err(RegisterMismatch::EntriesGone { before }.into()),
            false => Ok(from),
        }
    }

    /// Everything recorded, in the order of the trail.
    async fn kept_facts(&mut self) -> Result<Vec<KeptFact>, CatalogueFault> {
        let rows =
            sqlx::query("SELECT at, actor, fact, audit_seq FROM register ORDER BY audit_seq")
                .fetch_all(self.connection())
                .await;
        let rows = rows.map_err(|source| self.fault(source))?;
        let mut digest = Digest([0; 32]);
        rows.iter()
            .map(|row| KeptFact::read(row, &mut digest))
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))
    }

    async fn mark(&mut self) -> Result<Option<Mark>, CatalogueFault> {
        let found = sqlx::query("SELECT audit_seq, chain_hash, facts FROM register_compared")
            .fetch_optional(self.connection())
            .await;
        let read = |row: SqliteRow| -> Result<Mark, sqlx::Error> {
            Ok(Mark {
                end: ChainEnd {
                    seq: row.try_get::<i64, _>(0)?.unsigned_abs(),
                    hash: parse(row.try_get(1)?, "chain_hash")?,
                },
                facts: parse(row.try_get(2)?, "facts")?,
            })
        };
        found
            .and_then(|row| row.map(read).transpose())
            .map_err(|source| self.fault(source))
    }

    async fn keep_mark(&mut self, mark: &Mark) -> Result<(), CatalogueFault> {
        self.execute(
            sqlx::query("INSERT INTO register_compared (one, audit_seq, chain_hash, facts) VALUES (1, ?, ?, ?)
                 ON CONFLICT (one) DO UPDATE SET audit_seq = excluded.audit_seq, chain_hash = excluded.chain_hash, facts = excluded.facts")
                .bind(i64::try_from(mark.end.seq).unwrap_or(i64::MAX))
                .bind(mark.end.hash.to_string())
                .bind(mark.facts.to_string()),
        )
        .await
    }
}

impl Mark {
    fn over(end: ChainEnd, kept: &[KeptFact]) -> Mark {
        let last = kept.iter().rev().find(|fact| fact.seq <= end.seq);
        Mark {
            end,
            facts: last.map_or(Digest([0; 32]), |fact| fact.digest),
        }
    }

    /// Whether the rows up to the mark are those over which it was made; else all are compared again.
    fn is_over(&self, kept: &[KeptFact]) -> bool {
        Mark::over(self.end, kept).facts == self.facts
    }
}

impl KeptFact {
    /// `digest`: over all rows before it; then over this one too.
    fn read(row: &SqliteRow, digest: &mut Digest) -> Result<KeptFact, sqlx::Error> {
        let (at, actor, fact): (i64, &str, &str) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let seq = row.try_get::<i64, _>(3)?.unsigned_abs();
        *digest = Digest(sha256(&[
            &digest.0,
            &seq.to_le_bytes(),
            &at.to_le_bytes(),
            &(actor.len() as u64).to_le_bytes(),
            actor.as_bytes(),
            fact.as_bytes(),
        ]));
        Ok(KeptFact {
            seq,
            recorded: recorded(row).ok(),
            digest: *digest,
        })
    }
}

/// What holds after these facts.
fn fold(facts: Vec<KeptFact>) -> Result<Register, RegisterMismatch> {
    let read = |fact: KeptFact| {
        let seq = fact.seq;
        fact.recorded.ok_or(RegisterMismatch::RowDiffers { seq })
    };
    let recorded: Result<Vec<_>, _> = facts.into_iter().map(read).collect();
    Ok(Register::of(recorded?))
}

/// Reads what the trail says behind `from`, and looks that this is the trail that was compared. What is damaged before it, was as it was
/// written when it was compared; `audit verify` names it.
fn tell(disk: &dyn Disk, layout: &Layout, from: ChainEnd) -> Result<Told, CatalogueFault> {
    let mut facts = BTreeMap::new();
    let mut take = |line: &Line<'_>| {
        if line.tells_of_fact() {
            let seq = line.seq;
            let entry = line.read().ok_or(RegisterMismatch::Unread { seq })?;
            facts.extend(recorded_by(entry).map(|recorded| (seq, recorded)));
        }
        Ok::<(), CatalogueFault>(())
    };
    let Followed {
        end,
        is_met,
        first_bad,
    } = match from.seq {
        0 => whole(disk, layout, &mut take)?,
        _ => follow(disk, layout, Duty::Office, from, &mut take)?,
    };
    if let Some(bad) = first_bad {
        return Err(AuditFault::from(bad).into());
    }
    match is_met {
        true => Ok(Told { end, facts }),
        false => Err(RegisterMismatch::OtherTrail { seq: from.seq }.into()),
    }
}

/// Of a trail that was compared with nothing yet.
fn whole(
    disk: &dyn Disk,
    layout: &Layout,
    take: &mut dyn FnMut(&Line<'_>) -> Result<(), CatalogueFault>,
) -> Result<Followed, CatalogueFault> {
    let walked = walk(
        disk,
        layout,
        Duty::Office,
        Start::First,
        &mut |seen| match seen {
            Seen::Entry { line, .. } => take(line),
            Seen::Beginning(_) => Ok(()),
        },
    )?;
    Ok(Followed {
        end: walked.end,
        is_met: true,
        first_bad: walked.first_bad,
    })
}

fn recorded_by(entry: AuditEntry) -> Option<Recorded> {
    match entry.event {
        AuditEvent::Registered { change, .. } => Some(Recorded {
            at: entry.at,
            by: entry.actor,
            fact: change,
        }),
        _ => None,
    }
}

impl Told {
    /// The numbers of the facts that these rows lack.
    fn lacking<'kept>(
        &self,
        kept: impl Iterator<Item = &'kept KeptFact>,
    ) -> Result<BTreeSet<u64>, RegisterMismatch> {
        let mut lacking: BTreeSet<u64> = self.facts.keys().copied().collect();
        for fact in kept {
            let seq = fact.seq;
            let told = self.facts.get(&seq);
            let told = told.ok_or(RegisterMismatch::NoEntry { seq })?;
            if fact.recorded.as_ref() != Some(told) {
                return Err(RegisterMismatch::RowDiffers { seq });
            }
            lacking.remove(&seq);
        }
        Ok(lacking)
    }
}

async fn take_up(
    connection: &mut SqliteConnection,
    told: &Told,
    lacking: &BTreeSet<u64>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (seq, recorded) in &told.facts {
        if lacking.contains(seq) {
            insert_fact(&mut transaction, *seq, recorded).await?;
            adopt(&mut transaction, &recorded.by, &recorded.fact).await?;
        }
    }
    forget_ahead(&mut transaction).await?;
    transaction.commit().await
}

/// Where register and trail contradict each other.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RegisterMismatch {
    /// The row is not what the entry says.
    #[error(
        "row audit_seq {seq} of the register is not what entry {seq} of the office's trail says; find out who changed it, delete that row, and the office takes it up from the trail"
    )]
    RowDiffers {
        /// The number of both.
        seq: u64,
    },
    /// No entry says what the row says.
    #[error(
        "no entry of the office's trail stands for row audit_seq {seq} of the register; find out who wrote it and delete that row, or put the trail back that belongs to it"
    )]
    NoEntry {
        /// The number that the row names.
        seq: u64,
    },
    /// The register was compared with another trail, or with a longer one.
    #[error(
        "entry {seq} of the office's trail is not the one with which the register was compared; put the trail back that belongs to this catalogue"
    )]
    OtherTrail {
        /// The number of the entry.
        seq: u64,
    },
    /// The register is older than the first month that is there.
    #[error(
        "the register is older than entry {before} of the office's trail, and what was before is removed; put a younger catalogue back"
    )]
    EntriesGone {
        /// The number of the last one that is gone.
        before: u64,
    },
    /// The entry holds a fact that this program does not know.
    #[error(
        "entry {seq} of the office's trail holds a fact that this denwaban does not know; use the one that wrote it"
    )]
    Unread {
        /// Its number.
        seq: u64,
    },
}

impl RegisterMismatch {
    /// The operator's.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault::Operator
    }
}
