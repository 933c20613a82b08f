//! Two endpoints and the network between them: loss, copies, disorder, virtual time; every run is named by its seed.
// Datagrams are lost, doubled and late; nothing is forged until the last test.
use std::{collections::BTreeMap, net::SocketAddr};

use super::*;
use crate::{hop::Transport, stream::StreamFrames, testing::epoch};

mod talks;

const IPV4: [&str; 2] = ["192.0.2.1:5060", "192.0.2.2:5060"];
const IPV6: [&str; 2] = ["[2001:db8::1]:5060", "[2001:db8::2]:5070"];

/// Each end knows the other only.
const NEIGHBOUR: PeerId = PeerId(0);

fn seen_by_the_other(hop: Hop) -> Hop {
    Hop {
        local: hop.remote,
        remote: hop.local,
        ..hop
    }
}

/// What the network does, each in percent.
#[derive(Clone, Copy)]
struct Weather {
    lost: u64,
    doubled: u64,
    late: u64,
}

struct Pair {
    transport: Transport,
    addresses: [SocketAddr; 2],
    endpoints: [Endpoint; 2],
    now: Instant,
    dice: ChaCha12Rng,
    weather: Weather,
    /// By arrival, then by number, so that order is the seed's.
    air: BTreeMap<(Instant, u64), Transmit>,
    number: u64,
    /// What each end has heard of its stream, and when last.
    streams: [(StreamFrames, Instant); 2],
    events: [Vec<(Instant, Event)>; 2],
}

impl Pair {
    fn new(seed: u64, weather: Weather) -> Pair {
        Pair::at(IPV4, seed, weather)
    }

    fn at(addresses: [&str; 2], seed: u64, weather: Weather) -> Pair {
        let mut dice = ChaCha12Rng::seed_from_u64(seed);
        let mut endpoint = || {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&dice.next_u64().to_le_bytes());
            Endpoint::new(Settings::default(), bytes)
        };
        let endpoints = [endpoint(), endpoint()];
        Pair {
            transport: Transport::Udp,
            addresses: addresses.map(|address| address.parse().unwrap()),
            endpoints,
            now: epoch(),
            dice,
            weather,
            air: BTreeMap::new(),
            number: 0,
            streams: [(); 2].map(|()| (StreamFrames::new(), epoch())),
            events: [Vec::new(), Vec::new()],
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.dice.next_u64() % 100 < percent
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(transmit) = self.endpoints[side].poll_transmit() {
                let copies = if self.chance(self.weather.doubled) {
                    2
                } else {
                    1
                };
                for _ in 0..copies {
                    if self.chance(self.weather.lost) {
                        continue;
                    }
                    let span_ms = if self.chance(self.weather.late) {
                        3000
                    } else {
                        20
                    };
                    let delay = Duration::from_millis(1 + self.dice.next_u64() % span_ms);
                    let mut arrival = self.now + delay;
                    if transmit.hop.transport.is_reliable() {
                        // A stream keeps its order.
                        let (_, last) = &mut self.streams[1 - side];
                        arrival = arrival.max(*last);
                        *last = arrival;
                    }
                    self.number += 1;
                    self.air.insert((arrival, self.number), transmit.clone());
                }
            }
            while let Some(event) = self.endpoints[side].poll_event() {
                self.events[side].push((self.now, event));
            }
            while self.endpoints[side].poll_milestone().is_some() {}
        }
    }

    /// Takes one step in time; `false` when nothing can happen any more or `end` is reached.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.air.first_key_value().map(|((at, _), _)| *at);
        let timers = self
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.poll_timeout().map(|(at, _)| at));
        let Some(next) = arrival
            .into_iter()
            .chain(timers)
            .min()
            .filter(|next| *next <= end)
        else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if arrival.is_some_and(|at| at <= self.now) {
            let (_, transmit) = self.air.pop_first().unwrap();
            let side = usize::from(transmit.hop.remote == self.addresses[1]);
            let hop = seen_by_the_other(transmit.hop);
            for message in self.frames(side, &transmit) {
                self.endpoints[side].handle_message(self.now, NEIGHBOUR, hop, message);
            }
        } else {
            for endpoint in &mut self.endpoints {
                endpoint.handle_timeout(self.now);
            }
        }
        self.drain();
        true
    }

    /// The messages in what arrived: a datagram is one, a stream comes in segments.
    fn frames(&mut self, side: usize, transmit: &Transmit) -> Vec<Bytes> {
        if !transmit.hop.transport.is_reliable() {
            return vec![transmit.payload.clone()];
        }
        let length = u64::try_from(transmit.payload.len()).unwrap();
        let cut = usize::try_from(self.dice.next_u64() % length).unwrap();
        let (stream, _) = &mut self.streams[side];
        let mut messages = Vec::new();
        for segment in [&transmit.payload[..cut], &transmit.payload[cut..]] {
            stream.push(segment);
            messages.extend(std::iter::from_fn(|| stream.poll()).map(Result::unwrap));
        }
        messages
    }

    fn call(&mut self) -> DialogId {
        let party = || NameAddrText {
            display: Some("市民".to_owned()),
            uri: "sip:0790000001@city.example".to_owned(),
        };
        let id = self.endpoints[0].invite(
            self.now,
            Invite {
                peer: NEIGHBOUR,
                hop: Hop {
                    transport: self.transport,
                    local: self.addresses[0],
                    remote: self.addresses[1],
                },
                request_uri: "sip:0783331001@192.0.2.2".to_owned(),
                from: party(),
                to: party(),
                contact_user: None,
                body: Some(Bytes::from_static(b"v=0\r\n")),
                headers: Vec::new(),
                max_forwards: 70,
                patience: None,
                require_reliable: false,
            },
        );
        self.drain();
        id
    }

    fn names(&self, side: usize) -> Vec<&'static str> {
        self.events[side]
            .iter()
            .map(|(_, event)| event.name())
            .collect()
    }

    fn count(&self, side: usize, name: &str) -> usize {
        self.names(side)
            .iter()
            .filter(|found| **found == name)
            .count()
    }
}

