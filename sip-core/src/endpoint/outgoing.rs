//! Requests of ours inside a dialog: how they are written, and those of the application.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::{DialogId, DialogName, Event, InDialog, SentId},
    label::Label,
    proof::Proof,
    replies::names_target,
    table::{ClientEntry, ClientKey, ClientMachine, ClientTarget, Stage, Task},
};
use crate::{
    abilities, draft, header::Method, lexis, message::Message, peer::PeerId, token::Token,
};

/// The most requests of the application's that wait for their answer in one dialog.
const MAX_INSIDE: usize = 16; // Law 5; a transfer needs three.

/// A request to send inside a dialog.
pub(super) struct Inside<'a> {
    pub(super) method: &'a str,
    /// What the endpoint says.
    pub(super) lines: &'a [(&'static str, String)],
    /// What the application says.
    pub(super) headers: &'a [(&'static str, String)],
    /// Type and body.
    pub(super) content: Option<(&'a str, &'a Bytes)>,
    pub(super) task: Task,
}

impl Endpoint {
    /// Sends a request inside a dialog: INFO, NOTIFY, REFER, MESSAGE or a method nobody here knows; `Answered` follows.
    ///
    /// In a call of ours that still rings it goes to who rang last. Without a dialog, and for a method that has a verb of its own,
    /// the answer is 481 or 405 at once; over sixteen in one dialog it is 503.
    ///
    /// Source: RFC 3261 section 12.2.1, RFC 6086, RFC 3515.
    #[expect(clippy::needless_pass_by_value, reason = "a request is sent once")]
    pub fn request(&mut self, now: Instant, dialog: DialogId, request: InDialog) -> SentId {
        let sent = SentId(self.id());
        let method = Method::of(request.method.as_bytes());
        let status = match self.usages.get_mut(&dialog) {
            None => 481,
            Some(usage) if matches!(usage.stage, Stage::Closing { .. }) => 481,
            Some(_) if has_verb(&method) || !lexis::is_token(request.method.as_bytes()) => 405,
            Some(usage) if usage.inside_count >= MAX_INSIDE => 503,
            Some(usage) => match usage.current() {
                None => 481,
                Some(session) => {
                    let tag = session.dialog.remote_tag().to_vec();
                    let content = request.body.as_ref();
                    usage.inside_count += 1;
                    let inside = Inside {
                        method: &request.method,
                        lines: &[],
                        headers: &request.headers,
                        content: content.map(|(kind, body)| (kind.as_str(), body)),
                        task: Task::Inside(sent),
                    };
                    self.send_inside(now, dialog, &tag, &inside);
                    return sent;
                }
            },
        };
        self.events.push_back(Event::Answered {
            dialog: Some(dialog),
            sent,
            status,
            message: None,
        });
        sent
    }

    /// The dialog a peer means by these names, as in a Replaces (RFC 3891 section 3); early ones are found too.
    pub fn dialog_named(
        &mut self,
        peer: PeerId,
        call_id: &[u8],
        local_tag: &[u8],
        remote_tag: &[u8],
    ) -> Option<DialogId> {
        let id = *self.tags.get(&Token::read(local_tag)?)?;
        let usage = self.usages.get_mut(&id)?;
        let is_named = usage.peer == peer
            && usage
                .session_with(remote_tag)
                .is_some_and(|session| session.dialog.call_id() == call_id);
        is_named.then_some(id)
    }

    /// How the other side names a dialog; none before anyone has answered a call of ours.
    pub fn dialog_name(&mut self, dialog: DialogId) -> Option<DialogName> {
        let usage = self.usages.get_mut(&dialog)?;
        let local_tag = usage.tag.to_string();
        let dialog = &usage.current()?.dialog;
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        Some(DialogName {
            call_id: text(dialog.call_id())?,
            local_tag,
            remote_tag: text(dialog.remote_tag())?,
        })
    }

    /// Whether the other side of a dialog said that it takes a method (RFC 3261 section 20.5).
    pub fn allows(&mut self, dialog: DialogId, method: &Method) -> bool {
        let usage = self.usages.get_mut(&dialog);
        let session = usage.and_then(|usage| usage.current());
        session.is_some_and(|session| session.abilities.allows(method))
    }

    /// A request of the application's inside a dialog has its answer, or nobody gives one.
    pub(super) fn finish_inside(
        &mut self,
        id: DialogId,
        sent: SentId,
        status: u16,
        message: Option<Message>,
    ) {
        if let Some(usage) = self.usages.get_mut(&id) {
            usage.inside_count = usage.inside_count.saturating_sub(1);
        }
        self.events.push_back(Event::Answered {
            dialog: Some(id),
            sent,
            status,
            message,
        });
    }

    /// Sends a request inside the dialog with `remote_tag`; none if there is no such dialog.
    pub(super) fn send_inside(
        &mut self,
        now: Instant,
        id: DialogId,
        remote_tag: &[u8],
        inside: &Inside<'_>,
    ) -> Option<ClientKey> {
        let branch = Token::random(&mut self.generator);
        let usage = self.usages.get_mut(&id)?;
        let peer = usage.peer;
        let dialog = &mut usage.session_with(remote_tag)?.dialog;
        let (mut draft, hop) = dialog.request(inside.method, branch);
        let alternate = dialog.alternate();
        let method = Method::of(inside.method.as_bytes());
        if names_target(&method) {
            let settings = self.peers.get(&peer).unwrap_or(&self.any_peer);
            draft = draft
                .contact(dialog.contact_user(), hop, dialog.scheme())
                .line("Allow", draft::ALLOW)
                .line("Supported", &abilities::supported(settings));
        }
        for (name, value) in inside.lines {
            draft = draft.line(name, value);
        }
        let (kind, body) = inside.content.map_or((draft::SDP, None), |(kind, body)| {
            (kind, Some(body.as_ref()))
        });
        let request = draft.lines(inside.headers).finish(kind, body);
        let machine = ClientMachine::start(now, &self.intervals, &method, hop.transport);
        let has_sdp = kind == draft::SDP && body.is_some_and(|body| !body.is_empty());
        let entry = ClientEntry {
            machine,
            request,
            usage: Some(id),
            task: inside.task,
            peer,
            hop,
            alternate,
            proof: Proof::default(),
            label: Label::request(method.name(), has_sdp),
            due: None,
        };
        let key = ClientKey {
            branch,
            target: ClientTarget::Request,
        };
        self.open_client(now, key, entry);
        Some(key)
    }
}

/// Whether another verb sends it, or nobody does inside a dialog.
fn has_verb(method: &Method) -> bool {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Prack
        | Method::Update
        | Method::Register => true,
        Method::Options
        | Method::Info
        | Method::Refer
        | Method::Notify
        | Method::Subscribe
        | Method::Message
        | Method::Publish
        | Method::Other(_) => false,
    }
}
