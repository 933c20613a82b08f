//! The city: everything joined, and moved from one event to the next.

mod traffic;

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use announcements::{Library, Prompt, PromptId};
use exchange::{Alarm, Exchange, Input, PeerEvent, Question, TraceEvent, Wiring, ladder};
use jiff::SignedDuration;
use media::{LegId, PlaybackId};
use rules::{
    AuditDraft, CallId, CallRecord, Declaration, Digest, Emergency, EmergencyFault, EmergencyId,
    EmergencyState, Notices, Scope,
};

use crate::{
    archive::Archive,
    carrier::{Caller, Carrier, Dial},
    checkers,
    clock::Clock,
    department::{Pbx, Telephone},
    line::{Extra, Line},
    net::{Net, Packet},
    plan::{Plan, settings},
    recorder::Recorder,
    shard::Shard,
    voice::Voice,
};

/// A playback as the engine reported it.
#[derive(Debug, Clone, Copy)]
pub struct Playback {
    /// On which leg.
    pub leg: LegId,
    /// Its name.
    pub playback: PlaybackId,
    /// Samples that went out.
    pub sent: u64,
    /// Samples of the prompt.
    pub total: u64,
    /// When the first went out.
    pub started: Instant,
    /// When the last had gone out.
    pub ended: Instant,
}

/// Who placed a call.
#[derive(Debug, Clone, Copy)]
enum Placed {
    Caller(usize),
    Line(usize),
}

/// The city.
pub struct City {
    /// What kind of city it is.
    pub plan: Plan,
    /// Its clock.
    pub clock: Clock,
    /// The exchange.
    pub wiring: Wiring,
    /// The carrier's gateway.
    pub carrier: Carrier,
    /// The PBX.
    pub pbx: Pbx,
    /// Telephones that a scenario drives by hand, of either side.
    pub lines: Vec<Line>,
    placed: Vec<Placed>,
    /// The recorder.
    pub recorder: Recorder,
    /// Everything that was traced.
    pub traces: Vec<TraceEvent>,
    /// Everything that was audited.
    pub audits: Vec<AuditDraft>,
    /// Every alarm.
    pub alarms: Vec<Alarm>,
    /// What happened to its peers.
    pub peer_events: Vec<PeerEvent>,
    /// Names that were asked for.
    pub questions: Vec<Question>,
    /// Every state of the emergency that was to be saved.
    pub saved: Vec<EmergencyState>,
    /// Every playback that ended.
    pub playbacks: Vec<Playback>,
    /// Every pair of addresses between which our media went.
    pub media_sent: BTreeSet<(SocketAddr, SocketAddr)>,
    /// Calls that were abandoned after a panic.
    pub abandoned: Vec<CallId>,
    /// How long each message has waited when it is read.
    pub waits_ms: u64,
    /// How many SIP messages we sent.
    pub sip_sent: usize,
    /// Where SIP messages of ours went.
    pub sip_to: BTreeSet<SocketAddr>,
    /// Whom INVITEs of ours called, as `user@address`.
    pub invited: BTreeSet<String>,
    net: Net,
    shards: Vec<Shard>,
    inputs: VecDeque<Input>,
    exchange: SocketAddr,
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The shipped prompts, read once.
pub(crate) fn shipped() -> Library {
    static SHIPPED: OnceLock<Library> = OnceLock::new();
    let library = SHIPPED.get_or_init(|| {
        let (library, faults) = read_prompts(&[]);
        assert!(faults == 0, "the shipped prompts are whole");
        library
    });
    library.clone()
}

fn read_prompts(missing: &[PromptId]) -> (Library, usize) {
    let files = announcements::embedded();
    let (library, faults) = Library::read(|name| {
        let is_missing = missing.iter().any(|id| id.file_name() == name);
        let file = files
            .iter()
            .find(|(known, _)| *known == name && !is_missing);
        file.map(|(_, bytes)| bytes.to_vec())
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    });
    (library, faults.len())
}

impl City {
    /// Builds a city and lets its morning begin: ports lent, prompts read.
    pub fn new(plan: Plan) -> City {
        let exchange = address("127.0.0.1:5060");
        let (carrier, pbx) = (address("127.0.0.2:5060"), address("127.0.0.3:5062"));
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&plan.seed.to_le_bytes());
        let wiring = Wiring::new(
            settings(&plan, exchange, carrier, pbx),
            EmergencyState::default(),
            seed,
        );
        let clock = Clock::new();
        let mut city = City {
            clock,
            wiring,
            carrier: Carrier::new(carrier, exchange),
            pbx: Pbx::new(pbx, exchange, plan.manners.clone()),
            lines: Vec::new(),
            placed: Vec::new(),
            recorder: Recorder::new(Archive::new(plan.has_keys, clock.now().wall), clock.now()),
            traces: Vec::new(),
            audits: Vec::new(),
            alarms: Vec::new(),
            peer_events: Vec::new(),
            questions: Vec::new(),
            saved: Vec::new(),
            playbacks: Vec::new(),
            media_sent: BTreeSet::new(),
            abandoned: Vec::new(),
            waits_ms: 0,
            sip_sent: 0,
            sip_to: BTreeSet::new(),
            invited: BTreeSet::new(),
            net: Net::new(plan.weather, plan.seed),
            shards: (0..plan.shards)
                .map(|index| {
                    let first = SocketAddr::from(([127, 0, 0, 1], 20_000 + 1_000 * index));
                    Shard::new(index, first, plan.legs, plan.seed)
                })
                .collect(),
            inputs: VecDeque::new(),
            exchange,
            plan,
        };
        for index in 0..city.shards.len() {
            let legs = city.shards[index].offer_all();
            city.tell(Input::LegsOffered(legs));
        }
        let library = if city.plan.prompts_missing.is_empty() {
            shipped()
        } else {
            read_prompts(&city.plan.prompts_missing).0
        };
        city.tell(Input::PromptsLoaded(library));
        city
    }

