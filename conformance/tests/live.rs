//! The torture messages against the real binary over UDP, from the address of the configured carrier, while a call beside
//! them is up: each is answered as the table allows, and the call loses not one sample.
//!
//! Some messages carry the same branch, so that to a server the later one is a repetition of the earlier. Those go to
//! servers of their own: a round holds each branch once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use conformance::{
    server::{Network, PATIENCE, Server},
    sipp::{Part, Sipp, Transport},
    speech,
    vectors::{self, Level, Vector},
};

/// Where the messages' Via say that their senders listen; the first is also where they are sent from.
const CARRIER_PORTS: [u16; 4] = [5060, 5050, 6050, 19823];
/// The call beside them comes from another port of the carrier.
const CALL_PORT: u16 = 5061;
/// Far longer than a round takes; the call must outlive it.
const CALL: Duration = Duration::from_secs(5);

#[test]
fn each_message_is_answered_as_the_table_allows_and_the_call_beside_loses_nothing() {
    let vectors = vectors::all();
    let mut outcomes = Vec::new();
    for (round, members) in (90..).zip(rounds(&vectors)) {
        outcomes.extend(play(Network::new(round), &members));
    }
    assert_eq!(outcomes.len(), vectors.len());
    assert_eq!(
        vectors::surprises(Level::Live, &outcomes),
        Vec::<String>::new()
    );
}

