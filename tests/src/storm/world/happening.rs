//! What befalls the world of a storm: calls, weather, deaths, emergencies, restarts.

use std::{net::SocketAddr, time::Duration};

use exchange::{Input, Wiring};
use jiff::SignedDuration;
use media::Command;
use rules::{Declaration, Digest, EmergencyId, Scope};
use storage::Faults;

use super::{BROKEN, LEGS, World, address, seed_of};
use crate::{
    net::{Dice, Weather},
    phone::{Act, Habits, Phone},
    plan,
    shard::Shard,
    transition::{self, Transition, one_of},
};

impl World {
    pub(in crate::storm) fn happen(&mut self, dice: &mut Dice, what: Transition) {
        self.watch.disk(&self.recorder.archive.disk);
        self.compare_emergencies();
        self.befall_connections();
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
            Transition::Consults => self.consult(dice),
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
                self.weather(Weather {
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
                self.connections.lose(peer);
            }
            Transition::PeersLive => self.revive(),
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
        let mut habits = transition::habits(dice);
        if user == "119" {
            let asserted = format!("P-Asserted-Identity: <sip:07900{index:05}@carrier.example>");
            habits.headers.push(asserted);
        }
        let agenda = transition::agenda_of_caller(dice);
        self.dial(from, &user, called, habits, agenda);
        self.tally.count(what, 1);
    }

    pub(super) fn dial(
        &mut self,
        from: SocketAddr,
        user: &str,
        called: &str,
        habits: Habits,
        agenda: Vec<(Duration, Act)>,
    ) {
        let (now, index) = (self.clock.now().at, self.phones.len());
        let hop = self.hop_of_phone(from);
        let (mut phone, invite) = Phone::dial(now, index, hop, user, called, habits);
        for (after, act) in agenda {
            phone.plan(now + after, act);
        }
        self.phones.push(phone);
        self.renew(index);
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
        self.watch.disk(&self.recorder.archive.disk);
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
        self.drop_connections();
        self.is_closing = false;
        self.watch.is_rough = true;
        let seed = seed_of(self.dice.roll());
        self.wiring = Wiring::new(self.settings.clone(), emergency, seed);
        let shard = self.shard.index() + 1;
        self.shard = Shard::new(shard, address("127.0.0.1:20000"), LEGS, self.seed);
        self.reference.forget(self.clock.now().at);
        self.wake();
    }
}