    // What people do.

    /// Places a call.
    pub fn dial(&mut self, dial: Dial) -> usize {
        let (index, invite) = self.carrier.dial(self.clock.now().at, dial);
        self.placed.push(Placed::Caller(index));
        self.send(invite);
        index
    }

    /// Somebody at a peer's address gets a telephone of this user part, and waits to be called.
    pub fn line(&mut self, address: SocketAddr, user: &str) -> usize {
        let index = self.lines.len();
        let side = if address.ip() == self.carrier.address.ip() {
            1
        } else {
            2
        };
        let line = Line::new(index, address, self.exchange, user, side);
        self.lines.push(line);
        index
    }

    /// A line calls a number.
    pub fn line_calls(&mut self, index: usize, called: &str, extra: &Extra) {
        self.placed.push(Placed::Line(index));
        let packet = self.lines[index].call(called, extra);
        self.send(packet);
    }

    /// A line sends a request of its call.
    pub fn line_says(&mut self, index: usize, method: &str, extra: &Extra) {
        let packet = match method {
            "CANCEL" => self.lines[index].cancel(extra),
            _ => self.lines[index].request(method, extra),
        };
        self.send(packet);
    }

    /// A line answers the last request of this method.
    pub fn line_answers(&mut self, index: usize, method: &str, status: u16, extra: &Extra) {
        let packet = self.lines[index].answer(method, status, extra);
        self.send(packet);
    }

    /// A line begins to speak to where the last description it got says.
    pub fn line_speaks(&mut self, index: usize) {
        self.lines[index].speak(self.clock.now().at);
    }

    /// Lets time pass until a line has got this, in the words of `Line::heard`, so many times.
    pub fn run_until_line(&mut self, index: usize, words: &str, count: usize) {
        let what = format!("line {index} gets {words}");
        let has_it = |city: &City| city.lines[index].count(words) >= count;
        if !has_it(self) {
            let end = self.clock.now().at + Duration::from_secs(150);
            while !has_it(self) {
                let is_left = self.next().is_some_and(|due| due <= end);
                assert!(
                    is_left,
                    "no: {what}; it got {:?}",
                    self.lines[index].heard()
                );
                self.step();
            }
        }
    }

