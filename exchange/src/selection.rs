//! Which peer and which of its places a call of ours goes to: what lives first, then what its plan wants, then priority, then weight.
//!
//! Within one priority the draw is RFC 2782's, from the house's own generator, so that a seed makes it again.
//! What rests or is down comes last and is not left out: the last one left is tried even so.

use jiff::Timestamp;
use rand_core::Rng;
use sip_core::{Hop, PeerId};

use crate::{
    health::{Ailment, Standing},
    now::Now,
    peers::PlaceName,
    route::Setback,
};

/// One place that a call could go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) peer: PeerId,
    pub(crate) hop: Hop,
    pub(crate) tier: Tier,
    /// The peer's among its like.
    pub(crate) peer_rank: Rank,
    /// The place's among the peer's.
    pub(crate) place_rank: Rank,
    pub(crate) standing: Standing,
}

/// Whether the plan of a call wants a peer before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    First,
    Then,
}

/// Priority and weight (RFC 2782): the smaller priority first, weights share within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) priority: u32,
    pub(crate) weight: u16,
}

/// For what a call's plan wants peers before others, and what that counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// Those that have the caller's number; but a call that another number shows is better than none, or one that comes late.
    Number,
    /// That of the site, whatever its health: another may lead to the police of another town (S-17).
    Site,
}

/// Why the first choice fell on another peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// Another of better priority lives.
    Priority,
    /// Another of the same priority was drawn, as the weights say.
    Weight,
    /// Another has the caller's number.
    Number,
    /// Another is the trunk of the caller's site.
    Site,
    /// It is down, and another lives.
    Down(Ailment),
    /// It has asked by 503 for no calls until then (RFC 3261 section 21.5.4), and another takes them.
    Resting(Timestamp),
    /// It was tried, and another after it.
    Failed(Setback),
    /// Its contracted channels are taken.
    Full,
    /// It has a name, and no address is known yet.
    NoAddress,
    /// We have no listener of its transport and address family.
    NoListener,
    /// The configuration lets no call of ours go there.
    NotForCalls,
    /// There is no number that may be shown to it.
    NoNumber,
}

/// Why a peer was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No other could be.
    Only,
    /// It does not live; neither does any other.
    LastLeft,
    /// It lives, and others do not.
    Lives,
    /// It has the caller's number.
    Number,
    /// It is the trunk of the caller's site.
    Site,
    /// Its priority is the best.
    Priority,
    /// It was drawn among those of its priority, as the weights say.
    Weight,
    /// Another way was tried before, and failed.
    After {
        /// Whose way.
        peer: String,
        /// Where it led.
        place: PlaceName,
        /// What came of it.
        setback: Setback,
    },
}

/// In what one candidate is better than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Standing,
    Tier,
    Priority,
    Weight,
}

/// Puts candidates into the order in which they are to be tried. Those of one peer come together in the list that is given.
pub(crate) fn order(
    candidates: &[Candidate],
    precedence: Precedence,
    generator: &mut impl Rng,
) -> Vec<Candidate> {
    let peers: Vec<(Rank, &[Candidate])> = candidates
        .chunk_by(|one, next| one.peer == next.peer)
        .filter_map(|places| Some((places.first()?.peer_rank, places)))
        .collect();
    let mut ordered = Vec::with_capacity(candidates.len());
    for places in ranked(peers, generator) {
        let places = places.iter().map(|place| (place.place_rank, *place));
        ordered.extend(ranked(places.collect(), generator));
    }
    // Stable: among those that are equal in this, the order above stands.
    ordered.sort_by_key(|candidate| candidate.grade(precedence));
    ordered
}

/// Why the first of the order is the first; none where the order is empty.
pub(crate) fn chosen(ordered: &[Candidate], precedence: Precedence) -> Option<Choice> {
    let first = ordered.first()?;
    let other = ordered.iter().find(|other| other.peer != first.peer);
    let lives = |candidate: &Candidate| candidate.standing == Standing::Fit;
    Some(match other.map(|other| first.edge(other, precedence)) {
        _ if !ordered.iter().any(lives) => Choice::LastLeft,
        None => Choice::Only,
        Some(Edge::Standing) => Choice::Lives,
        Some(Edge::Tier) => match precedence {
            Precedence::Number => Choice::Number,
            Precedence::Site => Choice::Site,
        },
        Some(Edge::Priority) => Choice::Priority,
        Some(Edge::Weight) => Choice::Weight,
    })
}

