//! What joins the peers to the rest of the house: routes for calls, their requests to the endpoint, their news to the operator.

use std::collections::VecDeque;

use rules::Number;
use sip_core::{DialogId, Hop, Invite, NameAddrText, Outside, PeerId};

use super::House;
use crate::{
    health::Change,
    now::Now,
    output::{Alarm, Output},
    peers::{PeerNews, PeerRequest, Purpose, Wanted},
    route::{Failure, Route},
    trace::PeerEvent,
};

impl House {
    /// The ways to these peers, in the order in which they are to be tried.
    pub(crate) fn routes(&mut self, now: Now, wanted: &Wanted<'_>) -> VecDeque<Route> {
        self.peers.routes(now, &self.settings, wanted)
    }

    /// A call went on from one way to the next.
    pub(crate) fn failed_over(&mut self, now: Now, former: Route, failure: Failure, next: Route) {
        self.peers
            .failed_over(now, &self.settings, former, failure, next);
    }

    /// Lets an INVITE leave as the peer's registrar wants it: along its Service-Route, with the Contact it knows.
    pub(super) fn dress(&self, invite: &mut Invite) {
        if let Some(contact) = self.peers.registered_contact(invite.peer) {
            invite.contact_user = Some(contact.to_owned());
        }
        let route = self.peers.service_route(invite.peer).iter();
        invite
            .headers
            .extend(route.map(|hop| ("Route", hop.clone())));
    }

    /// A peer's call has come.
    pub(crate) fn call_came(&mut self, now: Now, dialog: DialogId, peer: PeerId, hop: Hop) {
        self.peers.call_came(now, &self.settings, dialog, peer, hop);
    }

    /// Does what the peers want done.
    pub(crate) fn tend_peers(&mut self, now: Now) {
        self.peers.tend(now, &self.settings);
        self.serve_peers(now);
    }

    /// Gives all registrations up.
    pub(crate) fn leave_peers(&mut self, now: Now) {
        self.peers.leave(now, &self.settings);
        self.serve_peers(now);
    }

    fn serve_peers(&mut self, now: Now) {
        while let Some(request) = self.peers.poll_request() {
            if let Some(outside) = self.outside(&request) {
                let sent = self.endpoint.send(now.at, outside);
                self.peers.request_sent(&request, sent);
            }
        }
        while let Some(question) = self.peers.poll_question() {
            self.put(Output::Resolve(question));
        }
        while let Some((peer, news)) = self.peers.poll_news() {
            match &news {
                PeerNews::Numbers(numbers) => self.learn(peer, numbers),
                PeerNews::NameChanged => self.endpoint.set_neighbours(self.peers.neighbours()),
                PeerNews::Place(..)
                | PeerNews::Down(_)
                | PeerNews::Up
                | PeerNews::Registered
                | PeerNews::NotRegistered(_)
                | PeerNews::NameUnknown
                | PeerNews::NameKept
                | PeerNews::AddressTaken(_)
                | PeerNews::OverContract { .. } => {}
            }
            self.tell(now, peer, &news);
        }
    }