/// What the two applications have in mind.
struct Plan {
    answer_after: Duration,
    is_answered: bool,
    cancel_after: Option<Duration>,
    talk: Duration,
    hanging_up: [bool; 2],
}

impl Plan {
    fn roll(dice: &mut ChaCha12Rng, weather: Weather) -> Plan {
        let mut span = |limit_ms: u64| Duration::from_millis(dice.next_u64() % limit_ms);
        let (answer_after, cancel, talk) = (span(4000), span(6000), span(5000));
        let roll = dice.next_u64();
        Plan {
            answer_after,
            is_answered: !roll.is_multiple_of(4),
            cancel_after: (roll / 4).is_multiple_of(3).then_some(cancel),
            talk,
            hanging_up: match roll / 12 % 3 {
                // All eleven copies of a BYE can be lost here: whoever waits for it must end by itself.
                _ if weather.lost >= 50 => [true, true],
                0 => [true, false],
                1 => [false, true],
                _ => [true, true],
            },
        }
    }
}

/// Plays one call to its end, and lets everything settle.
fn play(seed: u64, weather: Weather) -> Pair {
    play_between(Pair::new(seed, weather))
}

fn play_between(mut pair: Pair) -> Pair {
    let mut plan = Plan::roll(&mut pair.dice, pair.weather);
    let start = pair.now;
    let caller = pair.call();
    let mut callee = None;
    let mut answer_at = None;
    let mut end_at: [Option<Instant>; 2] = [None, None];
    let mut seen = [0, 0];
    let end = start + Duration::from_secs(600);
    loop {
        let wake = [
            answer_at,
            plan.cancel_after.map(|after| start + after),
            end_at[0],
            end_at[1],
        ];
        let until = wake
            .into_iter()
            .flatten()
            .min()
            .map_or(end, |at| at.max(pair.now).min(end));
        let moved = pair.step(until);
        for side in 0..2 {
            for (at, event) in pair.events[side].split_off(seen[side]) {
                match &event {
                    Event::Invited { dialog, .. } => {
                        callee = Some(*dialog);
                        answer_at = Some(at + plan.answer_after);
                    }
                    Event::Accepted { .. } | Event::Acked { .. } | Event::AckMissing { .. }
                        if plan.hanging_up[side] =>
                    {
                        end_at[side] = Some(at + plan.talk);
                    }
                    Event::AckMissing { .. } => end_at[side] = Some(at),
                    _ => {}
                }
                pair.events[side].push((at, event));
                seen[side] += 1;
            }
        }
        if plan
            .cancel_after
            .is_some_and(|after| start + after <= pair.now)
        {
            plan.cancel_after = None;
            // An application that has heard `Accepted` ends by BYE.
            pair.endpoints[0].cancel(pair.now, caller, Some("SIP;cause=200"));
        }
        if let Some(dialog) = callee.filter(|_| answer_at.is_some_and(|at| at <= pair.now)) {
            answer_at = None;
            pair.endpoints[1].ring(pair.now, dialog, Ring::plain(180, "Ringing"));
            if plan.is_answered {
                pair.endpoints[1].accept(
                    pair.now,
                    dialog,
                    Vec::new(),
                    Bytes::from_static(b"v=0\r\n"),
                );
            } else {
                pair.endpoints[1].reject(pair.now, dialog, 486, "Busy Here", Vec::new());
            }
        }
        for (side, (due, dialog)) in end_at.iter_mut().zip([Some(caller), callee]).enumerate() {
            if due.take_if(|at| *at <= pair.now).is_some() {
                pair.endpoints[side].bye(pair.now, dialog.unwrap(), None);
            }
        }
        pair.drain();
        if !moved && until == end {
            return pair;
        }
    }
}

