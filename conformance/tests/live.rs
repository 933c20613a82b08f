//! The torture messages against the real binary over UDP, from the address of a peer, while a call beside
//! them is up: each is answered as the table allows, and the call loses not one sample.
//!
//! Some messages carry the same branch, so that to a server the later one is a repetition of the earlier. Those go to
//! servers of their own: a round holds each branch once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use conformance::{
    server::{Network, PATIENCE, Server},
    sipp::{Part, Sipp, Transport},
    speech,
    vectors::{self, Level, Vector},
};

/// Where the messages' Via say that their senders listen; the first is also where they are sent from.
const PORTS: [u16; 4] = [5060, 5050, 6050, 19823];
/// The call beside them comes from another port of the carrier.
const CALL_PORT: u16 = 5061;
/// Far longer than a round takes; the call must outlive it.
const CALL: Duration = Duration::from_secs(5);
/// Messages that are generated (requirement T-01), how many are sent before the server must have answered, and the call beside them.
const GENERATED: usize = 4_500;
const BATCH: usize = 50;
const GENERATED_CALL: Duration = Duration::from_secs(15);
/// What UDP carries over IPv4.
const MAX_DATAGRAM_BYTES: usize = 65_507;

#[test]
fn each_message_of_a_carrier_is_answered_as_the_table_allows_and_the_call_beside_loses_nothing() {
    torture(90, |network| network.carrier.ip());
}

#[test]
fn each_message_of_a_pbx_is_answered_as_the_table_allows_and_the_call_beside_loses_nothing() {
    torture(60, |network| network.department.ip());
}

#[test]
fn of_generated_messages_none_breaks_the_server_and_the_call_beside_loses_nothing() {
    let vectors = vectors::all();
    let network = Network::new(86);
    beside_a_call(network, GENERATED_CALL, || {
        let mut carrier = Peer::new(network.server, network.carrier.ip());
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let mut answered = 0;
        for batch in 0..GENERATED / BATCH {
            for count in 0..BATCH {
                let vector = &vectors[dice.below(vectors.len())];
                let message = generate(&mut dice, &vector.octets, batch * BATCH + count);
                carrier.send(&message);
            }
            let statuses = carrier.wait_for_the_fence();
            assert!(!statuses.contains(&500), "{statuses:?}");
            answered += statuses.len();
        }
        assert!(answered > GENERATED / 4, "only {answered} were answered");
    });
}

