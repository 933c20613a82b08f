//! A refusal names the clause that forbids, in plain Japanese and in English (K-40).

mod sentences;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Why the rules say no. Codes are stable: lists, exit messages and audit entries hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefusalCode {
    /// No purpose is given.
    PurposeRequired,
    /// The purpose is not on the closed list, or not for this act or role.
    PurposeNotPermitted,
    /// Nobody is proved to ask.
    PersonUnknown,
    /// The role does not include the act.
    RoleNotPermitted,
    /// The person's role was withdrawn.
    RoleEnded,
    /// No manager designated the person.
    NotDesignated,
    /// The training is not on record or lapsed.
    TrainingExpired,
    /// The call is still being recorded.
    RecordingOpen,
    /// A restore has still to bring the sound.
    AudioAwaited,
    /// There is no sound: the call was connected unrecorded.
    NotRecorded,
    /// A policy that keeps recordings longer than three months, or not at all.
    RetentionFixed,
    /// It was destroyed, or its time is over and its bytes wait for the sweep.
    Disposed,
    /// The audit entry is not durable.
    AuditUnavailable,
    /// The permit's time is over.
    PermitLapsed,
    /// The day's retention is not over.
    NotDue,
    /// The wall clock is not believed, so nothing is destroyed by it.
    ClockFrozen,
    /// What needs a decision has none.
    DecisionRequired,
    /// An emergency, a decision, or a look at a caller's number, without a reason.
    ReasonRequired,
    /// An emergency of more than 24 hours.
    EmergencyTooLong,
    /// An emergency that would be over when it begins.
    EmergencyTooShort,
    /// Person and recording, number or person belong to different units.
    OrgNotPermitted,
    /// The rules in force are not acknowledged.
    AckRequired,
    /// No manager approved the contractor's supervisor.
    NotApproved,
    /// No contract is in force.
    ContractScope,
    /// The contract does not cover it; to this person it is not there.
    OutOfScope,
    /// What the contractor attested is missing or lapsed.
    NotAttested,
    /// A deputy outside the period.
    DeputyNotInPeriod,
    /// Whoever decides is whom it is about.
    SelfApproval,
    /// The role is not one that this person may grant.
    RoleNotGrantable,
    /// The first manager was named before.
    AlreadyFounded,
    /// Id, password and code do not belong together.
    LoginFailed,
    /// Wrong attempts: the next is looked at after a while.
    TooManyAttempts,
    /// The login session is idle, too old, or ended.
    SessionOver,
    /// The password must be changed first.
    PasswordExpired,
    /// A new password of fewer than 12 characters.
    PasswordTooShort,
    /// A new password that others would guess.
    PasswordBlocked,
    /// A new password that was one of the last ten.
    PasswordReused,
    /// The contractor has what should be gone, and no certificate of its destruction.
    VendorCertOverdue,
    /// The person has a copy that should be gone.
    CopyOverdue,
    /// A copy that is said to be gone lies where it was written, or is being written.
    CopyPresent,
    /// The contract is with somebody else than whom it is handed to.
    WrongRecipient,
    /// Another step is due, or this one was taken.
    OutOfOrder,
    /// What leaves the city would not be encrypted.
    PlainExportForbidden,
    /// The code is not the one that lies in the package.
    ReceiptCodeWrong,
    /// Something of it is outside, and nothing says that it is gone.
    CertificateRequired,
    /// A request without its basis, requester, document or recordings.
    LegalBasisRequired,
    /// Without what its record would hold: a medium, a receiver, a training, a kind of attestation or the measure itself.
    ParticularsRequired,
    /// It was decided otherwise before.
    AlreadyDecided,
    /// 利用停止: the recording is used for one case only.
    UseSuspended,
    /// A hold of more than a year, or one that ends before it is reviewed.
    HoldTooLong,
    /// A case holds the recording.
    LegalHold,
    /// A waiver that nobody would look at within a year.
    ReviewTooLate,
}

