//! What a telephone of a storm does by itself. The other side is written by hand; nothing is lost.

use super::*;
use crate::text;

const EXCHANGE: &str = "127.0.0.1:5060";
const PBX: &str = "127.0.0.3:5062";

#[test]
fn a_called_telephone_whose_first_change_is_refused_talks_on() {
    let (mut phone, now) = talking();
    phone.plan(now, Act::Ask(Request::Reinvite("sendonly")));
    let reinvite = said(&phone.handle_timeout(now));
    let refused = text::answer(&reinvite, 491, "Request Pending", "x", at(EXCHANGE), "");
    let ack = said(&phone.handle(now, &Text::read(&refused)));
    assert_eq!(ack.method(), "ACK");
    assert_eq!(phone.stage(), &Stage::Talking);
}

#[test]
fn a_called_telephone_answers_what_its_change_without_an_offer_is_offered() {
    let (mut phone, now) = talking();
    phone.plan(now, Act::Ask(Request::ReinviteBare));
    let reinvite = said(&phone.handle_timeout(now));
    let offer = text::describe(at("127.0.0.1:20000"), &[0, 101]);
    let answered = text::answer(&reinvite, 200, "OK", "x", at(EXCHANGE), &offer);
    let ack = said(&phone.handle(now, &Text::read(&answered)));
    assert_eq!(ack.payload_types(), [0, 101]);
}

#[test]
fn an_answer_waits_for_the_prack_of_a_description_and_for_no_other() {
    for (early, is_held) in [(Early::Silent, false), (Early::Media, true)] {
        let (mut phone, now) = ringing("Supported: 100rel\r\n", Reliable::Supported);
        phone.plan(now, Act::Ring(early));
        phone.plan(now, Act::Answer);
        let said = phone.handle_timeout(now);
        let statuses: Vec<_> = said
            .iter()
            .map(|packet| Text::read(&packet.payload).status())
            .collect();
        assert_eq!(statuses.contains(&Some(200)), !is_held, "{early:?}");
    }
}

#[test]
fn a_prack_that_crosses_our_answer_is_taken() {
    let (mut phone, now) = ringing("Supported: 100rel\r\n", Reliable::Supported);
    phone.plan(now, Act::Ring(Early::Silent));
    phone.plan(now, Act::Answer);
    phone.handle_timeout(now);
    let prack = request("PRACK", 2, "RAck: 1 1 INVITE\r\n", "");
    assert_eq!(said(&phone.handle(now, &prack)).status(), Some(200));
}

fn ringing(headers: &str, reliable: Reliable) -> (Phone, Instant) {
    let now = Instant::now();
    let offer = text::describe(at("127.0.0.1:20000"), &[0, 101]);
    let invite = request("INVITE", 1, headers, &offer);
    let habits = Habits {
        reliable,
        ..Habits::default()
    };
    (
        Phone::ring(now, 0, Hop::udp(at(PBX), at(EXCHANGE)), &invite, habits),
        now,
    )
}

fn talking() -> (Phone, Instant) {
    let (mut phone, now) = ringing("", Reliable::No);
    phone.plan(now, Act::Answer);
    phone.handle_timeout(now);
    phone.handle(now, &request("ACK", 1, "", ""));
    assert_eq!(phone.stage(), &Stage::Talking);
    (phone, now)
}

fn request(method: &str, sequence: u32, headers: &str, body: &str) -> Text {
    let length = body.len();
    let text = format!(
        "{method} sip:100@{PBX} SIP/2.0\r\nVia: SIP/2.0/UDP {EXCHANGE};branch=z9hG4bK{method}{sequence}\r\n\
        From: <sip:200@127.0.0.1>;tag=x\r\nTo: <sip:100@127.0.0.1>\r\nCall-ID: one\r\nCSeq: {sequence} {method}\r\n\
        Contact: <sip:{EXCHANGE}>\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    Text::read(text.as_bytes())
}

/// The last thing that it says.
fn said(packets: &[Packet]) -> Text {
    Text::read(&packets.last().expect("it says something").payload)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
