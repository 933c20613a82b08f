//! In which form a number is written, and where in a request the called number stands.
//!
//! Follows RFC 3966 section 5.1 (`phone-context`), RFC 7315 section 4.2 (P-Called-Party-ID), and 電気通信番号計画: 0 is the national
//! prefix, 010 the international one, special numbers such as 119 have none.

use rules::Number;
use sip_core::{HeaderName, Message, Uri};

use crate::{
    identity::UriText,
    trunk::{CalledPlace, NumberForm},
};

/// The number that was called.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) number: Number,
    /// The user part as it came, without a prefix that says how the caller is shown.
    pub(crate) user: String,
    pub(crate) wish: Wish,
}

impl std::fmt::Debug for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Called")
            .field("number", &self.number)
            .field("wish", &self.wish)
            .finish_non_exhaustive()
    }
}

/// How the caller wants to be shown, as the digits before the number say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// They say nothing.
    Nothing,
    /// 184: not at all.
    Withhold,
    /// 186: whatever else is set.
    Show,
}

/// Finds the called number of a request at the place where the trunk writes it, else in the Request-URI, else in To.
///
/// `registered`: user parts of the Contacts that we registered. A Request-URI with one of them names our registration, not a number,
/// so a number standing elsewhere is looked for first.
pub(crate) fn called(request: &Message, place: CalledPlace, registered: &[&str]) -> Option<Called> {
    let in_request_uri = || request.request_uri().and_then(|uri| read(&uri));
    let in_to = || read(&request.to().ok()?.uri());
    let first_of = |name| {
        let addresses = request.addresses(name).filter_map(Result::ok);
        addresses
            .take(MAX_PLACES)
            .find_map(|address| read(&address.uri()))
    };
    let is_our_contact = request
        .request_uri()
        .and_then(|uri| uri.user())
        .is_some_and(|user| registered.iter().any(|contact| *contact == user));
    let found = match place {
        CalledPlace::RequestUri if is_our_contact => {
            first_of(HeaderName::PCalledPartyId).or_else(in_to)
        }
        CalledPlace::RequestUri => None,
        CalledPlace::To => in_to(),
        CalledPlace::PCalledPartyId => first_of(HeaderName::PCalledPartyId),
        // The topmost entry is the last that diverted: the number of ours that was dialled.
        CalledPlace::Diversion => first_of(HeaderName::Diversion),
    };
    found.or_else(in_request_uri)
}

/// Entries that are looked at; a call is diverted five times at most.
const MAX_PLACES: usize = 8;

fn read(uri: &Uri<'_>) -> Option<Called> {
    Called::read(&UriText::read(uri)?)
}

impl Called {
    /// Reads the number that a URI names, as it is dialled.
    pub(crate) fn read(uri: &UriText) -> Option<Called> {
        if let Some(number) = number(uri) {
            return Some(Called {
                number,
                user: uri.user_as_it_came(),
                wish: Wish::Nothing,
            });
        }
        // 184 and 186 stand before a number, and no number begins with them.
        let (bare, wish) = [("184", Wish::Withhold), ("186", Wish::Show)]
            .into_iter()
            .find_map(|(prefix, wish)| Some((uri.without_prefix(prefix)?, wish)))?;
        Some(Called {
            number: number(&bare)?,
            user: bare.user_as_it_came(),
            wish,
        })
    }

    /// The same as it may leave the house: the number alone, in the form in which it came where that is a form of it.
    ///
    /// Its parameters stay here. Some name another place than the number that was judged: `phone-context` (RFC 3966 section 5.1.5),
    /// `rn` and `cic` (RFC 4694 section 4), `tgrp` (RFC 4904).
    pub(crate) fn alone(self) -> Called {
        let (as_it_came, _) = self.user.split_once(';').unwrap_or((&self.user, ""));
        let is_whole =
            !self.number.is_special() && Number::parse(as_it_came).as_ref() == Ok(&self.number);
        let user = if is_whole {
            as_it_came.to_owned()
        } else {
            write(&self.number, NumberForm::National)
        };
        Called { user, ..self }
    }
}

