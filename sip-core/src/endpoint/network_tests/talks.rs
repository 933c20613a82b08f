//! Long talks over a bad network: reliable ringing, offers that meet, refreshes, and a model of what each side believes.
// Offers and answers are numbered descriptions; when a talk is quiet, each side must hold what the other said last.
use super::*;
use crate::peer::{RefreshMethod, Reliable, SessionSettings};

/// How long the two do things to each other; afterwards it is quiet before someone hangs up.
const BUSY: Duration = Duration::from_secs(300);
const QUIET: Duration = Duration::from_secs(100);

#[derive(Debug)]
enum Deed {
    Ring,
    Accept,
    Offer(By),
    Ask,
    Respond(RequestId, Reply),
    HangUp,
    /// Nobody has answered for as long as a call may ring.
    GiveUp,
}

#[derive(Debug, Clone, Copy)]
enum By {
    Invite(Glare),
    Update,
}

/// How an application answers.
#[derive(Debug)]
enum Reply {
    /// To an offer: with a description of its own.
    Description(Bytes),
    /// To an offer that changes nothing.
    Again,
    /// To a re-INVITE without one: with an offer.
    Offer,
    Refusal,
    Plain,
}

/// One application and what it believes.
#[derive(Default)]
struct Side {
    dialog: Option<DialogId>,
    /// What we said last and the other side took.
    ours: Bytes,
    /// What the other side said last and we took.
    theirs: Bytes,
    /// Our offer without outcome, and since when.
    open: Option<(Bytes, Instant)>,
    /// How many requests of ours have no `Answered`.
    asked: usize,
    /// How many of the peer's we have not answered.
    unanswered: usize,
    /// A 2xx of ours without ACK.
    is_unacked: bool,
    is_talking: bool,
    is_over: bool,
}

struct Talk {
    seed: u64,
    pair: Pair,
    sides: [Side; 2],
    deeds: BTreeMap<(Instant, u64), (usize, Deed)>,
    number: u64,
    seen: BTreeMap<&'static str, usize>,
    start: Instant,
    /// How many of a hundred steps bring a spoilt copy of what is on its way.
    spoilt: u64,
}

impl Talk {
    fn new(seed: u64, weather: Weather) -> Talk {
        let mut pair = Pair::new(seed, weather);
        for endpoint in &mut pair.endpoints {
            let roll = pair.dice.next_u64();
            let settings = PeerSettings {
                session: SessionSettings {
                    interval: (!roll.is_multiple_of(5)).then_some(Duration::from_secs(90)),
                    min: Duration::from_secs(90),
                    method: if (roll / 5).is_multiple_of(2) {
                        RefreshMethod::Update
                    } else {
                        RefreshMethod::Invite
                    },
                },
                reliable: match roll / 10 % 4 {
                    0 => Reliable::Off,
                    _ => Reliable::Supported,
                },
                ..PeerSettings::default()
            };
            endpoint.set_peer(NEIGHBOUR, settings);
        }
        let start = pair.now;
        Talk {
            seed,
            pair,
            sides: [Side::default(), Side::default()],
            deeds: BTreeMap::new(),
            number: 0,
            seen: BTreeMap::new(),
            start,
            spoilt: 0,
        }
    }

    fn description(&mut self) -> Bytes {
        self.number += 1;
        Bytes::from(format!("v=0\r\no={}\r\n", self.number))
    }

    fn later(&mut self, side: usize, limit_ms: u64, deed: Deed) {
        let at = self.pair.now + Duration::from_millis(self.pair.dice.next_u64() % limit_ms);
        self.number += 1;
        self.deeds.insert((at, self.number), (side, deed));
    }

    fn play(mut self) -> Talk {
        let caller = self.pair.call();
        self.sides[0].dialog = Some(caller);
        self.sides[0].ours = Bytes::from_static(b"v=0\r\n");
        let ring_limit = self.start + Duration::from_secs(120);
        self.deeds.insert((ring_limit, 0), (0, Deed::GiveUp));
        let end = self.start + Duration::from_secs(1500);
        loop {
            let next = self.deeds.first_key_value().map(|((at, _), _)| *at);
            let until = next.unwrap_or(end).min(end).max(self.pair.now);
            let moved = self.pair.step(until);
            for side in 0..2 {
                for (_, event) in std::mem::take(&mut self.pair.events[side]) {
                    self.hear(side, event);
                }
            }
            if !moved {
                match self.deeds.pop_first() {
                    Some((_, (side, deed))) => self.act(side, deed),
                    None => return self,
                }
            }
            self.pair.drain();
            if self.spoilt > 0 && self.pair.chance(self.spoilt) {
                self.spoil();
            }
        }
    }

