//! The exchange: citizens' calls in, departments called, the notice given, the recorder told what it may keep.
//!
//! A pure machine: no sockets, no files, no clock, no samples. Start at [`Wiring`], which joins it to media and rules; then read
//! [`Exchange`] and the stages of a call in `call.rs`.
#![warn(missing_docs)]

mod admission;
mod call;
mod call_record;
mod direction;
mod exchange;
mod house;
mod identity;
mod keeping;
pub mod ladder;
mod leg;
mod now;
mod number_form;
mod number_policy;
mod outbound;
mod output;
mod overload;
mod report;
mod route;
mod settings;
mod trace;
mod trunk;
mod wiring;

pub use direction::Direction;
pub use exchange::Exchange;
pub use identity::{Absence, display_safe};
pub use now::Now;
pub use outbound::{Allowed, Outbound, Prefix, PrefixFault, Site};
pub use output::{Alarm, Begin, Codecs, Output, RecordOrder, RecorderEvent, RecorderFault};
pub use overload::{Cap, Caps, Overload, PrefixCap};
pub use report::{CallReport, EndedBy, Ending, Recorded};
pub use route::{Department, Places, Target};
pub use settings::{FaultInjection, FaultMoment, Limits, Settings, SettingsFault};
pub use trace::{Milestone, TraceEvent};
pub use trunk::{
    AnnouncementMedia, CalledPlace, Channels, Dscp, Listener, MediaRange, NumberForm, PeerRole,
    Place, Probe, Registration, SecureMedia, Trunk, TrunkTarget, Trust,
};
pub use wiring::{Input, Wiring};
