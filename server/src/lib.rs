//! Joins the rooms to the world: sockets, threads, channels, the clock, configuration, the command line.
//!
//! It knows no policy: an `if` about a call or a person here is in the wrong room.
//! Start at `cli/run.rs`, which begins the threads; `signalling` and `shard` carry calls, `recorder` and `office` keep them.

mod calls;
mod cases;
pub mod cli;
mod clock;
mod config;
mod copies;
mod descriptors;
mod duty;
mod emergency;
mod emergency_slot;
mod export;
mod forgetting;
mod hand_over;
mod heard;
mod life;
mod load;
mod log;
mod look;
mod neighbour;
mod notices;
mod numbers;
mod office;
mod outside;
mod people;
mod playback;
mod prompts;
mod proof;
mod recorder;
mod report;
mod rows;
mod said;
mod search;
mod shard;
mod sharing;
mod shutdown;
mod signalling;
mod telemetry;
mod trace;
mod trail_export;
mod trail_listing;
mod unix;
mod voice;
mod wire;
mod wording;