impl RefusalCode {
    /// All of them.
    pub const ALL: [RefusalCode; 52] = [
        RefusalCode::PurposeRequired,
        RefusalCode::PurposeNotPermitted,
        RefusalCode::PersonUnknown,
        RefusalCode::RoleNotPermitted,
        RefusalCode::RoleEnded,
        RefusalCode::NotDesignated,
        RefusalCode::TrainingExpired,
        RefusalCode::RecordingOpen,
        RefusalCode::AudioAwaited,
        RefusalCode::NotRecorded,
        RefusalCode::RetentionFixed,
        RefusalCode::Disposed,
        RefusalCode::AuditUnavailable,
        RefusalCode::PermitLapsed,
        RefusalCode::NotDue,
        RefusalCode::ClockFrozen,
        RefusalCode::DecisionRequired,
        RefusalCode::ReasonRequired,
        RefusalCode::EmergencyTooLong,
        RefusalCode::EmergencyTooShort,
        RefusalCode::OrgNotPermitted,
        RefusalCode::AckRequired,
        RefusalCode::NotApproved,
        RefusalCode::ContractScope,
        RefusalCode::OutOfScope,
        RefusalCode::NotAttested,
        RefusalCode::DeputyNotInPeriod,
        RefusalCode::SelfApproval,
        RefusalCode::RoleNotGrantable,
        RefusalCode::AlreadyFounded,
        RefusalCode::LoginFailed,
        RefusalCode::TooManyAttempts,
        RefusalCode::SessionOver,
        RefusalCode::PasswordExpired,
        RefusalCode::PasswordTooShort,
        RefusalCode::PasswordBlocked,
        RefusalCode::PasswordReused,
        RefusalCode::VendorCertOverdue,
        RefusalCode::CopyOverdue,
        RefusalCode::CopyPresent,
        RefusalCode::WrongRecipient,
        RefusalCode::OutOfOrder,
        RefusalCode::PlainExportForbidden,
        RefusalCode::ReceiptCodeWrong,
        RefusalCode::CertificateRequired,
        RefusalCode::LegalBasisRequired,
        RefusalCode::ParticularsRequired,
        RefusalCode::AlreadyDecided,
        RefusalCode::UseSuspended,
        RefusalCode::HoldTooLong,
        RefusalCode::LegalHold,
        RefusalCode::ReviewTooLate,
    ];

    /// The code that is written so.
    pub fn of(code: &str) -> Option<RefusalCode> {
        RefusalCode::ALL
            .into_iter()
            .find(|known| known.code() == code)
    }

