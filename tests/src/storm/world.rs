//! The world of a storm: the shipping wiring, one real media engine, telephones that live by themselves, and whatever befalls them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use exchange::{FaultMoment, Input, Limits, Milestone, Output, Settings, Unreachable, Wiring};
use jiff::SignedDuration;
use media::{Command, Event};
use rules::{CallId, Declaration, Digest, EmergencyId, EmergencyState, Scope};
use sip_core::Hop;
use storage::Faults;

use super::{Tally, watch::Watch};
use crate::{
    archive::Archive,
    city::{self, Playback},
    clock::Clock,
    net::{Dice, Net, Packet, Weather},
    phone::{Act, Early, Habits, Phone, Stage},
    plan::{self, Plan},
    recorder::Recorder,
    reference::Reference,
    shard::Shard,
    text::Text,
    transition::{self, Transition, chance, one_of},
};

/// The number whose calls break an invariant.
const BROKEN: &str = "0783331003";

/// Port pairs of the one shard: enough for a storm, and few enough that it finds none left.
const LEGS: u32 = 40;

/// The longest that the calm may take: a telephone lets ring for three minutes, talks for ten, and then waits 64*T1.
const CALM: Duration = Duration::from_secs(1_100);

/// The world; see the module.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) clock: Clock,
    pub(super) wiring: Wiring,
    pub(super) recorder: Recorder,
    pub(super) phones: Vec<Phone>,
    pub(super) reference: Reference,
    pub(super) playbacks: Vec<Playback>,
    /// Calls that were taken in and are a citizen's.
    pub(super) taken_in: BTreeSet<CallId>,
    pub(super) out_of_scope: BTreeSet<CallId>,
    /// Calls whose process died under them.
    pub(super) lost: BTreeSet<CallId>,
    /// Whether the recorder had a reason to keep nothing.
    pub(super) is_recorder_hurt: bool,
    pub(super) watch: Watch,
    pub(super) carrier: SocketAddr,
    settings: Settings,
    saved: EmergencyState,
    shard: Shard,
    net: Net,
    dice: Dice,
    inputs: VecDeque<Input>,
    /// Peers that are dead, and whether their hosts say so.
    dead: BTreeMap<SocketAddr, bool>,
    /// How long a message waits before it is read.
    lag: Duration,
    is_closing: bool,
    /// Whether those who are called from here on do as they should.
    is_plain: bool,
    exchange: SocketAddr,
    pbx: SocketAddr,
    began: Instant,
    tally: Tally,
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl World {
    pub(super) fn new(seed: u64, dice: &mut Dice) -> World {
        let (exchange, carrier, pbx) = (
            address("127.0.0.1:5060"),
            address("127.0.0.2:5060"),
            address("127.0.0.3:5062"),
        );
        let is_announced = chance(dice, 500);
        let plan = Plan {
            is_waived: chance(dice, 500),
            targets: one_of(dice, &[&[("100", 20)][..], &[("100", 8), ("101", 20)]]).to_vec(),
            broken_number: Some(BROKEN),
            broken_at: one_of(
                dice,
                &[
                    FaultMoment::Beginning,
                    FaultMoment::Answering,
                    FaultMoment::HangingUp,
                ],
            ),
            adapt: |settings| {
                let mut broken = settings.numbers[0].clone();
                broken.number = rules::Number::parse(BROKEN).expect("a number");
                settings.numbers.push(broken);
            },
            limits: Limits {
                calls: one_of(dice, &[1_300, 1_300, 1_300, 5]),
                ..Limits::default()
            },
            legs: LEGS,
            seed,
            ..if is_announced {
                Plan::announce()
            } else {
                Plan::transparent()
            }
        };
        let settings = plan::settings(&plan, exchange, carrier, pbx);
        let clock = Clock::new();
        let weather = Weather::default();
        let mut world = World {
            seed,
            clock,
            wiring: Wiring::new(settings.clone(), EmergencyState::default(), seed_of(seed)),
            recorder: Recorder::new(Archive::new(true, clock.now().wall), clock.now()),
            phones: Vec::new(),
            reference: Reference::new(carrier),
            playbacks: Vec::new(),
            taken_in: BTreeSet::new(),
            out_of_scope: BTreeSet::new(),
            lost: BTreeSet::new(),
            is_recorder_hurt: false,
            watch: Watch::default(),
            lag: Duration::ZERO,
            is_closing: false,
            is_plain: false,
            settings,
            saved: EmergencyState::default(),
            shard: Shard::new(0, address("127.0.0.1:20000"), LEGS, seed),
            net: Net::new(weather, seed),
            dice: Dice::new(seed ^ 0xd1ce),
            inputs: VecDeque::new(),
            dead: BTreeMap::new(),
            exchange,
            carrier,
            pbx,
            began: clock.now().at,
            tally: Tally::default(),
        };
        world.wake();
        world
    }

    /// What a start of the service brings: ports and prompts.
    fn wake(&mut self) {
        self.watch.shard_lost();
        let legs = self.shard.offer_all();
        self.watch.lent(&legs);
        self.tell(Input::LegsOffered(legs));
        self.tell(Input::PromptsLoaded(city::shipped()));
    }

    pub(super) fn tally(mut self) -> Tally {
        self.tally.count("a packet was lost", self.net.lost);
        self.tally.count("a packet came twice", self.net.repeated);
        self.tally
            .count("a packet was overtaken", self.net.overtaken);
        for recording in &self.recorder.closed {
            let is_any = !recording.carrier.is_empty();
            self.tally.count("a call was recorded", u64::from(is_any));
        }
        let unrecorded = u64::try_from(self.recorder.unrecorded.len()).expect("few");
        self.tally.count("a call was not recorded", unrecorded);
        for phone in &self.phones {
            for (words, what) in [
                ("< 200 INVITE (sdp)", "a call was answered"),
                ("over: cancelled", "a call was cancelled"),
                ("< 486 INVITE", "a call was refused"),
                ("agreed sendonly", "a session was changed"),
                ("< 488 INVITE", "a change was refused"),
                ("< PRACK", "a reliable answer"),
                ("> ACK (sdp)", "a delayed offer"),
                ("< INFO", "a request crossed"),
                ("< 202 REFER", "a transfer was taken"),
            ] {
                self.tally.count(what, u64::from(phone.has(words)));
            }
        }
        self.tally.simulated = self.clock.now().at - self.began;
        self.tally
    }

    // What happens.

    pub(super) fn happen(&mut self, dice: &mut Dice, what: Transition) {
        self.watch.disk(&self.recorder.archive.disk.everything());
        match what {
            Transition::CitizenCalls(number) => {
                self.call(dice, self.carrier, number, "a citizen called");
            }
            Transition::CitizenCallsOut => {
                let called = format!("07970{:05}", self.phones.len());
                self.call(dice, self.carrier, &called, "a citizen called elsewhere");
            }
            Transition::Lags(ms) => {
                self.lag = Duration::from_millis(ms);
                self.tally.count("messages waited", u64::from(ms > 0));
            }
            Transition::PromptIsCut => {
                if let Some(leg) = self.watch.prompted() {
                    self.tally.count("a prompt was cut", 1);
                    let now = self.clock.now().at;
                    self.shard.handle_command(now, Command::Quiet { leg });
                    self.drain_shard();
                    self.work_off();
                }
            }
            Transition::DiskStumbles(after) => {
                self.is_recorder_hurt = true;
                let disk = &self.recorder.archive.disk;
                disk.set_faults(Faults {
                    refused_write: Some(disk.write_count() + after),
                    ..Faults::default()
                });
                self.tally.count("the disk stumbled", 1);
            }
            Transition::CityCallsOut => {
                let called = format!("07980{:05}", self.phones.len());
                self.call(dice, self.pbx, &called, "the city called out");
            }
            Transition::CityCallsItself => {
                self.call(dice, self.pbx, plan::NUMBER, "the city called itself");
            }
            Transition::EmergencyCall(number) => {
                self.call(dice, self.pbx, number, "an emergency call");
            }
            Transition::CallBack => self.call(dice, self.carrier, plan::NUMBER, "a call back"),
            Transition::BrokenCall => self.call(dice, self.carrier, BROKEN, "a call that panicked"),
            Transition::Weather {
                loss_permille,
                repeat_permille,
                overtake_permille,
            } => {
                self.watch.is_rough |= loss_permille > 0;
                self.net.set_weather(Weather {
                    loss_permille,
                    repeat_permille,
                    overtake_permille,
                    ..Weather::default()
                });
            }
            Transition::PeerDies {
                is_carrier,
                is_refusing,
            } => {
                self.watch.is_rough = true;
                let peer = if is_carrier { self.carrier } else { self.pbx };
                self.dead.insert(peer, is_refusing);
            }
            Transition::PeersLive => self.dead.clear(),
            Transition::Declare => self.declare(),
            Transition::Lift => {
                let now = self.clock.now();
                if self.wiring.lift(now, None, "duty", None).is_ok() {
                    self.watch.lifted(now.at);
                    self.tally.count("an emergency was lifted", 1);
                }
                self.drain();
            }
            Transition::ClockJumps(seconds) => {
                self.is_recorder_hurt = true;
                self.clock.step_wall(SignedDuration::from_secs(seconds));
                // A step just before a crash is one that nobody has seen.
                self.tell(Input::Timeout);
                let what = if seconds > 0 {
                    "the clock jumped ahead"
                } else {
                    "the clock jumped back"
                };
                self.tally.count(what, 1);
            }
            Transition::DiskFills(is_full) => {
                self.is_recorder_hurt |= is_full;
                self.recorder.archive.disk.set_faults(Faults {
                    capacity_bytes: is_full.then_some(0),
                    ..Faults::default()
                });
                self.tally.count("the disk was full", u64::from(is_full));
            }
            Transition::ShardDies => self.lose_shard(),
            Transition::Restarts => self.restart(),
            Transition::Crashes => self.crash(),
        }
    }

    fn call(&mut self, dice: &mut Dice, from: SocketAddr, called: &str, what: &'static str) {
        let index = self.phones.len();
        let user = match (what, from == self.carrier) {
            ("a call back", _) => "119".to_owned(),
            (_, true) => format!("07900{index:05}"),
            (_, false) => format!("2{index:04}"),
        };
        let now = self.clock.now().at;
        let mut habits = transition::habits(dice);
        if user == "119" {
            let asserted = format!("P-Asserted-Identity: <sip:07900{index:05}@carrier.example>");
            habits.headers.push(asserted);
        }
        let (mut phone, invite) =
            Phone::dial(now, index, from, self.exchange, &user, called, habits);
        for (after, act) in transition::agenda_of_caller(dice) {
            phone.plan(now + after, act);
        }
        self.phones.push(phone);
        self.tally.count(what, 1);
        self.send_from_peer(invite);
    }

    fn declare(&mut self) {
        let now = self.clock.now();
        let scope = match self.dice.roll() % 3 {
            0 => Scope::Number(rules::Number::parse(plan::OTHER_NUMBER).expect("a number")),
            _ => Scope::All,
        };
        let most_s = one_of(&mut self.dice, &[60, 7_200]);
        let duration = Duration::from_secs(10 + self.dice.roll() % most_s);
        let declaration = Declaration {
            id: EmergencyId::new(now.wall, u128::from(self.dice.roll())),
            scope: scope.clone(),
            reason: "大雨".to_owned(),
            duration: Some(duration),
            declared_by: None,
            unix_user: "duty".to_owned(),
        };
        if self
            .wiring
            .declare(now, declaration, Digest([7; 32]))
            .is_ok()
        {
            self.watch.declared(now.at, scope, duration);
            self.tally.count("an emergency was declared", 1);
        }
        self.drain();
    }

    fn lose_shard(&mut self) {
        let index = self.shard.index();
        self.tally.count("a shard died", 1);
        self.shard = Shard::new(index + 1, address("127.0.0.1:20000"), LEGS, self.seed);
        self.watch.shard_lost();
        self.watch.is_rough = true;
        self.tell(Input::ShardLost(index));
        let legs = self.shard.offer_all();
        self.watch.lent(&legs);
        self.tell(Input::LegsOffered(legs));
    }

    /// Stopped as an operator stops it: goodbyes first, then a new process.
    fn restart(&mut self) {
        self.tally.count("a restart", 1);
        self.is_closing = true;
        // Once for most calls, once more for those to 110, 118 and 119.
        self.tell(Input::Shutdown);
        self.tell(Input::Shutdown);
        let end = self.clock.now().at + Duration::from_secs(40);
        while !self.wiring.is_idle() && self.next().is_some_and(|due| due <= end) {
            self.step();
        }
        self.begin_anew();
    }

    fn crash(&mut self) {
        self.tally.count("a crash", 1);
        self.watch.disk(&self.recorder.archive.disk.everything());
        self.lost
            .extend(self.wiring.exchange().calls().iter().map(|call| call.id));
        let shard = self.shard.index() + 1;
        self.shard = Shard::new(shard, address("127.0.0.1:20000"), LEGS, self.seed);
        self.recorder.lose();
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        let mut emergency = self.saved.clone();
        emergency.handle_restart(self.clock.now().wall);
        self.inputs.clear();
        self.is_closing = false;
        self.watch.is_rough = true;
        let seed = seed_of(self.dice.roll());
        self.wiring = Wiring::new(self.settings.clone(), emergency, seed);
        let shard = self.shard.index() + 1;
        self.shard = Shard::new(shard, address("127.0.0.1:20000"), LEGS, self.seed);
        self.reference.forget();
        self.wake();
    }

    // Time.

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.clock.now().at + time;
        while self.next().is_some_and(|due| due <= end) {
            self.step();
        }
        self.clock.move_to(end);
    }

    /// The weather clears, all peers live, and everybody comes to an end.
    pub(super) fn calm(&mut self) {
        self.net.set_weather(Weather::default());
        self.dead.clear();
        self.lag = Duration::ZERO;
        self.recorder.archive.disk.set_faults(Faults::default());
        let end = self.clock.now().at + CALM;
        let is_over = |world: &World| {
            world
                .phones
                .iter()
                .all(|phone| !phone.end_of_call().is_empty() && phone.is_quiet())
                && world.wiring.is_idle()
        };
        while !is_over(self) && self.next().is_some_and(|due| due <= end) {
            self.step();
        }
        // What is over is forgotten when nothing late can come any more.
        self.run_for(Duration::from_secs(70));
        self.prove_itself();
        self.reference.finish(self.clock.now().at);
        let wall = self.clock.now().wall;
        self.recorder.archive.flush_rows(wall);
    }

    /// Two plain calls each way: what has been down must be up after them.
    fn prove_itself(&mut self) {
        for count in 0..4 {
            let (from, called) = match count % 2 {
                0 => (self.carrier, plan::NUMBER),
                _ => (self.pbx, "0797912345"),
            };
            let (now, index) = (self.clock.now().at, self.phones.len());
            let user = format!("{}{index:05}", if count % 2 == 0 { "07900" } else { "2" });
            let habits = Habits::default();
            let (mut phone, invite) =
                Phone::dial(now, index, from, self.exchange, &user, called, habits);
            phone.plan(now + Duration::from_secs(30), Act::HangUp);
            self.phones.push(phone);
            self.is_plain = true;
            self.send_from_peer(invite);
            self.run_for(Duration::from_secs(75));
        }
    }

    fn is_dead(&self, address: SocketAddr) -> bool {
        self.dead.contains_key(&address)
    }

    fn next(&mut self) -> Option<Instant> {
        let wiring = self.wiring.poll_timeout().map(|(due, _)| due);
        let phones = self
            .phones
            .iter()
            .filter(|phone| !self.is_dead(phone.address))
            .filter_map(Phone::next_due)
            .min();
        [
            self.net.next_due(),
            wiring,
            self.shard.next_due(),
            phones,
            self.recorder.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn step(&mut self) {
        let Some(due) = self.next() else { return };
        self.clock.move_to(due);
        let now = self.clock.now().at;
        while let Some(packet) = self.net.deliver(now) {
            self.deliver(&packet);
        }
        for index in 0..self.phones.len() {
            let phone = &mut self.phones[index];
            if !self.dead.contains_key(&phone.address)
                && phone.next_due().is_some_and(|due| due <= now)
            {
                for packet in phone.handle_timeout(now) {
                    self.send_from_peer(packet);
                }
            }
        }
        if self
            .wiring
            .poll_timeout()
            .is_some_and(|(due, _)| due <= now)
        {
            self.tell(Input::Timeout);
        }
        if self.shard.next_due().is_some_and(|due| due <= now) {
            self.shard.handle_timeout(now);
        }
        self.drain_shard();
        self.work_off();
        if self.recorder.next_due().is_some_and(|due| due <= now) {
            let events = self.recorder.handle_timeout(now);
            self.inputs.extend(events.into_iter().map(Input::Recorder));
            self.work_off();
        }
    }

    // Packets.

    fn send_from_peer(&mut self, packet: Packet) {
        self.net.send(self.clock.now().at, packet);
    }

    fn deliver(&mut self, packet: &Packet) {
        let now = self.clock.now().at;
        if packet.to == self.exchange {
            self.reference.came(now, packet);
            let hop = Hop::udp(packet.to, packet.from);
            let payload = packet.payload.clone().into();
            return self.tell(Input::Message {
                hop,
                payload,
                received_at: now.checked_sub(self.lag).unwrap_or(now),
            });
        }
        if self.shard.is_mine(packet.to) {
            if let Some(forward) = self.shard.handle_packet(now, packet) {
                self.net.send(now, forward);
            }
            return;
        }
        let is_sip = packet.to == self.carrier || packet.to == self.pbx;
        match self.dead.get(&packet.to) {
            Some(true) => {
                self.tally.count("a peer refused", 1);
                self.reference.unreachable(packet.to);
                return self.tell(Input::Unreachable {
                    hop: Hop::udp(packet.from, packet.to),
                    why: Unreachable::Nobody,
                });
            }
            Some(false) => {
                self.tally.count("a peer died in silence", 1);
                return;
            }
            None => {}
        }
        if is_sip {
            return self.deliver_to_phone(now, packet);
        }
        let index = usize::from(packet.to.port().saturating_sub(30_000) / 2);
        if let Some(phone) = self.phones.get_mut(index) {
            phone.voice.hear(now, packet);
        }
    }

    fn deliver_to_phone(&mut self, now: Instant, packet: &Packet) {
        let message = Text::read(&packet.payload);
        let known = self
            .phones
            .iter()
            .position(|phone| phone.address == packet.to && phone.is_mine(&message));
        let index = match known {
            Some(index) => index,
            None if message.method() == "INVITE" && message.status().is_none() => {
                let index = self.phones.len();
                let (habits, agenda) = if self.is_plain {
                    let ring = (Duration::from_millis(300), Act::Ring(Early::Silent));
                    let answer = (Duration::from_secs(1), Act::Answer);
                    (Habits::default(), vec![ring, answer])
                } else {
                    let habits = transition::habits(&mut self.dice);
                    (habits, transition::agenda_of_called(&mut self.dice))
                };
                let mut phone = Phone::ring(now, index, packet.to, self.exchange, &message, habits);
                for (after, act) in agenda {
                    phone.plan(now + after, act);
                }
                let trying = phone.trying(now);
                self.phones.push(phone);
                return self.net.send(now, trying);
            }
            // A late answer to a telephone of which nobody knows any more.
            None => return,
        };
        for answer in self.phones[index].handle(now, &message) {
            self.net.send(now, answer);
        }
    }

    fn tell(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.work_off();
    }

    fn work_off(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let now = self.clock.now();
            let wiring = &mut self.wiring;
            if catch_unwind(AssertUnwindSafe(|| wiring.handle(now, input))).is_err() {
                assert!(
                    self.wiring.recover(now).is_some(),
                    "a panic that belongs to no call"
                );
            }
            self.drain();
        }
        self.reference.rest();
    }

    fn drain(&mut self) {
        let now = self.clock.now().at;
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Sip(transmit) => {
                    let (from, to) = (transmit.hop.local, transmit.hop.remote);
                    let payload = transmit.payload.to_vec();
                    let packet = Packet { from, to, payload };
                    self.reference.went(now, &packet);
                    self.no_emergency_call_is_turned_away(&packet);
                    self.net.send(now, packet);
                }
                Output::Media { shard, command } => {
                    assert_eq!(shard, self.shard.index(), "commands go to living shards");
                    self.watch.commanded(&command);
                    let lent = self.shard.handle_command(now, command);
                    self.watch.lent(&lent);
                    if !lent.is_empty() {
                        self.inputs.push_back(Input::LegsOffered(lent));
                    }
                }
                Output::Record(order) => {
                    let report = self.recorder.handle_order(self.clock.now(), order);
                    self.inputs.extend(report.map(Input::Recorder));
                }
                Output::SaveEmergency(state) => self.saved = state,
                Output::Trace(event) => match event.what {
                    Milestone::House(what) if what == "ExpectAck" || what == "Passing" => {
                        self.taken_in.insert(event.call);
                        self.watch.taken_in(now, event.call);
                    }
                    Milestone::House(what) if what == "outbound" || what == "internal" => {
                        self.out_of_scope.insert(event.call);
                    }
                    Milestone::House(_)
                    | Milestone::Message { .. }
                    | Milestone::Began
                    | Milestone::Refused(_)
                    | Milestone::Ended(_) => {}
                },
                _ => {}
            }
        }
        self.drain_shard();
    }

    /// S-17: while there are ports, a call to 110, 118 or 119 finds room.
    fn no_emergency_call_is_turned_away(&mut self, packet: &Packet) {
        if self.is_closing || !packet.payload.starts_with(b"SIP/2.0 503") {
            return;
        }
        let message = Text::read(&packet.payload);
        let is_emergency = ["110", "118", "119"]
            .iter()
            .any(|number| message.header("To").contains(&format!("<sip:{number}@")));
        let is_opening = message.method() == "INVITE" && message.sequence() == 1;
        let is_within = packet.to == self.pbx;
        // What the carrier has refused is no doing of the exchange's.
        let is_refused_by_carrier = self
            .phones
            .iter()
            .any(|phone| phone.address == self.carrier && phone.has("> 503 INVITE"));
        let free = self.wiring.exchange().free_leg_count();
        if is_within
            && is_emergency
            && is_opening
            && free >= 4
            && !is_refused_by_carrier
            && !self.watch.is_rough
        {
            self.watch
                .faults
                .push("an emergency call was turned away".to_owned());
        }
    }

    fn drain_shard(&mut self) {
        let now = self.clock.now().at;
        while let Some(packet) = self.shard.poll_packet() {
            self.watch.left(packet.from, packet.payload.len());
            self.net.send(now, packet);
        }
        while let Some(event) = self.shard.poll_event() {
            if let Event::PlaybackEnded {
                leg,
                playback,
                samples_sent: sent,
                samples_total: total,
                started,
                ended,
            } = event
            {
                self.watch.prompt_ended(leg, sent);
                self.playbacks.push(Playback {
                    leg,
                    playback,
                    sent,
                    total,
                    started,
                    ended,
                });
            }
            self.inputs.push_back(Input::Media(event));
        }
    }
}

fn seed_of(seed: u64) -> [u8; 32] {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    octets
}

/// Whether a telephone is still in a call.
pub(super) fn is_open(phone: &Phone) -> bool {
    !matches!(phone.stage(), Stage::Over(_))
}
