//! What the application wants: to call, to ring, to answer, to end.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::{DialogId, Event, Headers, Invite, RequestId},
    label::{Again, Label},
    table::{
        ClientEntry, ClientKey, ClientMachine, ClientTarget, Offer, ServerId, ServerMachine, Stage,
        Then, Wish,
    },
};
use crate::{
    dialog::Dialog,
    draft,
    draft::Draft,
    header::{HeaderName, Method},
    hop::Hop,
    message::Message,
    token::Token,
    transaction::{client::Client, invite_client::InviteClient},
    via,
};

impl Endpoint {
    /// Sends an INVITE and says under which name its events come.
    ///
    /// An `Invite` that makes no valid message (no URI, one over 1 KiB, too many headers) is not sent: `NoResponse` comes at once.
    /// The caps of [`Settings`](super::Settings) do not refuse it: the application calls at most a few departments per admitted caller.
    ///
    /// Source: RFC 3261 sections 8.1.1 and 13.2.1.
    #[expect(clippy::needless_pass_by_value, reason = "an INVITE is sent once")]
    pub fn invite(&mut self, now: Instant, invite: Invite) -> DialogId {
        let id = DialogId(self.id());
        let branch = Token::random(&mut self.generator);
        let tag = Token::random(&mut self.generator);
        let call_id = format!(
            "{}{}",
            Token::random(&mut self.generator),
            Token::random(&mut self.generator)
        );
        let request = write_invite(&invite, branch, tag, &call_id);
        // What we cannot read ourselves could be neither ACKed nor cancelled.
        if Message::parse(request.clone()).is_err() {
            self.events.push_back(Event::NoResponse { dialog: id });
            return id;
        }
        let client = ClientKey {
            branch,
            target: ClientTarget::Request,
        };
        let machine = InviteClient::start(now, &self.intervals);
        self.open_usage(
            id,
            tag,
            invite.peer,
            Stage::Calling {
                client,
                call_id,
                wish: Wish::Ring,
            },
        );
        let entry = ClientEntry {
            machine: ClientMachine::Invite {
                machine,
                ack: Bytes::new(),
                forks: Vec::new(),
            },
            request,
            usage: Some(id),
            peer: invite.peer,
            hop: invite.hop,
            label: Label::request("INVITE", invite.body.is_some()),
            due: None,
        };
        self.open_client(client, entry);
        id
    }

    /// Gives up an INVITE of ours that has no final answer yet (RFC 3261 section 9.1: CANCEL waits for a provisional answer).
    ///
    /// `reason`: the value of a Reason header. Afterwards `Rejected` (487), `AcceptedLate` or `NoResponse` comes.
    /// A call that is answered already is ended by BYE.
    pub fn cancel(&mut self, now: Instant, dialog: DialogId, reason: Option<&str>) {
        let Some(usage) = self.usages.get_mut(&dialog) else {
            return;
        };
        match &mut usage.stage {
            Stage::Calling { wish, .. } => match wish {
                Wish::Ring => {
                    *wish = Wish::Cancel {
                        reason: reason.map(str::to_owned),
                    };
                    self.cancel_if_possible(now, dialog);
                }
                // It is under way.
                Wish::Cancel { .. } | Wish::Cancelled => {}
            },
            Stage::ExpectAck { .. } | Stage::Talking { .. } => self.bye(now, dialog, reason),
            // The peer's INVITE is answered, not cancelled; a BYE is under way.
            Stage::Ringing { .. } | Stage::Closing { .. } => {}
        }
    }

    /// Sends a provisional answer (101..=199) to an `Invited`.
    ///
    /// Source: RFC 3261 section 13.3.1.1.
    pub fn ring(
        &mut self,
        now: Instant,
        dialog: DialogId,
        status: u16,
        phrase: &str,
        body: Option<Bytes>,
    ) {
        let Some(Stage::Ringing { server }) = self.usages.get(&dialog).map(|usage| &usage.stage)
        else {
            return;
        };
        if (101..=199).contains(&status) {
            self.answer_server(now, *server, status, phrase, &Vec::new(), body);
        }
    }

