//! Requests of the peer's inside a dialog, early or confirmed.
//!
//! Follows RFC 3261 sections 12.2.2, 14.2 and 15.1.2, RFC 3262 section 3, RFC 3311 section 5.2 and RFC 4028 section 9.

use std::time::Instant;

use bytes::Bytes;
use rand_core::Rng;

use super::{
    Endpoint,
    event::{DialogId, Event, RequestId},
    gate::Answer,
    label::Again,
    replies::Reply,
    requests::{Arrival, gone},
    session::Session,
    table::{ClientMachine, Offer, ServerMachine, Stage},
};
use crate::{
    dialog::Misfit,
    header::Method,
    message::Message,
    reliable::RAck,
    timer::Timer,
    token::Token,
    transaction::invite_server::InviteServer,
    turn::{Overlap, Turn},
};

impl Endpoint {
    /// A request that names our tag (RFC 3261 section 12.2.2).
    pub(super) fn handle_inside(&mut self, now: Instant, id: DialogId, arrival: Arrival) {
        // Requests of dialogs are never shed for the sake of new calls, but even they have a limit.
        if self.is_full(2) {
            return self.answer_busy(&arrival);
        }
        match self.refusal_inside(id, &arrival) {
            None => {}
            Some(Refusal::Stranger(answer)) => return self.answer_without_state(&arrival, &answer),
            Some(Refusal::Now(answer)) => return self.refuse_inside(now, &arrival, &answer),
        }
        self.heard(Some(id), arrival.hop, arrival.label(), Again::First);
        match arrival.method {
            Method::Bye => self.take_bye(now, id, arrival),
            Method::Invite => self.take_reinvite(id, arrival),
            Method::Update => self.take_update(now, id, arrival),
            Method::Prack => self.take_prack(now, id, arrival),
            _ => {
                let server = self.take_request(now, &arrival, Some(id));
                self.events.push_back(Event::Requested {
                    dialog: Some(id),
                    request: RequestId(server.0),
                    peer: arrival.peer,
                    hop: arrival.hop,
                    message: arrival.message,
                });
            }
        }
    }

    /// Refuses a request for what is the case now, and every copy of it alike: a late one must not be taken.
    fn refuse_inside(&mut self, now: Instant, arrival: &Arrival, answer: &Answer) {
        self.heard(None, arrival.hop, arrival.label(), Again::First);
        let server = if arrival.method == Method::Invite {
            let machine =
                ServerMachine::Invite(InviteServer::start(Bytes::new(), arrival.hop.transport));
            self.open_server(arrival, None, Token(0), machine, arrival.label())
        } else {
            self.take_request(now, arrival, None)
        };
        let reply = Reply {
            headers: &answer.headers,
            ..Reply::plain(answer.status, answer.phrase)
        };
        self.answer_server(now, server, &reply);
    }

    fn refusal_inside(&mut self, id: DialogId, arrival: &Arrival) -> Option<Refusal> {
        let pause_s = self.generator.next_u64() % 11;
        let Some(usage) = self.usages.get_mut(&id) else {
            return Some(Refusal::Stranger(gone()));
        };
        // Whoever has learned our tag is not yet its peer (T-03).
        if usage.peer != arrival.peer {
            return Some(Refusal::Stranger(gone()));
        }
        let is_called = match &usage.stage {
            Stage::Calling { call_id, .. } => call_id.as_bytes() == arrival.message.call_id(),
            Stage::Ringing { .. }
            | Stage::ExpectAck { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. } => false,
        };
        let Some(session) = usage.session_of(&arrival.message) else {
            return match (is_called, &arrival.method) {
                (false, _) => Some(Refusal::Stranger(gone())),
                (true, Method::Bye) => None,
                (true, Method::Invite) => Some(Refusal::Stranger(request_pending())),
                // It has overtaken the answer that makes its dialog.
                (true, _) => Some(Refusal::Stranger(Answer::overlapping(pause_s))),
            };
        };
        match session.dialog.handle_request(&arrival.message) {
            Ok(()) => session.dialog.hear_by(arrival.hop),
            Err(Misfit::Unknown) => return Some(Refusal::Stranger(gone())),
            Err(Misfit::OutOfOrder) => {
                let answer = Answer::plain(500, "CSeq Out of Order");
                return Some(Refusal::Now(answer));
            }
        }
        let refusal = match arrival.method {
            Method::Prack => refusal_of_prack(session, &arrival.message),
            Method::Update => refusal_of_update(session, &arrival.message, pause_s),
            _ => None,
        };
        if let Some(refusal) = refusal.or_else(|| refusal_by_stage(&usage.stage, arrival, pause_s))
        {
            return Some(Refusal::Now(refusal));
        }
        let is_timed =
            usage.is_confirmed() && matches!(arrival.method, Method::Invite | Method::Update);
        match usage.session_timer.check(&arrival.message) {
            Err(too_small) if is_timed => {
                let answer = Answer::interval_too_small(too_small.min_s);
                Some(Refusal::Now(answer))
            }
            Err(_) | Ok(()) => None,
        }
    }