    fn spoil(&mut self) {
        let Some((at, transmit)) = self.pair.air.first_key_value() else {
            return;
        };
        let (at, mut transmit) = (at.0, transmit.clone());
        transmit.payload = mutate(&mut self.pair.dice, &transmit.payload);
        self.pair.number += 1;
        self.pair.air.insert((at, self.pair.number), transmit);
    }

    fn hear(&mut self, side: usize, event: Event) {
        *self.seen.entry(event.name()).or_default() += 1;
        let chance = self.pair.dice.next_u64();
        match event {
            Event::Invited {
                dialog, request, ..
            } => {
                self.sides[side].dialog = Some(dialog);
                self.sides[side].theirs = request.body();
                self.later(side, 1000, Deed::Ring);
                self.later(side, 6000, Deed::Accept);
            }
            Event::Rang {
                message, delivery, ..
            } => {
                if delivery == Delivery::Reliable && message.has_sdp() {
                    self.sides[side].theirs = message.body();
                }
            }
            Event::Accepted { message, .. } => {
                if message.has_sdp() {
                    self.sides[side].theirs = message.body();
                }
                self.begin(side);
            }
            Event::Acked { .. } => self.begin(side),
            Event::Reacked { body, .. } => {
                self.sides[side].is_unacked = false;
                if let Some(body) = body {
                    self.sides[side].theirs = body;
                }
            }
            Event::Reinvited {
                request, message, ..
            }
            | Event::Updated {
                request, message, ..
            } => {
                let is_refused = chance.is_multiple_of(5);
                let reply = match message.sdp() {
                    // A refresh: what stands is said again.
                    Some(offer) if offer == self.sides[side].theirs => Reply::Again,
                    _ if is_refused => Reply::Refusal,
                    Some(offer) => Reply::Description(offer),
                    None => Reply::Offer,
                };
                self.sides[side].unanswered += 1;
                self.later(side, 800, Deed::Respond(request, reply));
            }
            Event::Requested { request, .. } => {
                self.sides[side].unanswered += 1;
                self.later(side, 800, Deed::Respond(request, Reply::Plain));
            }
            Event::Modified { .. } | Event::NotModified { .. } | Event::Answered { .. } => {
                self.hear_outcome(side, event);
            }
            Event::AckMissing { .. }
            | Event::PrackMissing { .. }
            | Event::SessionExpired { .. } => self.later(side, 1, Deed::HangUp),
            Event::Cancelled { .. }
            | Event::AcceptedLate { .. }
            | Event::Rejected { .. }
            | Event::NoResponse { .. }
            | Event::Ended { .. }
            | Event::ByeDone { .. } => self.sides[side].is_over = true,
            Event::Pracked { .. } | Event::Silent { .. } | Event::Withdrawn { .. } => {}
        }
    }

    /// A request of ours is over.
    fn hear_outcome(&mut self, side: usize, event: Event) {
        match event {
            Event::Modified { message, .. } => {
                let me = &mut self.sides[side];
                me.ours = me.open.take().expect("an outcome has its offer").0;
                let answer = message.sdp();
                assert!(answer.is_some() || self.spoilt > 0, "an answer describes");
                me.theirs = answer.unwrap_or_default();
            }
            Event::NotModified { status, .. } => {
                let me = &mut self.sides[side];
                me.open.take().expect("an outcome has its offer");
                if matches!(status, 408 | 481) {
                    // Whether it was taken cannot be known.
                    me.is_talking = false;
                    self.later(side, 1, Deed::HangUp);
                }
            }
            Event::Answered { status, .. } => {
                self.sides[side].asked -= 1;
                if matches!(status, 408 | 481) {
                    self.later(side, 1, Deed::HangUp);
                }
            }
            other => panic!("{other:?} is no outcome"),
        }
    }

