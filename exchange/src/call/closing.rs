//! The end of a call: what an answered caller is told when no department can be had, the goodbyes, and the record.

use std::time::Instant;

use announcements::PromptId;
use media::PlaybackId;
use rules::{EndCause, Reason};

use crate::{
    call::{Call, Stage, announcing::REPORT_GRACE, length},
    call_record::{self, Kept},
    direction::Direction,
    house::House,
    now::Now,
    output::{Alarm, Output, RecordOrder},
    report::CallReport,
    route::{Failure, FailureKind},
};

/// The prompt that says why nobody answers.
pub(super) struct Closing {
    pub(super) until: Instant,
    playback: PlaybackId,
    failure: Failure,
}

impl Call {
    /// No department answers: an answered caller is never left in silence (S-15).
    pub(super) fn close(&mut self, house: &mut House, now: Now, failure: Failure) {
        let id = match failure.kind {
            FailureKind::Busy => PromptId::Busy,
            // Of a telephone that is not there the caller needs to know no more than that nobody comes to it.
            FailureKind::NoAnswer | FailureKind::Refused => PromptId::NoAnswer,
            FailureKind::Closed => PromptId::Closed,
            FailureKind::Unreachable | FailureKind::Congestion => PromptId::Congestion,
        };
        let Some(prompt) = house.library.get(id).cloned() else {
            house.alarm(Alarm::PromptMissing {
                prompt: id.as_str(),
            });
            return self.end_with(house, now, failure.cause(), Some(failure.reason()));
        };
        let until = now.at + length(&prompt) + REPORT_GRACE;
        let playback = house.play(self.origin_leg(), prompt.clip);
        house.trace(now, self.id, format!("prompt {}", id.as_str()));
        self.enter(
            house,
            now,
            Stage::Closing(Closing {
                until,
                playback,
                failure,
            }),
        );
    }

    /// The closing prompt has been said, or cut.
    pub(super) fn prompt_ended(&mut self, house: &mut House, now: Now, playback: PlaybackId) {
        match &self.stage {
            Stage::Closing(closing) if closing.playback == playback => self.say_goodbye(house, now),
            // The end of a prompt that its stage no longer waits for.
            Stage::Closing(_)
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Over => {}
        }
    }

    /// The shard has not reported the end of the closing prompt in time.
    pub(super) fn closing_prompt_unreported(&mut self, house: &mut House, now: Now) {
        self.say_goodbye(house, now);
    }

    fn say_goodbye(&mut self, house: &mut House, now: Now) {
        let failure = match &self.stage {
            Stage::Closing(closing) => closing.failure,
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Over => return,
        };
        self.end_with(house, now, failure.cause(), Some(failure.reason()));
    }

    /// The caller said BYE, and was answered. In the closing prompt that changes nothing about why the call failed.
    pub(super) fn caller_hung_up(&mut self, house: &mut House, now: Now) {
        let cause = match &self.stage {
            Stage::Closing(closing) => closing.failure.cause(),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Over => EndCause::CallerHungUp,
        };
        self.end(house, now, cause);
    }

    /// Ends the call: whoever is still there is told, the ports go back, the record is written.
    pub(super) fn end(&mut self, house: &mut House, now: Now, cause: EndCause) {
        self.end_with(house, now, cause, reason(cause));
    }

    fn end_with(&mut self, house: &mut House, now: Now, cause: EndCause, reason: Option<&str>) {
        if self.is_over() && self.record.ended_at.is_some() {
            return;
        }
        self.answer_what_waits(house, now);
        let far = self.far_leg().map(|far| (far.dialog, far.peer));
        let leaving = self.leaving_leg();
        let legs = [Some((self.origin.dialog, self.origin.peer)), far, leaving];
        for (dialog, peer) in legs.into_iter().flatten() {
            let said = match cause {
                EndCause::CallerHungUp | EndCause::DepartmentHungUp | EndCause::Cancelled => {
                    self.parties.reason_for(house, peer)
                }
                _ => None,
            };
            house.end(now, dialog, status(cause), reason.or(said.as_deref()));
        }
        for leg in house.legs_of(self.id) {
            house.close(leg);
        }
        let kept = self.kept(cause);
        self.write_record(house, now, kept, cause);
        house.trace(now, self.id, format!("Over: {}", cause.code()));
        self.stage = Stage::Over;
        self.stage_since = now.wall;
    }

