//! What can be wrong with a message, and whose fault it is.
//!
//! A fault says which rule, where and how long; it never holds the text.

use std::fmt;

use crate::header::HeaderName;

/// The side that has to change something before the same thing can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The other end of the wire sent something wrong.
    Peer,
    /// The configuration is wrong.
    Operator,
    /// Something ran out.
    Resource,
    /// This code is wrong.
    Ours,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Over 64 KiB.
    MessageTooLong,
    /// A header (or the start line) over 8 KiB.
    LineTooLong,
    /// Over 128 headers.
    TooManyHeaders,
    /// A URI over 1 KiB.
    UriTooLong,
    /// Over 70 Via.
    TooManyVias,
    /// Over 20 Route or Record-Route.
    TooManyRoutes,
    /// No empty line after the headers.
    Unfinished,
    /// A line that does not end in CRLF.
    LineEnding,
    /// Neither `METHOD uri SIP/x.y` nor `SIP/2.0 status phrase`.
    StartLine,
    /// The Request-URI.
    RequestUri,
    /// A header without a name.
    HeaderName,
    /// A header that must be there is not.
    Missing(HeaderName),
    /// A header that may stand once stands more often.
    Repeated(HeaderName),
    /// A Via.
    Via,
    /// A From, To, Contact, Route or Record-Route.
    NameAddr,
    /// A URI.
    Uri,
    /// A Call-ID.
    CallId,
    /// A CSeq.
    CSeq,
    /// The CSeq names another method than the request line.
    CSeqMethod,
    /// A Max-Forwards over 255 or no number.
    MaxForwards,
    /// A Content-Length that is no number, or two that differ.
    ContentLength,
    /// A Content-Length over what the datagram holds (RFC 3261 section 18.3).
    BodyMissing,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Rule::MessageTooLong => "message is over its limit of 64 KiB",
            Rule::LineTooLong => "header is over its limit of 8 KiB",
            Rule::TooManyHeaders => "message has more headers than its limit of 128",
            Rule::UriTooLong => "URI is over its limit of 1 KiB",
            Rule::TooManyVias => "message has more Via than its limit of 70",
            Rule::TooManyRoutes => "message has more routes than their limit of 20",
            Rule::Unfinished => "message has no empty line after its headers",
            Rule::LineEnding => "line does not end in CRLF",
            Rule::StartLine => "start line is neither a request's nor a response's",
            Rule::RequestUri => "Request-URI is none",
            Rule::HeaderName => "header has no name",
            Rule::Missing(name) => return write!(f, "header {} is missing", name.as_str()),
            Rule::Repeated(name) => {
                return write!(f, "header {} stands more than once", name.as_str());
            }
            Rule::Via => "Via is none",
            Rule::NameAddr => "address is neither a name with a URI nor a URI",
            Rule::Uri => "URI is none",
            Rule::CallId => "Call-ID is empty or has white space",
            Rule::CSeq => "CSeq is no number below 2^31 with a method",
            Rule::CSeqMethod => "CSeq names another method than the request line",
            Rule::MaxForwards => "Max-Forwards is no number of at most 255",
            Rule::ContentLength => "Content-Length is no single number",
            Rule::BodyMissing => "Content-Length is larger than the body",
        };
        f.write_str(text)
    }
}

/// A fault in a message: the rule, and where; never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rule}, at octet {offset} ({length} octets); the sender has to change it")]
pub struct ParseFault {
    /// What is wrong.
    pub rule: Rule,
    /// Where the faulty part begins in the datagram.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
}

impl ParseFault {
    /// Always the peer's.
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// A fault of a part, which the message turns into a [`ParseFault`].
#[derive(Clone, Copy)]
pub(crate) struct Flaw<'a> {
    pub(crate) rule: Rule,
    pub(crate) place: &'a [u8],
}