    /// A side is connected: it plans what it will do.
    fn begin(&mut self, side: usize) {
        self.sides[side].is_talking = true;
        self.sides[side].is_unacked = false;
        let span_ms = u64::try_from(BUSY.as_millis()).unwrap();
        for _ in 0..self.pair.dice.next_u64() % 12 {
            let by = match self.pair.dice.next_u64() % 3 {
                0 => By::Invite(Glare::Report),
                1 => By::Invite(Glare::Repeat),
                _ => By::Update,
            };
            self.later(side, span_ms, Deed::Offer(by));
            self.later(side, span_ms, Deed::Ask);
        }
        if side == 0 {
            // Some offers of both sides at the same moment: they meet.
            let at = self.pair.now + Duration::from_secs(200);
            for side in 0..2 {
                self.number += 1;
                let deed = Deed::Offer(By::Invite(Glare::Repeat));
                self.deeds.insert((at, self.number), (side, deed));
            }
            self.number += 1;
            let end = self.pair.now + BUSY + QUIET;
            let side = usize::from(self.pair.chance(50));
            self.deeds.insert((end, self.number), (side, Deed::HangUp));
        }
    }

    fn act(&mut self, side: usize, deed: Deed) {
        let now = self.pair.now;
        let Some(dialog) = self.sides[side]
            .dialog
            .filter(|_| !self.sides[side].is_over)
        else {
            return;
        };
        match deed {
            // It was accepted before it rang.
            Deed::Ring if !self.sides[side].ours.is_empty() => {}
            Deed::Ring => {
                let body = self.description();
                self.sides[side].ours = body.clone();
                let ring = Ring {
                    body: Some(body),
                    delivery: Delivery::Reliable,
                    ..Ring::plain(183, "Session Progress")
                };
                let endpoint = &mut self.pair.endpoints[side];
                endpoint.ring(now, dialog, ring);
                endpoint.ring(now, dialog, Ring::plain(180, "Ringing"));
            }
            Deed::Accept => {
                if self.sides[side].ours.is_empty() {
                    self.sides[side].ours = self.description();
                }
                self.sides[side].is_unacked = true;
                let body = self.sides[side].ours.clone();
                self.pair.endpoints[side].accept(now, dialog, Vec::new(), body);
            }
            Deed::Offer(by) if self.sides[side].open.is_none() && self.sides[side].is_talking => {
                let body = self.description();
                self.sides[side].open = Some((body.clone(), now));
                let endpoint = &mut self.pair.endpoints[side];
                match by {
                    By::Invite(glare) => endpoint.reinvite(now, dialog, body, glare),
                    By::Update => endpoint.update(now, dialog, body),
                }
            }
            Deed::Offer(_) => {}
            Deed::Ask => {
                self.sides[side].asked += 1;
                let info = InDialog {
                    method: "INFO".to_owned(),
                    headers: Vec::new(),
                    body: None,
                };
                self.pair.endpoints[side].request(now, dialog, info);
            }
            Deed::Respond(request, reply) => {
                self.sides[side].unanswered -= 1;
                self.respond(side, request, reply);
            }
            Deed::GiveUp if self.sides[side].is_talking => {}
            Deed::GiveUp => self.pair.endpoints[side].cancel(now, dialog, None),
            Deed::HangUp => {
                self.check_beliefs();
                self.pair.endpoints[side].bye(now, dialog, None);
            }
        }
    }

    fn respond(&mut self, side: usize, request: RequestId, reply: Reply) {
        let now = self.pair.now;
        let server = ServerId(request.0);
        let entry = self.pair.endpoints[side].servers.get(&server);
        let is_open = entry.is_some_and(ServerEntry::is_open);
        let is_invite =
            entry.is_some_and(|entry| matches!(entry.machine, ServerMachine::Invite(_)));
        let (status, body) = match reply {
            Reply::Refusal => (488, None),
            Reply::Plain => (200, None),
            Reply::Again => (200, Some(self.sides[side].ours.clone())),
            Reply::Offer => (200, Some(self.description())),
            Reply::Description(offer) => {
                let answer = self.description();
                if is_open {
                    self.sides[side].theirs = offer;
                }
                (200, Some(answer))
            }
        };
        if let Some(body) = body.clone().filter(|_| is_open) {
            self.sides[side].ours = body;
            self.sides[side].is_unacked = is_invite;
        }
        self.pair.endpoints[side].respond(now, request, status, "So", Vec::new(), body);
    }