    /// Answers an `Invited` with 200 and repeats it until the ACK comes.
    ///
    /// Source: RFC 3261 sections 12.1.1 and 13.3.1.4.
    pub fn accept(&mut self, now: Instant, dialog: DialogId, body: Bytes) {
        let Some(Stage::Ringing { server }) = self.usages.get(&dialog).map(|usage| &usage.stage)
        else {
            return;
        };
        self.answer_server(now, *server, 200, "OK", &Vec::new(), Some(body));
    }

    /// Answers an `Invited` with 300..=699; the usage is over.
    ///
    /// Source: RFC 3261 section 13.3.1.3.
    #[expect(clippy::needless_pass_by_value, reason = "headers are handed over")]
    pub fn reject(
        &mut self,
        now: Instant,
        dialog: DialogId,
        status: u16,
        phrase: &str,
        headers: Headers,
    ) {
        let Some(Stage::Ringing { server }) = self.usages.get(&dialog).map(|usage| &usage.stage)
        else {
            return;
        };
        if (300..=699).contains(&status) {
            self.answer_server(now, *server, status, phrase, &headers, None);
        }
    }

    /// Ends an answered call; `ByeDone` follows. A BYE waits for the ACK of our 2xx (RFC 3261 section 15).
    ///
    /// An INVITE of ours without final answer is cancelled; one of the peer's gets 480.
    pub fn bye(&mut self, now: Instant, dialog: DialogId, reason: Option<&str>) {
        let Some(usage) = self.usages.get_mut(&dialog) else {
            return;
        };
        match &mut usage.stage {
            Stage::Calling { .. } => self.cancel(now, dialog, reason),
            Stage::Ringing { .. } => {
                self.reject(now, dialog, 480, "Temporarily Unavailable", Vec::new());
            }
            Stage::ExpectAck { then, .. } => {
                *then = Then::HangUp {
                    reason: reason.map(str::to_owned),
                }
            }
            Stage::Talking { .. } => self.hang_up(now, dialog, reason),
            // It is under way.
            Stage::Closing { .. } => {}
        }
    }

