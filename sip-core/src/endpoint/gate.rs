//! What the endpoint answers by itself, before any application hears of a request.
//!
//! The order is part of the promise: 400, 505, 513, 405 or 501 (403, 481, 489), 416, 483, 420, 421, 415, 406, 422, 482.
//! Follows RFC 3261 section 8.2, RFC 3262 section 3, RFC 4028 section 9 and RFC 6665 section 4.2.

use crate::{
    abilities::{self, Extension},
    draft,
    header::{HeaderName, Method},
    hop::Transport,
    lexis,
    message::Message,
    peer::{PeerSettings, Reliable},
    session_timer::SessionTimer,
    uri::Scheme,
};

/// An answer without state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) phrase: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(super) fn plain(status: u16, phrase: &'static str) -> Answer {
        Answer {
            status,
            phrase,
            headers: Vec::new(),
        }
    }

    fn with(status: u16, phrase: &'static str, name: &'static str, value: &str) -> Answer {
        Answer {
            status,
            phrase,
            headers: vec![(name, value.to_owned())],
        }
    }

    /// 503 with the time to wait (RFC 3261 section 21.5.4).
    pub(super) fn busy(retry_after_s: u64) -> Answer {
        Answer::with(
            503,
            "Service Unavailable",
            "Retry-After",
            &retry_after_s.to_string(),
        )
    }

    /// 422 with our Min-SE (RFC 4028 section 6).
    pub(super) fn interval_too_small(min_s: u64) -> Answer {
        Answer::with(
            422,
            "Session Interval Too Small",
            "Min-SE",
            &min_s.to_string(),
        )
    }

    /// 500 with a time to wait of 0 to 10 s, for a second INVITE (RFC 3261 section 14.2).
    pub(super) fn overlapping(retry_after_s: u64) -> Answer {
        Answer::with(
            500,
            "Server Internal Error",
            "Retry-After",
            &retry_after_s.to_string(),
        )
    }
}

/// The longest INVITE; other requests may have the 64 KiB of every message.
///
/// A dialog whose INVITE waits keeps it, an answer that repeats its headers, and the route set: three times this is within 32 KiB.
///
/// Source: RFC 3261 section 21.5.7.
const MAX_INVITE_BYTES: usize = 10 * 1024;

