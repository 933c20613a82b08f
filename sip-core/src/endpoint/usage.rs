//! The life of a usage: its timers, its BYE, and how it is opened and closed.
//!
//! Follows RFC 3261 sections 13.3.1.4 and 15.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::{DialogId, Event},
    label::{Again, Label},
    proof::Proof,
    session::Change,
    table::{
        ClientEntry, ClientKey, ClientMachine, ClientTarget, Offer, Owner, Stage, Task, Then,
        Unacked2xx, Usage,
    },
};
use crate::{
    dialog::Dialog,
    hop::Hop,
    message::Message,
    peer::PeerId,
    session_timer::SessionTimer,
    timer::{Timer, UsageTimers},
    token::Token,
    transaction::client::Client,
};

impl Endpoint {
    pub(super) fn usage_timeout(&mut self, now: Instant, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let Some(timer) = usage.timers.take_due(now) else {
            return self.arm_usage(id);
        };
        match timer {
            Timer::Repeat2xx => self.repeat_2xx(now, id),
            Timer::AckWait => self.ack_is_missing(now, id),
            Timer::RepeatReliable => self.repeat_reliable(now, id),
            Timer::PrackWait => self.prack_is_missing(id),
            Timer::Patience => self.be_impatient(id),
            Timer::Glare => self.retry_change(now, id),
            Timer::ChangeWait => self.give_up_change(now, id),
            Timer::Refresh => self.refresh(now, id),
            Timer::Expire => self.expire(id),
            Timer::A
            | Timer::B
            | Timer::D
            | Timer::E
            | Timer::F
            | Timer::G
            | Timer::H
            | Timer::I
            | Timer::J
            | Timer::K
            | Timer::L
            | Timer::M
            | Timer::Extend
            | Timer::CancelWait
            | Timer::Unanswered => {}
        }
        self.arm_usage(id);
    }

    /// Nothing at all has come back to our INVITE for as long as the application had patience.
    pub(super) fn be_impatient(&mut self, id: DialogId) {
        let stage = self.usages.get(&id).map(|usage| &usage.stage);
        let Some(Stage::Calling { client, .. }) = stage else {
            return;
        };
        if self
            .clients
            .get(client)
            .is_some_and(ClientEntry::is_unheard)
        {
            self.events.push_back(Event::Silent { dialog: id });
        }
    }

    pub(super) fn repeat_2xx(&mut self, now: Instant, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let unacked = match &mut usage.stage {
            Stage::ExpectAck { unacked, .. }
            | Stage::Talking {
                offer: Offer::ExpectAck { unacked },
                ..
            } => unacked,
            // The ACK came, and stopped the timer.
            Stage::Calling { .. }
            | Stage::Ringing { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. } => return,
        };
        unacked.interval = self.intervals.next(unacked.interval);
        usage.timers.set(Timer::Repeat2xx, now + unacked.interval);
        let (hop, label) = (unacked.hop, unacked.label);
        let answer = unacked.answer.clone();
        self.transmit(Some(id), hop, answer, label, Again::Repeated);
    }

    /// No ACK within 64*T1 (RFC 3261 section 13.3.1.4).
    pub(super) fn ack_is_missing(&mut self, now: Instant, id: DialogId) {
        let Some(mut usage) = self.usages.remove(&id) else {
            return;
        };
        usage.timers.stop(Timer::Repeat2xx);
        let mut hang_up = None;
        usage.stage = match usage.stage {
            Stage::ExpectAck {
                mut session, then, ..
            } => {
                match then {
                    Then::Talk => self.events.push_back(Event::AckMissing { dialog: id }),
                    Then::HangUp { reason } => hang_up = Some(reason),
                }
                session.close_invite();
                Stage::Talking {
                    session,
                    offer: Offer::None,
                }
            }
            Stage::Talking {
                mut session,
                offer: Offer::ExpectAck { .. },
            } => {
                self.events.push_back(Event::AckMissing { dialog: id });
                session.close_invite();
                Stage::Talking {
                    session,
                    offer: Offer::None,
                }
            }
            other @ (Stage::Calling { .. }
            | Stage::Ringing { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. }) => other,
        };
        self.usages.insert(id, usage);
        if let Some(reason) = hang_up {
            self.hang_up(now, id, reason.as_deref());
        }
    }

