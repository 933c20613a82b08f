//! Which peer a call goes to, when some are down, full, not registered, or known by name only.

mod asking;
mod signs;

use std::collections::BTreeSet;

use rand_core::SeedableRng;
use sip_core::{Event, Malformed, Message, Transport};

use super::*;
use crate::{
    admission::Class,
    health::Unreachable,
    names::{Extent, Found, Resolved},
    outbound::Outbound,
    overload::Overload,
    retry_after::RetryAfter,
    route::{Failure, Places, Route, Setback},
    selection::{Choice, PassedOver},
    settings::Limits,
    trunk::{Channels, Listener, PeerRole, Probe, Registration, Trunk, TrunkTarget},
};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn pbx(name: &str, place: &str) -> Trunk {
    let place = address(place);
    Trunk::new(name, PeerRole::Pbx, vec![place.ip()]).at(place, Transport::Udp)
}

fn listener(transport: Transport, text: &str) -> Listener {
    Listener {
        transport,
        address: address(text),
    }
}

/// Peers with a clock of their own.
struct House {
    settings: Settings,
    peers: Peers,
    now: Now,
    dialogs: u64,
}

impl House {
    #[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
    fn new(peers: Vec<Trunk>) -> House {
        let settings = Settings {
            listeners: vec![
                listener(Transport::Udp, "192.0.2.1:5060"),
                listener(Transport::Tcp, "192.0.2.1:5060"),
                listener(Transport::Udp, "[2001:db8::1]:5060"),
            ],
            peers,
            departments: Vec::new(),
            numbers: Vec::new(),
            limits: Limits::default(),
            outbound: Outbound::default(),
            overload: Overload::default(),
            sip: sip_core::Settings::default(),
            fault_injection: None,
        };
        assert_eq!(settings.faults(), []);
        let now = Now {
            at: Instant::now(),
            wall: "2026-04-01T00:00:00Z".parse().unwrap(),
        };
        let mut house = House {
            peers: Peers::new(&settings, ChaCha20Rng::seed_from_u64(3)),
            settings,
            now,
            dialogs: 0,
        };
        house.tend();
        house
    }

    fn tend(&mut self) {
        self.peers.tend(self.now, &self.settings);
    }

    fn pass(&mut self, seconds: u64) {
        self.now.at += Duration::from_secs(seconds);
        self.now.wall += jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        self.tend();
    }

    fn routes(&mut self, class: Class) -> VecDeque<Route> {
        let wanted = Wanted {
            places: &Places::Role(PeerRole::Pbx),
            class,
            plan: None,
        };
        self.peers.routes(self.now, &self.settings, &wanted)
    }

    fn ways_of(&mut self, class: Class) -> Vec<String> {
        let routes = self.routes(class);
        let ways = routes.iter().map(|route| {
            let name = &self.settings.peer(route.peer).unwrap().name;
            format!("{name} {:?} {}", route.hop.transport, route.hop.remote)
        });
        ways.collect()
    }

    fn ways(&mut self) -> Vec<String> {
        self.ways_of(Class::Rest)
    }

    /// Calls the first way and says what came of it.
    fn call(&mut self, sign: Sign) -> String {
        let Route { peer, hop, .. } = self.routes(Class::Rest)[0];
        self.dialogs += 1;
        let dialog = DialogId(self.dialogs);
        self.peers.call_sent(self.now.at, dialog, peer, hop);
        self.peers.call_heard(self.now, dialog, sign);
        self.peers.call_over(dialog);
        self.settings.peer(peer).unwrap().name.clone()
    }

    fn news(&mut self) -> Vec<PeerNews> {
        std::iter::from_fn(|| self.peers.poll_news())
            .map(|(_, news)| news)
            .collect()
    }

    fn why_chosen(&self, name: &str) -> Option<Choice> {
        self.report(name).last_chosen.map(|chosen| chosen.why)
    }

    fn why_passed_over(&self, name: &str) -> Option<PassedOver> {
        self.report(name).last_passed_over.map(|passed| passed.why)
    }