    /// As lists and messages show it.
    pub fn code(self) -> &'static str {
        match self {
            RefusalCode::PurposeRequired => "PURPOSE_REQUIRED",
            RefusalCode::PurposeNotPermitted => "PURPOSE_NOT_PERMITTED",
            RefusalCode::PersonUnknown => "PERSON_UNKNOWN",
            RefusalCode::RoleNotPermitted => "ROLE_NOT_PERMITTED",
            RefusalCode::RoleEnded => "ROLE_ENDED",
            RefusalCode::NotDesignated => "NOT_DESIGNATED",
            RefusalCode::TrainingExpired => "TRAINING_EXPIRED",
            RefusalCode::RecordingOpen => "RECORDING_OPEN",
            RefusalCode::AudioAwaited => "AUDIO_AWAITED",
            RefusalCode::NotRecorded => "NOT_RECORDED",
            RefusalCode::RetentionFixed => "RETENTION_FIXED",
            RefusalCode::Disposed => "DISPOSED",
            RefusalCode::AuditUnavailable => "AUDIT_UNAVAILABLE",
            RefusalCode::PermitLapsed => "PERMIT_LAPSED",
            RefusalCode::NotDue => "NOT_DUE",
            RefusalCode::ClockFrozen => "CLOCK_FROZEN",
            RefusalCode::DecisionRequired => "DECISION_REQUIRED",
            RefusalCode::ReasonRequired => "REASON_REQUIRED",
            RefusalCode::EmergencyTooLong => "EMERGENCY_TOO_LONG",
            RefusalCode::EmergencyTooShort => "EMERGENCY_TOO_SHORT",
            RefusalCode::OrgNotPermitted => "ORG_NOT_PERMITTED",
            RefusalCode::AckRequired => "ACK_REQUIRED",
            RefusalCode::NotApproved => "NOT_APPROVED",
            RefusalCode::ContractScope => "CONTRACT_SCOPE",
            RefusalCode::OutOfScope => "OUT_OF_SCOPE",
            RefusalCode::NotAttested => "NOT_ATTESTED",
            RefusalCode::DeputyNotInPeriod => "DEPUTY_NOT_IN_PERIOD",
            RefusalCode::SelfApproval => "SELF_APPROVAL",
            RefusalCode::RoleNotGrantable => "ROLE_NOT_GRANTABLE",
            RefusalCode::AlreadyFounded => "ALREADY_FOUNDED",
            RefusalCode::LoginFailed => "LOGIN_FAILED",
            RefusalCode::TooManyAttempts => "TOO_MANY_ATTEMPTS",
            RefusalCode::SessionOver => "SESSION_OVER",
            RefusalCode::PasswordExpired => "PASSWORD_EXPIRED",
            RefusalCode::PasswordTooShort => "PASSWORD_TOO_SHORT",
            RefusalCode::PasswordBlocked => "PASSWORD_BLOCKED",
            RefusalCode::PasswordReused => "PASSWORD_REUSED",
            RefusalCode::VendorCertOverdue => "VENDOR_CERT_OVERDUE",
            RefusalCode::CopyOverdue => "COPY_OVERDUE",
            RefusalCode::CopyPresent => "COPY_PRESENT",
            RefusalCode::WrongRecipient => "WRONG_RECIPIENT",
            RefusalCode::OutOfOrder => "OUT_OF_ORDER",
            RefusalCode::PlainExportForbidden => "PLAIN_EXPORT_FORBIDDEN",
            RefusalCode::ReceiptCodeWrong => "RECEIPT_CODE_WRONG",
            RefusalCode::CertificateRequired => "CERTIFICATE_REQUIRED",
            RefusalCode::LegalBasisRequired => "LEGAL_BASIS_REQUIRED",
            RefusalCode::ParticularsRequired => "PARTICULARS_REQUIRED",
            RefusalCode::AlreadyDecided => "ALREADY_DECIDED",
            RefusalCode::UseSuspended => "USE_SUSPENDED",
            RefusalCode::HoldTooLong => "HOLD_TOO_LONG",
            RefusalCode::LegalHold => "LEGAL_HOLD",
            RefusalCode::ReviewTooLate => "REVIEW_TOO_LATE",
        }
    }

    /// The HTTP status that says the same.
    pub fn status(self) -> u16 {
        match self {
            RefusalCode::LoginFailed | RefusalCode::SessionOver => 401,
            RefusalCode::PurposeNotPermitted
            | RefusalCode::PersonUnknown
            | RefusalCode::RoleNotPermitted
            | RefusalCode::RoleEnded
            | RefusalCode::NotDesignated
            | RefusalCode::TrainingExpired
            | RefusalCode::PermitLapsed
            | RefusalCode::OrgNotPermitted
            | RefusalCode::AckRequired
            | RefusalCode::NotApproved
            | RefusalCode::ContractScope
            | RefusalCode::DeputyNotInPeriod
            | RefusalCode::SelfApproval
            | RefusalCode::RoleNotGrantable
            | RefusalCode::RetentionFixed
            | RefusalCode::PasswordExpired
            | RefusalCode::WrongRecipient
            | RefusalCode::PlainExportForbidden
            | RefusalCode::ReceiptCodeWrong
            | RefusalCode::UseSuspended => 403,
            RefusalCode::NotRecorded | RefusalCode::OutOfScope => 404,
            RefusalCode::RecordingOpen
            | RefusalCode::NotDue
            | RefusalCode::ClockFrozen
            | RefusalCode::DecisionRequired
            | RefusalCode::NotAttested
            | RefusalCode::AlreadyFounded
            | RefusalCode::VendorCertOverdue
            | RefusalCode::CopyOverdue
            | RefusalCode::CopyPresent
            | RefusalCode::OutOfOrder
            | RefusalCode::CertificateRequired
            | RefusalCode::AlreadyDecided
            | RefusalCode::LegalHold => 409,
            RefusalCode::Disposed => 410,
            RefusalCode::PurposeRequired
            | RefusalCode::ReasonRequired
            | RefusalCode::EmergencyTooLong
            | RefusalCode::EmergencyTooShort
            | RefusalCode::PasswordTooShort
            | RefusalCode::PasswordBlocked
            | RefusalCode::PasswordReused
            | RefusalCode::LegalBasisRequired
            | RefusalCode::ParticularsRequired
            | RefusalCode::HoldTooLong
            | RefusalCode::ReviewTooLate => 422,
            RefusalCode::TooManyAttempts => 429,
            RefusalCode::AudioAwaited | RefusalCode::AuditUnavailable => 503,
        }
    }
}

