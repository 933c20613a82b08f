//! Floods: too many calls for the ports, for the processor, for a number's share; and who gets in all the same.

use std::{collections::VecDeque, num::NonZeroU32};

use jiff::Timestamp;
use rand_core::SeedableRng;

use super::*;
use crate::overload::{Cap, Caps, PrefixCap};

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

fn city(index: usize) -> Number {
    number(&format!("0783331{index:03}"))
}

#[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
fn start() -> Instant {
    Instant::now()
}

/// A door with so many places, half of them may be half open.
struct Door {
    admission: Admission,
    now: Instant,
    places: usize,
    peer: PeerId,
    made: u64,
}

impl Door {
    fn new(places: usize, overload: &Overload) -> Door {
        Door {
            admission: Admission::new(overload, ChaCha20Rng::seed_from_u64(9)),
            now: start(),
            places,
            peer: PeerId(0),
            made: 0,
        }
    }

    fn room(&self) -> Room {
        Room {
            free_legs: 2 * self.places.saturating_sub(self.admission.shares.held()),
            limits: Limits {
                calls: self.places,
                half_open: self.places,
                ..Limits::default()
            },
        }
    }

    fn knock(
        &mut self,
        class: Class,
        dialled: &Number,
        caller: &Caller,
        waited: Duration,
    ) -> Result<CallId, Refusal> {
        let newcomer = Newcomer {
            class,
            peer: self.peer,
            dialled: Some(dialled),
            caller: &|| caller.clone(),
            waited,
        };
        let room = self.room();
        self.admission.heard(self.now, waited);
        self.admission.judge(self.now, &newcomer, room)?;
        self.made += 1;
        let call = CallId::new(Timestamp::UNIX_EPOCH, u128::from(self.made));
        self.admission.begun(call, Some(dialled));
        Ok(call)
    }

    fn call(&mut self, class: Class) -> Result<CallId, Refusal> {
        self.knock(class, &city(1), &Caller::Anonymous, Duration::ZERO)
    }
}

#[test]
fn the_last_places_are_for_priority_and_emergency() {
    let mut door = Door::new(100, &Overload::default());
    let calls: Vec<CallId> = (0..98).map(|_| door.call(Class::Rest).unwrap()).collect();
    assert_eq!(door.call(Class::Rest), Err(Refusal::Full));
    assert!(door.call(Class::Priority).is_ok());
    assert_eq!(
        door.call(Class::Priority),
        Err(Refusal::Full),
        "the last ports are for 110, 118 and 119"
    );
    let cap_is_reached = Room {
        limits: Limits {
            calls: 10,
            ..Limits::default()
        },
        ..door.room()
    };
    let emergency = Newcomer {
        class: Class::Emergency,
        peer: PeerId(0),
        dialled: Some(&city(1)),
        caller: &|| Caller::Anonymous,
        waited: Duration::from_secs(5),
    };
    assert_eq!(
        door.admission.judge(door.now, &emergency, cap_is_reached),
        Ok(()),
        "above every cap"
    );
    for call in &calls[..2] {
        door.admission.ended(*call);
    }
    assert!(door.call(Class::Rest).is_ok());
    assert_eq!(door.call(Class::Rest), Err(Refusal::Full));
}

#[test]
fn a_small_house_keeps_a_place_for_emergency_too() {
    for (places, rest) in [(9, 9), (10, 9), (40, 39), (99, 98), (400, 392)] {
        let mut door = Door::new(places, &Overload::default());
        let taken = (0..places)
            .filter(|_| door.call(Class::Rest).is_ok())
            .count();
        assert_eq!(taken, rest, "of {places}");
        assert_eq!(door.call(Class::Emergency).is_ok(), rest < places);
    }
}

#[test]
fn an_invite_that_waited_for_over_a_second_is_refused() {
    let mut door = Door::new(100, &Overload::default());
    let waited = |door: &mut Door, class, waited_ms| {
        let waited = Duration::from_millis(waited_ms);
        door.knock(class, &city(1), &Caller::Anonymous, waited)
            .err()
    };
    assert_eq!(waited(&mut door, Class::Rest, 1_000), None);
    assert_eq!(waited(&mut door, Class::Rest, 1_001), Some(Refusal::Waited));
    assert_eq!(
        waited(&mut door, Class::Priority, 1_001),
        Some(Refusal::Waited)
    );
    assert_eq!(waited(&mut door, Class::Emergency, 9_000), None);
}

