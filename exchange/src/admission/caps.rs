//! Caps that an operator has set: on callers, on callers whose numbers begin alike, on those without a number, on dialled numbers, on peers.
//!
//! Counting is `governor`'s; its clock is ours, set from each input.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, keyed::DefaultKeyedStateStore},
};
use rules::Caller;

use super::Newcomer;
use crate::overload::{Cap, Caps};

/// So many callers are told apart. A flood from more numbers than this is one that a cap on each cannot hold back.
const MAX_KEYS: usize = 65_536;

/// Callers that have their whole cap again are forgotten this often.
const TIDY: Duration = Duration::from_secs(60);

type Keyed = RateLimiter<String, DefaultKeyedStateStore<String>, HouseClock, NoOpMiddleware<Nanos>>;
type Single = RateLimiter<NotKeyed, InMemoryState, HouseClock, NoOpMiddleware<Nanos>>;

/// The time of the input that is being handled.
#[derive(Debug, Clone, Default)]
struct HouseClock(Arc<AtomicU64>);

impl Clock for HouseClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.load(Ordering::Relaxed))
    }
}

/// The caps and what has been used of them.
#[derive(Debug)]
pub(super) struct CapKeeper {
    clock: HouseClock,
    began: Option<Instant>,
    tidied_at: Option<Instant>,
    caller: Option<Keyed>,
    prefix: Option<(usize, Keyed)>,
    anonymous: Option<Single>,
    number: Option<Keyed>,
    peer: Option<Keyed>,
}

impl CapKeeper {
    pub(super) fn new(caps: &Caps) -> CapKeeper {
        let clock = HouseClock::default();
        let keyed = |cap: Cap| {
            RateLimiter::new(quota(cap), DefaultKeyedStateStore::default(), clock.clone())
        };
        CapKeeper {
            caller: caps.caller.map(keyed),
            prefix: caps
                .prefix
                .map(|prefix| (usize::from(prefix.digits.get()), keyed(prefix.cap))),
            anonymous: caps
                .anonymous
                .map(|cap| RateLimiter::direct_with_clock(quota(cap), clock.clone())),
            number: caps.number.map(keyed),
            peer: caps.peer.map(keyed),
            clock,
            began: None,
            tidied_at: None,
        }
    }

    /// Whether no cap holds a call back.
    pub(super) fn admit(&mut self, now: Instant, newcomer: &Newcomer<'_>) -> bool {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.clock.0.store(passed, Ordering::Relaxed);
        self.tidy(now);
        // The narrowest first: whoever its own cap holds back uses up nothing of the others'.
        let asks_caller =
            self.caller.is_some() || self.prefix.is_some() || self.anonymous.is_some();
        (!asks_caller || self.admit_caller(&(newcomer.caller)()))
            && match (&self.number, newcomer.dialled) {
                (Some(cap), Some(dialled)) => has_cell(cap, dialled.e164()),
                (Some(_), None) | (None, _) => true,
            }
            && self
                .peer
                .as_ref()
                .is_none_or(|cap| has_cell(cap, &newcomer.peer.0.to_string()))
    }

    fn admit_caller(&self, caller: &Caller) -> bool {
        let number = match caller {
            Caller::Known(number) => number.e164(),
            Caller::Anonymous => {
                return self
                    .anonymous
                    .as_ref()
                    .is_none_or(|cap| cap.check().is_ok());
            }
        };
        let is_open = self.caller.as_ref().is_none_or(|cap| has_cell(cap, number));
        is_open
            && self.prefix.as_ref().is_none_or(|(digits, cap)| {
                let national = number.strip_prefix("+81").unwrap_or(number);
                let end = national
                    .char_indices()
                    .nth(*digits)
                    .map_or(national.len(), |(end, _)| end);
                has_cell(cap, &national[..end])
            })
    }

    fn tidy(&mut self, now: Instant) {
        let last = *self.tidied_at.get_or_insert(now);
        if now.saturating_duration_since(last) < TIDY {
            return;
        }
        self.tidied_at = Some(now);
        let prefix = self.prefix.as_ref().map(|(_, cap)| cap);
        let caps = [&self.caller, &self.number, &self.peer].map(Option::as_ref);
        for cap in caps.into_iter().chain([prefix]).flatten() {
            cap.retain_recent();
            cap.shrink_to_fit();
        }
    }
}

fn has_cell(cap: &Keyed, key: &str) -> bool {
    cap.len() >= MAX_KEYS || cap.check_key(&key.to_owned()).is_ok()
}

/// `calls` at once, and as many again in `period`.
fn quota(cap: Cap) -> Quota {
    let each = cap.period / cap.calls.get();
    // A cell that took no time would be no cap.
    let each = each.max(Duration::from_nanos(1));
    Quota::with_period(each)
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX))
        .allow_burst(cap.calls)
}
