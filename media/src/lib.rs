//! The media plane of a call, as a pure machine: RTP in, RTP out, and a copy of both parties' speech for the recorder.
//!
//! It opens no socket, reads no clock and knows no SIP. Start at [`engine::Engine`], which a shard drives, then read
//! [`relay`] (one continuous stream to each party), [`fork`] (the recorder's ring) and [`track`] (two aligned channels).
#![warn(missing_docs)]

pub mod command;
pub mod engine;
pub mod fork;
pub mod frame;
pub mod g711;
pub mod jitter;
mod leg;
pub mod player;
pub mod relay;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
mod srtp;
pub mod stream;
mod timers;
pub mod track;

pub use command::{
    Command, Event, Fault, Forward, LegId, LegStatistics, OfferedLeg, PlaybackId, Transmit,
};
pub use engine::{Engine, Settings};
pub use fork::{Fork, Tap, channel};
pub use frame::{Frame, Side};
pub use g711::Codec;
pub use player::Clip;
pub use sdp::StreamSettings;
pub use track::{Chunk, Gap, Track};