#[test]
fn callers_who_never_acknowledge_hold_a_bounded_number_of_places() {
    let mut door = Door::new(100, &Overload::default());
    let knock = |door: &mut Door| {
        let room = Room {
            limits: Limits {
                half_open: 10,
                ..door.room().limits
            },
            ..door.room()
        };
        let newcomer = Newcomer {
            class: Class::Rest,
            peer: PeerId(0),
            dialled: Some(&city(1)),
            caller: &|| Caller::Anonymous,
            waited: Duration::ZERO,
        };
        door.admission.judge(door.now, &newcomer, room)?;
        door.made += 1;
        let call = CallId::new(Timestamp::UNIX_EPOCH, u128::from(door.made));
        door.admission.begun(call, Some(&city(1)));
        Ok(call)
    };
    let calls: Vec<CallId> = (0..10).map(|_| knock(&mut door).unwrap()).collect();
    assert_eq!(knock(&mut door), Err(Refusal::HalfOpen));
    door.admission.acknowledged(calls[0]);
    assert!(knock(&mut door).is_ok());
    assert_eq!(knock(&mut door), Err(Refusal::HalfOpen));
    door.admission.ended(calls[1]);
    assert!(knock(&mut door).is_ok());
}

#[test]
fn refusals_are_told_once_a_minute_with_their_reasons() {
    let mut door = Door::new(100, &Overload::default());
    let first = door.admission.refuse(door.now, Refusal::Full);
    assert_eq!(first, Some(Refused::from([(Refusal::Full, 1)])));
    for _ in 0..999 {
        assert_eq!(door.admission.refuse(door.now, Refusal::Share), None);
    }
    let later = door.admission.refuse(door.now + ALARM_PAUSE, Refusal::Full);
    assert_eq!(
        later,
        Some(Refused::from([(Refusal::Full, 1), (Refusal::Share, 999)]))
    );
}

#[test]
fn callers_refused_together_are_not_asked_back_together() {
    let mut door = Door::new(1, &Overload::default());
    let seconds: BTreeSet<u64> = (0..200).map(|_| door.admission.retry_after_s()).collect();
    assert_eq!(seconds, (5..=15).collect());
}

fn cap(calls: u32, period_s: u64) -> Cap {
    Cap {
        calls: NonZeroU32::new(calls).unwrap(),
        period: Duration::from_secs(period_s),
    }
}

#[test]
fn each_cap_holds_back_its_own_and_none_is_set_by_default() {
    let known = |text: &str| Caller::Known(number(text));
    let overload = Overload {
        caps: Caps {
            caller: Some(cap(2, 60)),
            prefix: Some(PrefixCap {
                digits: std::num::NonZeroU8::new(4).unwrap(),
                cap: cap(4, 60),
            }),
            anonymous: Some(cap(1, 60)),
            number: Some(cap(8, 60)),
            peer: None,
        },
        ..Overload::default()
    };
    let mut door = Door::new(1_000, &overload);
    let calls = |door: &mut Door, class, caller: &Caller, dialled: &Number| {
        let calls = (0..9).map(|_| door.knock(class, dialled, caller, Duration::ZERO));
        calls.filter(Result::is_ok).count()
    };
    let rest = Class::Rest;
    assert_eq!(
        calls(&mut door, rest, &known("0790000001"), &city(1)),
        2,
        "one caller"
    );
    assert_eq!(
        calls(&mut door, rest, &known("0790000002"), &city(2)),
        2,
        "his neighbour"
    );
    assert_eq!(
        calls(&mut door, rest, &known("0790000003"), &city(3)),
        0,
        "their exchange"
    );
    assert_eq!(
        calls(&mut door, rest, &Caller::Anonymous, &city(3)),
        1,
        "all who are withheld"
    );
    assert_eq!(
        calls(&mut door, Class::Priority, &known("0450000001"), &city(4)),
        2
    );
    assert_eq!(
        calls(&mut door, Class::Emergency, &known("0450000001"), &city(4)),
        9,
        "knows no cap"
    );
    door.now += Duration::from_secs(60);
    assert_eq!(
        calls(&mut door, rest, &known("0790000001"), &city(5)),
        2,
        "a minute later"
    );
    let mut free = Door::new(1_000, &Overload::default());
    let one = known("0790000001");
    assert_eq!(
        calls(&mut free, rest, &one, &city(1)),
        9,
        "companies call from one number"
    );
}

#[test]
fn a_peer_has_its_own_cap_whoever_calls_through_it() {
    let overload = Overload {
        caps: Caps {
            peer: Some(cap(3, 60)),
            ..Caps::default()
        },
        ..Overload::default()
    };
    let mut door = Door::new(1_000, &overload);
    for (peer, class, expected) in [
        (0, Class::Rest, 3),
        (1, Class::Priority, 3),
        (0, Class::Emergency, 9),
        (1, Class::Rest, 0),
    ] {
        door.peer = PeerId(peer);
        let let_in = (0..9).filter(|index| {
            let caller = Caller::Known(number(&format!("07900000{index:02}")));
            let knocked = door.knock(class, &city(*index), &caller, Duration::ZERO);
            knocked.is_ok()
        });
        assert_eq!(let_in.count(), expected, "{peer} {class:?}");
    }
}