    /// The caller gives up before an answer.
    pub fn cancel(&mut self, index: usize) {
        let packet = self.carrier.cancel(self.clock.now().at, index);
        self.send(packet);
    }

    /// The caller hangs up.
    pub fn hang_up(&mut self, index: usize) {
        let packet = self.carrier.hang_up(self.clock.now().at, index);
        self.send(packet);
    }

    /// The department hangs up its telephone of this index.
    pub fn department_hangs_up(&mut self, index: usize) {
        let packet = self.pbx.hang_up(self.clock.now().at, index);
        self.send(packet);
    }

    /// Somebody declares an emergency.
    ///
    /// # Errors
    /// What the rules say against it.
    pub fn declare(&mut self, scope: Scope, hours: u64) -> Result<Emergency, EmergencyFault> {
        let now = self.clock.now();
        let declaration = Declaration {
            id: EmergencyId::new(now.wall, 1),
            scope,
            reason: "大雨".to_owned(),
            duration: Some(Duration::from_secs(hours * 3_600)),
            declared_by: None,
            unix_user: "duty".to_owned(),
        };
        let declared = self.wiring.declare(now, declaration, Digest([7; 32]));
        self.drain();
        declared
    }

    /// Somebody lifts every emergency.
    ///
    /// # Errors
    /// What the rules say against it.
    pub fn lift(&mut self) -> Result<Vec<Emergency>, EmergencyFault> {
        let lifted = self.wiring.lift(self.clock.now(), None, "duty", None);
        self.drain();
        lifted
    }

    /// Managers have decided about the numbers' notices.
    pub fn decide_notices(&mut self, notices: Notices) {
        self.wiring
            .handle(self.clock.now(), Input::NoticesDecided(notices));
        self.drain();
    }

    /// The media shard dies, with its engine and its ports.
    pub fn lose_shard(&mut self) {
        let shard = self.shards.remove(0);
        self.tell(Input::ShardLost(shard.index()));
    }

    /// The service is stopped.
    pub fn shut_down(&mut self) {
        self.tell(Input::Shutdown);
    }

    /// Puts a datagram on the network.
    pub fn send(&mut self, packet: Packet) {
        self.net.send(self.clock.now().at, packet);
    }

    // What can be seen.

    /// A caller.
    pub fn caller(&self, index: usize) -> &Caller {
        &self.carrier.calls[index]
    }

    /// The voice of whoever placed the call of this index.
    pub fn voice_of_caller(&self, index: usize) -> &Voice {
        match self.placed[index] {
            Placed::Caller(index) => &self.carrier.calls[index].voice,
            Placed::Line(index) => &self.lines[index].voice,
        }
    }

    /// Every voice of the city.
    pub fn voices(&self) -> impl Iterator<Item = &Voice> {
        let callers = self.carrier.calls.iter().map(|caller| &caller.voice);
        let telephones = self.pbx.calls.iter().map(|telephone| &telephone.voice);
        let lines = self.lines.iter().map(|line| &line.voice);
        callers.chain(telephones).chain(lines)
    }

    /// A telephone of the PBX, by the order in which they were called.
    pub fn telephone(&self, index: usize) -> &Telephone {
        &self.pbx.calls[index]
    }

    /// Our ids of calls, in the order in which they came in.
    pub fn calls(&self) -> Vec<CallId> {
        let mut calls = Vec::new();
        for trace in &self.traces {
            if !calls.contains(&trace.call) {
                calls.push(trace.call);
            }
        }
        calls
    }

    /// The ladder of a call.
    pub fn ladder(&self, index: usize) -> String {
        let call = self.calls()[index];
        let events: Vec<TraceEvent> = self
            .traces
            .iter()
            .filter(|trace| trace.call == call)
            .cloned()
            .collect();
        ladder::draw(&events)
    }

    /// The record of a call that is over.
    pub fn record(&self, index: usize) -> &CallRecord {
        self.recorder
            .record(self.calls()[index])
            .expect("a call that is over has its record")
    }

