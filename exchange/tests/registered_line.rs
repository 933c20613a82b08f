//! A line at which we register: what the registrar sees, how calls come to the Contact it knows, and how calls leave along its route.
// The carrier is played by hand; media is a pair of ports that nobody listens to.

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
    CalledPlace, Department, Input, Limits, Listener, Now, Outbound, Output, Overload, PeerRole,
    Places, Registration, Settings, Target, Trunk, Wiring,
};
use media::{LegId, OfferedLeg};
use rules::{EmergencyState, Number, NumberPolicy, Profile};
use sip_core::{Credentials, Hop, Transport};

const US: &str = "192.0.2.1:5060";
const CARRIER: &str = "192.0.2.10:5060";
const PBX: &str = "192.0.2.20:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

struct Line {
    wiring: Wiring,
    now: Now,
    alarms: Vec<String>,
}

impl Line {
    #[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
    fn new() -> Line {
        let mut carrier = Trunk {
            called_in: CalledPlace::To,
            registration: Some(Registration {
                registrar: "carrier.example".to_owned(),
                user: "line1".to_owned(),
                expires: Duration::from_secs(3_600),
                contact_user: None,
            }),
            outbound: true,
            ..Trunk::new("carrier", PeerRole::Carrier, Vec::new())
        }
        .at(address(CARRIER), Transport::Udp);
        carrier.sip.credentials = Some(Credentials {
            realm: "carrier.example".to_owned(),
            user: "line1".to_owned(),
            password: "secret".to_owned(),
        });
        let pbx = Trunk::new("pbx", PeerRole::Pbx, vec![address(PBX).ip()])
            .at(address(PBX), Transport::Udp);
        let settings = Settings {
            listeners: vec![Listener {
                transport: Transport::Udp,
                address: address(US),
            }],
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
        };
        assert_eq!(settings.faults(), []);
        let now = Now {
            at: Instant::now(),
            wall: "2026-04-01T00:00:00Z".parse().unwrap(),
        };
        let mut line = Line {
            wiring: Wiring::new(settings, EmergencyState::default(), [7; 32]),
            now,
            alarms: Vec::new(),
        };
        let legs = (0..8_u16).map(|slot| OfferedLeg {
            leg: LegId {
                shard: 0,
                slot: u32::from(slot),
                generation: 0,
            },
            rtp: SocketAddr::from(([192, 0, 2, 1], 20_000 + 2 * slot)),
        });
        line.wiring.handle(now, Input::LegsOffered(legs.collect()));
        line
    }

    /// What we sent since, each with where it went.
    fn sent(&mut self) -> Vec<(SocketAddr, String)> {
        let mut sent = Vec::new();
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Sip(transmit) => {
                    let text = String::from_utf8_lossy(&transmit.payload).into_owned();
                    sent.push((transmit.hop.remote, text));
                }
                Output::Alarm(alarm) => self.alarms.push(alarm.to_string()),
                _ => {}
            }
        }
        sent
    }

    fn one(&mut self) -> String {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).1
    }

    fn hears(&mut self, from: &str, text: String) {
        let input = Input::Message {
            hop: Hop::udp(address(US), address(from)),
            payload: Bytes::from(text),
            received_at: self.now.at,
        };
        self.wiring.handle(self.now, input);
    }

    fn pass(&mut self, seconds: u64) {
        self.now.at += Duration::from_secs(seconds);
        self.now.wall += jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        self.wiring.handle(self.now, Input::Timeout);
    }

    fn register(&mut self) -> String {
        let register = self.one();
        self.hears(
            CARRIER,
            answer(
                &register,
                "200 OK",
                "Expires: 600\r\nService-Route: <sip:edge.carrier.example;lr>\r\nP-Associated-URI: <sip:+81783331999@carrier.example>\r\n",
            ),
        );
        register
    }
}

fn value(message: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    let line = message.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_default().to_owned()
}

