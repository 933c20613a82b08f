//! Both parties hear each other; the recorder hears them too where a notice allows it.

use std::time::Instant;

use media::{Command, LegId, channel};
use rules::{EndCause, Keeping, Notice, Reason};
use sip_core::DialogId;

use crate::{
    call::{Call, Hearing, Stage},
    call_record::Kept,
    house::{House, SILENCE},
    leg::{Leg, Session},
    now::Now,
    output::{Alarm, Begin, Codecs, Next, Output, RecordOrder, RecorderFault},
    route::Failure,
    settings::FaultMoment,
};

/// A connected call.
pub(super) struct Talking {
    pub(super) far: Leg,
    pub(super) kept: Kept,
    /// How long it may last; of an emergency call, from when on silence on both legs ends it.
    pub(super) until: Instant,
}

/// 1.86 s of both parties at 20 ms: what a recorder may be behind before frames are refused.
///
/// 186 frames of 176 bytes are the allocator's block of 32 KiB; two whole seconds would take one of 40 (P-04).
const RING_FRAMES: usize = 186;

impl Call {
    /// The bridge stands; the gate to the recorder opens now, or not at all.
    pub(super) fn connect(&mut self, house: &mut House, now: Now, far: Leg, keeping: Keeping) {
        self.record.answered_at = Some(now.wall);
        let kept = match keeping {
            Keeping::Record(notice) => self.begin_recording(house, now, &far, notice),
            Keeping::Unrecorded(reason) => {
                house.trace(now, self.id, format!("not recorded: {reason}"));
                Kept::Unrecorded(reason)
            }
        };
        let until = if self.parties.is_emergency() {
            // Nobody has to be heard before there is an answer.
            now.at + SILENCE
        } else {
            now.at + house.settings.limits.longest_call
        };
        self.enter(house, now, Stage::Talking(Talking { far, kept, until }));
    }

    /// The recording goes on with another party, or the same one again, as its next segment (S-09).
    ///
    /// What the caller was told holds: there is no second announcement, and the notice stays with the recording.
    pub(super) fn next_segment(&mut self, house: &mut House, now: Now) {
        let Stage::Talking(talking) = &self.stage else {
            return;
        };
        let (Kept::Recording(_), Some(ours), Some(theirs)) =
            (talking.kept, self.origin.agreed(), talking.far.agreed())
        else {
            return;
        };
        let codecs = Codecs {
            carrier: ours.codec,
            department: theirs.codec,
        };
        let (carrier, department) = (self.origin_leg(), talking.far.id());
        let (fork, tap) = channel(RING_FRAMES);
        let next = Next {
            call: self.id,
            tap,
            codecs,
        };
        house.trace(now, self.id, "recording: next segment");
        house.put(Output::Record(RecordOrder::Next(Box::new(next))));
        let fork = Command::Fork {
            carrier,
            department,
            fork,
        };
        house.command(carrier, fork);
    }

    fn begin_recording(&mut self, house: &mut House, now: Now, far: &Leg, notice: Notice) -> Kept {
        let (Session::Agreed(ours), Session::Agreed(theirs)) = (&self.origin.session, &far.session)
        else {
            // A connected call has agreed on both legs; if it had not, there would be nothing to record.
            return Kept::Unrecorded(Reason::RecorderFault);
        };
        let codecs = Codecs {
            carrier: ours.codec,
            department: theirs.codec,
        };
        let recording = house.new_recording_id(now);
        self.record.recording = Some(recording);
        self.record.notice = Some(notice.record());
        house.trace(now, self.id, format!("recording: {}", notice.kind().code()));
        let (fork, tap) = channel(RING_FRAMES);
        let (record, caller) = (self.record.clone(), self.caller.clone());
        let begin = Begin {
            call: self.id,
            recording,
            notice,
            tap,
            record,
            caller,
            codecs,
        };
        house.put(Output::Record(RecordOrder::Begin(Box::new(begin))));
        let carrier = self.origin_leg();
        house.command(
            carrier,
            Command::Fork {
                carrier,
                department: far.id(),
                fork,
            },
        );
        Kept::Recording(recording)
    }

