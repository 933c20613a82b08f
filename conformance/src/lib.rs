//! Others' test messages, others' readers, and the real binary: the parts that the tests of this folder are made of.
//!
//! `README.md` beside this crate says what is compared with what. Nothing here is used by denwaban itself.

pub mod client;
pub mod house;
pub mod kamailio;
mod listener;
pub mod matrix;
pub mod readers;
pub mod server;
pub mod sipp;
mod socket;
pub mod speech;
pub mod vectors;
