//! The monthly statement for the public: how many calls, what allowed their recording, what became of them. No person, no number, no small cell.
//!
//! It is counted from the trail, which keeps what each day came to when the rows are long gone. Counting is here; signing is `storage`'s.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    audit::{AuditEntry, AuditEvent},
    hand_over::HandOverFact,
    ids::{JstDay, RecordingId, StaffId, jst_rfc3339},
    month::JstMonth,
    notice::{NoticeKind, Reason},
    reconciliation::{DayCounts, counted_from},
    register::Fact,
    waiver::WaiverCounts,
};

/// A count as the public may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// As it is.
    Count(u64),
    /// Few enough that somebody could be guessed from it: 1 to 4.
    Suppressed,
    /// A sum of which a part is suppressed: what is shown of it, and 1 for each suppressed part.
    AtLeast(u64),
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

/// A sum and its parts as the public may see them.
///
/// The sum tells no more than the shown parts do. So the same is published whatever the suppressed ones are, each of them 1 to 4:
/// nobody computes one from the sum and the others, and no part that is large enough has to be left out for its sake.
fn sum_and_cells<K: Ord + Copy>(parts: &BTreeMap<K, u64>) -> (Cell, BTreeMap<K, Cell>) {
    let cell = |(key, count): (&K, &u64)| (*key, Cell::alone(*count));
    let cells: BTreeMap<K, Cell> = parts.iter().map(cell).collect();
    let shown = |cell: &Cell| match cell {
        Cell::Count(count) | Cell::AtLeast(count) => *count,
        Cell::Suppressed => 1,
    };
    let least = cells.values().map(shown).sum();
    let sum = match cells.values().any(|cell| *cell == Cell::Suppressed) {
        true => Cell::AtLeast(least),
        false => Cell::Count(least),
    };
    (sum, cells)
}

/// A month that is not over, or whose last day is not counted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{month} is not over and counted yet; its statement can be made from {} on", jst_rfc3339(*.from))]
pub struct MonthNotOver {
    /// Which month.
    pub month: JstMonth,
    /// When it is.
    pub from: Timestamp,
}

/// A day that has calls, and whose count the trail does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has calls and is not counted yet; the office counts it while `denwaban run` runs")]
pub struct DayNotCounted(pub JstDay);

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
    /// What was disposed of so far, in whatever month.
    disposed_days: BTreeSet<JstDay>,
    disposed_alone: BTreeSet<RecordingId>,
    handed_over: u64,
    recovered: BTreeSet<StaffId>,
    last: u64,
}

impl MonthTally {
    /// Of this month, before the first entry.
    ///
    /// # Errors
    /// [`MonthNotOver`]: what the public was told of a month would not stay true.
    pub fn of(month: JstMonth, now: Timestamp) -> Result<MonthTally, MonthNotOver> {
        let from = counted_from(month.end());
        if now < from {
            return Err(MonthNotOver { month, from });
        }
        Ok(MonthTally {
            month,
            days: BTreeMap::new(),
            disposed: 0,
            disposed_days: BTreeSet::new(),
            disposed_alone: BTreeSet::new(),
            handed_over: 0,
            recovered: BTreeSet::new(),
            last: 0,
        })
    }

    /// Takes the next entry of the office's chain. Of a day that was counted or disposed of twice the first count holds: a crash between
    /// the entry and the record of a disposal has the entry written again.
    pub fn handle(&mut self, entry: &AuditEntry) {
        self.last = self.last.max(entry.seq);
        let is_now = JstMonth::of(entry.at) == self.month;
        match &entry.event {
            AuditEvent::DayCounted { day, counts } if JstMonth::of_day(*day) == self.month => {
                self.days.entry(*day).or_insert_with(|| counts.clone());
            }
            AuditEvent::DisposalCompleted { day, counts }
                if self.disposed_days.insert(*day) && is_now =>
            {
                self.disposed += counts.disposed();
            }
            AuditEvent::RecordingDisposed { recording, .. }
                if self.disposed_alone.insert(*recording) && is_now =>
            {
                self.disposed += 1;
            }
            AuditEvent::Registered {
                change: Fact::HandOver(HandOverFact::Given { .. }),
                ..
            } if is_now => self.handed_over += 1,
            AuditEvent::Registered {
                change: Fact::Recovered { person, .. },
                ..
            } if is_now => {
                self.recovered.insert(person.clone());
            }
            _ => {}
        }
    }