/// Why this peer is not the first of the order; none where it is.
pub(crate) fn passed_over(
    ordered: &[Candidate],
    precedence: Precedence,
    peer: PeerId,
    now: Now,
) -> Option<PassedOver> {
    let first = ordered.first()?;
    if first.peer == peer {
        return None;
    }
    let best = ordered.iter().find(|candidate| candidate.peer == peer)?;
    Some(match (first.edge(best, precedence), best.standing) {
        (Edge::Standing, Standing::Down(ailment)) => PassedOver::Down(ailment),
        (Edge::Standing, Standing::Resting { until }) => PassedOver::Resting(now.wall_to_be(until)),
        (Edge::Tier, _) => match precedence {
            Precedence::Number => PassedOver::Number,
            Precedence::Site => PassedOver::Site,
        },
        (Edge::Weight, _) => PassedOver::Weight,
        (Edge::Priority, _) | (Edge::Standing, Standing::Fit) => PassedOver::Priority,
    })
}

impl Candidate {
    /// What goes before priority and weight, the best first.
    fn grade(&self, precedence: Precedence) -> (u8, u8) {
        let tier = match self.tier {
            Tier::First => 0,
            Tier::Then => 1,
        };
        // Whatever rests answers, if only with another 503; whatever is down may cost the caller four seconds.
        let standing = match self.standing {
            Standing::Fit => 0,
            Standing::Resting { .. } => 1,
            Standing::Down(_) => 2,
        };
        match precedence {
            Precedence::Number => (standing, tier),
            Precedence::Site => (tier, standing),
        }
    }

    /// In what it is better than one that comes later in the order.
    fn edge(&self, later: &Candidate, precedence: Precedence) -> Edge {
        let (own, other) = (self.grade(precedence), later.grade(precedence));
        let (before, after) = match precedence {
            Precedence::Number => (Edge::Standing, Edge::Tier),
            Precedence::Site => (Edge::Tier, Edge::Standing),
        };
        if own.0 != other.0 {
            before
        } else if own.1 != other.1 {
            after
        } else if self.peer_rank.priority != later.peer_rank.priority {
            Edge::Priority
        } else {
            Edge::Weight
        }
    }
}

/// Sorts by priority; within one, draws by weight one after the other.
fn ranked<T>(mut items: Vec<(Rank, T)>, generator: &mut impl Rng) -> Vec<T> {
    items.sort_by_key(|(rank, _)| rank.priority);
    let mut ordered = Vec::with_capacity(items.len());
    while let Some((first, _)) = items.first() {
        let priority = first.priority;
        let alike = items.partition_point(|(rank, _)| rank.priority == priority);
        let drawn = draw(&items[..alike], generator);
        ordered.push(items.remove(drawn).1);
    }
    ordered
}

fn draw<T>(alike: &[(Rank, T)], generator: &mut impl Rng) -> usize {
    if alike.len() == 1 {
        return 0;
    }
    let share = |rank: &Rank| match rank.weight {
        0 => 1,
        weight => u64::from(weight) * OVER_NOTHING,
    };
    let total: u64 = alike.iter().map(|(rank, _)| share(rank)).sum();
    // 2^32 draws over at most 2^31 values are even enough.
    let drawn = (u64::from(generator.next_u32()) * total) >> 32;
    let mut sum = 0;
    alike
        .iter()
        .position(|(rank, _)| {
            sum += share(rank);
            sum > drawn
        })
        .unwrap_or(0)
}

