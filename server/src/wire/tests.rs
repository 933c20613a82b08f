//! In this world streams are cut anywhere, peers do not read, do not answer, or are not who they say.

mod certificates;
mod over_tls;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::Duration,
};

use exchange::{Extent, Found, Listener, Resolved};

use self::certificates::Authority;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const OPTIONS: &str = "OPTIONS sip:house@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\nContent-Length: 4\r\n\r\nbody";

/// A wire at an address of its own, and the runtime that drives it.
struct House {
    runtime: tokio::runtime::Runtime,
    wire: Wire,
    listener: Listener,
    counters: Arc<Counters>,
}

impl House {
    fn new(transport: Transport, address: &str) -> House {
        House::with(transport, address, Keeping::default(), None)
    }

    fn with(transport: Transport, address: &str, keeping: Keeping, tls: Option<TlsFiles>) -> House {
        // A port that is free now; the listener is told it by number, as a configuration does.
        let free = TcpListener::bind((address, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let listener = Listener {
            transport,
            address: free,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let counters = Arc::new(Counters::default());
        let settings = Settings {
            listeners: vec![listener],
            keeping,
            tls,
            look: Duration::from_millis(20),
            resolver: None,
        };
        let wire = {
            let _inside = runtime.enter();
            Wire::bind(settings, Arc::clone(&counters)).unwrap()
        };
        House {
            runtime,
            wire,
            listener,
            counters,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.address
    }

    fn hop(&self, remote: SocketAddr) -> Hop {
        Hop {
            transport: self.listener.transport,
            local: self.listener.address,
            remote,
        }
    }

    fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.address()).unwrap())
    }

    /// The next thing heard; everybody is a peer.
    fn hear(&mut self) -> Heard {
        self.hear_within(PATIENCE).expect("something is heard")
    }

    fn hear_within(&mut self, patience: Duration) -> Option<Heard> {
        let wire = &mut self.wire;
        let heard = async {
            loop {
                if let Some(heard) = wire.hear(|_| Some(CodePoint::default())) {
                    return heard;
                }
                wire.stirred().await;
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(patience, heard).await.ok() })
    }

    fn hear_message(&mut self) -> (Hop, String) {
        match self.hear() {
            Heard::Message { hop, payload, .. } => {
                (hop, String::from_utf8(payload.to_vec()).unwrap())
            }
            heard => panic!("{heard:?}"),
        }
    }

    fn hear_unreachable(&mut self) -> Hop {
        match self.hear() {
            Heard::Unreachable { hop, .. } => hop,
            heard => panic!("{heard:?}"),
        }
    }

    fn hear_closed(&mut self, hop: Hop) {
        let heard = self.hear();
        assert!(
            matches!(heard, Heard::Closed { hop: told } if told == hop),
            "{heard:?}"
        );
    }

    /// Lets the tasks run for a while.
    fn run(&mut self, time: Duration) {
        assert!(self.hear_within(time).is_none());
    }

    /// Lets the tasks run, and everything that they say pass, until they say nothing.
    fn run_until_quiet(&mut self) {
        while self.hear_within(Duration::from_millis(50)).is_some() {}
    }

    fn send(&mut self, hop: Hop, text: &str) {
        let _inside = self.runtime.enter();
        self.wire
            .send(hop, Bytes::copy_from_slice(text.as_bytes()), CodePoint(24));
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn read(stream: &mut impl Read, length: usize) -> String {
    let mut octets = vec![0; length];
    stream.read_exact(&mut octets).unwrap();
    String::from_utf8(octets).unwrap()
}

#[test]
fn messages_are_heard_whole_however_the_segments_are_cut() {
    for (transport, address) in [(Transport::Tcp, "127.0.78.1"), (Transport::Tcp, "::1")] {
        let mut house = House::new(transport, address);
        let mut peer = house.connect();
        let two = OPTIONS.repeat(2);
        for cut in (1..two.len()).step_by(7) {
            let (first, second) = two.split_at(cut);
            peer.write_all(first.as_bytes()).unwrap();
            if cut % 3 == 0 {
                let _ = house
                    .hear_within(Duration::from_millis(1))
                    .map(|heard| {
                        assert!(matches!(heard, Heard::Message { .. }));
                        peer.write_all(second.as_bytes()).unwrap();
                        assert_eq!(house.hear_message().1, OPTIONS);
                    })
                    .or_else(|| {
                        peer.write_all(second.as_bytes()).unwrap();
                        assert_eq!(house.hear_message().1, OPTIONS);
                        assert_eq!(house.hear_message().1, OPTIONS);
                        None
                    });
                continue;
            }
            peer.write_all(second.as_bytes()).unwrap();
            for _ in 0..2 {
                let (hop, text) = house.hear_message();
                assert_eq!(text, OPTIONS, "cut at {cut}");
                assert_eq!(hop, house.hop(peer.local_addr().unwrap()));
            }
        }
    }
}

#[test]
fn a_response_goes_back_on_the_connection_of_its_request() {
    let mut house = House::new(Transport::Tcp, "127.0.78.2");
    let mut peers = [house.connect(), house.connect()];
    for peer in &mut peers {
        peer.write_all(OPTIONS.as_bytes()).unwrap();
        let (hop, _) = house.hear_message();
        house.send(hop, "SIP/2.0 200 OK\r\n\r\n");
        house.run(Duration::from_millis(20));
        assert_eq!(read(peer, 18), "SIP/2.0 200 OK\r\n\r\n");
    }
}

#[test]
fn requests_share_one_connection_that_is_made_once() {
    let mut house = House::new(Transport::Tcp, "127.0.78.3");
    let far = TcpListener::bind("127.0.78.3:0").unwrap();
    let hop = house.hop(far.local_addr().unwrap());
    house.send(hop, "one");
    house.send(hop, "two");
    house.run(Duration::from_millis(50));
    let (stream, from) = far.accept().unwrap();
    let mut stream = patient(stream);
    assert_eq!(read(&mut stream, 6), "onetwo");
    assert_eq!(
        from.ip(),
        house.address().ip(),
        "from the address that Via names"
    );
    stream.write_all(OPTIONS.as_bytes()).unwrap();
    assert_eq!(house.hear_message(), (hop, OPTIONS.to_owned()));
    house.send(hop, "three");
    house.run(Duration::from_millis(20));
    assert_eq!(read(&mut stream, 5), "three");
    far.set_nonblocking(true).unwrap();
    assert!(far.accept().is_err(), "no second connection");
}

#[test]
fn a_refused_connect_and_a_lost_connection_are_told() {
    let mut house = House::new(Transport::Tcp, "127.0.78.4");
    let far = TcpListener::bind("127.0.78.4:0").unwrap();
    let hop = house.hop(far.local_addr().unwrap());
    house.send(hop, "one");
    house.run(Duration::from_millis(50));
    drop(far.accept().unwrap());
    drop(far);
    assert_eq!(house.hear_unreachable(), hop, "lost");
    house.send(hop, "two");
    assert_eq!(house.hear_unreachable(), hop, "refused");
}

#[test]
fn a_connect_that_nobody_answers_is_given_up_and_holds_no_other_up() {
    // A listener whose queue is full answers nothing.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.78.5:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    full.listen(0).unwrap();
    let silent = full.local_addr().unwrap().as_socket().unwrap();
    let fillers: Vec<_> = (0..4)
        .map(|_| TcpStream::connect_timeout(&silent, Duration::from_millis(100)))
        .collect();
    assert!(fillers.iter().any(Result::is_err), "its queue is full");
    let mut house = House::new(Transport::Tcp, "127.0.78.5");
    let far = TcpListener::bind("127.0.78.5:0").unwrap();
    let begun = Instant::now();
    let (silent, open) = (house.hop(silent), house.hop(far.local_addr().unwrap()));
    house.send(silent, "nobody hears this");
    house.send(open, "one");
    house.run(Duration::from_millis(50));
    let mut stream = patient(far.accept().unwrap().0);
    assert_eq!(read(&mut stream, 3), "one");
    assert_eq!(house.hear_unreachable(), silent);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_stranger_is_reset_before_anything_is_read() {
    let mut house = House::new(Transport::Tcp, "127.0.78.6");
    let mut stranger = house.connect();
    stranger.write_all(OPTIONS.as_bytes()).unwrap();
    let wire = &mut house.wire;
    let refused = async {
        while wire
            .counters
            .strangers
            .load(std::sync::atomic::Ordering::Relaxed)
            == 0
        {
            assert!(wire.hear(|_| None).is_none());
            wire.stirred().await;
            let _ = wire.hear(|_| None);
        }
    };
    house
        .runtime
        .block_on(async { tokio::time::timeout(PATIENCE, refused).await.unwrap() });
    let mut octets = Vec::new();
    let fault = stranger.read_to_end(&mut octets).unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::ConnectionReset);
    assert!(octets.is_empty());
}

#[test]
fn sixty_four_connections_of_a_peer_are_carried_and_a_flood_is_bounded() {
    let mut house = House::new(Transport::Tcp, "127.0.78.7");
    let mut peers: Vec<TcpStream> = (0..64).map(|_| house.connect()).collect();
    for peer in &mut peers {
        peer.write_all(OPTIONS.as_bytes()).unwrap();
        house.hear_message();
    }
    let mut more: Vec<TcpStream> = (0..80).map(|_| house.connect()).collect();
    house.run(Duration::from_millis(100));
    let refused = house
        .counters
        .connections_refused
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused, 64 + 80 - 128);
    assert!(
        more.last_mut().unwrap().read(&mut [0]).is_err(),
        "the newest are refused"
    );
    peers[0].write_all(OPTIONS.as_bytes()).unwrap();
    assert_eq!(house.hear_message().1, OPTIONS);
}

#[test]
fn a_ping_is_answered_and_ours_is_sent_where_we_keep_silent() {
    let keeping = Keeping {
        ping: Some(Duration::from_millis(200)),
        ..Keeping::default()
    };
    let mut house = House::with(Transport::Tcp, "127.0.78.8", keeping, None);
    let mut peer = house.connect();
    peer.write_all(b"\r\n\r\n").unwrap();
    house.run(Duration::from_millis(100));
    assert_eq!(read(&mut peer, 2), "\r\n");
    house.run(Duration::from_millis(400));
    assert_eq!(read(&mut peer, 4), "\r\n\r\n");
}

#[test]
fn a_silent_peer_is_let_go() {
    let keeping = Keeping {
        ping: None,
        idle: Duration::from_millis(200),
    };
    let mut house = House::with(Transport::Tcp, "127.0.78.9", keeping, None);
    let peer = house.connect();
    let hop = house.hop(peer.local_addr().unwrap());
    assert_eq!(house.hear_unreachable(), hop);
}

#[test]
fn what_is_no_sip_ends_its_connection_after_the_messages_before_it() {
    let mut house = House::new(Transport::Tcp, "127.0.78.10");
    let mut peer = house.connect();
    peer.write_all(format!("{OPTIONS}GET / HTTP/1.1\r\n\r\n").as_bytes())
        .unwrap();
    assert_eq!(house.hear_message().1, OPTIONS);
    assert_eq!(
        house.hear_unreachable(),
        house.hop(peer.local_addr().unwrap())
    );
    let mut rest = Vec::new();
    let _ = peer.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn a_peer_that_has_said_its_last_word_still_hears_the_answer() {
    let mut house = House::new(Transport::Tcp, "127.0.78.11");
    let mut peer = house.connect();
    peer.write_all(OPTIONS.as_bytes()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (hop, _) = house.hear_message();
    house.send(hop, "SIP/2.0 200 OK\r\n\r\n");
    house.hear_closed(hop);
    house.run(Duration::from_millis(50));
    assert_eq!(read(&mut peer, 18), "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(house.hear_unreachable(), hop);
}

#[test]
fn that_a_peer_has_said_its_last_word_is_told_at_once() {
    // Else what was asked just before would be waited for until the connection is let go.
    let mut house = House::new(Transport::Tcp, "127.0.78.18");
    let mut peer = house.connect();
    peer.write_all(OPTIONS.as_bytes()).unwrap();
    let (hop, _) = house.hear_message();
    house.send(hop, "BYE sip:peer@127.0.78.18 SIP/2.0\r\n\r\n");
    peer.write_all(OPTIONS.as_bytes()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        house.hear_message().0,
        hop,
        "what it said before comes first"
    );
    let closed = house.hear_within(Duration::from_secs(1));
    assert!(
        matches!(closed, Some(Heard::Closed { hop: told }) if told == hop),
        "{closed:?}"
    );
    house.send(hop, "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(house.hear_unreachable(), hop);
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert!(heard.ends_with("SIP/2.0 200 OK\r\n\r\n"), "{heard}");
}

#[test]
fn nothing_is_asked_where_the_peer_has_closed_its_direction() {
    let mut house = House::new(Transport::Tcp, "127.0.78.13");
    let mut peer = house.connect();
    peer.write_all(OPTIONS.as_bytes()).unwrap();
    let (hop, _) = house.hear_message();
    peer.shutdown(Shutdown::Write).unwrap();
    house.hear_closed(hop);
    house.send(hop, "BYE sip:peer@127.0.78.13 SIP/2.0\r\n\r\n");
    let heard = house.hear_within(Duration::from_millis(50));
    assert!(
        matches!(heard, Some(Heard::Unreachable { hop: told, .. }) if told == hop),
        "{heard:?}"
    );
}

#[test]
fn a_connection_of_ours_that_the_peer_closes_is_told_at_once_and_made_anew() {
    let mut house = House::new(Transport::Tcp, "127.0.78.14");
    let far = TcpListener::bind("127.0.78.14:0").unwrap();
    let hop = house.hop(far.local_addr().unwrap());
    house.send(hop, "one");
    house.run(Duration::from_millis(50));
    // It still reads, as a peer does whose process closes slowly.
    let (stream, _) = far.accept().unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let heard = house.hear_within(Duration::from_millis(50));
    assert!(
        matches!(heard, Some(Heard::Unreachable { hop: told, .. }) if told == hop),
        "{heard:?}"
    );
    house.send(hop, "two");
    house.run(Duration::from_millis(50));
    let mut again = patient(far.accept().unwrap().0);
    assert_eq!(read(&mut again, 3), "two");
}

#[test]
fn where_a_name_leads_is_known_until_it_leads_elsewhere() {
    let mut house = House::new(Transport::Tcp, "127.0.78.15");
    let answer = |transport, port, places: &[u16]| Answer {
        question: Question {
            peer: "carrier".to_owned(),
            host: "sbc.example".to_owned(),
            port,
            transport,
        },
        found: Found {
            places: places
                .iter()
                .map(|port| Resolved {
                    address: SocketAddr::from(([192, 0, 2, 1], *port)),
                    transport,
                    priority: 0,
                    weight: 0,
                })
                .collect(),
            ttl: Duration::ZERO,
            extent: Extent::Whole,
        },
    };
    let over = |transport, port| Hop {
        transport,
        local: house.address(),
        remote: SocketAddr::from(([192, 0, 2, 1], port)),
    };
    let (old, new, plain) = (
        over(Transport::Tls, 5061),
        over(Transport::Tls, 5071),
        over(Transport::Udp, 5061),
    );
    let wire = &mut house.wire;
    wire.learn(&answer(Transport::Tls, None, &[5061]));
    assert_eq!(wire.name_at(old).as_deref(), Some("sbc.example"));
    assert_eq!(wire.name_at(plain), None, "no certificate is shown there");
    wire.learn(&answer(Transport::Tls, None, &[]));
    assert!(wire.name_at(old).is_some(), "the name system failed");
    wire.learn(&answer(Transport::Udp, Some(5060), &[5060]));
    assert!(wire.name_at(old).is_some(), "another question");
    let mut of_v6 = answer(Transport::Tls, None, &[5061]);
    of_v6.found.places[0].address = "[2001:db8::1]:5061".parse().unwrap();
    of_v6.found.extent = Extent::InPart;
    wire.learn(&of_v6);
    assert!(wire.name_at(old).is_some(), "the other family was late");
    wire.learn(&answer(Transport::Tls, None, &[5071]));
    assert_eq!(wire.name_at(old), None);
    assert!(wire.name_at(new).is_some());
}

#[test]
fn a_peer_that_does_not_read_is_let_go_and_memory_stays_bounded() {
    let mut house = House::new(Transport::Tcp, "127.0.78.12");
    let mut peer = house.connect();
    peer.write_all(OPTIONS.as_bytes()).unwrap();
    let (hop, _) = house.hear_message();
    let large = "x".repeat(60_000);
    let mut sent = 0;
    // The kernel's buffers take some megabytes; then ours take one, and no more.
    let lost = loop {
        house.send(hop, &large);
        sent += large.len();
        assert!(sent < 64 * 1024 * 1024, "nothing bounds what waits");
        if let Some(heard) = house.hear_within(Duration::from_millis(1)) {
            break heard;
        }
    };
    assert!(matches!(lost, Heard::Unreachable { hop: lost, .. } if lost == hop));
    assert_eq!(
        house
            .counters
            .slow_readers
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
}