    /// Answers a `Reinvited` or `Requested`.
    ///
    /// A provisional answer to anything but an INVITE is not sent (RFC 4320 section 4.1).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "headers and body are handed over"
    )]
    pub fn respond(
        &mut self,
        now: Instant,
        request: RequestId,
        status: u16,
        phrase: &str,
        headers: Headers,
        body: Option<Bytes>,
    ) {
        let id = ServerId(request.0);
        let Some(entry) = self.servers.get(&id) else {
            return;
        };
        let lowest = match entry.machine {
            ServerMachine::Invite(_) => 101,
            ServerMachine::Other(_) => 200,
        };
        if (lowest..=699).contains(&status) {
            self.answer_server(now, id, status, phrase, &headers, body);
        }
    }

    /// Sends the CANCEL the application wished for, if a provisional answer has come.
    pub(super) fn cancel_if_possible(&mut self, now: Instant, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let Stage::Calling { client, wish, .. } = &mut usage.stage else {
            return;
        };
        let Wish::Cancel { reason } = wish else {
            return;
        };
        let client = *client;
        let Some(entry) = self.clients.get(&client) else {
            return;
        };
        let ClientMachine::Invite { machine, .. } = &entry.machine else {
            return;
        };
        if machine.may_cancel() {
            let reason = reason.take();
            *wish = Wish::Cancelled;
            self.send_cancel(now, client, reason.as_deref());
        }
    }

    /// Cancels an INVITE of ours and sets the term for its answer (RFC 3261 section 9.1).
    pub(super) fn send_cancel(&mut self, now: Instant, key: ClientKey, reason: Option<&str>) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let ClientMachine::Invite { machine, .. } = &mut entry.machine else {
            return;
        };
        machine.expect_end(now, &self.intervals);
        let (usage, peer, hop) = (entry.usage, entry.peer, entry.hop);
        let Ok(invite) = Message::parse(entry.request.clone()) else {
            return;
        };
        let mut draft = hop_request(&invite, "CANCEL").same(&invite, HeaderName::To);
        if let Some(reason) = reason {
            draft = draft.line("Reason", reason);
        }
        self.arm_client(key);
        let entry = ClientEntry {
            machine: ClientMachine::Other {
                machine: Client::start(now, &self.intervals),
            },
            request: draft.finish(draft::SDP, None),
            usage,
            peer,
            hop,
            label: Label::request("CANCEL", false),
            due: None,
        };
        self.open_client(
            ClientKey {
                branch: key.branch,
                target: ClientTarget::Cancel,
            },
            entry,
        );
    }

    /// An INVITE of ours whose usage is over: CANCEL it as soon as that is possible, and wait for its end no longer than 64*T1.
    pub(super) fn abandon_invite(&mut self, now: Instant, client: ClientKey) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        entry.usage = None;
        let ClientMachine::Invite { machine, .. } = &entry.machine else {
            return;
        };
        if machine.may_cancel() {
            self.send_cancel(now, client, None);
        }
    }

    /// Gives an answer of ours to a request that waits, and moves its usage.
    pub(super) fn answer_server(
        &mut self,
        now: Instant,
        id: ServerId,
        status: u16,
        phrase: &str,
        headers: &Headers,
        body: Option<Bytes>,
    ) {
        let Some(entry) = self.servers.get_mut(&id).filter(|entry| entry.is_open()) else {
            return;
        };
        let request = if status < 200 {
            entry.request.clone()
        } else {
            entry.request.take()
        };
        let Some(request) = request else { return };
        let (usage, source, hop) = (entry.usage, entry.source, entry.hop);
        let contact = usage.and_then(|usage| contact_user(&self.usages.get(&usage)?.stage));
        let answer = write_answer(
            &request,
            source,
            &entry.tag,
            status,
            phrase,
            headers,
            contact,
            body.as_deref(),
        );
        let label = Label::answer(status, &request, body.is_some_and(|body| !body.is_empty()));
        entry.label = label;
        match &mut entry.machine {
            ServerMachine::Invite(machine) => match status {
                ..200 => machine.ring(now, answer.clone()),
                200..300 => machine.accept(now, &self.intervals),
                _ => machine.reject(now, &self.intervals, answer.clone()),
            },
            ServerMachine::Other(machine) => machine.answer(now, &self.intervals, answer.clone()),
        }
        self.arm_server(id);
        self.send(usage, hop, answer.clone(), label, Again::First);
        if let Some(usage) =
            usage.filter(|_| status >= 200 && request.method() == Some(Method::Invite))
        {
            self.move_usage(now, usage, id, status, &request, answer, hop, label);
        }
    }

    /// An INVITE of the peer's has its final answer.
    #[expect(clippy::too_many_arguments, reason = "all of it describes one answer")]
    fn move_usage(
        &mut self,
        now: Instant,
        id: DialogId,
        server: ServerId,
        status: u16,
        request: &Message,
        answer: Bytes,
        hop: Hop,
        label: Label,
    ) {
        let is_accepted = (200..300).contains(&status);
        let Some(mut usage) = self.usages.remove(&id) else {
            return;
        };
        let unacked = self.unacked(answer, hop, request, label);
        usage.stage = match usage.stage {
            Stage::Ringing { .. } if is_accepted => {
                let source = self.servers.get(&server).map_or(hop, |entry| entry.source);
                self.await_ack(now, &mut usage.timers);
                let dialog = Dialog::by_answering(request, usage.tag, source);
                Stage::ExpectAck {
                    dialog,
                    unacked,
                    then: Then::Talk,
                }
            }
            Stage::Ringing { .. } => {
                self.usages.insert(id, usage);
                self.close_usage(id);
                return;
            }
            Stage::Talking {
                mut dialog,
                offer: Offer::Asked { server: asked },
            } if asked == server => {
                let offer = if is_accepted {
                    self.await_ack(now, &mut usage.timers);
                    dialog.refresh_target(request);
                    Offer::ExpectAck { unacked }
                } else {
                    Offer::None
                };
                Stage::Talking { dialog, offer }
            }
            // The call has moved on; the answer is the transaction's alone.
            other @ (Stage::Calling { .. }
            | Stage::ExpectAck { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. }) => other,
        };
        self.usages.insert(id, usage);
        self.arm_usage(id);
    }

    /// Fails a request that waits.
    pub(super) fn fail_server(&mut self, now: Instant, id: ServerId, status: u16, phrase: &str) {
        self.answer_server(now, id, status, phrase, &Vec::new(), None);
    }
}

