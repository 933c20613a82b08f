//! What must hold for an act, and which refusal says that it does not.

use crate::refusal::{Clause, Refusal, RefusalCode};

/// What must hold for an act. Conditions are cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// A purpose of the list is given.
    PurposeGiven,
    /// It is one for which this standing does this.
    PurposeFits,
    /// It is said why.
    ReasonGiven,
    /// A policy keeps recordings no longer than three months.
    WithinLimit,
    /// Person and what is acted upon belong to one 管理所管課.
    OwnUnit,
    /// The manager's designation holds.
    Designated,
    /// A training counts.
    Trained,
    /// The rules in force are acknowledged.
    Acknowledged,
    /// A manager approved the contractor's supervisor.
    Approved,
    /// The contract is in force.
    ContractInForce,
    /// The contract covers the number.
    InScope,
    /// What the contractor attested has not lapsed.
    Attested,
    /// The deputy's period holds.
    DeputyPeriod,
    /// Whoever decides is not whom it is decided about.
    OtherPerson,
    /// The role is one that this standing may grant.
    RoleGrantable,
    /// The role is one that this standing may end.
    RoleEndable,
    /// Whoever shall decide is of the city, and neither auditor nor administrator, who control whoever decides.
    CityStaff,
    /// Nobody was named before.
    NotFounded,
    /// The call was recorded.
    Recorded,
    /// Its retention goes on.
    Retained,
    /// Its recording is closed.
    Closed,
    /// No restore has still to bring its sound.
    Arrived,
    /// The contract is with whom it is handed to.
    OfRecipient,
    /// The contractor has nothing that should be gone.
    VendorClear,
    /// Whoever makes a copy has none that should be gone.
    HolderClear,
    /// The manager decided, and the decision is yes.
    Decided,
    /// It is the hand-over's next step.
    InOrder,
    /// What leaves is encrypted.
    Encrypted,
    /// The code is the one that lies in the package.
    CodeRight,
    /// Nothing of it is outside.
    NothingOutside,
    /// A request says on what it rests, by whom it comes, where that is written and what it is about.
    BasisGiven,
    /// Nobody decided otherwise before.
    Undecided,
    /// Another person approved the case that this needs, and the case is about it.
    CaseApproved,
    /// No other case has suspended its use.
    UseFree,
    /// A hold begins before it ends, is reviewed before that, and lasts a year at most.
    HoldBounded,
    /// Another person approved the hold.
    HoldApproved,
    /// No case holds it.
    Unheld,
    /// A waiver is looked at again, within a year.
    ReviewBounded,
    /// The term of a month of the audit trail is over.
    TermOver,
}

