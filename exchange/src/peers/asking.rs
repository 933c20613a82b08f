//! What is asked of the peers besides calls: registrations, and whether they live.

use std::time::{Duration, Instant};

use sip_core::{Hop, Message, PeerId, SentId};

use super::{PeerNews, PeerRequest, Peers, Purpose, Service};
use crate::{
    health::Sign,
    now::Now,
    registration::{News, Refused, Registrar},
    selection::Tier,
    settings::Settings,
    trunk::Trunk,
};

impl Peers {
    /// A request has been sent under this id.
    pub(crate) fn request_sent(&mut self, request: &PeerRequest, sent: SentId) {
        self.asked
            .insert(sent, (request.peer, request.hop, request.purpose));
        let registrar = self
            .each
            .get_mut(usize::from(request.peer.0))
            .and_then(|peer| peer.registrar.as_mut());
        match (request.purpose, registrar) {
            (Purpose::Register, Some(registrar)) if request.expires == Some(Duration::ZERO) => {
                registrar.left(sent);
            }
            (Purpose::Register, Some(registrar)) => registrar.asked(sent),
            (Purpose::Register, None) | (Purpose::Probe, _) => {}
        }
    }

    /// Takes the answer to a request outside of calls; `message` is none where nobody answered.
    pub(crate) fn handle_answer(
        &mut self,
        now: Now,
        sent: SentId,
        status: u16,
        message: Option<&Message>,
    ) {
        let Some((id, hop, purpose)) = self.asked.remove(&sent) else {
            return;
        };
        let loss = self.loss_of(id, hop);
        let sign = match message {
            Some(message) => Some(Sign::of_answer(status, message)),
            None => Sign::of_no_answer(status, loss),
        };
        if let Some(sign) = sign {
            self.take_sign(now, id, hop, sign);
        }
        let answer = message
            .map(|message| (status, message))
            .ok_or_else(|| Refused::without_answer(status, loss));
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        match (purpose, &mut peer.registrar) {
            (Purpose::Register, Some(registrar)) if registrar.expects(sent) => {
                let places = peer.places.len();
                let generator = &mut self.generator;
                let news = registrar.handle_answer(now.at, answer, places, generator);
                if registrar.is_held() && registrar.numbers() != peer.numbers {
                    peer.numbers = registrar.numbers().to_vec();
                    let numbers = peer.numbers.clone();
                    self.news.push_back((id, PeerNews::Numbers(numbers)));
                }
                self.tell_registration(now, id, news);
            }
            (Purpose::Register | Purpose::Probe, _) => {}
        }
    }

    /// Gives all registrations up.
    pub(crate) fn leave(&mut self, now: Now, settings: &Settings) {
        self.begin(now.at, settings);
        self.service = Service::Leaving;
        for (id, trunk) in settings.peers_by_id() {
            let Some(hop) = self.register_hop(now.at, settings, id, trunk) else {
                continue;
            };
            let registrar = self
                .each
                .get_mut(usize::from(id.0))
                .and_then(|peer| peer.registrar.as_mut());
            if let Some(expires) = registrar.and_then(Registrar::leave) {
                self.requests.push_back(PeerRequest {
                    peer: id,
                    hop,
                    purpose: Purpose::Register,
                    expires: Some(expires),
                    patience: None,
                });
            }
        }
    }

    /// Whether an answer to our leaving is still waited for.
    pub(crate) fn is_leaving(&self) -> bool {
        self.service == Service::Leaving
            && self.each.iter().any(|peer| {
                let registrar = peer.registrar.as_ref();
                registrar.is_some_and(Registrar::is_waiting)
            })
    }

    pub(super) fn tend_registration(
        &mut self,
        now: Now,
        settings: &Settings,
        id: PeerId,
        trunk: &Trunk,
    ) {
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        let places = peer.places.len();
        let Some(registrar) = &mut peer.registrar else {
            return;
        };
        let lapsed = registrar.lapse(now.at);
        let patience = registrar.patience(places);
        if let Some(expires) = registrar.ask(now.at) {
            match self.register_hop(now.at, settings, id, trunk) {
                Some(hop) => {
                    // Until it is sent under an id, nothing more is due.
                    self.requests.push_back(PeerRequest {
                        peer: id,
                        hop,
                        purpose: Purpose::Register,
                        expires: Some(expires),
                        patience,
                    });
                }
                None => self.register_nowhere(now.at, id),
            }
        }
        self.tell_registration(now, id, lapsed);
    }

    fn register_nowhere(&mut self, now: Instant, id: PeerId) {
        let peer = self.each.get_mut(usize::from(id.0));
        if let Some(registrar) = peer.and_then(|peer| peer.registrar.as_mut()) {
            registrar.found_nowhere(now, &mut self.generator);
        }
    }

    /// Where REGISTER goes: the places in the order of a call's, one further after each failure.
    fn register_hop(
        &mut self,
        now: Instant,
        settings: &Settings,
        id: PeerId,
        trunk: &Trunk,
    ) -> Option<Hop> {
        let failures = self.peer(id)?.registrar.as_ref()?.failures();
        let mut candidates = self.candidates(now, settings, id, trunk, Tier::First);
        candidates.sort_by_key(|place| place.place_rank.priority);
        let count = u32::try_from(candidates.len())
            .ok()
            .filter(|count| *count > 0)?;
        let turn = usize::try_from(failures % count).ok()?;
        candidates.get(turn).map(|place| place.hop)
    }

    fn tell_registration(&mut self, now: Now, id: PeerId, news: Option<News>) {
        let Some(news) = news else { return };
        let told = match news {
            News::Registered => PeerNews::Registered,
            News::Refused(why) => PeerNews::NotRegistered(Some(why)),
            News::Lapsed => PeerNews::NotRegistered(None),
        };
        self.news.push_back((id, told));
        // Before the first answer nobody has fallen; a refusal while an earlier registration holds harms no call.
        self.judge(now, id);
    }

    pub(super) fn tend_probes(&mut self, now: Now, settings: &Settings, id: PeerId, trunk: &Trunk) {
        let Some(probe) = trunk.probe else { return };
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        for place in &mut peer.places {
            if place.probe_due().is_none_or(|at| now.at < at) {
                continue;
            }
            place.probe_at = Some(now.at + probe.interval);
            if let Some(hop) = settings.hop_to(trunk, place.address, place.transport) {
                self.requests.push_back(PeerRequest {
                    peer: id,
                    hop,
                    purpose: Purpose::Probe,
                    expires: None,
                    patience: None,
                });
            }
        }
    }
}