    /// Sends BYE inside a confirmed dialog (RFC 3261 section 15.1.1); what waits for the application is answered 487.
    pub(super) fn hang_up(&mut self, now: Instant, id: DialogId, reason: Option<&str>) {
        let Some(mut usage) = self.usages.remove(&id) else {
            return;
        };
        let mut pending = Vec::new();
        usage.stage = match usage.stage {
            Stage::Talking { mut session, offer } => {
                usage.timers.stop_all();
                if let Offer::Asked { server } = offer {
                    pending.push(server);
                }
                pending.extend(session.asked);
                self.send_bye(now, Some(id), usage.peer, &mut session.dialog, reason);
                Stage::Closing { session }
            }
            // Nothing to end yet (RFC 3261 section 15), or its end is under way.
            other @ (Stage::Calling { .. }
            | Stage::Ringing { .. }
            | Stage::ExpectAck { .. }
            | Stage::Closing { .. }) => other,
        };
        self.usages.insert(id, usage);
        self.arm_usage(id);
        for server in pending {
            self.fail_server(now, server, 487, "Request Terminated");
        }
    }

    /// A re-INVITE of ours whose dialog ends gets its final answer within 64*T1 or none.
    pub(super) fn bound_change(&mut self, now: Instant, change: &Change) {
        let Change::Sent { client, .. } = change else {
            return;
        };
        if let Some(entry) = self.clients.get_mut(client)
            && let ClientMachine::Invite { machine, .. } = &mut entry.machine
        {
            machine.expect_end(now, &self.intervals);
            self.arm_client(*client);
        }
    }

    pub(super) fn send_bye(
        &mut self,
        now: Instant,
        usage: Option<DialogId>,
        peer: PeerId,
        dialog: &mut Dialog,
        reason: Option<&str>,
    ) {
        let branch = Token::random(&mut self.generator);
        let (mut draft, hop) = dialog.request("BYE", branch);
        if let Some(reason) = reason {
            draft = draft.line("Reason", reason);
        }
        let request = draft.finish(crate::draft::SDP, None);
        let entry = ClientEntry {
            machine: ClientMachine::Other {
                machine: Client::start(now, &self.intervals, hop.transport),
            },
            request,
            usage,
            task: Task::End,
            peer,
            hop,
            alternate: dialog.alternate(),
            proof: Proof::default(),
            label: Label::request("BYE", false),
            due: None,
        };
        let key = ClientKey {
            branch,
            target: ClientTarget::Request,
        };
        self.open_client(now, key, entry);
    }

    pub(super) fn close_usage(&mut self, now: Instant, id: DialogId) -> Option<Usage> {
        let mut usage = self.usages.remove(&id)?;
        for session in usage.sessions() {
            self.bound_change(now, &session.change);
        }
        self.agenda.forget(Owner::Usage(id), usage.due);
        self.tags.remove(&usage.tag);
        Some(usage)
    }

    pub(super) fn open_usage(&mut self, id: DialogId, tag: Token, peer: PeerId, stage: Stage) {
        self.tags.insert(tag, id);
        let settings = self.peers.get(&peer).unwrap_or(&self.any_peer);
        let session_timer = SessionTimer::new(settings.session);
        self.usages.insert(
            id,
            Usage {
                stage,
                tag,
                peer,
                session_timer,
                inside_count: 0,
                timers: UsageTimers::default(),
                due: None,
            },
        );
    }

    pub(super) fn arm_usage(&mut self, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        self.agenda
            .arm(Owner::Usage(id), &mut usage.due, &usage.timers);
    }

    /// Starts to repeat a 2xx until its ACK comes.
    pub(super) fn await_ack(&self, now: Instant, timers: &mut UsageTimers) {
        timers.set(Timer::Repeat2xx, now + self.intervals.t1);
        timers.set(Timer::AckWait, now + self.intervals.long());
    }

    pub(super) fn unacked(
        &self,
        answer: Bytes,
        (hop, alternate): (Hop, Option<Hop>),
        request: &Message,
        label: Label,
    ) -> Box<Unacked2xx> {
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        Box::new(Unacked2xx {
            answer,
            hop,
            alternate,
            cseq,
            interval: self.intervals.t1,
            label,
        })
    }
}