/// Looks at a request that is neither ACK nor CANCEL; 482 follows where the tables are.
///
/// # Errors
/// The answer that refuses it.
pub(super) fn check(
    request: &Message,
    method: &Method,
    transport: Transport,
    settings: &PeerSettings,
) -> Result<(), Answer> {
    if *method == Method::Invite && request.octets().len() > MAX_INVITE_BYTES {
        return Err(Answer::plain(513, "Message Too Large"));
    }
    let is_inside = request.to().is_ok_and(|to| to.tag().is_some());
    if is_inside {
        check_method_inside(request, method)?;
    } else {
        check_method_outside(method)?;
    }
    // RFC 3261 section 8.2.2.1; `sips` asks for TLS on every way (section 26.2.2).
    match request.request_uri().map(|uri| uri.scheme()) {
        Some(Scheme::Sip | Scheme::Tel) => {}
        Some(Scheme::Sips) if transport == Transport::Tls => {}
        Some(Scheme::Sips | Scheme::Other) | None => {
            return Err(Answer::plain(416, "Unsupported URI Scheme"));
        }
    }
    // RFC 3261 section 16.3 step 3: a B2BUA would pass it on. Inside a dialog it ends here.
    if request.max_forwards() == Some(0) && !is_inside {
        return Err(Answer::plain(483, "Too Many Hops"));
    }
    check_require(request, settings)?;
    let is_new_call = *method == Method::Invite && !is_inside;
    if is_new_call {
        check_reliable(request, settings)?;
    }
    check_body(request, method)?;
    check_accept(request, method)?;
    match SessionTimer::new(settings.session).check(request) {
        Err(too_small) if is_new_call => Err(Answer::interval_too_small(too_small.min_s)),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// RFC 3261 section 8.2.1: 405 for a method that is known and not for us, 501 for one nobody knows (section 21.5.2).
///
/// What belongs to a dialog and names none is told so: 481; a transfer of nothing 403, a subscription 489 (RFC 6665 section 4.2.1.1).
fn check_method_outside(method: &Method) -> Result<(), Answer> {
    match method {
        Method::Invite | Method::Ack | Method::Bye | Method::Cancel | Method::Options => Ok(()),
        Method::Prack | Method::Update | Method::Info | Method::Notify => {
            Err(Answer::plain(481, "Call/Transaction Does Not Exist"))
        }
        Method::Refer => Err(Answer::plain(403, "Forbidden")),
        Method::Subscribe | Method::Publish => Err(bad_event()),
        Method::Register | Method::Message => Err(Answer::with(
            405,
            "Method Not Allowed",
            "Allow",
            draft::ALLOW,
        )),
        Method::Other(_) => Err(Answer::with(501, "Not Implemented", "Allow", draft::ALLOW)),
    }
}

/// Inside a dialog the application hears of every method; the only subscription there is that of a REFER (RFC 3515 section 2.4.4).
fn check_method_inside(request: &Message, method: &Method) -> Result<(), Answer> {
    let is_refer = || {
        request.text(HeaderName::Event).is_some_and(|event| {
            event
                .split(';')
                .next()
                .is_some_and(|name| name.trim() == "refer")
        })
    };
    match method {
        Method::Register => Err(Answer::with(
            405,
            "Method Not Allowed",
            "Allow",
            draft::ALLOW,
        )),
        Method::Publish => Err(bad_event()),
        Method::Subscribe if !is_refer() => Err(bad_event()),
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Refer
        | Method::Notify
        | Method::Subscribe
        | Method::Message
        | Method::Other(_) => Ok(()),
    }
}

/// What may be subscribed to: the outcome of a REFER, inside its dialog (RFC 6665 section 4.2.1.1).
fn bad_event() -> Answer {
    Answer::with(489, "Bad Event", "Allow-Events", "refer")
}

/// RFC 3261 section 8.2.2.3: what is required and not offered is named.
fn check_require(request: &Message, settings: &PeerSettings) -> Result<(), Answer> {
    let tags = abilities::unsupported(request, settings);
    if tags.is_empty() {
        return Ok(());
    }
    Err(Answer::with(
        420,
        "Bad Extension",
        "Unsupported",
        &tags.join(", "),
    ))
}

/// RFC 3261 section 21.4.16: whoever must be able to PRACK and is not gets 421.
fn check_reliable(invite: &Message, settings: &PeerSettings) -> Result<(), Answer> {
    let is_able = abilities::supports(invite, Extension::Reliable);
    if settings.reliable == Reliable::Required && !is_able {
        let tag = Extension::Reliable.tag();
        return Err(Answer::with(421, "Extension Required", "Require", tag));
    }
    Ok(())
}

/// RFC 3261 section 8.2.3: a body must be a session description or hold one (RFC 5621 section 3.1), unless its sender says it may be ignored.
///
/// What INFO, NOTIFY and their like carry is for the application. A BYE ends its call whatever it carries: nobody gains by a call that goes on.
fn check_body(request: &Message, method: &Method) -> Result<(), Answer> {
    if request.body().is_empty() || is_optional(request) {
        return Ok(());
    }
    let describes = match method {
        Method::Invite
        | Method::Ack
        | Method::Cancel
        | Method::Options
        | Method::Prack
        | Method::Update => true,
        Method::Bye
        | Method::Register
        | Method::Info
        | Method::Refer
        | Method::Notify
        | Method::Subscribe
        | Method::Message
        | Method::Publish
        | Method::Other(_) => false,
    };
    if !describes {
        return Ok(());
    }
    let encodings = request.elements(HeaderName::ContentEncoding);
    if encodings
        .into_iter()
        .any(|encoding| !encoding.eq_ignore_ascii_case(b"identity"))
    {
        return Err(Answer {
            status: 415,
            phrase: "Unsupported Media Type",
            headers: vec![
                ("Accept", draft::ACCEPT.to_owned()),
                ("Accept-Encoding", "identity".to_owned()),
            ],
        });
    }
    match request.content_type().as_deref() {
        Some(draft::SDP) | None => Ok(()),
        Some(_) if request.has_sdp() => Ok(()),
        Some(_) => Err(Answer::with(
            415,
            "Unsupported Media Type",
            "Accept",
            draft::ACCEPT,
        )),
    }
}

fn is_optional(request: &Message) -> bool {
    let Some(value) = request.value(HeaderName::ContentDisposition) else {
        return false;
    };
    let params = value
        .iter()
        .position(|octet| *octet == b';')
        .map_or(&value[..0], |at| &value[at..]);
    let handling = lexis::Params::parse(params)
        .ok()
        .and_then(|params| params.get("handling"))
        .flatten();
    handling.is_some_and(|handling| handling.eq_ignore_ascii_case(b"optional"))
}

/// RFC 4475 section 3.3.15: who takes no session description in answer to an INVITE can have no call.
fn check_accept(request: &Message, method: &Method) -> Result<(), Answer> {
    if *method != Method::Invite || request.value(HeaderName::Accept).is_none() {
        return Ok(());
    }
    let takes_sdp = request.elements(HeaderName::Accept).any(|element| {
        let end = element
            .iter()
            .position(|octet| *octet == b';')
            .unwrap_or(element.len());
        let range = lexis::trim(&element[..end]);
        [&b"application/sdp"[..], b"application/*", b"*/*"]
            .iter()
            .any(|known| range.eq_ignore_ascii_case(known))
    });
    if takes_sdp {
        Ok(())
    } else {
        Err(Answer::plain(406, "Not Acceptable"))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn status(method: &str, uri: &str, more: &str) -> Option<u16> {
        status_by(Transport::Udp, method, uri, more)
    }

    fn status_by(transport: Transport, method: &str, uri: &str, more: &str) -> Option<u16> {
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n{more}\r\nx"
        );
        let request = Message::parse(Bytes::from(text)).unwrap();
        check(
            &request,
            &request.method().unwrap(),
            transport,
            &PeerSettings::default(),
        )
        .err()
        .map(|answer| answer.status)
    }

    #[test]
    fn the_first_reason_to_refuse_is_the_one_that_is_told() {
        let all =
            "Max-Forwards: 0\r\nRequire: x\r\nContent-Type: text/plain\r\nAccept: text/plain\r\n";
        assert_eq!(status("FOO", "isbn:1", all), Some(501));
        assert_eq!(status("REGISTER", "isbn:1", all), Some(405));
        assert_eq!(status("INVITE", "sips:b@y", all), Some(416));
        assert_eq!(status("INVITE", "sip:b@y", all), Some(483));
        let all = all.replace("Max-Forwards: 0", "Max-Forwards: 1");
        assert_eq!(status("INVITE", "tel:0783331000", &all), Some(420));
        let all = all.replace("Require: x\r\n", "");
        assert_eq!(status("INVITE", "sip:b@y", &all), Some(415));
        let all = all.replace("Content-Type: text/plain", "Content-Type: application/sdp");
        assert_eq!(status("INVITE", "sip:b@y", &all), Some(406));
        let all = all.replace(
            "Accept: text/plain",
            "Accept: text/plain, application/*;q=0.5",
        );
        assert_eq!(status("INVITE", "sip:b@y", &all), None);
    }

    #[test]
    fn a_body_that_may_be_ignored_is_no_reason_to_refuse() {
        let optional =
            "Content-Type: text/plain\r\nContent-Disposition: render ; handling = optional\r\n";
        assert_eq!(status("INVITE", "sip:b@y", optional), None);
        assert_eq!(
            status(
                "INVITE",
                "sip:b@y",
                "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n"
            ),
            Some(415)
        );
    }

    #[test]
    fn a_bye_with_a_foreign_body_ends_its_call() {
        let isup = "Content-Type: application/isup;version=itu-t92+\r\n";
        assert_eq!(status("INVITE", "sip:b@y", isup), Some(415));
        assert_eq!(status("BYE", "sip:b@y", isup), None);
    }

    #[test]
    fn a_description_may_stand_among_other_parts() {
        let multipart = |kind: &str| {
            let body = format!("--b\r\nContent-Type: {kind}\r\n\r\nv=0\r\n--b--");
            format!("Content-Type: multipart/mixed;boundary=b\r\n\r\n{body}")
        };
        let status = |kind: &str| status("INVITE", "sip:b@y", &multipart(kind));
        assert_eq!(status("application/sdp"), None);
        assert_eq!(status("application/isup"), Some(415));
    }

    #[test]
    fn a_secure_call_comes_over_tls_or_not_at_all() {
        for (transport, expected) in [
            (Transport::Udp, Some(416)),
            (Transport::Tcp, Some(416)),
            (Transport::Tls, None),
        ] {
            assert_eq!(status_by(transport, "INVITE", "sips:b@y", ""), expected);
        }
    }

    #[test]
    fn every_required_extension_is_named() {
        let text = "OPTIONS sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nRequire: one, two\r\nRequire: three\r\n\r\n";
        let request = Message::parse(Bytes::from_static(text.as_bytes())).unwrap();
        let answer = check(
            &request,
            &Method::Options,
            Transport::Udp,
            &PeerSettings::default(),
        )
        .unwrap_err();
        assert_eq!(
            answer,
            Answer::with(420, "Bad Extension", "Unsupported", "one, two, three")
        );
    }
}
