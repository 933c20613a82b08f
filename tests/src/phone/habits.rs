//! What a telephone is like: what it can do, and how it takes what others do.

use std::time::Duration;

/// What a telephone is like.
#[derive(Debug, Clone)]
pub struct Habits {
    /// What it says of 100rel.
    pub reliable: Reliable,
    /// How long it takes to acknowledge a reliable provisional answer.
    pub pracks_after: Duration,
    /// When it offers.
    pub offer: OfferTime,
    /// Whether it says that it takes UPDATE.
    pub allows_update: bool,
    /// The session interval that it asks for, in seconds.
    pub interval_s: Option<u32>,
    /// Its codecs, the best first.
    pub payload_types: Vec<u8>,
    /// What it answers to an offer in the middle of a call.
    pub change: u16,
    /// Header lines of its INVITE.
    pub headers: Vec<String>,
    /// The display name of its From.
    pub display: String,
    /// How long it speaks.
    pub speaks: Duration,
}

/// Whether a telephone takes reliable provisional answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliable {
    /// It says nothing.
    No,
    /// It supports them.
    Supported,
    /// It requires them.
    Required,
}

/// When a caller describes its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferTime {
    /// In its INVITE.
    AtOnce,
    /// In its ACK or PRACK: the called one offers.
    Later,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            reliable: Reliable::No,
            pracks_after: Duration::ZERO,
            offer: OfferTime::AtOnce,
            allows_update: true,
            interval_s: None,
            payload_types: vec![0, 8, 101],
            change: 200,
            headers: Vec::new(),
            display: String::new(),
            speaks: Duration::from_secs(2),
        }
    }
}
