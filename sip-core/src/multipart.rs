//! A session description inside a body of several parts.
//!
//! Follows RFC 2046 section 5.1 and RFC 5621 section 3 (what a SIP element does with parts it does not know).

use std::ops::Range;

use memchr::memmem;

use crate::{framing::Frame, header::HeaderName, lexis};

/// The most parts that are looked at; carriers send two or three.
const MAX_PARTS: usize = 16; // Law 5.

/// How deep one body of several parts may lie in another.
const MAX_DEPTH: usize = 3; // Law 5.

/// What a body is told to be.
struct Kind<'a> {
    name: String,
    boundary: Option<Vec<u8>>,
    disposition: Option<&'a [u8]>,
    is_encoded: bool,
}

/// Where the first session description stands in a body of the given Content-Type.
pub(crate) fn find_sdp(body: &[u8], content_type: &[u8]) -> Option<Range<usize>> {
    let kind = Kind {
        name: media_type(content_type),
        boundary: boundary_of(content_type),
        disposition: None,
        is_encoded: false,
    };
    search(body, 0..body.len(), &kind, 0)
}

/// The type without parameters and white space, in small letters.
pub(crate) fn media_type(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|octet| *octet == b';')
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end])
        .split_ascii_whitespace()
        .collect::<String>()
        .to_ascii_lowercase()
}

fn search(body: &[u8], range: Range<usize>, kind: &Kind<'_>, depth: usize) -> Option<Range<usize>> {
    // An early-media description (RFC 3959) or a rendering is not the session's; what is encoded cannot be read.
    let is_of_session = kind
        .disposition
        .is_none_or(|value| media_type(value) == "session");
    if kind.name == "application/sdp" {
        return Some(range).filter(|range| is_of_session && !kind.is_encoded && !range.is_empty());
    }
    let boundary = kind.boundary.as_deref()?;
    if !kind.name.starts_with("multipart/") || depth == MAX_DEPTH {
        return None;
    }
    parts(body, range, boundary).into_iter().find_map(|part| {
        let frame = Frame::read(&body[part.clone()]);
        let value = |name| {
            let field = frame.fields.iter().find(|field| field.name == name)?;
            let value = field.value_range();
            Some(&body[part.start + value.start..part.start + value.end])
        };
        let content_type = value(HeaderName::ContentType)?;
        let kind = Kind {
            name: media_type(content_type),
            boundary: boundary_of(content_type),
            disposition: value(HeaderName::ContentDisposition),
            is_encoded: is_encoded(&frame, &body[part.clone()]),
        };
        search(body, part.start + frame.body..part.end, &kind, depth + 1)
    })
}

/// The parts, each with the line that opens it, which stands where a message has its start line.
fn parts(body: &[u8], range: Range<usize>, boundary: &[u8]) -> Vec<Range<usize>> {
    let delimiter = [b"--", boundary].concat();
    let mut opened: Option<usize> = None;
    let mut found = Vec::new();
    for at in lines_begun_by(&delimiter, body, range.clone()) {
        let rest = &body[at + delimiter.len()..range.end];
        let is_last = rest.starts_with(b"--");
        let line_end = rest.iter().position(|octet| *octet == b'\n');
        let line = &rest[..line_end.unwrap_or(rest.len())];
        let is_whole_line = is_last || line.iter().all(|octet| lexis::is_space(*octet));
        if !is_whole_line {
            continue;
        }
        if let Some(start) = opened {
            // The line break before a delimiter belongs to the delimiter.
            let end = match &body[start..at] {
                [.., b'\r', b'\n'] => at - 2,
                _ => at - 1,
            };
            found.push(start..end.max(start));
        }
        if is_last || found.len() == MAX_PARTS {
            return found;
        }
        opened = Some(at);
    }
    // The closing line is missing; what is there is whole all the same, by Content-Length.
    found.extend(opened.map(|start| start..range.end));
    found
}

/// Where a delimiter begins a line. No other line is read, and each once: a body of nothing but delimiters costs no more than its length.
fn lines_begun_by<'a>(
    delimiter: &'a [u8],
    body: &'a [u8],
    range: Range<usize>,
) -> impl Iterator<Item = usize> + 'a {
    let start = range.start;
    memmem::find_iter(&body[range], delimiter)
        .map(move |at| start + at)
        .filter(move |at| *at == start || body[*at - 1] == b'\n')
}

