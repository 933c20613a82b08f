//! The monthly statement for the public: how many calls, what allowed their recording, what became of them. No person, no number, no small cell.
//!
//! It is counted from the trail, which keeps what each day came to when the rows are long gone. Counting is here; signing is `storage`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    audit::{AuditEntry, AuditEvent},
    hand_over::HandOverFact,
    ids::JstDay,
    month::JstMonth,
    notice::{NoticeKind, Reason},
    reconciliation::DayCounts,
    register::Fact,
    waiver::WaiverCounts,
};

/// A count as the public may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// As it is.
    Count(u64),
    /// Few enough that somebody could be guessed from it, or left out so that such a one cannot be computed.
    Suppressed,
}

const SMALL: u64 = 5; // K-07: cells under 5 are suppressed.

impl Cell {
    /// A count that is part of no sum.
    pub fn alone(count: u64) -> Cell {
        match count {
            1..SMALL => Cell::Suppressed,
            count => Cell::Count(count),
        }
    }
}

/// The parts of a sum that is shown: where one is suppressed, so is the smallest other one, because the sum would tell it.
fn cells<K: Ord + Copy>(parts: &BTreeMap<K, u64>) -> BTreeMap<K, Cell> {
    let mut hidden: BTreeSet<K> = parts
        .iter()
        .filter(|(_, count)| Cell::alone(**count) == Cell::Suppressed)
        .map(|(key, _)| *key)
        .collect();
    if hidden.len() == 1 {
        let others = parts
            .iter()
            .filter(|(key, count)| !hidden.contains(key) && **count > 0);
        hidden.extend(others.min_by_key(|(_, count)| **count).map(|(key, _)| *key));
    }
    let cell = |(key, count): (&K, &u64)| match hidden.contains(key) {
        true => (*key, Cell::Suppressed),
        false => (*key, Cell::Count(*count)),
    };
    parts.iter().map(cell).collect()
}

/// What became of an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Recorded under this notice.
    Recorded(NoticeKind),
    /// Recorded; what allowed it was destroyed before the day was counted.
    RecordedOtherwise,
    /// Connected without a recording, for this reason.
    Unrecorded(Reason),
    /// Neither recording nor reason is there.
    Missing,
}

/// What a month came to, gathered entry by entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthTally {
    month: JstMonth,
    days: BTreeMap<JstDay, DayCounts>,
    disposed: u64,
    handed_over: u64,
    last: u64,
}

impl MonthTally {
    /// Of this month, before the first entry.
    pub fn of(month: JstMonth) -> MonthTally {
        MonthTally {
            month,
            days: BTreeMap::new(),
            disposed: 0,
            handed_over: 0,
            last: 0,
        }
    }

    /// Takes the next entry of the office's chain. Of a day that was counted twice the first count holds.
    pub fn handle(&mut self, entry: &AuditEntry) {
        self.last = self.last.max(entry.seq);
        let is_now = JstMonth::of(entry.at) == self.month;
        match &entry.event {
            AuditEvent::DayCounted { day, counts } if JstMonth::of_day(*day) == self.month => {
                self.days.entry(*day).or_insert_with(|| counts.clone());
            }
            AuditEvent::DisposalCompleted { counts, .. } if is_now => {
                self.disposed += counts.disposed();
            }
            AuditEvent::RecordingDisposed { .. } if is_now => self.disposed += 1,
            AuditEvent::Registered {
                change: Fact::HandOver(HandOverFact::Given { .. }),
                ..
            } if is_now => self.handed_over += 1,
            _ => {}
        }
    }

    /// The statement, with what the register and the configuration say besides.
    pub fn finish(self, standing: StandingCounts) -> Statement {
        let mut counts = DayCounts::default();
        self.days.values().for_each(|day| counts.add(day));
        Statement {
            month: self.month,
            days: u64::try_from(self.days.len()).unwrap_or(u64::MAX),
            counts,
            disposed: self.disposed,
            handed_over: self.handed_over,
            standing,
            audit_seq: self.last,
        }
    }
}

/// What stands when the statement is made, whatever the month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingCounts {
    /// Managers whom somebody with root's right named, and whom no auditor has acknowledged.
    pub recovered_managers: u64,
    /// Numbers that are connected without our announcement, and why.
    pub waivers: WaiverCounts,
}

/// What the public is told of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which month.
    pub month: JstMonth,
    /// Its days that are counted.
    pub days: u64,
    counts: DayCounts,
    disposed: u64,
    handed_over: u64,
    standing: StandingCounts,
    /// The office's last audit entry that it rests on.
    pub audit_seq: u64,
}

impl Statement {
    /// Each line: its name, and what the public may see. Counts about the city's own doings are shown as they are.
    pub fn lines(&self) -> Vec<(String, Cell)> {
        let counts = &self.counts;
        let mut lines = vec![
            ("calls answered".to_owned(), Cell::alone(counts.calls)),
            (
                "calls not answered".to_owned(),
                Cell::alone(counts.unanswered),
            ),
        ];
        let outcomes = cells(&self.outcomes());
        lines.extend(
            outcomes
                .into_iter()
                .map(|(outcome, cell)| (name(outcome), cell)),
        );
        lines.extend([
            ("recordings disposed".to_owned(), Cell::alone(self.disposed)),
            (
                "packages handed-over".to_owned(),
                Cell::Count(self.handed_over),
            ),
            (
                "managers recovered".to_owned(),
                Cell::Count(self.standing.recovered_managers),
            ),
        ]);
        let waivers = self.standing.waivers;
        let waivers = [
            ("waivers by-other-means", waivers.by_means),
            ("waivers by-law", waivers.by_law),
            ("waivers by-document", waivers.by_document),
            ("waivers unconfirmed", waivers.unconfirmed),
            ("waivers lapsed", waivers.lapsed),
        ];
        lines.extend(waivers.map(|(name, count)| (name.to_owned(), Cell::Count(count))));
        lines
    }

