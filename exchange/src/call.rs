//! A call, from the INVITE of whoever calls to the last BYE.
//!
//! Announce: `ExpectAck -> Announcing -> Calling -> Talking -> Over`, or `-> Closing -> Over` where no department answers.
//! Transparent, outbound and internal: `Passing -> Talking -> Over`; what the called side answers is passed on.
//! By a transfer `Talking -> Transferring -> Talking`, or `Talking -> (Parted ->) Talking` where two calls are joined.
//! Each stage owns what only it needs.
//! This file holds the stages and who hears what; `call/` holds what each stage does.

mod alone;
mod announcing;
mod attempts;
mod attended;
mod calling;
mod closing;
mod crossing;
mod fitting;
mod joining;
mod leaving;
mod legs;
mod negotiating;
mod parties;
mod proposal;
mod talking;
mod transferring;

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use announcements::Prompt;
use jiff::Timestamp;
use media::{LegId, OfferedLeg, PlaybackId, sdp};
use rules::{
    CallId, CallRecord, Caller, CutShort, EmergencyId, EndCause, Keeping, Number, NumberPolicy,
    Played,
};
use sip_core::{DialogId, Event, PeerId, Transport};

use crate::{
    call::{
        announcing::{Announcing, Notice},
        attempts::Attempts,
        closing::Closing,
        crossing::Crossing,
        joining::Joining,
        negotiating::{End, Negotiation},
        talking::Talking,
        transferring::{Talk, Transferring},
    },
    call_record,
    direction::Direction,
    exchange::NoticeStamp,
    house::House,
    leg::{Leg, Session},
    now::Now,
    output::RecorderFault,
    report::{CallReport, EndedBy, Ending, Recorded},
    route::{Destination, Failure},
};

pub(crate) use self::{
    attempts::Reliability,
    attended::{Handover, Prospect, Terms},
    parties::Parties,
    transferring::{Referral, Replacement},
};

/// A call.
pub(crate) struct Call {
    id: CallId,
    /// The peer that called, and the one that was called last.
    peers: Vec<String>,
    direction: Direction,
    /// Whoever called.
    origin: Leg,
    /// What the origin offered: what the far side may be offered. None where the first offer is to be ours.
    offer: Option<sdp::RemoteMedia>,
    negotiation: Negotiation,
    crossings: Vec<Crossing>,
    /// Legs from which nothing has come for a while.
    silent: BTreeSet<LegId>,
    /// Where the called one may be found, in order.
    destinations: VecDeque<Destination>,
    parties: Parties,
    reliability: Reliability,
    caller: Caller,
    record: CallRecord,
    stage: Stage,
    stage_since: Timestamp,
}

/// Where a call stands, and what only that stage has.
enum Stage {
    /// Our 183 is out, for the notice comes before the answer. It begins when the PRACK shows that the carrier knows where we are.
    ExpectPrack(Notice),
    /// Our 200 is out. The notice begins when its ACK shows that the carrier knows where we are.
    ExpectAck(Notice),
    /// The notice is going out; no department has been called.
    Announcing(Announcing),
    /// The caller is answered, was told, and hears ringback; departments are called.
    Calling {
        attempts: Attempts,
        keeping: Keeping,
    },
    /// The caller is not answered; the called side is called, and what it answers is passed on.
    Passing {
        attempts: Attempts,
        keeping: Keeping,
    },
    /// The far side has answered; the caller has our offer, and its answer is still to come.
    Joining(Joining),
    /// Both hear each other.
    Talking(Talking),
    /// One party is to be replaced by another, who is called while the first waits.
    Transferring(Box<Transferring>),
    /// The party of another call is to be joined with the one that is left; whoever transfers has hung up.
    Parted(Talk),
    /// The caller is told why nobody answers.
    Closing(Closing),
    /// Both legs have ended or are being ended; the record is written.
    Over,
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Stage::ExpectPrack(_) => "ExpectPrack",
            Stage::ExpectAck(_) => "ExpectAck",
            Stage::Announcing(_) => "Announcing",
            Stage::Calling { .. } => "Calling",
            Stage::Passing { .. } => "Passing",
            Stage::Joining(_) => "Joining",
            Stage::Talking(_) => "Talking",
            Stage::Transferring(_) => "Transferring",
            Stage::Parted(_) => "Parted",
            Stage::Closing(_) => "Closing",
            Stage::Over => "Over",
        }
    }
}

