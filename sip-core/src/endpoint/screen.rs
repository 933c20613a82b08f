//! New INVITEs, handed out before anything is kept of them, so that the application may turn them away at the price of one answer.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use bytes::Bytes;

use super::{Endpoint, event::Transmit, table};
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
    Invite(Message),
}

impl Endpoint {
    /// Takes a message like [`Endpoint::handle_message`], except for an INVITE outside of any dialog that is not a repetition: that one
    /// comes back untouched. A repetition of what was turned away is turned away again, and the ACK of that is dropped.
    pub fn screen(&mut self, now: Instant, peer: PeerId, hop: Hop, octets: Bytes) -> Screened {
        // The same octets that the parser takes for the start line.
        let start = &octets[framing::empty_lines(&octets)..];
        let is_screened = start.starts_with(b"INVITE")
            || (start.starts_with(b"ACK") && !self.refusals.is_empty());
        let message = is_screened.then(|| Message::parse(octets.clone()));
        let Some(Ok(message)) = message else {
            self.handle_message(now, peer, hop, octets);
            return Screened::Taken;
        };
        let Some(mark) = self.mark_of_new(peer, &message) else {
            self.handle_request(now, peer, hop, message);
            return Screened::Taken;
        };
        let refused = self.refusals.find(now, mark, self.intervals.t1 * 64);
        match (message.method(), refused) {
            (Some(Method::Invite), None) => Screened::Invite(message),
            (Some(Method::Invite), Some(retry_after_s)) => {
                self.answer_turned_away(hop, &message, retry_after_s);
                Screened::Shed
            }
            (_, Some(_)) => Screened::Shed,
            (_, None) => {
                self.handle_request(now, peer, hop, message);
                Screened::Taken
            }
        }
    }

    /// Takes an INVITE that was handed out.
    pub fn take_in(&mut self, now: Instant, peer: PeerId, hop: Hop, invite: Message) {
        self.handle_request(now, peer, hop, invite);
    }

    /// Answers an INVITE that was handed out with 503 and keeps nothing of it (RFC 3261 section 8.2.7); its ACK finds nobody.
    ///
    /// There is no milestone: whoever is flooded must not write a line for each drop.
    pub fn turn_away(
        &mut self,
        now: Instant,
        peer: PeerId,
        hop: Hop,
        invite: &Message,
        retry_after_s: u64,
    ) {
        if let Some(mark) = self.mark_of_new(peer, invite) {
            self.refusals.insert(now, mark, retry_after_s);
        }
        self.answer_turned_away(hop, invite, retry_after_s);
    }

    fn answer_turned_away(&mut self, hop: Hop, invite: &Message, retry_after_s: u64) {
        let Ok(via) = invite.via() else { return };
        let to = via.answer_to(hop);
        let tag = self.stateless_tag(invite);
        let payload = Draft::answer(invite, hop.remote, 503, "Service Unavailable", Some(&tag))
            .format("Retry-After", format_args!("{retry_after_s}"))
            .finish(draft::SDP, None);
        self.transmits.push_back(Transmit { hop: to, payload });
    }

    /// The mark of an INVITE outside of any dialog, or of an ACK, that belongs to no transaction that stands.
    fn mark_of_new(&self, peer: PeerId, message: &Message) -> Option<u64> {
        let is_new = match message.method()? {
            Method::Invite => message.to().is_ok_and(|to| to.tag().is_none()),
            Method::Ack => true,
            _ => false,
        };
        if !is_new {
            return None;
        }
        let key = table::transaction_key(peer, message, &Method::Invite);
        if self.server_keys.contains_key(key.as_slice()) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (self.secret, key, message.call_id()).hash(&mut hasher);
        Some(hasher.finish())
    }
}