    /// The statement, with what stands when it is made, whatever the month.
    ///
    /// `open`: managers whom somebody with root's right named, and whom no auditor has acknowledged; with those of the month, acknowledged or not.
    pub fn finish<'a>(
        mut self,
        open: impl IntoIterator<Item = &'a StaffId>,
        waivers: WaiverCounts,
    ) -> Statement {
        self.recovered.extend(open.into_iter().cloned());
        let mut counts = DayCounts::default();
        self.days.values().for_each(|day| counts.add(day));
        Statement {
            month: self.month,
            counted: self.days.into_keys().collect(),
            counts,
            disposed: self.disposed,
            handed_over: self.handed_over,
            recovered_managers: u64::try_from(self.recovered.len()).unwrap_or(u64::MAX),
            waivers,
            audit_seq: self.last,
        }
    }
}

/// What the public is told of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which month.
    pub month: JstMonth,
    counted: BTreeSet<JstDay>,
    counts: DayCounts,
    disposed: u64,
    handed_over: u64,
    /// Whom somebody with root's right named in the month, or before and no auditor has acknowledged.
    recovered_managers: u64,
    /// Numbers that are connected without our announcement, and why.
    waivers: WaiverCounts,
    /// The office's last audit entry that it rests on.
    pub audit_seq: u64,
}

impl Statement {
    /// How many of its days are counted.
    pub fn days(&self) -> usize {
        self.counted.len()
    }

    /// Whether no day of the month is left out. `living`: the days that have calls or recordings, of any month.
    ///
    /// # Errors
    /// [`DayNotCounted`] for the first that is.
    pub fn check_days(&self, living: &BTreeSet<JstDay>) -> Result<(), DayNotCounted> {
        let left_out = living.difference(&self.counted);
        let own = left_out
            .copied()
            .find(|day| JstMonth::of_day(*day) == self.month);
        own.map_or(Ok(()), |day| Err(DayNotCounted(day)))
    }

