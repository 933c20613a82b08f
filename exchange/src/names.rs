//! A peer's place that has a name: asking the name system in time, and keeping the old answer while it does not answer (S-10).
//!
//! It asks and keeps; whoever drives the exchange resolves (RFC 3263). One of these stands for one named target.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use sip_core::Transport;

/// An answer is asked for anew no sooner than this, whatever its time to live: a flapping zone must not flood its server.
const SHORTEST_LIFE: Duration = Duration::from_secs(30);

/// What was found in part counts no longer than this: what failed may be the better part.
const IN_PART: Duration = Duration::from_secs(60);

/// And at the latest after this, so that a moved peer is found within a day.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// Without an answer we ask again after this, then after twice that, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LATEST_RETRY: Duration = Duration::from_secs(300);

/// A question that was not answered by then is taken for lost. Resolvers give up sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many addresses of one name are used; the least preferred others are not.
const MAX_ADDRESSES: usize = 16;

/// What the name system is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The peer for which it is asked.
    pub peer: String,
    /// The name.
    pub host: String,
    /// A port: only addresses are looked for. None: NAPTR and SRV records first (RFC 3263 section 4).
    pub port: Option<u16>,
    /// The transport that the peer is called by.
    pub transport: Transport,
}

/// One place that a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// Where.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
    /// The SRV record's; the smaller first.
    pub priority: u16,
    /// The SRV record's; the share within a priority.
    pub weight: u16,
}

/// What was found of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it leads; nowhere where that could not be found.
    pub places: Vec<Resolved>,
    /// How long that holds.
    pub ttl: Duration,
    /// How much of it there is.
    pub extent: Extent,
}

impl Found {
    /// Whether nothing of an address's family was found, and what was known of that family stands.
    pub fn lacks_family_of(&self, address: SocketAddr) -> bool {
        let is_of_it = |place: &Resolved| place.address.is_ipv4() == address.is_ipv4();
        self.extent == Extent::InPart && !self.places.iter().any(is_of_it)
    }
}

/// How much was found of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that the name system knows.
    Whole,
    /// Some of its questions failed, or were not waited for.
    InPart,
}

/// A named target.
#[derive(Debug)]
pub(crate) struct Name {
    question: Question,
    ask_at: Instant,
    is_asked: Asked,
    answer: Vec<Resolved>,
    failures: u32,
}

/// Whether a question is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameNews {
    /// The places are others than before.
    Changed,
    /// Nothing is known of it, and the name system does not say. Told once in a row of failures.
    Unknown,
    /// It does not say, and the old answer stands. Told once in a row of failures.
    Kept,
}

impl Name {
    /// A name that is asked for at once.
    pub(crate) fn new(now: Instant, question: Question) -> Name {
        Name {
            question,
            ask_at: now,
            is_asked: Asked::No,
            answer: Vec::new(),
            failures: 0,
        }
    }

    pub(crate) fn question(&self) -> &Question {
        &self.question
    }

    /// What it stands for, as far as is known.
    pub(crate) fn places(&self) -> &[Resolved] {
        &self.answer
    }

    /// When it wants to be looked at, and why.
    pub(crate) fn due(&self) -> (Instant, &'static str) {
        match self.is_asked {
            Asked::No => (self.ask_at, "names: asks for a peer's addresses"),
            Asked::Yes => (self.ask_at, "names: no answer has come"),
        }
    }

    /// What to ask where it is time to; and what it means that the last question was not answered.
    pub(crate) fn ask(&mut self, now: Instant) -> (Option<Question>, Option<NameNews>) {
        if now < self.ask_at {
            return (None, None);
        }
        match self.is_asked {
            Asked::No => {
                self.is_asked = Asked::Yes;
                self.ask_at = now + PATIENCE;
                (Some(self.question.clone()), None)
            }
            Asked::Yes => (None, self.fail(now)),
        }
    }

    /// Takes an answer; an empty one says that there is none. A family of addresses that one in part lacks is not gone.
    pub(crate) fn take(&mut self, now: Instant, found: &Found) -> Option<NameNews> {
        let is_place =
            |place: &Resolved| place.address.port() != 0 && !place.address.ip().is_unspecified();
        let mut places: Vec<Resolved> = found.places.iter().copied().filter(is_place).collect();
        if places.is_empty() {
            return self.fail(now);
        }
        let life = match found.extent {
            Extent::Whole => found.ttl,
            Extent::InPart => {
                let former = self.answer.iter().copied();
                places.extend(former.filter(|former| found.lacks_family_of(former.address)));
                found.ttl.min(IN_PART)
            }
        };
        places.sort_by_key(|place| (place.priority, place.address, place.transport));
        places.truncate(MAX_ADDRESSES);
        self.failures = 0;
        self.is_asked = Asked::No;
        self.ask_at = now + life.clamp(SHORTEST_LIFE, LONGEST_LIFE);
        if places == self.answer {
            return None;
        }
        self.answer = places;
        Some(NameNews::Changed)
    }

