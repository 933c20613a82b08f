//! The exchange: peers, numbers and departments; the calls; and who is told what.
//!
//! A call is taken out of its table while it is handled, so that a panic in it harms nothing else; see [`Exchange::abandon`].
//! Start at [`Exchange::handle_message`]; what becomes of a new call is in `arriving`.

mod arriving;
mod attended;
mod door;
mod emergencies;
mod transfers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

use announcements::{Library, PromptId};
use media::{LegId, OfferedLeg, PlaybackId, sdp::Counted};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rules::{CallId, CutShort, EmergencyState, EndCause, Notices, Number, Played};
use sip_core::{DialogId, Event, Hop, Message, Method, PeerId, RequestId};

use crate::{
    call::{Call, CallInput, Hearing},
    exchange::attended::AttendedTransfer,
    health::{Sign, Unreachable},
    house::{House, Place, Usage},
    names::{Found, Question},
    now::Now,
    output::{Alarm, Output, RecorderEvent},
    peers::TrunkReport,
    report::CallReport,
    route::phrase,
    settings::Settings,
    trunk::PeerRole,
};

/// The exchange; see the module.
pub struct Exchange {
    house: House,
    /// Boxed: a call is moved out of the table and back for each thing that happens to it.
    calls: BTreeMap<CallId, Box<Call>>,
    /// No more than there are calls.
    attended: Vec<AttendedTransfer>,
    in_hand: Option<InHand>,
    deadlines: BTreeSet<(Instant, CallId)>,
    service: Service,
    emergency_check: Option<Instant>,
    last_seen: Option<Now>,
}

/// The call that is being handled, out of its table.
struct InHand {
    id: CallId,
    /// None while it is not taken in yet.
    call: Option<Box<Call>>,
}

/// Whether new calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Open,
    /// Only those to and from 110, 118 and 119 (S-17).
    Closing,
    /// None.
    Closed,
}

/// The notice that is going out on a leg, as `Played::reported` wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoticeStamp {
    pub(crate) prompt: &'static str,
    pub(crate) sha256: [u8; 32],
    pub(crate) version: u32,
}

impl Exchange {
    pub(crate) fn new(settings: Settings, emergency: EmergencyState, seed: [u8; 32]) -> Exchange {
        Exchange {
            house: House::new(settings, emergency, ChaCha20Rng::from_seed(seed)),
            calls: BTreeMap::new(),
            attended: Vec::new(),
            in_hand: None,
            deadlines: BTreeSet::new(),
            service: Service::Open,
            emergency_check: None,
            last_seen: None,
        }
    }

    /// Whether SIP from this address is read at all.
    pub fn is_peer(&self, address: IpAddr) -> bool {
        self.house.peers.at(address).is_some()
    }

    /// The DSCP of SIP to a peer at this address; none for whoever is no peer.
    pub(crate) fn mark_of(&self, address: IpAddr) -> Option<u8> {
        let peer = self.house.peers.at(address)?;
        Some(self.house.settings.peer(peer)?.dscp.signalling)
    }

    /// Every call in progress, the oldest first.
    pub fn calls(&self) -> Vec<CallReport> {
        self.calls.values().map(|call| call.report()).collect()
    }

    /// How each peer stands, and why it was chosen or passed over last.
    pub fn trunks(&self, now: Now) -> Vec<TrunkReport> {
        let house = &self.house;
        let malformed = |peer| house.endpoint.malformed(peer);
        house.peers.reports(now, &house.settings, malformed)
    }

    /// Calls in progress.
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    /// Calls in progress to and from 110, 118 and 119.
    pub fn emergency_call_count(&self) -> usize {
        let calls = self.calls.values();
        calls.filter(|call| call.is_emergency()).count()
    }

    /// Port pairs that are free.
    pub fn free_leg_count(&self) -> usize {
        self.house.ports.free_count()
    }

    /// What is declared at present.
    pub fn emergency(&self) -> &EmergencyState {
        &self.house.emergency
    }

