//! Where the messages in a stream are: TCP and TLS carry octets, and Content-Length parts them.
//!
//! What is passed on may still be no message; [`Message::parse`](crate::Message::parse) judges that. What cannot be parted is a fault that ends the
//! connection. Follows RFC 3261 sections 7.5 and 18.3 and RFC 5626 section 4.4.1 (keep-alive). Start at [`StreamFrames::push`].

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::{
    fault::{Fault, Rule},
    framing::{Frame, MAX_LINE_BYTES, MAX_MESSAGE_BYTES},
    header::HeaderName,
    lexis,
};

/// What an idle connection keeps of its buffer; an INVITE with a description fits.
const IDLE_BYTES: usize = 4 * 1024;

/// Parts the stream of one connection. After each `push`, `poll` until nothing is left.
#[derive(Debug)]
pub struct StreamFrames {
    buffer: BytesMut,
    place: Place,
    pings: u32,
}

/// What the buffer begins with.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Empty lines, or the first octet of a message.
    Between { empty_lines: u8 },
    /// A message whose head has not ended within the first `searched` octets.
    Head { searched: usize },
    /// A message that is whole with `length` octets.
    Body { length: usize },
    /// Nothing any more: the stream cannot be parted.
    Broken,
}

/// Why a stream cannot be parted. The connection is to be closed: where the next message begins, nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It does not begin with a line of SIP.
    #[error(
        "stream holds a line that begins no message, expected `METHOD uri SIP/2.0` or `SIP/2.0 status phrase`; close the connection"
    )]
    StartLine,
    /// A message is too long.
    #[error("message is over its limit of {limit} octets; close the connection")]
    TooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// The length is no number, or there are two.
    #[error("Content-Length is no single number; close the connection")]
    Length,
    /// There is a body, and its length is not told (RFC 3261 section 18.3 wants it on a stream).
    #[error("message has a body, expected its Content-Length; close the connection")]
    NoLength,
}

impl FrameFault {
    /// Always the peer's.
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

impl Default for StreamFrames {
    fn default() -> Self {
        StreamFrames::new()
    }
}

impl StreamFrames {
    /// Begins with a connection.
    pub fn new() -> StreamFrames {
        StreamFrames {
            buffer: BytesMut::new(),
            place: Place::Between { empty_lines: 0 },
            pings: 0,
        }
    }

