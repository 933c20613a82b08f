//! Laws of the message reader.
use super::*;

fn parse(text: &str) -> Result<Message, Box<Refusal>> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn rule(text: &str) -> Rule {
    parse(text).unwrap_err().fault().rule
}

const HEAD: &str = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n";

fn invite(more: &str) -> String {
    format!("INVITE sip:b@y SIP/2.0\r\n{HEAD}{more}\r\n")
}

#[test]
fn all_of_a_request_can_be_read() {
    let text = invite(
        "m: \"B, C\" <sip:b@192.0.2.7:5070>, <sip:d@e>\r\nX-Own: one\r\nx-own: two\r\n two\r\nc: Application / SDP;a=b\r\nl: 3\r\n",
    ) + "v=0extra";
    let message = parse(&text).unwrap();
    assert_eq!(message.method(), Some(Method::Invite));
    assert_eq!(message.request_uri().unwrap().as_str(), "sip:b@y");
    assert_eq!(message.from().unwrap().tag(), Some(&b"1"[..]));
    assert_eq!(message.to().unwrap().tag(), None);
    assert_eq!(message.call_id(), b"c");
    assert_eq!(message.cseq().unwrap().number, 1);
    assert_eq!(message.max_forwards(), None);
    assert_eq!(message.contact().unwrap().uri().port(), Some(5070));
    assert_eq!(message.addresses(HeaderName::Contact).count(), 2);
    assert_eq!(
        message.named("X-OWN").collect::<Vec<_>>(),
        ["one", "two two"]
    );
    assert_eq!(message.content_type().as_deref(), Some("application/sdp"));
    assert_eq!(
        &message.body()[..],
        b"v=0",
        "octets after Content-Length are ignored"
    );
    assert!(message.has_sdp());
}

#[test]
fn a_response_may_have_any_phrase_or_none() {
    for (line, phrase) in [
        ("SIP/2.0 200 OK", "OK"),
        ("SIP/2.0 100 ", ""),
        ("SIP/2.0 100", ""),
        ("SIP/2.0 200 \u{43e}\u{43a}", "\u{43e}\u{43a}"),
    ] {
        let message = parse(&format!("{line}\r\n{HEAD}\r\n")).unwrap();
        assert_eq!(message.phrase().as_deref(), Some(phrase));
        assert!(!message.is_request());
    }
    for line in [
        "SIP/2.0 4294967301 big",
        "SIP/2.0 99 small",
        "SIP/2.0 0200 zero",
        "SIP/3.0 200 OK",
        "SIP/2.0 700 x",
    ] {
        assert_eq!(
            rule(&format!("{line}\r\n{HEAD}\r\n")),
            Rule::StartLine,
            "{line}"
        );
    }
}

#[test]
fn a_request_line_has_exactly_two_spaces() {
    for (line, expected) in [
        ("INVITE  sip:b@y  SIP/2.0", Rule::RequestUri),
        ("INVITE sip:b@y; lr SIP/2.0", Rule::RequestUri),
        ("INVITE <sip:b@y> SIP/2.0", Rule::RequestUri),
        ("INVITE sip:b@y?Route=x SIP/2.0", Rule::RequestUri),
        ("INVITE sip:b@y SIP/2.0  ", Rule::StartLine),
        ("INVITE SIP/2.0", Rule::StartLine),
        ("INVITE", Rule::StartLine),
        ("IN(VITE sip:b@y SIP/2.0", Rule::StartLine),
    ] {
        assert_eq!(rule(&format!("{line}\r\n{HEAD}\r\n")), expected, "{line}");
    }
    let other = parse(&format!("INVITE sip:b@y SIP/7.0\r\n{HEAD}\r\n")).unwrap();
    assert!(!other.is_version_2_0());
}

