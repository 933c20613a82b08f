//! A datagram as a SIP message: whatever it holds, reading it ends, and each view over it can be asked for everything.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_core::{HeaderName, Message, NameAddr, Uri};

fuzz_target!(|datagram: &[u8]| {
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