/// The number that a sip or tel URI names.
///
/// A ported number is known by itself and not by its routing number (`rn`, RFC 4694 section 5.1.1).
pub(crate) fn number(uri: &UriText) -> Option<Number> {
    let text = uri.number.as_str();
    let context = uri
        .number_param("phone-context")
        .filter(|context| context.starts_with('+'));
    match context {
        // A country's context stands with national and special numbers as they are dialled; another is what the number lacks.
        Some(context) if !text.starts_with(['+', '0']) => match Number::parse(text) {
            Ok(special) => Some(special),
            Err(_) => Number::parse(&format!("{context}{text}")).ok(),
        },
        Some(_) | None => Number::parse(text).ok(),
    }
}

/// Whether it is the police (110), the coast guard (118), or fire and ambulance (119).
///
/// Source: 事業用電気通信設備規則 35条の2の4.
pub(crate) fn is_emergency(number: &Number) -> bool {
    matches!(number.e164(), "110" | "118" | "119")
}

/// Writes a number in a trunk's form; special numbers have no prefix.
pub(crate) fn write(number: &Number, form: NumberForm) -> String {
    let e164 = number.e164();
    match form {
        NumberForm::E164 => e164.to_owned(),
        NumberForm::AsItCame | NumberForm::National => match e164.strip_prefix('+') {
            None => e164.to_owned(),
            Some(digits) => match digits.strip_prefix("81") {
                Some(national) => format!("0{national}"),
                None => format!("010{digits}"),
            },
        },
    }
}

/// The called number's user part in a trunk's form.
pub(crate) fn of_called(called: &Called, form: NumberForm) -> String {
    match form {
        NumberForm::AsItCame => called.user.clone(),
        NumberForm::National | NumberForm::E164 => write(&called.number, form),
    }
}

