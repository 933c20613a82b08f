//! The ladders of calls, in memory, for whoever looks: calls that go on, and those that ended last.
//!
//! It belongs to the signalling thread, which answers from it; nothing of it is ever written. Every measure of it has a limit,
//! and what is beyond is forgotten: the middle of a long ladder, the oldest of the ended calls.

use std::collections::{BTreeMap, VecDeque};

use exchange::{CallReport, Milestone, TraceEvent};
use jiff::Timestamp;
use media::Side;
use rules::CallId;
use sip_core::Passage;

/// Rungs of one ladder: a call with forty messages has eighty; half a day of session refreshes would have hundreds.
const RUNGS: usize = 200;
/// The first rungs, which say how the call came to be, are never left out.
const FIRST_RUNGS: usize = 48;
/// Bytes of one rung's text; the longest of our own has 49.
const RUNG_BYTES: usize = 64;
/// Ended calls that can be looked at: two hours of 130 calls at once that last three minutes would be 5,200; the last ones matter.
const ENDED_CALLS: usize = 1_000;
/// What all ended calls may take together.
const ENDED_BYTES: usize = 4 * 1024 * 1024;
/// Calls whose end has not come; the exchange's own cap is lower, so this only bounds a fault of ours.
const LIVE_CALLS: usize = 16_384;

/// The ladders; see the module.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    live: BTreeMap<CallId, Ladder>,
    ended: BTreeMap<CallId, Past>,
    /// In the order in which they ended.
    order: VecDeque<CallId>,
    ended_bytes: usize,
}

/// A call that is over.
#[derive(Debug)]
struct Past {
    report: CallReport,
    ladder: Ladder,
}

impl Past {
    fn bytes(&self) -> usize {
        size_of::<CallId>() + size_of::<Past>() + self.ladder.bytes()
    }
}

/// Why an id names no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSuchCall {
    /// None begins like that, or it ended too long ago.
    Unknown,
    /// So many begin like that.
    Ambiguous(usize),
}

impl Traces {
    /// Takes a milestone. Those of a call that is forgotten are let go.
    pub(crate) fn take(&mut self, event: &TraceEvent) {
        match &event.what {
            Milestone::Began => {
                if self.live.len() < LIVE_CALLS {
                    self.live.insert(event.call, Ladder::begin(event.at));
                }
            }
            Milestone::Message {
                side,
                passage,
                line,
            } => {
                let way = match (side, passage) {
                    (Side::Carrier, Passage::Received) => Way::FromCarrier,
                    (Side::Carrier, Passage::Sent) => Way::ToCarrier,
                    (Side::Department, Passage::Received) => Way::FromDepartment,
                    (Side::Department, Passage::Sent) => Way::ToDepartment,
                };
                self.write(event, way, line);
            }
            Milestone::House(line) => self.write(event, Way::House, line),
            Milestone::Refused(phrase) => {
                self.write(event, Way::House, &format!("refused: {phrase}"));
            }
            Milestone::Ended(report) => self.end(report),
        }
    }

    /// A message may follow the end of its call: the last BYE's answer does.
    fn write(&mut self, event: &TraceEvent, way: Way, line: &str) {
        if let Some(ladder) = self.live.get_mut(&event.call) {
            ladder.write(event.at, way, line);
        } else if let Some(past) = self.ended.get_mut(&event.call) {
            let before = past.bytes();
            past.ladder.write(event.at, way, line);
            self.ended_bytes = self.ended_bytes + past.bytes() - before;
            self.forget();
        }
    }

    fn end(&mut self, report: &CallReport) {
        let Some(mut ladder) = self.live.remove(&report.id) else {
            return;
        };
        ladder.shrink();
        let past = Past {
            report: report.clone(),
            ladder,
        };
        self.ended_bytes += past.bytes();
        self.ended.insert(report.id, past);
        self.order.push_back(report.id);
        self.forget();
    }

    fn forget(&mut self) {
        while self.order.len() > ENDED_CALLS || self.ended_bytes > ENDED_BYTES {
            let Some(past) = self.order.pop_front().and_then(|id| self.ended.remove(&id)) else {
                return;
            };
            self.ended_bytes = self.ended_bytes.saturating_sub(past.bytes());
        }
    }

