//! The exchange: peers, numbers and departments; the calls; and who is told what.
//!
//! A call is taken out of its table while it is handled, so that a panic in it harms nothing else; see [`Exchange::abandon`].
//! Start at [`Exchange::handle_message`]; what becomes of a new call is in `take_in`.

mod arriving;
mod transfers;

mod door;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use announcements::{Library, PromptId};
use jiff::SignedDuration;
use media::{LegId, OfferedLeg, PlaybackId, Side, sdp};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rules::{
    Actor, AuditDraft, AuditEvent, CallId, CutShort, Declaration, Digest, Emergency,
    EmergencyFault, EmergencyState, EndCause, Number, Played, Scope, StaffId,
};
use sip_core::{DialogId, Event, Hop, Message, Method, PeerId, RequestId, Transport};

use crate::{
    admission::Refusal,
    call::{Arrival, Call, CallInput, Errand, Hearing, Reliability},
    direction::Direction,
    health::Sign,
    house::{House, Place, Usage},
    identity::Identity,
    names::{Question, Resolved},
    now::Now,
    number_policy::Plan,
    output::{Alarm, Output, RecorderEvent},
    peers::TrunkReport,
    report::{CallReport, EndedBy, Ending, Recorded},
    route::phrase,
    settings::{FaultMoment, Settings},
    trunk::{PeerRole, Trust},
};

/// The exchange; see the module.
pub struct Exchange {
    house: House,
    calls: BTreeMap<CallId, Call>,
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
    call: Option<Call>,
}

/// Whether new calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Open,
    Closing,
}

/// The notice that is going out on a leg, as `Played::reported` wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoticeStamp {
    pub(crate) prompt: &'static str,
    pub(crate) sha256: [u8; 32],
    pub(crate) version: u32,
}

/// While an emergency is declared we look this often whether it has ended; each call asks again anyway.
const EMERGENCY_CHECK: Duration = Duration::from_secs(1);

/// A smaller step is the ordinary correction of a disciplined clock, and changes nothing that is worth saving.
const SMALLEST_STEP: Duration = Duration::from_secs(2);