#[test]
fn a_stranger_gets_not_one_octet_back() {
    let server = Server::start(Network::new(80), &["announce"]).unwrap();
    let stranger = UdpSocket::bind("127.0.80.9:5060").unwrap();
    let mut carrier = Carrier::new(server.network);
    for vector in vectors::all() {
        stranger
            .send_to(&vector.octets, server.network.server)
            .unwrap();
    }
    // The server handles its datagrams in order: once it has answered the carrier, it is done with the stranger's.
    carrier.wait_for_the_fence();
    stranger.set_nonblocking(true).unwrap();
    assert_eq!(
        stranger.recv(&mut [0; 65_536]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    server.stop().unwrap();
}

/// Messages in as few rounds as their branches allow.
fn rounds(vectors: &[Vector]) -> Vec<Vec<&Vector>> {
    let mut rounds: Vec<(BTreeSet<String>, Vec<&Vector>)> = Vec::new();
    for vector in vectors {
        let key = branch(vector);
        match rounds.iter_mut().find(|(keys, _)| !keys.contains(&key)) {
            Some((keys, members)) => {
                keys.insert(key);
                members.push(vector);
            }
            None => rounds.push((BTreeSet::from([key]), vec![vector])),
        }
    }
    rounds.into_iter().map(|(_, members)| members).collect()
}

/// What tells one transaction from another (RFC 3261 section 17.2.3): method, sender and branch of the first Via, as text.
fn branch(vector: &Vector) -> String {
    let text = String::from_utf8_lossy(&vector.octets);
    let method = text.split(' ').next().unwrap_or_default();
    let (before, after) = text.split_once("branch=").unwrap_or(("", ""));
    let sender = before.lines().last().unwrap_or_default();
    let value = after
        .split([';', ',', '\r', ' '])
        .next()
        .unwrap_or_default();
    format!("{method} {sender}{value}")
}

fn play<'vectors>(
    network: Network,
    members: &[&'vectors Vector],
) -> Vec<(&'vectors Vector, String, bool)> {
    let server = Server::start(network, &["transparent", "--waiver", "decision 7"]).unwrap();
    let (caller, city) = (speech::noise(1, 30), speech::noise(2, 30));
    let department = Part {
        scenario: "department-talks",
        local: network.department,
        remote: None,
        speech: &city,
        pause: CALL,
        transport: Transport::Udp,
        words: &[],
    };
    let department = Sipp::start(&department).unwrap();
    let call_from = SocketAddr::new(network.carrier.ip(), CALL_PORT);
    let call = Part {
        scenario: "carrier-talks",
        local: call_from,
        remote: Some(network.server),
        speech: &caller,
        pause: CALL,
        transport: Transport::Udp,
        words: &[],
    };
    let call = Sipp::start(&call).unwrap();
    server.call_in_state("open").unwrap();

    let mut carrier = Carrier::new(network);
    let outcomes = members.iter().map(|vector| {
        let answers = carrier.ask(&vector.octets);
        let ours = if answers.is_empty() {
            "silence".to_owned()
        } else {
            format!("{answers:?}")
        };
        (*vector, ours, vector.allows(&answers))
    });
    let outcomes = outcomes.collect();

    let ended = call.finish().and_then(|()| department.finish());
    ended.unwrap_or_else(|fault| panic!("{fault}\nthe server's log:\n{}", server.log()));
    nothing_is_lost(&server, &caller, &city);
    server.stop().unwrap();
    outcomes
}

/// Of both parties one unbroken stretch is kept, and it is the length of the talk.
fn nothing_is_lost(server: &Server, caller: &[u8], city: &[u8]) {
    let kept = server.call_in_state("sealed").unwrap();
    let channels = speech::channels(&server.export(kept["id"].as_str().unwrap()).unwrap()).unwrap();
    for (said, recorded) in [caller, city].into_iter().zip(channels) {
        let found = speech::overlap(&speech::linear(said), &recorded)
            .unwrap_or_else(|fault| panic!("{fault}: {kept}"));
        assert!(
            found.samples > 2 * 8000,
            "less than two seconds of five were kept: {found}"
        );
    }
}

/// The carrier's sockets, on every port that a message names.
struct Carrier {
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
    fence_count: u32,
    seen: BTreeSet<Vec<u8>>,
}

impl Carrier {
    fn new(network: Network) -> Self {
        let bind = |port| UdpSocket::bind(SocketAddr::new(network.carrier.ip(), port)).unwrap();
        let sockets: Vec<_> = CARRIER_PORTS.into_iter().map(bind).collect();
        for socket in &sockets {
            socket.set_nonblocking(true).unwrap();
        }
        Self {
            server: network.server,
            sockets,
            fence_count: 0,
            seen: BTreeSet::new(),
        }
    }

    /// Sends a message and returns the final statuses that came back for it.
    fn ask(&mut self, octets: &[u8]) -> Vec<u16> {
        self.sockets[0].send_to(octets, self.server).unwrap();
        self.wait_for_the_fence()
    }

    /// Sends an OPTIONS of our own and takes in what arrives before its answer: the server handles datagrams in order.
    fn wait_for_the_fence(&mut self) -> Vec<u16> {
        self.fence_count += 1;
        let (local, count) = (self.sockets[0].local_addr().unwrap(), self.fence_count);
        let id = format!("fence{count}");
        let options = format!(
            "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{id};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:fence@{local}>;tag=f\r\nTo: <sip:{server}>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
            server = self.server,
        );
        self.sockets[0]
            .send_to(options.as_bytes(), self.server)
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut statuses = Vec::new();
        loop {
            assert!(
                Instant::now() < deadline,
                "the server answers no OPTIONS any more"
            );
            let mut is_over = false;
            for text in self.arrived() {
                is_over |= text.contains(&format!("\r\nCall-ID: {id}\r\n"));
                let status = text
                    .strip_prefix("SIP/2.0 ")
                    .and_then(|rest| rest[..3].parse().ok());
                let status: u16 =
                    status.unwrap_or_else(|| panic!("no answer, but a request: {text}"));
                let is_final = status >= 200 && !text.contains("\r\nCall-ID: fence");
                statuses.extend(is_final.then_some(status));
            }
            if is_over {
                return statuses;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What has arrived anywhere; repetitions of earlier answers, which nobody acknowledges here, are left out.
    fn arrived(&mut self) -> Vec<String> {
        let mut packet = vec![0; 65_536];
        let mut arrived = Vec::new();
        for socket in &self.sockets {
            while let Ok(length) = socket.recv(&mut packet) {
                if self.seen.insert(packet[..length].to_vec()) {
                    arrived.push(String::from_utf8_lossy(&packet[..length]).into_owned());
                }
            }
        }
        arrived
    }
}

#[test]
fn no_round_holds_a_branch_twice() {
    let vectors = vectors::all();
    let rounds = rounds(&vectors);
    assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), vectors.len());
    for members in rounds {
        let branches: BTreeSet<_> = members.iter().map(|vector| branch(vector)).collect();
        assert_eq!(branches.len(), members.len());
    }
}