    /// Whether no call and no dialog is left.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.in_hand.is_none()
            && !self.house.has_open_dialogs()
            && !self.house.peers.is_leaving()
    }

    /// The call that was being handled when a panic came; none between inputs.
    pub fn in_hand(&self) -> Option<CallId> {
        self.in_hand.as_ref().map(|in_hand| in_hand.id)
    }

    /// Who is at an address, and on which side of the house.
    fn peer_of(&self, address: IpAddr) -> Option<(PeerId, PeerRole)> {
        let peer = self.house.peers.at(address)?;
        Some((peer, self.house.settings.peer(peer)?.role))
    }

    // What the world did.

    pub(crate) fn handle_unreachable(&mut self, now: Now, hop: Hop, why: Unreachable) {
        self.house.peers.way_lost(hop, why);
        self.house.endpoint.handle_loss(now.at, hop, why.loss());
        self.settle(now);
    }

    /// The peer answers no more what was asked by a connection; it may still read.
    pub(crate) fn handle_closed(&mut self, now: Now, hop: Hop) {
        self.house.endpoint.handle_closed(now.at, hop);
        self.settle(now);
    }

    pub(crate) fn handle_legs_offered(&mut self, now: Now, legs: Vec<OfferedLeg>) {
        self.house.ports.offer(legs);
        self.settle(now);
    }

    /// Where a name leads.
    pub(crate) fn handle_resolved(&mut self, now: Now, question: &Question, found: &Found) {
        let House {
            peers, settings, ..
        } = &mut self.house;
        peers.handle_resolved(now, settings, question, found);
        self.settle(now);
    }

    /// The notice that this playback is, if it is one that a call waits for.
    pub(crate) fn notice_on(&self, leg: LegId, playback: PlaybackId) -> Option<NoticeStamp> {
        self.calls
            .get(&self.house.call_of_leg(leg)?)?
            .notice(playback)
    }

    pub(crate) fn handle_notice_ended(
        &mut self,
        now: Now,
        leg: LegId,
        report: Result<Played, CutShort>,
    ) {
        if let Some(call) = self.house.call_of_leg(leg) {
            self.with_call(now, call, CallInput::NoticeEnded(report));
        }
        self.settle(now);
    }

    pub(crate) fn handle_prompt_ended(&mut self, now: Now, leg: LegId, playback: PlaybackId) {
        if let Some(call) = self.house.call_of_leg(leg) {
            self.with_call(now, call, CallInput::PromptEnded(playback));
        }
        self.settle(now);
    }

    /// A party of a call has been heard, or not, for as long as streams are watched.
    pub(crate) fn handle_silence(&mut self, now: Now, leg: LegId, hearing: Hearing) {
        if let Some(call) = self.house.call_of_leg(leg) {
            self.with_call(now, call, CallInput::Hearing(leg, hearing));
        }
        self.settle(now);
    }

    pub(crate) fn handle_counted(&mut self, now: Now, leg: LegId, counted: Counted) {
        if let Some(call) = self.house.call_of_leg(leg) {
            self.with_call(now, call, CallInput::Counted(leg, counted));
        }
        self.settle(now);
    }

    pub(crate) fn handle_recorder(&mut self, now: Now, event: RecorderEvent) {
        self.with_call(now, event.call, CallInput::Recorder(event.fault));
        self.settle(now);
    }

    pub(crate) fn handle_shard_lost(&mut self, now: Now, shard: u16) {
        let lost: Vec<CallId> = self
            .calls
            .values()
            .filter(|call| call.shard() == shard)
            .map(|call| call.id())
            .collect();
        self.house.alarm(Alarm::ShardLost {
            shard,
            calls: lost.len(),
        });
        // Its legs are forgotten first: nobody is left to take a command.
        self.house.forget_legs_of_shard(shard);
        for call in lost {
            self.with_call(now, call, CallInput::End(EndCause::MediaLost));
        }
        self.settle(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.house.endpoint.handle_timeout(now.at);
        self.settle(now);
        while let Some((due, call)) = self.deadlines.first().copied() {
            if due > now.at {
                break;
            }
            self.deadlines.pop_first();
            self.with_call(now, call, CallInput::Timeout);
        }
        self.settle(now);
    }

    // Verbs.

    pub(crate) fn load_prompts(&mut self, library: Library) {
        let missing: Vec<_> = PromptId::ALL
            .into_iter()
            .filter(|id| library.get(*id).is_none())
            .collect();
        for id in missing {
            self.house.alarm(Alarm::PromptMissing {
                prompt: id.as_str(),
            });
        }
        self.house.library = library;
    }

    /// Calls that are there go on as they began.
    pub(crate) fn decide_notices(&mut self, notices: Notices) {
        self.house.notices = notices;
    }

    /// Takes and keeps no calls but those to and from 110, 118 and 119, which nothing of ours ends (S-17). Where there is none of them,
    /// and when it is asked again, it takes and keeps none at all, and registrations are given up.
    pub(crate) fn shut_down(&mut self, now: Now) {
        let is_asked_again = match self.service {
            Service::Open => false,
            Service::Closing | Service::Closed => true,
        };
        self.service = Service::Closing;
        self.house.say_goodbyes(now);
        let ending: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, call)| is_asked_again || !call.is_emergency())
            .map(|(id, _)| *id)
            .collect();
        for call in ending {
            self.with_call(now, call, CallInput::End(EndCause::Shutdown));
        }
        if self.emergency_call_count() == 0 {
            self.service = Service::Closed;
            self.house.leave_peers(now);
        }
        self.settle(now);
    }

    /// Ends one call that broke an invariant of ours: both legs, its media, its record. Its neighbours go on.
    pub fn abandon(&mut self, now: Now, id: CallId) {
        let mut call = match self.in_hand.take_if(|in_hand| in_hand.id == id) {
            Some(in_hand) => in_hand.call,
            None => self.calls.remove(&id),
        };
        self.deadlines.retain(|(_, call)| *call != id);
        self.house.admission.ended(id);
        if let Some(call) = &mut call {
            call.answer_what_waits(&mut self.house, now);
        }
        for dialog in self.house.dialogs_of(id) {
            self.house.end(now, dialog, 500, Some(Call::FAULT_REASON));
        }
        for leg in self.house.legs_of(id) {
            self.house.close(leg);
        }
        let report = match call {
            Some(call) => call.close_record(&mut self.house, now),
            // It never became a call: there is no row, and its INVITE got 500.
            None => CallReport::unread(id, now),
        };
        self.house.trace_end(now, report);
        self.house.alarm(Alarm::Abandoned { call: id });
        self.attend_on(now, id);
        self.settle(now);
    }

    // What to do next.

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.house.poll_output()
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let call = self.deadlines.first().map(|(due, call)| {
            let why = self
                .calls
                .get(call)
                .and_then(|call| call.deadline())
                .map_or("a call's deadline", |(_, why)| why);
            (*due, why)
        });
        let emergency = self
            .emergency_check
            .map(|due| (due, "emergency: looks whether it has ended"));
        let peers = self.house.peers.due();
        [self.house.endpoint.poll_timeout(), call, emergency, peers]
            .into_iter()
            .flatten()
            .min()
    }

    // Inside.

    /// Lets every event of the endpoint reach its call, and sends what came of it.
    fn settle(&mut self, now: Now) {
        self.check_emergency(now);
        self.house.forget_late(now);
        while let Some(event) = self.house.endpoint.poll_event() {
            self.handle_event(now, event);
        }
        self.house.tend_peers(now);
        self.house.trace_and_transmit(now);
    }

    fn handle_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Invited {
                dialog,
                peer,
                hop,
                request,
            } if request.replaces().is_some() => self.replace(now, dialog, peer, hop, &request),
            Event::Requested {
                dialog: Some(dialog),
                request,
                message,
                ..
            } if message.method() == Some(Method::Refer) => {
                self.refer(now, dialog, request, &message);
                self.house.trace_messages(now);
            }
            Event::Invited {
                dialog,
                peer: _,
                hop,
                request,
            } => self.take_in(now, dialog, hop, &request),
            Event::Requested {
                dialog: None,
                request,
                message,
                ..
            } => self.answer_request(now, request, &message),
            Event::Answered {
                dialog: None,
                sent,
                status,
                message,
            } => {
                let peers = &mut self.house.peers;
                peers.handle_answer(now, sent, status, message.as_ref());
            }
            Event::Answered {
                dialog: Some(dialog),
                sent,
                ..
            } if self.house.last_word_answered(now, dialog, sent) => {}
            event => {
                let Some(dialog) = event.dialog() else { return };
                let Some(place) = self.house.place(dialog) else {
                    return;
                };
                self.note_usage(now, dialog, place, &event);
                if self.calls.contains_key(&place.call) {
                    self.with_call(now, place.call, CallInput::Sip { dialog, event });
                } else {
                    self.answer_late(now, &event);
                }
            }
        }
    }

    /// Keeps the table of dialogs in step with what the endpoint says.
    fn note_usage(&mut self, now: Now, dialog: DialogId, place: Place, event: &Event) {
        let peers = &mut self.house.peers;
        if let Some(sign) = Sign::of_event(event, peers.loss(dialog)) {
            peers.call_heard(now, dialog, sign);
        }
        match event {
            Event::Acked { .. } => self.house.admission.acknowledged(place.call),
            Event::Accepted { .. } => self.house.note(now, dialog, Usage::Answered),
            Event::AcceptedLate { .. } => {
                let holder = self.house.peers.holder(dialog);
                let name = holder.and_then(|peer| self.house.peer_name(peer));
                self.house.note(now, dialog, Usage::Over);
                // The endpoint's BYE belongs to no usage any more, so the ladder would not show it.
                let name = name.unwrap_or_default();
                let what = format!("late answer of {name} ended by BYE");
                self.house.trace(now, place.call, what);
            }
            Event::Cancelled { .. }
            | Event::Rejected { .. }
            | Event::NoResponse { .. }
            | Event::Ended { .. }
            | Event::ByeDone { .. } => self.house.note(now, dialog, Usage::Over),
            Event::Invited { .. }
            | Event::AckMissing { .. }
            | Event::Rang { .. }
            | Event::Silent { .. }
            | Event::Pracked { .. }
            | Event::PrackMissing { .. }
            | Event::Reinvited { .. }
            | Event::Withdrawn { .. }
            | Event::Reacked { .. }
            | Event::Updated { .. }
            | Event::Modified { .. }
            | Event::NotModified { .. }
            | Event::SessionExpired { .. }
            | Event::Answered { .. }
            | Event::Requested { .. } => {}
        }
    }

    /// Answers a request of a dialog whose call is over, while it waits for the ACK or the answer that ends it.
    fn answer_late(&mut self, now: Now, event: &Event) {
        match event {
            Event::Requested { request, .. }
            | Event::Reinvited { request, .. }
            | Event::Updated { request, .. } => {
                let endpoint = &mut self.house.endpoint;
                endpoint.respond(now.at, *request, 481, phrase(481), Vec::new(), None);
            }
            _ => {}
        }
    }

    /// Answers what comes outside of any call: OPTIONS, so that a dispatcher sees that we live. The endpoint says what we can do.
    ///
    /// While the service ends it is answered as an INVITE would be (RFC 3261 section 11.2).
    fn answer_request(&mut self, now: Now, request: RequestId, message: &Message) {
        let status = match (message.method(), self.service) {
            (Some(Method::Options), Service::Open) => 200,
            (Some(Method::Options), Service::Closing | Service::Closed) => 503,
            (Some(_) | None, _) => 501,
        };
        let endpoint = &mut self.house.endpoint;
        endpoint.respond(now.at, request, status, phrase(status), Vec::new(), None);
    }

    /// The input has been handled: the call goes back into the table unless it is over.
    fn put_back(&mut self, now: Now) {
        if let Some(InHand {
            id,
            call: Some(call),
        }) = self.in_hand.take()
        {
            self.keep(now, id, call);
        }
    }

    fn keep(&mut self, now: Now, id: CallId, call: Box<Call>) {
        if call.is_over() {
            self.house.admission.ended(id);
            return self.house.trace_end(now, call.report());
        }
        if let Some((due, _)) = call.deadline() {
            self.deadlines.insert((due, id));
        }
        self.calls.insert(id, call);
    }

    fn take_out(&mut self, id: CallId) -> Option<Box<Call>> {
        let call = self.calls.remove(&id)?;
        if let Some((due, _)) = call.deadline() {
            self.deadlines.remove(&(due, id));
        }
        Some(call)
    }

    /// Lets a call handle an input, and whatever it is being joined with follow.
    fn with_call(&mut self, now: Now, id: CallId, input: CallInput) {
        self.let_handle(now, id, input);
        self.attend_on(now, id);
    }

    /// Takes a call out of the table, lets it handle an input, and puts it back unless it is over.
    fn let_handle(&mut self, now: Now, id: CallId, input: CallInput) {
        let Some(call) = self.take_out(id) else {
            return;
        };
        let in_hand = InHand {
            id,
            call: Some(call),
        };
        if let Some(call) = &mut self.in_hand.insert(in_hand).call {
            call.handle(&mut self.house, now, input);
        }
        self.put_back(now);
    }

    fn is_ours(&self, called: &Number) -> bool {
        self.house.settings.policy(called).is_some()
    }
}
