//! The small pieces of SIP's grammar that every header shares: white space, quotes, comma lists, parameters.
//!
//! All of it works on octets in place and allocates nothing. Follows RFC 3261 section 25.1.

use memchr::{memchr, memchr3};

/// SP, HTAB, and the CR LF of a folded line (RFC 3261 section 25.1, LWS).
pub(crate) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// The text without white space before it.
pub(crate) fn trim_start(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|octet| !is_space(*octet))
        .unwrap_or(text.len());
    &text[start..]
}

/// The text without white space around it.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text
        .iter()
        .rposition(|octet| !is_space(*octet))
        .map_or(0, |last| last + 1);
    &text[..end]
}

/// Whether all octets are token characters, and there is one (RFC 3261 section 25.1).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| is_token_octet(*octet))
}

pub(crate) fn is_token_octet(octet: u8) -> bool {
    TOKEN[usize::from(octet)]
}

/// A table, because the names of all headers go through it.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] = octet.is_ascii_alphanumeric()
            || matches!(
                octet,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            );
        octet += 1;
    }
    table
};

/// A decimal number of at most `limit`; nothing else, no sign.
pub(crate) fn number(text: &[u8], limit: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for octet in text {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (value <= limit).then_some(value)
}

/// Where the quoted string that starts at the first octet ends, closing quote included.
pub(crate) fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The text of a quoted string without quotes and escapes; a bare token as it is.
pub(crate) fn unquoted(text: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = text else {
        return text.to_vec();
    };
    let mut octets = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(octet) = rest.next() {
        match octet {
            b'\\' => octets.extend(rest.next()),
            plain => octets.push(*plain),
        }
    }
    octets
}

/// The elements of a comma list; commas inside quotes and `<>` do not part (RFC 3261 section 7.3.1).
pub(crate) struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

pub(crate) fn elements(value: &[u8]) -> Elements<'_> {
    Elements { rest: Some(value) }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut at = 0;
        while let Some(found) = memchr3(b',', b'"', b'<', &rest[at..]) {
            at += found;
            match rest[at] {
                b',' => {
                    self.rest = Some(&rest[at + 1..]);
                    return Some(trim(&rest[..at]));
                }
                b'"' => match quoted_end(&rest[at..]) {
                    Some(length) => at += length,
                    None => break,
                },
                _ => match memchr(b'>', &rest[at..]) {
                    Some(length) => at += length + 1,
                    None => break,
                },
            }
        }
        self.rest = None;
        Some(trim(rest))
    }
}

/// Parameters in `;name=value` form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Params<'a> {
    text: &'a [u8],
}

impl<'a> Params<'a> {
    /// Takes text that is empty or begins with `;`.
    ///
    /// # Errors
    /// The octets from which on the text is no list of parameters.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Params<'a>, &'a [u8]> {
        let text = trim(text);
        let mut rest = text;
        while !rest.is_empty() {
            let (_, _, next) = param(rest).ok_or(rest)?;
            rest = next;
        }
        Ok(Params { text })
    }

    /// The value of a parameter: `Some(None)` if it stands there without one.
    pub(crate) fn get(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (name, value, next) = param(rest)?;
            rest = next;
            Some((name, value))
        })
    }
}

type Param<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// Takes one `;name[=value]` and says what follows it.
fn param(text: &[u8]) -> Option<Param<'_>> {
    let text = trim_start(text.strip_prefix(b";")?);
    let end = text
        .iter()
        .position(|octet| PART[usize::from(*octet)])
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = trim_start(rest);
    let Some(value) = rest.strip_prefix(b"=") else {
        return matches!(rest.first(), None | Some(b';')).then_some((name, None, rest));
    };
    let value = trim_start(value);
    let end = match value.first()? {
        b'"' => quoted_end(value)?,
        // A value may hold a `=`, and where it is a host in brackets, colons.
        _ => value
            .iter()
            .position(|octet| PART[usize::from(*octet)] && *octet != b'=')
            .unwrap_or(value.len()),
    };
    let (value, rest) = value.split_at(end);
    let rest = trim_start(rest);
    (!value.is_empty() && matches!(rest.first(), None | Some(b';'))).then_some((
        name,
        Some(value),
        rest,
    ))
}

/// What ends the name of a parameter.
static PART: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] = matches!(
            octet,
            b';' | b'=' | b',' | b'"' | b'<' | b'>' | b' ' | b'\t' | b'\r' | b'\n'
        );
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_quotes_or_brackets_does_not_part_a_list() {
        let list: Vec<_> = elements(b"\"a, \\\"b\" <sip:c,d@x>;q=1 , sip:e@x").collect();
        assert_eq!(list, [&b"\"a, \\\"b\" <sip:c,d@x>;q=1"[..], b"sip:e@x"]);
    }

    #[test]
    fn parameters_may_have_space_around_their_signs() {
        let params = Params::parse(b" ;\r\n tag =  x ; flag;q=\"a;b\"")
            .ok()
            .unwrap();
        assert_eq!(params.get("TAG"), Some(Some(&b"x"[..])));
        assert_eq!(params.get("flag"), Some(None));
        assert_eq!(params.get("q"), Some(Some(&b"\"a;b\""[..])));
        assert_eq!(params.get("none"), None);
    }

    #[test]
    fn an_empty_parameter_is_refused() {
        assert!(Params::parse(b";;").is_err());
        assert!(Params::parse(b";a=1;").is_err());
        assert!(Params::parse(b";a=").is_err());
        assert!(Params::parse(b";a=\"b").is_err());
    }

    #[test]
    fn a_number_over_its_limit_or_with_a_sign_is_none() {
        assert_eq!(number(b"0068", 255), Some(68));
        assert_eq!(number(b"256", 255), None);
        assert_eq!(number(b"-1", 255), None);
        assert_eq!(number(b"36893488147419103232", u64::MAX), None);
        assert_eq!(number(b"", 255), None);
    }
}