    /// The calls that ended last, the latest first.
    pub(crate) fn ended(&self, count: usize) -> Vec<CallReport> {
        let latest = self.order.iter().rev().take(count);
        latest
            .filter_map(|id| self.ended.get(id))
            .map(|past| past.report.clone())
            .collect()
    }

    /// The one call whose id begins like this, with its report where it is over.
    ///
    /// # Errors
    /// [`NoSuchCall`] where there is none, or more than one.
    pub(crate) fn find(
        &self,
        prefix: &str,
    ) -> Result<(CallId, Option<CallReport>, Ladder), NoSuchCall> {
        let prefix = prefix.to_ascii_uppercase();
        let known = self.live.keys().chain(self.ended.keys());
        let mut found = known.filter(|id| id.to_string().starts_with(&prefix));
        let Some(id) = found.next().copied() else {
            return Err(NoSuchCall::Unknown);
        };
        match found.count() {
            0 => {}
            others => return Err(NoSuchCall::Ambiguous(others + 1)),
        }
        if let Some(ladder) = self.live.get(&id) {
            return Ok((id, None, ladder.clone()));
        }
        let past = self.ended.get(&id).ok_or(NoSuchCall::Unknown)?;
        Ok((id, Some(past.report.clone()), past.ladder.clone()))
    }
}

/// One call's rungs, packed: thirty of them take 700 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Ladder {
    began: Timestamp,
    marks: Vec<Mark>,
    text: String,
    left_out: usize,
}

/// One rung: when, which way, and where its text ends.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at_ms: u32,
    way: Way,
    end: u16,
}

/// Which way a rung goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    FromCarrier,
    ToCarrier,
    FromDepartment,
    ToDepartment,
    /// Nowhere: something happened in the house.
    House,
}

/// A rung as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) at: Timestamp,
    pub(crate) way: Way,
    pub(crate) line: String,
}

impl Ladder {
    fn begin(at: Timestamp) -> Ladder {
        Ladder {
            began: at,
            marks: Vec::new(),
            text: String::new(),
            left_out: 0,
        }
    }

    fn bytes(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>() + self.text.capacity()
    }

