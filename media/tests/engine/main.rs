//! The engine as a shard drives it: packets and time in, packets and reports out. No clock runs and no socket is open.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

mod agreement;
mod beside_speech;
mod intruders;
mod legs;
mod playback;
mod recording;
mod reports;
mod secure;
mod silence;
mod support;
