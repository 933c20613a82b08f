//! Provisional answers: ours, reliable or not, and the callees' that make early dialogs.
//!
//! Follows RFC 3261 sections 12.1 and 13.3.1.1 and RFC 3262.

use std::time::Instant;

use super::{
    Endpoint,
    event::{Delivery, DialogId, Event, Ring},
    label::{Again, Label},
    outgoing::Inside,
    replies::Reply,
    session::Session,
    table::{ClientKey, Held2xx, MAX_FORKS, Reliability, Stage, Task},
};
use crate::{
    abilities::{self, Extension},
    message::Message,
    reliable::{self, Order},
    timer::Timer,
    turn::Turn,
};

/// What a provisional answer of a callee is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Early {
    Plain,
    /// Its PRACK has been sent.
    Reliable,
    /// A reliable one again, or before its time; it means nothing.
    OutOfOrder,
}

impl Endpoint {
    /// Sends a provisional answer (101..=199) to an `Invited`.
    ///
    /// A reliable one waits until the one before it has been acknowledged; `Pracked` or `PrackMissing` follows.
    ///
    /// Source: RFC 3261 section 13.3.1.1, RFC 3262 section 3.
    pub fn ring(&mut self, now: Instant, dialog: DialogId, ring: Ring) {
        let Some(usage) = self.usages.get_mut(&dialog) else {
            return;
        };
        let Stage::Ringing {
            server,
            session,
            reliability,
            held: None,
        } = &mut usage.stage
        else {
            return;
        };
        if !(101..=199).contains(&ring.status) {
            return;
        }
        let is_reliable = match reliability {
            Reliability::Never => false,
            Reliability::Possible => ring.delivery == Delivery::Reliable,
            Reliability::Always => true,
        };
        if is_reliable && session.answers.may_send().is_none() {
            return session.answers.wait(ring);
        }
        let rseq = session.answers.may_send().filter(|_| is_reliable);
        let server = *server;
        let reply = Reply {
            status: ring.status,
            phrase: &ring.phrase,
            headers: &ring.headers,
            body: ring.body.clone(),
            rseq,
        };
        let Some(answer) = self.answer_server(now, server, &reply) else {
            return;
        };
        if rseq.is_none() {
            return;
        }
        let (t1, long) = (self.intervals.t1, self.intervals.long());
        let cseq = self.servers.get(&server).map_or(0, |entry| {
            let request = entry.request.as_ref();
            request.map_or(0, |request| request.cseq().map_or(0, |cseq| cseq.number))
        });
        let Some(usage) = self.usages.get_mut(&dialog) else {
            return;
        };
        usage.timers.set(Timer::RepeatReliable, now + t1);
        usage.timers.set(Timer::PrackWait, now + long);
        if let Some(session) = usage.current() {
            let description = ring.body.unwrap_or_default();
            session
                .answers
                .sent(cseq, answer, !description.is_empty(), t1);
            // The first description is the answer or the first offer; later ones only repeat it (RFC 6337 section 3.1.1).
            if matches!(session.turn, Turn::Theirs | Turn::Unbegun) {
                session.describe(&description);
            }
        }
        self.arm_usage(dialog);
    }

    /// Whether a description has been told in the peer's INVITE or in an answer to it; one in an answer that waits for a PRACK has not.
    pub fn has_described(&self, dialog: DialogId) -> bool {
        match self.usages.get(&dialog).map(|usage| &usage.stage) {
            Some(Stage::Ringing { session, .. }) => session.turn != Turn::Unbegun,
            Some(
                Stage::Calling { .. }
                | Stage::ExpectAck { .. }
                | Stage::Talking { .. }
                | Stage::Closing { .. },
            )
            | None => true,
        }
    }

    /// Answers an `Invited` with 200 and repeats it until the ACK comes.
    ///
    /// It waits while a reliable answer with a description is unacknowledged; the answers that wait for that are not sent any more.
    ///
    /// Source: RFC 3261 sections 12.1.1 and 13.3.1.4, RFC 3262 section 3.
    pub fn accept(
        &mut self,
        now: Instant,
        dialog: DialogId,
        headers: super::Headers,
        body: bytes::Bytes,
    ) {
        let Some(usage) = self.usages.get_mut(&dialog) else {
            return;
        };
        let Stage::Ringing {
            server,
            session,
            held,
            ..
        } = &mut usage.stage
        else {
            return;
        };
        if session.answers.holds_2xx() || session.asked.is_some() {
            *held = Some(Held2xx { headers, body });
            return;
        }
        let server = *server;
        let reply = Reply {
            status: 200,
            phrase: "OK",
            headers: &headers,
            body: Some(body),
            rseq: None,
        };
        self.answer_server(now, server, &reply);
    }