    fn shrink(&mut self) {
        self.marks.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    fn write(&mut self, at: Timestamp, way: Way, line: &str) {
        if self.marks.len() == RUNGS {
            self.leave_out(FIRST_RUNGS);
        }
        self.text
            .push_str(&line[..line.floor_char_boundary(RUNG_BYTES)]);
        let at_ms = at.duration_since(self.began).as_millis();
        self.marks.push(Mark {
            // A clock that was put back would make it negative, one that was put far on too large.
            at_ms: u32::try_from(at_ms.max(0)).unwrap_or(u32::MAX),
            way,
            // RUNGS of RUNG_BYTES fit.
            end: u16::try_from(self.text.len()).unwrap_or(u16::MAX),
        });
    }

    fn leave_out(&mut self, index: usize) {
        let from = self.marks[index - 1].end;
        let gone = self.marks.remove(index);
        self.text
            .replace_range(usize::from(from)..usize::from(gone.end), "");
        for mark in &mut self.marks[index..] {
            mark.end -= gone.end - from;
        }
        self.left_out += 1;
    }

    /// All rungs, with a word where some were left out.
    pub(crate) fn rungs(&self) -> Vec<Rung> {
        let mut from = 0;
        let mut rungs: Vec<Rung> = Vec::with_capacity(self.marks.len() + 1);
        for mark in &self.marks {
            let end = usize::from(mark.end);
            let passed = jiff::SignedDuration::from_millis(i64::from(mark.at_ms));
            rungs.push(Rung {
                at: self.began.saturating_add(passed).unwrap_or(self.began),
                way: mark.way,
                line: self.text[from..end].to_owned(),
            });
            from = end;
        }
        if self.left_out > 0 {
            let gap = Rung {
                at: rungs[FIRST_RUNGS].at,
                way: Way::House,
                line: format!("{} rungs are left out here", self.left_out),
            };
            rungs.insert(FIRST_RUNGS, gap);
        }
        rungs
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Direction, EndedBy, Ending, Recorded, ShownCaller};
    use rules::EndCause;

    use super::*;

    fn start() -> Timestamp {
        "2026-11-25T01:00:00Z".parse().unwrap()
    }

    fn event(call: CallId, ms: i64, what: Milestone) -> TraceEvent {
        TraceEvent {
            at: start() + jiff::SignedDuration::from_millis(ms),
            call,
            what,
        }
    }

    fn ended(id: CallId) -> Milestone {
        Milestone::Ended(Box::new(CallReport {
            id,
            direction: Direction::Inbound,
            stage: "Over",
            since: start(),
            started_at: start(),
            answered_at: None,
            caller: ShownCaller::Anonymous,
            called: "+81-78-***-**00".to_owned(),
            peers: vec!["carrier".to_owned()],
            recorded: Recorded::Undecided,
            emergency: None,
            ending: Some(Ending {
                at: start(),
                by: EndedBy::Cause(EndCause::Cancelled),
            }),
        }))
    }

    fn whole(traces: &mut Traces, id: CallId, rungs: usize) {
        traces.take(&event(id, 0, Milestone::Began));
        for index in 0..rungs {
            let ms = i64::try_from(index).unwrap();
            traces.take(&event(id, ms, Milestone::House(format!("rung {index}"))));
        }
        traces.take(&event(id, 9_000, ended(id)));
    }

    #[test]
    fn a_long_ladder_keeps_its_beginning_and_its_end() {
        let mut traces = Traces::default();
        let id = CallId::new(start(), 1);
        whole(&mut traces, id, 1_000);
        let (_, _, ladder) = traces.find(&id.to_string()).unwrap();
        let rungs = ladder.rungs();
        assert_eq!(rungs.len(), RUNGS + 1);
        assert_eq!(
            rungs[FIRST_RUNGS - 1].line,
            format!("rung {}", FIRST_RUNGS - 1)
        );
        assert_eq!(rungs[FIRST_RUNGS].line, "800 rungs are left out here");
        assert_eq!(rungs[FIRST_RUNGS + 1].line, "rung 848");
        let last = rungs.last().unwrap();
        assert_eq!(last.line, "rung 999");
        assert_eq!(last.at, start() + jiff::SignedDuration::from_millis(999));
    }

    #[test]
    fn ended_calls_are_forgotten_by_count_and_by_bytes() {
        let mut traces = Traces::default();
        for index in 0..3_000 {
            whole(&mut traces, CallId::new(start(), index), 3);
        }
        assert_eq!(traces.ended(9_999).len(), ENDED_CALLS);
        assert_eq!(traces.ended(1)[0].id, CallId::new(start(), 2_999));
        let oldest = CallId::new(start(), 0);
        assert_eq!(
            traces.find(&oldest.to_string()).unwrap_err(),
            NoSuchCall::Unknown
        );
        let long = "x".repeat(10_000);
        for index in 3_000..4_000 {
            let id = CallId::new(start(), index);
            traces.take(&event(id, 0, Milestone::Began));
            for _ in 0..RUNGS {
                traces.take(&event(id, 1, Milestone::House(long.clone())));
            }
            traces.take(&event(id, 2, ended(id)));
        }
        assert!(traces.ended_bytes <= ENDED_BYTES, "{}", traces.ended_bytes);
        let counted: usize = traces.ended.values().map(Past::bytes).sum();
        assert_eq!(traces.ended_bytes, counted);
        assert!(
            (200..400).contains(&traces.ended.len()),
            "{}",
            traces.ended.len()
        );
    }

    #[test]
    fn a_late_message_of_a_forgotten_call_makes_no_new_one() {
        let mut traces = Traces::default();
        let id = CallId::new(start(), 1);
        traces.take(&event(id, 0, Milestone::House("late".to_owned())));
        assert!(traces.live.is_empty());
        whole(&mut traces, id, 1);
        traces.take(&event(
            id,
            9_500,
            Milestone::House("after the end".to_owned()),
        ));
        let (_, report, ladder) = traces.find(&id.to_string()).unwrap();
        assert!(report.is_some());
        assert_eq!(ladder.rungs().last().unwrap().line, "after the end");
    }

    #[test]
    fn a_prefix_names_a_call_where_it_is_the_only_one() {
        let mut traces = Traces::default();
        let (one, other) = (CallId::new(start(), 1), CallId::new(start(), 2));
        whole(&mut traces, one, 1);
        traces.take(&event(other, 0, Milestone::Began));
        let common = &one.to_string()[..10];
        assert_eq!(traces.find(common).unwrap_err(), NoSuchCall::Ambiguous(2));
        let (found, report, _) = traces.find(&other.to_string().to_lowercase()).unwrap();
        assert_eq!((found, report), (other, None));
    }
}