const ENDS_OF_CALLER: [&str; 5] = ["AcceptedLate", "Rejected", "NoResponse", "Ended", "ByeDone"];
const ENDS_OF_CALLEE: [&str; 3] = ["Cancelled", "Ended", "ByeDone"];

fn check(seed: u64, pair: &Pair) {
    let story = format!(
        "seed {seed}: caller {:?}, callee {:?}",
        pair.names(0),
        pair.names(1)
    );
    assert!(
        pair.count(1, "Invited") <= 1,
        "one INVITE is one call; {story}"
    );
    let ends =
        |side: usize, of: &[&str]| of.iter().map(|name| pair.count(side, name)).sum::<usize>();
    assert_eq!(
        ends(0, &ENDS_OF_CALLER),
        1,
        "the caller's side ends once; {story}"
    );
    assert!(
        pair.count(0, "Accepted") + pair.count(0, "AcceptedLate") <= 1,
        "answered once; {story}"
    );
    assert!(
        ends(1, &ENDS_OF_CALLEE) <= 1,
        "the callee's side ends at most once; {story}"
    );
    for endpoint in &pair.endpoints {
        assert_eq!(endpoint.dialog_count(), 0, "no usage is left; {story}");
        assert_eq!(
            endpoint.transaction_count(),
            0,
            "no transaction is left; {story}"
        );
        assert_eq!(endpoint.poll_timeout(), None, "no timer is left; {story}");
        assert!(
            endpoint.tags.is_empty()
                && endpoint.server_keys.is_empty()
                && endpoint.merged.is_empty(),
            "{story}"
        );
    }
}

#[test]
fn in_fair_weather_every_call_goes_as_planned() {
    for seed in 0..200 {
        let pair = play(
            seed,
            Weather {
                lost: 0,
                doubled: 0,
                late: 0,
            },
        );
        check(seed, &pair);
        assert_eq!(pair.count(0, "NoResponse"), 0, "seed {seed}");
        assert_eq!(pair.count(1, "AckMissing"), 0, "seed {seed}");
    }
}

#[test]
fn a_call_over_ipv6_goes_like_any_other() {
    for seed in 0..50 {
        let weather = Weather {
            lost: 0,
            doubled: 0,
            late: 0,
        };
        let pair = play_between(Pair::at(IPV6, seed, weather));
        check(seed, &pair);
        assert_eq!(pair.names(0), play(seed, weather).names(0), "seed {seed}");
    }
}

#[test]
fn a_call_over_a_stream_goes_like_any_other_and_is_over_sooner() {
    let weather = Weather {
        lost: 0,
        doubled: 0,
        late: 0,
    };
    for seed in 0..100 {
        for transport in [Transport::Tcp, Transport::Tls] {
            let mut pair = Pair::new(seed, weather);
            pair.transport = transport;
            let pair = play_between(pair);
            check(seed, &pair);
            assert_eq!(pair.count(0, "NoResponse"), 0, "seed {seed}");
            assert_eq!(pair.count(1, "AckMissing"), 0, "seed {seed}");
        }
    }
}