fn answer(request: &str, status: &str, more: &str) -> String {
    let copied = ["Via", "From", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", value(request, name)));
    let to = value(request, "To");
    let to = if to.contains(";tag=") {
        to
    } else {
        format!("{to};tag=far")
    };
    format!(
        "SIP/2.0 {status}\r\n{}To: {to}\r\n{more}Content-Length: 0\r\n\r\n",
        copied.concat()
    )
}

fn invite(uri: &str, to: &str) -> String {
    let body = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER};rport;branch=z9hG4bKin1\r\nMax-Forwards: 70\r\n\
         From: <sip:0790000001@carrier.example>;tag=c\r\nTo: <{to}>\r\nCall-ID: in1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:{CARRIER}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn the_registrar_is_asked_with_the_digest_and_refreshed_in_time() {
    let mut line = Line::new();
    let register = line.one();
    assert!(
        register.starts_with("REGISTER sip:carrier.example SIP/2.0\r\n"),
        "{register}"
    );
    assert!(value(&register, "To").starts_with("<sip:line1@carrier.example>"));
    assert_eq!(value(&register, "Expires"), "3600");
    assert!(!register.contains("Authorization"));
    let challenge = "WWW-Authenticate: Digest realm=\"carrier.example\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n";
    line.hears(CARRIER, answer(&register, "401 Unauthorized", challenge));
    let proof = line.register();
    assert!(proof.contains("Authorization: Digest "), "{proof}");
    assert!(!proof.contains("secret"));
    assert_eq!(value(&proof, "Call-ID"), value(&register, "Call-ID"));
    let report = &line.wiring.exchange().trunks(line.now)[0];
    assert!(report.registration.unwrap().held_until.is_some());
    line.pass(270);
    assert_eq!(line.sent(), [], "nothing before half of what was granted");
    line.pass(30);
    let refresh = line.one();
    assert_eq!(value(&refresh, "Contact"), value(&register, "Contact"));
    assert_eq!(line.alarms, Vec::<String>::new());
}

#[test]
fn a_call_to_the_contact_we_registered_is_for_the_number_in_to() {
    let mut line = Line::new();
    let register = line.register();
    line.sent();
    let contact = value(&register, "Contact");
    let contact = contact.trim_matches(['<', '>']);
    assert!(
        contact.starts_with("sip:") && !contact.contains("line1"),
        "{contact}"
    );
    line.hears(CARRIER, invite(contact, "sip:+81783331001@carrier.example"));
    let sent = line.sent();
    let (to, onward) = sent
        .iter()
        .find(|(_, text)| text.starts_with("INVITE"))
        .expect("the department is called");
    assert_eq!(*to, address(PBX));
    assert!(onward.contains("83331001@"), "{onward}");
    assert!(
        !onward.contains("\r\nRoute:"),
        "another peer's route is not the PBX's"
    );
    let report = &line.wiring.exchange().trunks(line.now);
    assert_eq!((report[0].calls, report[1].calls), (1, 1));
}

#[test]
fn a_call_out_leaves_along_the_service_route_to_the_registrars_domain() {
    let mut line = Line::new();
    let register = line.register();
    line.sent();
    let from_pbx = invite("sip:119@192.0.2.1", "sip:119@192.0.2.1")
        .replace("192.0.2.10", "192.0.2.20")
        .replace("in1", "out1");
    line.hears(PBX, from_pbx);
    let sent = line.sent();
    let (to, onward) = sent
        .iter()
        .find(|(_, text)| text.starts_with("INVITE"))
        .unwrap_or_else(|| panic!("119 is called at once: {sent:?}"));
    assert_eq!(*to, address(CARRIER));
    assert!(
        onward.starts_with("INVITE sip:119@carrier.example SIP/2.0\r\n"),
        "{onward}"
    );
    assert_eq!(value(onward, "Route"), "<sip:edge.carrier.example;lr>");
    assert!(
        onward.contains("1999@"),
        "the number that the registrar says is ours is shown: {onward}"
    );
    assert_eq!(value(onward, "Contact"), value(&register, "Contact"));
    let report = &line.wiring.exchange().trunks(line.now)[0];
    assert_eq!(report.last_chosen.as_ref().unwrap().at, line.now.wall);
}

#[test]
fn whoever_stops_leaves_the_registrar_and_waits_for_its_word() {
    let mut line = Line::new();
    line.register();
    line.sent();
    line.wiring.handle(line.now, Input::Shutdown);
    assert!(!line.wiring.is_idle());
    let farewell = line.one();
    assert_eq!(value(&farewell, "Expires"), "0");
    line.hears(CARRIER, answer(&farewell, "200 OK", ""));
    assert!(line.wiring.is_idle());
}

#[test]
fn a_refusal_is_told_once_and_the_line_is_still_called_if_it_is_the_only_one() {
    let mut line = Line::new();
    let register = line.one();
    line.hears(CARRIER, answer(&register, "403 Forbidden", ""));
    line.sent();
    assert_eq!(line.alarms.len(), 2, "{:?}", line.alarms);
    assert!(
        line.alarms[0].contains("refuses our registration with 403"),
        "{:?}",
        line.alarms
    );
    assert!(
        line.alarms[1].contains("peer carrier is down"),
        "{:?}",
        line.alarms
    );
    let from_pbx = invite("sip:119@192.0.2.1", "sip:119@192.0.2.1")
        .replace("192.0.2.10", "192.0.2.20")
        .replace("in1", "out1");
    line.hears(PBX, from_pbx);
    let sent = line.sent();
    assert!(
        sent.iter()
            .any(|(to, text)| *to == address(CARRIER) && text.starts_with("INVITE")),
        "{sent:?}"
    );
}
