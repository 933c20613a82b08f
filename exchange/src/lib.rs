//! The exchange: citizens' calls in, departments called, the notice given, the recorder told what it may keep.
//!
//! A pure machine: no sockets, no files, no clock, no samples. Start at [`Wiring`], which joins it to media and rules; then read
//! [`Exchange`] and the stages of a call in `call.rs`.
#![warn(missing_docs)]

mod admission;
mod call;
mod call_record;
mod channels;
mod direction;
mod exchange;
mod health;
mod house;
mod identity;
mod keeping;
pub mod ladder;
mod leg;
mod names;
mod now;
mod number_form;
mod number_policy;
mod outbound;
mod output;
mod overload;
mod peers;
mod ports;
mod registration;
mod report;
mod retry_after;
mod route;
mod selection;
mod settings;
mod trace;
mod trunk;
mod wiring;

pub use admission::Load;
pub use direction::Direction;
pub use exchange::Exchange;
pub use health::{Ailment, Unreachable};
pub use identity::{Absence, display_safe};
pub use names::{Extent, Found, Question, Resolved};
pub use now::Now;
pub use outbound::{Allowed, Outbound, Prefix, PrefixFault, Site};
pub use output::{Alarm, Begin, Codecs, Next, Output, RecordOrder, RecorderEvent, RecorderFault};
pub use overload::{Cap, Caps, Overload, PrefixCap};
pub use peers::{
    Chosen, Passed, PlaceName, PlaceReport, PlaceState, RegistrationReport, TrunkReport,
};
pub use registration::Refused;
pub use report::{CallReport, EndedBy, Ending, Recorded, ShownCaller};
pub use route::{Department, Places, Setback, Target};
pub use selection::{Choice, PassedOver};
pub use settings::{FaultInjection, FaultMoment, Limits, Settings, SettingsFault};
pub use trace::{Milestone, PeerEvent, TraceEvent};
pub use trunk::{
    AnnouncementMedia, CalledPlace, Channels, Dscp, Listener, MediaRange, NumberForm, PeerRole,
    Place, Probe, Registration, SecureMedia, Trunk, TrunkTarget, Trust,
};
pub use wiring::{Input, Wiring};