impl Condition {
    /// As the table shows that it does not hold.
    pub fn missing_code(self) -> &'static str {
        match self {
            Condition::PurposeGiven => "no_purpose",
            Condition::PurposeFits => "another_purpose",
            Condition::ReasonGiven => "no_reason",
            Condition::WithinLimit => "beyond_limit",
            Condition::OwnUnit => "other_unit",
            Condition::Designated => "not_designated",
            Condition::Trained => "not_trained",
            Condition::Acknowledged => "not_acknowledged",
            Condition::Approved => "not_approved",
            Condition::ContractInForce => "contract_not_in_force",
            Condition::InScope => "out_of_scope",
            Condition::Attested => "not_attested",
            Condition::DeputyPeriod => "out_of_period",
            Condition::OtherPerson => "own_request",
            Condition::RoleGrantable => "role_not_grantable",
            Condition::RoleEndable => "role_not_endable",
            Condition::CityStaff => "not_city_staff",
            Condition::NotFounded => "founded",
            Condition::Recorded => "unrecorded",
            Condition::Retained => "expired",
            Condition::Closed => "open",
            Condition::Arrived => "awaited",
            Condition::OfRecipient => "other_recipient",
            Condition::VendorClear => "vendor_overdue",
            Condition::HolderClear => "copy_overdue",
            Condition::Decided => "undecided",
            Condition::InOrder => "out_of_order",
            Condition::Encrypted => "in_clear",
            Condition::CodeRight => "wrong_code",
            Condition::NothingOutside => "outside",
            Condition::BasisGiven => "no_basis",
            Condition::Undecided => "decided",
            Condition::CaseApproved => "no_decision",
            Condition::UseFree => "suspended",
            Condition::HoldBounded => "hold_too_long",
            Condition::HoldApproved => "no_hold_decision",
            Condition::Unheld => "held",
            Condition::ReviewBounded => "review_too_late",
            Condition::TermOver => "within_term",
        }
    }

    /// Whether it tells of the recording; where many are asked for, each is asked for by itself.
    pub(crate) fn is_of_recording(self) -> bool {
        match self {
            Condition::OwnUnit
            | Condition::InScope
            | Condition::Recorded
            | Condition::Retained
            | Condition::Closed
            | Condition::Arrived
            | Condition::CaseApproved
            | Condition::UseFree
            | Condition::Unheld => true,
            Condition::PurposeGiven
            | Condition::PurposeFits
            | Condition::ReasonGiven
            | Condition::WithinLimit
            | Condition::Designated
            | Condition::Trained
            | Condition::Acknowledged
            | Condition::Approved
            | Condition::ContractInForce
            | Condition::BasisGiven
            | Condition::Undecided
            | Condition::HoldBounded
            | Condition::HoldApproved
            | Condition::ReviewBounded
            | Condition::TermOver
            | Condition::Attested
            | Condition::DeputyPeriod
            | Condition::OtherPerson
            | Condition::RoleGrantable
            | Condition::RoleEndable
            | Condition::CityStaff
            | Condition::NotFounded
            | Condition::OfRecipient
            | Condition::VendorClear
            | Condition::HolderClear
            | Condition::Decided
            | Condition::InOrder
            | Condition::Encrypted
            | Condition::CodeRight
            | Condition::NothingOutside => false,
        }
    }

    /// Whether it tells of whoever asks, whatever is asked for.
    pub(crate) fn is_of_petitioner(self) -> bool {
        matches!(
            self,
            Condition::Designated
                | Condition::Trained
                | Condition::Acknowledged
                | Condition::DeputyPeriod
        )
    }

    pub(crate) fn refusal(self) -> Refusal {
        let (code, clause) = match self {
            Condition::PurposeGiven => (RefusalCode::PurposeRequired, Clause::Rules5Use),
            Condition::PurposeFits => (RefusalCode::PurposeNotPermitted, Clause::Rules5Use),
            Condition::ReasonGiven => (RefusalCode::ReasonRequired, Clause::Rules4Training),
            Condition::WithinLimit => (RefusalCode::RetentionFixed, Clause::Rules5Retention),
            Condition::OwnUnit => (RefusalCode::OrgNotPermitted, Clause::Consultation7Staff),
            Condition::Designated => (RefusalCode::NotDesignated, Clause::Rules4Designation),
            Condition::Trained => (RefusalCode::TrainingExpired, Clause::Rules4Training),
            Condition::Acknowledged => (RefusalCode::AckRequired, Clause::Rules4Training),
            Condition::Approved => (RefusalCode::NotApproved, Clause::Consultation7Staff),
            Condition::ContractInForce => {
                (RefusalCode::ContractScope, Clause::Consultation7Outsourcing)
            }
            Condition::InScope => (RefusalCode::OutOfScope, Clause::Consultation7Staff),
            Condition::Attested => (RefusalCode::NotAttested, Clause::Consultation7Outsourcing),
            Condition::DeputyPeriod => (RefusalCode::DeputyNotInPeriod, Clause::Rules3Manager),
            Condition::OtherPerson => (RefusalCode::SelfApproval, Clause::Rules3Supervision),
            Condition::RoleGrantable | Condition::RoleEndable => {
                (RefusalCode::RoleNotGrantable, Clause::Rules4Designation)
            }
            Condition::CityStaff => (RefusalCode::RoleNotGrantable, Clause::Consultation7Staff),
            Condition::NotFounded => (RefusalCode::AlreadyFounded, Clause::Rules3Manager),
            Condition::Recorded => (RefusalCode::NotRecorded, Clause::Consultation4Announcement),
            Condition::Retained => (RefusalCode::Disposed, Clause::Rules5Retention),
            Condition::Closed => (RefusalCode::RecordingOpen, Clause::Rules5Storing),
            Condition::Arrived => (RefusalCode::AudioAwaited, Clause::Rules5Storing),
            Condition::OfRecipient => (RefusalCode::WrongRecipient, Clause::Rules5HandOver),
            Condition::VendorClear => {
                let clause = Clause::Consultation7Outsourcing;
                (RefusalCode::VendorCertOverdue, clause)
            }
            Condition::HolderClear => (RefusalCode::CopyOverdue, Clause::Rules5Retention),
            Condition::Decided => (RefusalCode::DecisionRequired, Clause::Rules5HandOver),
            Condition::InOrder => (RefusalCode::OutOfOrder, Clause::Rules5HandOver),
            Condition::Encrypted => (
                RefusalCode::PlainExportForbidden,
                Clause::Consultation7Staff,
            ),
            Condition::CodeRight => (RefusalCode::ReceiptCodeWrong, Clause::Rules5HandOver),
            Condition::NothingOutside => {
                let clause = Clause::Consultation7Outsourcing;
                (RefusalCode::CertificateRequired, clause)
            }
            Condition::BasisGiven => (RefusalCode::LegalBasisRequired, Clause::Rules5Use),
            Condition::Undecided => (RefusalCode::AlreadyDecided, Clause::Rules3Supervision),
            Condition::CaseApproved => (RefusalCode::DecisionRequired, Clause::Rules5Use),
            Condition::UseFree => (RefusalCode::UseSuspended, Clause::Rules5Use),
            Condition::HoldBounded => (RefusalCode::HoldTooLong, Clause::Rules5Unreasonable),
            Condition::HoldApproved => (RefusalCode::DecisionRequired, Clause::Rules5Unreasonable),
            Condition::Unheld => (RefusalCode::LegalHold, Clause::Rules5Unreasonable),
            Condition::ReviewBounded => (
                RefusalCode::ReviewTooLate,
                Clause::Consultation4Announcement,
            ),
            Condition::TermOver => (RefusalCode::NotDue, Clause::Consultation7Logs),
        };
        Refusal::new(code, clause)
    }
}