    fn report(&self, name: &str) -> TrunkReport {
        let reports = self
            .peers
            .reports(self.now, &self.settings, |_| Malformed::default());
        reports
            .into_iter()
            .find(|report| report.name == name)
            .unwrap()
    }
}

const SILENT: Sign = Sign::Ailing(Ailment::Silent);

#[test]
fn a_node_that_falls_silent_is_passed_over_until_it_proves_itself() {
    let mut house = House::new(vec![
        pbx("first", "192.0.2.20:5060"),
        Trunk {
            priority: 1,
            ..pbx("second", "192.0.2.21:5060")
        },
    ]);
    assert_eq!(house.call(SILENT), "first");
    assert_eq!(house.call(SILENT), "first");
    assert_eq!(house.call(Sign::TookCall), "second");
    assert_eq!(
        house.news(),
        [
            PeerNews::Place(address("192.0.2.20:5060"), Change::Fell(Ailment::Silent)),
            PeerNews::Down(Ailment::Silent),
        ]
    );
    let report = house.report("first");
    assert_eq!(report.down, Some((house.now.wall, Ailment::Silent)));
    assert_eq!(
        report.last_passed_over,
        Some(Passed {
            at: house.now.wall,
            why: PassedOver::Down(Ailment::Silent)
        })
    );
    assert_eq!(report.places[0].state, PlaceState::Down(Ailment::Silent));
    house.pass(10);
    assert_eq!(
        house.report("first").places[0].state,
        PlaceState::OnTrial(Ailment::Silent)
    );
    assert_eq!(house.call(Sign::TookCall), "first");
    assert_eq!(house.call(Sign::TookCall), "first");
    assert_eq!(house.news().last(), Some(&PeerNews::Up));
    assert_eq!(house.report("first").down, None);
    assert_eq!(house.why_passed_over("second"), Some(PassedOver::Priority));
}

fn retry_after(seconds: u64) -> Sign {
    Sign::Resting(RetryAfter::new(Duration::from_secs(seconds)))
}

fn two_nodes() -> House {
    House::new(vec![
        pbx("first", "192.0.2.20:5060"),
        Trunk {
            priority: 1,
            ..pbx("second", "192.0.2.21:5060")
        },
    ])
}

#[test]
fn who_says_by_503_when_to_come_back_is_called_after_others_until_then() {
    let mut house = two_nodes();
    assert_eq!(house.call(retry_after(30)), "first");
    assert_eq!(
        house.ways(),
        ["second Udp 192.0.2.21:5060", "first Udp 192.0.2.20:5060"]
    );
    let until = house.now.wall + jiff::SignedDuration::from_secs(30);
    assert_eq!(
        house.why_passed_over("first"),
        Some(PassedOver::Resting(until))
    );
    assert_eq!(house.why_chosen("second"), Some(Choice::Lives));
    let report = house.report("first");
    assert_eq!(report.places[0].state, PlaceState::Resting(until));
    assert_eq!(report.down, None, "it answers");
    house.pass(29);
    assert_eq!(house.call(Sign::TookCall), "second");
    house.pass(1);
    assert_eq!(house.call(Sign::TookCall), "first");
    assert_eq!(house.why_chosen("first"), Some(Choice::Priority));
    let told = PeerNews::Place(
        address("192.0.2.20:5060"),
        Change::Rests(RetryAfter::new(Duration::from_secs(30))),
    );
    assert_eq!(house.news(), [told]);
}

#[test]
fn the_last_one_left_is_called_though_it_rests_and_a_call_it_takes_ends_that() {
    let mut house = two_nodes();
    for name in ["first", "second", "first", "second"] {
        assert_eq!(house.call(retry_after(600)), name);
        house.pass(1);
    }
    assert_eq!(house.ways().len(), 2, "both are down by their second 503");
    assert_eq!(house.why_chosen("first"), Some(Choice::LastLeft));
    let mut house = House::new(vec![pbx("only", "192.0.2.20:5060")]);
    assert_eq!(house.call(retry_after(600)), "only");
    house.pass(1);
    assert_eq!(house.call(Sign::TookCall), "only");
    assert_eq!(house.report("only").places[0].state, PlaceState::Up);
}