    /// The recorder has trouble. The call hears nothing of it (law 1).
    pub(super) fn recorder_failed(&mut self, house: &mut House, now: Now, fault: RecorderFault) {
        let carrier = self.origin_leg();
        match (&self.stage, fault) {
            (
                Stage::Talking(_) | Stage::Transferring(_) | Stage::Parted(_),
                RecorderFault::NotBegun,
            ) => {
                self.keep_nothing(Reason::RecorderFault);
                // Whoever closes the record later, a fault included, must not end a recording that never began.
                self.record.recording = None;
                self.record.notice = None;
                house.command(carrier, Command::Unfork { carrier });
                house.trace(now, self.id, "not recorded: RECORDER_FAULT");
                house.alarm(Alarm::Recorder { call: self.id });
            }
            (
                Stage::Talking(_) | Stage::Transferring(_) | Stage::Parted(_),
                RecorderFault::Interrupted,
            ) => {
                house.trace(now, self.id, "recording has a gap");
                house.alarm(Alarm::Recorder { call: self.id });
            }
            // Nothing is recorded in these stages.
            (
                Stage::ExpectPrack(_)
                | Stage::ExpectAck(_)
                | Stage::Announcing(_)
                | Stage::Calling { .. }
                | Stage::Passing { .. }
                | Stage::Joining(_)
                | Stage::Closing(_)
                | Stage::Over,
                RecorderFault::NotBegun | RecorderFault::Interrupted,
            ) => {}
        }
    }

    /// The called side said BYE, and was answered.
    pub(super) fn far_hung_up(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        house
            .settings
            .inject_fault(&self.record.called, FaultMoment::HangingUp);
        match &self.stage {
            Stage::Talking(talking) if talking.far.dialog == dialog => {
                self.end(house, now, EndCause::DepartmentHungUp);
            }
            Stage::Joining(joining) if joining.far.dialog == dialog => {
                self.end(house, now, EndCause::DepartmentHungUp);
            }
            // It hangs up before it has answered (RFC 3261 section 15): nobody is there any more.
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. }
                if attempts.is_current(dialog) =>
            {
                self.attempt_failed(house, now, dialog, Failure::HUNG_UP_EARLY);
            }
            Stage::Transferring(transferring) if transferring.attempts.is_current(dialog) => {
                self.attempt_failed(house, now, dialog, Failure::HUNG_UP_EARLY);
            }
            // Of an attempt that was hung up on by us: both BYEs crossed.
            Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Closing(_)
            | Stage::Over => {}
        }
    }
}

impl Call {
    /// A session was not refreshed (RFC 4028 section 10): its party is not there any more.
    ///
    /// An emergency call goes on: only a party's BYE, or silence on both legs, ends it (S-17).
    pub(super) fn session_expired(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        house.trace(now, self.id, "session expired");
        if self.is_leaving(dialog) {
            self.leaving_hung_up(house, now, dialog);
        }
        if self.end_of(dialog).is_none() {
            return house.end(
                now,
                dialog,
                480,
                Some("Q.850;cause=102;text=\"Recovery on timer expiry\""),
            );
        }
        if !self.parties.is_emergency() {
            self.end(house, now, EndCause::SessionExpired);
        }
    }

    /// A party is heard again, or has not been for a while.
    pub(super) fn hears(&mut self, house: &mut House, now: Now, leg: LegId, hearing: Hearing) {
        match hearing {
            Hearing::Speech => self.silent.remove(&leg),
            Hearing::Silence => self.silent.insert(leg),
        };
        self.end_if_silent(house, now);
    }

    /// Whether a leg's party is heard.
    pub(super) fn hearing(&self, leg: LegId) -> Hearing {
        match self.silent.contains(&leg) {
            true => Hearing::Silence,
            false => Hearing::Speech,
        }
    }

    /// Whether nobody is heard on either leg.
    pub(super) fn is_silent(&self, talking: &Talking) -> bool {
        let legs = [self.origin_leg(), talking.far.id()];
        legs.iter().all(|leg| self.silent.contains(leg))
    }

    /// Ends an emergency call in which nobody has been heard for long enough.
    pub(super) fn end_if_silent(&mut self, house: &mut House, now: Now) {
        let Stage::Talking(talking) = &self.stage else {
            return;
        };
        let is_over = talking.until <= now.at && self.is_silent(talking);
        if is_over && self.parties.is_emergency() {
            house.trace(now, self.id, "silence on both legs");
            self.end(house, now, EndCause::SessionExpired);
        }
    }

    /// Whether only a party's BYE, or silence, may end the call: an emergency call whose parties talk (S-17).
    pub(super) fn is_held_up(&self) -> bool {
        let is_talking = matches!(
            self.stage,
            Stage::Talking(_) | Stage::Transferring(_) | Stage::Parted(_)
        );
        self.parties.is_emergency() && is_talking
    }

    /// Something between us and a party has failed: the call ends, unless it is to be held up.
    pub(super) fn fail(&mut self, house: &mut House, now: Now, cause: EndCause) {
        if self.is_held_up() {
            house.trace(now, self.id, format!("goes on: {}", cause.code()));
        } else {
            self.end(house, now, cause);
        }
    }
}
