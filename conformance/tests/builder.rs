//! What our endpoint writes, read by `rsip`: another hand's reader must understand our hand's writing.
//!
//! Two endpoints talk to each other; every datagram between them is read by both readers. Where `rsip` understands a field
//! it must understand the same as we do. On plain calls it must understand all of them; on the others `readers.txt` says
//! what it cannot (tel URIs, IPv6).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use conformance::readers;
use sip_core::{DialogId, Endpoint, Event, Hop, Invite, NameAddrText, PeerId, Ring, Settings};

#[test]
fn rsip_reads_a_plain_call_to_the_same_fields() {
    let written = every_course(&plain());
    assert_eq!(
        disagreements(&written, |said| said != "agrees"),
        Vec::<String>::new()
    );
}

#[test]
fn rsip_never_reads_another_value_than_we_wrote() {
    for invite in [quoted(), foreign(), tel(), trusted(), ipv6()] {
        let written = every_course(&invite);
        assert_eq!(
            disagreements(&written, |said| said.contains("differs")
                || said == "panics"),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_field_that_reads_differently_is_named() {
    let message = "OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    let other = message.replace("tag=1", "tag=2");
    let ours = readers::denwaban(&Bytes::from(message));
    assert_eq!(readers::rsip(message.as_bytes()).beside(&ours), "agrees");
    assert_eq!(
        readers::rsip(other.as_bytes()).beside(&ours),
        "differs in from-tag"
    );
}

fn disagreements(written: &[Bytes], is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let said = written.iter().map(|octets| {
        (
            octets,
            readers::rsip(octets).beside(&readers::denwaban(octets)),
        )
    });
    let wrong = said.filter(|(_, said)| is_wrong(said));
    wrong
        .map(|(octets, said)| format!("{said}:\n{}", String::from_utf8_lossy(octets)))
        .collect()
}

/// All that is written in an answered, a refused and a cancelled call.
fn every_course(invite: &Invite) -> Vec<Bytes> {
    let mut written = Vec::new();
    for course in [answered, refused, cancelled] {
        let mut line = Line::new();
        let caller = line.caller.invite(line.now, invite.clone());
        let callee = line
            .exchange()
            .iter()
            .find_map(invited)
            .expect("the INVITE arrives");
        course(&mut line, caller, callee);
        assert!(
            line.written.len() >= 5,
            "a course of a call has at least five messages"
        );
        written.append(&mut line.written);
    }
    written
}

fn answered(line: &mut Line, caller: DialogId, callee: DialogId) {
    line.callee
        .ring(line.now, callee, Ring::plain(180, "Ringing"));
    line.exchange();
    line.callee.accept(line.now, callee, Vec::new(), sdp());
    line.exchange();
    line.caller.bye(line.now, caller, Some("Q.850;cause=16"));
    line.exchange();
}

fn refused(line: &mut Line, _caller: DialogId, callee: DialogId) {
    line.callee.ring(
        line.now,
        callee,
        Ring {
            body: Some(sdp()),
            ..Ring::plain(183, "Session Progress")
        },
    );
    line.exchange();
    line.callee.reject(
        line.now,
        callee,
        486,
        "Busy Here",
        vec![("Reason", "Q.850;cause=17".to_owned())],
    );
    line.exchange();
}

fn cancelled(line: &mut Line, caller: DialogId, callee: DialogId) {
    line.callee
        .ring(line.now, callee, Ring::plain(180, "Ringing"));
    line.exchange();
    line.caller.cancel(line.now, caller, Some("SIP;cause=200"));
    line.exchange();
}

/// Two endpoints, and everything that either has written.
struct Line {
    now: Instant,
    caller: Endpoint,
    callee: Endpoint,
    written: Vec<Bytes>,
}

impl Line {
    fn new() -> Self {
        let endpoint = |seed| Endpoint::new(Settings::default(), [seed; 32]);
        Self {
            now: Instant::now(),
            caller: endpoint(1),
            callee: endpoint(2),
            written: Vec::new(),
        }
    }

    /// Carries datagrams to and fro until both are quiet; returns what the callee saw.
    fn exchange(&mut self) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            self.now += Duration::from_millis(1);
            let sent: Vec<_> = std::iter::from_fn(|| self.caller.poll_transmit()).collect();
            let answered: Vec<_> = std::iter::from_fn(|| self.callee.poll_transmit()).collect();
            if sent.is_empty() && answered.is_empty() {
                return seen;
            }
            for transmit in sent {
                self.written.push(transmit.payload.clone());
                let hop = seen_by_the_other(transmit.hop);
                self.callee
                    .handle_message(self.now, NEIGHBOUR, hop, transmit.payload);
            }
            for transmit in answered {
                self.written.push(transmit.payload.clone());
                let hop = seen_by_the_other(transmit.hop);
                self.caller
                    .handle_message(self.now, NEIGHBOUR, hop, transmit.payload);
            }
            while self.caller.poll_event().is_some() {}
            seen.extend(std::iter::from_fn(|| self.callee.poll_event()));
        }
    }
}

fn invited(event: &Event) -> Option<DialogId> {
    match event {
        Event::Invited { dialog, .. } => Some(*dialog),
        _ => None,
    }
}

fn plain() -> Invite {
    Invite {
        peer: NEIGHBOUR,
        hop: Hop::udp(address("127.0.0.1:5060"), address("127.0.0.3:5062")),
        request_uri: "sip:0783331000@127.0.0.3:5062".to_owned(),
        from: party(None, "sip:0790000001@127.0.0.1"),
        to: party(None, "sip:0783331000@127.0.0.3:5062"),
        contact_user: Some("denwaban".to_owned()),
        body: Some(sdp()),
        headers: Vec::new(),
        max_forwards: 69,
        patience: None,
        require_reliable: false,
    }
}

fn quoted() -> Invite {
    Invite {
        from: party(Some("a \"quoted\\ name, <b>"), "sip:0790000001@127.0.0.1"),
        ..plain()
    }
}

fn foreign() -> Invite {
    Invite {
        from: party(
            Some("神戸市 総合案内"),
            "sip:0790000001@127.0.0.1;user=phone",
        ),
        ..plain()
    }
}

fn tel() -> Invite {
    Invite {
        from: party(None, "tel:+81790000001"),
        to: party(None, "tel:0783331000;phone-context=+81"),
        ..plain()
    }
}

fn trusted() -> Invite {
    let headers = [
        (
            "P-Asserted-Identity",
            "<sip:0790000001@127.0.0.1>, <tel:+81790000001>",
        ),
        ("Privacy", "id"),
        (
            "Diversion",
            "<sip:0783331001@127.0.0.1>;reason=unconditional",
        ),
    ];
    Invite {
        headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
        body: None,
        ..plain()
    }
}

fn ipv6() -> Invite {
    Invite {
        hop: Hop::udp(address("[::1]:5060"), address("[::1]:5062")),
        request_uri: "sip:0783331000@[::1]:5062".to_owned(),
        ..plain()
    }
}

fn party(display: Option<&str>, uri: &str) -> NameAddrText {
    NameAddrText {
        display: display.map(str::to_owned),
        uri: uri.to_owned(),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sdp() -> Bytes {
    Bytes::from_static(b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n")
}

/// Each end knows the other only.
const NEIGHBOUR: PeerId = PeerId(0);

fn seen_by_the_other(hop: Hop) -> Hop {
    Hop {
        local: hop.remote,
        remote: hop.local,
        ..hop
    }
}