impl Exchange {
    pub(crate) fn new(settings: Settings, emergency: EmergencyState, seed: [u8; 32]) -> Exchange {
        Exchange {
            house: House::new(settings, emergency, ChaCha20Rng::from_seed(seed)),
            calls: BTreeMap::new(),
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
        self.calls.values().map(Call::report).collect()
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

    pub(crate) fn handle_unreachable(&mut self, now: Now, hop: Hop) {
        self.house.peer_unreachable(now, hop);
        self.house.endpoint.handle_unreachable(now.at, hop);
        self.settle(now);
    }

    pub(crate) fn handle_legs_offered(&mut self, now: Now, legs: Vec<OfferedLeg>) {
        self.house.ports.offer(legs);
        self.settle(now);
    }

    /// Where a name leads; without places where that could not be found.
    pub(crate) fn handle_resolved(
        &mut self,
        now: Now,
        question: &Question,
        places: &[Resolved],
        ttl: Duration,
    ) {
        let House {
            peers, settings, ..
        } = &mut self.house;
        peers.handle_resolved(now, settings, question, places, ttl);
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

    pub(crate) fn handle_recorder(&mut self, now: Now, event: RecorderEvent) {
        self.with_call(now, event.call, CallInput::Recorder(event.fault));
        self.settle(now);
    }

    pub(crate) fn handle_shard_lost(&mut self, now: Now, shard: u16) {
        let lost: Vec<CallId> = self
            .calls
            .values()
            .filter(|call| call.shard() == shard)
            .map(Call::id)
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

    /// Compares both clocks with what they were at the input before. A wall clock that jumped moves the emergency along, before
    /// anything else looks at it: neither a step forward ends it early nor a step back prolongs it.
    pub(crate) fn watch_clock(&mut self, now: Now) {
        let Some(before) = self.last_seen.replace(now) else {
            return;
        };
        let passed = SignedDuration::try_from(now.at.saturating_duration_since(before.at));
        let step = before.wall.duration_until(now.wall) - passed.unwrap_or(SignedDuration::MAX);
        if step.unsigned_abs() >= SMALLEST_STEP && !self.house.emergency.declared().is_empty() {
            self.house.emergency.handle_clock_step(step);
            self.save_emergency();
        }
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

    pub(crate) fn declare(
        &mut self,
        now: Now,
        declaration: Declaration,
        reason: Digest,
    ) -> Result<Emergency, EmergencyFault> {
        let emergency = self.house.emergency.declare(declaration, now.wall)?.clone();
        let actor = Actor::Person {
            unix_user: emergency.unix_user().to_owned(),
            person: emergency.declared_by().cloned(),
        };
        let event = AuditEvent::emergency_declared(&emergency, reason);
        self.house.put(Output::Audit(AuditDraft { actor, event }));
        self.save_emergency();
        self.emergency_check = Some(now.at + EMERGENCY_CHECK);
        Ok(emergency)
    }

    pub(crate) fn lift(
        &mut self,
        now: Now,
        scope: Option<&Scope>,
        unix_user: &str,
        person: Option<&StaffId>,
    ) -> Result<Vec<Emergency>, EmergencyFault> {
        self.check_emergency(now);
        let lifted = self.house.emergency.lift(scope)?;
        for emergency in &lifted {
            let actor = Actor::Person {
                unix_user: unix_user.to_owned(),
                person: person.cloned(),
            };
            let event = AuditEvent::EmergencyLifted {
                emergency: emergency.id(),
            };
            self.house.put(Output::Audit(AuditDraft { actor, event }));
        }
        self.save_emergency();
        Ok(lifted)
    }

    /// Ends all calls and takes no new ones.
    pub(crate) fn shut_down(&mut self, now: Now) {
        self.service = Service::Closing;
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.with_call(now, call, CallInput::End(EndCause::Shutdown));
        }
        self.house.leave_peers(now);
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
                .and_then(Call::deadline)
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

    fn check_emergency(&mut self, now: Now) {
        let mut expired = false;
        while let Some(emergency) = self.house.emergency.expire(now.wall) {
            let event = AuditEvent::EmergencyExpired {
                emergency: emergency.id(),
            };
            self.house.put(Output::Audit(AuditDraft::system(event)));
            expired = true;
        }
        if expired {
            self.save_emergency();
        }
        let is_declared = !self.house.emergency.declared().is_empty();
        if is_declared && self.emergency_check.is_none_or(|due| due <= now.at) {
            self.emergency_check = Some(now.at + EMERGENCY_CHECK);
        }
        if !is_declared {
            self.emergency_check = None;
        }
    }

    fn save_emergency(&mut self) {
        let state = self.house.emergency.clone();
        self.house.put(Output::SaveEmergency(state));
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
        if let Some(sign) = Sign::of_event(event) {
            self.house.peers.call_heard(now, dialog, sign);
        }
        match event {
            Event::Acked { .. } => self.house.admission.acknowledged(place.call),
            Event::Accepted { .. } => self.house.note(now, dialog, Usage::Answered),
            Event::AcceptedLate { .. } => {
                self.house.note(now, dialog, Usage::Over);
                // The endpoint's BYE belongs to no usage any more, so the ladder would not show it.
                let what = "late answer of the department ended by BYE";
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
    fn answer_request(&mut self, now: Now, request: RequestId, message: &Message) {
        let status = match message.method() {
            Some(Method::Options) => 200,
            Some(_) | None => 501,
        };
        let endpoint = &mut self.house.endpoint;
        endpoint.respond(now.at, request, status, phrase(status), Vec::new(), None);
    }

    /// Takes a new call in, or says why not: 403, 404, 488, 503 in this order.
    fn take_in(&mut self, now: Now, dialog: DialogId, hop: Hop, request: &Message) {
        let remote = hop.remote;
        let id = self.house.new_call_id(now);
        let side = self
            .peer_of(remote.ip())
            .map_or(Side::Carrier, |(_, role)| role.side());
        self.house.enter(
            dialog,
            Place {
                call: id,
                side,
                usage: Usage::Incoming,
            },
        );
        self.house.trace_beginning(now, id);
        self.house.trace_messages(now);
        if let Some((peer, _)) = self.peer_of(remote.ip()) {
            self.house.call_came(now, dialog, peer, hop);
        }
        // Whatever goes wrong from here on ends this call alone.
        self.in_hand = Some(InHand { id, call: None });
        let admitted = self.admit(now, id, dialog, hop, request);
        self.in_hand = None;
        match admitted {
            Ok(()) => {}
            Err(status) => {
                self.house.reject(now, dialog, status);
                self.house.trace_refusal(now, id, phrase(status));
                let report = self.refused(now, id, remote, request, status);
                self.house.trace_end(now, report);
            }
        }
    }

    fn admit(
        &mut self,
        now: Now,
        id: CallId,
        dialog: DialogId,
        hop: Hop,
        request: &Message,
    ) -> Result<(), u16> {
        let (peer, role) = self.peer_of(hop.remote.ip()).ok_or(403_u16)?;
        let identity = self.identity(peer, request)?;
        let called = self.called(peer, request).ok_or(404_u16)?;
        let settings = &self.house.settings;
        settings.inject_fault(&called.number, FaultMoment::Admitting);
        let (errand, parties) = self.errand(peer, role, request, called, identity)?;
        let theirs = match request.sdp() {
            Some(body) => Some(sdp::parse(&body).map_err(|_| 488_u16)?),
            // The first offer is to be ours.
            None => None,
        };
        if let Some(theirs) = &theirs {
            self.admit_media(&errand, peer, hop.transport, theirs)?;
        }
        if self.service == Service::Closing {
            return Err(503);
        }
        let origin = theirs
            .as_ref()
            .map_or(hop.remote.ip(), |media| media.rtp.ip());
        let Some(legs) = self.house.ports.take_two(origin) else {
            self.count_refusal(now, Refusal::Full);
            return Err(503);
        };
        let dialled = match &errand {
            Errand::City(_, policy) => Some(&policy.number),
            Errand::Outside(_) => None,
        };
        self.house.admission.begun(id, dialled);
        for leg in legs {
            self.house.belongs(leg, id);
        }
        let arrival = Arrival {
            id,
            dialog,
            legs,
            theirs,
            peer,
            transport: hop.transport,
            parties,
            reliability: Reliability::of(request),
            errand,
        };
        self.begin(now, arrival);
        Ok(())
    }

    /// A call that was not taken in, as people are shown it.
    fn refused(
        &self,
        now: Now,
        id: CallId,
        remote: SocketAddr,
        request: &Message,
        status: u16,
    ) -> CallReport {
        let peer = self.peer_of(remote.ip());
        let trust = peer.map_or(Trust::Outside, |(peer, _)| self.house.trust(peer));
        let caller = Identity::read(request, trust).caller();
        let called = peer
            .and_then(|(peer, _)| self.called(peer, request))
            .map(|called| called.number);
        let direction = match peer {
            Some((_, PeerRole::Pbx))
                if called.as_ref().is_some_and(|called| self.is_ours(called)) =>
            {
                Direction::Internal
            }
            Some((_, PeerRole::Pbx)) => Direction::Outbound,
            Some((_, PeerRole::Carrier)) | None => Direction::Inbound,
        };
        CallReport {
            id,
            direction,
            stage: "Refused",
            since: now.wall,
            started_at: now.wall,
            answered_at: None,
            caller: CallReport::masked_caller(&caller),
            called: CallReport::masked(called.as_ref()),
            peers: peer
                .and_then(|(peer, _)| self.house.peer_name(peer))
                .into_iter()
                .collect(),
            recorded: Recorded::Never,
            emergency: None,
            ending: Some(Ending {
                at: now.wall,
                by: EndedBy::Refusal(status),
            }),
        }
    }

    /// Whoever does not listen cannot be told (RFC 3264 section 8.4: hold begins no call), and media goes where it may.
    fn admit_media(
        &self,
        errand: &Errand,
        peer: PeerId,
        transport: Transport,
        theirs: &sdp::RemoteMedia,
    ) -> Result<(), u16> {
        let is_to_listen = match errand {
            Errand::City(Direction::Inbound, _) => true,
            Errand::City(_, _) | Errand::Outside(_) => false,
        };
        let is_heard = !is_to_listen || theirs.direction.receives();
        let is_fit = self.house.admits_media(peer, theirs)
            && self.house.admits_security(peer, transport, theirs);
        if !(is_heard && is_fit) {
            return Err(488);
        }
        Ok(())
    }

    /// Begins the stage that number policy and emergency ask for.
    fn begin(&mut self, now: Now, arrival: Arrival) {
        let id = arrival.id;
        let plan = match &arrival.errand {
            Errand::City(Direction::Inbound, policy) => {
                let (emergency, library) = (&self.house.emergency, &self.house.library);
                let plan = Plan::of(policy, emergency, library, now.wall);
                if arrival.parties.is_emergency() {
                    plan.without_notice()
                } else {
                    plan
                }
            }
            Errand::City(_, _) | Errand::Outside(_) => Plan::out_of_scope(),
        };
        let emergency = plan.emergency();
        let (call, far) = Call::new(&mut self.house, now, arrival, emergency);
        let in_hand = InHand {
            id,
            call: Some(call),
        };
        if let Some(call) = &mut self.in_hand.insert(in_hand).call {
            let settings = &self.house.settings;
            settings.inject_fault(call.called(), FaultMoment::Beginning);
            match plan {
                Plan::Announce(prompt) => call.answer(&mut self.house, now, far, prompt),
                Plan::Pass { keeping, .. } => call.pass(&mut self.house, now, far, keeping),
            }
        }
        self.put_back(now);
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

    fn keep(&mut self, now: Now, id: CallId, call: Call) {
        if call.is_over() {
            self.house.admission.ended(id);
            return self.house.trace_end(now, call.report());
        }
        if let Some((due, _)) = call.deadline() {
            self.deadlines.insert((due, id));
        }
        self.calls.insert(id, call);
    }

    fn take_out(&mut self, id: CallId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        if let Some((due, _)) = call.deadline() {
            self.deadlines.remove(&(due, id));
        }
        Some(call)
    }

    /// Takes a call out of the table, lets it handle an input, and puts it back unless it is over.
    fn with_call(&mut self, now: Now, id: CallId, input: CallInput) {
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