/// A call as it comes in, once it is known that it may.
pub(crate) struct Arrival {
    pub(crate) id: CallId,
    pub(crate) dialog: DialogId,
    pub(crate) legs: [OfferedLeg; 2],
    pub(crate) theirs: Option<sdp::RemoteMedia>,
    pub(crate) peer: PeerId,
    pub(crate) transport: Transport,
    pub(crate) parties: Parties,
    pub(crate) reliability: Reliability,
    pub(crate) errand: Errand,
}

/// Whom a call is for.
pub(crate) enum Errand {
    /// One of the city's numbers, as its policy says.
    City(Direction, NumberPolicy),
    /// Somebody outside.
    Outside(Number),
}

impl Errand {
    /// Where the called one may be found, in order.
    pub(crate) fn destinations(&self, house: &House) -> VecDeque<Destination> {
        match self {
            Errand::City(_, policy) => house.department(&policy.department),
            Errand::Outside(_) => VecDeque::from([Destination::outside()]),
        }
    }
}

/// Whether RTP comes from a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    Speech,
    Silence,
}

/// What reaches a call.
pub(crate) enum CallInput {
    /// Something on one of its dialogs.
    Sip { dialog: DialogId, event: Event },
    /// A REFER that its sender may send.
    Refer(Box<Referral>),
    /// Its party that stays when the one of this dialog goes is to be joined with one of another call.
    Attend(DialogId),
    /// That party has to be asked for this.
    AskToJoin(Box<Terms>),
    /// The join has come to nothing, for which this status stands.
    NotJoined(u16),
    /// The leg of another call is joined with that party.
    Receive(Box<Handover>),
    /// An INVITE wants the place of one of its parties, and may have it.
    Replace(Box<Replacement>),
    /// The notice is over, to its end or cut.
    NoticeEnded(Result<Played, CutShort>),
    /// Another prompt is over.
    PromptEnded(PlaybackId),
    /// Whether a leg's party is heard.
    Hearing(LegId, Hearing),
    /// How far the numbers of a secure leg's party have come.
    Counted(LegId, sdp::Counted),
    /// The recorder reports.
    Recorder(RecorderFault),
    /// Its deadline has come.
    Timeout,
    /// It must end, for a reason that is no party's.
    End(EndCause),
}

impl Call {
    /// What BYE and CANCEL say when a fault of ours ends a call.
    pub(crate) const FAULT_REASON: &'static str = "Q.850;cause=41;text=\"Temporary failure\"";

    /// What BYE says to whoever has media that cannot be used.
    const MEDIA_REASON: &'static str = "Q.850;cause=65;text=\"Bearer capability not implemented\"";

    /// Makes the call of an INVITE; its second port pair is for the first attempt.
    pub(crate) fn new(
        house: &mut House,
        now: Now,
        arrival: Arrival,
        emergency: Option<EmergencyId>,
    ) -> (Call, OfferedLeg) {
        let Arrival {
            id,
            dialog,
            legs: [lent, far],
            theirs,
            peer,
            transport,
            parties,
            reliability,
            errand,
        } = arrival;
        let caller = parties.caller();
        let origin = Leg {
            peer,
            outside: None,
            dialog,
            lent,
            local: house.new_local(lent, peer, transport),
            session: match theirs {
                Some(_) => Session::Offered,
                None => Session::Unbegun,
            },
            counted: None,
        };
        let destinations = errand.destinations(house);
        let (direction, called, department) = match errand {
            Errand::City(direction, policy) => (direction, policy.number, policy.department),
            Errand::Outside(number) => (Direction::Outbound, number, String::new()),
        };
        let record = call_record::open(id, called, department, emergency, now);
        let call = Call {
            id,
            peers: house.peer_name(peer).into_iter().collect(),
            direction,
            origin,
            offer: theirs,
            negotiation: Negotiation::Idle,
            crossings: Vec::new(),
            silent: BTreeSet::new(),
            destinations,
            parties,
            reliability,
            caller,
            record,
            stage: Stage::Over,
            stage_since: now.wall,
        };
        (call, far)
    }