    /// Writes the record of a call whose legs somebody else has ended.
    pub(crate) fn close_record(mut self, house: &mut House, now: Now) -> CallReport {
        let kept = self.kept(EndCause::Fault);
        self.write_record(house, now, kept, EndCause::Fault);
        house.trace(now, self.id, format!("Over: {}", EndCause::Fault.code()));
        self.stage = Stage::Over;
        self.report()
    }

    /// The stage may have been lost in a fault, or be past the talk; that a recording was begun is not.
    fn kept(&self, cause: EndCause) -> Kept {
        if let Some(recording) = self.record.recording {
            return Kept::Recording(recording);
        }
        match (&self.stage, cause) {
            (Stage::Talking(talking), _) => talking.kept,
            (Stage::Transferring(transferring), _) => transferring.kept(),
            (Stage::Parted(talk), _) => talk.kept(),
            (
                Stage::ExpectPrack(_)
                | Stage::ExpectAck(_)
                | Stage::Announcing(_)
                | Stage::Calling { .. }
                | Stage::Passing { .. }
                | Stage::Joining(_)
                | Stage::Over,
                EndCause::CallerHungUp | EndCause::Cancelled,
            ) => Kept::Unrecorded(Reason::CallerHungUp),
            (
                Stage::ExpectPrack(_)
                | Stage::ExpectAck(_)
                | Stage::Announcing(_)
                | Stage::Calling { .. }
                | Stage::Passing { .. }
                | Stage::Joining(_)
                | Stage::Closing(_)
                | Stage::Over,
                _,
            ) => Kept::Unrecorded(Reason::NotAnswered),
        }
    }

    /// Writes the row. Of what is no citizen's call that came in nothing is written (K-02).
    pub(super) fn write_record(
        &mut self,
        house: &mut House,
        now: Now,
        kept: Kept,
        cause: EndCause,
    ) {
        call_record::close(&mut self.record, kept, cause, now);
        match self.direction {
            Direction::Inbound => {}
            Direction::Outbound | Direction::Internal => return,
        }
        let record = Box::new(self.record.clone());
        let order = match kept {
            Kept::Recording(_) => RecordOrder::End {
                call: self.id,
                record,
            },
            Kept::Unrecorded(_) => RecordOrder::Unrecorded {
                record,
                caller: self.caller.clone(),
            },
        };
        house.put(Output::Record(order));
    }
}

/// What a caller who was never answered gets when the call ends by no party's doing.
fn status(cause: EndCause) -> u16 {
    match cause {
        EndCause::Shutdown | EndCause::MediaLost | EndCause::Congestion => 503,
        EndCause::NotAcceptable => 488,
        EndCause::Fault | EndCause::Crash => 500,
        EndCause::CallerHungUp
        | EndCause::DepartmentHungUp
        | EndCause::Cancelled
        | EndCause::Busy
        | EndCause::NoAnswer
        | EndCause::Unreachable
        | EndCause::Rejected
        | EndCause::Closed
        | EndCause::LongestCall
        | EndCause::NotAcknowledged
        | EndCause::SessionExpired => 480,
    }
}

/// What CANCEL and BYE say of our own; nothing where a party hung up or gave up, which says itself why or needs no explanation.
fn reason(cause: EndCause) -> Option<&'static str> {
    match cause {
        EndCause::Shutdown => Some("Q.850;cause=38;text=\"Network out of order\""),
        EndCause::MediaLost | EndCause::Fault | EndCause::Crash => Some(Call::FAULT_REASON),
        EndCause::LongestCall => Some("Q.850;cause=31;text=\"Normal, unspecified\""),
        EndCause::NotAcknowledged | EndCause::SessionExpired => {
            Some("Q.850;cause=102;text=\"Recovery on timer expiry\"")
        }
        EndCause::Congestion => Some("Q.850;cause=42;text=\"Switching equipment congestion\""),
        EndCause::CallerHungUp
        | EndCause::DepartmentHungUp
        | EndCause::Cancelled
        | EndCause::Busy
        | EndCause::NoAnswer
        | EndCause::Unreachable
        | EndCause::Rejected
        | EndCause::Closed => None,
        EndCause::NotAcceptable => Some(Call::MEDIA_REASON),
    }
}
