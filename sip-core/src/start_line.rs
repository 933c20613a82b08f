//! The first line of a message: a request's or a response's.
//!
//! Follows RFC 3261 sections 7.1 and 7.2, and RFC 4475 for what is refused.

use std::ops::Range;

use crate::{
    fault::{Flaw, Rule},
    lexis,
    uri::Uri,
};

/// What the first line says.
#[derive(Clone)]
pub(crate) enum Start {
    Request {
        method: Range<usize>,
        uri: Range<usize>,
        is_2_0: bool,
    },
    Response {
        status: u16,
        phrase: Range<usize>,
    },
    Unreadable,
}

/// Reads the first line; what could be read of one that is wrong comes with the rule.
pub(crate) fn read_start(octets: &[u8], line: &Range<usize>) -> Result<Start, (Start, Rule)> {
    let text = &octets[line.clone()];
    if text.len() >= 4 && text[..4].eq_ignore_ascii_case(b"SIP/") {
        return read_status(text, line).ok_or((Start::Unreadable, Rule::StartLine));
    }
    let unreadable = (Start::Unreadable, Rule::StartLine);
    let Some(first) = memchr::memchr(b' ', text) else {
        return Err(unreadable);
    };
    if !lexis::is_token(&text[..first]) {
        return Err(unreadable);
    }
    let last = memchr::memrchr(b' ', text).unwrap_or(first);
    let version = &text[last + 1..];
    let method = line.start..line.start + first;
    let uri = line.start + (first + 1).min(last)..line.start + last;
    let request = Start::Request {
        method,
        uri: uri.clone(),
        is_2_0: version.eq_ignore_ascii_case(b"SIP/2.0"),
    };
    if !is_version(version) || first == last {
        return Err((request, Rule::StartLine));
    }
    match Uri::read(&octets[uri]) {
        // A Request-URI carries no headers (RFC 3261 section 19.1.1, table 1).
        Ok(uri) if !uri.has_headers() => Ok(request),
        Ok(_) => Err((request, Rule::RequestUri)),
        Err(Flaw {
            rule: Rule::UriTooLong,
            ..
        }) => Err((request, Rule::UriTooLong)),
        Err(_) => Err((request, Rule::RequestUri)),
    }
}

/// `SIP/` and two numbers with a dot.
fn is_version(text: &[u8]) -> bool {
    let Some(numbers) = text
        .get(4..)
        .filter(|_| text[..4].eq_ignore_ascii_case(b"SIP/"))
    else {
        return false;
    };
    let mut parts = numbers.splitn(2, |octet| *octet == b'.');
    let is_number =
        |part: Option<&[u8]>| part.is_some_and(|part| lexis::number(part, u64::MAX).is_some());
    is_number(parts.next()) && is_number(parts.next())
}

/// `SIP/2.0 200 OK`; an absent phrase is none's fault (RFC 4475 section 3.1.1.13).
fn read_status(text: &[u8], line: &Range<usize>) -> Option<Start> {
    let rest = text
        .get(8..)
        .filter(|_| text[..8].eq_ignore_ascii_case(b"SIP/2.0 "))?;
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let status = u16::try_from(lexis::number(&rest[..end], 699)?).ok()?;
    if end != 3 || status < 100 {
        return None;
    }
    Some(Start::Response {
        status,
        phrase: (line.start + 8 + end + 1).min(line.end)..line.end,
    })
}
