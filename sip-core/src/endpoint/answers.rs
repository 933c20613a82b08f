//! Answers that come in: to our INVITE, BYE and CANCEL.

use std::time::Instant;

use super::{
    Endpoint,
    event::{Delivery, DialogId, Event},
    label::{Again, Label},
    proof::with_proof_of,
    provisional::Early,
    session::Session,
    table::{ClientKey, ClientMachine, ClientTarget, Fork, MAX_FORKS, Offer, Stage, Task, Wish},
    verbs::hop_request,
};
use crate::{
    draft,
    header::{HeaderName, Method},
    hop::Hop,
    message::Message,
    peer::PeerId,
    timer::Timer,
    token::Token,
    transaction::{client, invite_client},
    via,
};

/// An early dialog is over, while those of other callees may go on (RFC 6228 section 4).
const EARLY_DIALOG_TERMINATED: u16 = 199;

impl Endpoint {
    /// Finds the request an answer belongs to (RFC 3261 sections 17.1.3 and 18.1.2); what belongs to none is dropped.
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        peer: PeerId,
        hop: Hop,
        message: Message,
    ) {
        let label = Label::of(&message);
        let Some(key) = self.client_of(&message, peer, hop) else {
            return self.heard(None, hop, label, Again::First);
        };
        let Some(status) = message.status() else {
            return;
        };
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let usage = entry.usage;
        // Whoever answers by a connection of its own is reached by that.
        if entry.is_adrift() && hop.transport == entry.hop.transport {
            entry.hop = hop;
        }
        match &mut entry.machine {
            ClientMachine::Invite { machine, .. } => {
                let heard = machine.handle_response(now, &self.intervals, status);
                self.arm_client(key);
                self.handle_invite_answer(now, key, &heard, hop, message);
            }
            ClientMachine::Other { machine } => {
                let heard = machine.handle_response(now, &self.intervals, status);
                self.arm_client(key);
                match heard {
                    client::Heard::Provisional => self.heard(usage, hop, label, Again::First),
                    client::Heard::Final => {
                        self.heard(usage, hop, label, Again::First);
                        self.finish_request(now, key, status, message);
                    }
                    client::Heard::Ignored => self.heard(usage, hop, label, Again::Repeated),
                }
            }
        }
    }

    /// The peer must be the one we asked (T-03), the one Via ours, as we wrote it, and the `CSeq` of the method we sent.
    fn client_of(&self, message: &Message, peer: PeerId, hop: Hop) -> Option<ClientKey> {
        let via = message.via().ok()?;
        let branch = Token::read(via.branch()?.strip_prefix(via::COOKIE.as_bytes())?)?;
        let method = message.cseq().ok()?.method;
        let target = match method {
            Method::Cancel => ClientTarget::Cancel,
            _ => ClientTarget::Request,
        };
        let key = ClientKey { branch, target };
        let entry = self.clients.get(&key)?;
        let is_invite = matches!(entry.machine, ClientMachine::Invite { .. });
        let local = entry.hop.local;
        let is_ours = entry.peer == peer
            && local == hop.local
            && via.host.address() == Some(local.ip())
            && via.port.unwrap_or(entry.hop.transport.default_port()) == local.port()
            && message.elements(HeaderName::Via).nth(1).is_none()
            && is_invite == (method == Method::Invite);
        is_ours.then_some(key)
    }

    /// A request of ours other than INVITE has its answer.
    fn finish_request(&mut self, now: Instant, key: ClientKey, status: u16, message: Message) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let request = std::mem::take(&mut entry.request);
        let (task, usage) = (entry.task, entry.usage);
        if matches!(status, 401 | 407)
            && let Ok(request) = Message::parse(request)
            && self.prove(now, key, &request, &message)
        {
            return;
        }
        if let Task::Outside { sent, .. } = task {
            return self.answered(sent, status, Some(message));
        }
        let Some(id) = usage else { return };
        match task {
            // Whatever it is (RFC 3261 section 15.1.1).
            Task::End => {
                if self.close_usage(now, id).is_some() {
                    self.events.push_back(Event::ByeDone { dialog: id });
                }
            }
            Task::Change => self.change_answered(now, id, key, status, Some(message)),
            Task::Inside(sent) => self.finish_inside(id, sent, status, Some(message)),
            // A CANCEL's answer says nothing, and without its PRACK the callee ends the INVITE itself.
            Task::Call | Task::Cancel | Task::Acknowledge | Task::Outside { .. } => {}
        }
    }

    fn handle_invite_answer(
        &mut self,
        now: Instant,
        key: ClientKey,
        heard: &invite_client::Heard,
        hop: Hop,
        message: Message,
    ) {
        let usage = self.clients.get(&key).and_then(|entry| entry.usage);
        let label = Label::of(&message);
        match heard {
            invite_client::Heard::Provisional => {
                self.take_provisional(now, key, usage, hop, message);
            }
            invite_client::Heard::Accepted => self.take_2xx(now, key, hop, message),
            invite_client::Heard::Failed => {
                self.heard(usage, hop, label, Again::First);
                self.take_failure(now, key, message);
            }
            invite_client::Heard::FailedAgain => {
                self.heard(usage, hop, label, Again::Repeated);
                self.repeat_ack(key);
            }
            invite_client::Heard::Ignored => self.heard(usage, hop, label, Again::Repeated),
        }
    }

    fn take_provisional(
        &mut self,
        now: Instant,
        key: ClientKey,
        usage: Option<DialogId>,
        hop: Hop,
        message: Message,
    ) {
        let label = Label::of(&message);
        let early = usage.map(|id| self.hear_early(now, id, key, &message));
        let is_end = message.status() == Some(EARLY_DIALOG_TERMINATED);
        if is_end && let Some(id) = usage {
            self.leave_ended_fork(id, &message);
        }
        let again = match early {
            Some(Early::OutOfOrder) => Again::Repeated,
            Some(Early::Plain | Early::Reliable) | None => Again::First,
        };
        self.heard(usage, hop, label, again);
        let Some(id) = usage else {
            return self.abandon_invite(now, key);
        };
        if self.is_given_up(key) {
            return self.cancel_if_possible(now, key);
        }
        // A 100 is for the transaction, a 199 for its early dialog, and a re-INVITE rings for nobody.
        let stage = self.usages.get(&id).map(|usage| &usage.stage);
        if let Some(status @ 101..EARLY_DIALOG_TERMINATED) = message.status()
            && matches!(stage, Some(Stage::Calling { .. }))
            && early != Some(Early::OutOfOrder)
        {
            self.events.push_back(Event::Rang {
                dialog: id,
                status,
                message,
                delivery: match early {
                    Some(Early::Reliable) => Delivery::Reliable,
                    Some(Early::Plain | Early::OutOfOrder) | None => Delivery::Once,
                },
            });
        }
    }

    /// The callee that says it is none any more is not spoken to again; others may ring on (RFC 6228 section 4).
    fn leave_ended_fork(&mut self, id: DialogId, answer: &Message) {
        if let Some(tag) = answer.to().ok().and_then(|to| to.tag()) {
            self.leave_forks(id, |fork| fork.dialog.remote_tag() != tag);
        }
    }

    /// A failure: ACK by the transaction (RFC 3261 section 17.1.1.3); the usage is over, or what stood before stands.
    fn take_failure(&mut self, now: Instant, key: ClientKey, message: Message) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let (usage, invite_hop, task) = (entry.usage, entry.hop, entry.task);
        let request = std::mem::take(&mut entry.request);
        let invite = Message::parse(request).ok();
        if let Some(invite) = &invite {
            let written = hop_request(invite, "ACK")
                .same(&message, HeaderName::To)
                .finish(draft::SDP, None);
            if let ClientMachine::Invite { ack, .. } = &mut entry.machine {
                *ack = written.clone();
            }
            self.transmit(
                usage,
                invite_hop,
                written,
                Label::request("ACK", false),
                Again::First,
            );
        }
        let Some(id) = usage else { return };
        let status = message.status().unwrap_or(500);
        if let Some(invite) = &invite
            && self.prove(now, key, invite, &message)
        {
            return;
        }
        if task == Task::Change {
            return self.change_answered(now, id, key, status, Some(message));
        }
        if status == 422
            && let Some(invite) = &invite
            && self.ask_for_longer(now, id, key, invite, &message)
        {
            return;
        }
        if self.close_usage(now, id).is_some() {
            self.events.push_back(Event::Rejected {
                dialog: id,
                status,
                message,
            });
        }
    }

    fn repeat_ack(&mut self, key: ClientKey) {
        let Some(entry) = self.clients.get(&key) else {
            return;
        };
        let ClientMachine::Invite { ack, .. } = &entry.machine else {
            return;
        };
        let (usage, hop, ack) = (entry.usage, entry.hop, ack.clone());
        self.transmit(
            usage,
            hop,
            ack,
            Label::request("ACK", false),
            Again::Repeated,
        );
    }

    /// A 2xx: each is ACKed, the first makes the call, all others are ended (RFC 3261 section 13.2.2.4).
    fn take_2xx(&mut self, now: Instant, key: ClientKey, hop: Hop, message: Message) {
        let Some(entry) = self.clients.get(&key) else {
            return;
        };
        let (usage, task) = (entry.usage, entry.task);
        let Some(mut session) = self.ack_2xx(key, hop, &message) else {
            return;
        };
        if task == Task::Change {
            if let Some(id) = usage {
                let status = message.status().unwrap_or(200);
                self.change_answered(now, id, key, status, Some(message));
            }
            return;
        }
        let peer = self.clients.get(&key).map_or(PeerId(0), |entry| entry.peer);
        if let Some(id) = usage {
            self.leave_forks(id, |_| false);
        }
        match usage.map(|id| (id, self.usages.get_mut(&id))) {
            Some((id, Some(usage)))
                if matches!(
                    usage.stage,
                    Stage::Calling {
                        wish: Wish::Ring,
                        ..
                    }
                ) =>
            {
                session.close_invite();
                usage.timers.stop(Timer::Patience);
                usage.stage = Stage::Talking {
                    session: Box::new(session),
                    offer: Offer::None,
                };
                if usage.session_timer.take_answer(&message) {
                    usage.time_session(now);
                }
                self.arm_usage(id);
                self.events.push_back(Event::Accepted {
                    dialog: id,
                    message,
                });
            }
            Some((id, Some(usage))) if matches!(usage.stage, Stage::Calling { .. }) => {
                self.close_usage(now, id);
                self.send_bye(now, None, peer, &mut session.dialog, None);
                self.events.push_back(Event::AcceptedLate {
                    dialog: id,
                    message,
                });
            }
            // Another fork's, or too late for anyone.
            Some(_) | None => self.send_bye(now, None, peer, &mut session.dialog, None),
        }
    }

    /// ACKs a 2xx; of one that has not been ACKed before it gives the dialog, the early one if there was.
    fn ack_2xx(&mut self, key: ClientKey, hop: Hop, message: &Message) -> Option<Session> {
        let entry = self.clients.get(&key)?;
        let ClientMachine::Invite {
            forks, last_cseq, ..
        } = &entry.machine
        else {
            return None;
        };
        let (is_full, last_cseq) = (forks.len() == MAX_FORKS, *last_cseq);
        let (usage, request) = (entry.usage, entry.request.clone());
        let came_by = entry.came_by();
        let label = Label::of(message);
        let callee = message
            .to()
            .ok()
            .and_then(|to| to.tag().map(<[u8]>::to_vec))
            .unwrap_or_default();
        if let Some(fork) = forks.iter().find(|fork| fork.tag == callee) {
            let (to, ack) = (fork.hop, fork.ack.clone());
            self.heard(usage, hop, label, Again::Repeated);
            self.transmit(
                usage,
                to,
                ack,
                Label::request("ACK", false),
                Again::Repeated,
            );
            return None;
        }
        self.heard(usage, hop, label, Again::First);
        if is_full {
            return None;
        }
        let invite = Message::parse(request).ok()?;
        let mut session = self
            .take_early(usage, key, &callee, message)
            .unwrap_or_else(|| Session::by_answer(&invite, message, came_by, &self.listeners));
        session.dialog.skip_to(last_cseq);
        let cseq = invite.cseq().map_or(1, |cseq| cseq.number);
        let branch = Token::random(&mut self.generator);
        let standing = usage.and_then(|id| self.usages.get_mut(&id));
        let standing = standing.and_then(|usage| usage.session_with(&callee));
        let (ack, to) = match standing {
            // A re-INVITE's is ACKed in the dialog it was sent in, to its new target.
            Some(standing) => {
                standing.dialog.refresh_target(message);
                standing.dialog.ack(cseq, branch)
            }
            None => session.dialog.ack(cseq, branch),
        };
        let ack = with_proof_of(&invite, ack).finish(draft::SDP, None);
        if let Some(ClientMachine::Invite { forks, .. }) =
            self.clients.get_mut(&key).map(|entry| &mut entry.machine)
        {
            forks.push(Fork {
                tag: callee,
                ack: ack.clone(),
                hop: to,
            });
        }
        self.transmit(usage, to, ack, Label::request("ACK", false), Again::First);
        Some(session)
    }

    /// Takes the early dialog a 2xx confirms; what the others have numbered is remembered for their end.
    fn take_early(
        &mut self,
        usage: Option<DialogId>,
        key: ClientKey,
        callee: &[u8],
        answer: &Message,
    ) -> Option<Session> {
        let usage = self.usages.get_mut(&usage?)?;
        let Stage::Calling { forks, .. } = &mut usage.stage else {
            return None;
        };
        let highest = forks.iter().map(|fork| fork.dialog.local_cseq()).max();
        if let Some(ClientMachine::Invite { last_cseq, .. }) =
            self.clients.get_mut(&key).map(|entry| &mut entry.machine)
        {
            *last_cseq = highest.unwrap_or_default();
        }
        let place = forks
            .iter()
            .position(|fork| fork.dialog.remote_tag() == callee)?;
        let mut session = forks.remove(place);
        session.dialog.confirm(answer);
        session.abilities.hear(answer);
        Some(session)
    }
}
