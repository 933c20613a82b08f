//! Which peer and which of its places a call of ours goes to: what lives first, then priority, then weight.
//!
//! Within one priority the draw is RFC 2782's, from the house's own generator, so that a seed makes it again.
//! What is down comes last and is not left out: the last one left is tried even so.

use rand_core::Rng;
use sip_core::{Hop, PeerId};

use crate::health::{Ailment, Standing};

/// One place that a call could go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) peer: PeerId,
    pub(crate) hop: Hop,
    /// The peer's among its like.
    pub(crate) peer_rank: Rank,
    /// The place's among the peer's.
    pub(crate) place_rank: Rank,
    pub(crate) standing: Standing,
}

/// Priority and weight (RFC 2782): the smaller priority first, weights share within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) priority: u32,
    pub(crate) weight: u16,
}

/// Why the first choice fell on another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassedOver {
    /// Another of better priority lives.
    Priority,
    /// Another of the same priority was drawn, as the weights say.
    Weight,
    /// It is down, and another lives.
    Down(Ailment),
    /// Its contracted channels are taken.
    Full,
    /// It has a name, and no address is known yet.
    NoAddress,
}

impl PassedOver {
    /// As lists show it.
    pub fn describe(self) -> &'static str {
        match self {
            PassedOver::Priority => "another of better priority lives",
            PassedOver::Weight => "another of the same priority was drawn by weight",
            PassedOver::Down(ailment) => ailment.describe(),
            PassedOver::Full => "its contracted channels are taken",
            PassedOver::NoAddress => "no address is known for its name",
        }
    }
}

/// Puts candidates into the order in which they are to be tried. Those of one peer come together in the list that is given.
pub(crate) fn order(candidates: &[Candidate], generator: &mut impl Rng) -> Vec<Candidate> {
    let peers: Vec<(Rank, &[Candidate])> = candidates
        .chunk_by(|one, next| one.peer == next.peer)
        .filter_map(|places| Some((places.first()?.peer_rank, places)))
        .collect();
    let mut ordered = Vec::with_capacity(candidates.len());
    for places in ranked(peers, generator) {
        let places = places.iter().map(|place| (place.place_rank, *place));
        ordered.extend(ranked(places.collect(), generator));
    }
    // Stable: within what lives, and within what does not, the order above stands.
    ordered.sort_by_key(|candidate| candidate.standing != Standing::Fit);
    ordered
}

/// Why this peer is not the first of the order; none where it is.
pub(crate) fn passed_over(ordered: &[Candidate], peer: PeerId) -> Option<PassedOver> {
    let first = ordered.first()?;
    if first.peer == peer {
        return None;
    }
    let best = ordered.iter().find(|candidate| candidate.peer == peer)?;
    Some(match best.standing {
        Standing::Down(ailment) if first.standing == Standing::Fit => PassedOver::Down(ailment),
        Standing::Down(_) | Standing::Fit
            if first.peer_rank.priority == best.peer_rank.priority =>
        {
            PassedOver::Weight
        }
        Standing::Down(_) | Standing::Fit => PassedOver::Priority,
    })
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
        let ordered = order(candidates, &mut ChaCha20Rng::seed_from_u64(seed));
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

    #[test]
    fn each_peer_learns_why_it_was_passed_over() {
        let candidates = [
            down(candidate(0, 0, (0, 1))),
            candidate(1, 0, (1, 10)),
            candidate(2, 0, (1, 0)),
            candidate(3, 0, (2, 1)),
        ];
        let ordered = order(&candidates, &mut ChaCha20Rng::seed_from_u64(1));
        let why: Vec<_> = (0..4)
            .map(|peer| passed_over(&ordered, PeerId(peer)))
            .collect();
        assert_eq!(
            why,
            [
                Some(PassedOver::Down(Ailment::Silent)),
                None,
                Some(PassedOver::Weight),
                Some(PassedOver::Priority),
            ]
        );
    }
}