#[test]
fn a_dialled_number_has_its_own_cap() {
    let overload = Overload {
        caps: Caps {
            number: Some(cap(3, 30)),
            ..Caps::default()
        },
        ..Overload::default()
    };
    let mut door = Door::new(1_000, &overload);
    let mut let_in = 0;
    for second in 0..30_u32 {
        let caller = Caller::Known(number(&format!("079000{second:04}")));
        let knocked = door.knock(Class::Rest, &city(1), &caller, Duration::ZERO);
        let_in += u32::from(knocked.is_ok());
        assert!(
            door.knock(
                Class::Rest,
                &city(2 + second as usize),
                &caller,
                Duration::ZERO
            )
            .is_ok()
        );
        door.now += Duration::from_secs(1);
    }
    assert_eq!(let_in, 5, "three at once, then one in ten seconds");
}

/// A processor that serves one message after the other, in the order in which they came.
struct Processor {
    door: Door,
    /// When each message came, what it is, and to which number.
    coming: BTreeMap<(u64, u64), Coming>,
    sequence: u64,
    free_at_us: u64,
    began: Instant,
    report: Report,
}

#[derive(Clone)]
enum Coming {
    Invite(usize),
    /// So many messages of the call follow.
    Inside(CallId, u8),
}

#[derive(Debug, Default)]
struct Report {
    finished: u64,
    late: u64,
    refused: u64,
    refused_late: u64,
    inside_refused: u64,
    by_number: BTreeMap<usize, u64>,
}

/// What a call costs: its INVITE, and the five messages that follow. Together 0.7 ms; a refusal takes a 200th of it.
const INVITE_US: u64 = 200;
const INSIDE_US: u64 = 100;
const INSIDE: u8 = 5;
const REFUSAL_US: u64 = 3;
const CALL_US: u64 = INVITE_US + INSIDE_US * INSIDE as u64;

impl Processor {
    fn new() -> Processor {
        let door = Door::new(1_000_000, &Overload::default());
        Processor {
            began: door.now,
            door,
            coming: BTreeMap::new(),
            sequence: 0,
            free_at_us: 0,
            report: Report::default(),
        }
    }

    fn comes(&mut self, at_us: u64, what: Coming) {
        self.sequence += 1;
        self.coming.insert((at_us, self.sequence), what);
    }

    /// Serves what comes; only what came after `from_us` is counted.
    fn serve(&mut self, from_us: u64, until_us: u64) {
        while let Some(((came_us, _), what)) = self.coming.pop_first() {
            if came_us > until_us {
                return;
            }
            let at_us = self.free_at_us.max(came_us);
            let waited = Duration::from_micros(at_us - came_us);
            self.door.now = self.began + Duration::from_micros(at_us);
            let counts = u64::from(came_us >= from_us);
            let cost_us = match what {
                Coming::Invite(dialled) => {
                    let number = city(dialled);
                    let knocked = self
                        .door
                        .knock(Class::Rest, &number, &Caller::Anonymous, waited);
                    match knocked {
                        Ok(call) => {
                            self.comes(at_us + 30_000, Coming::Inside(call, INSIDE));
                            self.report.late +=
                                counts * u64::from(waited > Duration::from_millis(500));
                            *self.report.by_number.entry(dialled).or_default() += counts;
                            INVITE_US
                        }
                        Err(_) => {
                            self.report.refused += counts;
                            let is_late = waited > Duration::from_millis(100);
                            self.report.refused_late += counts * u64::from(is_late);
                            REFUSAL_US
                        }
                    }
                }
                Coming::Inside(call, left) => {
                    self.door.admission.heard(self.door.now, waited);
                    self.door.admission.acknowledged(call);
                    if left > 1 {
                        self.comes(at_us + 30_000, Coming::Inside(call, left - 1));
                    } else {
                        self.door.admission.ended(call);
                        self.report.finished += counts;
                    }
                    INSIDE_US
                }
            };
            self.free_at_us = at_us + cost_us;
        }
    }
}

