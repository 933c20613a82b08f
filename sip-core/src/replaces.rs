//! Replaces: which dialog a new call is to take the place of.
//!
//! Follows RFC 3891 section 6.1; inside a Refer-To it is a header of the URI (RFC 3515, RFC 5589 section 7).

use std::fmt;

use crate::{lexis, lexis::Params};

/// The longest Call-ID or tag that is taken.
const MAX_NAME_BYTES: usize = 256; // Law 5; ours have 32 and 16, others' under 100.

/// A dialog as its Replaces names it, from the view of who gets it: `to_tag` is the receiver's. `Debug` shows its shape only.
#[derive(Clone, PartialEq, Eq)]
pub struct Replaces {
    /// The Call-ID.
    pub call_id: String,
    /// The tag of whoever receives this header.
    pub to_tag: String,
    /// The tag of the other side.
    pub from_tag: String,
    /// Whether a dialog that is answered already must be left alone.
    pub early_only: bool,
}

impl Replaces {
    /// Reads the value of the header, or of `?Replaces=` once its escapes are decoded.
    pub fn parse(text: &str) -> Option<Replaces> {
        Self::read(text.as_bytes())
    }

    pub(crate) fn read(value: &[u8]) -> Option<Replaces> {
        let end = value.iter().position(|octet| *octet == b';')?;
        let (call_id, params) = value.split_at(end);
        let params = Params::parse(params).ok()?;
        // Each stands exactly once (RFC 3891 section 6.1).
        let once = |name: &str| {
            let mut found = params
                .iter()
                .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
            let (_, value) = found.next().filter(|_| found.next().is_none())?;
            name_of(value?)
        };
        Some(Replaces {
            call_id: name_of(lexis::trim(call_id))?,
            to_tag: once("to-tag")?,
            from_tag: once("from-tag")?,
            early_only: params.get("early-only").is_some(),
        })
    }
}

/// As the header is written; for a URI its `;`, `=` and `@` want their escapes.
impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replaces {
            call_id,
            to_tag,
            from_tag,
            early_only,
        } = self;
        let early_only = if *early_only { ";early-only" } else { "" };
        write!(
            f,
            "{call_id};to-tag={to_tag};from-tag={from_tag}{early_only}"
        )
    }
}

impl fmt::Debug for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaces")
            .field("early_only", &self.early_only)
            .finish_non_exhaustive()
    }
}

/// A Call-ID or a tag: visible ASCII that cannot end its parameter.
fn name_of(octets: &[u8]) -> Option<String> {
    let is_fit = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b';' | b',');
    let is_short = (1..=MAX_NAME_BYTES).contains(&octets.len());
    let text = std::str::from_utf8(octets).ok()?;
    (is_short && octets.iter().all(is_fit)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Message, Uri};

    #[test]
    fn a_dialog_is_named_by_three_parts_and_writes_back() {
        let text = "98732@sip.example.com;to-tag=ff87;from-tag=r33th4x0r;early-only";
        let replaces = Replaces::parse(text).unwrap();
        assert_eq!(
            (replaces.call_id.as_str(), replaces.to_tag.as_str()),
            ("98732@sip.example.com", "ff87")
        );
        assert!(replaces.from_tag == "r33th4x0r" && replaces.early_only);
        assert_eq!(replaces.to_string(), text);
        let loose = Replaces::parse(" 98732@sip.example.com ; from-tag = r33th4x0r; TO-TAG=ff87");
        assert_eq!(loose.map(|loose| loose.early_only), Some(false));
    }

    #[test]
    fn what_names_no_dialog_is_none() {
        let long = format!("{};to-tag=b;from-tag=c", "a".repeat(257));
        for text in [
            "",
            "a",
            "a;to-tag=b",
            "a;to-tag=b;from-tag",
            "a;to-tag=b;to-tag=d;from-tag=c",
            ";to-tag=b;from-tag=c",
            "a b;to-tag=b;from-tag=c",
            "a;to-tag=\u{e9};from-tag=c",
            &long,
        ] {
            assert_eq!(Replaces::parse(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_found_in_a_refer_to_and_in_an_invite() {
        let message = |more: &str| {
            let text = format!(
                "REFER sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 REFER\r\n{more}\r\n"
            );
            Message::parse(Bytes::from(text)).unwrap()
        };
        let refer = message("r: \"x\" <sip:c@z?Replaces=12%40h%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n");
        let target: Uri<'_> = refer.refer_to().unwrap().uri();
        let replaces = Replaces::parse(&target.header("Replaces").unwrap()).unwrap();
        assert_eq!(replaces.to_string(), "12@h;to-tag=1;from-tag=2");
        assert_eq!(refer.replaces(), None);
        assert!(
            message("Refer-To: <sip:c@z>\r\nRefer-To: <sip:d@z>\r\n")
                .refer_to()
                .is_none()
        );

        let once = "Replaces: 12@h;to-tag=1;from-tag=2\r\n";
        assert_eq!(message(once).replaces(), Some(Some(replaces)));
        assert_eq!(message(&once.repeat(2)).replaces(), Some(None));
        assert_eq!(message("Replaces: 12@h\r\n").replaces(), Some(None));
    }

    #[test]
    fn debug_shows_no_name() {
        let shown = format!("{:?}", Replaces::parse("abc;to-tag=def;from-tag=ghi"));
        assert!(!shown.contains("abc") && !shown.contains("def"), "{shown}");
    }
}