    /// Port pairs that the city has while its shards live.
    pub fn leg_count(&self) -> usize {
        self.shards.len() * usize::try_from(self.plan.legs).expect("few legs")
    }

    /// The exchange, to look at.
    pub fn exchange_at_work(&self) -> &Exchange {
        self.wiring.exchange()
    }

    /// Packets that the network lost.
    pub fn lost(&self) -> u64 {
        self.net.lost
    }

    /// Whether the telephone of this index talks, by its own account.
    pub fn is_talking(&self, index: usize) -> bool {
        self.pbx.calls.get(index).is_some_and(Telephone::is_talking)
    }

    /// A prompt as it was read.
    pub fn prompt(&self, id: PromptId) -> Prompt {
        shipped()
            .get(id)
            .expect("the shipped prompts are whole")
            .clone()
    }

    // Time.

    /// The host's wall clock is corrected by so much, and nobody is told.
    pub fn step_wall(&mut self, step: SignedDuration) {
        self.clock.step_wall(step);
    }

    /// Lets so much time pass.
    pub fn run_ms(&mut self, ms: u64) {
        let end = self.clock.now().at + Duration::from_millis(ms);
        while self.next().is_some_and(|due| due <= end) {
            self.step();
        }
        self.clock.move_to(end);
    }

    /// Lets time pass until something is so, at most two minutes.
    pub fn run_until(&mut self, what: &str, is_so: impl Fn(&City) -> bool) {
        let end = self.clock.now().at + Duration::from_secs(120);
        while !is_so(self) {
            assert!(
                self.next().is_some_and(|due| due <= end),
                "two minutes passed without: {what}"
            );
            self.step();
        }
    }

    /// Lets everything come to its end and checks the laws.
    pub fn finish(&mut self) {
        self.run_until("all calls over", |city| {
            let callers = city
                .carrier
                .calls
                .iter()
                .all(|caller| !caller.end_of_call().is_empty());
            let telephones = city
                .pbx
                .calls
                .iter()
                .all(|telephone| !telephone.end_of_call().is_empty());
            let lines = city.lines.iter().all(|line| !line.end_of_call().is_empty());
            callers && telephones && lines && city.wiring.is_idle()
        });
        self.run_ms(100);
        checkers::check(self);
    }

    fn next(&mut self) -> Option<Instant> {
        let wiring = self.wiring.poll_timeout().map(|(due, _)| due);
        let shards = self.shards.iter_mut().filter_map(Shard::next_due).min();
        let lines = self.lines.iter().filter_map(Line::next_due).min();
        let telephones = [self.carrier.next_due(), self.pbx.next_due(), lines]
            .into_iter()
            .flatten()
            .min();
        [
            self.net.next_due(),
            wiring,
            shards,
            telephones,
            self.recorder.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Moves to the next event and lets everybody do what is due.
    fn step(&mut self) {
        let Some(due) = self.next() else { return };
        self.clock.move_to(due);
        let now = self.clock.now().at;
        while let Some(packet) = self.net.deliver(now) {
            self.deliver(&packet);
        }
        for packet in self
            .carrier
            .handle_timeout(now)
            .into_iter()
            .chain(self.pbx.handle_timeout(now))
        {
            self.net.send(now, packet);
        }
        for index in 0..self.lines.len() {
            while let Some(packet) = self.lines[index].voice.poll(now) {
                self.net.send(now, packet);
            }
        }
        if self
            .wiring
            .poll_timeout()
            .is_some_and(|(due, _)| due <= now)
        {
            self.tell(Input::Timeout);
        }
        for index in 0..self.shards.len() {
            if self.shards[index].next_due().is_some_and(|due| due <= now) {
                self.shards[index].handle_timeout(now);
            }
        }
        self.drain_shards();
        self.work_off();
        if self.recorder.next_due().is_some_and(|due| due <= now) {
            let events = self.recorder.handle_timeout(now);
            self.inputs.extend(events.into_iter().map(Input::Recorder));
            self.work_off();
        }
    }
}
