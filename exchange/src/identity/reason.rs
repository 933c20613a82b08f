//! Why a request or a failure came: the Reason header.
//!
//! Follows RFC 3326 section 2 and RFC 6432 (in answers).

use std::fmt;

use sip_core::{HeaderName, Message};

use crate::identity::uri_text::{is_token, quoted, unquoted};

/// One Reason. `Debug` shows its shape only: a peer writes what it likes into its text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    protocol: String,
    cause: Option<u16>,
    text: Option<String>,
}

/// A protocol may stand once, and three are in use: SIP, Q.850, X.int (RFC 3326 section 2, RFC 8606).
const MAX_REASONS: usize = 4;

/// A sentence, not a letter.
const MAX_TEXT_CHARACTERS: usize = 128;

impl Reason {
    /// All reasons of a message, as many as there may be.
    pub(crate) fn list(message: &Message) -> Vec<Reason> {
        message
            .elements(HeaderName::Reason)
            .filter_map(Reason::read)
            .take(MAX_REASONS)
            .collect()
    }

    fn read(element: &[u8]) -> Option<Reason> {
        let element = String::from_utf8_lossy(element);
        let mut parts = split_params(&element).into_iter();
        let protocol = parts.next()?.trim().to_owned();
        if !is_token(&protocol) {
            return None;
        }
        let mut reason = Reason {
            protocol,
            cause: None,
            text: None,
        };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let value = value.trim();
            match name.trim() {
                name if name.eq_ignore_ascii_case("cause") => reason.cause = value.parse().ok(),
                name if name.eq_ignore_ascii_case("text") => {
                    let inner = value
                        .strip_prefix('"')
                        .and_then(|rest| rest.strip_suffix('"'));
                    reason.text = inner
                        .map(|inner| unquoted(inner).chars().take(MAX_TEXT_CHARACTERS).collect());
                }
                _ => {}
            }
        }
        Some(reason)
    }

    /// The value of the header.
    pub(crate) fn value(&self) -> String {
        let mut value = self.protocol.clone();
        if let Some(cause) = self.cause {
            value.push_str(&format!(";cause={cause}"));
        }
        if let Some(text) = &self.text {
            value.push_str(";text=");
            value.push_str(&quoted(text));
        }
        value
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reason")
            .field("cause", &self.cause)
            .field("text_bytes", &self.text.as_ref().map(String::len))
            .finish_non_exhaustive()
    }
}

/// Splits at semicolons outside of quotes.
fn split_params(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut in_quotes, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_quotes => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            b';' if !in_quotes => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_built_anew_in_its_value() {
        for (came, crosses) in [
            (
                "Q.850;cause=16;text=\"Terminated\"",
                Some("Q.850;cause=16;text=\"Terminated\""),
            ),
            (
                "SIP ; cause = 200 ; text = \"a;b \\\"c\\\"\"",
                Some("SIP;cause=200;text=\"a;b \\\"c\\\"\""),
            ),
            ("Q.850;cause=abc", Some("Q.850")),
            (
                "Q.850;cause=16;text=\"a\r\nVia: x\"",
                Some("Q.850;cause=16;text=\"a  Via: x\""),
            ),
            ("X.int;add-info=1;cause=7", Some("X.int;cause=7")),
            ("a b;cause=1", None),
            ("", None),
        ] {
            assert_eq!(
                Reason::read(came.as_bytes())
                    .map(|reason| reason.value())
                    .as_deref(),
                crosses,
                "{came}"
            );
        }
    }
}