    /// The answered calls by what became of them; they add up to all.
    fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        let counts = &self.counts;
        let known: u64 = counts.notices.values().sum();
        let mut outcomes: BTreeMap<Outcome, u64> = [
            NoticeKind::Announced,
            NoticeKind::Emergency,
            NoticeKind::Decision,
        ]
        .map(|kind| {
            let count = counts.notices.get(&kind).copied().unwrap_or_default();
            (Outcome::Recorded(kind), count)
        })
        .into();
        let otherwise = counts.recorded.saturating_sub(known);
        if otherwise > 0 {
            outcomes.insert(Outcome::RecordedOtherwise, otherwise);
        }
        let unrecorded = counts.unrecorded.iter();
        outcomes.extend(unrecorded.map(|(reason, count)| (Outcome::Unrecorded(*reason), *count)));
        outcomes.insert(Outcome::Missing, counts.missing);
        outcomes
    }
}

fn name(outcome: Outcome) -> String {
    match outcome {
        Outcome::Recorded(NoticeKind::Announced) => "recorded announced".to_owned(),
        Outcome::Recorded(kind) => format!("recorded waived-by-{}", kind.code()),
        Outcome::RecordedOtherwise => "recorded notice-not-counted".to_owned(),
        Outcome::Unrecorded(reason) => format!("unrecorded {reason}"),
        Outcome::Missing => "unrecorded unexplained".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::audit::{Actor, DisposalCounts};

    fn entry(seq: u64, at: &str, event: AuditEvent) -> AuditEntry {
        AuditEntry {
            seq,
            at: at.parse::<Timestamp>().unwrap(),
            actor: Actor::System,
            event,
        }
    }

    fn counted(day: &str, announced: u64, emergency: u64, faults: u64) -> AuditEvent {
        let counts = DayCounts {
            calls: announced + emergency + faults,
            recorded: announced + emergency,
            notices: [
                (NoticeKind::Announced, announced),
                (NoticeKind::Emergency, emergency),
            ]
            .into(),
            unrecorded: [(Reason::RecorderFault, faults)].into(),
            ..DayCounts::default()
        };
        let day = day.parse().unwrap();
        AuditEvent::DayCounted { day, counts }
    }

    fn shown(tally: MonthTally) -> Vec<String> {
        let statement = tally.finish(StandingCounts::default());
        let lines = statement.lines().into_iter();
        lines
            .map(|(name, cell)| format!("{name} {cell:?}"))
            .collect()
    }

    #[test]
    fn a_month_is_counted_from_the_trail_whatever_became_of_its_rows() {
        let mut tally = MonthTally::of("2026-11".parse().unwrap());
        let day = "2026-08-20".parse().unwrap();
        let counts = DisposalCounts::new(9, 8, 1, 0).unwrap();
        for entry in [
            entry(1, "2026-11-01T15:10:00Z", counted("2026-11-01", 30, 6, 0)),
            entry(
                2,
                "2026-11-02T00:00:00Z",
                AuditEvent::DisposalCompleted { day, counts },
            ),
            // Counted again after a restore, when some rows were gone.
            entry(3, "2026-11-03T15:10:00Z", counted("2026-11-01", 1, 0, 0)),
            // Counted late, in another month, and for another month.
            entry(4, "2026-12-02T15:10:00Z", counted("2026-11-30", 20, 0, 5)),
            entry(5, "2026-12-02T15:11:00Z", counted("2026-12-01", 99, 0, 0)),
            entry(
                6,
                "2026-12-02T00:00:00Z",
                AuditEvent::DisposalCompleted { day, counts },
            ),
        ] {
            tally.handle(&entry);
        }
        let expected = [
            "calls answered Count(61)",
            "calls not answered Count(0)",
            "recorded announced Count(50)",
            "recorded waived-by-emergency Count(6)",
            "recorded waived-by-decision Count(0)",
            "unrecorded RECORDER_FAULT Count(5)",
            "unrecorded unexplained Count(0)",
            "recordings disposed Count(8)",
            "packages handed-over Count(0)",
            "managers recovered Count(0)",
            "waivers by-other-means Count(0)",
            "waivers by-law Count(0)",
            "waivers by-document Count(0)",
            "waivers unconfirmed Count(0)",
            "waivers lapsed Count(0)",
        ];
        assert_eq!(shown(tally), expected);
    }

    #[test]
    fn a_small_cell_is_suppressed_and_cannot_be_computed_from_the_sum() {
        let mut tally = MonthTally::of("2026-11".parse().unwrap());
        tally.handle(&entry(
            1,
            "2026-11-01T15:10:00Z",
            counted("2026-11-01", 30, 7, 4),
        ));
        let shown = shown(tally);
        assert_eq!(shown[0], "calls answered Count(41)");
        assert_eq!(shown[2], "recorded announced Count(30)");
        assert_eq!(shown[3], "recorded waived-by-emergency Suppressed");
        assert_eq!(shown[5], "unrecorded RECORDER_FAULT Suppressed");
    }
}
