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
    via,
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

    /// The other way there is: the one the dialog came by where its Contact named another, else where its caller listens.
    pub(crate) fn alternate(&self) -> Option<Hop> {
        if self.next_hop == self.came_by {
            return self.last_resort.filter(|hop| *hop != self.next_hop);
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
            .format(
                "Via",
                format_args!(
                    "SIP/2.0/{} {};rport;branch={}{branch}",
                    self.next_hop.transport.via_token(),
                    written(self.next_hop.local),
                    via::COOKIE
                ),
            )
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
mod tests {
    // Two parties and the proxies between them.
    use std::net::SocketAddr;

    use bytes::Bytes;

    use super::*;

    const PEER: &str = "192.0.2.9:6000";
    const LOCAL: &str = "192.0.2.1:5060";

    fn to(remote: &str) -> Hop {
        Hop::udp(LOCAL.parse().unwrap(), remote.parse().unwrap())
    }

    fn message(start: &str, more: &str) -> Message {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nFrom: \"A\" <sip:a@x>;tag=f\r\nTo: <sip:b@y>;tag=t\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n{more}\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn text_of(draft: Draft) -> String {
        String::from_utf8(draft.finish(draft::SDP, None).to_vec()).unwrap()
    }

    fn answered(more: &str) -> Dialog {
        let invite = message(
            "INVITE sip:b@y SIP/2.0",
            "Contact: <sip:us@192.0.2.1:5060>\r\n",
        );
        Dialog::by_answer(
            &invite,
            &message("SIP/2.0 200 OK", more),
            to(PEER),
            &Listeners::new(&[]),
        )
    }

    #[test]
    fn loose_routers_are_passed_in_reverse_order_of_the_answer() {
        let mut dialog = answered(
            "Contact: <sip:b@192.0.2.7:5070>\r\nRecord-Route: <sip:192.0.2.8;lr>, <sip:near.example;lr>\r\n",
        );
        let (draft, hop) = dialog.request("BYE", Token(2));
        let expected = "BYE sip:b@192.0.2.7:5070 SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK0000000000000002\r\nMax-Forwards: 70\r\n\
            Route: <sip:near.example;lr>\r\nRoute: <sip:192.0.2.8;lr>\r\n\
            From: \"A\" <sip:a@x>;tag=f\r\nTo: <sip:b@y>;tag=t\r\nCall-ID: c\r\nCSeq: 8 BYE\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(text_of(draft), expected);
        assert_eq!(hop, to(PEER), "a name is not looked up");
    }

    #[test]
    fn a_strict_router_takes_the_request_uri() {
        let dialog =
            answered("Contact: <sip:b@192.0.2.7>\r\nRecord-Route: <sip:192.0.2.8:5062>\r\n");
        let (draft, hop) = dialog.ack(7, Token(2));
        let text = text_of(draft);
        assert!(
            text.starts_with("ACK sip:192.0.2.8:5062 SIP/2.0\r\n"),
            "{text}"
        );
        assert!(
            text.contains("\r\nRoute: <sip:b@192.0.2.7>\r\n") && text.contains("CSeq: 7 ACK\r\n"),
            "{text}"
        );
        assert_eq!(hop, to("192.0.2.8:5062"));
    }

    #[test]
    fn the_contact_is_where_requests_go_and_a_reinvite_moves_it() {
        let mut dialog = answered("Contact: <sip:b@192.0.2.7:5070>\r\n");
        assert_eq!(dialog.request("BYE", Token(2)).1, to("192.0.2.7:5070"));
        dialog.refresh_target(&message(
            "INVITE sip:us@192.0.2.1 SIP/2.0",
            "Contact: <sip:b@192.0.2.6>\r\n",
        ));
        assert_eq!(dialog.request("BYE", Token(3)).1, to("192.0.2.6:5060"));
    }

    #[test]
    fn without_a_usable_contact_the_peer_is_spoken_to_where_it_was() {
        for contact in [
            "",
            "Contact: <sip:b@255.255.255.255>\r\n",
            "Contact: <sip:b@0.0.0.0>\r\n",
            "Contact: <tel:200>\r\n",
        ] {
            assert_eq!(
                answered(contact).request("BYE", Token(2)).1,
                to(PEER),
                "{contact}"
            );
        }
    }

    #[test]
    fn a_contact_that_asks_for_headers_is_called_without_them() {
        let mut dialog = answered("Contact: <sip:b?x@192.0.2.7:5070;ob?Subject=hi>\r\n");
        let (draft, hop) = dialog.request("BYE", Token(2));
        let text = text_of(draft);
        assert!(
            text.starts_with("BYE sip:b?x@192.0.2.7:5070;ob SIP/2.0\r\n"),
            "{text}"
        );
        assert_eq!(hop, to("192.0.2.7:5070"));
    }

    #[test]
    fn a_foreign_tag_is_unknown_and_an_old_cseq_is_out_of_order() {
        let request = |cseq: u32, tag: &str| {
            let text = format!(
                "BYE sip:us@y SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nFrom: <sip:b@y>;tag={tag}\r\nTo: <sip:a@x>;tag=f\r\nCall-ID: c\r\nCSeq: {cseq} BYE\r\n\r\n"
            );
            Message::parse(Bytes::from(text)).unwrap()
        };
        let mut dialog = answered("");
        assert_eq!(dialog.handle_request(&request(5, "t")), Ok(()));
        assert_eq!(
            dialog.handle_request(&request(4, "t")),
            Err(Misfit::OutOfOrder)
        );
        assert_eq!(
            dialog.handle_request(&request(6, "x")),
            Err(Misfit::Unknown)
        );
        assert_eq!(dialog.handle_request(&request(6, "t")), Ok(()));
    }

    #[test]
    fn the_answering_side_keeps_the_order_of_record_route() {
        let invite = message(
            "INVITE sip:b@y SIP/2.0",
            "Contact: <sip:a@192.0.2.9:6000>\r\nRecord-Route: <sip:192.0.2.8;lr>,<sip:far.example;lr>\r\n",
        );
        let mut dialog = Dialog::by_answering(&invite, Token(5), to(PEER), &Listeners::new(&[]));
        let (draft, hop) = dialog.request("BYE", Token(2));
        let text = text_of(draft);
        assert!(
            text.contains("Route: <sip:192.0.2.8;lr>\r\nRoute: <sip:far.example;lr>\r\n"),
            "{text}"
        );
        assert!(text.contains("CSeq: 1 BYE\r\n"), "{text}");
        assert_eq!(hop, to("192.0.2.8:5060"));
    }

    #[test]
    fn a_contact_says_by_which_transport_and_a_listener_of_ours_must_speak_it() {
        let local = |port: u16| SocketAddr::new("192.0.2.1".parse().unwrap(), port);
        let listeners = Listeners::new(&[
            (Transport::Udp, local(5060)),
            (Transport::Tcp, local(5060)),
            (Transport::Tls, local(5061)),
        ]);
        let by = |transport, port, remote: &str| Hop {
            transport,
            local: local(port),
            remote: remote.parse().unwrap(),
        };
        let udp = by(Transport::Udp, 5060, PEER);
        let tcp = by(Transport::Tcp, 5060, "192.0.2.9:40123");
        let tls = by(Transport::Tls, 5061, "192.0.2.9:40124");
        for (contact, came_by, expected) in [
            (
                "sip:192.0.2.7",
                udp,
                by(Transport::Udp, 5060, "192.0.2.7:5060"),
            ),
            (
                "sip:192.0.2.7;transport=TCP",
                udp,
                by(Transport::Tcp, 5060, "192.0.2.7:5060"),
            ),
            (
                "sip:192.0.2.7:5080;transport=tls",
                udp,
                by(Transport::Tls, 5061, "192.0.2.7:5080"),
            ),
            (
                "sips:192.0.2.7",
                udp,
                by(Transport::Tls, 5061, "192.0.2.7:5061"),
            ),
            (
                "sip:192.0.2.7;transport=udp",
                tcp,
                by(Transport::Udp, 5060, "192.0.2.7:5060"),
            ),
            (
                "sip:192.0.2.7",
                tcp,
                by(Transport::Tcp, 5060, "192.0.2.7:5060"),
            ),
            ("sip:192.0.2.7;transport=sctp", tcp, tcp),
            ("sip:[2001:db8::7];transport=tcp", tcp, tcp),
            ("sip:pbx.example;transport=udp", tcp, tcp),
            ("sip:192.0.2.7;transport=udp", tls, tls),
            ("sip:192.0.2.7;transport=tcp", tls, tls),
            (
                "sip:192.0.2.7:5062",
                tls,
                by(Transport::Tls, 5061, "192.0.2.7:5062"),
            ),
        ] {
            let hop = hop_to(contact, came_by, None, &listeners);
            assert_eq!(hop, expected, "{contact}");
        }
    }

    #[test]
    fn a_caller_behind_a_nat_is_spoken_to_where_it_was_seen() {
        // RFC 3581: its Via and Contact name an address of its own network.
        let from = |via: &str, contact: &str, remote: &str| {
            let text = format!(
                "INVITE sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@{contact}>\r\n\r\n"
            );
            let invite = Message::parse(Bytes::from(text)).unwrap();
            let mut dialog =
                Dialog::by_answering(&invite, Token(5), to(remote), &Listeners::new(&[]));
            dialog.refresh_target(&invite);
            dialog.request("BYE", Token(2)).1.remote.to_string()
        };
        let branch = "172.16.0.8:40001";
        let own = "192.168.1.5:5060";
        assert_eq!(from("192.168.1.5;rport", own, branch), branch);
        assert_eq!(
            from("192.168.1.5", own, branch),
            own,
            "it listens there, it says, and asks for nothing else"
        );
        assert_eq!(
            from("172.16.0.8;rport", "172.16.0.9:5070", branch),
            "172.16.0.9:5070"
        );
        for contact in ["10.0.0.5", "127.0.0.1:5060", "100.64.0.1", "169.254.1.1"] {
            assert_eq!(from("pbx.example", contact, PEER), PEER, "{contact}");
        }
        assert_eq!(
            from("pbx.example", "192.0.2.7", "10.0.0.5:5060"),
            "192.0.2.7:5060"
        );
    }

    #[test]
    fn the_zone_of_a_link_local_address_is_for_us_alone() {
        let local = "[fe80::1%2]:5060".parse().unwrap();
        let seen: SocketAddr = "[fe80::9%2]:5060".parse().unwrap();
        let answer = message("SIP/2.0 200 OK", "Contact: <sip:b@[fe80::9]:5070>\r\n");
        let invite = message("INVITE sip:b@y SIP/2.0", "");
        let came_by = Hop::udp(local, seen);
        let mut dialog = Dialog::by_answer(&invite, &answer, came_by, &Listeners::new(&[]));
        let (draft, hop) = dialog.request("BYE", Token(2));
        let text = text_of(draft.contact(None, hop, Scheme::Sip));
        assert!(text.contains("UDP [fe80::1]:5060;rport"), "{text}");
        assert!(text.contains("Contact: <sip:[fe80::1]:5060>"), "{text}");
        assert_eq!(hop.remote, "[fe80::9%2]:5070".parse().unwrap());
        let answered = Dialog::by_answering(&invite, Token(5), came_by, &Listeners::new(&[]));
        assert_eq!(answered.remote_target, "sip:[fe80::9]:5060");
    }

    #[test]
    fn a_lost_way_gives_way_to_the_one_the_dialog_came_by() {
        let mut dialog = answered("Contact: <sip:b@192.0.2.7:5070>\r\n");
        assert_eq!(dialog.alternate(), Some(to(PEER)));
        dialog.lose(to("192.0.2.8:5070"));
        assert_eq!(dialog.request("INFO", Token(2)).1, to("192.0.2.7:5070"));
        dialog.lose(to("192.0.2.7:5070"));
        assert_eq!(dialog.request("INFO", Token(3)).1, to(PEER));
        assert_eq!(dialog.alternate(), None);
    }
}
