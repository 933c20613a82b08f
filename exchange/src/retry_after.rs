//! Retry-After: when whoever refused wants to be asked again. Follows RFC 3261 section 20.33.

use std::time::Duration;

use sip_core::{HeaderName, Message};

/// Nobody is left alone for longer: a busy peer says seconds, one under repair minutes; what lies beyond is a fault of its clock or its
/// figures, and a question once an hour harms nobody.
const LONGEST: Duration = Duration::from_secs(3_600);

/// For how long somebody wants not to be asked; an hour at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryAfter(Duration);

impl RetryAfter {
    /// Reads it from an answer; none where it says nothing of it.
    pub(crate) fn read(message: &Message) -> Option<RetryAfter> {
        delta_seconds(message, HeaderName::RetryAfter).map(RetryAfter::new)
    }

    pub(crate) fn new(asked: Duration) -> RetryAfter {
        RetryAfter(asked.min(LONGEST))
    }

    pub(crate) fn wait(self) -> Duration {
        self.0
    }
}

/// The seconds that a header begins with; a comment or a parameter after them says nothing to us. A figure beyond all bounds is the
/// greatest one.
pub(crate) fn delta_seconds(message: &Message, name: HeaderName) -> Option<Duration> {
    let text = message.text(name)?;
    let digits = text.trim_start();
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    let digits = &digits[..end];
    if digits.is_empty() {
        return None;
    }
    Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<u64> {
        let text = format!(
            "SIP/2.0 503 X\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:a@x>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nRetry-After: {value}\r\n\r\n"
        );
        let message = Message::parse(bytes::Bytes::from(text)).unwrap();
        RetryAfter::read(&message).map(|retry_after| retry_after.wait().as_secs())
    }

    #[test]
    fn the_seconds_are_read_and_an_absurd_figure_is_an_hour() {
        let cases = [
            ("0", Some(0)),
            ("120", Some(120)),
            ("120 (I'm in a meeting)", Some(120)),
            ("18000;duration=3600", Some(3_600)),
            ("4294967296", Some(3_600)),
            ("99999999999999999999999999", Some(3_600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(read(value), seconds, "{value}");
        }
    }
}
