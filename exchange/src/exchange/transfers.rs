//! Who may move parties between calls: REFER, and INVITE with Replaces. What then happens is in `attended` and `call/transferring.rs`.
//!
//! Only a PBX peer may, only with dialogs of its own, and only to where it may call; two legs of carriers are never joined (T-11).
//! Follows RFC 3515, RFC 3891, RFC 3892, RFC 4488 and RFC 5589.

use std::collections::VecDeque;

use sip_core::{DialogId, HeaderName, Hop, Message, PeerId, Replaces, RequestId, Uri};

use crate::{
    call::{CallInput, Referral, Replacement},
    exchange::Exchange,
    house::{Place, Usage},
    identity::Identity,
    leg::{Leg, Session},
    now::Now,
    outbound::{self, Class},
    route::Destination,
    trunk::{PeerRole, Trust},
};

impl Exchange {
    /// A REFER inside a dialog.
    pub(super) fn refer(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) {
        if let Err(status) = self.judge_refer(now, dialog, request, message) {
            self.house.answer_plainly(now, request, status);
        }
    }

    fn judge_refer(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) -> Result<(), u16> {
        let place = self.house.place(dialog).ok_or(481_u16)?;
        let call = self.calls.get(&place.call).ok_or(481_u16)?;
        // One transfer after the other, and nothing from whoever is leaving; 481 would end a dialog that lives.
        let peer = call.peer_at(dialog).ok_or(491_u16)?;
        if call.is_transferring() {
            return Err(491);
        }
        if self.role(peer) != Some(PeerRole::Pbx) {
            return Err(403);
        }
        let remaining = call.remaining(dialog).ok_or(603_u16)?.peer;
        let refer_to = message.refer_to().ok_or(400_u16)?;
        let uri = refer_to.uri();
        if let Some(replaces) = uri.header("Replaces") {
            let replaces = Replaces::parse(&replaces).ok_or(400_u16)?;
            let id = subscription(message);
            return self.attend(now, dialog, request, id, peer, &replaces);
        }
        let referral = self.referral(dialog, request, peer, remaining, &uri, message)?;
        self.with_call(now, place.call, CallInput::Refer(Box::new(referral)));
        Ok(())
    }

    fn role(&self, peer: PeerId) -> Option<PeerRole> {
        Some(self.house.settings.peer(peer)?.role)
    }

    /// Judges where a blind transfer goes, by the rules of calls out.
    fn referral(
        &self,
        dialog: DialogId,
        request: RequestId,
        peer: PeerId,
        remaining: PeerId,
        target: &Uri<'_>,
        message: &Message,
    ) -> Result<Referral, u16> {
        let settings = &self.house.settings;
        let identity = self.identity(peer, message)?;
        let staying = self.role(remaining).ok_or(603_u16)?;
        let running = self.running();
        let plan = outbound::refer_target(settings, peer, target, &identity, staying, running)?;
        let destinations = match plan.class {
            Class::Internal => {
                let policy = settings.policy(&plan.called.number).ok_or(403_u16)?;
                self.house.department(&policy.department)
            }
            Class::Emergency | Class::Ordinary => VecDeque::from([Destination::outside()]),
        };
        Ok(Referral {
            dialog,
            request,
            id: subscription(message),
            plan,
            destinations,
            referred_by: self.referred_by(peer, message),
        })
    }

    /// Who refers, in the words of a peer that is believed: the user part and nothing else (T-16).
    fn referred_by(&self, peer: PeerId, message: &Message) -> Option<String> {
        let mut addresses = message.addresses(HeaderName::ReferredBy);
        let address = addresses.next()?.ok()?;
        let user = address.uri().user_number()?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "+*#-_.".contains(letter);
        let is_fit = self.house.trust(peer) == Trust::Inside && user.chars().all(is_plain);
        is_fit.then(|| user.into_owned())
    }

