//! What the audit trail says (K-15): who did what, when. Every field is an id, a time, a count, a code or a digest; none can hold a citizen's number or free text.
//!
//! This room makes entries; `storage` numbers, chains and keeps them, and gives an [`AuditReceipt`] for each that is durable.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::Action,
    clock::FreezeCause,
    digest::Digest,
    emergency::{Emergency, Scope},
    fault::Fault,
    ids::{CallId, CaseId, DecisionId, EmergencyId, JstDay, RecordingId, StaffId},
    month::JstMonth,
    number::{Number, clear},
    purpose::Purpose,
    reconciliation::DayCounts,
    refusal::RefusalCode,
    register::Fact,
    search::Criterion,
};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The service, by itself.
    System,
    /// Somebody.
    Person {
        /// The Unix user that the socket or the process reports.
        unix_user: String,
        /// The person, where one was proved; `None` is the host's user alone, let in by the socket's mode and group.
        person: Option<StaffId>,
    },
}

impl Actor {
    /// The person who was proved.
    pub fn person(&self) -> Option<&StaffId> {
        match self {
            Actor::System => None,
            Actor::Person { person, .. } => person.as_ref(),
        }
    }
}

/// What is to be written: the trail adds number, time and chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDraft {
    /// Who.
    pub actor: Actor,
    /// What.
    pub event: AuditEvent,
}