    /// BYE: 200 at once, and 487 to what is pending (RFC 3261 section 15.1.2).
    fn take_bye(&mut self, now: Instant, id: DialogId, arrival: Arrival) {
        let server = self.take_request(now, &arrival, Some(id));
        self.answer_server(now, server, &Reply::plain(200, "OK"));
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let mut pending: Vec<_> = usage
            .sessions()
            .iter()
            .filter_map(|session| session.asked)
            .collect();
        match &mut usage.stage {
            // The caller gave up by BYE where CANCEL is usual (RFC 3261 section 15).
            Stage::Ringing { server, .. } => {
                pending.push(*server);
                self.events.push_back(Event::Cancelled {
                    dialog: id,
                    message: arrival.message,
                });
                for server in pending {
                    self.fail_server(now, server, 487, "Request Terminated");
                }
                return;
            }
            Stage::Calling { client, forks, .. } => {
                let client = *client;
                // Whatever its 2xx comes to, numbers of its dialog are not used twice.
                let highest = forks.iter().map(|fork| fork.dialog.local_cseq()).max();
                if let Some(ClientMachine::Invite { last_cseq, .. }) = self
                    .clients
                    .get_mut(&client)
                    .map(|entry| &mut entry.machine)
                {
                    *last_cseq = (*last_cseq).max(highest.unwrap_or_default());
                }
                // One callee of several has given up; the others ring on.
                self.leave_forks(id, |fork| !fork.dialog.is_of(&arrival.message));
                let usage = self.usages.get_mut(&id);
                if usage.is_some_and(|usage| !usage.sessions().is_empty()) {
                    return;
                }
                // The only one has: the INVITE is cancelled, and a 2xx of another fork ended.
                self.close_usage(now, id);
                self.abandon_invite(now, client);
            }
            // Both sides end it at once: `ByeDone` follows the answer to ours.
            Stage::Closing { .. } => return,
            Stage::ExpectAck { .. } => {}
            Stage::Talking { offer, .. } => {
                if let Offer::Asked { server } = offer {
                    pending.push(*server);
                }
            }
        }
        for server in pending {
            self.fail_server(now, server, 487, "Request Terminated");
        }
        self.close_usage(now, id);
        self.events.push_back(Event::Ended {
            dialog: id,
            message: arrival.message,
        });
    }

    fn take_reinvite(&mut self, id: DialogId, arrival: Arrival) {
        let tag = self.usages.get(&id).map_or(Token(0), |usage| usage.tag);
        let server = self.open_invite(&arrival, Some(id), tag);
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let Stage::Talking { session, offer } = &mut usage.stage else {
            return;
        };
        *offer = Offer::Asked { server };
        if arrival.message.has_sdp() {
            session.turn.hear_description();
        }
        self.events.push_back(Event::Reinvited {
            dialog: id,
            request: RequestId(server.0),
            message: arrival.message,
        });
    }

    /// UPDATE: answered alone without a description, asked with one (RFC 3311 section 5.2).
    fn take_update(&mut self, now: Instant, id: DialogId, arrival: Arrival) {
        let server = self.take_request(now, &arrival, Some(id));
        if !arrival.message.has_sdp() {
            self.answer_server(now, server, &Reply::plain(200, "OK"));
            return;
        }
        let usage = self.usages.get_mut(&id);
        let Some(session) = usage.and_then(|usage| usage.session_of(&arrival.message)) else {
            return;
        };
        session.asked = Some(server);
        session.turn.hear_description();
        self.events.push_back(Event::Updated {
            dialog: id,
            request: RequestId(server.0),
            message: arrival.message,
        });
    }