#[test]
fn in_foul_weather_both_sides_end_and_a_call_is_answered_once() {
    for seed in 0..400 {
        check(
            seed,
            &play(
                seed,
                Weather {
                    lost: 20,
                    doubled: 20,
                    late: 20,
                },
            ),
        );
    }
}

#[test]
fn with_half_of_all_datagrams_lost_nothing_is_left_behind() {
    for seed in 0..200 {
        check(
            seed,
            &play(
                seed,
                Weather {
                    lost: 50,
                    doubled: 10,
                    late: 30,
                },
            ),
        );
    }
}

#[test]
fn the_plans_cover_the_crossing_cases() {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..400 {
        let pair = play(
            seed,
            Weather {
                lost: 20,
                doubled: 20,
                late: 20,
            },
        );
        for name in pair.names(0).into_iter().chain(pair.names(1)) {
            *seen.entry(name).or_default() += 1;
        }
    }
    for name in [
        "Invited",
        "Acked",
        "Cancelled",
        "Rang",
        "Accepted",
        "AcceptedLate",
        "Rejected",
        "Ended",
        "ByeDone",
    ] {
        assert!(seen.contains_key(name), "{name} never happened: {seen:?}");
    }
}

#[test]
fn no_mutation_of_a_real_datagram_breaks_an_endpoint() {
    let mut dice = ChaCha12Rng::seed_from_u64(4475);
    let mut heard = 0_usize;
    for seed in 0..60 {
        let mut pair = Pair::new(
            seed,
            Weather {
                lost: 0,
                doubled: 0,
                late: 0,
            },
        );
        let caller = pair.call();
        let end = pair.now + Duration::from_secs(20);
        let mut answered = false;
        while pair.step(end) && pair.number < 400 {
            let now = pair.now;
            let air: Vec<Transmit> = pair.air.values().cloned().collect();
            for transmit in air {
                let side = usize::from(transmit.hop.remote == pair.addresses[1]);
                for _ in 0..40 {
                    let mutated = mutate(&mut dice, &transmit.payload);
                    heard += 1;
                    let hop = seen_by_the_other(transmit.hop);
                    pair.endpoints[side].handle_message(now, NEIGHBOUR, hop, mutated);
                    pair.endpoints[side].poll_transmit();
                }
            }
            if let Some((_, Event::Invited { dialog, .. })) =
                pair.events[1].first().filter(|_| !answered)
            {
                answered = true;
                let dialog = *dialog;
                pair.endpoints[1].accept(now, dialog, Vec::new(), Bytes::from_static(b"v=0\r\n"));
            }
            if pair.count(0, "Accepted") > 0 {
                pair.endpoints[0].bye(now, caller, None);
            }
            pair.drain();
        }
    }
    assert!(heard > 10_000, "only {heard} mutated datagrams were heard");
}

fn mutate(dice: &mut ChaCha12Rng, datagram: &[u8]) -> Bytes {
    let mut octets = datagram.to_vec();
    let mut pick =
        |limit: usize| usize::try_from(dice.next_u64()).unwrap_or_default() % limit.max(1);
    for _ in 0..1 + pick(4) {
        let at = pick(octets.len());
        match pick(6) {
            0 => octets.truncate(at),
            1 => octets[at..]
                .iter_mut()
                .take(1)
                .for_each(|octet| *octet ^= 1 << (at % 8)),
            2 => octets.insert(at, b"\r\n:;,<>\"@ %[]\0\xff"[pick(15)]),
            3 => {
                let length = pick(64).min(octets.len() - at);
                octets.drain(at..at + length);
            }
            4 => {
                let piece = octets[at..(at + 64).min(octets.len())].to_vec();
                let to = pick(octets.len());
                octets.splice(to..to, piece);
            }
            _ => {
                let digit = octets.iter().skip(at).position(u8::is_ascii_digit);
                if let Some(found) = digit {
                    octets.splice(at + found..=at + found, *b"99999999999");
                }
            }
        }
    }
    Bytes::from(octets)
}