#[test]
fn a_stranger_gets_not_one_octet_back() {
    let network = Network::new(80);
    let server = Server::start(network, &["announce"]).unwrap();
    let stranger = UdpSocket::bind("127.0.80.9:5060").unwrap();
    let mut carrier = Peer::new(network.server, network.carrier.ip());
    let torture = vectors::all()
        .into_iter()
        .map(|vector| vector.octets.to_vec());
    let messages: Vec<_> = torture.chain(sweep(&stranger, network.server)).collect();
    for batch in messages.chunks(BATCH) {
        for message in batch {
            stranger.send_to(message, network.server).unwrap();
        }
        // The server handles its datagrams in order: once it has answered the carrier, it is done with the stranger's.
        carrier.wait_for_the_fence();
    }
    stranger.set_nonblocking(true).unwrap();
    assert_eq!(
        stranger.recv(&mut [0; 65_536]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    server.stop().unwrap();
}

/// What a scanner asks of each extension it can think of, and of the city's own number.
fn sweep(stranger: &UdpSocket, server: SocketAddr) -> impl Iterator<Item = Vec<u8>> {
    let local = stranger.local_addr().unwrap();
    let users = (100..1_000).map(|extension| extension.to_string());
    let users = users.chain(["0783331000".to_owned()]);
    users.flat_map(move |user| {
        ["OPTIONS", "REGISTER", "INVITE"].map(|method| {
            format!(
                "{method} sip:{user}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{method}{user};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{user}@{server}>;tag=s\r\nTo: <sip:{user}@{server}>\r\nCall-ID: {method}{user}\r\n\
                 CSeq: 1 {method}\r\nContact: <sip:{user}@{local}>\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes()
        })
    })
}

/// Sends every message from the address of a peer, in rounds from the network `third` on.
fn torture(third: u8, peer: impl Fn(Network) -> IpAddr) {
    let vectors = vectors::all();
    let mut outcomes = Vec::new();
    for (round, members) in (third..).zip(rounds(&vectors)) {
        let network = Network::new(round);
        beside_a_call(network, CALL, || {
            let mut peer = Peer::new(network.server, peer(network));
            outcomes.extend(members.iter().map(|vector| {
                let answers = peer.ask(&vector.octets);
                let ours = match answers.is_empty() {
                    true => "silence".to_owned(),
                    false => format!("{answers:?}"),
                };
                (*vector, ours, vector.allows(&answers))
            }));
        });
    }
    assert_eq!(outcomes.len(), vectors.len());
    assert_eq!(
        vectors::surprises(Level::Live, &outcomes),
        Vec::<String>::new()
    );
}

/// A message as it may arrive: of others' torture, with more of it broken. Its branch is its own, so that it repeats nothing.
fn generate(dice: &mut Dice, octets: &[u8], count: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(octets);
    let own = format!("branch=z9hG4bKg{count}");
    let mut message = text.replace("branch=z9hG4bK", &own).into_bytes();
    for _ in 0..=dice.below(3) {
        let (from, to) = {
            let (one, other) = (dice.below(message.len()), dice.below(message.len()));
            (one.min(other), one.max(other).min(one.min(other) + 200))
        };
        match dice.below(6) {
            0 => message[from] ^= 1 << dice.below(8),
            1 => drop(message.drain(from..to)),
            2 => {
                let again = message[from..to].repeat(1 + dice.below(100));
                message.splice(from..from, again);
            }
            3 => message.truncate(to.max(1)),
            4 => drop(message.splice(from..from, *b"\r\n")),
            _ => {
                let lines: Vec<&[u8]> = message.split_inclusive(|octet| *octet == b'\n').collect();
                let moved = lines[dice.below(lines.len())].to_vec();
                message.splice(from..from, moved);
            }
        }
    }
    message.truncate(MAX_DATAGRAM_BYTES);
    message
}

/// Chance that is the same in each run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }
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

/// Does something while a call is up, which must lose nothing by it.
fn beside_a_call(network: Network, pause: Duration, act: impl FnOnce()) {
    let server = Server::start(network, &["transparent", "--waiver", "decision 7"]).unwrap();
    let (caller, city) = (speech::noise(1, 30), speech::noise(2, 30));
    let department = Part {
        scenario: "department-talks",
        local: network.department,
        remote: None,
        speech: &city,
        pause,
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
        pause,
        transport: Transport::Udp,
        words: &[],
    };
    let call = Sipp::start(&call).unwrap();
    server.call_in_state("open").unwrap();

    act();

    let ended = call.finish().and_then(|()| department.finish());
    ended.unwrap_or_else(|fault| panic!("{fault}\nthe server's log:\n{}", server.log()));
    nothing_is_lost(&server, &caller, &city);
    server.stop().unwrap();
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

/// A peer's sockets, on every port that a message names.
struct Peer {
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
    fence_count: u32,
    seen: BTreeSet<Vec<u8>>,
}

impl Peer {
    fn new(server: SocketAddr, at: IpAddr) -> Self {
        let bind = |port| UdpSocket::bind(SocketAddr::new(at, port)).unwrap();
        let sockets: Vec<_> = PORTS.into_iter().map(bind).collect();
        for socket in &sockets {
            socket.set_nonblocking(true).unwrap();
        }
        Self {
            server,
            sockets,
            fence_count: 0,
            seen: BTreeSet::new(),
        }
    }

    /// Sends a message and returns the final statuses that came back for it.
    fn ask(&mut self, octets: &[u8]) -> Vec<u16> {
        self.send(octets);
        self.wait_for_the_fence()
    }

    fn send(&self, octets: &[u8]) {
        self.sockets[0].send_to(octets, self.server).unwrap();
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