    /// A reliable answer was acknowledged, or its offer answered: what waited for that goes out.
    pub(super) fn ring_on(&mut self, now: Instant, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let Stage::Ringing { session, held, .. } = &mut usage.stage else {
            return;
        };
        if let Some(Held2xx { headers, body }) = held.take() {
            return self.accept(now, id, headers, body);
        }
        if session.answers.may_send().is_some()
            && let Some(ring) = session.answers.take_waiting()
        {
            self.ring(now, id, ring);
        }
    }

    /// Source: RFC 3262 section 3: the interval doubles without the limit of T2.
    pub(super) fn repeat_reliable(&mut self, now: Instant, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let Stage::Ringing {
            server, session, ..
        } = &mut usage.stage
        else {
            return;
        };
        let Some(unacknowledged) = session.answers.unacknowledged() else {
            return;
        };
        unacknowledged.interval *= 2;
        let (answer, next) = (unacknowledged.answer.clone(), now + unacknowledged.interval);
        let Some(entry) = self.servers.get(server) else {
            return;
        };
        usage.timers.set(Timer::RepeatReliable, next);
        // An unreliable answer may have gone out since; this one keeps its own name.
        let (hop, label) = (entry.hop, entry.label);
        let label = Message::parse(answer.clone()).map_or(label, |answer| Label::of(&answer));
        self.transmit(Some(id), hop, answer, label, Again::Repeated);
    }

    pub(super) fn prack_is_missing(&mut self, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        usage.timers.stop(Timer::RepeatReliable);
        if let Stage::Ringing { session, held, .. } = &mut usage.stage {
            session.answers.give_up();
            *held = None;
            self.events.push_back(Event::PrackMissing { dialog: id });
        }
    }

    /// Takes a provisional answer into the early dialog it makes, and acknowledges it where it asks for that (RFC 3262 section 4).
    pub(super) fn hear_early(
        &mut self,
        now: Instant,
        id: DialogId,
        key: ClientKey,
        answer: &Message,
    ) -> Early {
        let Some(tag) = answer.to().ok().and_then(|to| to.tag().map(<[u8]>::to_vec)) else {
            return Early::Plain;
        };
        let Some(usage) = self.usages.get_mut(&id) else {
            return Early::Plain;
        };
        if let Stage::Calling { forks, .. } = &mut usage.stage {
            let known = forks
                .iter()
                .position(|fork| fork.dialog.remote_tag() == tag);
            match known {
                Some(place) => {
                    let fork = forks.remove(place);
                    forks.push(fork);
                }
                // Law 5: who rings beyond is heard, but has no dialog before its 2xx.
                None if forks.len() == MAX_FORKS => return Early::Plain,
                None => {
                    let entry = self.clients.get(&key);
                    let invite = entry.and_then(|entry| {
                        Some((Message::parse(entry.request.clone()).ok()?, entry.came_by()))
                    });
                    let Some((invite, hop)) = invite else {
                        return Early::Plain;
                    };
                    forks.push(Session::by_answer(&invite, answer, hop, &self.listeners));
                }
            }
        }
        let Some(session) = usage.session_with(&tag) else {
            return Early::Plain;
        };
        session.abilities.hear(answer);
        let rseq = answer.named("RSeq").next();
        let rseq = rseq.and_then(|value| reliable::read_rseq(value.as_bytes()));
        let Some(rseq) = rseq.filter(|_| abilities::requires(answer, Extension::Reliable)) else {
            return Early::Plain;
        };
        if session.heard.hear(rseq) == Order::Out {
            return Early::OutOfOrder;
        }
        if answer.has_sdp() && session.turn == Turn::Ours {
            session.turn.hear_description();
        }
        let cseq = answer.cseq().map_or(1, |cseq| cseq.number);
        let prack = Inside {
            method: "PRACK",
            lines: &[("RAck", format!("{rseq} {cseq} INVITE"))],
            headers: &[],
            content: None,
            task: Task::Acknowledge,
        };
        self.send_inside(now, id, &tag, &prack);
        Early::Reliable
    }
}