/// Calls at so many times what can be served; `attack` of ten go to number 0, the others to ten numbers in turn.
fn flood(times: u64, attack: u64) -> Report {
    const SECONDS: u64 = 6;
    let mut processor = Processor::new();
    let mut generator = ChaCha20Rng::seed_from_u64(times);
    let calls = times * SECONDS * 1_000_000 / CALL_US;
    for _ in 0..calls {
        let at_us = generator.next_u64() % (SECONDS * 1_000_000);
        let dialled = if generator.next_u64() % 10 < attack {
            0
        } else {
            1 + usize::try_from(generator.next_u64() % 10).unwrap()
        };
        processor.comes(at_us, Coming::Invite(dialled));
    }
    processor.serve(2_000_000, SECONDS * 1_000_000);
    processor.report
}

#[test]
fn goodput_stays_while_ten_times_as_many_call_as_can_be_served() {
    // The rate that can be served, over the four seconds that are counted.
    let most = 4_000_000 / CALL_US;
    for times in [1, 2, 5, 10] {
        let report = flood(times, 0);
        println!("{times} times: {report:?}, most {most}");
        let least = if times == 1 { 90 } else { 95 };
        assert!(
            report.finished * 100 >= most * least,
            "{times} times: {report:?} of {most}"
        );
        assert!(
            report.late * 100 < report.finished,
            "{times} times: {report:?}"
        );
        assert!(
            report.refused_late * 100 <= report.refused,
            "{times} times: {report:?}"
        );
        assert_eq!(report.inside_refused, 0);
    }
}

#[test]
fn a_flood_at_one_number_leaves_the_others_their_share_of_the_processor() {
    let report = flood(10, 9);
    let most = 4_000_000 / CALL_US;
    // Eleven numbers: the ten others may have ten elevenths, and ask for about as much as can be served at all.
    let others: u64 = (1..=10).map(|number| report.by_number[&number]).sum();
    assert!(
        others * 100 >= most * 10 / 11 * 95,
        "{others} of {most}: {report:?}"
    );
    assert!(
        report.by_number[&0] > 0,
        "and the flooded number is still reached: {report:?}"
    );
}

#[test]
fn a_flood_at_one_number_leaves_the_others_their_share_of_the_ports() {
    // 200 places of a minute each: 200 calls a minute can be served, ten times as many come, nine of ten to one number.
    let mut door = Door::new(200, &Overload::default());
    let mut generator = ChaCha20Rng::seed_from_u64(4);
    let mut held: VecDeque<(Instant, CallId)> = VecDeque::new();
    let (minutes, warm_up) = (20_u64, 4_u64);
    let mut let_in: BTreeMap<usize, u64> = BTreeMap::new();
    for call in 0..minutes * 2_000 {
        door.now += Duration::from_millis(30);
        while held.front().is_some_and(|(end, _)| *end <= door.now) {
            let (_, call) = held.pop_front().unwrap();
            door.admission.ended(call);
        }
        let dialled = if generator.next_u64() % 10 < 9 {
            0
        } else {
            1 + usize::try_from(generator.next_u64() % 10).unwrap()
        };
        let knocked = door.knock(
            Class::Rest,
            &city(dialled),
            &Caller::Anonymous,
            Duration::ZERO,
        );
        if let Ok(id) = knocked {
            held.push_back((door.now + Duration::from_secs(60), id));
            if call >= warm_up * 2_000 {
                *let_in.entry(dialled).or_default() += 1;
            }
        }
    }
    let share = (minutes - warm_up) * 200 * 10 / 11;
    let others: u64 = (1..=10).map(|number| let_in[&number]).sum();
    assert!(
        others * 100 >= share * 95,
        "{others} of {share}: {let_in:?}"
    );
    assert!(let_in[&0] > 0, "{let_in:?}");
}

#[test]
fn a_busy_processor_counts_as_well_as_a_queue() {
    let mut door = Door::new(1_000, &Overload::default());
    let mut let_in = |percent| {
        let mut let_in = 0;
        for call in 0..1_000_u64 {
            door.now += Duration::from_millis(5);
            if call % 200 == 0 {
                door.admission.take_load(door.now, Load { percent });
            }
            if let Ok(call) = door.call(Class::Rest) {
                let_in += 1;
                door.admission.ended(call);
            }
        }
        let_in
    };
    assert_eq!(let_in(89), 1_000);
    let at_95 = let_in(95);
    assert!((400..600).contains(&at_95), "{at_95}");
    assert_eq!(let_in(100), 0);
    assert_eq!(let_in(50), 1_000);
}

#[test]
fn one_late_message_means_nothing() {
    let mut door = Door::new(1_000, &Overload::default());
    for call in 0..1_000_u64 {
        door.now += Duration::from_millis(20);
        let waited = Duration::from_millis(if call % 3 == 0 { 0 } else { 60 });
        let knocked = door.knock(Class::Rest, &city(1), &Caller::Anonymous, waited);
        door.admission.ended(knocked.expect("nothing stands"));
    }
}