    /// PRACK of our reliable answer, which then is over (RFC 3262 section 3).
    fn take_prack(&mut self, now: Instant, id: DialogId, arrival: Arrival) {
        let server = self.take_request(now, &arrival, Some(id));
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        usage.timers.stop(Timer::RepeatReliable);
        usage.timers.stop(Timer::PrackWait);
        let Some(session) = usage.session_of(&arrival.message) else {
            return;
        };
        if let Some(named) = named_by(&arrival.message) {
            session.answers.acknowledge(named);
        }
        let has_sdp = arrival.message.has_sdp();
        let mut body: Option<Bytes> = None;
        if has_sdp && session.turn == Turn::Agreed {
            // A new offer (RFC 3262 section 5).
            session.asked = Some(server);
            session.turn.hear_description();
            self.events.push_back(Event::Updated {
                dialog: id,
                request: RequestId(server.0),
                message: arrival.message,
            });
        } else {
            if has_sdp && session.turn == Turn::Ours {
                session.turn.hear_description();
                body = arrival.message.sdp();
            }
            self.answer_server(now, server, &Reply::plain(200, "OK"));
            self.events.push_back(Event::Pracked { dialog: id, body });
        }
        self.arm_usage(id);
        self.ring_on(now, id);
    }
}

/// Why a request inside a dialog is not taken.
enum Refusal {
    /// It does not belong to the dialog as far as we know it; no state is kept.
    Stranger(Answer),
    /// The dialog's state is against it.
    Now(Answer),
}

fn named_by(prack: &Message) -> Option<RAck> {
    let value = prack.named("RAck").next()?;
    RAck::read(value.as_bytes())
}

/// A PRACK that names nothing of ours gets 481 (RFC 3262 section 3).
fn refusal_of_prack(session: &mut Session, prack: &Message) -> Option<Answer> {
    let unacknowledged = session.answers.unacknowledged().map(|answer| answer.named);
    let named = named_by(prack);
    (named.is_none() || named != unacknowledged).then(gone)
}

/// One UPDATE at a time, and one offer (RFC 3311 section 5.2).
fn refusal_of_update(session: &Session, update: &Message, pause_s: u64) -> Option<Answer> {
    if session.asked.is_some() {
        return Some(Answer::overlapping(pause_s));
    }
    if !update.has_sdp() {
        return None;
    }
    match session.turn.takes_offer() {
        Ok(()) => None,
        Err(Overlap::Ours) => Some(request_pending()),
        Err(Overlap::Theirs) => Some(Answer::overlapping(pause_s)),
    }
}

/// One INVITE at a time (RFC 3261 section 14.2), and nothing but BYE in a dialog that ends.
fn refusal_by_stage(stage: &Stage, arrival: &Arrival, pause_s: u64) -> Option<Answer> {
    let offers = arrival.message.has_sdp();
    match (stage, &arrival.method) {
        (Stage::Closing { .. }, Method::Bye) => None,
        (Stage::Closing { .. }, _) => Some(gone()),
        // Our own INVITE is pending, or its 2xx waits for the ACK.
        (Stage::Calling { .. } | Stage::ExpectAck { .. }, Method::Invite) => {
            Some(request_pending())
        }
        (Stage::Ringing { .. }, Method::Invite) => Some(Answer::overlapping(pause_s)),
        (Stage::Talking { session, offer }, Method::Invite) => match offer {
            Offer::Asked { .. } => Some(Answer::overlapping(pause_s)),
            Offer::ExpectAck { .. } => Some(request_pending()),
            Offer::None if session.asked.is_some() => Some(Answer::overlapping(pause_s)),
            Offer::None => session.change.is_offer().then(request_pending),
        },
        (
            Stage::Talking {
                offer: Offer::Asked { .. },
                ..
            },
            Method::Update,
        ) if offers => Some(Answer::overlapping(pause_s)),
        (
            Stage::Calling { .. }
            | Stage::Ringing { .. }
            | Stage::ExpectAck { .. }
            | Stage::Talking { .. },
            _,
        ) => None,
    }
}

fn request_pending() -> Answer {
    Answer::plain(491, "Request Pending")
}