    /// Takes what was read, in any portion. What comes behind a fault is dropped.
    ///
    /// It holds at most one unfinished message of 64 KiB and this portion, where the portion before was polled to its end.
    pub fn push(&mut self, octets: &[u8]) {
        if !matches!(self.place, Place::Broken) {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// The next whole message; or, once, why there will be none.
    ///
    /// # Errors
    /// [`FrameFault`]: the connection is to be closed.
    pub fn poll(&mut self) -> Option<Result<Bytes, FrameFault>> {
        match self.next() {
            Ok(message) => message.map(Ok),
            Err(fault) => {
                self.place = Place::Broken;
                self.buffer = BytesMut::new();
                Some(Err(fault))
            }
        }
    }

    /// Whether the peer has asked for a sign of life (an empty line twice); each is to be answered by one CRLF (RFC 5626 section 4.4.1).
    pub fn poll_ping(&mut self) -> bool {
        let is_asked = self.pings > 0;
        self.pings = self.pings.saturating_sub(1);
        is_asked
    }

    /// Whether a message has begun and not ended: such a connection is not idle, and may be hung.
    pub fn is_inside_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn next(&mut self) -> Result<Option<Bytes>, FrameFault> {
        loop {
            match self.place {
                Place::Broken => return Ok(None),
                Place::Between { empty_lines } => {
                    self.skip_empty_lines(empty_lines);
                    if self.buffer.is_empty() {
                        if self.buffer.capacity() > IDLE_BYTES {
                            self.buffer = BytesMut::new();
                        }
                        return Ok(None);
                    }
                    self.place = Place::Head { searched: 0 };
                }
                Place::Head { searched } => match self.find_head(searched)? {
                    Some(length) => self.place = Place::Body { length },
                    None => return Ok(None),
                },
                Place::Body { length } if self.buffer.len() >= length => {
                    let message = Bytes::copy_from_slice(&self.buffer[..length]);
                    self.buffer.advance(length);
                    self.place = Place::Between { empty_lines: 0 };
                    return Ok(Some(message));
                }
                Place::Body { .. } => return Ok(None),
            }
        }
    }

    /// Two empty lines are a ping; one alone is the answer to ours, or stands before a message (RFC 3261 section 7.5).
    fn skip_empty_lines(&mut self, mut empty_lines: u8) {
        let is_empty = |octet: &&u8| matches!(octet, b'\r' | b'\n');
        let length = self.buffer.iter().take_while(is_empty).count();
        for octet in &self.buffer[..length] {
            empty_lines += u8::from(*octet == b'\n');
            if empty_lines == 2 {
                empty_lines = 0;
                self.pings = self.pings.saturating_add(1);
            }
        }
        self.buffer.advance(length);
        self.place = Place::Between { empty_lines };
    }

    /// Looks for the empty line after the headers; says how long the whole message is.
    fn find_head(&mut self, searched: usize) -> Result<Option<usize>, FrameFault> {
        let mut at = searched;
        while let Some(found) = memchr(b'\n', &self.buffer[at..]) {
            let newline = at + found;
            if at == 0 {
                check_start(&self.buffer[..newline])?;
            }
            let empty_line = match &self.buffer[newline + 1..] {
                [b'\n', ..] => Some(1),
                [b'\r', b'\n', ..] => Some(2),
                // Not enough to tell.
                [] | [b'\r'] if newline + 1 < MAX_MESSAGE_BYTES => {
                    self.place = Place::Head { searched: at };
                    return Ok(None);
                }
                _ => None,
            };
            if let Some(length) = empty_line {
                let head = newline + 1 + length;
                return whole_length(&self.buffer[..head]).map(Some);
            }
            at = newline + 1;
        }
        let limit = if at == 0 {
            MAX_LINE_BYTES
        } else {
            MAX_MESSAGE_BYTES
        };
        if self.buffer.len() > limit {
            return Err(FrameFault::TooLong { limit });
        }
        self.place = Place::Head { searched: at };
        Ok(None)
    }
}

/// The first line names SIP, whatever else may be wrong with it.
fn check_start(line: &[u8]) -> Result<(), FrameFault> {
    if line.len() > MAX_LINE_BYTES {
        let limit = MAX_LINE_BYTES;
        return Err(FrameFault::TooLong { limit });
    }
    let line = lexis::trim(line);
    let is_version = |text: &[u8]| {
        let (name, version) = text.split_at_checked(4).unwrap_or_default();
        name.eq_ignore_ascii_case(b"SIP/") && version.first().is_some_and(u8::is_ascii_digit)
    };
    let mut words = line.split(|octet| lexis::is_space(*octet));
    let first = words.next().unwrap_or_default();
    let last = words.next_back().unwrap_or_default();
    if is_version(first) || is_version(last) {
        Ok(())
    } else {
        Err(FrameFault::StartLine)
    }
}

/// How long a message with this head is; nothing is reserved for it.
///
/// Without Content-Length a message has no body, and one that names its body's type contradicts itself.
fn whole_length(head: &[u8]) -> Result<usize, FrameFault> {
    let limit = MAX_MESSAGE_BYTES;
    if head.len() > limit {
        return Err(FrameFault::TooLong { limit });
    }
    let frame = Frame::read(head);
    let mut length = None;
    let mut names_body = false;
    for field in &frame.fields {
        names_body |= field.name == HeaderName::ContentType;
        if field.name != HeaderName::ContentLength {
            continue;
        }
        let value =
            lexis::number(&head[field.value_range()], u64::MAX).ok_or(FrameFault::Length)?;
        if length.is_some_and(|earlier| earlier != value) {
            return Err(FrameFault::Length);
        }
        length = Some(value);
    }
    match (length, frame.fault) {
        (Some(length), _) => usize::try_from(length)
            .ok()
            .and_then(|length| head.len().checked_add(length))
            .filter(|whole| *whole <= limit)
            .ok_or(FrameFault::TooLong { limit }),
        // It may stand among what was not read.
        (None, Some((Rule::TooManyHeaders | Rule::LineTooLong, _))) => Err(FrameFault::NoLength),
        (None, _) if names_body => Err(FrameFault::NoLength),
        (None, _) => Ok(head.len()),
    }
}

#[cfg(test)]
mod tests {
    // A peer whose segments end where they like, and whose messages may be broken.
    use super::*;

    const INVITE: &str = "INVITE sip:b@y SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bKa\r\nContent-Type: application/sdp\r\nContent-Length: 7\r\n\r\nv=0\r\n\r\n";
    const FOLDED: &str = "SIP/2.0 200 OK\r\nL :\r\n 2\r\nContent-Length: 02\r\n\r\n\r\n";
    const BARE: &str = "OPTIONS sip:b@y SIP/2.0\r\nl: 0\r\n\r\n";

    fn all(frames: &mut StreamFrames) -> Vec<Result<String, FrameFault>> {
        std::iter::from_fn(|| frames.poll())
            .map(|frame| frame.map(|octets| String::from_utf8(octets.to_vec()).unwrap()))
            .collect()
    }

    fn of(text: &str) -> Vec<Result<String, FrameFault>> {
        let mut frames = StreamFrames::new();
        frames.push(text.as_bytes());
        all(&mut frames)
    }

    #[test]
    fn messages_are_the_same_however_the_stream_is_cut() {
        let stream = format!("\r\n{INVITE}\r\n\r\n{FOLDED}{BARE}\r\n\r\n\r\n\r\n\r\n{INVITE}");
        let expected = [INVITE, FOLDED, BARE, INVITE].map(|text| Ok(text.to_owned()));
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let mut frames = StreamFrames::new();
                let mut seen = Vec::new();
                let (head, rest) = stream.split_at(first);
                let (middle, tail) = rest.split_at(second - first);
                for part in [head, middle, tail] {
                    frames.push(part.as_bytes());
                    seen.extend(all(&mut frames));
                }
                assert_eq!(seen, expected, "cut at {first} and {second}");
                let pings = std::iter::from_fn(|| frames.poll_ping().then_some(())).count();
                assert_eq!(pings, 3, "cut at {first} and {second}");
                assert!(!frames.is_inside_message());
            }
        }
        let mut frames = StreamFrames::new();
        let mut seen = Vec::new();
        for octet in stream.as_bytes() {
            frames.push(&[*octet]);
            seen.extend(all(&mut frames));
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_empty_line_alone_is_no_ping() {
        let mut frames = StreamFrames::new();
        frames.push(b"\r\n");
        assert_eq!(all(&mut frames), []);
        assert!(!frames.poll_ping());
        frames.push(b"\r");
        frames.push(b"\n");
        assert_eq!(all(&mut frames), []);
        assert!(frames.poll_ping() && !frames.poll_ping());
    }

    #[test]
    fn a_message_without_length_has_no_body() {
        let text = "OPTIONS sip:b@y SIP/2.0\r\nVia: x\r\n\r\n";
        assert_eq!(
            of(&text.repeat(2)),
            [Ok(text.to_owned()), Ok(text.to_owned())]
        );
        let body = "INVITE sip:b@y SIP/2.0\r\nc: application/sdp\r\n\r\nv=0\r\n";
        assert_eq!(of(body), [Err(FrameFault::NoLength)]);
    }

    #[test]
    fn a_message_with_bare_newlines_is_passed_on_to_be_refused() {
        let text = "OPTIONS sip:b@y SIP/2.0\nVia: x\nl: 1\n\nx";
        assert_eq!(of(text), [Ok(text.to_owned())]);
    }

    #[test]
    fn what_cannot_be_parted_ends_the_stream() {
        let message = |more: &str| format!("INVITE sip:b@y SIP/2.0\r\n{more}\r\n");
        let limit = MAX_MESSAGE_BYTES;
        let too_long = FrameFault::TooLong { limit };
        for (text, fault) in [
            ("GET / HTTP/1.1\r\n".to_owned(), FrameFault::StartLine),
            ("\u{16}\u{3}\u{1}\n".to_owned(), FrameFault::StartLine),
            ("x".repeat(9000), FrameFault::TooLong { limit: 8 * 1024 }),
            (message("l: x\r\n"), FrameFault::Length),
            (message("l: -1\r\n"), FrameFault::Length),
            (message("l: 1\r\nContent-Length: 2\r\n"), FrameFault::Length),
            (message("l: 65536\r\n"), too_long),
            (message("l: 18446744073709551615\r\n"), too_long),
            (message("l: 99999999999999999999\r\n"), FrameFault::Length),
            (message(&"A: b\r\n".repeat(129)), FrameFault::NoLength),
            (
                format!("SIP/2.0 200 OK\r\n{}", "A: b\r\n".repeat(12_000)),
                too_long,
            ),
        ] {
            let mut frames = StreamFrames::new();
            frames.push(text.as_bytes());
            let shown = &text[..text.len().min(40)];
            assert_eq!(all(&mut frames), [Err(fault)], "{shown}");
            frames.push(INVITE.as_bytes());
            assert_eq!(all(&mut frames), [], "{shown}");
        }
    }

    #[test]
    fn messages_before_a_fault_are_still_heard() {
        assert_eq!(
            of(&format!("{BARE}nonsense\r\n{BARE}")),
            [Ok(BARE.to_owned()), Err(FrameFault::StartLine)]
        );
    }

    #[test]
    fn a_large_message_leaves_no_large_buffer() {
        let mut frames = StreamFrames::new();
        let text = format!(
            "INVITE sip:b@y SIP/2.0\r\nl: 60000\r\n\r\n{}",
            "x".repeat(60_000)
        );
        for part in text.as_bytes().chunks(1460) {
            assert_eq!(all(&mut frames), []);
            frames.push(part);
        }
        assert_eq!(all(&mut frames).len(), 1);
        assert!(frames.buffer.capacity() <= IDLE_BYTES);
    }
}
