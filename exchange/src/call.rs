//! A call, from the INVITE of whoever calls to the last BYE.
//!
//! Announce: `ExpectAck -> Announcing -> Calling -> Talking -> Over`, or `-> Closing -> Over` where no department answers.
//! Transparent, outbound and internal: `Passing -> Talking -> Over`; what the called side answers is passed on.
//! Each stage owns what only it needs.
//! This file holds the stages and who hears what; `call/` holds what each stage does.

mod announcing;
mod calling;
mod closing;
mod talking;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use announcements::Prompt;
use jiff::Timestamp;
use media::{LegId, OfferedLeg, PlaybackId, sdp};
use rules::{
    CallId, CallRecord, Caller, CutShort, EmergencyId, EndCause, Keeping, Number, NumberPolicy,
    Played,
};
use sip_core::{DialogId, Event, Message, NameAddrText, PeerId, RequestId, Scheme, Uri};

use crate::{
    call::{
        announcing::{Announcing, Notice},
        calling::Attempts,
        closing::Closing,
        talking::Talking,
    },
    call_record,
    direction::Direction,
    exchange::NoticeStamp,
    house::House,
    leg::{Leg, Session},
    now::Now,
    output::RecorderFault,
    report::{CallReport, EndedBy, Ending, Recorded},
    route::{Destination, Failure, phrase},
};

/// A call.
pub(crate) struct Call {
    id: CallId,
    /// The peer that called, and the one that was called last.
    peers: Vec<String>,
    direction: Direction,
    /// Whoever called.
    origin: Leg,
    /// What the origin offered: what the far side may be offered.
    offer: sdp::RemoteMedia,
    /// Where the called one may be found, in order.
    destinations: VecDeque<Destination>,
    onward: Onward,
    caller: Caller,
    record: CallRecord,
    stage: Stage,
    stage_since: Timestamp,
}

/// Where a call stands, and what only that stage has.
enum Stage {
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
    /// Both hear each other.
    Talking(Talking),
    /// The caller is told why nobody answers.
    Closing(Closing),
    /// Both legs have ended or are being ended; the record is written.
    Over,
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Stage::ExpectAck(_) => "ExpectAck",
            Stage::Announcing(_) => "Announcing",
            Stage::Calling { .. } => "Calling",
            Stage::Passing { .. } => "Passing",
            Stage::Talking(_) => "Talking",
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
    pub(crate) theirs: sdp::RemoteMedia,
    pub(crate) peer: PeerId,
    pub(crate) errand: Errand,
}

/// Whom a call is for.
pub(crate) enum Errand {
    /// One of the city's numbers, as its policy says.
    City(Direction, NumberPolicy),
    /// Somebody outside.
    Outside(Number),
}

/// What crosses to the far leg, in the form in which it came (S-08). Everything else of the INVITE stays behind (T-16).
struct Onward {
    called_user: String,
    from: NameAddrText,
    max_forwards: u8,
}

/// What reaches a call.
pub(crate) enum CallInput {
    /// Something on one of its dialogs.
    Sip { dialog: DialogId, event: Event },
    /// The notice is over, to its end or cut.
    NoticeEnded(Result<Played, CutShort>),
    /// Another prompt is over.
    PromptEnded(PlaybackId),
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

