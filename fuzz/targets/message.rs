//! A datagram as a SIP message: whatever it holds, reading it ends, and each view over it can be asked for everything.
//! An endpoint that gets it answers or is silent, and once all its timers have fired it holds nothing any more.
#![no_main]

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_core::{Endpoint, Event, HeaderName, Hop, Message, NameAddr, PeerId, Settings, Uri};

/// More than any transaction or usage needs to end: repetitions up to 64 * T1 (RFC 3261 section 17.2.1).
const MAX_TIMEOUTS: u32 = 100;

fuzz_target!(|datagram: &[u8]| {
    answer(datagram);
    let message = match Message::parse(Bytes::copy_from_slice(datagram)) {
        Ok(message) => message,
        Err(refusal) => {
            let fault = refusal.fault();
            assert!(
                fault.offset + fault.length <= datagram.len(),
                "a fault points outside of the datagram"
            );
            return;
        }
    };
    assert!(
        datagram.starts_with(message.octets()),
        "a message holds octets that were not sent"
    );
    let again = Message::parse(message.octets().clone()).expect("what was read once is read again");
    assert_eq!(again.body(), message.body());

    let _ = (
        message.method(),
        message.status(),
        message.phrase(),
        message.content_type(),
        message.has_sdp(),
        message.max_forwards(),
    );
    message.request_uri().iter().for_each(ask);
    for via in message.vias().flatten() {
        let _ = (
            via.transport(),
            via.host(),
            via.port(),
            via.branch(),
            via.received(),
            via.wants_rport(),
        );
    }
    for name in [
        HeaderName::From,
        HeaderName::To,
        HeaderName::Contact,
        HeaderName::PAssertedIdentity,
        HeaderName::Diversion,
    ] {
        message
            .addresses(name)
            .flatten()
            .for_each(|party: NameAddr<'_>| {
                let _ = (party.display(), party.tag(), party.param("q"));
                ask(&party.uri());
            });
        let _ = (message.text(name), message.elements(name).count());
    }
    assert!(message.named("X-Anything").count() <= message.header_count());
});

fn ask(uri: &Uri<'_>) {
    let _ = (
        uri.scheme(),
        uri.user(),
        uri.user_number(),
        uri.host().address(),
        uri.port(),
        uri.param("user"),
        uri.has_headers(),
    );
}

/// Gives the datagram to an endpoint whose application knows nobody.
fn answer(datagram: &[u8]) {
    let mut now = Instant::now();
    let mut endpoint = Endpoint::new(Settings::default(), [9; 32]);
    let hop = Hop::udp(
        SocketAddr::from(([127, 0, 0, 1], 5060)),
        SocketAddr::from(([127, 0, 0, 2], 5060)),
    );
    endpoint.handle_message(now, PeerId(0), hop, Bytes::copy_from_slice(datagram));
    while let Some(event) = endpoint.poll_event() {
        match event {
            Event::Invited { dialog, .. } => {
                endpoint.reject(now, dialog, 404, "Not Found", Vec::new())
            }
            Event::Requested { request, .. } => {
                endpoint.respond(now, request, 404, "Not Found", Vec::new(), None)
            }
            _ => {}
        }
    }
    for _ in 0..MAX_TIMEOUTS {
        while let Some(transmit) = endpoint.poll_transmit() {
            assert!(
                transmit.payload.starts_with(b"SIP/2.0 "),
                "a datagram of a stranger makes us send a request"
            );
        }
        let Some((due, _)) = endpoint.poll_timeout() else {
            break;
        };
        now = now.max(due);
        endpoint.handle_timeout(now);
    }
    assert_eq!(
        (endpoint.dialog_count(), endpoint.transaction_count()),
        (0, 0),
        "an endpoint holds what is long over"
    );
}
