//! The torture messages against the real binary over TCP, each on a connection of its own from the address of a peer. A stream
//! that breaks ends alone: the server answers on the next one, and on the one that was there before.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use conformance::{
    server::{Network, PATIENCE, Server},
    vectors::{self, Vector},
};
use socket2::{Domain, Socket, Type};

/// A message whose body is announced longer than it is swallows what follows; nobody answers then, however long one waits.
const SILENCE: Duration = Duration::from_millis(400);

#[test]
fn each_message_of_a_carrier_is_answered_as_the_table_allows_or_ends_its_own_connection_alone() {
    for (third, profile) in [(81, "announce"), (83, "transparent")] {
        let network = Network::new(third);
        torture(network, profile, network.carrier.ip());
    }
}

#[test]
fn each_message_of_a_pbx_is_answered_as_the_table_allows_or_ends_its_own_connection_alone() {
    for (third, profile) in [(84, "announce"), (85, "transparent")] {
        let network = Network::new(third);
        torture(network, profile, network.department.ip());
    }
}

#[test]
fn a_stranger_over_tcp_gets_not_one_octet_back() {
    let network = Network::new(82);
    let server = Server::start(network, &["announce"]).unwrap();
    let mut steady = connect(network, network.carrier.ip());
    for vector in vectors::all().iter().take(8) {
        let socket = socket("127.0.82.9:0".parse().unwrap());
        // Whether it is refused at once or reset when it speaks: it reads nothing.
        let _ = socket.connect(&network.server.into());
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&vector.octets);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert_eq!(heard, b"", "{}", vector.name);
    }
    assert!(is_answered(&mut steady, 0));
    server.stop().unwrap();
}

/// Sends every message from a peer's address.
fn torture(network: Network, profile: &str, peer: IpAddr) {
    let server = Server::start(network, &[profile]).unwrap();
    let mut steady = connect(network, peer);
    let (mut answered, mut surprises) = (0, Vec::new());
    let vectors = vectors::all();
    for (count, vector) in vectors.iter().enumerate() {
        let answers = ask(connect(network, peer), vector, count);
        answered += usize::from(!answers.is_empty());
        if !answers.is_empty() && !vector.allows(&answers) {
            surprises.push(format!("{}: {answers:?}", vector.name));
        }
        assert!(
            is_answered(&mut steady, count),
            "after {} the steady connection is dead:\n{}",
            vector.name,
            server.log()
        );
    }
    assert_eq!(surprises, Vec::<String>::new());
    assert!(
        answered > vectors.len() / 2,
        "only {answered} were answered"
    );
    server.stop().unwrap();
}

fn socket(local: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&local.into()).unwrap();
    socket
}

fn connect(network: Network, peer: IpAddr) -> TcpStream {
    let socket = socket(SocketAddr::new(peer, 0));
    socket.connect(&network.server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream
}

/// Says a message and an OPTIONS of our own behind it; returns the final statuses that came for the message.
fn ask(mut stream: TcpStream, vector: &Vector, count: usize) -> Vec<u16> {
    // A connection that was ended at the message takes no more; what it said before is read all the same.
    let _ = stream.write_all(&vector.octets);
    let _ = stream.write_all(fence(&stream, count).as_bytes());
    let heard = hear(&mut stream, count);
    let statuses = heard.split("SIP/2.0 ").skip(1).filter_map(|answer| {
        let status: u16 = answer.get(..3)?.parse().ok()?;
        (status >= 200 && !answer.contains("\r\nCall-ID: fence")).then_some(status)
    });
    statuses.collect()
}

/// Whether an OPTIONS on a connection is answered.
fn is_answered(stream: &mut TcpStream, count: usize) -> bool {
    stream
        .write_all(fence(stream, count).as_bytes())
        .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
        .unwrap();
    hear(stream, count).contains(&format!("\r\nCall-ID: fence{count}\r\n"))
}

/// Everything up to the answer of the fence, the end of the stream, or a silence.
fn hear(stream: &mut TcpStream, count: usize) -> String {
    let mut heard = Vec::new();
    let mut room = [0; 4_096];
    let end = format!("\r\nCall-ID: fence{count}\r\n");
    while let Ok(length @ 1..) = stream.read(&mut room) {
        heard.extend_from_slice(&room[..length]);
        let text = String::from_utf8_lossy(&heard);
        if text.contains(&end) && text.ends_with("\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

fn fence(stream: &TcpStream, count: usize) -> String {
    let (local, server) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    format!(
        "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/TCP {local};branch=z9hG4bKfence{count};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:fence@{local}>;tag=f\r\nTo: <sip:{server}>\r\nCall-ID: fence{count}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}