/// A URI's user part with its number in the trunk's form; none where it stays as it came.
pub(crate) fn rewritten(uri: &UriText, form: NumberForm) -> Option<String> {
    match form {
        NumberForm::AsItCame => None,
        NumberForm::National | NumberForm::E164 => {
            let number = number(uri)?;
            let user = uri.user_as_it_came();
            let params = user
                .split(';')
                .skip(1)
                // The number is whole: what it lacked is in it.
                .filter(|param| !param.to_ascii_lowercase().starts_with("phone-context"));
            let written = write(&number, form);
            Some(params.fold(written, |user, param| format!("{user};{param}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn invite(request_uri: &str, to: &str, headers: &str) -> Message {
        let text = format!(
            "INVITE {request_uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=a\r\n\
            To: <{to}>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.2>\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    #[test]
    fn the_called_number_is_found_where_the_trunk_writes_it() {
        let headers = "P-Called-Party-ID: <sip:0783331003@x>\r\n\
            Diversion: <sip:0783331004@x>;reason=unconditional, <sip:0783331005@x>\r\n";
        let message = invite("sip:0783331001@us", "tel:+81783331002", headers);
        for (place, number) in [
            (CalledPlace::RequestUri, "+81783331001"),
            (CalledPlace::To, "+81783331002"),
            (CalledPlace::PCalledPartyId, "+81783331003"),
            (CalledPlace::Diversion, "+81783331004"),
        ] {
            assert_eq!(called(&message, place, &[]).unwrap().number.e164(), number);
        }
        let bare = invite("sip:0783331001@us", "sip:us", "");
        for place in [
            CalledPlace::To,
            CalledPlace::PCalledPartyId,
            CalledPlace::Diversion,
        ] {
            assert_eq!(
                called(&bare, place, &[]).unwrap().number.e164(),
                "+81783331001"
            );
        }
    }

    #[test]
    fn a_registered_contact_is_no_number() {
        // The random user part of a Contact may look like a number.
        let message = invite("sip:0783339999@us", "sip:0783331002@carrier.example", "");
        let found =
            |registered: &[&str]| called(&message, CalledPlace::RequestUri, registered).unwrap();
        assert_eq!(found(&["0783339999"]).number.e164(), "+81783331002");
        assert_eq!(found(&["other"]).number.e164(), "+81783339999");
        let party = invite(
            "sip:x7f3@us",
            "sip:x@y",
            "P-Called-Party-ID: <tel:+81783331003>\r\n",
        );
        let found = called(&party, CalledPlace::RequestUri, &["x7f3"]).unwrap();
        assert_eq!(found.number.e164(), "+81783331003");
    }

    #[test]
    fn a_number_is_read_with_its_context_and_without_its_routing() {
        for (uri, expected) in [
            ("tel:3331000;phone-context=+8178", Some("+81783331000")),
            ("tel:0783331000;phone-context=+81", Some("+81783331000")),
            ("tel:119;phone-context=+81", Some("119")),
            (
                "tel:0783331000;phone-context=pbx.example",
                Some("+81783331000"),
            ),
            ("sip:119;phone-context=+81@x;user=phone", Some("119")),
            (
                "tel:+81783331000;npdi;rn=+81789999999",
                Some("+81783331000"),
            ),
            ("sip:+81-78-333-1000@x", Some("+81783331000")),
            ("sip:%2B81783331000@x", Some("+81783331000")),
            ("sip:205@x", None),
            ("sip:anonymous@anonymous.invalid", None),
        ] {
            let uri = UriText::read(&Uri::parse(uri).unwrap()).unwrap();
            assert_eq!(number(&uri).as_ref().map(Number::e164), expected, "{uri}");
        }
    }

    #[test]
    fn special_numbers_have_no_prefix_in_any_form() {
        for (number, national, e164) in [
            ("0783331000", "0783331000", "+81783331000"),
            ("119", "119", "119"),
            ("010-1-212-555-0100", "01012125550100", "+12125550100"),
        ] {
            let number = Number::parse(number).unwrap();
            assert_eq!(write(&number, NumberForm::National), national);
            assert_eq!(write(&number, NumberForm::E164), e164);
        }
    }

    #[test]
    fn a_prefix_says_how_the_caller_is_shown() {
        for (uri, number, user, wish) in [
            (
                "sip:1840783331000@x",
                "+81783331000",
                "0783331000",
                Wish::Withhold,
            ),
            (
                "sip:186-078-333-1000;a=b@x",
                "+81783331000",
                "-078-333-1000;a=b",
                Wish::Show,
            ),
            ("sip:184119@x", "119", "119", Wish::Withhold),
            (
                "sip:184119;phone-context=+81@x",
                "119",
                "119;phone-context=+81",
                Wish::Withhold,
            ),
            (
                "tel:1840783331000;phone-context=+81",
                "+81783331000",
                "0783331000;phone-context=+81",
                Wish::Withhold,
            ),
            (
                "tel:18401012125550100;phone-context=+81",
                "+12125550100",
                "01012125550100;phone-context=+81",
                Wish::Withhold,
            ),
            ("sip:184@x", "184", "184", Wish::Nothing),
            (
                "sip:0783331000@x",
                "+81783331000",
                "0783331000",
                Wish::Nothing,
            ),
        ] {
            let found = Called::read(&UriText::read(&Uri::parse(uri).unwrap()).unwrap()).unwrap();
            assert_eq!(
                (found.number.e164(), found.user.as_str(), found.wish),
                (number, user, wish)
            );
        }
        for uri in ["sip:1831@x", "sip:18412@x"] {
            assert_eq!(
                Called::read(&UriText::read(&Uri::parse(uri).unwrap()).unwrap()),
                None,
                "{uri}"
            );
        }
    }
}
