//! What an alarm is about.

use serde::{Deserialize, Serialize};

use crate::ids::{CopyId, DecisionId, HoldId};

/// What needs a person. Later capabilities add codes and rename none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmCode {
    /// A prompt is missing, damaged or not in the form that can be played.
    PromptUnusable,
    /// Another process has the office's lock; calls go on, and what they leave waits for the office.
    OfficeHeld,
    /// A recording could not be written or sealed; calls go on unrecorded.
    RecorderFault,
    /// Frames were refused because the recorder was behind.
    RecorderBehind,
    /// The vault's disk is full.
    DiskFull,
    /// A key that is needed is not there.
    KeyUnavailable,
    /// A mirror of the keys has not followed.
    MirrorBehind,
    /// Rows wait in the spool.
    DatabaseUnavailable,
    /// Entries wait in memory or spool.
    AuditUnavailable,
    /// Entries are not as they were when a head of them was signed.
    AuditAltered,
    /// The register of people is not what the trail says.
    RegisterDiffers,
    /// The state of the emergency could not be saved; it holds until the process ends.
    EmergencyNotSaved,
    /// A media shard was lost and its calls ended.
    ShardLost,
    /// A fault of ours ended one call.
    CallAbandoned,
    /// No RTP port was left to lend.
    PortsExhausted,
    /// A call has neither recording nor reason, or a row or a file lacks the other (K-06).
    Unreconciled,
    /// The wall clock stepped.
    ClockStepped,
    /// The wall clock is not believed, so nothing is destroyed.
    DestructionFrozen,
    /// A day is past its expiry and its bytes are still there.
    DisposalOverdue,
    /// A hold waits for its review, or to be let go.
    HoldOverdue,
    /// The keys do not hold what was decided to be held, or still hold what was let go.
    HoldNotSettled,
    /// A waiver of a number's notice is past its review; the number announces.
    WaiverLapsed,
    /// What was decided about the numbers' notices is not known to whoever carries calls; what was known last holds.
    NoticesUnknown,
    /// The file of the numbers' notices was not what the office had written.
    NoticesAltered,
    /// The file of the policy's N was not what the office had written.
    PolicyDaysAltered,
    /// What is played or kept is not what the policy in force says.
    PolicyDiffers,
    /// A copy outside the vault must be gone within a week, or should be gone.
    CopyDue,
    /// Calls of ours to a peer do not get through.
    PeerDown,
    /// They do again.
    PeerUp,
    /// A registrar does not know us.
    NotRegistered,
    /// A peer's name leads to another peer's address.
    PeerAddressTaken,
    /// A peer has more calls than its contract says.
    ContractExceeded,
    /// More calls came than can be served.
    Overloaded,
}

/// Which of many an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmSubject {
    /// A copy outside the vault.
    Copy(CopyId),
    /// A decision about a number's notice.
    Decision(DecisionId),
    /// A legal hold.
    Hold(HoldId),
}

impl AlarmCode {
    /// As logs and messages show it.
    pub fn code(self) -> &'static str {
        match self {
            AlarmCode::PromptUnusable => "PROMPT_UNUSABLE",
            AlarmCode::OfficeHeld => "OFFICE_HELD",
            AlarmCode::RecorderFault => "RECORDER_FAULT",
            AlarmCode::RecorderBehind => "RECORDER_BEHIND",
            AlarmCode::DiskFull => "DISK_FULL",
            AlarmCode::KeyUnavailable => "KEY_UNAVAILABLE",
            AlarmCode::MirrorBehind => "MIRROR_BEHIND",
            AlarmCode::DatabaseUnavailable => "DATABASE_UNAVAILABLE",
            AlarmCode::AuditUnavailable => "AUDIT_UNAVAILABLE",
            AlarmCode::AuditAltered => "AUDIT_ALTERED",
            AlarmCode::RegisterDiffers => "REGISTER_DIFFERS",
            AlarmCode::EmergencyNotSaved => "EMERGENCY_NOT_SAVED",
            AlarmCode::ShardLost => "SHARD_LOST",
            AlarmCode::CallAbandoned => "CALL_ABANDONED",
            AlarmCode::PortsExhausted => "PORTS_EXHAUSTED",
            AlarmCode::Unreconciled => "UNRECONCILED",
            AlarmCode::ClockStepped => "CLOCK_STEPPED",
            AlarmCode::DestructionFrozen => "DESTRUCTION_FROZEN",
            AlarmCode::DisposalOverdue => "DISPOSAL_OVERDUE",
            AlarmCode::HoldOverdue => "HOLD_OVERDUE",
            AlarmCode::HoldNotSettled => "HOLD_NOT_SETTLED",
            AlarmCode::WaiverLapsed => "WAIVER_LAPSED",
            AlarmCode::NoticesUnknown => "NOTICES_UNKNOWN",
            AlarmCode::NoticesAltered => "NOTICES_ALTERED",
            AlarmCode::PolicyDaysAltered => "POLICY_DAYS_ALTERED",
            AlarmCode::PolicyDiffers => "POLICY_DIFFERS",
            AlarmCode::CopyDue => "COPY_DUE",
            AlarmCode::PeerDown => "PEER_DOWN",
            AlarmCode::PeerUp => "PEER_UP",
            AlarmCode::NotRegistered => "NOT_REGISTERED",
            AlarmCode::PeerAddressTaken => "PEER_ADDRESS_TAKEN",
            AlarmCode::ContractExceeded => "CONTRACT_EXCEEDED",
            AlarmCode::Overloaded => "OVERLOADED",
        }
    }
}