impl AuditDraft {
    /// What the service did by itself.
    pub fn system(event: AuditEvent) -> AuditDraft {
        AuditDraft {
            actor: Actor::System,
            event,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, without a gap over the whole trail.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub event: AuditEvent,
}

/// Proof that an entry is durable. Only the trail makes one, after its flush.
#[derive(Debug)]
#[must_use = "a receipt is moved into the permit that it allows"]
pub struct AuditReceipt {
    entry: AuditEntry,
    hash: [u8; 32],
}

impl AuditReceipt {
    /// Says that this entry is on disk, with this hash in the chain.
    pub fn durable(entry: AuditEntry, hash: [u8; 32]) -> AuditReceipt {
        AuditReceipt { entry, hash }
    }

    /// The entry.
    pub fn entry(&self) -> &AuditEntry {
        &self.entry
    }

    /// Its number.
    pub fn seq(&self) -> u64 {
        self.entry.seq
    }

    /// Its hash in the chain.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether this draft is what was written.
    pub fn is_for(&self, draft: &AuditDraft) -> bool {
        self.entry.actor == draft.actor && self.entry.event == draft.event
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// The service began.
    ServerStarted {
        /// How it had ended before.
        last_stop: LastStop,
    },
    /// The service ended in order.
    ServerStopped {
        /// Calls that it ended for that.
        calls_ended: u64,
    },
    /// A configuration was read.
    ConfigurationLoaded {
        /// Of the file.
        sha256: Digest,
    },
    /// The group key pair of a day was made.
    KeysMade {
        /// Which day.
        day: JstDay,
        /// When the day's recordings expire, as far as the policy in force says.
        expires_at: Timestamp,
    },
    /// The root was rotated and the surviving private halves wrapped anew.
    KeysRotated {
        /// The day on which it was done.
        day: JstDay,
        /// The new generation of the root.
        generation: u64,
        /// Private halves wrapped anew.
        wrapped: u64,
    },
    /// Mirrors of the keys were brought to what the key store holds, because somebody said so.
    KeysMirrored {
        /// The generation of the root.
        generation: u64,
        /// Mirrors that hold it.
        current: u64,
        /// Mirrors that do not.
        behind: u64,
    },
    /// Root and key store were made anew from a mirror.
    KeysRecovered {
        /// The new generation of the root.
        generation: u64,
    },
    /// An emergency was declared or renewed.
    EmergencyDeclared {
        /// Which.
        emergency: EmergencyId,
        /// Where it holds.
        scope: Scope,
        /// Its beginning.
        started: Timestamp,
        /// Its end.
        expires: Timestamp,
        /// The salted hash of its reason.
        reason: Digest,
        /// The one it renewed.
        replaces: Option<EmergencyId>,
    },
    /// An emergency was lifted.
    EmergencyLifted {
        /// Which.
        emergency: EmergencyId,
    },
    /// An emergency ended by itself.
    EmergencyExpired {
        /// Which.
        emergency: EmergencyId,
    },
    /// A recording whose process had died was cut to its last whole chunk.
    RecordingRecovered {
        /// Which.
        recording: RecordingId,
        /// Chunks that are left.
        chunks: u64,
        /// Of the file as it is left.
        sha256: Digest,
        /// What was found.
        reason: RecoveryReason,
    },
    /// Somebody was allowed to listen.
    ListenGranted {
        /// To which recording.
        recording: RecordingId,
        /// In which way.
        action: Action,
        /// What for.
        purpose: Purpose,
        /// Under which case, where the purpose needs one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        case: Option<CaseId>,
        /// Which part, in milliseconds; `None` is the whole.
        range_ms: Option<(u64, u64)>,
        /// The version of the policy that allowed it (K-31).
        policy: u32,
    },
    /// Somebody was not.
    ListenRefused {
        /// To which recording.
        recording: RecordingId,
        /// In which way.
        action: Action,
        /// What for, where a purpose of the list was given.
        purpose: Option<Purpose>,
        /// Under which case, where one was named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        case: Option<CaseId>,
        /// Why not.
        code: RefusalCode,
        /// The version of the policy that refused it.
        policy: u32,
    },
    /// Somebody was allowed to look for recordings.
    SearchGranted {
        /// By what.
        criteria: BTreeSet<Criterion>,
        /// What for.
        purpose: Purpose,
        /// The version of the policy that allowed it.
        policy: u32,
    },
    /// A search ended.
    SearchEnded {
        /// The number of the entry that allowed it.
        granted: u64,
        /// Recordings that were shown.
        found: u64,
        /// Callers' numbers that were compared with the one sought.
        compared: u64,
        /// What ended it before its end.
        cut: Option<RefusalCode>,
    },
    /// Somebody was allowed to see the number from which a call came.
    NumberRevealed {
        /// Of which recording.
        recording: RecordingId,
        /// What for.
        purpose: Purpose,
        /// The salted hash of why.
        reason: Digest,
        /// The version of the policy that allowed it.
        policy: u32,
    },
    /// Somebody saw who had heard a recording.
    HearingsShown {
        /// Which.
        recording: RecordingId,
    },
    /// Somebody saw a month's supervision report.
    SupervisionShown {
        /// Of which month.
        month: JstMonth,
    },
    /// A month's statement for the public was signed.
    StatementSigned {
        /// Of which month.
        month: JstMonth,
        /// Of the signed note.
        sha256: Digest,
    },
    /// Somebody was refused something else.
    ActionRefused {
        /// What.
        action: Action,
        /// Why not.
        code: RefusalCode,
        /// The version of the policy that refused it.
        policy: u32,
    },
    /// A fact was asked for and allowed; it is recorded next.
    Registered {
        /// Which.
        change: Fact,
        /// The version of the policy that allowed it.
        policy: u32,
    },
    /// Somebody was shown what a register holds, its sealed texts too.
    RegisterShown {
        /// Which.
        action: Action,
        /// The version of the policy that allowed it.
        policy: u32,
    },
    /// Somebody logged in.
    LoggedIn,
    /// An id, a password or a code was not right, or the password too old.
    LoginRefused {
        /// Whose id it was, where somebody has it.
        tried: Option<StaffId>,
        /// Why not.
        code: RefusalCode,
    },
    /// A login session was ended by its person.
    LoggedOut,
    /// A person has a new password.
    PasswordSet {
        /// Whose.
        person: StaffId,
    },
    /// A person's codes were enrolled.
    TotpEnrolled,
    /// A playback ended.
    PlaybackEnded {
        /// Of which recording.
        recording: RecordingId,
        /// The number of the entry that allowed it.
        granted: u64,
        /// What was sent, in milliseconds.
        range_ms: (u64, u64),
        /// What ended it before the end of what was asked for.
        cut: Option<RefusalCode>,
    },
    /// A recording was written to a file on the host.
    ExportCompleted {
        /// Which.
        recording: RecordingId,
        /// The number of the entry that allowed it.
        granted: u64,
        /// Of the file.
        sha256: Digest,
        /// Its length.
        bytes: u64,
        /// What it holds, in milliseconds.
        range_ms: (u64, u64),
    },
    /// It was not, or not to its end; what was written is removed.
    ExportFailed {
        /// Which.
        recording: RecordingId,
        /// The number of the entry that allowed it.
        granted: u64,
        /// Why.
        cause: ExportCause,
    },
    /// The disposal of a day began.
    DisposalBegun {
        /// Which day.
        day: JstDay,
        /// When it had expired.
        expires_at: Timestamp,
        /// Recordings of the day.
        due: u64,
    },
    /// The disposal of a day ended.
    DisposalCompleted {
        /// Which day.
        day: JstDay,
        /// What became of its recordings.
        counts: DisposalCounts,
    },
    /// Something of a day's disposal is still to be done: bytes that would not go, or mirrors that have not followed.
    DisposalIncomplete {
        /// Which day.
        day: JstDay,
        /// What became of its recordings.
        counts: DisposalCounts,
        /// Mirrors that still have the keys.
        mirrors: u64,
    },
    /// The responsible manager has seen a certificate.
    DisposalAcknowledged {
        /// Of which day.
        day: JstDay,
        /// Of which recording, where it was disposed of by itself.
        recording: Option<RecordingId>,
    },
    /// The disposal of one recording by itself began.
    RecordingDisposalBegun {
        /// Which.
        recording: RecordingId,
        /// Its day.
        day: JstDay,
        /// Why not with its day.
        cause: DisposalCause,
    },
    /// The disposal of one recording by itself ended.
    RecordingDisposed {
        /// Which.
        recording: RecordingId,
        /// Its day.
        day: JstDay,
    },
    /// A day that had ended was counted: its rows may go, this stays.
    DayCounted {
        /// Which.
        day: JstDay,
        /// What it came to.
        #[serde(flatten)]
        counts: DayCounts,
    },
    /// The wall clock was put on or back.
    ClockStepped {
        /// By how much.
        by_ms: i64,
    },
    /// The wall clock is not believed any more: nothing is destroyed by it.
    DestructionFrozen {
        /// Why.
        cause: FreezeCause,
        /// By how much it is off.
        by_ms: i64,
    },
    /// It is believed again: by a person who looked, or because the machine started again and its clock is synchronised.
    DestructionResumed {
        /// The salted hash of the person's reason.
        reason: Option<Digest>,
    },
    /// A number is connected without notice by a decision that only the configuration has.
    WaiverUnconfirmed {
        /// Which decision.
        decision: DecisionId,
        /// The city's number.
        #[serde(with = "clear")]
        number: Number,
    },
    /// Something needs a person.
    AlarmRaised {
        /// What.
        code: AlarmCode,
        /// In which call, where it was one.
        call: Option<CallId>,
    },
    /// A month's file begins: what came before it, so that it verifies without the files before.
    MonthBegun {
        /// Entries before this one.
        size: u64,
        /// The hash of the last of them.
        chain_hash: Digest,
        /// The roots of the perfect subtrees that they fill, largest first (RFC 6962 section 2.1).
        frontier: Vec<Digest>,
    },
    /// A last line that a crash had cut was removed.
    TrailCut {
        /// Its length.
        bytes: u64,
    },
    /// The oldest months of a chain were removed, as was decided. Each removal says it of both chains anew.
    MonthsRemoved {
        /// Of which chain.
        chain: Chain,
        /// Entries that are gone, from the first on.
        size: u64,
        /// The hash of the last of them.
        chain_hash: Digest,
        /// The salted hash of the decision.
        decision: Digest,
    },
    /// The key that signs heads, certificates and statements was made or changed.
    SigningKeyMade {
        /// Which key this is, from 1.
        generation: u32,
        /// The SHA-256 of the public half as it is shown.
        sha256: Digest,
    },
    /// Both chains are read out to a file from here on.
    AuditExportBegun,
    /// They were, to their end.
    AuditExported {
        /// How many.
        entries: u64,
        /// Of the file.
        sha256: Digest,
    },
    /// Rows, audio and trail are copied out from here on, without any key; so much of them there is.
    BackedUp {
        /// Rows of calls.
        rows: u64,
        /// Segments.
        files: u64,
    },
    /// Rows and audio were brought back from a backup.
    Restored {
        /// Rows of calls that were not known here.
        rows: u64,
        /// Segments that were not there.
        files: u64,
        /// Recordings without a key: their rows are tombstones, their files are removed.
        purged: u64,
    },
    /// The catalogue was made anew from vault and spool.
    CatalogueRebuilt {
        /// Recordings found.
        recordings: u64,
        /// Calls without one.
        unrecorded: u64,
    },
}

impl AuditEvent {
    /// The entry for an emergency that was just declared.
    ///
    /// `reason`: the salted hash of its reason.
    pub fn emergency_declared(emergency: &Emergency, reason: Digest) -> AuditEvent {
        AuditEvent::EmergencyDeclared {
            emergency: emergency.id(),
            scope: emergency.scope().clone(),
            started: emergency.started(),
            expires: emergency.expires(),
            reason,
            replaces: emergency.replaces(),
        }
    }
}

/// Whose audit chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chain {
    /// That of whoever carries calls.
    Calls,
    /// The office's.
    Office,
}

/// How the service had ended before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastStop {
    /// It never ran in this folder.
    Never,
    /// In order.
    Clean,
    /// It was killed or fell.
    Crash,
}

/// What a recovery found at the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecoveryReason {
    /// Whole chunks, without the final one.
    NotFinished,
    /// A chunk of which a part is missing.
    TornChunk,
    /// Bytes that are no chunk.
    DamagedChunk,
    /// Nothing after the header.
    HeaderOnly,
}

