//! A carrier at IPv4 and a PBX at IPv6: each leg's media is of its peer's family (S-10).
//!
//! The wiring is driven by hand: the city's own PBX lives at IPv4.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::Bytes;
use exchange::{
    Department, Input, Limits, Listener, Outbound, Output, Overload, PeerRole, Places, Settings,
    Target, Trunk, Wiring,
};
use media::{Command, LegId, OfferedLeg};
use rules::{EmergencyState, Number, NumberPolicy, Profile};
use sip_core::{Hop, Transport};
use tests::{clock::Clock, plan::NUMBER, text};

#[test]
fn a_call_between_ipv4_and_ipv6_has_a_pair_of_each() {
    let mut house = House::new();
    let offer = text::describe(address("127.0.0.2:40000"), &[0]);
    let sent = house.receive(format!(
        "INVITE sip:{NUMBER}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bK1\r\n\
         From: <sip:0312345678@127.0.0.2>;tag=1\r\nTo: <sip:{NUMBER}@127.0.0.1>\r\nCall-ID: one\r\n\
         CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:127.0.0.2:5060>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        offer.len()
    ));
    let invite = sent
        .iter()
        .find(|(_, text)| text.starts_with("INVITE"))
        .expect("the PBX is called");
    assert_eq!(invite.0, address("[::1]:5062"));
    assert!(invite.1.contains("c=IN IP6 ::1\r\n"), "{}", invite.1);
    let closed = house.commands.iter().filter_map(|command| match command {
        Command::Close { leg } => Some(leg.slot),
        _ => None,
    });
    assert_eq!(
        closed.collect::<Vec<_>>(),
        [1],
        "the second pair of IPv4 goes back at once"
    );
    // The department answers; the carrier hears of an address of its own family.
    let answer = text::describe(address("127.0.0.9:1"), &[0])
        .replace("IN IP4 127.0.0.9", "IN IP6 ::1")
        .replace("m=audio 1 ", "m=audio 50000 ");
    let request = text::Text::read(invite.1.as_bytes());
    let ok = text::answer(&request, 200, "OK", "2", address("[::1]:5062"), &answer);
    let sent = house.receive_from(address("[::1]:5062"), address("[::1]:5060"), ok);
    let ok = sent
        .iter()
        .find(|(_, text)| text.starts_with("SIP/2.0 200"))
        .expect("the carrier is answered");
    assert!(ok.1.contains("c=IN IP4 127.0.0.1\r\n"), "{}", ok.1);
    let opened = house.commands.iter().filter_map(|command| match command {
        Command::Open { leg, stream } => Some((leg.slot, stream.remote_rtp)),
        _ => None,
    });
    assert_eq!(
        opened.collect::<Vec<_>>(),
        [(0, address("127.0.0.2:40000")), (2, address("[::1]:50000"))]
    );
}

struct House {
    wiring: Wiring,
    clock: Clock,
    commands: VecDeque<Command>,
}

impl House {
    fn new() -> House {
        let listener = |text| Listener {
            transport: Transport::Udp,
            address: address(text),
        };
        let peer = |name: &str, role, at: &str| {
            Trunk::new(name, role, vec![address(at).ip()]).at(address(at), Transport::Udp)
        };
        let settings = Settings {
            listeners: vec![listener("127.0.0.1:5060"), listener("[::1]:5060")],
            peers: vec![
                peer("carrier", PeerRole::Carrier, "127.0.0.2:5060"),
                peer("pbx", PeerRole::Pbx, "[::1]:5062"),
            ],
            departments: vec![Department {
                name: "daihyo".to_owned(),
                targets: vec![Target {
                    places: Places::Peer("pbx".to_owned()),
                    user: Some("100".to_owned()),
                    ring: Duration::from_secs(20),
                }],
            }],
            numbers: vec![NumberPolicy {
                number: Number::parse(NUMBER).expect("a number"),
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
        let mut house = House {
            wiring: Wiring::new(settings, EmergencyState::default(), [1; 32]),
            clock: Clock::new(),
            commands: VecDeque::new(),
        };
        let lent = ["127.0.0.1:20000", "127.0.0.1:20002", "[::1]:20004"];
        let lent = (0..).zip(lent).map(|(slot, rtp)| OfferedLeg {
            leg: LegId {
                shard: 0,
                slot,
                generation: 0,
            },
            rtp: address(rtp),
        });
        let offered = Input::LegsOffered(lent.collect());
        house.wiring.handle(house.clock.now(), offered);
        house
    }

    fn receive(&mut self, message: String) -> Vec<(SocketAddr, String)> {
        let (from, to) = (address("127.0.0.2:5060"), address("127.0.0.1:5060"));
        self.receive_from(from, to, message.into_bytes())
    }

    /// A datagram arrives; what is sent on, and to whom.
    fn receive_from(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        message: Vec<u8>,
    ) -> Vec<(SocketAddr, String)> {
        let now = self.clock.now();
        let hop = Hop {
            transport: Transport::Udp,
            local: to,
            remote: from,
        };
        let payload = Bytes::from(message);
        let message = Input::Message {
            hop,
            payload,
            received_at: now.at,
        };
        self.wiring.handle(now, message);
        let mut sent = Vec::new();
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Sip(transmit) => sent.push((
                    transmit.hop.remote,
                    String::from_utf8_lossy(&transmit.payload).into_owned(),
                )),
                Output::Media { command, .. } => self.commands.push_back(command),
                _ => {}
            }
        }
        sent
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
