use std::net::SocketAddr;

use bytes::Bytes;
use rules::{NumberPolicy, Profile};
use sip_core::{Message, Transport};

use super::*;
use crate::{
    settings::Limits,
    trunk::{Listener, Trust},
};

const EAST: PeerId = PeerId(0);
const WEST: PeerId = PeerId(1);
const PBX: PeerId = PeerId(2);
const BRANCH: PeerId = PeerId(3);

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

/// Two carriers, two PBXs; calls to 0 and one a time to 010 are allowed.
fn settings() -> Settings {
    let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let peer = |name: &str, role, address: &str| {
        Trunk::new(name, role, vec![at(address).ip()]).at(at(address), Transport::Udp)
    };
    let carrier = |name, address, contracted: &[&str]| Trunk {
        outbound: true,
        contracted: contracted.iter().map(|text| number(text)).collect(),
        ..peer(name, PeerRole::Carrier, address)
    };
    let allowed = |prefix: &str, calls| Allowed {
        prefix: Prefix::parse(prefix).unwrap(),
        calls,
    };
    let site = |name: &str, peers: &[&str], extensions: &[&str], trunk: &str, shown| Site {
        name: name.to_owned(),
        peers: peers.iter().map(ToString::to_string).collect(),
        extensions: extensions.iter().map(ToString::to_string).collect(),
        trunk: trunk.to_owned(),
        number: number(shown),
    };
    Settings {
        listeners: vec![Listener {
            transport: Transport::Udp,
            address: at("127.0.0.1:5060"),
        }],
        peers: vec![
            carrier("east", "127.0.0.2:5060", &["0783331001", "0783331002"]),
            carrier("west", "127.0.0.4:5060", &["0783332001"]),
            peer("pbx", PeerRole::Pbx, "127.0.0.3:5062"),
            peer("branch", PeerRole::Pbx, "127.0.0.5:5062"),
        ],
        departments: Vec::new(),
        numbers: vec![NumberPolicy {
            number: number("0783331001"),
            profile: Profile::Announce,
            decision: None,
            department: "daihyo".to_owned(),
        }],
        outbound: Outbound {
            allowed: vec![
                allowed("0", None),
                allowed("010", Some(1)),
                allowed("177", None),
            ],
            calls: Some(3),
            sites: vec![
                site("hall", &["pbx"], &[], "east", "0783331002"),
                site("annex", &["pbx"], &["7"], "west", "0783332001"),
            ],
        },
        limits: Limits::default(),
        overload: crate::overload::Overload::default(),
        sip: sip_core::Settings::default(),
        fault_injection: None,
    }
}

fn caller(from: &str, headers: &str) -> Identity {
    let text = format!(
        "INVITE sip:0783331001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: <{from}>;tag=a\r\n\
        To: <sip:0783331001@127.0.0.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.3>\r\n{headers}Content-Length: 0\r\n\r\n"
    );
    Identity::read(&Message::parse(Bytes::from(text)).unwrap(), Trust::Inside)
}

fn dialled(user: &str) -> Called {
    let uri = format!("sip:{user}@127.0.0.1");
    Called::read(&UriText::read(&Uri::parse(&uri).unwrap()).unwrap()).unwrap()
}

fn dial(peer: PeerId, from: &str, user: &str, running: &[Number]) -> Result<OutboundPlan, u16> {
    judge(
        &settings(),
        peer,
        dialled(user),
        &caller(from, ""),
        running.iter(),
    )
}

/// Class and exits in words: `ordinary: east +81..., west withheld +81...`.
fn told(plan: Result<OutboundPlan, u16>) -> String {
    let settings = settings();
    let exit = |exit: &Exit| {
        let name = &settings.peer(exit.peer).unwrap().name;
        match &exit.cli {
            Cli::Number(number) => format!("{name} as {}", number.e164()),
            Cli::Withheld(number) => format!("{name} withheld as {}", number.e164()),
            Cli::AsItCame => format!("{name} as it came"),
        }
    };
    match plan {
        Err(status) => status.to_string(),
        Ok(plan) => {
            let tier = |exits: &[Exit]| exits.iter().map(exit).collect::<Vec<_>>().join(", ");
            format!(
                "{:?} [{}] then [{}]",
                plan.class,
                tier(&plan.first),
                tier(&plan.then)
            )
        }
    }
}

