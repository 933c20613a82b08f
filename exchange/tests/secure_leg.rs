//! A PBX over TLS: its media is offered encrypted, and an answer in clear is no answer.
// The carrier speaks UDP and plain RTP; media is a pair of ports that nobody listens to.

#![expect(
    clippy::unwrap_used,
    reason = "a test falls where its own text is wrong"
)]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use exchange::{
    Department, Input, Limits, Listener, Now, Outbound, Output, Overload, PeerRole, Places,
    SecureMedia, Settings, Target, Trunk, Wiring,
};
use media::{LegId, OfferedLeg};
use rules::{EmergencyState, Number, NumberPolicy, Profile};
use sip_core::{Hop, Transport};

const CARRIER: &str = "192.0.2.10:5060";
const PBX: &str = "192.0.2.20:5061";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn settings() -> Settings {
    let listener = |transport, text| Listener {
        transport,
        address: address(text),
    };
    let carrier = Trunk::new("carrier", PeerRole::Carrier, vec![address(CARRIER).ip()]);
    let pbx = Trunk {
        secure_media: SecureMedia::OnTls,
        ..Trunk::new("pbx", PeerRole::Pbx, vec![address(PBX).ip()])
    }
    .at(address(PBX), Transport::Tls);
    Settings {
        listeners: vec![
            listener(Transport::Udp, "192.0.2.1:5060"),
            listener(Transport::Tls, "192.0.2.1:5061"),
        ],
        peers: vec![carrier, pbx],
        departments: vec![Department {
            name: "daihyo".to_owned(),
            targets: vec![Target {
                places: Places::Role(PeerRole::Pbx),
                user: None,
                ring: Duration::from_secs(30),
            }],
        }],
        numbers: vec![NumberPolicy {
            number: Number::parse("0783331001").unwrap(),
            profile: Profile::Transparent,
            decision: None,
            department: "daihyo".to_owned(),
        }],
        outbound: Outbound::default(),
        limits: Limits::default(),
        overload: Overload::default(),
        sip: sip_core::Settings::default(),
        fault_injection: None,
    }
}

fn sent(wiring: &mut Wiring) -> Vec<(Hop, String)> {
    std::iter::from_fn(|| wiring.poll_output())
        .filter_map(|output| match output {
            Output::Sip(transmit) => {
                let text = String::from_utf8_lossy(&transmit.payload).into_owned();
                Some((transmit.hop, text))
            }
            _ => None,
        })
        .collect()
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap()
}

fn describe(host: &str, profile: &str, key: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 30000 {profile} 0\r\n{key}"
    )
}

/// Calls, lets the PBX answer with `profile` and `key`, and returns the offer to the PBX and the statuses that the carrier got.
#[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
fn answered(profile: &str, key: &str) -> (String, Vec<String>) {
    let settings = settings();
    assert_eq!(settings.faults(), []);
    let now = Now {
        at: Instant::now(),
        wall: "2026-04-01T00:00:00Z".parse().unwrap(),
    };
    let mut wiring = Wiring::new(settings, EmergencyState::default(), [7; 32]);
    let legs = (0..8_u16).map(|slot| OfferedLeg {
        leg: LegId {
            shard: 0,
            slot: u32::from(slot),
            generation: 0,
        },
        rtp: SocketAddr::from(([192, 0, 2, 1], 20_000 + 2 * slot)),
    });
    wiring.handle(now, Input::LegsOffered(legs.collect()));
    let hears = |wiring: &mut Wiring, hop, text: String| {
        let input = Input::Message {
            hop,
            payload: Bytes::from(text),
            received_at: now.at,
        };
        wiring.handle(now, input);
    };
    let body = describe("192.0.2.10", "RTP/AVP", "");
    let invite = format!(
        "INVITE sip:0783331001@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER};branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: <sip:0790000001@192.0.2.10>;tag=a\r\n\
        To: <sip:0783331001@192.0.2.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{CARRIER}>\r\nContent-Type: application/sdp\r\n\
        Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let in_clear = Hop::udp(address("192.0.2.1:5060"), address(CARRIER));
    hears(&mut wiring, in_clear, invite);
    let first = sent(&mut wiring);
    let is_offer = |(hop, text): &&(Hop, String)| {
        hop.transport == Transport::Tls && text.starts_with("INVITE ")
    };
    let (hop, offer) = first.iter().find(is_offer).unwrap().clone();
    let body = describe("192.0.2.20", profile, key);
    let [via, from, call_id, cseq] =
        ["Via", "From", "Call-ID", "CSeq"].map(|name| header(&offer, name));
    let answer = format!(
        "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {};tag=b\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\nContact: <sip:b@{PBX};transport=tls>\r\n\
        Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        header(&offer, "To"),
        body.len()
    );
    hears(&mut wiring, hop, answer);
    let told = sent(&mut wiring)
        .into_iter()
        .filter(|(hop, _)| *hop == in_clear)
        .filter_map(|(_, text)| Some(text.split(' ').nth(1)?.to_owned()))
        .collect();
    (offer, told)
}

const KEY: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";

#[test]
fn a_leg_over_tls_is_offered_secure_media_and_nothing_else() {
    let (offer, _) = answered("RTP/AVP", "");
    assert!(offer.contains(" RTP/SAVP "), "{offer}");
    assert!(!offer.contains(" RTP/AVP "), "{offer}");
    assert!(offer.contains("a=crypto:1 "), "{offer}");
}

#[test]
fn a_plain_answer_to_a_secure_offer_connects_nobody() {
    let (offer, told) = answered("RTP/AVP", "");
    assert!(!told.contains(&"200".to_owned()), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("502"));
    let key = offer
        .lines()
        .find(|line| line.contains("AES_CM_128_HMAC_SHA1_80"));
    let tag = key.and_then(|key| key.strip_prefix("a=crypto:")?.split(' ').next());
    let key = KEY.replace("crypto:1", &format!("crypto:{}", tag.unwrap()));
    let (_, told) = answered("RTP/SAVP", &key);
    assert_eq!(told, ["200"]);
}