fn contact_user(stage: &Stage) -> Option<&str> {
    match stage {
        Stage::ExpectAck { dialog, .. }
        | Stage::Talking { dialog, .. }
        | Stage::Closing { dialog } => dialog.contact_user(),
        Stage::Calling { .. } | Stage::Ringing { .. } => None,
    }
}

/// Source: RFC 3261 section 8.1.1; the Call-ID names no host.
fn write_invite(invite: &Invite, branch: Token, tag: Token, call_id: &str) -> Bytes {
    let mut from = draft::party(invite.from.display.as_deref(), &invite.from.uri);
    from.extend_from_slice(format!(";tag={tag}").as_bytes());
    Draft::request("INVITE", &invite.request_uri)
        .format(
            "Via",
            format_args!(
                "SIP/2.0/{} {};rport;branch={}{branch}",
                invite.hop.transport.via_token(),
                invite.hop.local,
                via::COOKIE
            ),
        )
        .format("Max-Forwards", format_args!("{}", invite.max_forwards))
        .octets("From", &from)
        .octets(
            "To",
            &draft::party(invite.to.display.as_deref(), &invite.to.uri),
        )
        .line("Call-ID", call_id)
        .line("CSeq", "1 INVITE")
        .contact(invite.contact_user.as_deref(), invite.hop.local)
        .line("Allow", draft::ALLOW)
        .lines(&invite.headers)
        .finish(draft::SDP, invite.body.as_deref())
}

/// Begins a CANCEL or the ACK of a failure: both travel like their INVITE (RFC 3261 sections 9.1 and 17.1.1.3). To is still missing.
pub(super) fn hop_request(invite: &Message, method: &str) -> Draft {
    let uri = invite.request_uri().map_or("", |uri| uri.as_str());
    let number = invite.cseq().map_or(1, |cseq| cseq.number);
    Draft::request(method, uri)
        .same(invite, HeaderName::Via)
        .same(invite, HeaderName::MaxForwards)
        .same(invite, HeaderName::Route)
        .same(invite, HeaderName::From)
        .same(invite, HeaderName::CallId)
        .format("CSeq", format_args!("{number} {method}"))
}

/// Source: RFC 3261 sections 8.2.6, 11.2 (OPTIONS), 12.1.1 (Contact and Record-Route in what makes a dialog).
#[expect(clippy::too_many_arguments, reason = "all of it stands in one answer")]
fn write_answer(
    request: &Message,
    source: Hop,
    tag: &Token,
    status: u16,
    phrase: &str,
    headers: &Headers,
    contact_user: Option<&str>,
    body: Option<&[u8]>,
) -> Bytes {
    let mut draft = Draft::answer(request, source.remote, status, phrase, Some(tag));
    let method = request.method();
    if method == Some(Method::Invite) && status < 300 {
        draft = draft
            .same(request, HeaderName::RecordRoute)
            .contact(contact_user, source.local)
            .line("Allow", draft::ALLOW);
    }
    if method == Some(Method::Options) {
        draft = draft.line("Allow", draft::ALLOW).line("Accept", draft::SDP);
    }
    let given = headers
        .iter()
        .find(|(name, _)| HeaderName::read(name.as_bytes()) == HeaderName::ContentType);
    let content_type = given.map_or(draft::SDP, |(_, value)| value);
    draft.lines(headers).finish(content_type, body)
}