#[test]
fn lengths_that_lie_are_refused() {
    assert_eq!(rule(&(invite("l: 4\r\n") + "v=0")), Rule::BodyMissing);
    assert_eq!(rule(&invite("l: -1\r\n")), Rule::ContentLength);
    assert_eq!(
        rule(&(invite("l: 1\r\nl: 2\r\n") + "v=0")),
        Rule::ContentLength
    );
    assert_eq!(
        rule(&invite("l: 99999999999999999999999\r\n")),
        Rule::ContentLength
    );
    assert!(parse(&(invite("l: 3\r\nContent-Length: 3\r\n") + "v=0")).is_ok());
}

#[test]
fn a_header_that_is_missing_or_repeated_is_named() {
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let without: String = HEAD
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with(name))
            .collect();
        let expected = Rule::Missing(HeaderName::read(name.as_bytes()));
        assert_eq!(
            rule(&format!("INVITE sip:b@y SIP/2.0\r\n{without}\r\n")),
            expected
        );
    }
    assert_eq!(
        rule(&invite("t: <sip:b@y>\r\n")),
        Rule::Repeated(HeaderName::To)
    );
    assert_eq!(
        rule(&invite("CSeq: 2 INVITE\r\n")),
        Rule::Repeated(HeaderName::CSeq)
    );
}

#[test]
fn the_limits_hold_before_anything_is_kept() {
    assert_eq!(
        rule(&invite(&"Via: SIP/2.0/UDP a\r\n".repeat(70))),
        Rule::TooManyVias
    );
    assert!(parse(&invite(&"Via: SIP/2.0/UDP a\r\n".repeat(69))).is_ok());
    assert_eq!(
        rule(&invite(&format!(
            "Route: {}\r\n",
            vec!["<sip:a>"; 21].join(",")
        ))),
        Rule::TooManyRoutes
    );
    assert_eq!(
        rule(&invite(&format!(
            "Record-Route: {}\r\n",
            vec!["<sip:a>"; 21].join(",")
        ))),
        Rule::TooManyRoutes
    );
    assert_eq!(rule(&"x".repeat(64 * 1024 + 1)), Rule::MessageTooLong);
    assert_eq!(
        rule(&invite(&format!(
            "Contact: <sip:{}@x>\r\n",
            "u".repeat(1024)
        ))),
        Rule::UriTooLong
    );
}

#[test]
fn a_fault_says_where_and_never_what() {
    let text = invite("Max-Forwards: 300\r\n");
    let refusal = parse(&text).unwrap_err();
    assert_eq!(refusal.fault().offset, text.find("300").unwrap());
    assert_eq!(refusal.fault().length, 3);
    assert!(refusal.is_answerable());
    let shown = format!("{refusal:?} {}", refusal.fault());
    assert!(
        !shown.contains("sip:") && !shown.contains("192.0.2"),
        "{shown}"
    );
}

#[test]
fn only_a_request_with_readable_parties_can_be_answered() {
    let open_quote = invite("").replace("To: <sip:b@y>", "To: \"b <sip:b@y>");
    assert!(!parse(&open_quote).unwrap_err().is_answerable());
    let far_cseq = invite("").replace("CSeq: 1", "CSeq: 36893488147419103232");
    assert!(parse(&far_cseq).unwrap_err().is_answerable());
    let response = format!("SIP/2.0 4294967301 x\r\n{HEAD}\r\n");
    assert!(!parse(&response).unwrap_err().is_answerable());
}

#[test]
fn a_description_among_several_parts_shares_the_datagrams_memory() {
    let body = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b--\r\n";
    let text = format!(
        "INVITE sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nc: multipart/mixed;boundary=b\r\nl: {}\r\n\r\n{body}",
        body.len()
    );
    let message = Message::parse(Bytes::from(text)).unwrap();
    assert!(message.has_sdp());
    let sdp = message.sdp().unwrap();
    assert_eq!(sdp, "v=0\r\n");
    assert!(message.octets().as_ptr_range().contains(&sdp.as_ptr()));
}
