//! What happened, as an entry of the audit trail says it: one variant a kind.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AlarmCode, AlarmSubject, Chain, DisposalCause, DisposalCounts, ExportCause, LastStop,
    RecoveryReason,
};
use crate::{
    access::Action,
    clock::FreezeCause,
    digest::Digest,
    emergency::{Emergency, Scope},
    ids::{CallId, CaseId, DecisionId, EmergencyId, JstDay, RecordingId, StaffId},
    month::JstMonth,
    number::{Number, clear},
    purpose::Purpose,
    reconciliation::DayCounts,
    refusal::RefusalCode,
    register::Fact,
    search::Criterion,
};

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
    /// Somebody's act on the keys begins; what came of it is the next entry about them.
    KeysBegun {
        /// Which act.
        action: Action,
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
    /// Somebody was shown entries of the trail.
    TrailShown {
        /// Of which chains.
        chains: BTreeSet<Chain>,
        /// From this number of each on.
        from_seq: u64,
        /// The version of the policy that allowed it.
        policy: u32,
    },
    /// Somebody saw who had heard a recording.
    HearingsShown {
        /// Which.
        recording: RecordingId,
        /// The version of the policy that allowed it; entries of the first version name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<u32>,
    },
    /// Somebody saw a month's supervision report.
    SupervisionShown {
        /// Of which month.
        month: JstMonth,
        /// The version of the policy that allowed it; entries of the first version name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<u32>,
    },
    /// A month's statement for the public was signed.
    StatementSigned {
        /// Of which month.
        month: JstMonth,
        /// Of the signed note.
        sha256: Digest,
        /// The version of the policy that allowed it; entries of the first version name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<u32>,
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
    /// A person was shown the secret of new codes, which wait for one of them.
    TotpOffered,
    /// A code confirmed them: they are in force.
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
        /// What was sent before, in milliseconds; a file that is removed was heard all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range_ms: Option<(u64, u64)>,
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
    /// Files of a day that is disposed of were removed and counted in no certificate: they came back after it, or no row and no key knew them.
    StraysRemoved {
        /// Which day.
        day: JstDay,
        /// Recordings whose files they are by their names.
        recordings: u64,
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
        /// Which of many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<AlarmSubject>,
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
    /// They are gone, to the last file that was decided on.
    MonthsGone {
        /// Of which chain.
        chain: Chain,
        /// The last month that was decided on.
        through: JstMonth,
    },
    /// The key that signs heads, certificates and statements was made or changed.
    SigningKeyMade {
        /// Which key this is, from 1.
        generation: u32,
        /// The SHA-256 of the public half as it is shown.
        sha256: Digest,
    },
    /// Both chains are read out to a file from here on.
    AuditExportBegun {
        /// The version of the policy that allowed it; entries of the first version name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<u32>,
    },
    /// They were, to their end.
    AuditExported {
        /// The number of the entry that allowed it; entries of the first version name none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granted: Option<u64>,
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
        /// Segments that were not there; their bytes may follow.
        files: u64,
        /// Recordings without a key: their rows are tombstones, their files are removed.
        purged: u64,
    },
    /// This chain was brought back from a backup, and the entries before this one were written here before it came: with their times, under other numbers.
    TrailRestored {
        /// How many.
        carried: u64,
        /// The root of the tree in which they stood.
        head: Digest,
    },
    /// Audio of a restored backup is copied in from here on, while others listen.
    AudioRestored {
        /// Days whose audio is awaited.
        days: u64,
    },
    /// What a restore had still to bring is not awaited any more, and counts as missing.
    AudioGivenUp {
        /// Days whose audio was awaited.
        days: u64,
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
    /// The entry for an alarm of the service itself, which is about no call.
    pub fn alarm(code: AlarmCode) -> AuditEvent {
        AuditEvent::AlarmRaised {
            code,
            call: None,
            about: None,
        }
    }

    /// Whether this person has another password by it.
    pub fn sets_password_of(&self, whose: &StaffId) -> bool {
        match self {
            AuditEvent::PasswordSet { person } => person == whose,
            AuditEvent::Registered { change, .. } => change.gives_password_to(whose),
            _ => false,
        }
    }

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

    /// The salted hash of the words that are shown with the entry, because no list but the trail's has them.
    pub fn reason(&self) -> Option<Digest> {
        match self {
            AuditEvent::EmergencyDeclared { reason, .. } => Some(*reason),
            AuditEvent::DestructionResumed { reason } => *reason,
            AuditEvent::MonthsRemoved { decision, .. } => Some(*decision),
            AuditEvent::Registered {
                change: Fact::MonthsForgotten { text, .. },
                ..
            } => Some(*text),
            _ => None,
        }
    }
}
