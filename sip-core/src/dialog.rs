//! A dialog: what both sides remember so that they can speak to each other again.
//!
//! It writes requests and checks those that come in; it knows no transactions and no stages of a call.
//! Follows RFC 3261 section 12.

use std::{fmt, net::IpAddr};

use crate::{
    draft::{self, Draft},
    header::HeaderName,
    hop::{Hop, Listeners, Transport, is_in_reach, is_one_host, written},
    message::Message,
    token::Token,
    uri::{Scheme, Uri},
};

/// A Max-Forwards of a request we begin (RFC 3261 section 8.1.1.6).
pub(crate) const MAX_FORWARDS: u8 = 70;

/// Who began a dialog and so made its Call-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Us,
    Peer,
}

/// See the module. `Debug` shows its shape only.
pub(crate) struct Dialog {
    caller: Caller,
    call_id: Vec<u8>,
    remote_tag: Vec<u8>,
    /// Our From, tag and all.
    local_party: Vec<u8>,
    /// Our To, tag and all.
    remote_party: Vec<u8>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    remote_target: String,
    routes: Vec<String>,
    contact_user: Option<String>,
    /// The way the dialog came by; used where a URI names no address.
    came_by: Hop,
    /// The address the other side takes for its own, behind a NAT that shows us another.
    hidden: Option<IpAddr>,
    /// Which way requests go: to the first route's address, else the Contact's, else the way it came by.
    next_hop: Hop,
    /// Where a caller over a stream says it listens: the way that is left when its connection is lost and its Contact names no address.
    last_resort: Option<Hop>,
    /// Whether the call is to be secure on every way (RFC 3261 section 12.1).
    scheme: Scheme,
    listeners: Listeners,
}

/// Why a request does not fit a dialog.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Another Call-ID or tag: 481.
    Unknown,
    /// An older `CSeq`: 500 (RFC 3261 section 12.2.2).
    OutOfOrder,
}

impl Dialog {
    /// Begins a dialog by answering `request` (RFC 3261 section 12.1.1).
    pub(crate) fn by_answering(
        request: &Message,
        tag: Token,
        came_by: Hop,
        listeners: &Listeners,
    ) -> Dialog {
        let mut local_party = unfolded(request.value(HeaderName::To));
        local_party.extend_from_slice(format!(";tag={tag}").as_bytes());
        let caller = request.from().ok();
        let target = target_of(request);
        let routes: Vec<String> = routes_of(request).collect();
        let hidden = hidden_by_nat(request, came_by);
        let first = routes.first().or(target.as_ref());
        let next_hop = first.map_or(came_by, |uri| hop_to(uri, came_by, hidden, listeners));
        Dialog {
            caller: Caller::Peer,
            call_id: request.call_id().to_vec(),
            remote_tag: caller
                .and_then(|from| from.tag())
                .unwrap_or_default()
                .to_vec(),
            local_party,
            remote_party: unfolded(request.value(HeaderName::From)),
            local_cseq: 0,
            remote_cseq: request.cseq().ok().map(|cseq| cseq.number),
            // A caller without Contact is called back where it called from.
            remote_target: target.unwrap_or_else(|| format!("sip:{}", written(came_by.remote))),
            routes,
            contact_user: None,
            came_by,
            hidden,
            next_hop,
            last_resort: listens_at(request, came_by),
            scheme: scheme_of(request),
            listeners: listeners.clone(),
        }
    }

    /// Begins a dialog by an answer to our INVITE (RFC 3261 section 12.1.2): the route set is the Record-Route in reverse.
    pub(crate) fn by_answer(
        invite: &Message,
        answer: &Message,
        came_by: Hop,
        listeners: &Listeners,
    ) -> Dialog {
        let mut routes: Vec<String> = routes_of(answer).collect();
        routes.reverse();
        let target = target_of(answer);
        let first = routes.first().or(target.as_ref());
        let next_hop = first.map_or(came_by, |uri| hop_to(uri, came_by, None, listeners));
        let asked = invite.request_uri().map(|uri| uri.as_str().to_owned());
        let contact = invite
            .contact()
            .and_then(|contact| contact.uri().user().map(|user| user.into_owned()));
        Dialog {
            caller: Caller::Us,
            call_id: invite.call_id().to_vec(),
            remote_tag: answer
                .to()
                .ok()
                .and_then(|to| to.tag())
                .unwrap_or_default()
                .to_vec(),
            local_party: unfolded(invite.value(HeaderName::From)),
            remote_party: unfolded(answer.value(HeaderName::To)),
            local_cseq: invite.cseq().map_or(1, |cseq| cseq.number),
            remote_cseq: None,
            remote_target: target.or(asked).unwrap_or_default(),
            routes,
            contact_user: contact,
            came_by,
            hidden: None,
            next_hop,
            last_resort: None,
            scheme: scheme_of(invite),
            listeners: listeners.clone(),
        }
    }

