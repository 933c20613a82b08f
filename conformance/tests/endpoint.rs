//! The torture messages at the level of an endpoint: one datagram in, and what the table allows out.
//!
//! The application behind it is as small as one can be: it knows no number (404), answers OPTIONS, and refuses the rest.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use conformance::vectors::{self, Level};
use sip_core::{Endpoint, Event, Hop, Method, PeerId, Settings};

#[test]
fn each_message_is_answered_as_the_table_allows() {
    let vectors = vectors::all();
    let outcomes: Vec<_> = vectors
        .iter()
        .map(|vector| {
            let answers = answers(&vector.octets);
            let ours = if answers.is_empty() {
                "silence".to_owned()
            } else {
                format!("{answers:?}")
            };
            (vector, ours, vector.allows(&answers))
        })
        .collect();
    assert_eq!(
        vectors::surprises(Level::Endpoint, &outcomes),
        Vec::<String>::new()
    );
}

#[test]
fn a_second_request_in_the_same_datagram_is_not_processed() {
    let vectors = vectors::all();
    let double = vectors
        .iter()
        .find(|vector| vector.name == "rfc4475/dblreq.dat")
        .unwrap();
    assert_eq!(answers(&double.octets).len(), 1);
}

/// Final statuses that an endpoint sends for one datagram.
fn answers(datagram: &Bytes) -> Vec<u16> {
    let now = Instant::now();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let hop = Hop::udp(address("127.0.0.1:5060"), address("127.0.0.2:5060"));
    let mut endpoint = Endpoint::new(Settings::default(), [5; 32]);
    endpoint.handle_message(now, PeerId(0), hop, datagram.clone());
    while let Some(event) = endpoint.poll_event() {
        match event {
            Event::Invited { dialog, .. } => {
                endpoint.reject(now, dialog, 404, "Not Found", Vec::new());
            }
            Event::Requested {
                request, message, ..
            } => {
                let (status, phrase) = if message.method() == Some(Method::Options) {
                    (200, "OK")
                } else {
                    (405, "Method Not Allowed")
                };
                endpoint.respond(now, request, status, phrase, Vec::new(), None);
            }
            _ => {}
        }
    }
    let mut statuses = Vec::new();
    while let Some(transmit) = endpoint.poll_transmit() {
        // Read as text: a 400 repeats what was wrong with the request, so not every answer of ours is a message to us.
        let line = transmit
            .payload
            .strip_prefix(b"SIP/2.0 ")
            .and_then(|rest| rest.first_chunk::<3>());
        let line = line.expect("nothing but an answer is sent for one datagram");
        let status: u16 = str::from_utf8(line).unwrap().parse().unwrap();
        statuses.extend((status >= 200).then_some(status));
    }
    statuses
}
