//! The city's rules: who may do what, when, for which stated purpose, and what proves that it was allowed.
//!
//! A line of code here knows people, roles, dates, notices, decisions and permits; it never knows bytes, SQL, SIP, HTTP or clocks (`now` is an argument).
//! What must have happened is a value ([`Notice`], [`ListenPermit`], [`DisposalPermit`], [`AuditReceipt`]): private fields, no `Clone`, few makers.
//! Evidence guards against forgetting, not against malice inside the crate.
//! Source of the rules: the city's consultation 神戸市長広第1151号 and its 通話録音データに関する取扱要領（案）, cited as `要領 5-6`.
#![warn(missing_docs)]

mod access;
mod audit;
mod clock;
mod digest;
mod emergency;
mod fault;
mod ids;
mod notice;
mod number;
mod permit;
mod recording;
mod refusal;
mod retention;
mod staff;

pub use crate::{
    access::{Action, ListenGrant, ListenRequest, Purpose, may, request_listen},
    audit::{
        Actor, AlarmCode, AuditDraft, AuditEntry, AuditEvent, AuditReceipt, Chain, CountsFault,
        DisposalCause, DisposalCounts, ExportCause, LastStop, RecoveryReason,
    },
    clock::{BootId, ClockAnchor, ClockReading, DestructionClock, FreezeCause, KernelClock},
    digest::Digest,
    emergency::{Declaration, Emergency, EmergencyFault, EmergencyState, Scope},
    fault::Fault,
    ids::{
        CallId, CaseId, ConfirmationId, EmergencyId, IdFault, JstDay, RecordingId, StaffId,
        jst_rfc3339,
    },
    notice::{CutShort, Keeping, Notice, NoticeKind, NoticeRecord, Played, Reason, WaiverFault},
    number::{
        Caller, DecisionFault, Extension, Number, NumberDecision, NumberFault, NumberPolicy,
        Profile,
    },
    permit::{DisposalPermit, ListenPermit, RecordingDisposalPermit},
    recording::{CallRecord, EndCause, RecordingState},
    refusal::{Clause, Refusal, RefusalCode},
    retention::{RetentionFault, RetentionPolicy, TrailTerm},
    staff::{Role, Staff, StaffFault, StaffMember},
};

/// The version of the policy that this code is: roles, purposes, refusals, retention (K-31). Each access stores it.
pub const POLICY_VERSION: u32 = 1;
