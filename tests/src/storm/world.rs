//! The world of a storm: the shipping wiring, one real media engine, telephones that live by themselves, and whatever befalls them.

mod dues;
mod happening;
mod streams;
mod traffic;
mod transfers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use exchange::{FaultMoment, Input, Limits, Settings, Wiring};
use jiff::Timestamp;
use rules::{CallId, EmergencyState, Number};
use sip_core::Transport;
use storage::Faults;

use self::{
    dues::Dues,
    transfers::{Consultation, Joining},
};
use super::{Tally, Ways, watch::Watch};
use crate::{
    archive::Archive,
    city::{self, Playback},
    clock::Clock,
    connections::Connections,
    net::{Dice, Net, Weather},
    phone::{Act, Habits, Phone, Stage},
    plan::{self, Plan},
    recorder::Recorder,
    reference::Reference,
    shard::Shard,
    transition::{chance, one_of},
};

/// The number whose calls break an invariant.
pub(super) const BROKEN: &str = "0783331003";

/// Port pairs of the one shard: enough for a storm, and few enough that it finds none left.
const LEGS: u32 = 40;

/// Makes the dice of connections others than the world's.
const STREAMS: u64 = 0x7c9_7c9;

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
    /// Prompts that have ended, with the wall time of their end.
    pub(super) playbacks: Vec<(Playback, Timestamp)>,
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
    connections: Connections,
    /// Peers that are reached by TCP.
    by_stream: BTreeSet<SocketAddr>,
    /// What befalls connections is drawn from these, so that whoever has none is befallen by the same as ever.
    stream_dice: Dice,
    dice: Dice,
    inputs: VecDeque<Input>,
    dues: Dues,
    consultations: Vec<Consultation>,
    joinings: VecDeque<Joining>,
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
    pub(super) fn new(seed: u64, ways: Ways, dice: &mut Dice) -> World {
        let (exchange, carrier, pbx) = (
            address("127.0.0.1:5060"),
            address("127.0.0.2:5060"),
            address("127.0.0.3:5062"),
        );
        let mut stream_dice = Dice::new(seed ^ STREAMS);
        let by_stream = match ways {
            Ways::Datagrams => BTreeSet::new(),
            Ways::Any => streams::draw(&mut stream_dice, carrier, pbx),
        };
        let by = |peer| match by_stream.contains(&peer) {
            true => Transport::Tcp,
            false => Transport::Udp,
        };
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
                broken.number = Number::parse(BROKEN).expect("a number");
                settings.numbers.push(broken);
            },
            limits: Limits {
                calls: one_of(dice, &[1_300, 1_300, 1_300, 5]),
                ..Limits::default()
            },
            legs: LEGS,
            carrier_by: by(carrier),
            pbx_by: by(pbx),
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
            reference: Reference::new(carrier, by_stream.clone()),
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
            connections: Connections::new(seed),
            by_stream,
            stream_dice,
            dice: Dice::new(seed ^ 0xd1ce),
            inputs: VecDeque::new(),
            dues: Dues::default(),
            consultations: Vec::new(),
            joinings: VecDeque::new(),
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
        for (what, times) in [
            ("a message came in pieces", self.connections.cut),
            ("a connection stalled", self.connections.stalled),
            ("a connection was made anew", self.connections.reopened),
        ] {
            self.tally.count(what, times);
        }
        for recording in &self.recorder.closed {
            let is_any = !recording.carrier.is_empty();
            self.tally.count("a call was recorded", u64::from(is_any));
        }
        let outcomes = self.reference.outcomes;
        for (times, what) in [
            (outcomes.blind, "a blind transfer was made"),
            (outcomes.attended, "an attended transfer was made"),
            (outcomes.failed, "a transfer failed"),
        ] {
            self.tally.count(what, times);
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
                ("< 403 REFER", "a transfer was forbidden"),
            ] {
                self.tally.count(what, u64::from(phone.has(words)));
            }
        }
        self.tally.simulated = self.clock.now().at - self.began;
        self.tally
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
        self.weather(Weather::default());
        self.revive();
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
        self.compare_emergencies();
        self.prove_itself();
        self.reference.finish(self.clock.now().at);
        let wall = self.clock.now().wall;
        self.recorder.archive.flush_rows(wall);
    }

    /// What is in force is what was declared and has not ended.
    fn compare_emergencies(&mut self) {
        let (now, state) = (self.clock.now(), self.wiring.exchange().emergency());
        for called in [plan::NUMBER, plan::OTHER_NUMBER] {
            let called = Number::parse(called).expect("a number");
            self.watch
                .compare_emergencies(now.at, now.wall, state, &called);
        }
    }

    /// Two plain calls each way: what has been down must be up after them.
    fn prove_itself(&mut self) {
        for count in 0..4 {
            let (from, called) = match count % 2 {
                0 => (self.carrier, plan::NUMBER),
                _ => (self.pbx, "0797912345"),
            };
            let index = self.phones.len();
            let user = format!("{}{index:05}", if count % 2 == 0 { "07900" } else { "2" });
            let agenda = vec![(Duration::from_secs(30), Act::HangUp)];
            self.is_plain = true;
            self.dial(from, &user, called, Habits::default(), agenda);
            self.run_for(Duration::from_secs(75));
        }
    }

    fn is_dead(&self, address: SocketAddr) -> bool {
        self.dead.contains_key(&address)
    }

    fn next(&mut self) -> Option<Instant> {
        let wiring = self.wiring.poll_timeout().map(|(due, _)| due);
        let phones = self
            .dues
            .next(|index| !self.is_dead(self.phones[index].address));
        [
            self.net.next_due(),
            self.connections.next_due(),
            wiring,
            self.shard.next_due(),
            phones,
            self.recorder.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A telephone has done something: what it does next is known anew.
    fn renew(&mut self, index: usize) {
        let due = self.phones[index].next_due();
        self.dues.set(index, due);
    }

    fn step(&mut self) {
        let Some(due) = self.next() else { return };
        self.clock.move_to(due);
        let now = self.clock.now().at;
        while let Some(packet) = self.net.deliver(now) {
            self.deliver(&packet);
        }
        while let Some(messages) = self.connections.deliver(now) {
            for message in messages {
                self.deliver(&message);
            }
        }
        for index in self.dues.due(now) {
            if self.is_dead(self.phones[index].address) {
                continue;
            }
            for packet in self.phones[index].handle_timeout(now) {
                self.send_from_peer(packet);
            }
            self.renew(index);
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
        self.look_at_joinings(now);
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