    /// The request itself. Each registration and each peer's probes are a series of their own (RFC 3261 section 10.2).
    fn outside(&self, request: &PeerRequest) -> Option<Outside> {
        let trunk = self.settings.peer(request.peer)?;
        let series = u64::from(request.peer.0) * 2;
        let (peer, hop) = (request.peer, request.hop);
        match request.purpose {
            Purpose::Register => {
                let registration = trunk.registration.as_ref()?;
                let record = NameAddrText {
                    display: None,
                    uri: format!("sip:{}@{}", registration.user, registration.registrar),
                };
                let expires = request.expires.unwrap_or(registration.expires).as_secs();
                Some(Outside {
                    peer,
                    hop,
                    method: "REGISTER".to_owned(),
                    request_uri: format!("sip:{}", registration.registrar),
                    from: record.clone(),
                    to: record,
                    contact_user: self.peers.registered_contact(peer).map(str::to_owned),
                    headers: vec![
                        ("Expires", expires.to_string()),
                        ("Supported", "path".to_owned()),
                    ],
                    series,
                    patience: request.patience,
                })
            }
            Purpose::Probe => {
                let domain = self.peers.domain(peer, hop);
                let ours = hop.local;
                Some(Outside {
                    peer,
                    hop,
                    method: "OPTIONS".to_owned(),
                    request_uri: format!("sip:{domain}"),
                    from: NameAddrText {
                        display: None,
                        uri: format!("sip:{ours}"),
                    },
                    to: NameAddrText {
                        display: None,
                        uri: format!("sip:{domain}"),
                    },
                    contact_user: None,
                    headers: vec![("Accept", "application/sdp".to_owned())],
                    series: series + 1,
                    patience: request.patience,
                })
            }
        }
    }

    /// What a registrar says is ours may be shown to it, where the configuration does not say what may.
    fn learn(&mut self, id: PeerId, numbers: &[Number]) {
        if !self.unlisted.contains(&id) {
            return;
        }
        if let Some(trunk) = self.settings.peers.get_mut(usize::from(id.0)) {
            trunk.contracted = numbers.to_vec();
        }
    }

    fn tell(&mut self, now: Now, id: PeerId, news: &PeerNews) {
        let name = self.peer_name(id).unwrap_or_default();
        let alarm = match news {
            PeerNews::Down(ailment) => Some(Alarm::PeerDown {
                peer: name.clone(),
                ailment: *ailment,
            }),
            PeerNews::Up => Some(Alarm::PeerUp { peer: name.clone() }),
            PeerNews::NotRegistered(refused) => Some(Alarm::NotRegistered {
                peer: name.clone(),
                refused: *refused,
            }),
            PeerNews::NameUnknown => Some(Alarm::PeerUnknown { peer: name.clone() }),
            PeerNews::AddressTaken(address) => Some(Alarm::AddressTaken {
                peer: name.clone(),
                address: *address,
            }),
            PeerNews::OverContract { calls, contracted } => Some(Alarm::OverContract {
                peer: name.clone(),
                calls: *calls,
                contracted: *contracted,
            }),
            PeerNews::Place(..)
            | PeerNews::Registered
            | PeerNews::Numbers(_)
            | PeerNews::NameKept
            | PeerNews::NameChanged => None,
        };
        let what = match news {
            PeerNews::Place(address, Change::Fell(ailment)) => {
                Some(format!("{address} is down: {}", ailment.describe()))
            }
            PeerNews::Place(address, Change::Rose) => Some(format!("{address} is up again")),
            PeerNews::Place(address, Change::Rests(retry_after)) => {
                let wait_s = retry_after.wait().as_secs();
                Some(format!(
                    "{address} is called after others for {wait_s} s, as its 503 asks"
                ))
            }
            PeerNews::Down(ailment) => Some(format!("down: {}", ailment.describe())),
            PeerNews::Up => Some("up again".to_owned()),
            PeerNews::Registered => Some("registered".to_owned()),
            PeerNews::Numbers(numbers) => {
                Some(format!("its registrar names {} numbers", numbers.len()))
            }
            PeerNews::NotRegistered(_) => Some("not registered".to_owned()),
            PeerNews::NameUnknown => Some("its name has no address".to_owned()),
            PeerNews::NameKept => {
                Some("its name is not answered; the old addresses stand".to_owned())
            }
            PeerNews::NameChanged => Some("its name stands for other addresses".to_owned()),
            // The alarm says it all.
            PeerNews::AddressTaken(_) | PeerNews::OverContract { .. } => None,
        };
        if let Some(what) = what {
            let at = now.wall;
            let peer = name;
            self.put(Output::Peer(PeerEvent { at, peer, what }));
        }
        if let Some(alarm) = alarm {
            self.alarm(alarm);
        }
    }
}