    /// When nothing is under way, each side believes what the other said.
    fn check_beliefs(&mut self) {
        let is_quiet = |side: &Side| {
            side.is_talking
                && !side.is_over
                && side.open.is_none()
                && side.unanswered == 0
                && !side.is_unacked
        };
        let is_quiet = self.sides.iter().all(is_quiet) && self.pair.air.is_empty();
        if !is_quiet || self.spoilt > 0 {
            return;
        }
        *self.seen.entry("quiet").or_default() += 1;
        let [caller, callee] = &self.sides;
        let seed = self.seed;
        assert_eq!(caller.ours, callee.theirs, "of the caller; seed {seed}");
        assert_eq!(callee.ours, caller.theirs, "of the callee; seed {seed}");
    }
}

fn play_talk(seed: u64, weather: Weather) -> Talk {
    check_talk(Talk::new(seed, weather))
}

fn check_talk(talk: Talk) -> Talk {
    let seed = talk.seed;
    let talk = talk.play();
    for endpoint in &talk.pair.endpoints {
        assert_eq!(endpoint.dialog_count(), 0, "seed {seed}: {:?}", talk.seen);
        assert_eq!(endpoint.transaction_count(), 0, "seed {seed}");
        assert_eq!(endpoint.poll_timeout(), None, "seed {seed}");
        assert!(
            endpoint.tags.is_empty()
                && endpoint.server_keys.is_empty()
                && endpoint.merged.is_empty()
                && endpoint.held_bytes == 0,
            "seed {seed}"
        );
    }
    talk
}

#[test]
fn in_fair_weather_both_sides_agree_after_every_offer() {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..150 {
        let talk = play_talk(
            seed,
            Weather {
                lost: 0,
                doubled: 0,
                late: 0,
            },
        );
        for (name, count) in talk.seen {
            *seen.entry(name).or_default() += count;
        }
    }
    for never in ["SessionExpired", "AckMissing", "PrackMissing", "NoResponse"] {
        assert_eq!(seen.get(never), None, "{seen:?}");
    }
    for often in ["quiet", "ByeDone", "Ended", "Accepted"] {
        assert_eq!(seen.get(often), Some(&150), "{often}: {seen:?}");
    }
    for some in ["Pracked", "Modified", "NotModified", "Reinvited", "Updated"] {
        assert!(seen.contains_key(some), "{some} never happened: {seen:?}");
    }
}

#[test]
fn over_a_stream_both_sides_agree_too() {
    let weather = Weather {
        lost: 0,
        doubled: 0,
        late: 10,
    };
    for (seed, transport) in (0..60).zip([Transport::Tcp, Transport::Tls].into_iter().cycle()) {
        let mut talk = Talk::new(seed, weather);
        talk.pair.transport = transport;
        let talk = check_talk(talk);
        assert_eq!(
            talk.seen.get("quiet"),
            Some(&1),
            "seed {seed}: {:?}",
            talk.seen
        );
        assert_eq!(talk.seen.get("SessionExpired"), None, "seed {seed}");
    }
}

#[test]
fn in_foul_weather_whoever_still_talks_agrees_and_nothing_is_left() {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..250 {
        let talk = play_talk(
            seed,
            Weather {
                lost: 15,
                doubled: 15,
                late: 15,
            },
        );
        for (name, count) in talk.seen {
            *seen.entry(name).or_default() += count;
        }
    }
    for some in ["Pracked", "Modified", "NotModified", "Reacked", "quiet"] {
        assert!(seen.contains_key(some), "{some} never happened: {seen:?}");
    }
}

#[test]
fn when_the_network_dies_in_a_talk_both_sides_end_by_themselves() {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..100 {
        let talk = play_talk(
            seed,
            Weather {
                lost: 60,
                doubled: 10,
                late: 30,
            },
        );
        for (name, count) in talk.seen {
            *seen.entry(name).or_default() += count;
        }
    }
    for some in ["AckMissing", "NotModified"] {
        assert!(seen.contains_key(some), "{some} never happened: {seen:?}");
    }
}

#[test]
fn spoilt_copies_of_what_is_said_break_no_talk_for_ever() {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..120 {
        let mut talk = Talk::new(
            seed,
            Weather {
                lost: 5,
                doubled: 5,
                late: 5,
            },
        );
        talk.spoilt = 30;
        for (name, count) in check_talk(talk).seen {
            *seen.entry(name).or_default() += count;
        }
    }
    for some in ["Modified", "NotModified", "Pracked", "Answered"] {
        assert!(seen.contains_key(some), "{some} never happened: {seen:?}");
    }
}