    /// Takes the 2xx that confirms an early dialog: routes and target are its own (RFC 3261 section 13.2.2.4), the numbering goes on.
    pub(crate) fn confirm(&mut self, answer: &Message) {
        self.routes = routes_of(answer).collect();
        self.routes.reverse();
        let target = target_of(answer);
        if let Some(first) = self.routes.first().or(target.as_ref()) {
            self.next_hop = hop_to(first, self.came_by, self.hidden, &self.listeners);
        }
        if let Some(target) = target {
            self.remote_target = target;
        }
    }

    /// Takes that numbers up to `cseq` are used: by another dialog of the same INVITE.
    pub(crate) fn skip_to(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq);
    }

    /// The number of our last request.
    pub(crate) fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Who began it.
    pub(crate) fn caller(&self) -> Caller {
        self.caller
    }

    /// The Call-ID.
    pub(crate) fn call_id(&self) -> &[u8] {
        &self.call_id
    }

    /// The other side's tag, empty if it has none.
    pub(crate) fn remote_tag(&self) -> &[u8] {
        &self.remote_tag
    }

    /// The scheme of our Contact.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The other way there is: the one the dialog came by where its Contact named another, else where its caller listens, else a new
    /// connection to the same place where it was we who connected.
    pub(crate) fn alternate(&self) -> Option<Hop> {
        if self.next_hop == self.came_by {
            let anew = self.next_hop.anew().filter(|_| self.caller == Caller::Us);
            let listens = self.last_resort.filter(|hop| *hop != self.next_hop);
            return listens.or(anew);
        }
        (Some(self.next_hop) != self.last_resort).then_some(self.came_by)
    }

    /// Takes the way a request of the peer's came: the newest connection is the one that stands.
    pub(crate) fn hear_by(&mut self, hop: Hop) {
        let is_renewed = hop.transport.is_reliable() && hop.transport == self.came_by.transport;
        if is_renewed {
            if self.next_hop == self.came_by {
                self.next_hop = hop;
            }
            self.came_by = hop;
        }
    }

    /// Takes that nobody is there by `hop`: from here on requests go the other way.
    pub(crate) fn lose(&mut self, hop: Hop) {
        if self.next_hop == hop
            && let Some(alternate) = self.alternate()
        {
            self.next_hop = alternate;
        }
    }

    /// The user part of our Contact.
    pub(crate) fn contact_user(&self) -> Option<&str> {
        self.contact_user.as_deref()
    }

    /// Whether a request belongs to this dialog, and in its order; remembers its `CSeq`.
    ///
    /// An ACK carries the `CSeq` of its INVITE and is never out of order.
    ///
    /// Source: RFC 3261 section 12.2.2.
    pub(crate) fn handle_request(&mut self, request: &Message) -> Result<(), Misfit> {
        if !self.is_of(request) {
            return Err(Misfit::Unknown);
        }
        let number = request.cseq().map_err(|_| Misfit::OutOfOrder)?.number;
        if self.remote_cseq.is_some_and(|last| number < last) {
            return Err(Misfit::OutOfOrder);
        }
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// Whether Call-ID and the sender's tag are this dialog's (ours has been looked up already).
    pub(crate) fn is_of(&self, request: &Message) -> bool {
        let tag = request
            .from()
            .ok()
            .and_then(|from| from.tag())
            .unwrap_or_default();
        request.call_id() == self.call_id && tag == self.remote_tag
    }

    /// Takes the new Contact of a re-INVITE or UPDATE that is answered by 2xx, or of that 2xx (RFC 3261 section 12.2, RFC 3311 section 5).
    pub(crate) fn refresh_target(&mut self, request: &Message) {
        if let Some(target) = target_of(request) {
            if self.routes.is_empty() {
                self.next_hop = hop_to(&target, self.came_by, self.hidden, &self.listeners);
            }
            self.remote_target = target;
        }
    }

    /// Begins a request of its own; says where it goes.
    ///
    /// Source: RFC 3261 section 12.2.1.1, strict routers included.
    pub(crate) fn request(&mut self, method: &str, branch: Token) -> (Draft, Hop) {
        self.local_cseq += 1;
        self.draft(method, self.local_cseq, branch)
    }

    /// Begins the ACK of a 2xx to the INVITE numbered `cseq` (RFC 3261 section 13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32, branch: Token) -> (Draft, Hop) {
        self.draft("ACK", cseq, branch)
    }

    fn draft(&self, method: &str, cseq: u32, branch: Token) -> (Draft, Hop) {
        let first = self.routes.first().map(String::as_str);
        let is_strict =
            first.is_some_and(|route| Uri::parse(route).is_ok_and(|uri| !uri.is_loose()));
        let request_uri = first.filter(|_| is_strict).unwrap_or(&self.remote_target);
        let mut draft = Draft::request(method, request_uri)
            .via(self.next_hop, branch)
            .format("Max-Forwards", format_args!("{MAX_FORWARDS}"));
        for route in self.routes.iter().skip(usize::from(is_strict)) {
            draft = draft.octets("Route", &draft::party(None, route));
        }
        if is_strict {
            draft = draft.octets("Route", &draft::party(None, &self.remote_target));
        }
        draft = draft
            .octets("From", &self.local_party)
            .octets("To", &self.remote_party)
            .octets("Call-ID", &self.call_id)
            .format("CSeq", format_args!("{cseq} {method}"));
        (draft, self.next_hop)
    }
}