#[test]
fn after_a_failover_each_peer_says_what_became_of_the_call() {
    let mut house = two_nodes();
    let routes = house.routes(Class::Rest);
    let dialog = DialogId(1);
    let (former, next) = (routes[0], routes[1]);
    house
        .peers
        .call_sent(house.now.at, dialog, former.peer, former.hop);
    house.pass(4);
    house.peers.call_heard(house.now, dialog, SILENT);
    let House {
        peers,
        settings,
        now,
        ..
    } = &mut house;
    peers.failed_over(*now, settings, former, Failure::NO_RESPONSE, next);
    let setback = Setback::Ailing(Ailment::Silent);
    assert_eq!(
        house.why_passed_over("first"),
        Some(PassedOver::Failed(setback))
    );
    let chosen = house.report("second").last_chosen.unwrap();
    assert_eq!(
        chosen,
        Chosen {
            at: house.now.wall,
            place: PlaceName {
                address: address("192.0.2.21:5060"),
                transport: Transport::Udp
            },
            why: Choice::After {
                peer: "first".to_owned(),
                place: PlaceName {
                    address: address("192.0.2.20:5060"),
                    transport: Transport::Udp
                },
                setback
            },
        }
    );
    // An emergency call goes on whatever a trunk answers.
    let House {
        peers,
        settings,
        now,
        ..
    } = &mut house;
    peers.failed_over(*now, settings, former, Failure::answered(486), next);
    assert_eq!(
        house.why_passed_over("first"),
        Some(PassedOver::Failed(Setback::Failed(486)))
    );
}

#[test]
fn a_name_that_stands_for_what_no_listener_leads_to_is_said_so() {
    let mut house = House::new(vec![
        named("secure", "pbx.example"),
        pbx("plain", "192.0.2.20:5060"),
    ]);
    let question = house.peers.poll_question().unwrap();
    let found = Resolved {
        transport: Transport::Tcp,
        ..resolved("[2001:db8::20]:5060", 0)
    };
    let found = whole(vec![found]);
    house
        .peers
        .handle_resolved(house.now, &house.settings, &question, &found);
    assert_eq!(house.ways(), ["plain Udp 192.0.2.20:5060"]);
    assert_eq!(
        house.why_passed_over("secure"),
        Some(PassedOver::NoListener)
    );
    assert_eq!(house.why_chosen("plain"), Some(Choice::Only));
}

#[test]
fn the_last_one_left_is_tried_even_if_it_is_down() {
    let mut house = House::new(vec![pbx("only", "192.0.2.20:5060")]);
    for _ in 0..9 {
        assert_eq!(house.call(Sign::Ailing(Ailment::Unavailable)), "only");
    }
    assert_eq!(house.ways(), ["only Udp 192.0.2.20:5060"]);
}

#[test]
fn a_call_that_cannot_be_sent_says_why_it_could_not() {
    let mut house = House::new(vec![pbx("only", "192.0.2.20:5060")]);
    let hop = Hop::udp(address("192.0.2.1:5060"), address("192.0.2.20:5060"));
    for dialog in [1, 2] {
        house
            .peers
            .call_sent(house.now.at, DialogId(dialog), PeerId(0), hop);
    }
    house.peers.way_lost(hop, Unreachable::CertificateDate);
    assert_eq!(house.report("only").down, None, "another way may be left");
    for dialog in [1, 2].map(DialogId) {
        let status = 503;
        let loss = house.peers.loss(dialog);
        let sign = Sign::of_event(&Event::NoResponse { dialog, status }, loss).unwrap();
        house.peers.call_heard(house.now, dialog, sign);
    }
    assert_eq!(
        house.report("only").down.unwrap().1,
        Ailment::Unreachable(Unreachable::CertificateDate)
    );
}