    fn fail(&mut self, now: Instant) -> Option<NameNews> {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.ask_at = now + FIRST_RETRY.saturating_mul(doubled).min(LATEST_RETRY);
        self.is_asked = Asked::No;
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            return None;
        }
        Some(if self.answer.is_empty() {
            NameNews::Unknown
        } else {
            NameNews::Kept
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
    fn start() -> Instant {
        Instant::now()
    }

    fn name(now: Instant) -> Name {
        let question = Question {
            peer: "carrier".to_owned(),
            host: "sip.carrier.example".to_owned(),
            port: None,
            transport: Transport::Udp,
        };
        Name::new(now, question)
    }

    fn place(last: u8, priority: u16) -> Resolved {
        Resolved {
            address: SocketAddr::from(([192, 0, 2, last], 5060)),
            transport: Transport::Udp,
            priority,
            weight: 1,
        }
    }

    fn whole(places: &[Resolved], ttl: Duration) -> Found {
        Found {
            places: places.to_vec(),
            ttl,
            extent: Extent::Whole,
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn an_answer_is_asked_for_anew_when_its_life_ends() {
        let now = start();
        let mut name = name(now);
        assert!(name.ask(now).0.is_some());
        assert!(name.ask(now).0.is_none(), "one question at a time");
        let news = name.take(now, &whole(&[place(2, 1), place(1, 0)], HOUR));
        assert_eq!(news, Some(NameNews::Changed));
        assert_eq!(name.places(), [place(1, 0), place(2, 1)]);
        assert!(name.ask(now + HOUR / 2).0.is_none());
        assert!(name.ask(now + HOUR).0.is_some());
        assert_eq!(
            name.take(now + HOUR, &whole(&[place(2, 1), place(1, 0)], HOUR)),
            None
        );
    }

    #[test]
    fn a_time_to_live_of_nothing_floods_no_server() {
        let now = start();
        let mut name = name(now);
        name.ask(now);
        name.take(now, &whole(&[place(1, 0)], Duration::ZERO));
        assert_eq!(name.due().0, now + SHORTEST_LIFE);
    }

    #[test]
    fn the_old_answer_stands_while_the_name_system_is_silent_or_empty() {
        let mut now = start();
        let mut name = name(now);
        name.ask(now);
        name.take(now, &whole(&[place(1, 0)], SHORTEST_LIFE));
        now += SHORTEST_LIFE;
        assert!(name.ask(now).0.is_some());
        now += PATIENCE;
        assert_eq!(
            name.ask(now),
            (None, Some(NameNews::Kept)),
            "no answer came"
        );
        now = name.due().0;
        assert!(name.ask(now).0.is_some());
        assert_eq!(name.take(now, &whole(&[], HOUR)), None, "told once");
        assert_eq!(name.places(), [place(1, 0)]);
        assert!(name.due().0 <= now + LATEST_RETRY);
    }

    #[test]
    fn the_family_that_an_answer_in_part_lacks_stands_and_is_asked_for_again_soon() {
        // The late family may be the only one that can be reached from here.
        let now = start();
        let mut name = name(now);
        let of_v6 = Resolved {
            address: "[2001:db8::1]:5060".parse().unwrap(),
            ..place(1, 0)
        };
        name.ask(now);
        name.take(now, &whole(&[place(1, 0), of_v6], HOUR));
        let in_part = |places: &[Resolved]| Found {
            extent: Extent::InPart,
            ..whole(places, HOUR)
        };
        assert_eq!(name.take(now, &in_part(&[of_v6])), None);
        assert_eq!(name.places(), [place(1, 0), of_v6]);
        assert_eq!(name.due().0, now + IN_PART);
        // A server that is always silent about the other family keeps no place that is gone.
        name.take(now, &in_part(&[place(2, 0)]));
        assert_eq!(name.places(), [place(2, 0), of_v6]);
        name.take(now, &whole(&[place(2, 0)], HOUR));
        assert_eq!(name.places(), [place(2, 0)]);
    }

    #[test]
    fn a_name_of_which_nothing_is_known_is_told_once() {
        let now = start();
        let mut name = name(now);
        name.ask(now);
        assert_eq!(name.take(now, &whole(&[], HOUR)), Some(NameNews::Unknown));
        let again = name.due().0;
        name.ask(again);
        assert_eq!(name.take(again, &whole(&[], HOUR)), None);
        let later = name.due().0;
        name.ask(later);
        assert_eq!(
            name.take(later, &whole(&[place(9, 0)], HOUR)),
            Some(NameNews::Changed)
        );
    }
}
