//! The exchange: citizens' calls in, departments called, the notice given, the recorder told what it may keep.
//!
//! A pure machine: no sockets, no files, no clock, no samples. Start at [`Wiring`], which joins it to media and rules; then read
//! [`Exchange`] and the stages of a call in `call.rs`.
#![warn(missing_docs)]

mod admission;
mod call;
mod call_record;
mod exchange;
mod house;
mod keeping;
pub mod ladder;
mod leg;
mod now;
mod number_policy;
mod output;
mod route;
mod settings;
mod trace;
mod trunk;
mod wiring;

pub use exchange::Exchange;
pub use now::Now;
pub use output::{Alarm, Begin, Codecs, Output, RecordOrder, RecorderEvent, RecorderFault};
pub use route::{Department, Target};
pub use settings::{FaultInjection, FaultMoment, Limits, Settings, SettingsFault};
pub use trace::{Milestone, TraceEvent};
pub use trunk::{MediaRange, PeerRole, Trunk};
pub use wiring::{Input, Wiring};
