//! What a carrier has signed about a caller: the Identity header, passed on and not judged.
//!
//! Follows RFC 8224 section 4 and RFC 8225 section 7.

use std::fmt;

use sip_core::Message;

use crate::identity::uri_text::is_token;

/// A signed token with the place of its certificate. `Debug` shows its shape only: the token holds both numbers, encoded and not encrypted.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Passport {
    digest: String,
    info: Option<String>,
    params: Vec<(&'static str, String)>,
}

/// A call that was signed, diverted and signed again has two.
const MAX_PASSPORTS: usize = 4;

/// A token with a certificate's place, a name card and a signature has about 1,500 bytes.
const MAX_DIGEST_BYTES: usize = 4_096;

/// The longest URI that is read anywhere (T-01).
const MAX_INFO_BYTES: usize = 1_024;

impl Passport {
    /// All passports of a message, as many as there may be.
    pub(crate) fn list(message: &Message) -> Vec<Passport> {
        message
            .named("Identity")
            .chain(message.named("y"))
            .filter_map(|value| Passport::read(&value))
            .take(MAX_PASSPORTS)
            .collect()
    }

    fn read(value: &str) -> Option<Passport> {
        let (digest, rest) = value.split_once(';').unwrap_or((value, ""));
        let digest = digest.trim();
        let is_digest = !digest.is_empty()
            && digest.len() <= MAX_DIGEST_BYTES
            && digest
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"-_.+/=".contains(&octet));
        if !is_digest {
            return None;
        }
        let mut passport = Passport {
            digest: digest.to_owned(),
            info: None,
            params: Vec::new(),
        };
        let mut rest = rest;
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let name = name.trim();
            let after = after.trim_start();
            if let Some(inner) = after.strip_prefix('<') {
                let (uri, after) = inner.split_once('>')?;
                if name.eq_ignore_ascii_case("info") && is_place(uri) {
                    passport.info = Some(uri.to_owned());
                }
                rest = after.trim_start().strip_prefix(';').unwrap_or_default();
                continue;
            }
            let (param, after) = after.split_once(';').unwrap_or((after, ""));
            let param = param.trim();
            let known = ["alg", "ppt"]
                .into_iter()
                .find(|known| name.eq_ignore_ascii_case(known));
            // A token in the grammar, quoted in some examples (RFC 8224 sections 4 and 4.1.1): it crosses as it came.
            let bare = param
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .unwrap_or(param);
            if let Some(known) = known.filter(|_| is_token(bare)) {
                passport.params.push((known, param.to_owned()));
            }
            rest = after;
        }
        Some(passport)
    }

    /// The value of the header.
    pub(crate) fn value(&self) -> String {
        let mut value = self.digest.clone();
        if let Some(info) = &self.info {
            value.push_str(&format!(";info=<{info}>"));
        }
        for (name, param) in &self.params {
            value.push_str(&format!(";{name}={param}"));
        }
        value
    }
}

impl fmt::Debug for Passport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passport")
            .field("digest_bytes", &self.digest.len())
            .field("params", &self.params.len())
            .finish_non_exhaustive()
    }
}

fn is_place(uri: &str) -> bool {
    uri.len() <= MAX_INFO_BYTES
        && uri.starts_with("http")
        && uri
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>' | b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passport_crosses_in_its_value_and_nothing_else_does() {
        for (came, crosses) in [
            (
                "eyJhbGciOi.eyJ0_-.sig==;info=<https://cert.example/a.pem>;alg=ES256;ppt=\"shaken\"",
                Some(
                    "eyJhbGciOi.eyJ0_-.sig==;info=<https://cert.example/a.pem>;alg=ES256;ppt=\"shaken\"",
                ),
            ),
            (
                "sig;info=<https://a/b>;alg=ES256;ppt=shaken",
                Some("sig;info=<https://a/b>;alg=ES256;ppt=shaken"),
            ),
            ("sig;alg=\"ES256;ppt=div\"", Some("sig")),
            (
                "..sig; info=<https://a/b;c> ; alg=ES256; x=y",
                Some("..sig;info=<https://a/b;c>;alg=ES256"),
            ),
            ("sig;info=<https://a", None),
            ("si g;alg=ES256", None),
            ("\"old\"", None),
            ("", None),
        ] {
            assert_eq!(
                Passport::read(came)
                    .map(|passport| passport.value())
                    .as_deref(),
                crosses,
                "{came}"
            );
        }
        assert_eq!(Passport::read(&"x".repeat(MAX_DIGEST_BYTES + 1)), None);
    }
}
