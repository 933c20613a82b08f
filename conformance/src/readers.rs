//! Three readers of SIP, asked the same questions: ours, `rsip`, and `rsipstack`, its maintained fork.
//!
//! Each answer is the same plain text whoever gives it, so that two readers can be compared field by field. A field that a
//! reader has but cannot understand is `None`: refused, which is not the same as absent.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use rsip::prelude::{HasHeaders as _, HeadersExt as _, ToTypedHeader as _, UntypedHeader as _};
use rsipstack::sip;
use sip_core::{HeaderName, Host, Message, NameAddr, Uri};

/// What a reader understood; the key is the field's name. Absent headers have no entry.
pub type Fields = BTreeMap<&'static str, Option<String>>;

/// What a reader says to a whole message.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    Read(Fields),
    Refused,
    /// It panicked, which a packet must never cause.
    Fell,
}

impl Reading {
    /// How this reading compares with ours: a few words for the table.
    #[must_use]
    pub fn beside(&self, ours: &Reading) -> String {
        let fields = match self {
            Reading::Refused => return "refuses".to_owned(),
            Reading::Fell => return "panics".to_owned(),
            Reading::Read(fields) => fields,
        };
        let Reading::Read(ours) = ours else {
            return "reads".to_owned();
        };
        let list = |choose: &dyn Fn(&str, Option<&Option<String>>) -> bool| {
            let chosen = ours
                .keys()
                .chain(fields.keys())
                .copied()
                .filter(|name| choose(name, fields.get(name)));
            chosen
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(", ")
        };
        let refused = list(&|_, theirs| theirs == Some(&None));
        let missing = list(&|_, theirs| theirs.is_none());
        let other =
            list(&|name, theirs| matches!(theirs, Some(Some(_))) && theirs != ours.get(name));
        let parts = [
            ("refuses", refused),
            ("misses", missing),
            ("differs in", other),
        ];
        let said: Vec<_> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {names}"))
            .collect();
        if said.is_empty() {
            "agrees".to_owned()
        } else {
            said.join("; ")
        }
    }
}