#[test]
fn each_place_is_called_from_a_listener_of_its_transport_and_family() {
    let mut node = Trunk::new("node", PeerRole::Pbx, Vec::new());
    for (place, transport, priority) in [
        ("192.0.2.20:5060", Transport::Tcp, 2),
        ("[2001:db8::20]:5060", Transport::Udp, 1),
        ("192.0.2.20:5062", Transport::Udp, 0),
    ] {
        node.targets.push(TrunkTarget {
            priority,
            ..TrunkTarget::at(address(place), transport)
        });
    }
    let mut house = House::new(vec![node]);
    let routes = house.routes(Class::Rest);
    let hops: Vec<_> = routes
        .iter()
        .map(|route| {
            (
                route.hop.transport,
                route.hop.local.to_string(),
                route.hop.remote.to_string(),
            )
        })
        .collect();
    let expected = [
        (Transport::Udp, "192.0.2.1:5060", "192.0.2.20:5062"),
        (Transport::Udp, "[2001:db8::1]:5060", "[2001:db8::20]:5060"),
        (Transport::Tcp, "192.0.2.1:5060", "192.0.2.20:5060"),
    ];
    assert_eq!(
        hops,
        expected.map(|(how, local, remote)| (how, local.to_owned(), remote.to_owned()))
    );
    assert_eq!(
        house.peers.at("2001:db8::20".parse().unwrap()),
        Some(PeerId(0))
    );
    assert_eq!(
        house.peers.at("::ffff:192.0.2.20".parse().unwrap()),
        Some(PeerId(0))
    );
}

#[test]
fn a_full_peer_is_passed_over_but_not_for_an_emergency_and_what_it_sends_is_taken() {
    let mut house = House::new(vec![
        Trunk {
            channels: Some(Channels {
                total: 2,
                emergency_reserve: 1,
            }),
            ..pbx("small", "192.0.2.20:5060")
        },
        Trunk {
            priority: 1,
            ..pbx("large", "192.0.2.21:5060")
        },
    ]);
    let hop = Hop::udp(address("192.0.2.1:5060"), address("192.0.2.20:5060"));
    house
        .peers
        .call_came(house.now, &house.settings, DialogId(1), PeerId(0), hop);
    assert_eq!(house.ways(), ["large Udp 192.0.2.21:5060"]);
    assert_eq!(house.report("small").calls, 1);
    assert_eq!(house.why_passed_over("small"), Some(PassedOver::Full));
    assert_eq!(
        house.ways_of(Class::Emergency)[0],
        "small Udp 192.0.2.20:5060"
    );
    for dialog in 2..=9 {
        house
            .peers
            .call_came(house.now, &house.settings, DialogId(dialog), PeerId(0), hop);
    }
    let told = PeerNews::OverContract {
        calls: 3,
        contracted: 2,
    };
    assert_eq!(house.news(), [told], "told once a minute");
    for dialog in 1..=9 {
        house.peers.call_over(DialogId(dialog));
    }
    assert_eq!(house.ways()[0], "small Udp 192.0.2.20:5060");
}

fn named(name: &str, host: &str) -> Trunk {
    let mut trunk = Trunk::new(name, PeerRole::Pbx, Vec::new());
    trunk.targets.push(TrunkTarget {
        place: Place::Name {
            host: host.to_owned(),
            port: None,
        },
        ..TrunkTarget::at(address("192.0.2.99:5060"), Transport::Udp)
    });
    trunk
}

fn whole(places: Vec<Resolved>) -> Found {
    Found {
        places,
        ttl: Duration::from_secs(30),
        extent: Extent::Whole,
    }
}

fn resolved(text: &str, priority: u16) -> Resolved {
    Resolved {
        address: address(text),
        transport: Transport::Udp,
        priority,
        weight: 1,
    }
}