#[test]
fn people_of_the_city_call_what_is_allowed() {
    for (user, expected) in [
        ("0783331001", "Internal [] then []"),
        (
            "0790000001",
            "Ordinary [] then [east as +81783331001, west as +81783332001]",
        ),
        (
            "177",
            "Ordinary [] then [east as +81783331001, west as +81783332001]",
        ),
        ("117", "403"),
        (
            "01012125550100",
            "Ordinary [] then [east as +81783331001, west as +81783332001]",
        ),
    ] {
        assert_eq!(
            told(dial(PBX, "sip:205@127.0.0.3", user, &[])),
            expected,
            "{user}"
        );
    }
}

#[test]
fn a_carrier_never_calls_out() {
    for user in ["0790000001", "0783331001", "119", "177"] {
        for peer in [EAST, WEST, PeerId(9)] {
            assert_eq!(
                told(dial(peer, "sip:0790000009@127.0.0.2", user, &[])),
                "403"
            );
        }
    }
}

#[test]
fn nothing_is_allowed_unless_somebody_says_so() {
    let settings = Settings {
        outbound: Outbound::default(),
        ..settings()
    };
    let judged = |user| {
        judge(
            &settings,
            PBX,
            dialled(user),
            &caller("sip:205@x", ""),
            std::iter::empty(),
        )
    };
    assert_eq!(judged("0790000001"), Err(403));
    assert_eq!(judged("0783331001").unwrap().class, Class::Internal);
    assert_eq!(judged("110").unwrap().class, Class::Emergency);
}

#[test]
fn caps_hold_calls_back_and_never_an_emergency_call() {
    let home = number("0790000001");
    let abroad = number("+12125550100");
    let full = vec![home.clone(), home.clone(), home];
    assert_eq!(told(dial(PBX, "sip:205@x", "0790000002", &full)), "503");
    assert_eq!(
        told(dial(PBX, "sip:205@x", "01012125550101", &[abroad])),
        "503"
    );
    assert!(dial(PBX, "sip:205@x", "0790000002", &full[..2]).is_ok());
    assert!(dial(PBX, "sip:205@x", "119", &full).is_ok());
}

#[test]
fn only_a_number_of_the_trunk_is_shown_and_the_callers_own_before_others() {
    for (from, expected) in [
        (
            "sip:0783331002@x",
            "[east as +81783331002] then [west as +81783332001]",
        ),
        (
            "sip:+81783332001@x",
            "[west as +81783332001] then [east as +81783331001]",
        ),
        (
            "sip:0799999999@x",
            "[] then [east as +81783331001, west as +81783332001]",
        ),
    ] {
        assert_eq!(
            told(dial(PBX, from, "0790000001", &[])),
            format!("Ordinary {expected}"),
            "{from}"
        );
    }
    let mut bare = settings();
    bare.peers[0].contracted.clear();
    bare.peers[1].outbound = false;
    let plan = judge(
        &bare,
        PBX,
        dialled("0790000001"),
        &caller("sip:205@x", ""),
        std::iter::empty(),
    );
    assert_eq!(
        told(plan),
        "Ordinary [] then [east as +81783331001]",
        "the city's own numbers"
    );
}

#[test]
fn the_digits_before_a_number_say_whether_it_is_shown() {
    let (id, none) = ("Privacy: id\r\n", "");
    for (user, headers, expected) in [
        ("1840790000001", none, "withheld as"),
        ("1860790000001", id, "east as"),
        ("0790000001", id, "withheld as"),
        ("0790000001", none, "east as"),
        ("184119", id, "east as"),
        ("119", id, "east as"),
    ] {
        let plan = judge(
            &settings(),
            PBX,
            dialled(user),
            &caller("sip:205@x", headers),
            std::iter::empty(),
        );
        let told = told(plan);
        assert!(told.contains(expected), "{user} {headers}: {told}");
        assert_eq!(
            told.contains("withheld"),
            expected == "withheld as",
            "{user}: {told}"
        );
    }
}