/// Ours.
#[must_use]
pub fn denwaban(octets: &Bytes) -> Reading {
    guarded(|| {
        let message = Message::parse(octets.clone()).ok()?;
        let mut fields = Fields::new();
        match message.method() {
            Some(method) => {
                fields.insert("method", Some(text(method.as_bytes())));
                fields.insert(
                    "request-uri",
                    message.request_uri().map(|uri| our_uri(&uri)),
                );
            }
            None => {
                drop(fields.insert("status", message.status().map(|status| status.to_string())));
            }
        }
        let via = message.via().ok();
        fields.insert(
            "via",
            via.map(|via| place(&text(via.transport()), &our_host(&via.host()), via.port())),
        );
        fields.insert(
            "branch",
            via.map(|via| via.branch().map(text).unwrap_or_default()),
        );
        for (name, tag, party) in [
            ("from", "from-tag", message.from()),
            ("to", "to-tag", message.to()),
        ] {
            let party = party.ok();
            fields.insert(name, party.map(|party| our_uri(&party.uri())));
            fields.insert(
                tag,
                party.map(|party| party.tag().map(text).unwrap_or_default()),
            );
        }
        fields.insert("call-id", Some(text(message.call_id())));
        fields.insert(
            "cseq",
            message
                .cseq()
                .ok()
                .map(|cseq| format!("{} {}", cseq.number, text(cseq.method.as_bytes()))),
        );
        if message.value(HeaderName::MaxForwards).is_some() {
            fields.insert(
                "max-forwards",
                message.max_forwards().map(|count| count.to_string()),
            );
        }
        if message.value(HeaderName::Contact).is_some() {
            fields.insert(
                "contact",
                message
                    .contact()
                    .map(|contact: NameAddr<'_>| our_uri(&contact.uri())),
            );
        }
        fields.insert("body", Some(format!("{} bytes", message.body().len())));
        Some(fields)
    })
}

/// `rsip` 0.4: the independent reader.
#[must_use]
pub fn rsip(octets: &[u8]) -> Reading {
    guarded(|| {
        let message = rsip::SipMessage::try_from(octets).ok()?;
        let mut fields = Fields::new();
        match &message {
            rsip::SipMessage::Request(request) => {
                fields.insert("method", Some(request.method.to_string()));
                fields.insert("request-uri", Some(rsip_uri(&request.uri)));
            }
            rsip::SipMessage::Response(response) => {
                fields.insert(
                    "status",
                    Some(u16::from(response.status_code.clone()).to_string()),
                );
            }
        }
        if let Ok(via) = message.via_header() {
            let via = via.typed().ok();
            let said = via.as_ref().map(|via| {
                place(
                    &via.transport.to_string(),
                    &via.uri.host().to_string(),
                    via.uri.port().map(|port| u16::from(*port)),
                )
            });
            fields.insert("via", said);
            fields.insert(
                "branch",
                via.map(|via| via.branch().map(ToString::to_string).unwrap_or_default()),
            );
        }
        if let Ok(from) = message.from_header() {
            let from = from.typed().ok();
            fields.insert("from", from.as_ref().map(|from| rsip_uri(&from.uri)));
            fields.insert(
                "from-tag",
                from.map(|from| from.tag().map(ToString::to_string).unwrap_or_default()),
            );
        }
        if let Ok(to) = message.to_header() {
            let to = to.typed().ok();
            fields.insert("to", to.as_ref().map(|to| rsip_uri(&to.uri)));
            fields.insert(
                "to-tag",
                to.map(|to| to.tag().map(ToString::to_string).unwrap_or_default()),
            );
        }
        if let Ok(id) = message.call_id_header() {
            fields.insert("call-id", Some(id.value().to_owned()));
        }
        if let Ok(cseq) = message.cseq_header() {
            fields.insert(
                "cseq",
                cseq.typed()
                    .ok()
                    .map(|cseq| format!("{} {}", cseq.seq, cseq.method)),
            );
        }
        if let Ok(count) = message.max_forwards_header() {
            fields.insert(
                "max-forwards",
                count.num().ok().map(|count| count.to_string()),
            );
        }
        if let Ok(contact) = message.contact_header() {
            fields.insert(
                "contact",
                contact.typed().ok().map(|contact| rsip_uri(&contact.uri)),
            );
        }
        // rsip keeps what follows the empty line, whatever Content-Length says.
        fields.insert("body", Some(format!("{} bytes", message.body().len())));
        debug_assert!(message.headers().iter().next().is_some());
        Some(fields)
    })
}

/// `rsipstack`, whose parser began as a fork of `rsip`.
#[must_use]
pub fn rsipstack(octets: &[u8]) -> Reading {
    use sip::prelude::{HeadersExt as _, ToTypedHeader as _};
    use sip::uri::ParamsExt as _;

    guarded(|| {
        let message = sip::SipMessage::try_from(octets).ok()?;
        let mut fields = Fields::new();
        let body = match &message {
            sip::SipMessage::Request(request) => {
                fields.insert("method", Some(request.method.to_string()));
                fields.insert("request-uri", Some(rsipstack_uri(&request.uri)));
                request.body.len()
            }
            sip::SipMessage::Response(response) => {
                fields.insert(
                    "status",
                    Some(u16::from(response.status_code.clone()).to_string()),
                );
                response.body.len()
            }
        };
        if message.via_header().is_ok() {
            let via = message
                .top_via_header()
                .ok()
                .and_then(|via| via.typed().ok());
            let said = via.as_ref().map(|via| {
                place(
                    &via.transport.to_string(),
                    &via.uri.host().to_string(),
                    via.uri.host_with_port.port.map(u16::from),
                )
            });
            fields.insert("via", said);
            fields.insert(
                "branch",
                via.map(|via| via.params.branch().unwrap_or_default().to_owned()),
            );
        }
        if let Ok(from) = message.from_header() {
            let from = from.typed().ok();
            fields.insert("from", from.as_ref().map(|from| rsipstack_uri(&from.uri)));
            fields.insert(
                "from-tag",
                from.map(|from| from.tag().map(ToString::to_string).unwrap_or_default()),
            );
        }
        if let Ok(to) = message.to_header() {
            let to = to.typed().ok();
            fields.insert("to", to.as_ref().map(|to| rsipstack_uri(&to.uri)));
            fields.insert(
                "to-tag",
                to.map(|to| to.tag().map(ToString::to_string).unwrap_or_default()),
            );
        }
        if let Ok(id) = message.call_id_header() {
            fields.insert("call-id", Some(id.value().to_owned()));
        }
        if let Ok(cseq) = message.cseq_header() {
            fields.insert(
                "cseq",
                cseq.typed()
                    .ok()
                    .map(|cseq| format!("{} {}", cseq.seq, cseq.method)),
            );
        }
        if let Ok(count) = message.max_forwards_header() {
            fields.insert(
                "max-forwards",
                count
                    .value()
                    .trim()
                    .parse::<u8>()
                    .ok()
                    .map(|count| count.to_string()),
            );
        }
        if let Ok(contact) = message.contact_header() {
            fields.insert(
                "contact",
                contact
                    .typed()
                    .ok()
                    .map(|contact| rsipstack_uri(&contact.uri)),
            );
        }
        fields.insert("body", Some(format!("{body} bytes")));
        Some(fields)
    })
}

fn guarded(read: impl FnOnce() -> Option<Fields>) -> Reading {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Some(fields)) => Reading::Read(fields),
        Ok(None) => Reading::Refused,
        Err(_) => Reading::Fell,
    }
}