    /// The number that was called.
    pub(crate) fn called(&self) -> &Number {
        &self.record.called
    }

    /// The number outside that one of its legs has called; none for a call within, and for an emergency call.
    pub(crate) fn outside(&self) -> Option<&Number> {
        let legs = [Some(&self.origin), self.far_leg()];
        legs.into_iter()
            .flatten()
            .find_map(|leg| leg.outside.as_ref())
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    pub(crate) fn shard(&self) -> u16 {
        self.origin.lent.leg.shard
    }

    /// The call as people are shown it.
    pub(crate) fn report(&self) -> CallReport {
        let record = &self.record;
        let ending = record.ended_at.zip(record.end_cause);
        CallReport {
            id: self.id,
            direction: self.direction,
            stage: self.stage.name(),
            since: self.stage_since,
            started_at: record.started_at,
            answered_at: record.answered_at,
            caller: self.parties.shown_caller(self.direction),
            called: CallReport::masked(Some(&record.called)),
            peers: self.peers.clone(),
            recorded: match (self.direction, &self.stage) {
                (Direction::Outbound | Direction::Internal, _) => Recorded::Never,
                // The record learns why it is not at its end.
                (Direction::Inbound, Stage::Talking(talking)) => talking.kept.into(),
                (Direction::Inbound, Stage::Transferring(transferring)) => {
                    transferring.kept().into()
                }
                (Direction::Inbound, Stage::Parted(talk)) => talk.kept().into(),
                (
                    Direction::Inbound,
                    Stage::ExpectPrack(_)
                    | Stage::ExpectAck(_)
                    | Stage::Announcing(_)
                    | Stage::Calling { .. }
                    | Stage::Passing { .. }
                    | Stage::Joining(_)
                    | Stage::Closing(_)
                    | Stage::Over,
                ) => CallReport::recorded(record),
            },
            emergency: record.emergency,
            ending: ending.map(|(at, cause)| Ending {
                at,
                by: EndedBy::Cause(cause),
            }),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        match self.stage {
            Stage::Over => true,
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_) => false,
        }
    }

    /// The notice, where this playback is the one that this call waits for.
    pub(crate) fn notice(&self, playback: PlaybackId) -> Option<NoticeStamp> {
        match &self.stage {
            Stage::Announcing(announcing) if announcing.playback == playback => {
                Some(announcing.stamp())
            }
            Stage::Announcing(_)
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    /// When the call wants to be looked at, and why.
    pub(crate) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match &self.stage {
            // The endpoint repeats our 200 and reports a missing ACK; it ends each re-INVITE of ours.
            Stage::Joining(_) | Stage::Parted(_) | Stage::Over => None,
            Stage::ExpectPrack(notice) | Stage::ExpectAck(notice) => Some((
                notice.until,
                "call: the caller should have acknowledged our answer",
            )),
            Stage::Announcing(announcing) => {
                Some((announcing.until, "call: the notice should have ended"))
            }
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => {
                Some((attempts.until(), "call: the far side has rung long enough"))
            }
            // No cap of ours ends an emergency call (S-17).
            Stage::Talking(talking) if self.parties.is_emergency() => self
                .is_silent(talking)
                .then_some((talking.until, "call: nobody is heard")),
            Stage::Talking(talking) => Some((talking.until, "call: longest call")),
            Stage::Transferring(transferring) => Some((
                transferring.attempts.until(),
                "call: the target of a transfer has rung long enough",
            )),
            Stage::Closing(closing) => {
                Some((closing.until, "call: the closing prompt should have ended"))
            }
        }
    }

    /// Handles one input. Whoever is in the wrong stage for it is named where it is ignored.
    pub(crate) fn handle(&mut self, house: &mut House, now: Now, input: CallInput) {
        match input {
            CallInput::Sip { dialog, event } => self.handle_sip(house, now, dialog, event),
            CallInput::Refer(referral) => {
                let request = referral.request;
                if let Err(status) = self.refer(house, now, *referral) {
                    house.answer_plainly(now, request, status);
                }
            }
            CallInput::Attend(leaving) => self.attend(leaving),
            CallInput::AskToJoin(terms) => self.ask_to_join(house, now, &terms),
            CallInput::NotJoined(status) => self.not_joined(house, now, status),
            CallInput::Receive(handover) => self.receive(house, now, *handover),
            CallInput::Replace(replacement) => self.replace(house, now, *replacement),
            CallInput::NoticeEnded(report) => self.notice_ended(house, now, &report),
            CallInput::PromptEnded(playback) => self.prompt_ended(house, now, playback),
            CallInput::Hearing(leg, hearing) => self.hears(house, now, leg, hearing),
            CallInput::Counted(leg, counted) => self.counted(leg, counted),
            CallInput::Recorder(fault) => self.recorder_failed(house, now, fault),
            CallInput::Timeout => self.time_out(house, now),
            CallInput::End(cause) => self.end(house, now, cause),
        }
    }

    fn handle_sip(&mut self, house: &mut House, now: Now, dialog: DialogId, event: Event) {
        let rest = self
            .handle_offers(house, now, dialog, event)
            .and_then(|event| self.handle_requests(house, now, dialog, event));
        match rest {
            Some(Event::SessionExpired { .. }) => self.session_expired(house, now, dialog),
            Some(Event::Ended { .. }) if self.is_leaving(dialog) => {
                self.leaving_hung_up(house, now, dialog);
            }
            // Nobody waits for the ACK of whoever is leaving: its session stays as it was before.
            Some(Event::AckMissing { .. }) if self.is_leaving(dialog) => {
                self.take_reoffered(dialog);
            }
            Some(event) if dialog == self.origin.dialog => self.handle_origin(house, now, event),
            Some(event) => self.handle_far(house, now, dialog, event),
            None => {}
        }
    }

    fn handle_origin(&mut self, house: &mut House, now: Now, event: Event) {
        match event {
            Event::Acked { body, .. } => self.acknowledged(house, now, body.as_ref()),
            Event::Pracked { body, .. } => self.origin_pracked(house, now, body.as_ref()),
            Event::AckMissing { .. } => self.unacknowledged(house, now, self.origin.dialog),
            Event::PrackMissing { .. } => self.fail(house, now, EndCause::NotAcknowledged),
            Event::Cancelled { message, .. } => {
                self.parties.hear_goodbye(house, self.origin.peer, &message);
                self.end(house, now, EndCause::Cancelled);
            }
            Event::Ended { message, .. } => {
                self.parties.hear_goodbye(house, self.origin.peer, &message);
                self.caller_hung_up(house, now);
            }
            // Our own BYE to the origin is sent only when the call is over.
            Event::ByeDone { .. } => {}
            // Events of an INVITE of ours, which the origin never gets, those that were handled above, and those that the exchange
            // keeps for itself.
            Event::Rang { .. }
            | Event::Silent { .. }
            | Event::Accepted { .. }
            | Event::AcceptedLate { .. }
            | Event::Rejected { .. }
            | Event::NoResponse { .. }
            | Event::Reinvited { .. }
            | Event::Withdrawn { .. }
            | Event::Reacked { .. }
            | Event::Updated { .. }
            | Event::Modified { .. }
            | Event::NotModified { .. }
            | Event::SessionExpired { .. }
            | Event::Answered { .. }
            | Event::Invited { .. }
            | Event::Requested { .. } => {}
        }
    }

    fn handle_far(&mut self, house: &mut House, now: Now, dialog: DialogId, event: Event) {
        match event {
            Event::Rang {
                status,
                message,
                delivery,
                ..
            } => self.far_rang(house, now, dialog, status, &message, delivery),
            Event::Silent { .. } => self.far_silent(house, now, dialog),
            Event::Accepted { message, .. } => {
                self.far_answered(house, now, dialog, &message);
            }
            Event::Rejected {
                status, message, ..
            } => self.far_refused(house, now, dialog, status, &message),
            Event::NoResponse { .. } => {
                self.attempt_failed(house, now, dialog, Failure::NO_RESPONSE);
            }
            Event::Ended { message, .. } => {
                if let Some(peer) = self.far_peer(dialog) {
                    self.parties.hear_goodbye(house, peer, &message);
                }
                self.far_hung_up(house, now, dialog);
            }
            // Our answer to a re-INVITE of theirs.
            Event::AckMissing { .. } if self.end_of(dialog).is_some() => {
                self.unacknowledged(house, now, dialog);
            }
            Event::AckMissing { .. } => {}
            // An attempt that was given up ends without the call.
            Event::AcceptedLate { .. } | Event::ByeDone { .. } => {}
            // Events of an INVITE of theirs, which the far side's never is, those that were handled above, and those that the
            // exchange keeps for itself.
            Event::Acked { .. }
            | Event::Pracked { .. }
            | Event::PrackMissing { .. }
            | Event::Cancelled { .. }
            | Event::Reinvited { .. }
            | Event::Withdrawn { .. }
            | Event::Reacked { .. }
            | Event::Updated { .. }
            | Event::Modified { .. }
            | Event::NotModified { .. }
            | Event::SessionExpired { .. }
            | Event::Answered { .. }
            | Event::Invited { .. }
            | Event::Requested { .. } => {}
        }
    }

    /// A party knows nothing of its dialog any more. Where it is leaving by a transfer, the transfer goes on.
    fn dialog_gone(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        if self.is_leaving(dialog) {
            self.leaving_hung_up(house, now, dialog);
        }
        match self.end_of(dialog) {
            Some(end) => self.end_of_party(house, now, end),
            None => house.end(now, dialog, 480, None),
        }
    }

    /// A party that is not there any more, by what its telephone system says.
    fn end_of_party(&mut self, house: &mut House, now: Now, end: End) {
        match end {
            End::Origin | End::Far if self.is_held_up() => {
                house.trace(now, self.id, "goes on without an answer");
            }
            End::Origin => self.caller_hung_up(house, now),
            End::Far => self.end(house, now, EndCause::DepartmentHungUp),
        }
    }

    fn time_out(&mut self, house: &mut House, now: Now) {
        match self.stage {
            Stage::Announcing(_) => self.notice_unreported(house, now),
            Stage::Calling { .. } | Stage::Passing { .. } | Stage::Transferring(_) => {
                self.ring_time_over(house, now);
            }
            Stage::Talking(_) if self.parties.is_emergency() => self.end_if_silent(house, now),
            Stage::Talking(_) => self.end(house, now, EndCause::LongestCall),
            Stage::Closing(_) => self.closing_prompt_unreported(house, now),
            Stage::ExpectPrack(_) | Stage::ExpectAck(_) => {
                self.end(house, now, EndCause::NotAcknowledged);
            }
            // None has a deadline.
            Stage::Joining(_) | Stage::Parted(_) | Stage::Over => {}
        }
    }

    /// Goes on to the next stage and says so.
    fn enter(&mut self, house: &mut House, now: Now, stage: Stage) {
        house.trace(now, self.id, stage.name());
        self.stage = stage;
        self.stage_since = now.wall;
    }

    fn origin_leg(&self) -> LegId {
        self.origin.id()
    }
}

/// Says which prompt it is, wherever the stages play one.
fn length(prompt: &Prompt) -> Duration {
    // 8,000 samples a second.
    Duration::from_micros(prompt.clip.samples().saturating_mul(125))
}