#[test]
fn an_emergency_call_goes_to_the_trunk_of_its_site_with_its_number() {
    for (peer, from, expected) in [
        (
            PBX,
            "sip:205@x",
            "[east as +81783331002] then [west as +81783332001]",
        ),
        (
            PBX,
            "sip:705@x",
            "[west as +81783332001] then [east as +81783331001]",
        ),
        (
            BRANCH,
            "sip:205@x",
            "[east as +81783331001, west as +81783332001] then []",
        ),
    ] {
        for user in ["110", "118", "119"] {
            assert_eq!(
                told(dial(peer, from, user, &[])),
                format!("Emergency {expected}"),
                "{from}"
            );
        }
    }
    let mut bare = settings();
    bare.numbers.clear();
    for trunk in &mut bare.peers {
        trunk.contracted.clear();
    }
    let plan = judge(
        &bare,
        BRANCH,
        dialled("119"),
        &caller("sip:205@x", ""),
        std::iter::empty(),
    );
    assert_eq!(
        told(plan),
        "Emergency [east as it came, west as it came] then []",
        "rather so than not"
    );
}

#[test]
fn a_refer_leads_only_where_a_call_might_and_joins_no_two_carriers() {
    let settings = settings();
    let refer = |remaining, uri: &str| {
        let uri = Uri::parse(uri).unwrap();
        let identity = caller("sip:205@x", "");
        refer_target(
            &settings,
            PBX,
            &uri,
            &identity,
            remaining,
            std::iter::empty(),
        )
        .map(|plan| plan.class)
    };
    for (uri, of_pbx, of_carrier) in [
        (
            "sip:0783331001@127.0.0.1",
            Ok(Class::Internal),
            Ok(Class::Internal),
        ),
        (
            "sip:0783331001@127.0.0.3:5062;transport=tcp",
            Ok(Class::Internal),
            Ok(Class::Internal),
        ),
        ("tel:+81783331001", Ok(Class::Internal), Ok(Class::Internal)),
        (
            "sip:0783331001@127.0.0.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc",
            Ok(Class::Internal),
            Ok(Class::Internal),
        ),
        ("sip:0790000001@127.0.0.1", Ok(Class::Ordinary), Err(403)),
        ("sip:119@127.0.0.1", Ok(Class::Emergency), Err(403)),
        ("sip:117@127.0.0.1", Err(403), Err(403)),
        ("sip:0783331001@198.51.100.9", Err(403), Err(403)),
        ("sip:0783331001@127.0.0.2", Err(403), Err(403)),
        ("sip:0783331001@evil.example", Err(403), Err(403)),
        (
            "sip:0783331001@127.0.0.1;maddr=198.51.100.9",
            Err(403),
            Err(403),
        ),
        ("sip:0783331001@127.0.0.1;lr", Err(403), Err(403)),
        ("sip:0783331001@127.0.0.1;method=BYE", Err(403), Err(403)),
        (
            "sip:0783331001@127.0.0.1?Route=%3Csip%3Aevil%3Blr%3E",
            Err(403),
            Err(403),
        ),
        (
            "sip:0783331001@127.0.0.1?Replaces=a&Route=%3Csip%3Aevil%3E",
            Err(403),
            Err(403),
        ),
        ("sip:evil%40evil.example@127.0.0.1", Err(403), Err(403)),
        ("https://evil.example/0783331001", Err(403), Err(403)),
    ] {
        assert_eq!(refer(PeerRole::Pbx, uri), of_pbx, "{uri}");
        assert_eq!(refer(PeerRole::Carrier, uri), of_carrier, "{uri}");
    }
}