/// 1 to 70 octets (RFC 2046 section 5.1.1), in quotes or bare.
fn boundary_of(content_type: &[u8]) -> Option<Vec<u8>> {
    let at = content_type.iter().position(|octet| *octet == b';')?;
    let params = lexis::Params::parse(&content_type[at..]).ok()?;
    let value = params.get("boundary").flatten()?;
    let boundary = lexis::unquoted(value);
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// `7bit`, `8bit` and `binary` are no encodings (RFC 2045 section 6.2).
fn is_encoded(frame: &Frame, part: &[u8]) -> bool {
    frame.fields.iter().any(|field| {
        let name = &part[field.name_range()];
        let value = &part[field.value_range()];
        let is_plain = [&b"7bit"[..], b"8bit", b"binary"]
            .iter()
            .any(|plain| value.eq_ignore_ascii_case(plain));
        name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") && !is_plain
    })
}

#[cfg(test)]
mod tests {
    // Bodies as carriers with ISUP and location write them, and some that nobody should.
    use super::*;

    fn found<'a>(content_type: &str, body: &'a str) -> Option<&'a str> {
        find_sdp(body.as_bytes(), content_type.as_bytes()).map(|range| &body[range])
    }

    const TWO: &str = "preamble --b\r\n--b\r\nContent-Type: application/isup;version=x\r\n\
        Content-Disposition: signal;handling=optional\r\n\r\n--bx\r\n\r\n--b  \r\ncontent-type :\r\n Application/SDP\r\n\r\nv=0\r\no=x\r\n\r\n--b--\r\n";

    #[test]
    fn the_description_is_found_among_other_parts() {
        for kind in [
            "multipart/mixed;boundary=b",
            "Multipart / Mixed ; boundary=\"b\"",
            "multipart/alternative;x=y;BOUNDARY=b",
        ] {
            assert_eq!(found(kind, TWO), Some("v=0\r\no=x\r\n"), "{kind}");
        }
    }

    #[test]
    fn a_description_alone_is_the_whole_body() {
        assert_eq!(found("application/SDP;charset=utf-8", "v=0"), Some("v=0"));
        assert_eq!(found("application/sdp", ""), None);
        assert_eq!(found("text/plain", "v=0"), None);
    }

    #[test]
    fn a_part_in_a_part_is_found_to_a_depth_of_three() {
        let mut body = "v=0\r\n".to_owned();
        let mut kind = "application/sdp".to_owned();
        for (depth, expected) in [(1, true), (2, true), (3, true), (4, false)] {
            body = format!("--b{depth}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--b{depth}--\r\n");
            kind = format!("multipart/mixed;boundary=b{depth}");
            assert_eq!(found(&kind, &body).is_some(), expected, "{depth}");
        }
    }

    #[test]
    fn a_part_without_end_reaches_to_the_end_of_the_body() {
        let body = "--b\nContent-Type: application/sdp\n\nv=0\n";
        assert_eq!(found("multipart/mixed;boundary=b", body), Some("v=0\n"));
    }

    #[test]
    fn what_is_encoded_or_of_another_session_is_no_description() {
        for header in [
            "Content-Transfer-Encoding: base64",
            "Content-Disposition: early-session",
        ] {
            let body =
                format!("--b\r\n{header}\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--");
            assert_eq!(found("multipart/mixed;boundary=b", &body), None, "{header}");
        }
        let body = "--b\r\nContent-Disposition: Session\r\nContent-Transfer-Encoding: BINARY\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--";
        assert_eq!(found("multipart/mixed;boundary=b", body), Some("v=0"));
    }

    #[test]
    fn a_body_of_nothing_but_delimiters_costs_no_more_than_its_length() {
        let body = "--b ".repeat(16_000);
        assert_eq!(found("multipart/mixed;boundary=b", &body), None);
        let read = lines_begun_by(b"--b", body.as_bytes(), 0..body.len());
        assert_eq!(read.count(), 1, "lines that are read to their end");
    }

    #[test]
    fn a_body_without_boundary_or_with_too_many_parts_has_no_description() {
        assert_eq!(found("multipart/mixed", TWO), None);
        assert_eq!(found("multipart/mixed;boundary=", TWO), None);
        let mut body = "--b\r\nContent-Type: text/plain\r\n\r\n\r\n".repeat(MAX_PARTS);
        body.push_str("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--");
        assert_eq!(found("multipart/mixed;boundary=b", &body), None);
    }
}