/// Why an export was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExportCause {
    /// The file could not be made.
    FileRefused,
    /// The disk did not take it.
    WriteFailed,
    /// The day's key is gone or cannot be read.
    KeyUnavailable,
    /// The segment does not open.
    RecordingDamaged,
    /// The permit lapsed on the way.
    PermitLapsed,
}

/// Why a recording is disposed of by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisposalCause {
    /// Somebody decided it before its day.
    Decided {
        /// The approved request that it was decided for.
        case: CaseId,
    },
    /// Its day was over, and the last case that held it let it go.
    Released {
        /// Which case.
        case: CaseId,
    },
}

/// What became of a day's recordings: due = disposed + held + failed (R-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SavedCounts")]
pub struct DisposalCounts {
    due: u64,
    disposed: u64,
    held: u64,
    failed: u64,
}

impl DisposalCounts {
    /// Counts that add up.
    ///
    /// # Errors
    /// [`CountsFault`] where they do not: a recording is missing or counted twice.
    pub fn new(
        due: u64,
        disposed: u64,
        held: u64,
        failed: u64,
    ) -> Result<DisposalCounts, CountsFault> {
        let sum = disposed
            .checked_add(held)
            .and_then(|sum| sum.checked_add(failed));
        if sum == Some(due) {
            return Ok(DisposalCounts {
                due,
                disposed,
                held,
                failed,
            });
        }
        Err(CountsFault {
            due,
            disposed,
            held,
            failed,
        })
    }

