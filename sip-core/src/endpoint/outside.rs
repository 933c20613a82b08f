//! Requests of ours outside every dialog: REGISTER, OPTIONS and their like.
//!
//! Follows RFC 3261 sections 8.1, 10.2 and 11.1. Start at [`Endpoint::send`].

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::{Event, Outside, SentId},
    label::Label,
    proof::Proof,
    table::{ClientEntry, ClientKey, ClientMachine, ClientTarget, Task},
};
use crate::{
    dialog::MAX_FORWARDS,
    draft::{self, Draft},
    header::Method,
    lexis,
    message::Message,
    peer::PeerId,
    token::Token,
    transaction::client::Client,
    uri::{Scheme, Uri},
};

/// The most series that are remembered; the oldest gives way.
const MAX_SERIES: usize = 4096; // Law 5; one for each registration and each probe of a peer.

/// Requests that belong together: a registrar wants one Call-ID and rising numbers (RFC 3261 section 10.2).
pub(super) struct Series {
    call_id: String,
    tag: Token,
    cseq: u32,
}

impl Series {
    pub(super) fn next_cseq(&mut self) -> u32 {
        self.cseq += 1;
        self.cseq
    }
}

impl Endpoint {
    /// Sends a request outside every dialog; `Answered` follows, without a message 408 where nobody answers and 503 where it cannot be sent.
    ///
    /// A challenge is answered from the peer's settings before the application hears of it. What begins or belongs to a dialog is refused by 405 at
    /// once, and what makes no valid message by 400.
    ///
    /// Source: RFC 3261 section 8.1.1.
    #[expect(clippy::needless_pass_by_value, reason = "a request is sent once")]
    pub fn send(&mut self, now: Instant, outside: Outside) -> SentId {
        let sent = SentId(self.id());
        let method = Method::of(outside.method.as_bytes());
        if needs_dialog(&method) || !lexis::is_token(outside.method.as_bytes()) {
            self.answered(sent, 405, None);
            return sent;
        }
        let branch = Token::random(&mut self.generator);
        let request = self.write_outside(&outside, branch);
        if Message::parse(request.clone()).is_err() {
            self.answered(sent, 400, None);
            return sent;
        }
        let mut machine = Client::start(now, &self.intervals, outside.hop.transport);
        if let Some(patience) = outside.patience {
            machine.give_up_unheard_at(now + patience);
        }
        let entry = ClientEntry {
            machine: ClientMachine::Other { machine },
            request,
            usage: None,
            task: Task::Outside {
                sent,
                series: outside.series,
            },
            peer: outside.peer,
            hop: outside.hop,
            alternate: outside.hop.anew(),
            proof: Proof::default(),
            label: Label::request(method.name(), false),
            due: None,
        };
        let key = ClientKey {
            branch,
            target: ClientTarget::Request,
        };
        self.open_client(now, key, entry);
        sent
    }

    /// Tells the application the answer to a request outside every dialog.
    pub(super) fn answered(&mut self, sent: SentId, status: u16, message: Option<Message>) {
        self.events.push_back(Event::Answered {
            dialog: None,
            sent,
            status,
            message,
        });
    }

    fn write_outside(&mut self, outside: &Outside, branch: Token) -> Bytes {
        let Outside { hop, from, to, .. } = outside;
        let series = self.series(outside.peer, outside.series);
        let (call_id, cseq, tag) = (series.call_id.clone(), series.next_cseq(), series.tag);
        let mut party = draft::party(from.display.as_deref(), &from.uri);
        party.extend_from_slice(format!(";tag={tag}").as_bytes());
        let method = &outside.method;
        let is_secure =
            Uri::parse(&outside.request_uri).is_ok_and(|uri| uri.scheme() == Scheme::Sips);
        let scheme = if is_secure { Scheme::Sips } else { Scheme::Sip };
        Draft::request(method, &outside.request_uri)
            .via(*hop, branch)
            .format("Max-Forwards", format_args!("{MAX_FORWARDS}"))
            .preloaded_route(&outside.headers)
            .octets("From", &party)
            .octets("To", &draft::party(to.display.as_deref(), &to.uri))
            .line("Call-ID", &call_id)
            .format("CSeq", format_args!("{cseq} {method}"))
            .contact(outside.contact_user.as_deref(), *hop, scheme)
            .line("Allow", draft::ALLOW)
            .lines(&outside.headers)
            .finish(draft::SDP, None)
    }

    fn series(&mut self, peer: PeerId, series: u64) -> &mut Series {
        let is_known = self.series.contains_key(&(peer, series));
        if !is_known && self.series.len() >= MAX_SERIES {
            self.series.pop_first();
        }
        let generator = &mut self.generator;
        self.series.entry((peer, series)).or_insert_with(|| Series {
            call_id: format!("{}{}", Token::random(generator), Token::random(generator)),
            tag: Token::random(generator),
            cseq: 0,
        })
    }
}

/// Whether a request begins a dialog, or means nothing without one.
fn needs_dialog(method: &Method) -> bool {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Refer
        | Method::Notify
        | Method::Subscribe => true,
        Method::Options
        | Method::Register
        | Method::Message
        | Method::Publish
        | Method::Other(_) => false,
    }
}