/// A clause of the city's rules: 通話録音データに関する取扱要領（案）, or the consultation it belongs to (諮問書, 神戸市長広第1151号).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clause {
    /// Section 4①: the announcement, except in an emergency.
    Consultation4Announcement,
    /// Section 7(1): logs are kept.
    Consultation7Logs,
    /// Section 7(2): who may listen.
    Consultation7Staff,
    /// Section 7(3): what contractors are bound to.
    Consultation7Outsourcing,
    /// 管理責任者 is the head of the unit.
    Rules3Manager,
    /// 管理責任者 makes others keep the rules.
    Rules3Supervision,
    /// 管理補助者 are those whom the manager designates.
    Rules4Designation,
    /// They work after training.
    Rules4Training,
    /// Recordings are stored by the machine, by itself.
    Rules5Storing,
    /// For analysis, certain demands and statutes only; no other use.
    Rules5Use,
    /// Hand-overs need the manager's decision and a record.
    Rules5HandOver,
    /// Unreasonable demands: by the manager's decision, and recorded.
    Rules5Unreasonable,
    /// Systems are protected by personal accounts and enough security.
    Rules5Security,
    /// Three months at most, then beyond recovery.
    Rules5Retention,
    /// What is not regulated is the manager's to decide.
    Rules6Measures,
}

