//! What a call may use while it is handled: everything of the exchange but the calls.

mod outputs;
mod pairs;
mod peers;
mod referrals;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use announcements::{Library, tones};
use bytes::Bytes;
use media::{
    Clip, LegId, OfferedLeg, Side,
    sdp::{self, CryptoKey, CryptoSuite},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rules::{CallId, EmergencyState, Notices, RecordingId};
use sip_core::{
    DialogId, Endpoint, HeaderName, Headers, Invite, Message, PeerId, Reliable, RequestId,
    Transport,
};

use crate::{
    admission::Admission,
    house::referrals::Referral,
    now::Now,
    number_form, outbound,
    output::Output,
    peers::Peers,
    ports::Ports,
    route::{Destination, phrase},
    settings::Settings,
    trunk::{AnnouncementMedia, NumberForm, SecureMedia, Trust},
};

pub(crate) use self::{pairs::SILENCE, referrals::Subscription};

/// Late messages of a dialog that is over are still drawn into the ladder of its call for this long (64*T1).
const LATE: Duration = Duration::from_secs(32);

/// So many places of a redirection are looked at; each that is followed may ring for as long as a department does.
const MOST_CONTACTS: usize = 8;

/// The house; see the module.
pub(crate) struct House {
    pub(crate) settings: Settings,
    pub(crate) endpoint: Endpoint,
    pub(crate) admission: Admission,
    pub(crate) ports: Ports,
    pub(crate) peers: Peers,
    /// Peers of which the configuration does not say what numbers may be shown to them.
    unlisted: BTreeSet<PeerId>,
    pub(crate) emergency: EmergencyState,
    /// What managers decided about the numbers' notices.
    pub(crate) notices: Notices,
    pub(crate) library: Library,
    pub(crate) ringback: Clip,
    generator: ChaCha20Rng,
    next_playback: u64,
    places: BTreeMap<DialogId, Place>,
    late: VecDeque<(Instant, DialogId)>,
    referrals: BTreeMap<DialogId, Referral>,
    legs: BTreeMap<LegId, CallId>,
    legs_by_call: BTreeSet<(CallId, LegId)>,
    outputs: VecDeque<Output>,
}

/// Whose a dialog is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) call: CallId,
    pub(crate) side: Side,
    pub(crate) usage: Usage,
}

/// How far a dialog has come, as far as ending it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Theirs, and unanswered: it ends by a refusal.
    Incoming,
    /// Ours, and unanswered: it ends by CANCEL.
    Outgoing,
    /// Answered: it ends by BYE.
    Answered,
    /// We have said goodbye and wait for the answer.
    Leaving,
    /// Over; only late messages come.
    Over,
}

