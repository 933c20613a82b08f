//! New INVITEs, handed out before anything is kept of them, so that the application may turn them away at the price of one answer.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use bytes::Bytes;

use super::{Endpoint, event::Transmit, requests::Arrival};
use crate::{
    draft, draft::Draft, framing, header::Method, hop::Hop, message::Message, peer::PeerId,
};

/// What became of a message that was screened.
#[derive(Debug)]
pub enum Screened {
    /// It went the way of every message; events may have come of it.
    Taken,
    /// It belonged to what was turned away, and at most an answer came of it.
    Shed,
    /// A new call asks to be let in: [`Endpoint::take_in`] or [`Endpoint::turn_away`] follows.
    Invite(Box<NewInvite>),
}

/// An INVITE outside of any dialog that is no repetition, handed out before anything is kept of it.
pub struct NewInvite {
    arrival: Arrival,
    /// A keyed hash of its transaction.
    mark: u64,
}

impl NewInvite {
    /// The INVITE as it came.
    pub fn message(&self) -> &Message {
        &self.arrival.message
    }
}

impl fmt::Debug for NewInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NewInvite").field(self.message()).finish()
    }
}

impl Endpoint {
    /// Takes a message like [`Endpoint::handle_message`], except for an INVITE outside of any dialog that is not a repetition: that one
    /// comes back untouched. A repetition of what was turned away is turned away again, and the ACK of that is dropped.
    pub fn screen(&mut self, now: Instant, peer: PeerId, hop: Hop, octets: Bytes) -> Screened {
        // The same octets that the parser takes for the start line.
        let start = &octets[framing::empty_lines(&octets)..];
        let is_screened = start.starts_with(b"INVITE")
            || (start.starts_with(b"ACK") && !self.refusals.is_empty());
        let message = is_screened.then(|| Message::parse(octets.clone()).ok());
        let arrival = message
            .flatten()
            .and_then(|message| Arrival::of(peer, hop, message));
        let Some(arrival) = arrival else {
            self.handle_message(now, peer, hop, octets);
            return Screened::Taken;
        };
        let Some(mark) = self.mark(&arrival) else {
            self.handle_request(now, arrival);
            return Screened::Taken;
        };
        let refused = self.refusals.find(now, mark, self.intervals.t1 * 64);
        match (&arrival.method, refused) {
            (Method::Invite, None) if !self.server_keys.contains_key(arrival.key.as_slice()) => {
                Screened::Invite(Box::new(NewInvite { arrival, mark }))
            }
            (Method::Invite, Some(retry_after_s)) => {
                self.answer_turned_away(&arrival, retry_after_s);
                Screened::Shed
            }
            (_, Some(_)) => Screened::Shed,
            (_, None) => {
                self.handle_request(now, arrival);
                Screened::Taken
            }
        }
    }

    /// Takes an INVITE that was handed out.
    pub fn take_in(&mut self, now: Instant, invite: NewInvite) {
        self.handle_request(now, invite.arrival);
    }

    /// Answers an INVITE that was handed out with 503 and keeps nothing of it (RFC 3261 section 8.2.7); its ACK finds nobody.
    ///
    /// There is no milestone: whoever is flooded must not write a line for each drop.
    pub fn turn_away(&mut self, now: Instant, invite: &NewInvite, retry_after_s: u64) {
        self.refusals.insert(now, invite.mark, retry_after_s);
        self.answer_turned_away(&invite.arrival, retry_after_s);
    }

    fn answer_turned_away(&mut self, arrival: &Arrival, retry_after_s: u64) {
        let (invite, source) = (&arrival.message, arrival.hop.remote);
        let tag = self.stateless_tag(invite);
        let payload = Draft::answer(invite, source, 503, "Service Unavailable", Some(&tag))
            .format("Retry-After", format_args!("{retry_after_s}"))
            .finish(draft::SDP, None);
        let hop = arrival.answer_to();
        self.transmits.push_back(Transmit { hop, payload });
    }

    /// The mark of the transaction of an INVITE outside of any dialog; the ACK of its refusal has the same.
    fn mark(&self, arrival: &Arrival) -> Option<u64> {
        let is_screened = match arrival.method {
            Method::Invite => arrival.message.to().is_ok_and(|to| to.tag().is_none()),
            Method::Ack => true,
            _ => false,
        };
        let mut hasher = DefaultHasher::new();
        (self.secret, &arrival.key, arrival.message.call_id()).hash(&mut hasher);
        is_screened.then(|| hasher.finish())
    }
}
