use super::*;
use crate::{
    outbound::Outbound,
    overload::Overload,
    settings::Limits,
    trunk::{Listener, Probe, Registration, TrunkTarget},
};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn with(peers: Vec<Trunk>) -> Settings {
    let udp = |text: &str| Listener {
        transport: Transport::Udp,
        address: address(text),
    };
    Settings {
        listeners: vec![udp("192.0.2.1:5060")],
        peers,
        departments: Vec::new(),
        numbers: Vec::new(),
        limits: Limits::default(),
        outbound: Outbound::default(),
        overload: Overload::default(),
        sip: sip_core::Settings::default(),
        fault_injection: None,
    }
}

fn carrier() -> Trunk {
    let addresses = vec!["192.0.2.10".parse().unwrap()];
    Trunk::new("carrier", PeerRole::Carrier, addresses)
}

fn messages(settings: &Settings) -> Vec<String> {
    let faults = settings.faults();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn an_ordinary_peer_has_no_fault() {
    let pbx = Trunk::new("pbx", PeerRole::Pbx, vec!["192.0.2.20".parse().unwrap()])
        .at(address("192.0.2.20:5060"), Transport::Udp);
    assert_eq!(messages(&with(vec![carrier(), pbx])), Vec::<String>::new());
}

#[test]
fn an_address_belongs_to_one_peer_wherever_it_is_listed() {
    let other = Trunk::new("other", PeerRole::Pbx, Vec::new())
        .at(address("[::ffff:192.0.2.10]:5060"), Transport::Udp);
    let faults = with(vec![carrier(), other]).faults();
    assert!(
        faults.contains(&SettingsFault::AddressShared {
            address: "192.0.2.10".parse().unwrap(),
            first: "carrier".to_owned(),
            second: "other".to_owned(),
        }),
        "{faults:?}"
    );
}

#[test]
fn a_place_that_no_listener_can_send_to_is_named() {
    let peer = carrier()
        .at(address("192.0.2.1:5060"), Transport::Udp)
        .at(address("[2001:db8::1]:5060"), Transport::Udp)
        .at(address("192.0.2.10:5061"), Transport::Tls);
    assert_eq!(
        messages(&with(vec![peer])),
        [
            "peer carrier takes calls at 192.0.2.1:5060, where we listen ourselves; write where the peer is",
            "peer carrier takes calls by Udp over IPv6, and no listener has both; add one, or change the target",
            "peer carrier takes calls by Tls over IPv4, and no listener has both; add one, or change the target",
        ]
    );
    let mut settings = with(Vec::new());
    settings.listeners.clear();
    assert_eq!(settings.faults(), [SettingsFault::NoListener]);
}

#[test]
fn who_is_to_be_called_needs_a_place() {
    for peer in [
        Trunk {
            outbound: true,
            ..carrier()
        },
        Trunk {
            probe: Some(Probe {
                interval: Duration::from_secs(30),
            }),
            ..carrier()
        },
    ] {
        let faults = with(vec![peer]).faults();
        assert!(
            matches!(faults[..], [SettingsFault::NowhereToSend { .. }]),
            "{faults:?}"
        );
    }
}

#[test]
fn keys_of_encrypted_media_never_travel_in_clear() {
    let peer = Trunk {
        secure_media: SecureMedia::Always,
        ..carrier()
    };
    let settings = with(vec![peer.at(address("192.0.2.10:5060"), Transport::Udp)]);
    assert_eq!(
        settings.faults(),
        [SettingsFault::KeysInClear {
            peer: "carrier".to_owned(),
            transport: Transport::Udp
        }]
    );
}

#[test]
fn a_notice_before_the_answer_needs_reliable_answers() {
    let mut peer = carrier();
    peer.announcement = AnnouncementMedia::Early;
    assert_eq!(messages(&with(vec![peer.clone()])), Vec::<String>::new());
    peer.sip.reliable = Reliable::Off;
    assert_eq!(
        messages(&with(vec![peer])),
        [
            "peer carrier is to hear the notice before the answer while its reliable answers (100rel) are off, so that nothing shows that the notice was heard; make reliable \"supported\", or announcement \"after_answer\""
        ]
    );
}

#[test]
fn figures_that_cannot_be_are_named_with_what_can() {
    let registration = Registration {
        registrar: "carrier.example".to_owned(),
        user: "line".to_owned(),
        expires: Duration::from_secs(10),
        contact_user: None,
    };
    let mut peer = Trunk {
        dscp: Dscp {
            signalling: 64,
            media: 46,
        },
        codecs: Vec::new(),
        channels: Some(Channels {
            total: 2,
            emergency_reserve: 2,
        }),
        registration: Some(registration),
        probe: Some(Probe {
            interval: Duration::from_secs(1),
        }),
        ..carrier()
    };
    peer.targets
        .push(TrunkTarget::at(address("192.0.2.10:5060"), Transport::Udp));
    peer.sip.session.min = Duration::from_secs(60);
    peer.sip.session.interval = Some(Duration::from_secs(30));
    assert_eq!(
        messages(&with(vec![peer])),
        [
            "peer carrier has signalling dscp 64, expected 0 to 63; correct it",
            "peer carrier has codecs none, expected one at least; correct it",
            "peer carrier has an emergency reserve of 2 of 2, expected fewer than all its channels; correct it",
            "peer carrier has a registration of 10 s, expected 60 s or more; correct it",
            "peer carrier has a probe interval of 1 s, expected 5 s or more; correct it",
            "peer carrier has a smallest session interval of 60 s, expected 90 s or more; correct it",
            "peer carrier has a session interval of 30 s, expected no less than its smallest; correct it",
        ]
    );
}