#[test]
fn what_a_name_stands_for_counts_as_the_peers_and_keeps_its_health() {
    let mut house = House::new(vec![
        named("node", "pbx.example"),
        pbx("other", "192.0.2.30:5060"),
    ]);
    let question = house.peers.poll_question().unwrap();
    assert_eq!(
        (question.peer.as_str(), question.host.as_str()),
        ("node", "pbx.example")
    );
    assert_eq!(house.ways(), ["other Udp 192.0.2.30:5060"]);
    assert_eq!(house.why_passed_over("node"), Some(PassedOver::NoAddress));
    let first = whole(vec![
        resolved("192.0.2.20:5060", 0),
        resolved("192.0.2.21:5060", 1),
    ]);
    house
        .peers
        .handle_resolved(house.now, &house.settings, &question, &first);
    assert_eq!(
        house.peers.at("192.0.2.21".parse().unwrap()),
        Some(PeerId(0))
    );
    let hop = Hop::udp(address("192.0.2.1:5060"), address("192.0.2.20:5060"));
    assert_eq!(house.peers.domain(PeerId(0), hop), "pbx.example");
    for dialog in [1, 2] {
        house
            .peers
            .call_sent(house.now.at, DialogId(dialog), PeerId(0), hop);
        house.peers.call_heard(house.now, DialogId(dialog), SILENT);
    }
    let down_last = |ways: Vec<String>| ways.last().cloned();
    assert_eq!(
        down_last(house.ways()).as_deref(),
        Some("node Udp 192.0.2.20:5060")
    );
    // One place goes, one stays with what is known of it, one belongs to another peer.
    let later = whole(vec![
        resolved("192.0.2.20:5060", 0),
        resolved("192.0.2.22:5060", 1),
        resolved("192.0.2.30:5060", 2),
    ]);
    house.news();
    house
        .peers
        .handle_resolved(house.now, &house.settings, &question, &later);
    let told = house.news();
    assert!(
        told.contains(&PeerNews::AddressTaken(address("192.0.2.30:5060"))),
        "{told:?}"
    );
    assert_eq!(house.peers.at("192.0.2.21".parse().unwrap()), None);
    assert_eq!(
        house.peers.at("192.0.2.30".parse().unwrap()),
        Some(PeerId(1))
    );
    assert_eq!(
        down_last(house.ways()).as_deref(),
        Some("node Udp 192.0.2.20:5060")
    );
}

#[test]
fn a_call_stands_though_its_name_leads_elsewhere_by_then() {
    // A zone with many addresses gives another part of them each time.
    let mut house = House::new(vec![named("node", "pbx.example")]);
    let question = house.peers.poll_question().unwrap();
    let resolve = |house: &mut House, place: &str| {
        let found = whole(vec![resolved(place, 0)]);
        let House {
            peers,
            settings,
            now,
            ..
        } = house;
        peers.handle_resolved(*now, settings, &question, &found);
    };
    let at = |house: &House| house.peers.at("192.0.2.20".parse().unwrap());
    resolve(&mut house, "192.0.2.20:5060");
    let hop = Hop::udp(address("192.0.2.1:5060"), address("192.0.2.20:5060"));
    let (sent, came) = (DialogId(1), DialogId(2));
    house.peers.call_sent(house.now.at, sent, PeerId(0), hop);
    house
        .peers
        .call_came(house.now, &house.settings, came, PeerId(0), hop);
    resolve(&mut house, "192.0.2.21:5060");
    assert_eq!(at(&house), Some(PeerId(0)));
    assert_eq!(house.ways(), ["node Udp 192.0.2.21:5060"]);
    house.peers.call_over(sent);
    assert_eq!(at(&house), Some(PeerId(0)), "one of them still stands");
    house.peers.call_over(came);
    assert_eq!(at(&house), None, "then it is a stranger's");
}

#[test]
fn peers_of_one_priority_share_by_weight_and_the_same_seed_chooses_again() {
    let chosen = || {
        let mut house = House::new(vec![
            Trunk {
                weight: 3,
                ..pbx("large", "192.0.2.20:5060")
            },
            pbx("small", "192.0.2.21:5060"),
        ]);
        let calls = (0..400).map(|_| house.call(Sign::TookCall));
        calls.collect::<Vec<_>>()
    };
    let (first, again) = (chosen(), chosen());
    assert_eq!(first, again);
    let names: BTreeSet<_> = first.iter().collect();
    assert_eq!(names.len(), 2);
    let large = first.iter().filter(|name| *name == "large").count();
    assert!((260..330).contains(&large), "{large} of 400");
}
