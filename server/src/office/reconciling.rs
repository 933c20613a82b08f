//! Reconciliation as the office does it: soon after its start, each night, and when somebody asks (K-06).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use rules::{
    AlarmCode, AuditDraft, AuditEvent, CountedDays, DayCounts, Discrepancy, JstDay, Reconciled,
    counted_from,
};
use storage::{
    Catalogue, Duty, ReconcileFault, days_to_reconcile, read_entries, read_months, reconcile_day,
};

use super::owner::Owner;
use crate::duty::{Answer, Ending, Message};

/// A start has other things to do first, and a command that does the office's duty in its absence is over by then.
pub(super) const FIRST: Duration = Duration::from_secs(10);
/// Midnight's calls have their rows by then.
const AFTER_MIDNIGHT: SignedDuration = SignedDuration::from_mins(10);
/// When days are tried again that could not be read.
const UNREAD_AGAIN: Duration = Duration::from_secs(3_600);
/// How long one look may take, so that commands wait for no more than a day's rows.
const A_LOOK: Duration = Duration::from_millis(200);

/// The office's own round through the days.
pub(super) struct Round {
    begins: Instant,
    /// The night for which it was begun.
    night: Option<JstDay>,
    /// What is left of it.
    days: BTreeSet<JstDay>,
    /// What it has found so far.
    comparison: Comparison,
}

impl Round {
    pub(super) fn new() -> Round {
        Round {
            begins: Instant::now() + FIRST,
            night: None,
            days: BTreeSet::new(),
            comparison: Comparison::default(),
        }
    }
}

/// What the office's trail tells of days, and how far it was read.
#[derive(Default)]
pub(super) struct TrailOfDays {
    days: CountedDays,
    /// The last entry that was read; 0 before the first.
    read_to: u64,
}

impl Owner {
    /// Goes on with the round, and begins the next when its night has come.
    pub(super) async fn look_after_reconciliation(&mut self) {
        let now = Timestamp::now();
        let night = JstDay::of(now - AFTER_MIDNIGHT);
        if Instant::now() < self.round.begins {
            return;
        }
        if self.round.night != Some(night) {
            let Ok(days) = self.days_to_reconcile().await else {
                return;
            };
            self.round = Round {
                night: Some(night),
                days,
                ..Round::new()
            };
            self.round.begins = Instant::now();
        }
        let begun = Instant::now();
        while begun.elapsed() < A_LOOK
            && let Some(day) = self.round.days.pop_first()
        {
            self.go_on_with(day, now).await;
            if self.round.days.is_empty() {
                self.end_round();
            }
        }
    }

    /// Compares one day of the round; one that cannot be read keeps no other waiting.
    async fn go_on_with(&mut self, day: JstDay, now: Timestamp) {
        let compared = Answer::of(self.reconcile_day(day).await);
        if let Answer::Done(reconciled) = &compared {
            for discrepancy in reconciled.discrepancies.iter().take(MOST_LOGGED) {
                tracing::error!(%day, ?discrepancy, "a call has neither recording nor reason, a row or a file lacks the other, a recording is not whole, or a day is not what it had counted");
            }
            // What a restore has still to bring may turn out not to be there.
            if counted_from(day.next()) <= now && reconciled.counts.awaited == 0 {
                self.count_day(day, reconciled.counts.clone()).await;
            }
        }
        self.round.comparison.add(day, compared);
    }

    /// Tells what all days came to; those that could not be read are tried again.
    fn end_round(&mut self) {
        let mut comparison = std::mem::take(&mut self.round.comparison);
        self.tell_of_reconciliation(&comparison);
        let unread = std::mem::take(&mut comparison.unread);
        if unread.is_empty() {
            return;
        }
        for (day, fault) in &unread {
            tracing::error!(%day, fault, "a day cannot be compared; the others are");
        }
        self.round.begins = Instant::now() + UNREAD_AGAIN;
        self.round.days = unread.into_keys().collect();
        self.round.comparison = comparison;
    }

    /// Raises the alarm once, and takes it back when everything has its counterpart again.
    pub(super) fn tell_of_reconciliation(&mut self, comparison: &Comparison) {
        let code = AlarmCode::Unreconciled;
        let is_explained = comparison.is_explained();
        if !is_explained && !self.is_told(code) {
            self.audit(AuditDraft::system(AuditEvent::alarm(code)));
        }
        let outcome = match is_explained {
            true => Ok(()),
            false => Err(
                "calls, rows, files and trail do not match, or a day cannot be read; `denwaban reconcile` names them",
            ),
        };
        self.note(code, outcome);
    }

    /// Counts the days that are about to be destroyed and were not counted yet, because they are kept no longer than a day or nobody was there.
    ///
    /// # Errors
    /// Of the last that could not be counted; the others are.
    pub(super) async fn count_expired_days(&mut self, now: Timestamp) -> Result<(), Ending> {
        let mut outcome = Ok(());
        for day in self.days_to_reconcile().await? {
            let expiry = self.vault.fixed_expiry(day).ok().flatten();
            if expiry.is_some_and(|expiry| expiry <= now) && !self.is_counted(day).await? {
                match self.reconcile_day(day).await {
                    Ok(reconciled) => self.count_day(day, reconciled.counts).await,
                    Err(ending) => outcome = Err(ending),
                }
            }
        }
        outcome
    }

    async fn is_counted(&mut self, day: JstDay) -> Result<bool, Ending> {
        let counts = self
            .rows(async |catalogue| catalogue.day_counts(day).await)
            .await?;
        Ok(counts.is_some())
    }

