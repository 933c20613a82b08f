//! What can happen in a storm: one thing after the other, drawn from a seed.

use std::time::Duration;

use crate::{
    net::Dice,
    phone::{Act, Early, Habits, OfferTime, Referred, Reliable, Request},
    plan::{NUMBER, OTHER_NUMBER},
};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// A citizen calls a number of the city's.
    CitizenCalls(&'static str),
    /// A citizen calls a number that is none of the city's.
    CitizenCallsOut,
    /// Somebody of the city calls out.
    CityCallsOut,
    /// Somebody of the city calls one of its own numbers.
    CityCallsItself,
    /// Somebody of the city who talks consults somebody, to transfer the one to the other.
    Consults,
    /// Somebody of the city calls 110, 118 or 119.
    EmergencyCall(&'static str),
    /// 119 calls back.
    CallBack,
    /// A citizen calls a number whose calls panic.
    BrokenCall,
    /// The network loses, repeats and overtakes more, or less.
    Weather {
        loss_permille: u32,
        repeat_permille: u32,
        overtake_permille: u32,
    },
    /// A peer falls silent; its host answers that nobody is there, or nothing does.
    PeerDies { is_carrier: bool, is_refusing: bool },
    /// All peers live.
    PeersLive,
    /// An emergency is declared.
    Declare,
    /// Every emergency is lifted.
    Lift,
    /// The wall clock jumps.
    ClockJumps(i64),
    /// The disk takes no more, or takes again.
    DiskFills(bool),
    /// A write is refused, so many from now.
    DiskStumbles(u64),
    /// Messages wait so many milliseconds before they are read.
    Lags(u64),
    /// A prompt is cut where it is.
    PromptIsCut,
    /// The media shard dies, and another takes its place.
    ShardDies,
    /// The service is stopped and started.
    Restarts,
    /// The process dies and is started.
    Crashes,
}

/// Draws one kind of thing.
type Draw = fn(&mut Dice) -> Transition;

/// How often each thing happens, against the others.
const WEIGHTS: [(u32, Draw); 23] = [
    (30, |dice| {
        Transition::CitizenCalls(one_of(dice, &[NUMBER, OTHER_NUMBER]))
    }),
    (1, |_| Transition::CitizenCallsOut),
    (10, |_| Transition::CityCallsOut),
    (6, |_| Transition::CityCallsItself),
    (8, |_| Transition::Consults),
    (4, |dice| {
        Transition::EmergencyCall(one_of(dice, &["110", "118", "119", "184119"]))
    }),
    (1, |_| Transition::CallBack),
    (1, |_| Transition::BrokenCall),
    (4, |dice| Transition::Weather {
        loss_permille: one_of(dice, &[0, 0, 20, 100, 300]),
        repeat_permille: one_of(dice, &[0, 50, 200]),
        overtake_permille: one_of(dice, &[0, 50, 200]),
    }),
    (2, |_| Transition::Weather {
        loss_permille: 0,
        repeat_permille: 0,
        overtake_permille: 0,
    }),
    (1, |dice| Transition::PeerDies {
        is_carrier: chance(dice, 500),
        is_refusing: chance(dice, 500),
    }),
    (3, |_| Transition::PeersLive),
    (1, |_| Transition::Declare),
    (2, |_| Transition::Lift),
    (1, |dice| {
        Transition::ClockJumps(one_of(dice, &[-90_000, -3_600, -60, 60, 3_600, 90_000]))
    }),
    (1, |_| Transition::DiskFills(true)),
    (2, |_| Transition::DiskFills(false)),
    (2, |dice| Transition::DiskStumbles(1 + dice.roll() % 12)),
    (2, |dice| Transition::Lags(one_of(dice, &[0, 0, 1_500]))),
    (2, |_| Transition::PromptIsCut),
    (1, |_| Transition::ShardDies),
    (1, |_| Transition::Restarts),
    (1, |_| Transition::Crashes),
];

impl Transition {
    /// Draws the next one.
    pub fn draw(dice: &mut Dice) -> Transition {
        let all: u32 = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut at = u32::try_from(dice.roll() % u64::from(all)).expect("below all weights");
        for (weight, draw) in WEIGHTS {
            if at < weight {
                return draw(dice);
            }
            at -= weight;
        }
        Transition::PeersLive
    }
}

/// How long until the next thing happens: often at once, sometimes late.
pub fn pause(dice: &mut Dice) -> Duration {
    let most_ms = one_of(dice, &[1, 40, 1_000, 5_000, 20_000]);
    Duration::from_millis(dice.roll() % most_ms)
}

/// One of several, each as likely.
pub fn one_of<T: Clone>(dice: &mut Dice, those: &[T]) -> T {
    let count = u64::try_from(those.len()).expect("few");
    those[usize::try_from(dice.roll() % count).expect("below the count")].clone()
}

/// Whether something of so many in a thousand is so.
pub fn chance(dice: &mut Dice, permille: u64) -> bool {
    dice.roll() % 1_000 < permille
}

/// What a telephone is like; most are plain.
pub fn habits(dice: &mut Dice) -> Habits {
    let mut habits = Habits {
        reliable: one_of(
            dice,
            &[
                Reliable::No,
                Reliable::No,
                Reliable::Supported,
                Reliable::Required,
            ],
        ),
        pracks_after: Duration::from_millis(one_of(dice, &[0, 0, 20, 150, 1_500])),
        offer: one_of(
            dice,
            &[
                OfferTime::AtOnce,
                OfferTime::AtOnce,
                OfferTime::AtOnce,
                OfferTime::Later,
            ],
        ),
        allows_update: chance(dice, 700),
        interval_s: one_of(dice, &[None, None, Some(90), Some(1_800)]),
        payload_types: one_of(dice, &[&[0, 8, 101][..], &[8, 0, 101], &[8], &[0, 101]]).to_vec(),
        change: one_of(dice, &[200, 200, 200, 488, 491]),
        headers: vec!["X-Odd: 1".to_owned()],
        display: one_of(dice, &["", "市民", "Coin line/payphone", "\\\"x\\\""]).to_owned(),
        speaks: Duration::from_millis(200 + dice.roll() % 3_000),
    };
    if chance(dice, 100) {
        habits.headers.push("Privacy: id".to_owned());
    }
    habits
}

/// What a telephone does once it is called.
pub fn agenda_of_called(dice: &mut Dice) -> Vec<(Duration, Act)> {
    let ms = Duration::from_millis;
    let mut agenda = Vec::new();
    let mut at = dice.roll() % 300;
    for _ in 0..dice.roll() % 3 {
        agenda.push((
            ms(at),
            Act::Ring(one_of(dice, &[Early::Silent, Early::Silent, Early::Media])),
        ));
        at += 1 + dice.roll() % one_of(dice, &[20, 4_000]);
    }
    match dice.roll() % 20 {
        0 => agenda.push((ms(at), Act::Refuse(486))),
        1 => agenda.push((
            ms(at),
            Act::Refuse(one_of(dice, &[404, 480, 488, 500, 503, 603, 302])),
        )),
        // It is let ring.
        2 => at += 200_000,
        _ => agenda.push((ms(at), Act::Answer)),
    }
    agenda.extend(in_talk(dice, at));
    agenda
}

/// What whoever calls does, by the time since its INVITE.
pub fn agenda_of_caller(dice: &mut Dice) -> Vec<(Duration, Act)> {
    let ms = Duration::from_millis;
    if chance(dice, 150) {
        return vec![
            (ms(dice.roll() % 15_000), Act::Cancel),
            (ms(40_000), Act::HangUp),
        ];
    }
    let from_ms = 2_000 + dice.roll() % 12_000;
    in_talk(dice, from_ms)
}

/// Where somebody wants the other transferred to: the city's own numbers, and others.
const REFERRED: [Referred; 3] = [
    Referred::Uri("sip:0783331002@127.0.0.1"),
    Referred::Outside,
    Referred::Uri("sip:0783331001@198.51.100.9"),
];

fn in_talk(dice: &mut Dice, from_ms: u64) -> Vec<(Duration, Act)> {
    let ms = Duration::from_millis;
    let mut agenda = Vec::new();
    let mut at = from_ms + 100;
    for _ in 0..dice.roll() % 4 {
        at += dice.roll() % 3_000;
        let request = match dice.roll() % 10 {
            9 => Request::Refer(one_of(dice, &REFERRED)),
            0 => Request::Reinvite("sendonly"),
            1 => Request::Reinvite("inactive"),
            2 => Request::Reinvite("sendrecv"),
            3 => Request::Update("sendonly"),
            4 => Request::Update("sendrecv"),
            5 => Request::ReinviteBare,
            6 => Request::Say("INFO"),
            7 => Request::Say("OPTIONS"),
            _ => Request::Say("STORM"),
        };
        agenda.push((ms(at), Act::Ask(request)));
    }
    // One in ten talks until the other hangs up, or for ten minutes.
    at += if chance(dice, 100) {
        600_000
    } else {
        dice.roll() % 20_000
    };
    agenda.push((ms(at), Act::HangUp));
    agenda
}
