//! New INVITEs, handed out before anything is kept of them, so that the application may turn them away at the price of one answer.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use bytes::Bytes;

use super::{Endpoint, event::Transmit, table};
use crate::{draft, draft::Draft, header::Method, hop::Hop, message::Message, peer::PeerId};

impl Endpoint {
    /// Takes a message like [`Endpoint::handle_message`], except for an INVITE outside of any dialog that is not a repetition: that one
    /// comes back untouched. [`Endpoint::take_in`] or [`Endpoint::turn_away`] follows. A repetition of what was turned away is turned
    /// away again.
    pub fn screen(
        &mut self,
        now: Instant,
        peer: PeerId,
        hop: Hop,
        octets: Bytes,
    ) -> Option<Message> {
        if !octets.starts_with(b"INVITE") {
            self.handle_message(now, peer, hop, octets);
            return None;
        }
        let Ok(message) = Message::parse(octets.clone()) else {
            self.handle_message(now, peer, hop, octets);
            return None;
        };
        let Some(mark) = self.mark_of_new(peer, &message) else {
            self.handle_request(now, peer, hop, message);
            return None;
        };
        match self.refusals.find(now, mark, self.intervals.t1 * 64) {
            Some(retry_after_s) => {
                self.answer_turned_away(hop, &message, retry_after_s);
                None
            }
            None => Some(message),
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

    /// The mark of an INVITE outside of any dialog that belongs to no transaction that stands.
    fn mark_of_new(&self, peer: PeerId, message: &Message) -> Option<u64> {
        let is_invite = message.method() == Some(Method::Invite);
        if !is_invite || message.to().is_ok_and(|to| to.tag().is_some()) {
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
