//! Too many calls: who goes first, whom caps hold back, and how a share is kept for every number (S-20, T-12).

use std::{
    collections::BTreeSet,
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

use rules::Number;

/// Who goes first when there is too much, and whom caps hold back.
#[derive(Debug, Clone, Default)]
pub struct Overload {
    /// Numbers of the city whose calls go before those to others.
    pub priority_numbers: BTreeSet<Number>,
    /// Callers and numbers that are held back even when there is room; none unless configured, because companies, other cities and
    /// ward offices call from one number.
    pub caps: Caps,
}

/// Caps on new calls. One that is reached is answered 503. Calls to and from emergency numbers know none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Of one caller's number.
    pub caller: Option<Cap>,
    /// Of all callers whose numbers begin alike.
    pub prefix: Option<PrefixCap>,
    /// Of all callers without a number together.
    pub anonymous: Option<Cap>,
    /// To one number of the city.
    pub number: Option<Cap>,
    /// Of one peer, whoever calls through it (T-10).
    pub peer: Option<Cap>,
}

/// So many new calls in so long, and as many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub calls: NonZeroU32,
    /// In how long; a second or more.
    pub period: Duration,
}

/// A cap on callers whose numbers begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixCap {
    /// How many digits after the country's code are looked at.
    pub digits: NonZeroU8,
    /// How many calls.
    pub cap: Cap,
}
