//! The door: a new INVITE is judged before anything is kept of it, and refused without a trace of its own.
//!
//! A flood costs an answer each and one alarm a minute; everything else goes to the endpoint as it comes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rules::{Caller, Number};
use sip_core::{HeaderName, Hop, Message, NewInvite, PeerId, Screened};

use super::Exchange;
use crate::{
    admission::{Class, Load, Newcomer, Refusal, Refused, Room},
    identity,
    now::Now,
    number_form,
    output::Alarm,
    trunk::{PeerRole, Trust},
};

impl Exchange {
    pub(crate) fn handle_message(
        &mut self,
        now: Now,
        hop: Hop,
        payload: Bytes,
        received_at: Instant,
    ) {
        let Some(peer) = self.house.peers.at(hop.remote.ip()) else {
            return;
        };
        let waited = now.at.saturating_duration_since(received_at);
        self.house.admission.heard(now.at, waited);
        let has_news = match self.house.endpoint.screen(now.at, peer, hop, payload) {
            Screened::Taken => true,
            Screened::Shed => false,
            Screened::Invite(invite) => self.judge(now, peer, *invite, waited).is_ok(),
        };
        if has_news {
            self.settle(now);
        } else {
            // What is shed costs its answer and nothing more.
            self.house.trace_and_transmit(now);
        }
    }

    /// The server says how busy it was.
    pub(crate) fn handle_load(&mut self, now: Now, load: Load) {
        self.house.admission.take_load(now.at, load);
    }

    /// Takes a new call in, or turns it away.
    fn judge(
        &mut self,
        now: Now,
        peer: PeerId,
        invite: NewInvite,
        waited: Duration,
    ) -> Result<(), Refusal> {
        let message = invite.message();
        let called = self.called(peer, message).map(|called| called.number);
        let settings = &self.house.settings;
        let class = called.as_ref().map_or(Class::Rest, |called| {
            if self.is_emergency(peer, called, message) {
                Class::Emergency
            } else {
                Class::of_number(settings, called)
            }
        });
        let newcomer = Newcomer {
            class,
            peer,
            dialled: called.as_ref().filter(|called| self.is_ours(called)),
            caller: &|| caller(message),
            waited,
        };
        let room = Room {
            free_legs: self.house.ports.free_count(),
            limits: settings.limits,
        };
        let judgement = self.house.admission.judge(now.at, &newcomer, room);
        let endpoint = &mut self.house.endpoint;
        match judgement {
            Ok(()) => endpoint.take_in(now.at, invite),
            Err(refusal) => {
                let retry_after_s = self.house.admission.retry_after_s();
                endpoint.turn_away(now.at, &invite, retry_after_s);
                self.count_refusal(now, refusal);
            }
        }
        judgement
    }

    /// Whether a telephone of the PBX calls 110, 118 or 119, or these call back in the words of a carrier that is believed.
    ///
    /// A carrier that calls such a number has mistaken its way; it gets in among the rest to hear 404.
    fn is_emergency(&self, peer: PeerId, called: &Number, invite: &Message) -> bool {
        let trunk = self.house.settings.peer(peer);
        trunk.is_some_and(|trunk| match (trunk.role, trunk.trust) {
            (PeerRole::Pbx, _) => number_form::is_emergency(called),
            (PeerRole::Carrier, Trust::Inside) => identity::is_callback(invite),
            (PeerRole::Carrier, Trust::Outside) => false,
        })
    }

    pub(super) fn count_refusal(&mut self, now: Now, refusal: Refusal) {
        if let Some(refused) = self.house.admission.refuse(now.at, refusal) {
            let alarm = self.alarm_of(&refused);
            self.house.alarm(alarm);
        }
    }

    fn alarm_of(&self, refused: &Refused) -> Alarm {
        let (calls, free_legs) = (self.calls.len(), self.house.ports.free_count());
        let all = refused.values().sum();
        if refused.keys().all(|refusal| *refusal == Refusal::Full) {
            return Alarm::Full {
                refused: all,
                calls,
                free_legs,
            };
        }
        let reasons = refused.iter();
        let reasons: Vec<String> = reasons
            .map(|(refusal, count)| format!("{}: {count}", refusal.describe()))
            .collect();
        Alarm::Overloaded {
            refused: all,
            reasons: reasons.join(", "),
            calls,
        }
    }
}

/// Whose number counts for caps: the asserted one, else that of From.
fn caller(invite: &Message) -> Caller {
    let asserted = invite.addresses(HeaderName::PAssertedIdentity);
    let asserted = asserted
        .take(2)
        .filter_map(Result::ok)
        .find_map(|address| Number::parse(&address.uri().user_number()?).ok());
    let from = || {
        let from = invite.from().ok()?;
        Number::parse(&from.uri().user_number()?).ok()
    };
    asserted
        .or_else(from)
        .map_or(Caller::Anonymous, Caller::Known)
}
