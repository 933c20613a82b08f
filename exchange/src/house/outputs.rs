//! What goes out of the house: orders, and the milestones of each call with the messages that led to them.

use rules::CallId;

use super::House;
use crate::{
    now::Now,
    output::{Alarm, Output},
    report::CallReport,
    trace::{Milestone, TraceEvent},
};

impl House {
    pub(crate) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn alarm(&mut self, alarm: Alarm) {
        self.outputs.push_back(Output::Alarm(alarm));
    }

    /// Writes a milestone of a call, after the messages that led to it.
    pub(crate) fn trace(&mut self, now: Now, call: CallId, what: impl Into<String>) {
        self.trace_messages(now);
        let what = Milestone::House(what.into());
        self.outputs.push_back(Output::Trace(TraceEvent {
            at: now.wall,
            call,
            what,
        }));
    }

    /// Writes that a call is not taken in.
    pub(crate) fn trace_refusal(&mut self, now: Now, call: CallId, phrase: &'static str) {
        self.trace_messages(now);
        self.outputs.push_back(Output::Trace(TraceEvent {
            at: now.wall,
            call,
            what: Milestone::Refused(phrase),
        }));
    }

    /// Writes a call's first milestone, before the INVITE that brought it.
    pub(crate) fn trace_beginning(&mut self, now: Now, call: CallId) {
        self.outputs.push_back(Output::Trace(TraceEvent {
            at: now.wall,
            call,
            what: Milestone::Began,
        }));
    }

    /// Writes a call's last milestone.
    pub(crate) fn trace_end(&mut self, now: Now, report: CallReport) {
        self.trace_messages(now);
        self.outputs.push_back(Output::Trace(TraceEvent {
            at: now.wall,
            call: report.id,
            what: Milestone::Ended(Box::new(report)),
        }));
    }

    /// Takes the endpoint's milestones into the ladders of their calls.
    pub(crate) fn trace_messages(&mut self, now: Now) {
        while let Some(milestone) = self.endpoint.poll_milestone() {
            let Some(place) = milestone.dialog.and_then(|dialog| self.places.get(&dialog)) else {
                continue;
            };
            let what = Milestone::Message {
                side: place.side,
                passage: milestone.passage,
                line: milestone.line,
            };
            self.outputs.push_back(Output::Trace(TraceEvent {
                at: now.wall,
                call: place.call,
                what,
            }));
        }
    }

    pub(crate) fn trace_and_transmit(&mut self, now: Now) {
        self.trace_messages(now);
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.outputs.push_back(Output::Sip(transmit));
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