    /// Each line: its name, and what the public may see. Counts about the city's own doings are shown as they are.
    pub fn lines(&self) -> Vec<(String, Cell)> {
        let (answered, outcomes) = sum_and_cells(&self.outcomes());
        let unanswered = Cell::alone(self.counts.unanswered);
        let mut lines = vec![
            ("calls answered".to_owned(), answered),
            ("calls not answered".to_owned(), unanswered),
        ];
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
                Cell::Count(self.recovered_managers),
            ),
        ]);
        let waivers = self.waivers;
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

    fn november() -> MonthTally {
        let month = "2026-11".parse().unwrap();
        MonthTally::of(month, "2026-12-24T00:00:00Z".parse().unwrap()).unwrap()
    }

    fn shown(tally: MonthTally) -> Vec<String> {
        let statement = tally.finish([], WaiverCounts::default());
        let lines = statement.lines().into_iter();
        lines
            .map(|(name, cell)| format!("{name} {cell:?}"))
            .collect()
    }

    #[test]
    fn a_month_is_counted_from_the_trail_whatever_became_of_its_rows() {
        let mut tally = november();
        let day = "2026-08-20".parse().unwrap();
        let counts = DisposalCounts::new(9, 8, 1, 0).unwrap();
        for entry in [
            entry(1, "2026-11-01T15:10:00Z", counted("2026-11-01", 30, 6, 0)),
            entry(
                2,
                "2026-11-02T00:00:00Z",
                AuditEvent::DisposalCompleted { day, counts },
            ),
            entry(
                2,
                "2026-11-02T00:10:00Z",
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
    fn a_small_cell_is_suppressed_and_the_sum_tells_no_more_than_the_others() {
        let mut tally = november();
        tally.handle(&entry(
            1,
            "2026-11-01T15:10:00Z",
            counted("2026-11-01", 30, 7, 4),
        ));
        let shown = shown(tally);
        assert_eq!(shown[0], "calls answered AtLeast(38)");
        assert_eq!(shown[2], "recorded announced Count(30)");
        assert_eq!(shown[3], "recorded waived-by-emergency Count(7)");
        assert_eq!(shown[5], "unrecorded RECORDER_FAULT Suppressed");
    }

    /// Every month of four outcomes with 0 to 6 or 30 calls each: whoever knows the rule and the statement knows of a small cell that it is small.
    #[test]
    fn whatever_a_suppressed_cell_is_the_same_is_published() {
        const COUNTS: [u64; 8] = [0, 1, 2, 3, 4, 5, 6, 30];
        for number in 0..COUNTS.len().pow(4) {
            let count = |place: u32| COUNTS[number / COUNTS.len().pow(place) % COUNTS.len()];
            let parts: BTreeMap<u32, u64> = (0..4).map(|place| (place, count(place))).collect();
            let (sum, cells) = sum_and_cells(&parts);
            let total = parts.values().sum::<u64>();
            match sum {
                Cell::Count(count) => assert_eq!(count, total),
                Cell::AtLeast(count) => assert!(count <= total, "{parts:?}"),
                Cell::Suppressed => panic!("{parts:?}"),
            }
            for (key, count) in &parts {
                let is_small = (1..SMALL).contains(count);
                assert_eq!(cells[key] == Cell::Suppressed, is_small, "{parts:?}");
                for other in (1..SMALL).filter(|_| is_small) {
                    let mut others = parts.clone();
                    others.insert(*key, other);
                    assert_eq!(sum_and_cells(&others), (sum, cells.clone()), "{parts:?}");
                }
            }
        }
    }

    #[test]
    fn a_recovery_counts_in_its_month_whoever_took_note_and_in_every_month_until_then() {
        let recovered = |person: &str| AuditEvent::Registered {
            change: Fact::Recovered {
                person: person.parse().unwrap(),
                unit: "広報課".parse().unwrap(),
            },
            policy: 1,
        };
        let counted = |open: &[&str]| {
            let mut tally = november();
            for (seq, at, person) in [
                (1, "2026-10-31T14:59:59Z", "before"),
                (2, "2026-11-10T00:00:00Z", "jicho"),
                (3, "2026-11-11T00:00:00Z", "jicho"),
                (4, "2026-11-30T15:00:00Z", "after"),
            ] {
                tally.handle(&entry(seq, at, recovered(person)));
            }
            let open: Vec<StaffId> = open.iter().map(|id| id.parse().unwrap()).collect();
            let statement = tally.finish(&open, WaiverCounts::default());
            statement.recovered_managers
        };
        assert_eq!(counted(&[]), 1);
        assert_eq!(counted(&["jicho"]), 1);
        assert_eq!(counted(&["before", "jicho"]), 2);
    }

    #[test]
    fn a_month_is_told_once_each_of_its_days_with_calls_is_counted() {
        let mut tally = november();
        let counted = counted("2026-11-01", 30, 6, 0);
        tally.handle(&entry(1, "2026-11-03T15:10:00Z", counted));
        let statement = tally.finish([], WaiverCounts::default());
        let days = |days: &[&str]| days.iter().map(|day| day.parse().unwrap()).collect();
        let elsewhere = days(&["2026-10-31", "2026-11-01", "2026-12-01"]);
        assert_eq!(statement.check_days(&elsewhere), Ok(()));
        let left_out = DayNotCounted("2026-11-20".parse().unwrap());
        let living = days(&["2026-10-31", "2026-11-01", "2026-11-20", "2026-11-21"]);
        assert_eq!(statement.check_days(&living), Err(left_out));
    }

    #[test]
    fn a_month_is_told_from_the_time_on_at_which_its_last_day_is_counted() {
        let month = "2026-11".parse().unwrap();
        let from: Timestamp = "2026-12-01T15:10:00Z".parse().unwrap();
        let early = MonthTally::of(month, from - jiff::SignedDuration::from_secs(1));
        assert_eq!(early, Err(MonthNotOver { month, from }));
        assert!(MonthTally::of(month, from).is_ok());
    }
}