    /// Keeps what an ended day came to, once, for the statements of the time when its rows are gone.
    async fn count_day(&mut self, day: JstDay, counts: DayCounts) {
        if !matches!(self.is_counted(day).await, Ok(false)) {
            return;
        }
        let event = AuditEvent::DayCounted {
            day,
            counts: counts.clone(),
        };
        if self.audit(AuditDraft::system(event)).is_some() {
            // What is not kept is counted again by the next round; the first entry of a day is the one that counts.
            let _ = self
                .rows(async |catalogue| catalogue.keep_day_counts(day, &counts).await)
                .await;
        }
    }

    pub(super) async fn days_to_reconcile(&mut self) -> Result<BTreeSet<JstDay>, Ending> {
        let now = Timestamp::now();
        // Where the trail cannot be read, what was read of it before stands; days that rest on more are unread.
        let _ = self.read_trail_of_days(now);
        let vault = std::sync::Arc::clone(&self.vault);
        let told = self.trail_of_days.days.clone();
        self.compare(async |catalogue| days_to_reconcile(catalogue, &vault, &told, now).await)
            .await
    }

    pub(super) async fn reconcile_day(&mut self, day: JstDay) -> Result<Reconciled, Ending> {
        let now = Timestamp::now();
        if self.trail_of_days.read_to == 0 {
            self.read_trail_of_days(now)?;
        }
        let reconciled = self.compare_day(day, now).await?;
        // What was written since the round began may explain it.
        let rests_on_trail = reconciled
            .discrepancies
            .iter()
            .any(Discrepancy::rests_on_trail);
        match rests_on_trail && self.read_trail_of_days(now)? == TrailRead::Further {
            true => self.compare_day(day, now).await,
            false => Ok(reconciled),
        }
    }

    async fn compare_day(&mut self, day: JstDay, now: Timestamp) -> Result<Reconciled, Ending> {
        let vault = std::sync::Arc::clone(&self.vault);
        let disk = std::sync::Arc::clone(&self.disk);
        let told = std::mem::take(&mut self.trail_of_days);
        let compared = self
            .compare(async |catalogue| {
                reconcile_day(catalogue, &vault, &*disk, day, &told.days, now).await
            })
            .await;
        self.trail_of_days = told;
        compared
    }

    /// Reads what the trail tells of days, from where it was read to.
    fn read_trail_of_days(&mut self, now: Timestamp) -> Result<TrailRead, Ending> {
        let end = self.last_entry()?;
        let TrailOfDays { days, read_to } = &mut self.trail_of_days;
        if end == *read_to {
            return Ok(TrailRead::NothingNew);
        }
        let mut handle = |_: &str, entry: &str| {
            if CountedDays::may_concern(entry)
                && let Ok(entry) = serde_json::from_str(entry)
            {
                days.handle(&entry);
            }
        };
        let (disk, layout) = (&*self.disk, &self.layout);
        let read = match *read_to {
            0 => {
                let since = CountedDays::since(now);
                read_months(disk, layout, Duty::Office, since, &mut handle)
            }
            read_to => read_entries(disk, layout, Duty::Office, read_to + 1, &mut handle),
        };
        read.map_err(|fault| {
            Answer::Unavailable(Message::new("証跡を読めません。", fault.to_string()))
        })?;
        *read_to = end;
        Ok(TrailRead::Further)
    }

    async fn compare<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Catalogue) -> Result<T, ReconcileFault>,
    ) -> Result<T, Ending> {
        // Files that cannot be listed are no fault of the rows.
        let compared = self
            .rows(async |catalogue| match act(catalogue).await {
                Ok(value) => Ok(Ok(value)),
                Err(ReconcileFault::Vault(fault)) => Ok(Err(fault)),
                Err(ReconcileFault::Catalogue(fault)) => Err(fault),
            })
            .await?;
        compared.map_err(|fault| {
            Answer::Unavailable(Message::new("録音庫を読めません。", fault.to_string()))
        })
    }
}

/// Whether the trail had grown since it was read.
#[derive(PartialEq, Eq)]
enum TrailRead {
    Further,
    NothingNew,
}

/// Of one day; `denwaban reconcile` names more.
const MOST_LOGGED: usize = 20;
/// Named in one answer, which is a line of at most 64 KiB.
const MOST_NAMED: usize = 500;

/// What a comparison of all days came to.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Comparison {
    pub(crate) days: u64,
    pub(crate) counts: DayCounts,
    /// The first of what has no counterpart, each with its day.
    pub(crate) discrepancies: Vec<(JstDay, Discrepancy)>,
    /// Days that could not be read, each with the reason; the others are counted.
    pub(crate) unread: BTreeMap<JstDay, String>,
}

impl Comparison {
    /// Whether every day was read, and everything has its counterpart or its reason.
    pub(crate) fn is_explained(&self) -> bool {
        self.counts.is_explained() && self.unread.is_empty()
    }

    /// Adds a day.
    pub(crate) fn add(&mut self, day: JstDay, compared: Answer<Reconciled>) {
        let reconciled = match compared {
            Answer::Done(reconciled) => reconciled,
            Answer::Failed(message)
            | Answer::Usage(message)
            | Answer::Refused(message)
            | Answer::Unavailable(message)
            | Answer::Unverified(message) => {
                self.unread.insert(day, message.en);
                return;
            }
        };
        self.days += 1;
        self.counts.add(&reconciled.counts);
        let left = MOST_NAMED.saturating_sub(self.discrepancies.len());
        let named = reconciled.discrepancies.iter().take(left);
        self.discrepancies
            .extend(named.map(|discrepancy| (day, *discrepancy)));
    }
}