impl House {
    pub(crate) fn new(
        settings: Settings,
        emergency: EmergencyState,
        mut generator: ChaCha20Rng,
    ) -> House {
        let mut seed = [0; 32];
        generator.fill_bytes(&mut seed);
        let listeners = settings.listeners.iter();
        let sip = sip_core::Settings {
            listeners: listeners
                .map(|listener| (listener.transport, listener.address))
                .collect(),
            ..settings.sip.clone()
        };
        let mut endpoint = Endpoint::new(sip, seed);
        for (id, peer) in settings.peers_by_id() {
            endpoint.set_peer(id, peer.sip.clone());
        }
        let mut peers_seed = [0; 32];
        generator.fill_bytes(&mut peers_seed);
        let peers = Peers::new(&settings, ChaCha20Rng::from_seed(peers_seed));
        endpoint.set_neighbours(peers.neighbours());
        let mut admission_seed = [0; 32];
        generator.fill_bytes(&mut admission_seed);
        House {
            endpoint,
            unlisted: settings
                .peers_by_id()
                .filter(|(_, peer)| peer.contracted.is_empty())
                .map(|(id, _)| id)
                .collect(),
            peers,
            admission: Admission::new(&settings.overload, ChaCha20Rng::from_seed(admission_seed)),
            settings,
            ports: Ports::default(),
            emergency,
            notices: Notices::default(),
            library: Library::default(),
            ringback: tones::ringback(),
            generator,
            next_playback: 0,
            places: BTreeMap::new(),
            late: VecDeque::new(),
            referrals: BTreeMap::new(),
            legs: BTreeMap::new(),
            legs_by_call: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    // Peers' settings.

    /// How far provisional answers to a peer are made reliable.
    pub(crate) fn reliable(&self, peer: PeerId) -> Reliable {
        let trunk = self.settings.peer(peer);
        trunk.map_or(Reliable::Off, |trunk| trunk.sip.reliable)
    }

    /// Whether a peer's callers hear the notice before they are answered.
    pub(crate) fn announces_early(&self, peer: PeerId) -> bool {
        let trunk = self.settings.peer(peer);
        trunk.is_some_and(|trunk| trunk.announcement == AnnouncementMedia::Early)
    }

    // Names.

    pub(crate) fn new_call_id(&mut self, now: Now) -> CallId {
        CallId::new(now.wall, self.random())
    }

    pub(crate) fn new_recording_id(&mut self, now: Now) -> RecordingId {
        RecordingId::new(now.wall, self.random())
    }

    /// Our own side of a new description: RFC 8866 section 5.2 wants an id that is unique, 63 bits are what others can read.
    ///
    /// It has keys where the peer is to be offered secure media this way (RFC 4568 section 6: not where others could read them).
    pub(crate) fn new_local(
        &mut self,
        lent: OfferedLeg,
        peer: PeerId,
        transport: Transport,
    ) -> sdp::Local {
        let mut local = sdp::Local::new(lent.rtp, self.generator.next_u64() >> 1);
        if self.wants_secure(peer, transport) {
            local.crypto = CryptoKey::offered(&CryptoSuite::ALL, &mut self.generator);
        }
        local
    }

    /// Whether secure media is offered to a peer that is reached this way.
    fn wants_secure(&self, peer: PeerId, transport: Transport) -> bool {
        let wish = self.settings.peer(peer).map(|trunk| trunk.secure_media);
        match wish {
            Some(SecureMedia::Always) => true,
            Some(SecureMedia::OnTls) => transport == Transport::Tls,
            Some(SecureMedia::Never) | None => false,
        }
    }

    /// Whether an offer is as secure as the peer's settings want it, and no more than they can be.
    pub(crate) fn admits_security(
        &self,
        peer: PeerId,
        transport: Transport,
        theirs: &sdp::RemoteMedia,
    ) -> bool {
        let wish = self.settings.peer(peer).map(|trunk| trunk.secure_media);
        match wish {
            Some(SecureMedia::Always) => theirs.secure,
            Some(SecureMedia::OnTls) => !theirs.secure || transport == Transport::Tls,
            Some(SecureMedia::Never) | None => !theirs.secure,
        }
    }

    /// Our key for the answer to a secure offer; for a plain one there is none.
    pub(crate) fn answer_keys(&mut self, local: &mut sdp::Local, theirs: &sdp::RemoteMedia) {
        local.crypto = match theirs.crypto.first() {
            Some(line) if theirs.secure => {
                // The key that is in use stays where it can.
                let is_fit = |key: &CryptoKey| {
                    key.tag() == line.key.tag() && key.suite() == line.key.suite()
                };
                let kept = local.crypto.iter().find(|key| is_fit(key)).cloned();
                vec![kept.unwrap_or_else(|| CryptoKey::answering(line, &mut self.generator))]
            }
            Some(_) | None => Vec::new(),
        };
    }

    fn random(&mut self) -> u128 {
        u128::from(self.generator.next_u64()) << 64 | u128::from(self.generator.next_u64())
    }

    // Peers.

    /// Whether a peer is trusted; one that is not there is not.
    pub(crate) fn trust(&self, peer: PeerId) -> Trust {
        self.settings
            .peer(peer)
            .map_or(Trust::Outside, |trunk| trunk.trust)
    }

    pub(crate) fn peer_name(&self, peer: PeerId) -> Option<String> {
        Some(self.settings.peer(peer)?.name.clone())
    }

    /// Where a department is called, in order.
    pub(crate) fn department(&self, name: &str) -> VecDeque<Destination> {
        let department = self.settings.department(name);
        department
            .map(|department| {
                department
                    .targets
                    .iter()
                    .map(Destination::of_target)
                    .collect()
            })
            .unwrap_or_default()
    }

    /// Where a peer's redirection leads: to the city's own numbers only. Empty where it is not to be followed (T-11).
    pub(crate) fn redirected(&self, peer: PeerId, message: &Message) -> Vec<Destination> {
        let contacts = message.addresses(HeaderName::Contact).take(MOST_CONTACTS);
        let policies = contacts.filter_map(|contact| {
            let number = outbound::redirect_target(&self.settings, peer, &contact.ok()?.uri())?;
            self.settings.policy(&number)
        });
        let destinations = policies.flat_map(|policy| {
            let mut destinations = self.department(&policy.department);
            for destination in &mut destinations {
                let number = number_form::write(&policy.number, NumberForm::National);
                destination.user.get_or_insert(number);
            }
            destinations
        });
        destinations.collect()
    }

    // Dialogs.

    pub(crate) fn place(&self, dialog: DialogId) -> Option<Place> {
        self.places.get(&dialog).copied()
    }

    pub(crate) fn enter(&mut self, dialog: DialogId, place: Place) {
        self.places.insert(dialog, place);
    }

    /// Notes how far a dialog has come.
    pub(crate) fn note(&mut self, now: Now, dialog: DialogId, usage: Usage) {
        if usage == Usage::Over {
            self.late.push_back((now.at + LATE, dialog));
            self.peers.call_over(dialog);
            self.referrals.remove(&dialog);
        }
        if let Some(place) = self.places.get_mut(&dialog) {
            place.usage = usage;
        }
    }

    /// Forgets dialogs of which not even late messages are expected.
    pub(crate) fn forget_late(&mut self, now: Now) {
        while self.late.front().is_some_and(|(until, _)| *until <= now.at) {
            if let Some((_, dialog)) = self.late.pop_front() {
                self.places.remove(&dialog);
            }
        }
    }

    pub(crate) fn dialogs_of(&self, call: CallId) -> Vec<DialogId> {
        self.places
            .iter()
            .filter(|(_, place)| place.call == call)
            .map(|(dialog, _)| *dialog)
            .collect()
    }

    pub(crate) fn has_open_dialogs(&self) -> bool {
        self.places.values().any(|place| place.usage != Usage::Over)
    }

    pub(crate) fn invite(
        &mut self,
        now: Now,
        call: CallId,
        side: Side,
        mut invite: Invite,
    ) -> DialogId {
        self.dress(&mut invite);
        let (peer, hop) = (invite.peer, invite.hop);
        let dialog = self.endpoint.invite(now.at, invite);
        self.peers.call_sent(now.at, dialog, peer, hop);
        self.enter(
            dialog,
            Place {
                call,
                side,
                usage: Usage::Outgoing,
            },
        );
        dialog
    }

    pub(crate) fn accept(&mut self, now: Now, dialog: DialogId, headers: Headers, body: Bytes) {
        self.endpoint.accept(now.at, dialog, headers, body);
        self.note(now, dialog, Usage::Answered);
    }

    /// Answers a request that waits by a status alone.
    pub(crate) fn answer_plainly(&mut self, now: Now, request: RequestId, status: u16) {
        let endpoint = &mut self.endpoint;
        endpoint.respond(now.at, request, status, phrase(status), Vec::new(), None);
    }

    /// A dialog goes over to another call.
    pub(crate) fn adopt(&mut self, dialog: DialogId, call: CallId) {
        if let Some(place) = self.places.get_mut(&dialog) {
            place.call = call;
        }
    }

    /// Answers an offer inside a dialog.
    pub(crate) fn answer_offer(&mut self, now: Now, request: RequestId, body: Bytes) {
        let endpoint = &mut self.endpoint;
        endpoint.respond(now.at, request, 200, phrase(200), Vec::new(), Some(body));
    }

    pub(crate) fn reject(&mut self, now: Now, dialog: DialogId, status: u16) {
        self.reject_because(now, dialog, status, None);
    }

    /// Refuses with what the far side said of it.
    pub(crate) fn reject_because(
        &mut self,
        now: Now,
        dialog: DialogId,
        status: u16,
        reason: Option<String>,
    ) {
        let mut headers = match status {
            503 => vec![("Retry-After", self.admission.retry_after_s().to_string())],
            _ => Vec::new(),
        };
        headers.extend(reason.map(|reason| ("Reason", reason)));
        self.endpoint
            .reject(now.at, dialog, status, phrase(status), headers);
        self.note(now, dialog, Usage::Over);
    }

    /// Ends a dialog however far it has come: `status` refuses it, `reason` goes into CANCEL or BYE. A BYE waits for the answer to the
    /// last NOTIFY of a transfer.
    pub(crate) fn end(&mut self, now: Now, dialog: DialogId, status: u16, reason: Option<&str>) {
        let Some(place) = self.place(dialog) else {
            return;
        };
        match place.usage {
            Usage::Incoming => self.reject(now, dialog, status),
            Usage::Outgoing => {
                self.endpoint.cancel(now.at, dialog, reason);
                self.note(now, dialog, Usage::Leaving);
            }
            Usage::Answered => {
                // Whoever waits to hear of its transfer hears that nothing comes of it.
                self.notify(now, dialog, 487, Subscription::Terminated);
                if !self.puts_off_goodbye(dialog, reason) {
                    self.endpoint.bye(now.at, dialog, reason);
                    self.note(now, dialog, Usage::Leaving);
                }
            }
            // Said already.
            Usage::Leaving | Usage::Over => {}
        }
    }
}
