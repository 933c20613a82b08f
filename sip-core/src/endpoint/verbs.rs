//! What the application wants: to call, to ring, to answer, to end.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::{DialogId, Event, Headers, Invite, RequestId},
    label::Label,
    proof::Proof,
    replies::Reply,
    table::{
        ClientEntry, ClientKey, ClientMachine, ClientTarget, ServerEntry, ServerId, ServerMachine,
        Stage, Task, Then, Wish,
    },
};
use crate::{
    abilities::{self, Extension},
    draft,
    draft::Draft,
    header::{HeaderName, Method},
    hop::Transport,
    message::Message,
    peer::Reliable,
    session_timer::{Lines, SessionTimer},
    timer::Timer,
    token::Token,
    transaction::{client::Client, invite_client::InviteClient},
    uri::{Scheme, Uri},
};

impl Endpoint {
    /// Sends an INVITE and says under which name its events come.
    ///
    /// An `Invite` that makes no valid message (no URI, one over 1 KiB, too many headers), or a sips one that would not go over TLS, is not sent:
    /// `NoResponse` comes at once.
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
        let settings = self.peers.get(&invite.peer).unwrap_or(&self.any_peer);
        let mut lines = vec![("Supported", abilities::supported(settings))];
        if invite.require_reliable || settings.reliable == Reliable::Required {
            lines.push(("Require", Extension::Reliable.tag().to_owned()));
        }
        lines.append(&mut SessionTimer::new(settings.session).offer());
        let request = write_invite(&invite, branch, tag, &call_id, &lines);
        // What we cannot read ourselves could be neither ACKed nor cancelled. A secure call goes over TLS or nowhere (RFC 3261 section 26.2.2).
        let is_exposed = is_secure(&invite.request_uri) && invite.hop.transport != Transport::Tls;
        if Message::parse(request.clone()).is_err() || is_exposed {
            self.events.push_back(Event::NoResponse {
                dialog: id,
                status: 400,
            });
            return id;
        }
        let client = ClientKey {
            branch,
            target: ClientTarget::Request,
        };
        let machine = InviteClient::start(now, &self.intervals, invite.hop.transport);
        self.open_usage(
            id,
            tag,
            invite.peer,
            Stage::Calling {
                client,
                call_id,
                wish: Wish::Ring,
                forks: Vec::new(),
            },
        );
        if let Some(patience) = invite.patience
            && let Some(usage) = self.usages.get_mut(&id)
        {
            usage.timers.set(Timer::Patience, now + patience);
            self.arm_usage(id);
        }
        let entry = ClientEntry {
            machine: ClientMachine::of_invite(machine),
            request,
            usage: Some(id),
            task: Task::Call,
            peer: invite.peer,
            hop: invite.hop,
            alternate: invite.hop.anew(),
            proof: Proof::default(),
            label: Label::request("INVITE", invite.body.is_some()),
            due: None,
        };
        self.open_client(now, client, entry);
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
            Stage::Calling { client, wish, .. } => match wish {
                Wish::Ring => {
                    *wish = Wish::Cancel;
                    let client = *client;
                    if let Some(entry) = self.clients.get_mut(&client) {
                        entry.give_reason(reason);
                    }
                    self.cancel_if_possible(now, client);
                }
                // It is under way.
                Wish::Cancel => {}
            },
            Stage::ExpectAck { .. } | Stage::Talking { .. } => self.bye(now, dialog, reason),
            // The peer's INVITE is answered, not cancelled; a BYE is under way.
            Stage::Ringing { .. } | Stage::Closing { .. } => {}
        }
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
        let Some(Stage::Ringing { server, .. }) =
            self.usages.get(&dialog).map(|usage| &usage.stage)
        else {
            return;
        };
        if (300..=699).contains(&status) {
            let server = *server;
            let reply = Reply {
                headers: &headers,
                ..Reply::plain(status, phrase)
            };
            self.answer_server(now, server, &reply);
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
            // Whoever accepted, and whose 2xx still waits for a PRACK, has said goodbye by the refusal.
            Stage::Ringing { .. } => {
                let headers = reason.map(|reason| ("Reason", reason.to_owned()));
                let headers = headers.into_iter().collect();
                self.reject(now, dialog, 480, "Temporarily Unavailable", headers);
                self.events.push_back(Event::ByeDone { dialog });
            }
            Stage::ExpectAck { session, then, .. } => {
                *then = Then::HangUp {
                    reason: reason.map(str::to_owned),
                };
                // The goodbye waits for the ACK; whoever asked something meanwhile need not.
                if let Some(asked) = session.asked.take() {
                    self.fail_server(now, asked, 487, "Request Terminated");
                }
            }
            Stage::Talking { .. } => self.hang_up(now, dialog, reason),
            // It is under way.
            Stage::Closing { .. } => {}
        }
    }

    /// Whether a `Reinvited`, `Updated` or `Requested` still waits for its answer: it may have been cancelled, ended by BYE, or waited in vain.
    pub fn is_waiting(&self, request: RequestId) -> bool {
        let entry = self.servers.get(&ServerId(request.0));
        entry.is_some_and(ServerEntry::is_open)
    }

    /// Answers a `Reinvited`, `Updated` or `Requested`.
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
            let usage = entry.usage;
            let reply = Reply {
                headers: &headers,
                body,
                ..Reply::plain(status, phrase)
            };
            self.answer_server(now, id, &reply);
            // A 2xx may have waited for the answer to an offer in a PRACK.
            if let Some(usage) = usage {
                self.ring_on(now, usage);
            }
        }
    }

    /// Cancels an INVITE of ours that nobody wants answered, if a provisional answer has come, and sets the term for its end (RFC 3261 section 9.1).
    pub(super) fn cancel_if_possible(&mut self, now: Instant, key: ClientKey) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let ClientMachine::Invite {
            machine, reason, ..
        } = &mut entry.machine
        else {
            return;
        };
        if !machine.may_cancel() {
            return;
        }
        machine.expect_end(now, &self.intervals);
        let reason = reason.take();
        let (usage, peer, hop) = (entry.usage, entry.peer, entry.hop);
        let Ok(invite) = Message::parse(entry.request.clone()) else {
            return;
        };
        let mut draft = hop_request(&invite, "CANCEL").same(&invite, HeaderName::To);
        if let Some(reason) = &reason {
            draft = draft.line("Reason", reason);
        }
        self.arm_client(key);
        let entry = ClientEntry {
            machine: ClientMachine::Other {
                machine: Client::start(now, &self.intervals, hop.transport),
            },
            request: draft.finish(draft::SDP, None),
            usage,
            task: Task::Cancel,
            peer,
            hop,
            alternate: hop.anew(),
            proof: Proof::default(),
            label: Label::request("CANCEL", false),
            due: None,
        };
        let key = ClientKey {
            branch: key.branch,
            target: ClientTarget::Cancel,
        };
        self.open_client(now, key, entry);
    }

    /// An INVITE of ours whose usage is over: CANCEL it as soon as that is possible, and wait for its end no longer than 64*T1.
    pub(super) fn abandon_invite(&mut self, now: Instant, client: ClientKey) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        entry.usage = None;
        self.cancel_if_possible(now, client);
    }

    /// Sends the INVITE again with the longer interval that a 422 asks for (RFC 4028 section 7.3); whether it did.
    pub(super) fn ask_for_longer(
        &mut self,
        now: Instant,
        id: DialogId,
        key: ClientKey,
        invite: &Message,
        answer: &Message,
    ) -> bool {
        let Some(usage) = self.usages.get_mut(&id) else {
            return false;
        };
        let Stage::Calling {
            client,
            wish: Wish::Ring,
            ..
        } = &mut usage.stage
        else {
            return false;
        };
        if *client != key || !usage.session_timer.raise(answer) {
            return false;
        }
        let Some(old) = self.clients.get(&key) else {
            return false;
        };
        // Something has come back.
        usage.timers.stop(Timer::Patience);
        let branch = Token::random(&mut self.generator);
        *client = ClientKey {
            branch,
            target: ClientTarget::Request,
        };
        let (client, peer, hop, label) = (*client, old.peer, old.hop, old.label);
        let alternate = old.alternate;
        let cseq = invite.cseq().map_or(1, |cseq| cseq.number) + 1;
        let request = Draft::again(
            invite,
            "INVITE",
            hop,
            branch,
            cseq,
            &usage.session_timer.offer(),
        );
        let entry = ClientEntry {
            machine: ClientMachine::start(now, &self.intervals, &Method::Invite, hop.transport),
            request,
            usage: Some(id),
            task: Task::Call,
            peer,
            hop,
            alternate,
            proof: Proof::default(),
            label,
            due: None,
        };
        self.arm_usage(id);
        self.leave_forks(id, |_| false);
        self.open_client(now, client, entry);
        true
    }
}