    /// Makes the call of an INVITE; its second port pair is for the first attempt.
    pub(crate) fn new(
        house: &mut House,
        now: Now,
        arrival: Arrival,
        request: &Message,
        emergency: Option<EmergencyId>,
    ) -> (Call, OfferedLeg) {
        let Arrival {
            id,
            dialog,
            legs: [lent, far],
            theirs,
            peer,
            errand,
        } = arrival;
        let (onward, caller) = read_parties(house, request);
        let origin = Leg {
            peer,
            dialog,
            lent,
            local: house.new_local(lent),
            session: Session::Offered,
        };
        let (direction, called, department, destinations) = match errand {
            Errand::City(direction, policy) => {
                let destinations = house.department(&policy.department);
                (direction, policy.number, policy.department, destinations)
            }
            Errand::Outside(number) => {
                let destinations = VecDeque::from([Destination::outside()]);
                (Direction::Outbound, number, String::new(), destinations)
            }
        };
        let record = call_record::open(id, called, department, emergency, now);
        let call = Call {
            id,
            peers: house.peer_name(peer).into_iter().collect(),
            direction,
            origin,
            offer: theirs,
            destinations,
            onward,
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
            caller: CallReport::masked_caller(&self.caller),
            called: CallReport::masked(Some(&record.called)),
            peers: self.peers.clone(),
            recorded: match (self.direction, &self.stage) {
                (Direction::Outbound | Direction::Internal, _) => Recorded::Never,
                // The record learns why it is not at its end.
                (Direction::Inbound, Stage::Talking(talking)) => talking.kept.into(),
                (
                    Direction::Inbound,
                    Stage::ExpectAck(_)
                    | Stage::Announcing(_)
                    | Stage::Calling { .. }
                    | Stage::Passing { .. }
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
            Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Talking(_)
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
            | Stage::ExpectAck(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Talking(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    /// When the call wants to be looked at, and why.
    pub(crate) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match &self.stage {
            // The endpoint repeats our 200 and reports a missing ACK.
            Stage::ExpectAck(_) | Stage::Over => None,
            Stage::Announcing(announcing) => {
                Some((announcing.until, "call: the notice should have ended"))
            }
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => {
                Some((attempts.until(), "call: the far side has rung long enough"))
            }
            Stage::Talking(talking) => Some((talking.until, "call: longest call")),
            Stage::Closing(closing) => {
                Some((closing.until, "call: the closing prompt should have ended"))
            }
        }
    }

    /// Handles one input. Whoever is in the wrong stage for it is named where it is ignored.
    pub(crate) fn handle(&mut self, house: &mut House, now: Now, input: CallInput) {
        match input {
            CallInput::Sip { dialog, event } if dialog == self.origin.dialog => {
                self.handle_origin(house, now, event);
            }
            CallInput::Sip { dialog, event } => self.handle_far(house, now, dialog, event),
            CallInput::NoticeEnded(report) => self.notice_ended(house, now, &report),
            CallInput::PromptEnded(playback) => self.prompt_ended(house, now, playback),
            CallInput::Recorder(fault) => self.recorder_failed(house, now, fault),
            CallInput::Timeout => self.time_out(house, now),
            CallInput::End(cause) => self.end(house, now, cause),
        }
    }

    fn handle_origin(&mut self, house: &mut House, now: Now, event: Event) {
        match event {
            Event::Acked { .. } => self.acknowledged(house, now),
            Event::AckMissing { .. } => self.end(house, now, EndCause::NotAcknowledged),
            Event::Cancelled { .. } => self.end(house, now, EndCause::Cancelled),
            Event::Ended { .. } => self.caller_hung_up(house, now),
            Event::Reinvited {
                request, message, ..
            }
            | Event::Updated {
                request, message, ..
            } => answer_reinvite(house, now, &self.origin, request, &message),
            // Nobody is there any more.
            Event::SessionExpired { .. } => self.end(house, now, EndCause::CallerHungUp),
            Event::PrackMissing { .. } => self.end(house, now, EndCause::NotAcknowledged),
            // What follows a change of ours, or tells that one of theirs is complete.
            Event::Pracked { .. }
            | Event::Reacked { .. }
            | Event::Modified { .. }
            | Event::NotModified { .. }
            | Event::Answered { .. } => {}
            // Our own BYE to the origin is sent only when the call is over.
            Event::ByeDone { .. } => {}
            // Events of an INVITE of ours, which the origin never gets, and those that the exchange keeps for itself.
            Event::Rang { .. }
            | Event::Silent { .. }
            | Event::Accepted { .. }
            | Event::AcceptedLate { .. }
            | Event::Rejected { .. }
            | Event::NoResponse { .. }
            | Event::Invited { .. }
            | Event::Requested { .. } => {}
        }
    }

    fn handle_far(&mut self, house: &mut House, now: Now, dialog: DialogId, event: Event) {
        match event {
            Event::Rang {
                status, message, ..
            } => self.far_rang(house, now, dialog, status, &message),
            Event::Accepted { message, .. } => {
                self.far_answered(house, now, dialog, &message);
            }
            Event::Rejected { status, .. } => {
                self.attempt_failed(house, now, dialog, Failure::answered(status));
            }
            Event::NoResponse { .. } => {
                self.attempt_failed(house, now, dialog, Failure::NO_RESPONSE);
            }
            Event::Ended { .. } => self.far_hung_up(house, now, dialog),
            Event::Reinvited {
                request, message, ..
            }
            | Event::Updated {
                request, message, ..
            } => self.far_reinvited(house, now, dialog, request, &message),
            // Nobody is there any more.
            Event::SessionExpired { .. } => self.end(house, now, EndCause::DepartmentHungUp),
            // An attempt has its own ring time.
            Event::Silent { .. } => {}
            // What follows a change of ours, or tells that one of theirs is complete.
            Event::Reacked { .. }
            | Event::Modified { .. }
            | Event::NotModified { .. }
            | Event::Answered { .. } => {}
            // An attempt that was given up ends without the call.
            Event::AcceptedLate { .. } | Event::ByeDone { .. } => {}
            // Events of an INVITE of theirs, which the far side's never is, and those that the exchange keeps for itself.
            Event::Acked { .. }
            | Event::AckMissing { .. }
            | Event::Cancelled { .. }
            | Event::Pracked { .. }
            | Event::PrackMissing { .. }
            | Event::Invited { .. }
            | Event::Requested { .. } => {}
        }
    }

    fn time_out(&mut self, house: &mut House, now: Now) {
        match self.stage {
            Stage::Announcing(_) => self.notice_unreported(house, now),
            Stage::Calling { .. } | Stage::Passing { .. } => self.ring_time_over(house, now),
            Stage::Talking(_) => self.end(house, now, EndCause::LongestCall),
            Stage::Closing(_) => self.closing_prompt_unreported(house, now),
            // Neither has a deadline.
            Stage::ExpectAck(_) | Stage::Over => {}
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

/// Answers a re-INVITE: 200 with what we said before where nothing changes, else 488, and the session stays as it was.
fn answer_reinvite(house: &mut House, now: Now, leg: &Leg, request: RequestId, message: &Message) {
    let answer = match &leg.session {
        Session::Agreed(agreed) if message.has_sdp() => match sdp::parse(&message.body()) {
            Ok(later) if agreed.theirs.changes_nothing(&later) => Some(agreed.ours.clone()),
            Ok(_) | Err(_) => None,
        },
        // Without an offer of its own it asks for one of ours, which would begin a change.
        Session::Agreed(_) | Session::Offered => None,
    };
    let endpoint = &mut house.endpoint;
    match answer {
        Some(body) => endpoint.respond(now.at, request, 200, "OK", Vec::new(), Some(body)),
        None => endpoint.respond(now.at, request, 488, phrase(488), Vec::new(), None),
    }
}

/// Reads what crosses, and who calls.
fn read_parties(house: &House, request: &Message) -> (Onward, Caller) {
    let called_user = request
        .request_uri()
        .and_then(|uri| user_as_it_came(&uri))
        .unwrap_or_default();
    let (from, caller) = match request.from() {
        Ok(from) => {
            let uri = from.uri();
            let display = from.display().map(std::borrow::Cow::into_owned);
            let number = uri.user_number().and_then(|user| Number::parse(&user).ok());
            let caller = number.map_or(Caller::Anonymous, Caller::Known);
            (
                NameAddrText {
                    display,
                    uri: crossing(&uri, house),
                },
                caller,
            )
        }
        // The endpoint has answered 400 to such a message; nothing of it crosses.
        Err(_) => (
            NameAddrText {
                display: None,
                uri: format!("sip:anonymous@{}", house.settings.own_address()),
            },
            Caller::Anonymous,
        ),
    };
    let max_forwards = request
        .max_forwards()
        .unwrap_or(MAX_FORWARDS)
        .saturating_sub(1);
    (
        Onward {
            called_user,
            from,
            max_forwards,
        },
        caller,
    )
}

/// The caller's URI on the other leg: its user part as it came, at our own address.
fn crossing(uri: &Uri<'_>, house: &House) -> String {
    let user = user_as_it_came(uri).unwrap_or_else(|| "anonymous".to_owned());
    let is_withheld = matches!(uri.host(), sip_core::Host::Name(name) if name.eq_ignore_ascii_case(WITHHELD_HOST));
    if is_withheld {
        format!("sip:{user}@{WITHHELD_HOST}")
    } else {
        format!("sip:{user}@{}", house.settings.own_address())
    }
}

/// The user part of a sip URI or the number of a tel URI, escapes and all; fit for the user part of a sip URI.
fn user_as_it_came(uri: &Uri<'_>) -> Option<String> {
    let (_, rest) = uri.as_str().split_once(':')?;
    let user = match uri.scheme() {
        Scheme::Sip | Scheme::Sips => {
            let (user, _) = rest.rsplit_once('@')?;
            user.split_once(':').map_or(user, |(user, _password)| user)
        }
        Scheme::Tel => rest.split_once('?').map_or(rest, |(number, _)| number),
        Scheme::Other => return None,
    };
    Some(escape(user))
}

/// Escapes what would end a user part, so that no peer can bring a host of its own into our URIs (T-16).
///
/// A tel URI may hold the others besides `@` in its parameters. Source: RFC 3261 sections 19.1.2 and 19.1.6.
fn escape(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for letter in user.chars() {
        match letter {
            '@' => escaped.push_str("%40"),
            ':' => escaped.push_str("%3A"),
            '[' => escaped.push_str("%5B"),
            ']' => escaped.push_str("%5D"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// RFC 3323 section 4.1.1.3: the host of a caller who is withheld.
const WITHHELD_HOST: &str = "anonymous.invalid";

/// RFC 3261 section 8.1.1.6: what a request without Max-Forwards is taken to say.
const MAX_FORWARDS: u8 = 70;

/// Says which prompt it is, wherever the stages play one.
fn length(prompt: &Prompt) -> Duration {
    // 8,000 samples a second.
    Duration::from_micros(prompt.clip.samples().saturating_mul(125))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_part_crosses_as_it_came_but_for_what_would_end_it() {
        for (came, crosses) in [
            ("sip:0783331001@us", Some("0783331001")),
            ("sip:0783331001:secret@us", Some("0783331001")),
            ("sip:%30783331001;x=?@us", Some("%30783331001;x=?")),
            (
                "sip:0783331001;x=@evil.example@us",
                Some("0783331001;x=%40evil.example"),
            ),
            (
                "tel:0783331001;x=@evil.example",
                Some("0783331001;x=%40evil.example"),
            ),
            (
                "tel:0783331001;x=[:]?y=@evil.example",
                Some("0783331001;x=%5B%3A%5D"),
            ),
            ("sip:us", None),
        ] {
            let uri = Uri::parse(came).unwrap();
            assert_eq!(user_as_it_came(&uri).as_deref(), crosses, "{came}");
        }
    }
}
