//! What a registrar grants in its 200: for how long, along which route, for which numbers.

use std::time::Duration;

use rules::Number;
use sip_core::{HeaderName, Message, Scheme};

use super::LONGEST_EXPIRES;
use crate::retry_after::delta_seconds;

/// A route of more hops than this is none that a request of ours could carry (T-01).
const MAX_HOPS: usize = 20;

/// A line has hundreds of numbers at most; each later one is not remembered.
const MAX_NUMBERS: usize = 1_000;

/// What was granted.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) expires: Duration,
    pub(super) service_route: Vec<String>,
    pub(super) numbers: Vec<Number>,
}

impl Grant {
    /// Reads a 2xx; none where our Contact is not registered by it.
    pub(super) fn read(message: &Message, contact_user: &str, wanted: Duration) -> Option<Grant> {
        let expires = granted(message, contact_user, wanted)?.min(LONGEST_EXPIRES);
        if expires.is_zero() {
            return None;
        }
        let route = message.addresses(HeaderName::ServiceRoute);
        let route: Vec<String> = route
            .take(MAX_HOPS + 1)
            .filter_map(Result::ok)
            .map(|hop| format!("<{}>", hop.uri().as_str()))
            .collect();
        let numbers = message.addresses(HeaderName::PAssociatedUri);
        let numbers = numbers
            .take(MAX_NUMBERS)
            .filter_map(Result::ok)
            .filter(|address| {
                matches!(
                    address.uri().scheme(),
                    Scheme::Sip | Scheme::Sips | Scheme::Tel
                )
            })
            .filter_map(|address| Number::parse(&address.uri().user_number()?).ok())
            .collect();
        Some(Grant {
            expires,
            service_route: if route.len() > MAX_HOPS {
                Vec::new()
            } else {
                route
            },
            numbers,
        })
    }
}

/// For how long: our Contact's own figure, else that of Expires, else what was asked (RFC 3261 section 10.2.4).
fn granted(message: &Message, contact_user: &str, wanted: Duration) -> Option<Duration> {
    let general = || delta_seconds(message, HeaderName::Expires).unwrap_or(wanted);
    let contacts: Vec<_> = message
        .addresses(HeaderName::Contact)
        .filter_map(Result::ok)
        .collect();
    let ours = contacts.iter().find(|contact| {
        contact
            .uri()
            .user()
            .is_some_and(|user| user == contact_user)
    });
    let ours = match (ours, contacts.as_slice()) {
        (Some(ours), _) => ours,
        // Rewritten on the way: the only one there is must be ours.
        (None, [only]) => only,
        // Some registrars list none.
        (None, []) => return Some(general()),
        (None, _) => return None,
    };
    let own = ours.param("expires").flatten();
    let own = own.and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    Some(own.map_or_else(general, Duration::from_secs))
}
