//! What we answer to requests that wait, and how that moves their usage.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::DialogId,
    label::{Again, Label},
    table::{Offer, ServerId, ServerMachine, Stage, Then, Usage},
};
use crate::{
    abilities::{self, Extension},
    dialog::scheme_of,
    draft::{self, Draft},
    header::{HeaderName, Method},
    hop::Hop,
    message::Message,
    peer::PeerId,
    session_timer::Lines,
    timer::Timer,
    token::Token,
    turn::Turn,
};

/// An answer as the application or the endpoint gives it.
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    pub(super) phrase: &'a str,
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) body: Option<Bytes>,
    /// The RSeq of a reliable one.
    pub(super) rseq: Option<u32>,
}

impl<'a> Reply<'a> {
    pub(super) fn plain(status: u16, phrase: &'a str) -> Reply<'a> {
        Reply {
            status,
            phrase,
            headers: &[],
            body: None,
            rseq: None,
        }
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn description(&self) -> Bytes {
        self.body.clone().unwrap_or_default()
    }
}

/// An answer that has been sent, with the way it took.
struct Given {
    server: ServerId,
    request: Message,
    answer: Bytes,
    hop: Hop,
    alternate: Option<Hop>,
    label: Label,
}

impl Endpoint {
    /// Gives an answer of ours to a request that waits, and moves its usage. Says what was sent, if it was.
    pub(super) fn answer_server(
        &mut self,
        now: Instant,
        id: ServerId,
        reply: &Reply<'_>,
    ) -> Option<Bytes> {
        let entry = self.servers.get(&id).filter(|entry| entry.is_open())?;
        let request = entry.request.clone()?;
        let (usage, source, hop, tag) = (entry.usage, entry.source, entry.hop, entry.tag);
        let alternate = entry.alternate;
        let (contact, lines) = self.negotiated(entry.peer, usage, &request, reply);
        let answer = write_answer(&request, source, tag, reply, contact.as_deref(), &lines);
        let has_sdp = !reply.description().is_empty();
        let label = Label::answer(reply.status, &request, has_sdp);
        let entry = self.servers.get_mut(&id)?;
        entry.label = label;
        if reply.status >= 200 {
            entry.request = None;
        }
        match &mut entry.machine {
            ServerMachine::Invite(machine) => match reply.status {
                ..200 => machine.ring(now, answer.clone()),
                200..300 => machine.accept(now, &self.intervals),
                _ => machine.reject(now, &self.intervals, answer.clone()),
            },
            ServerMachine::Other(machine) => machine.answer(now, &self.intervals, answer.clone()),
        }
        self.arm_server(id);
        self.transmit(usage, hop, answer.clone(), label, Again::First);
        if let Some(usage) = usage.filter(|_| reply.status >= 200) {
            let given = Given {
                server: id,
                request,
                answer: answer.clone(),
                hop,
                alternate,
                label,
            };
            self.move_usage(now, usage, given, reply);
        }
        Some(answer)
    }

    /// Fails a request that waits.
    pub(super) fn fail_server(&mut self, now: Instant, id: ServerId, status: u16, phrase: &str) {
        self.answer_server(now, id, &Reply::plain(status, phrase));
    }

    /// Our Contact's user part, and the headers in which an answer says what we can and what was agreed.
    fn negotiated(
        &mut self,
        peer: PeerId,
        usage: Option<DialogId>,
        request: &Message,
        reply: &Reply<'_>,
    ) -> (Option<String>, Lines) {
        let method = request.method();
        let is_invite = method == Some(Method::Invite);
        let is_update = method == Some(Method::Update);
        let is_question = method == Some(Method::Options);
        let mut lines = Lines::new();
        if (is_invite && reply.status < 300) || ((is_update || is_question) && reply.is_success()) {
            let settings = self.peers.get(&peer).unwrap_or(&self.any_peer);
            lines.push(("Supported", abilities::supported(settings)));
        }
        let Some(usage) = usage.and_then(|usage| self.usages.get_mut(&usage)) else {
            return (None, lines);
        };
        let contact = usage
            .current()
            .and_then(|session| session.dialog.contact_user().map(str::to_owned));
        if let Some(rseq) = reply.rseq {
            lines.push(("Require", Extension::Reliable.tag().to_owned()));
            lines.push(("RSeq", rseq.to_string()));
        }
        // An early UPDATE times no session yet (RFC 4028 section 3).
        let is_timed = is_invite || (is_update && usage.is_confirmed());
        if is_timed && reply.is_success() {
            lines.append(&mut usage.session_timer.answer(request));
        }
        (contact, lines)
    }

    /// A request of the peer's has its final answer.
    fn move_usage(&mut self, now: Instant, id: DialogId, given: Given, reply: &Reply<'_>) {
        if given.request.method() != Some(Method::Invite) {
            if let Some(usage) = self.usages.get_mut(&id) {
                settle(now, usage, &given, reply);
            }
            return self.arm_usage(id);
        }
        let Some(mut usage) = self.usages.remove(&id) else {
            return;
        };
        let unacked = self.unacked(
            given.answer,
            (given.hop, given.alternate),
            &given.request,
            given.label,
        );
        usage.stage = match usage.stage {
            Stage::Ringing { mut session, .. } if reply.is_success() => {
                usage.timers.stop(Timer::RepeatReliable);
                usage.timers.stop(Timer::PrackWait);
                session.answers.finish();
                // A description that a reliable answer has told already is only told again (RFC 6337 section 3.1.1).
                if matches!(session.turn, Turn::Theirs | Turn::Unbegun) {
                    session.describe(&reply.description());
                }
                self.await_ack(now, &mut usage.timers);
                Stage::ExpectAck {
                    session,
                    unacked,
                    then: Then::Talk,
                }
            }
            stage @ Stage::Ringing { .. } => {
                usage.stage = stage;
                self.usages.insert(id, usage);
                self.close_usage(now, id);
                return;
            }
            Stage::Talking {
                mut session,
                offer: Offer::Asked { server: asked },
            } if asked == given.server => {
                let offer = if reply.is_success() {
                    self.await_ack(now, &mut usage.timers);
                    session.dialog.refresh_target(&given.request);
                    session.abilities.hear(&given.request);
                    session.describe(&reply.description());
                    Offer::ExpectAck { unacked }
                } else {
                    session.turn.settle();
                    Offer::None
                };
                Stage::Talking { session, offer }
            }
            // The call has moved on; the answer is the transaction's alone.
            other @ (Stage::Calling { .. }
            | Stage::ExpectAck { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. }) => other,
        };
        if reply.is_success() && usage.is_confirmed() {
            usage.time_session(now);
        }
        self.usages.insert(id, usage);
        self.arm_usage(id);
    }
}

/// An UPDATE or PRACK of the peer's has its answer: an offer in it is agreed, or what stood before stands.
fn settle(now: Instant, usage: &mut Usage, given: &Given, reply: &Reply<'_>) {
    if given.request.method() == Some(Method::Update) && reply.is_success() {
        if let Some(session) = usage.session_of(&given.request) {
            session.dialog.refresh_target(&given.request);
            session.abilities.hear(&given.request);
        }
        if usage.is_confirmed() {
            usage.time_session(now);
        }
    }
    if let Some(session) = usage.session_asked(given.server) {
        session.asked = None;
        if reply.is_success() {
            session.describe(&reply.description());
        }
        session.turn.settle();
    }
}

/// Whether a request and its 2xx carry a Contact (RFC 3261 section 12.1, RFCs 3311, 3515 and 6665).
pub(super) fn names_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Refer | Method::Subscribe | Method::Notify
    )
}