/// So many times as often as one of weight 0 is one of weight 1 drawn: the former should have "a very small chance" (RFC 2782).
const OVER_NOTHING: u64 = 100;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::SocketAddr};

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn candidate(peer: u16, place: u16, (priority, weight): (u32, u16)) -> Candidate {
        let rank = Rank { priority, weight };
        let ours = SocketAddr::from(([127, 0, 0, 1], 5060));
        Candidate {
            peer: PeerId(peer),
            hop: Hop::udp(ours, SocketAddr::from(([127, 0, 0, 2], 6000 + place))),
            tier: Tier::First,
            peer_rank: rank,
            place_rank: Rank {
                priority: u32::from(place),
                weight: 1,
            },
            standing: Standing::Fit,
        }
    }

    fn down(candidate: Candidate) -> Candidate {
        Candidate {
            standing: Standing::Down(Ailment::Silent),
            ..candidate
        }
    }

    fn tried(candidates: &[Candidate], seed: u64) -> Vec<(u16, u16)> {
        let ordered = order(
            candidates,
            Precedence::Number,
            &mut ChaCha20Rng::seed_from_u64(seed),
        );
        ordered
            .iter()
            .map(|candidate| (candidate.peer.0, candidate.hop.remote.port() - 6000))
            .collect()
    }

    #[test]
    fn what_lives_goes_first_then_priority_and_what_is_down_is_still_tried() {
        let candidates = [
            candidate(0, 0, (1, 1)),
            candidate(0, 1, (1, 1)),
            down(candidate(1, 0, (0, 1))),
            candidate(1, 1, (0, 1)),
            down(candidate(2, 0, (0, 0))),
        ];
        let order = tried(&candidates, 7);
        assert_eq!(order[..3], [(1, 1), (0, 0), (0, 1)]);
        let mut last = order[3..].to_vec();
        last.sort_unstable();
        assert_eq!(last, [(1, 0), (2, 0)]);
        let all_down = candidates.map(down);
        assert_eq!(
            tried(&all_down, 7).len(),
            5,
            "the last left is tried even if it is down"
        );
    }

    #[test]
    fn weights_share_the_calls_of_one_priority() {
        let candidates = [
            candidate(0, 0, (0, 30)),
            candidate(1, 0, (0, 10)),
            candidate(2, 0, (0, 0)),
            candidate(3, 0, (5, 1000)),
        ];
        let mut first = BTreeMap::new();
        for seed in 0..4_000 {
            *first.entry(tried(&candidates, seed)[0].0).or_insert(0) += 1;
        }
        let share = |peer| first.get(&peer).copied().unwrap_or(0);
        assert!((2_800..3_100).contains(&share(0)), "{first:?}");
        assert!((880..1_120).contains(&share(1)), "{first:?}");
        assert!(
            (1..200).contains(&share(2)),
            "weight 0 has a small chance: {first:?}"
        );
        assert_eq!(share(3), 0);
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
    fn now() -> Now {
        Now {
            at: std::time::Instant::now(),
            wall: "2026-04-01T00:00:00Z".parse().unwrap(),
        }
    }

    /// Why the first was chosen, and why each of the others was not, in the order of their numbers.
    fn reasons(
        candidates: &[Candidate],
        precedence: Precedence,
        now: Now,
    ) -> (Option<Choice>, Vec<PassedOver>) {
        let ordered = order(candidates, precedence, &mut ChaCha20Rng::seed_from_u64(1));
        let peers = (0..9).map(PeerId);
        let passed = peers.filter_map(|peer| passed_over(&ordered, precedence, peer, now));
        (chosen(&ordered, precedence), passed.collect())
    }

    #[test]
    fn each_peer_learns_why_it_was_chosen_or_passed_over() {
        let now = now();
        let until = now.at + std::time::Duration::from_secs(30);
        let resting = Candidate {
            standing: Standing::Resting { until },
            ..candidate(4, 0, (0, 1))
        };
        let candidates = [
            down(candidate(0, 0, (0, 1))),
            candidate(1, 0, (1, 10)),
            candidate(2, 0, (1, 0)),
            candidate(3, 0, (2, 1)),
            resting,
        ];
        let passed = vec![
            PassedOver::Down(Ailment::Silent),
            PassedOver::Weight,
            PassedOver::Priority,
            PassedOver::Resting("2026-04-01T00:00:30Z".parse().unwrap()),
        ];
        let reasons = |candidates: &[Candidate]| reasons(candidates, Precedence::Number, now);
        assert_eq!(reasons(&candidates), (Some(Choice::Weight), passed));
        let choices = [
            (&candidates[..1], Choice::LastLeft),
            (&candidates[..2], Choice::Lives),
            (&candidates[1..2], Choice::Only),
            (&candidates[2..4], Choice::Priority),
        ];
        for (candidates, choice) in choices {
            assert_eq!(reasons(candidates).0, Some(choice));
        }
        assert_eq!(reasons(&[]), (None, Vec::new()));
        let both = [down(candidate(0, 0, (0, 1))), resting];
        let rests_only = vec![PassedOver::Down(Ailment::Silent)];
        assert_eq!(
            reasons(&both),
            (Some(Choice::LastLeft), rests_only),
            "whoever rests answers"
        );
    }

    #[test]
    fn the_site_goes_before_health_and_health_before_the_number() {
        let now = now();
        let then = Candidate {
            tier: Tier::Then,
            ..candidate(1, 0, (0, 1))
        };
        let healthy = [candidate(0, 0, (9, 1)), then];
        let ailing = [down(healthy[0]), then];
        let reasons = |candidates: &[Candidate], precedence| {
            let (choice, passed) = reasons(candidates, precedence, now);
            (choice.unwrap(), passed[0].clone())
        };
        assert_eq!(
            reasons(&healthy, Precedence::Number),
            (Choice::Number, PassedOver::Number)
        );
        assert_eq!(
            reasons(&ailing, Precedence::Number),
            (Choice::Lives, PassedOver::Down(Ailment::Silent))
        );
        for candidates in [&healthy, &ailing] {
            assert_eq!(
                reasons(candidates, Precedence::Site),
                (Choice::Site, PassedOver::Site)
            );
        }
    }
}