/// Source: RFC 3261 section 8.1.1; the Call-ID names no host.
fn write_invite(invite: &Invite, branch: Token, tag: Token, call_id: &str, lines: &Lines) -> Bytes {
    let mut from = draft::party(invite.from.display.as_deref(), &invite.from.uri);
    from.extend_from_slice(format!(";tag={tag}").as_bytes());
    let scheme = if is_secure(&invite.request_uri) {
        Scheme::Sips
    } else {
        Scheme::Sip
    };
    let mut draft = Draft::request("INVITE", &invite.request_uri)
        .via(invite.hop, branch)
        .format("Max-Forwards", format_args!("{}", invite.max_forwards))
        .preloaded_route(&invite.headers)
        .octets("From", &from)
        .octets(
            "To",
            &draft::party(invite.to.display.as_deref(), &invite.to.uri),
        )
        .line("Call-ID", call_id)
        .line("CSeq", "1 INVITE")
        .contact(invite.contact_user.as_deref(), invite.hop, scheme)
        .line("Allow", draft::ALLOW);
    for (name, value) in lines {
        draft = draft.line(name, value);
    }
    draft
        .lines(&invite.headers)
        .finish(draft::SDP, invite.body.as_deref())
}

fn is_secure(request_uri: &str) -> bool {
    Uri::parse(request_uri).is_ok_and(|uri| uri.scheme() == Scheme::Sips)
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