/// Source: RFC 3261 sections 8.2.6, 11.2 (OPTIONS), 12.1.1 (Contact and Record-Route in what makes a dialog).
fn write_answer(
    request: &Message,
    source: Hop,
    tag: Token,
    reply: &Reply<'_>,
    contact_user: Option<&str>,
    lines: &Lines,
) -> Bytes {
    let Reply {
        status,
        phrase,
        headers,
        ..
    } = *reply;
    let mut draft = Draft::answer(request, source.remote, status, phrase, Some(&tag));
    let method = request.method();
    if status < 300 && method.as_ref().is_some_and(names_target) {
        if method == Some(Method::Invite) {
            draft = draft.same(request, HeaderName::RecordRoute);
        }
        draft = draft
            .contact(contact_user, source, scheme_of(request))
            .line("Allow", draft::ALLOW);
    }
    if method == Some(Method::Options) {
        draft = draft
            .line("Allow", draft::ALLOW)
            .line("Accept", draft::ACCEPT);
    }
    let given = headers
        .iter()
        .find(|(name, _)| HeaderName::read(name.as_bytes()) == HeaderName::ContentType);
    let content_type = given.map_or(draft::SDP, |(_, value)| value);
    for (name, value) in lines {
        draft = draft.line(name, value);
    }
    draft
        .lines(headers)
        .finish(content_type, reply.body.as_deref())
}
