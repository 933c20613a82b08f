//! The storm: a city in which everything happens that can, drawn from a seed, and a reference that knows what must come of it.
//!
//! One seed is one storm: an hour or less of telephones, weather, dying peers, restarts and emergencies, and then a calm in which all
//! must come to its end. Start at [`run`].

mod checks;
mod watch;
mod world;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    net::Dice,
    transition::{self, Transition},
};

use self::world::World;

/// What happened in a storm, or in many.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How often each thing happened, by its name.
    pub fired: BTreeMap<&'static str, u64>,
    /// Simulated time.
    pub simulated: Duration,
}

impl Tally {
    /// Counts something.
    pub fn count(&mut self, what: &'static str, times: u64) {
        *self.fired.entry(what).or_default() += times;
    }

    /// Adds another storm's.
    pub fn add(&mut self, other: &Tally) {
        for (what, times) in &other.fired {
            self.count(what, *times);
        }
        self.simulated += other.simulated;
    }

    /// What has never happened of all that should.
    pub fn missing(&self, ways: Ways) -> Vec<&'static str> {
        let is_missing = |what: &&&str| self.fired.get(**what).copied().unwrap_or(0) == 0;
        let of_streams: &[&str] = match ways {
            Ways::Datagrams => &[],
            Ways::Any => &EXPECTED_OF_STREAMS,
        };
        let expected = EXPECTED.iter().chain(of_streams);
        expected.filter(is_missing).copied().collect()
    }
}

/// How peers are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// By UDP, and in nearly every second storm one or both by TCP.
    Any,
    /// By UDP.
    Datagrams,
}

/// What a run in which peers are reached by TCP must have seen besides.
pub const EXPECTED_OF_STREAMS: [&str; 5] = [
    "a message came in pieces",
    "a connection stalled",
    "a connection was lost",
    "a connection was closed on one side",
    "a connection was made anew",
];

/// What a run of storms must have seen, so that its green means something.
pub const EXPECTED: [&str; 40] = [
    "a citizen called",
    "the city called out",
    "the city called itself",
    "an emergency call",
    "a call back",
    "a citizen called elsewhere",
    "messages waited",
    "a prompt was cut",
    "the disk stumbled",
    "a call that panicked",
    "a packet was lost",
    "a packet came twice",
    "a packet was overtaken",
    "a peer died in silence",
    "a peer refused",
    "an emergency was declared",
    "an emergency was lifted",
    "the clock jumped ahead",
    "the clock jumped back",
    "the disk was full",
    "a shard died",
    "a restart",
    "a crash",
    "a call was recorded",
    "a call was not recorded",
    "a call was answered",
    "a call was cancelled",
    "a call was refused",
    "a session was changed",
    "a change was refused",
    "a reliable answer",
    "a delayed offer",
    "a request crossed",
    "a transfer was taken",
    "a transfer was forbidden",
    "a transfer failed",
    "a blind transfer was made",
    "somebody was consulted",
    "an attended transfer was made",
    "joined parties heard each other",
];

/// Runs one storm.
///
/// # Panics
/// Where a law, a checker or the reference finds a fault; the message says which.
pub fn run(seed: u64, ways: Ways) -> Tally {
    let mut dice = Dice::new(seed ^ 0x5704_5704_5704_5704);
    let mut world = World::new(seed, ways, &mut dice);
    let steps = 5 + dice.roll() % 40;
    for _ in 0..steps {
        let what = Transition::draw(&mut dice);
        world.happen(&mut dice, what);
        let pause = transition::pause(&mut dice);
        world.run_for(pause);
    }
    world.calm();
    checks::check(&world);
    world.tally()
}