    /// Recordings of the day.
    pub fn due(self) -> u64 {
        self.due
    }

    /// Destroyed.
    pub fn disposed(self) -> u64 {
        self.disposed
    }

    /// Kept by a legal hold.
    pub fn held(self) -> u64 {
        self.held
    }

    /// To be tried again.
    pub fn failed(self) -> u64 {
        self.failed
    }
}

#[derive(Deserialize)]
struct SavedCounts {
    due: u64,
    disposed: u64,
    held: u64,
    failed: u64,
}

impl TryFrom<SavedCounts> for DisposalCounts {
    type Error = CountsFault;

    fn try_from(
        SavedCounts {
            due,
            disposed,
            held,
            failed,
        }: SavedCounts,
    ) -> Result<DisposalCounts, CountsFault> {
        DisposalCounts::new(due, disposed, held, failed)
    }
}

/// Counts of a disposal that do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{due} recordings were due, found {disposed} disposed of, {held} held and {failed} failed; look for the difference before it is certified"
)]
pub struct CountsFault {
    /// Recordings of the day.
    pub due: u64,
    /// Destroyed.
    pub disposed: u64,
    /// Kept by a legal hold.
    pub held: u64,
    /// To be tried again.
    pub failed: u64,
}

impl CountsFault {
    /// Ours.
    pub fn fault(&self) -> Fault {
        Fault::Ours
    }
}

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
            AlarmCode::PeerDown => "PEER_DOWN",
            AlarmCode::PeerUp => "PEER_UP",
            AlarmCode::NotRegistered => "NOT_REGISTERED",
            AlarmCode::PeerAddressTaken => "PEER_ADDRESS_TAKEN",
            AlarmCode::ContractExceeded => "CONTRACT_EXCEEDED",
            AlarmCode::Overloaded => "OVERLOADED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_disposal_add_up_or_are_refused() {
        assert!(DisposalCounts::new(6, 3, 2, 1).is_ok());
        assert_eq!(
            DisposalCounts::new(7, 3, 2, 1),
            Err(CountsFault {
                due: 7,
                disposed: 3,
                held: 2,
                failed: 1
            })
        );
        assert!(DisposalCounts::new(0, u64::MAX, 1, 0).is_err());
        assert!(
            serde_json::from_str::<DisposalCounts>(r#"{"due":7,"disposed":3,"held":2,"failed":1}"#)
                .is_err()
        );
    }
}