    /// Judges whether the two calls of whoever refers may be joined, and begins it.
    fn attend(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        id: Option<u32>,
        peer: PeerId,
        replaces: &Replaces,
    ) -> Result<(), u16> {
        let other = self.named(peer, replaces).ok_or(481_u16)?;
        let one = self.house.place(dialog).ok_or(481_u16)?.call;
        let two = self.house.place(other).ok_or(481_u16)?.call;
        if one == two {
            return Err(603);
        }
        let first = self.calls.get(&one).ok_or(481_u16)?;
        let second = self.calls.get(&two).ok_or(481_u16)?;
        let remaining = first.remaining(dialog).ok_or(603_u16)?;
        let joined = second.remaining(other).ok_or(603_u16)?;
        if self.role(remaining.peer) == Some(PeerRole::Carrier)
            && self.role(joined.peer) == Some(PeerRole::Carrier)
        {
            return Err(403);
        }
        let is_settled = |call| self.calls.get(call).is_some_and(|call| call.is_settled());
        if !is_settled(&one) || !is_settled(&two) {
            return Err(491);
        }
        // Nobody is let go before it is known that those who stay can talk.
        remaining.codec_with(joined).ok_or(488_u16)?;
        // The call that a citizen made is the one that goes on: what is kept of it is. So is an emergency call: it is held up.
        let (kept, given) = if second.is_inbound() || second.is_emergency() {
            ((two, other), (one, dialog))
        } else {
            ((one, dialog), (two, other))
        };
        self.house.accept_referral(now, dialog, request, id);
        self.begin_attended(now, dialog, kept, given);
        Ok(())
    }

    /// The dialog of this peer that a Replaces names, from the view of whoever gets it: its `to-tag` is ours.
    fn named(&mut self, peer: PeerId, replaces: &Replaces) -> Option<DialogId> {
        let Replaces {
            call_id,
            to_tag,
            from_tag,
            ..
        } = replaces;
        let endpoint = &mut self.house.endpoint;
        endpoint.dialog_named(
            peer,
            call_id.as_bytes(),
            to_tag.as_bytes(),
            from_tag.as_bytes(),
        )
    }

    /// An INVITE that wants the place of a party of a call.
    pub(super) fn replace(
        &mut self,
        now: Now,
        dialog: DialogId,
        peer: PeerId,
        hop: Hop,
        request: &Message,
    ) {
        if let Err(status) = self.judge_replace(now, dialog, peer, hop, request) {
            self.house.reject(now, dialog, status);
        }
    }

    fn judge_replace(
        &mut self,
        now: Now,
        dialog: DialogId,
        peer: PeerId,
        hop: Hop,
        request: &Message,
    ) -> Result<(), u16> {
        let replaces = request.replaces().flatten().ok_or(400_u16)?;
        if self.role(peer) != Some(PeerRole::Pbx) {
            return Err(403);
        }
        let replaced = self.named(peer, &replaces).ok_or(481_u16)?;
        let id = self.house.place(replaced).ok_or(481_u16)?.call;
        let call = self.calls.get(&id).ok_or(481_u16)?;
        // One transfer after the other; 481 would say that the dialog is over.
        if call.is_transferring() {
            return Err(491);
        }
        call.remaining(replaced).ok_or(481_u16)?;
        if replaces.early_only {
            return Err(486); // RFC 3891 section 3: it is answered.
        }
        let body = request.sdp().ok_or(488_u16)?;
        let theirs = self.house.read_media(peer, &body).ok_or(488_u16)?;
        if !self.house.admits_security(peer, hop.transport, &theirs) {
            return Err(488);
        }
        let identity = Identity::read(request, self.house.trust(peer));
        let (shard, family) = (call.shard(), hop.remote.ip());
        let lent = self.house.take_pair(id, shard, family)?;
        let side = PeerRole::Pbx.side();
        let usage = Usage::Incoming;
        self.house.enter(
            dialog,
            Place {
                call: id,
                side,
                usage,
            },
        );
        self.house.call_came(now, dialog, peer, hop);
        let leg = Leg {
            peer,
            outside: None,
            dialog,
            lent,
            local: self.house.new_local(lent, peer, hop.transport),
            session: Session::Offered,
            counted: None,
        };
        let replacement = Replacement {
            replaced,
            identity,
            leg,
            theirs,
        };
        self.with_call(now, id, CallInput::Replace(Box::new(replacement)));
        Ok(())
    }
}

/// The id of the subscription that a REFER makes: its number, which tells it from others of its dialog (RFC 3515 section 2.4.6). None
/// where it wants none (RFC 4488 section 4).
fn subscription(refer: &Message) -> Option<u32> {
    let wish = refer.named("Refer-Sub").next();
    let wanted = wish.as_deref().and_then(|wish| wish.split(';').next());
    let is_unwanted = wanted.is_some_and(|wanted| wanted.trim().eq_ignore_ascii_case("false"));
    let number = refer.cseq().map_or(0, |cseq| cseq.number);
    (!is_unwanted).then_some(number)
}