/// The parts on which two readers can agree; parameters and their order are not among them.
fn uri(scheme: &str, user: &str, host: &str, port: Option<u16>) -> String {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let host = bare(host);
    format!("{scheme}:{}@{host}{port}", decoded(user))
}

fn place(transport: &str, host: &str, port: Option<u16>) -> String {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{transport} {}{port}", bare(host))
}

/// A host in small letters and without brackets: both are spelling.
fn bare(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase()
}

/// `%41` is `A` to every reader that looks; some hand out the user part as it stands.
fn decoded(user: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = user.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let value =
            escape.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        octets.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    text(&octets)
}

fn our_uri(found: &Uri<'_>) -> String {
    use sip_core::Scheme;
    let host = our_host(&found.host());
    let user = found.user().unwrap_or_default();
    match found.scheme() {
        Scheme::Sip => uri("sip", &user, &host, found.port()),
        Scheme::Sips => uri("sips", &user, &host, found.port()),
        _ => found.as_str().to_owned(),
    }
}

fn our_host(host: &Host<'_>) -> String {
    match (host.address(), host) {
        (Some(address), _) => address.to_string(),
        (None, Host::Name(name)) => (*name).to_owned(),
        (None, _) => String::new(),
    }
}

fn rsip_uri(found: &rsip::Uri) -> String {
    let scheme = found
        .scheme
        .as_ref()
        .map(|scheme| scheme.to_string().trim_end_matches([':', '/']).to_owned());
    uri(
        &scheme.unwrap_or_default(),
        found.user().unwrap_or_default(),
        &found.host().to_string(),
        found.port().map(|port| u16::from(*port)),
    )
}

fn rsipstack_uri(found: &sip::Uri) -> String {
    let scheme = found
        .scheme
        .as_ref()
        .map(|scheme| scheme.to_string().trim_end_matches(':').to_owned());
    uri(
        &scheme.unwrap_or_default(),
        found.user().unwrap_or_default(),
        &found.host().to_string(),
        found.host_with_port.port.map(u16::from),
    )
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn where_readers_differ_ours_holds_what_the_documents_say() {
        let ours = |name: &str, field: &str| {
            let vector = vectors::all()
                .into_iter()
                .find(|vector| vector.name == name)
                .unwrap();
            let Reading::Read(fields) = denwaban(&vector.octets) else {
                panic!("{name} is read")
            };
            fields[field].clone().unwrap()
        };
        // RFC 4475 section 3.1.1.1: white space around the equals sign is no part of a tag.
        assert_eq!(ours("rfc4475/wsinv.dat", "from-tag"), "98asjd8");
        // RFC 4475 section 3.1.1.9: the semicolon stands in the user part.
        assert_eq!(
            ours("rfc4475/semiuri.dat", "request-uri"),
            "sip:user;par=u@example.net@example.com"
        );
        // RFC 4475 section 3.1.1.3: the escaped at-sign is one of the user part.
        assert_eq!(
            ours("rfc4475/esc01.dat", "request-uri"),
            "sip:sips:user@example.com@example.net"
        );
        // RFC 5118 section 4.3: without brackets around it, the port belongs to the address.
        assert_eq!(
            ours("rfc5118/port-ambiguous.dat", "request-uri"),
            "sip:@2001:db8::10:5070"
        );
    }
}
