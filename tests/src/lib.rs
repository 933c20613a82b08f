//! A city in a box: the shipping wiring, real media engines, simulated telephones, a lossy network and a clock that is moved.
//!
//! Nothing sleeps and nothing is chance: a city's seed makes it again. The telephones write and read their SIP by themselves,
//! with nothing of `sip-core`, so that a mistake there cannot agree with itself. Start at [`City`].

pub mod archive;
pub mod carrier;
pub mod checkers;
pub mod city;
pub mod clock;
pub mod connections;
pub mod department;
pub mod line;
pub mod net;
pub mod phone;
pub mod plan;
pub mod recorder;
pub mod reference;
pub mod shard;
pub mod storm;
pub mod text;
pub mod transition;
pub mod voice;

pub use city::City;
pub use plan::Plan;