impl fmt::Debug for Dialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialog")
            .field("routes", &self.routes.len())
            .field("local_cseq", &self.local_cseq)
            .finish_non_exhaustive()
    }
}

/// The way to the address a URI names itself, else the way the dialog came by: this room asks no name server.
///
/// A URI that names no transport means the one the dialog came by: whoever calls over a stream and forgets to say so listens there too.
/// An address that means nobody or everybody is not obeyed, nor one that only the other side of a NAT knows, nor a transport that we have no
/// listener for. What came over TLS goes on over TLS: descriptions hold the keys of the media (RFC 4568 section 8.3).
///
/// `hidden`: the address the other side takes for its own.
///
/// Source: RFC 3263 section 4.1 and 4.2.
fn hop_to(uri: &str, came_by: Hop, hidden: Option<IpAddr>, listeners: &Listeners) -> Hop {
    let Ok(uri) = Uri::parse(uri) else {
        return came_by;
    };
    let transport = match (uri.scheme(), uri.param("transport")) {
        (Scheme::Sips, _) => Some(Transport::Tls),
        (Scheme::Sip, Some(name)) => Transport::read(name),
        (Scheme::Sip, None) => Some(came_by.transport),
        (Scheme::Tel | Scheme::Other, _) => None,
    };
    let transport = transport
        .filter(|transport| came_by.transport != Transport::Tls || *transport == Transport::Tls);
    let seen = came_by.remote.ip();
    let address = uri.host().address().filter(|address| {
        is_one_host(address) && Some(*address) != hidden && is_in_reach(address, &seen)
    });
    let (Some(transport), Some(address)) = (transport, address) else {
        return came_by;
    };
    let port = uri.port().filter(|port| *port != 0);
    let remote = came_by.at(address, port.unwrap_or(transport.default_port()));
    listeners
        .hop_to(transport, remote, came_by)
        .unwrap_or(came_by)
}

/// The address that a caller behind a NAT takes for its own: its Via names it, and it asks for answers where it was seen (RFC 3581 section 4).
fn hidden_by_nat(request: &Message, came_by: Hop) -> Option<IpAddr> {
    let via = request.via().ok()?;
    let believed = via.host().address().filter(|_| via.wants_rport())?;
    (believed != came_by.remote.ip().to_canonical()).then_some(believed)
}

/// Where the sender of a request that came over a stream says it listens (RFC 3261 section 18.2.2).
fn listens_at(request: &Message, came_by: Hop) -> Option<Hop> {
    let via = request.via().ok()?;
    let is_stream = came_by.transport.is_reliable();
    is_stream.then(|| via.listens_at(came_by))
}

/// Whether a call was asked for by sips, so that both Contacts are (RFC 3261 sections 8.1.1.8 and 12.1.1).
pub(crate) fn scheme_of(invite: &Message) -> Scheme {
    match invite.request_uri().map(|uri| uri.scheme()) {
        Some(Scheme::Sips) => Scheme::Sips,
        Some(Scheme::Sip | Scheme::Tel | Scheme::Other) | None => Scheme::Sip,
    }
}

fn target_of(message: &Message) -> Option<String> {
    message
        .contact()
        .map(|contact| contact.uri().without_headers().to_owned())
}

fn routes_of(message: &Message) -> impl Iterator<Item = String> {
    let addresses = message.addresses(HeaderName::RecordRoute).flatten();
    addresses.map(|address| address.uri().as_str().to_owned())
}

fn unfolded(value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    crate::message::push_unfolded(&mut out, value.unwrap_or_default());
    out
}

#[cfg(test)]
#[path = "dialog_tests.rs"]
mod tests;