#[test]
fn a_redirection_leads_to_our_own_numbers_only() {
    let settings = settings();
    for (uri, expected) in [
        ("sip:0783331001@127.0.0.1", Some("+81783331001")),
        ("sip:+81783331001@127.0.0.3", Some("+81783331001")),
        ("sip:0790000001@127.0.0.1", None),
        ("sip:119@127.0.0.1", None),
        ("sip:0783331001@evil.example", None),
        ("sip:0783331001@127.0.0.1;maddr=198.51.100.9", None),
        ("sip:0783331001@127.0.0.1?Replaces=a", None),
    ] {
        let found = redirect_target(&settings, PBX, &Uri::parse(uri).unwrap());
        assert_eq!(found.as_ref().map(Number::e164), expected, "{uri}");
    }
}

#[test]
fn a_prefix_is_read_as_numbers_are() {
    for (text, begins, misses) in [
        ("0", "0790000001", "+12125550100"),
        ("0120", "0120333100", "0790000001"),
        ("078-333", "+81783331000", "0783321000"),
        ("+8178", "0783331000", "0790000001"),
        ("010", "+12125550100", "0790000001"),
        ("010-1", "+12125550100", "+4420333100"),
        ("177", "177", "117"),
    ] {
        let prefix = Prefix::parse(text).unwrap();
        assert!(prefix.begins(&number(begins)), "{text} {begins}");
        assert!(!prefix.begins(&number(misses)), "{text} {misses}");
    }
    for text in ["", "+", "abc", "17", "1771", "5"] {
        assert!(Prefix::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_site_whose_emergency_calls_would_not_leave_is_found() {
    let mut settings = settings();
    settings.departments = vec![crate::route::Department {
        name: "daihyo".to_owned(),
        targets: vec![crate::route::Target {
            places: crate::route::Places::Peer("pbx".to_owned()),
            user: None,
            ring: std::time::Duration::from_secs(20),
        }],
    }];
    assert_eq!(settings.faults(), []);
    settings.outbound.sites[0].trunk = "pbx".to_owned();
    settings.outbound.sites[1].number = number("0783331001");
    settings.outbound.sites[1].peers = vec!["west".to_owned()];
    let told: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "site hall sends its emergency calls to pbx, expected a carrier that takes calls of ours; correct one of them",
            "site annex sends its emergency calls to west, expected the name of a pbx peer; correct one of them",
            "site annex shows +81-78-***-**01 to trunk west, which does not have it; add it to the trunk's numbers, or name another",
        ]
    );
}

#[test]
fn a_number_leaves_without_what_could_send_it_elsewhere() {
    // A carrier that reads these would call somebody else than was judged, 119 above every cap included.
    for (uri, leaves) in [
        ("sip:119;phone-context=+1212555@127.0.0.1", "119"),
        ("tel:119;phone-context=+1212555", "119"),
        ("sip:1-1-9@127.0.0.1", "119"),
        ("sip:+81119@127.0.0.1", "119"),
        ("tel:+81119", "119"),
        ("sip:177;phone-context=+1212555@127.0.0.1", "177"),
        ("tel:0790000009;rn=+12125550100;npdi", "0790000009"),
        ("tel:0790000009;cic=+10033", "0790000009"),
        (
            "sip:0790000009;tgrp=a;trunk-context=b@127.0.0.1",
            "0790000009",
        ),
        ("sip:0790000009;phone-context=+1212@127.0.0.1", "0790000009"),
        ("sip:%30790000009@127.0.0.1", "0790000009"),
        ("sip:079-000-0009@127.0.0.1", "079-000-0009"),
        ("sip:+81790000009@127.0.0.1", "+81790000009"),
        ("tel:790000009;phone-context=+81", "0790000009"),
    ] {
        let called = Called::read(&UriText::read(&Uri::parse(uri).unwrap()).unwrap()).unwrap();
        let caller = caller("sip:200@127.0.0.3", "");
        let plan = judge(&settings(), PBX, called, &caller, [].iter()).unwrap();
        assert_eq!(plan.called.user, leaves, "{uri}");
    }
}