impl Clause {
    /// As it is cited in Japanese.
    pub fn japanese(self) -> &'static str {
        match self {
            Clause::Consultation4Announcement => "諮問書4①",
            Clause::Consultation7Logs => "諮問書7(1)",
            Clause::Consultation7Staff => "諮問書7(2)",
            Clause::Consultation7Outsourcing => "諮問書7(3)",
            Clause::Rules3Manager => "要領第3条第1項",
            Clause::Rules3Supervision => "要領第3条第2項",
            Clause::Rules4Designation => "要領第4条第1項",
            Clause::Rules4Training => "要領第4条第2項",
            Clause::Rules5Storing => "要領第5条第1項",
            Clause::Rules5Use => "要領第5条第2項",
            Clause::Rules5HandOver => "要領第5条第3項",
            Clause::Rules5Unreasonable => "要領第5条第4項",
            Clause::Rules5Security => "要領第5条第5項",
            Clause::Rules5Retention => "要領第5条第6項",
            Clause::Rules6Measures => "要領第6条",
        }
    }

    /// As it is cited in English.
    pub fn english(self) -> &'static str {
        match self {
            Clause::Consultation4Announcement => "section 4(1) of the consultation",
            Clause::Consultation7Logs => "section 7(1) of the consultation",
            Clause::Consultation7Staff => "section 7(2) of the consultation",
            Clause::Consultation7Outsourcing => "section 7(3) of the consultation",
            Clause::Rules3Manager => "article 3 paragraph 1 of the handling rules",
            Clause::Rules3Supervision => "article 3 paragraph 2 of the handling rules",
            Clause::Rules4Designation => "article 4 paragraph 1 of the handling rules",
            Clause::Rules4Training => "article 4 paragraph 2 of the handling rules",
            Clause::Rules5Storing => "article 5 paragraph 1 of the handling rules",
            Clause::Rules5Use => "article 5 paragraph 2 of the handling rules",
            Clause::Rules5HandOver => "article 5 paragraph 3 of the handling rules",
            Clause::Rules5Unreasonable => "article 5 paragraph 4 of the handling rules",
            Clause::Rules5Security => "article 5 paragraph 5 of the handling rules",
            Clause::Rules5Retention => "article 5 paragraph 6 of the handling rules",
            Clause::Rules6Measures => "article 6 of the handling rules",
        }
    }
}

/// The rules say no: which code, by which clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    code: RefusalCode,
    clause: Clause,
    sentence: Sentence,
}

/// What a refusal says after its clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sentence {
    /// That of its code.
    OfCode,
    /// That a text is no line that a record holds.
    NotOneLine,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, clause: Clause) -> Refusal {
        Refusal {
            code,
            clause,
            sentence: Sentence::OfCode,
        }
    }

    /// The refusal of a text that cannot be shown as it was typed (K-15); the code is that of a text that is left out.
    pub(crate) fn not_one_line(code: RefusalCode, clause: Clause) -> Refusal {
        Refusal {
            sentence: Sentence::NotOneLine,
            ..Refusal::new(code, clause)
        }
    }

    /// The refusal of whatever needs a person, where nobody is proved (law 3).
    pub fn nobody() -> Refusal {
        Refusal::new(RefusalCode::PersonUnknown, Clause::Rules5Security)
    }

    /// The refusal of a recording whose time is over (K-22).
    pub fn disposed() -> Refusal {
        Refusal::new(RefusalCode::Disposed, Clause::Rules5Retention)
    }

    /// The refusal of a certificate for a copy that lies in its place (K-39).
    pub fn copy_present() -> Refusal {
        Refusal::new(RefusalCode::CopyPresent, Clause::Rules5Retention)
    }

    /// The refusal of whatever needs an audit entry that could not be made durable (K-15).
    pub fn audit_unavailable() -> Refusal {
        Refusal::new(RefusalCode::AuditUnavailable, Clause::Consultation7Logs)
    }

    /// The stable code.
    pub fn code(&self) -> RefusalCode {
        self.code
    }

    /// The clause that forbids it.
    pub fn clause(&self) -> Clause {
        self.clause
    }

    /// The operator's: the person who asks, or what the staff file says of them.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }

    /// The refusal in plain Japanese, with what to do.
    pub fn japanese(&self) -> String {
        let sentence = match self.sentence {
            Sentence::OfCode => sentences::japanese(self.code),
            Sentence::NotOneLine => sentences::NOT_ONE_LINE_JA,
        };
        format!("{}により、{sentence}", self.clause.japanese())
    }

    /// The refusal in plain English, with what to do.
    pub fn english(&self) -> String {
        let sentence = match self.sentence {
            Sentence::OfCode => sentences::english(self.code),
            Sentence::NotOneLine => sentences::NOT_ONE_LINE_EN,
        };
        format!("by {}, {sentence}", self.clause.english())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({})",
            self.code.code(),
            self.japanese(),
            self.english()
        )
    }
}

impl std::error::Error for Refusal {}
