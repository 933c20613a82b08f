//! How fast, how much, how many: the load generator, and the bare forwarder that is its floor.
//!
//! Figures are reported, never asserted: two runs on a shared machine differ, so only ratios within one run mean anything.
//! Start at [`load::hold`]; `bench/RESULTS.md` has the figures and the commands that made them.

pub mod denwaban;
pub mod floor;
pub mod load;
pub mod overload;
pub mod poll;
pub mod process;
pub mod signalling;
pub mod simulator;
pub mod sip_text;
pub mod voices;
