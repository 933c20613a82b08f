//! A message read, a call carried by two endpoints, and calls through the exchange; `rsip` and `rsipstack` read the same message for the ratio.

use std::{
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bench::simulator::{Caller, World};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sip_core::{
    Endpoint, Event, HeaderName, Hop, Invite, Message, NameAddrText, PeerId, Ring, Settings,
};

criterion_group!(benches, parse, transaction, exchange);
criterion_main!(benches);

/// An INVITE as a Japanese carrier writes it: 1,048 bytes.
fn invite() -> Bytes {
    let sdp = "v=0\r\no=- 3838461700 3838461700 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
               m=audio 30000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
               a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    let head = "INVITE sip:0783331000@127.0.0.1:5060;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bK7f3c1a2b9d4e5f60718293a4b5c6d7e8;rport\r\n\
         Max-Forwards: 68\r\n\
         From: \"0790000001\" <sip:0790000001@carrier.example;user=phone>;tag=8f14e45fceea167a\r\n\
         To: <sip:0783331000@127.0.0.1;user=phone>\r\n\
         Call-ID: 5d41402abc4b2a76b9719d911017c592@carrier.example\r\n\
         CSeq: 102 INVITE\r\n\
         Contact: <sip:0790000001@127.0.0.2:5060;transport=udp>\r\n\
         P-Asserted-Identity: <sip:0790000001@carrier.example;user=phone>, <tel:+81790000001>\r\n\
         Privacy: none\r\n\
         Supported: 100rel, timer\r\n\
         Session-Expires: 300;refresher=uac\r\n\
         Min-SE: 90\r\n\
         Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, OPTIONS\r\n\
         Content-Type: application/sdp\r\n";
    let padding = 1048 - head.len() - sdp.len() - "X-Trunk: \r\nContent-Length: 000\r\n\r\n".len();
    let text = format!(
        "{head}X-Trunk: {}\r\nContent-Length: {:3}\r\n\r\n{sdp}",
        "a".repeat(padding),
        sdp.len()
    );
    assert_eq!(text.len(), 1048);
    text.into()
}

fn parse(criterion: &mut Criterion) {
    let octets = invite();
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(1048));
    group.bench_function("denwaban", |bencher| {
        bencher.iter(|| Message::parse(black_box(octets.clone())));
    });
    group.bench_function("denwaban, and what routing asks for", |bencher| {
        bencher.iter(|| {
            let message = Message::parse(black_box(octets.clone())).expect("the INVITE is valid");
            let from = message
                .from()
                .expect("it has a From")
                .uri()
                .user_number()
                .map(|number| number.len());
            let to = message
                .request_uri()
                .and_then(|uri| uri.user_number().map(|number| number.len()));
            let asserted = message.addresses(HeaderName::PAssertedIdentity).count();
            black_box((from, to, asserted, message.via().is_ok(), message.has_sdp()))
        });
    });
    group.bench_function("rsip 0.4.0", |bencher| {
        bencher.iter(|| rsip::SipMessage::try_from(black_box(&octets[..])));
    });
    group.bench_function("rsipstack 0.7.14", |bencher| {
        bencher.iter(|| rsipstack::sip::SipMessage::try_from(black_box(&octets[..])));
    });
    group.finish();
}

/// INVITE, 100, 180, 200, ACK, BYE, 200: one leg of a call with both its ends, each an endpoint of its own.
fn transaction(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transaction");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a call set up and torn down, both ends", |bencher| {
        bencher.iter_batched_ref(Line::new, Line::call, BatchSize::PerIteration);
    });
    group.finish();
}

/// A call through the whole exchange, and one that it turns away without state; the carrier's and the department's texts are in the time.
fn exchange(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    group.throughput(Throughput::Elements(1));
    // As many as stand while 500 calls come in a second and transactions wait out their timers.
    for (name, pairs, pause_ms) in [
        ("a call, from INVITE to the answer of BYE", 3_000, 2),
        ("an INVITE turned away without state, and its ACK", 0, 1),
    ] {
        let mut world = World::new(Caller::Polite, pairs).expect("the settings are valid");
        let mut numbers = 0..;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                world.dial(numbers.next().expect("numbers do not end"));
                world.pass(Duration::from_millis(pause_ms));
            });
        });
    }
    group.finish();
}

struct Line {
    now: Instant,
    caller: Endpoint,
    callee: Endpoint,
}

impl Line {
    fn new() -> Self {
        let endpoint = |seed| Endpoint::new(Settings::default(), [seed; 32]);
        Self {
            now: Instant::now(),
            caller: endpoint(1),
            callee: endpoint(2),
        }
    }

    fn call(&mut self) {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let party = |uri: &str| NameAddrText {
            display: None,
            uri: uri.to_owned(),
        };
        let caller = self.caller.invite(
            self.now,
            Invite {
                peer: NEIGHBOUR,
                hop: Hop::udp(address("127.0.0.2:5060"), address("127.0.0.1:5060")),
                request_uri: "sip:0783331000@127.0.0.1".to_owned(),
                from: party("sip:0790000001@127.0.0.2"),
                to: party("sip:0783331000@127.0.0.1"),
                contact_user: None,
                body: Some(Bytes::from_static(b"v=0\r\n")),
                headers: Vec::new(),
                max_forwards: 70,
                patience: None,
                require_reliable: false,
            },
        );
        self.exchange();
        let Some(Event::Invited { dialog, .. }) = self.callee.poll_event() else {
            panic!("the INVITE arrives")
        };
        self.callee
            .ring(self.now, dialog, Ring::plain(180, "Ringing"));
        self.exchange();
        self.callee
            .accept(self.now, dialog, Vec::new(), Bytes::from_static(b"v=0\r\n"));
        self.exchange();
        self.caller.bye(self.now, caller, None);
        self.exchange();
        let is_over = std::iter::from_fn(|| self.caller.poll_event())
            .any(|event| matches!(event, Event::ByeDone { .. }));
        assert!(is_over, "the call ends");
        while self.callee.poll_event().is_some() {}
        while self.caller.poll_milestone().is_some() || self.callee.poll_milestone().is_some() {}
    }

    fn exchange(&mut self) {
        self.now += Duration::from_millis(1);
        loop {
            let mut is_quiet = true;
            while let Some(transmit) = self.caller.poll_transmit() {
                is_quiet = false;
                let hop = seen_by_the_other(transmit.hop);
                self.callee
                    .handle_message(self.now, NEIGHBOUR, hop, transmit.payload);
            }
            while let Some(transmit) = self.callee.poll_transmit() {
                is_quiet = false;
                let hop = seen_by_the_other(transmit.hop);
                self.caller
                    .handle_message(self.now, NEIGHBOUR, hop, transmit.payload);
            }
            if is_quiet {
                return;
            }
        }
    }
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
