//! The city's rules: who may do what, when, for which stated purpose, and what proves that it was allowed.
//!
//! A line of code here knows people, roles, dates, notices, decisions and permits; it never knows bytes, SQL, SIP, HTTP or clocks (`now` is an argument).
//! What must have happened is a value ([`Notice`], [`ListenPermit`], [`DisposalPermit`], [`AuditReceipt`]): private fields, no `Clone`, few makers.
//! Evidence guards against forgetting, not against malice inside the crate.
//! Source of the rules: the city's consultation 神戸市長広第1151号 and its 通話録音データに関する取扱要領（案）, cited as `要領 5-6`.
#![warn(missing_docs)]

mod access;
mod audit;
mod case;
mod clock;
mod copies;
mod counted_days;
mod credentials;
mod digest;
mod emergency;
mod fault;
mod forgetting;
mod hand_over;
mod hearing;
mod hold;
mod ids;
mod listen;
mod mirror;
mod missing;
mod month;
mod notice;
mod number;
mod number_decision;
mod particular;
mod people;
mod permit;
mod policy;
mod purpose;
mod recipient;
mod reconciliation;
mod recording;
mod refusal;
mod register;
mod retention;
mod reveal;
mod search;
mod statement;
mod subject;
mod supervision;
mod text;
mod trail_reading;
mod vendor;
mod waiver;

pub use crate::{
    access::{AccessLine, Action, Condition, Standing, State, access_table},
    audit::{
        Actor, AlarmCode, AlarmSubject, AuditDraft, AuditEntry, AuditEvent, AuditReceipt, Chain,
        CountsFault, DisposalCause, DisposalCounts, ExportCause, LastStop, RecoveryReason,
    },
    case::{Application, Case, CaseStage, Cases, Done, RequestFact, RequestKind, Verdict},
    clock::{BootId, ClockAnchor, ClockReading, DestructionClock, FreezeCause, KernelClock},
    copies::{
        Copies, CopyCounts, CopyFact, CopyOf, CopyState, Destruction, Holder, OutsideCopy,
        Reminder, destroy_by,
    },
    counted_days::{CountedDays, ToldOfDay},
    credentials::{
        Account, Attempts, CodeConfirmation, CodeFound, CodeOffer, Host, LoginSession, NewPassword,
        Origin, PasswordAge, PasswordFound, Petitioner, Proved, ProvedBy, REMEMBERED_PASSWORDS,
        Renewal, SecondFactor, Trial, totp_steps,
    },
    digest::Digest,
    emergency::{Declaration, Emergency, EmergencyFault, EmergencyState, Scope},
    fault::Fault,
    forgetting::Forgetting,
    hand_over::{
        Begun, Contents, Destination, HandOver, HandOverFact, HandOverPermit, HandOverState,
        ItemPermit, MOST_ITEMS, MOST_STRETCHES, MaskBeyond, Masks, Package, PackageForm,
        PackageLock, Side, Step, Stretch, StretchFault, Wished,
    },
    hearing::{Hearing, Hearings, Sighting},
    hold::{
        Ground, Hold, HoldFact, HoldPermit, HoldStage, HoldTasks, HoldTerms, Holds, Overdue,
        ReleasePermit,
    },
    ids::{
        CallId, CaseId, ConfirmationId, ContractId, CopyId, DecisionId, EmergencyId, HandOverId,
        HoldId, IdFault, JstDay, Label, RecordingId, StaffId, VendorId, jst_rfc3339,
    },
    listen::{Heard, ListenGrant, ListenRequest, Sound},
    mirror::MirrorEnd,
    missing::{Missing, Unsaid},
    month::JstMonth,
    notice::{CutShort, Keeping, Notice, NoticeKind, NoticeRecord, Played, Reason, WaiverFault},
    number::{Caller, Extension, Number, NumberFault, NumberPolicy, Profile, half_width},
    number_decision::{Authority, DecisionFault, NumberDecision},
    particular::Particular,
    people::{Designation, Period, PeriodFault, Person, Recovery, Role, Tenure, Training},
    permit::{DisposalPermit, ListenPermit, Permit, RecordingDisposalPermit},
    policy::{AppliedPolicy, DecidedMeasure, Policy, PolicyDifference, PolicyFact, PolicyTerms},
    purpose::Purpose,
    recipient::Recipient,
    reconciliation::{DayCounts, Discrepancy, KeptCall, Reconciled, RowTells, counted_from},
    recording::{CallRecord, EndCause, RecordingState},
    refusal::{Clause, Refusal, RefusalCode},
    register::{Fact, Recorded, Register, RegisterFault, RegisterGrant, RegisterPermit, TakenIn},
    retention::{PolicyDays, RetentionFault, RetentionPolicy, TrailTerm},
    reveal::{RevealGrant, RevealPermit, RevealRequest},
    search::{Criterion, FindGrant, FindPermit, FindRequest, Sought},
    statement::{Cell, DayNotCounted, MonthNotOver, MonthTally, Outcome, Statement},
    subject::Subject,
    supervision::{Supervision, SupervisionLine},
    text::{OneLine, TextFault, steers},
    trail_reading::TrailReading,
    vendor::{Attestation, AttestedKind, Contract, Terms, Vendor},
    waiver::{
        Notices, NoticesFault, NumberNotice, Telling, Waiver, WaiverBasis, WaiverCounts,
        WaiverFact, WaiverStage, WaiverState, WaiverTerms, Waivers,
    },
};

/// The version of the policy that this code is: roles, purposes, refusals, retention. It is in force until the city applies the next (K-31).
pub const POLICY_VERSION: u32 = 1;
