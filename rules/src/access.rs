//! Who may do what: one table, and nothing that it does not name (K-08, K-10 to K-13, K-38).
//!
//! [`demands`] lists the conditions of an act for whoever stands before it, or nothing, which is no. The live judgement and [`access_table`] run through the
//! same [`judge`]; they differ only in who answers whether a condition holds.

use serde::{Deserialize, Serialize};

use crate::{
    people::Role,
    purpose::Purpose,
    refusal::{Clause, Refusal, RefusalCode},
};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $code:literal $clause:ident),+ $(,)?) => {
        /// What somebody wants to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Action {
            $($(#[$doc])* $variant,)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Action] = &[$(Action::$variant,)+];

            /// As tables show it.
            pub fn code(self) -> &'static str {
                match self {
                    $(Action::$variant => $code,)+
                }
            }

            /// The clause that says who does it.
            pub(crate) fn clause(self) -> Clause {
                match self {
                    $(Action::$variant => Clause::$clause,)+
                }
            }
        }
    };
}

actions! {
    /// Hears a recording at speaking pace.
    Listen "listen" Consultation7Staff,
    /// Writes a recording to a file on the host, to be heard there (K-19).
    ListenToFile "listen_to_file" Consultation7Staff,
    /// Finds recordings by number or time, masked.
    Find "find" Consultation7Staff,
    /// Sees a caller's number in clear (K-03).
    Reveal "reveal" Consultation7Staff,
    /// Sees who heard a recording.
    SeeHeard "see_heard" Rules3Supervision,
    /// Sees a month's supervision report.
    SeeSupervision "see_supervision" Rules3Supervision,
    /// Signs it off.
    SignSupervision "sign_supervision" Rules3Supervision,
    /// Makes a month's statement for the public.
    PublishStatement "publish_statement" Rules3Supervision,
    /// Sees the policy.
    SeePolicy "see_policy" Rules4Training,
    /// Puts a new version of the policy in force.
    ApplyPolicy "apply_policy" Rules3Supervision,
    /// Decides a measure where the rules say nothing.
    DecideMeasure "decide_measure" Rules6Measures,
    /// Declares or renews an emergency.
    DeclareEmergency "declare_emergency" Consultation4Announcement,
    /// Ends an emergency.
    LiftEmergency "lift_emergency" Consultation4Announcement,
    /// Destroys what is due.
    Dispose "dispose" Rules5Retention,
    /// Names the first manager and the first administrator.
    Found "found" Rules3Manager,
    /// Names a manager with root's right on the host.
    Recover "recover" Rules3Manager,
    /// Takes note of a recovery.
    AcknowledgeRecovery "acknowledge_recovery" Rules3Supervision,
    /// Takes a person in.
    AddPerson "add_person" Rules4Designation,
    /// Gives another person a password that must be changed.
    IssuePassword "issue_password" Rules5Security,
    /// 管理補助者の指定.
    Designate "designate" Rules4Designation,
    /// Takes a designation back.
    Withdraw "withdraw" Rules4Designation,
    /// Records a training.
    Train "train" Rules4Training,
    /// Acknowledges the rules in force.
    Acknowledge "acknowledge" Rules4Training,
    /// 管理責任者 of the unit.
    Appoint "appoint" Rules3Manager,
    /// 代決.
    Deputise "deputise" Rules3Manager,
    /// Sees who is in the register.
    ListPeople "list_people" Rules3Supervision,
    /// Takes a contractor in.
    AddVendor "add_vendor" Consultation7Outsourcing,
    /// Records what a contractor attested.
    AttestVendor "attest_vendor" Consultation7Outsourcing,
    /// Enters a contract.
    AddContract "add_contract" Consultation7Outsourcing,
    /// Approves a contract's supervisor.
    ApproveSupervisor "approve_supervisor" Consultation7Staff,
    /// Asks that recordings are handed over.
    RequestHandOver "request_hand_over" Rules5HandOver,
    /// 管理責任者の決定 about a hand-over.
    DecideHandOver "decide_hand_over" Rules5HandOver,
    /// Makes the encrypted package.
    Package "package" Rules5HandOver,
    /// Says that a package was not made to its end.
    AbandonPackage "abandon_package" Rules5HandOver,
    /// Sees a package's passphrase.
    ShowPassphrase "show_passphrase" Rules5HandOver,
    /// 渡す.
    GiveHandOver "give_hand_over" Rules5HandOver,
    /// Records that the receiver has it.
    ReceiveHandOver "receive_hand_over" Rules5HandOver,
    /// Records that it came back, or is destroyed.
    EndHandOver "end_hand_over" Rules5HandOver,
    /// Closes a hand-over.
    CloseHandOver "close_hand_over" Rules5HandOver,
    /// Sees the 収受簿.
    ListHandOvers "list_hand_overs" Rules3Supervision,
    /// Enters a copy outside the vault.
    MakeCopy "make_copy" Rules5Retention,
    /// Takes a certificate of its destruction in.
    DestroyCopy "destroy_copy" Rules5Retention,
    /// Writes down what became of a copy: that it is whole, or that its file was removed.
    TrackCopy "track_copy" Rules5Retention,
    /// Sees the register of copies.
    ListCopies "list_copies" Rules3Supervision,
    /// Takes note of a certificate of disposal.
    AcknowledgeDisposal "acknowledge_disposal" Rules5Retention,
    /// Says that the clock is right by which is destroyed.
    ConfirmClock "confirm_clock" Rules5Retention,
    /// Reads the audit trail.
    ReadTrail "read_trail" Rules3Supervision,
    /// Writes the audit trail to a file.
    ExportTrail "export_trail" Rules3Supervision,
    /// Makes a new root, or a new key that signs.
    RotateKeys "rotate_keys" Rules5Security,
    /// Writes the mirrors of the keys.
    MirrorKeys "mirror_keys" Rules5Security,
    /// Makes lost keys anew from a mirror.
    RecoverKeys "recover_keys" Rules5Security,
    /// Copies rows, audio and trail out.
    BackUp "back_up" Rules5Security,
    /// Brings them back.
    Restore "restore" Rules5Security,
    /// 請求の受付: opens a request, which another person decides.
    OpenRequest "open_request" Rules5Use,
    /// 請求に対する決定.
    DecideRequest "decide_request" Rules5Use,
    /// 利用停止.
    SuspendUse "suspend_use" Rules5Use,
    /// Sees the requests.
    ListRequests "list_requests" Rules3Supervision,
    /// 保全の申出: asks that recordings of a case outlive their day.
    RequestHold "request_hold" Rules5Unreasonable,
    /// 保全の決定.
    DecideHold "decide_hold" Rules5Unreasonable,
    /// 保全の解除.
    ReleaseHold "release_hold" Rules5Unreasonable,
    /// Sees the holds.
    ListHolds "list_holds" Rules3Supervision,
    /// Destroys one recording before its day.
    DisposeOne "dispose_one" Rules5Retention,
}

impl Action {
    /// Whether it opens something of the calls themselves, here or elsewhere, so that a purpose is asked for before anything else.
    pub fn opens_content(self) -> bool {
        matches!(
            self,
            Action::Listen
                | Action::ListenToFile
                | Action::Find
                | Action::Reveal
                | Action::RequestHandOver
        )
    }

    /// Whether whoever is refused so does it all the same, without a name and by the socket's right.
    ///
    /// A login that ran out is no mistake of whoever declares an emergency; a password that was typed in wrong is one.
    pub fn goes_on_unnamed(self, refused: RefusalCode) -> bool {
        let is_emergency = matches!(self, Action::DeclareEmergency | Action::LiftEmergency);
        is_emergency && refused == RefusalCode::SessionOver
    }
}

/// As what somebody stands before an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A person, by role.
    Role(Role),
    /// 代決: a person whom the manager named to decide in the manager's place.
    Deputy,
    /// Nobody by name: the Unix user whom mode and group of socket and folders let in.
    HostUser,
    /// Root on the host.
    Superuser,
    /// The service, by itself.
    Service,
}

impl Standing {
    /// All of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Standing> {
        let others = [
            Standing::Deputy,
            Standing::HostUser,
            Standing::Superuser,
            Standing::Service,
        ];
        Role::ALL.into_iter().map(Standing::Role).chain(others)
    }

    /// As the table shows it.
    pub fn code(self) -> &'static str {
        match self {
            Standing::Role(role) => role.code(),
            Standing::Deputy => "deputy",
            Standing::HostUser => "host_user",
            Standing::Superuser => "superuser",
            Standing::Service => "service",
        }
    }
}

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
    /// Nobody was named before.
    NotFounded,
    /// The call was recorded.
    Recorded,
    /// Its retention goes on.
    Retained,
    /// Its recording is closed.
    Closed,
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
            Condition::NotFounded => "founded",
            Condition::Recorded => "unrecorded",
            Condition::Retained => "expired",
            Condition::Closed => "open",
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
            | Condition::Attested
            | Condition::DeputyPeriod
            | Condition::OtherPerson
            | Condition::RoleGrantable
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
            Condition::RoleGrantable => (RefusalCode::RoleNotGrantable, Clause::Rules4Designation),
            Condition::NotFounded => (RefusalCode::AlreadyFounded, Clause::Rules3Manager),
            Condition::Recorded => (RefusalCode::NotRecorded, Clause::Consultation4Announcement),
            Condition::Retained => (RefusalCode::Disposed, Clause::Rules5Retention),
            Condition::Closed => (RefusalCode::RecordingOpen, Clause::Rules5Storing),
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
        };
        Refusal::new(code, clause)
    }
}

/// Whoever of the city opens audio.
const EAR: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::OwnUnit,
    Condition::CaseApproved,
    Condition::UseFree,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// Whoever of the city writes a recording to a file.
const EAR_TO_FILE: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::OwnUnit,
    Condition::UseFree,
    Condition::HolderClear,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// A contractor's supervisor: approval, contract and training; outside the contract nothing is even there.
const VENDOR_EAR: &[Condition] = &[
    Condition::Approved,
    Condition::ContractInForce,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::InScope,
    Condition::UseFree,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// Whoever of the city sees a caller's number.
const EYE: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::ReasonGiven,
    Condition::OwnUnit,
    Condition::UseFree,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// Whoever of the city looks for recordings.
const SEARCH: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::OwnUnit,
    Condition::Retained,
];
/// A contractor's supervisor who does.
const VENDOR_SEARCH: &[Condition] = &[
    Condition::Approved,
    Condition::ContractInForce,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::InScope,
    Condition::Retained,
];
/// Whoever asks that recordings are handed over.
const HAND_OVER: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::OfRecipient,
    Condition::ContractInForce,
    Condition::Attested,
    Condition::VendorClear,
    Condition::OwnUnit,
    Condition::CaseApproved,
    Condition::InScope,
    Condition::UseFree,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// Whoever makes a package: what held when it was asked for still does, and it was decided.
const PACKAGE: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::OwnUnit,
    Condition::Decided,
    Condition::InOrder,
    Condition::ContractInForce,
    Condition::Attested,
    Condition::VendorClear,
    Condition::HolderClear,
    Condition::Encrypted,
    Condition::CaseApproved,
    Condition::InScope,
    Condition::UseFree,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// Whoever of the manager's staff handles what recordings are about.
const HANDLER: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
];
/// What a request must be.
const SOUND_REQUEST: &[Condition] = &[
    Condition::OwnUnit,
    Condition::BasisGiven,
    Condition::Recorded,
    Condition::Retained,
];
/// The same, by whom the manager designated.
const HANDLED_REQUEST: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::OwnUnit,
    Condition::BasisGiven,
    Condition::Recorded,
    Condition::Retained,
];
/// What a hold must be to be asked for.
const SOUND_HOLD: &[Condition] = &[
    Condition::OwnUnit,
    Condition::HoldBounded,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// The same, by whom the manager designated.
const HANDLED_HOLD: &[Condition] = &[
    Condition::Designated,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::OwnUnit,
    Condition::HoldBounded,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
];
/// What is destroyed before its day: what another person's approved request is about, and nobody holds.
const EARLY_DISPOSAL: &[Condition] = &[
    Condition::CaseApproved,
    Condition::OtherPerson,
    Condition::OwnUnit,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
    Condition::Unheld,
];
/// What is decided about another person of the own unit.
const ABOUT_ANOTHER: &[Condition] = &[Condition::OtherPerson, Condition::OwnUnit];

/// What the act demands of whoever stands there so; `None` is no, and whatever stands in no line is no.
fn demands(standing: Standing, action: Action) -> Option<&'static [Condition]> {
    use Role::{
        Administrator, Assistant, Auditor, DutyOfficer, ExchangeStaff, Manager, VendorSupervisor,
    };
    use Standing::{Deputy, HostUser, Service, Superuser};
    Some(match (action, standing) {
        (Action::Listen, Standing::Role(Manager | Assistant | ExchangeStaff)) => EAR,
        (Action::Listen, Standing::Role(VendorSupervisor)) => VENDOR_EAR,
        (Action::ListenToFile, Standing::Role(Assistant | ExchangeStaff)) => EAR_TO_FILE,
        (Action::Find, Standing::Role(Manager | Assistant | ExchangeStaff)) => SEARCH,
        (Action::Find, Standing::Role(VendorSupervisor)) => VENDOR_SEARCH,
        (Action::Reveal, Standing::Role(Manager | Assistant | ExchangeStaff)) => EYE,
        // What everybody may know.
        (Action::PublishStatement, Standing::Role(Manager | Auditor) | HostUser | Superuser) => &[],
        (Action::SignSupervision | Action::DecideMeasure, Standing::Role(Manager)) => &[],
        (Action::ApplyPolicy, Standing::Role(Manager)) => &[Condition::WithinLimit],
        (Action::SeePolicy, Standing::Role(_) | HostUser | Superuser) => &[],
        (Action::AcknowledgeRecovery, Standing::Role(Auditor)) => &[],
        (
            Action::DeclareEmergency | Action::LiftEmergency,
            Standing::Role(DutyOfficer) | HostUser | Superuser,
        ) => &[],
        (Action::Dispose, Standing::Role(Manager) | HostUser | Superuser) => &[],
        (Action::AcknowledgeDisposal | Action::ConfirmClock, Standing::Role(Manager)) => &[],
        (Action::AcknowledgeDisposal | Action::ConfirmClock, Deputy) => &[Condition::DeputyPeriod],
        // Root reads every file of the host by itself; the trail shows neither content nor numbers.
        (
            Action::ReadTrail | Action::ExportTrail | Action::SeeHeard | Action::SeeSupervision,
            Standing::Role(Manager | Auditor) | Superuser,
        ) => &[],
        // Root too: whoever lost keys or catalogue can prove nobody.
        (
            Action::RotateKeys
            | Action::MirrorKeys
            | Action::RecoverKeys
            | Action::BackUp
            | Action::Restore,
            Standing::Role(Administrator) | Superuser,
        ) => &[],
        (Action::Found, HostUser | Superuser) => &[Condition::NotFounded],
        (Action::Recover, Superuser) => &[],
        (Action::AddPerson, Standing::Role(Manager)) => {
            &[Condition::RoleGrantable, Condition::OwnUnit]
        }
        (Action::AddPerson, Standing::Role(Administrator)) => &[Condition::RoleGrantable],
        (Action::IssuePassword, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::RoleGrantable,
            Condition::OwnUnit,
        ],
        (Action::IssuePassword, Standing::Role(Administrator)) => {
            &[Condition::OtherPerson, Condition::RoleGrantable]
        }
        (
            Action::Designate
            | Action::Withdraw
            | Action::Train
            | Action::Appoint
            | Action::Deputise,
            Standing::Role(Manager),
        ) => ABOUT_ANOTHER,
        (Action::Acknowledge, Standing::Role(_)) => &[],
        (Action::ListPeople, Standing::Role(Manager | Administrator | Auditor)) => &[],
        (Action::AddVendor | Action::AttestVendor, Standing::Role(Manager)) => &[],
        (Action::AddContract, Standing::Role(Manager)) => {
            &[Condition::OwnUnit, Condition::Attested]
        }
        (Action::ApproveSupervisor, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::Attested,
        ],
        // A deputy decides what the manager decides about people and contracts, and names neither managers nor deputies.
        (Action::Designate | Action::Withdraw | Action::Train, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
        ],
        (Action::ApproveSupervisor, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::Attested,
        ],
        (Action::RequestHandOver, Standing::Role(Manager | Assistant)) => HAND_OVER,
        (Action::DecideHandOver, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::InOrder,
            Condition::ContractInForce,
            Condition::Attested,
            Condition::VendorClear,
        ],
        (Action::DecideHandOver, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::InOrder,
            Condition::ContractInForce,
            Condition::Attested,
            Condition::VendorClear,
        ],
        (Action::Package, Standing::Role(Manager | Assistant)) => PACKAGE,
        (Action::ShowPassphrase, Standing::Role(Manager)) => &[
            Condition::OwnUnit,
            Condition::OtherPerson,
            Condition::Decided,
            Condition::InOrder,
            Condition::Retained,
        ],
        (Action::ShowPassphrase, Standing::Role(Assistant)) => &[
            Condition::Designated,
            Condition::Trained,
            Condition::Acknowledged,
            Condition::OwnUnit,
            Condition::OtherPerson,
            Condition::Decided,
            Condition::InOrder,
            Condition::Retained,
        ],
        (Action::GiveHandOver, Standing::Role(Manager)) => &[
            Condition::OwnUnit,
            Condition::Decided,
            Condition::InOrder,
            Condition::ContractInForce,
            Condition::Attested,
            Condition::VendorClear,
            Condition::Retained,
            Condition::UseFree,
        ],
        (Action::GiveHandOver, Standing::Role(Assistant)) => &[
            Condition::Designated,
            Condition::Trained,
            Condition::Acknowledged,
            Condition::OwnUnit,
            Condition::Decided,
            Condition::InOrder,
            Condition::ContractInForce,
            Condition::Attested,
            Condition::VendorClear,
            Condition::Retained,
            Condition::UseFree,
        ],
        (Action::ReceiveHandOver, Standing::Role(Manager)) => {
            &[Condition::OwnUnit, Condition::InOrder, Condition::CodeRight]
        }
        (Action::ReceiveHandOver, Standing::Role(Assistant)) => &[
            Condition::Designated,
            Condition::Trained,
            Condition::Acknowledged,
            Condition::OwnUnit,
            Condition::InOrder,
            Condition::CodeRight,
        ],
        // What has left the city is brought back and written down by whoever is there, designated or not.
        (Action::EndHandOver, Standing::Role(Manager | Assistant)) => {
            &[Condition::OwnUnit, Condition::InOrder]
        }
        (Action::CloseHandOver, Standing::Role(Manager)) => &[
            Condition::OwnUnit,
            Condition::NothingOutside,
            Condition::InOrder,
        ],
        (Action::CloseHandOver, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OwnUnit,
            Condition::NothingOutside,
            Condition::InOrder,
        ],
        (Action::ListHandOvers, Standing::Role(Manager | Assistant | Auditor)) => &[],
        (Action::MakeCopy, Standing::Role(Assistant | ExchangeStaff)) => &[],
        (Action::DestroyCopy, Standing::Role(Manager | Assistant | ExchangeStaff)) => {
            &[Condition::OwnUnit]
        }
        (Action::ListCopies, Standing::Role(Manager | Assistant | ExchangeStaff | Auditor)) => &[],
        (Action::AbandonPackage | Action::TrackCopy, Service) => &[],
        (Action::OpenRequest, Standing::Role(Manager)) => SOUND_REQUEST,
        (Action::OpenRequest, Standing::Role(Assistant)) => HANDLED_REQUEST,
        (Action::DecideRequest, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::Undecided,
        ],
        (Action::DecideRequest, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::Undecided,
        ],
        (Action::SuspendUse, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::CaseApproved,
        ],
        (Action::SuspendUse, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::CaseApproved,
        ],
        (Action::ListRequests | Action::ListHolds, Standing::Role(Manager | Auditor)) => &[],
        (Action::ListRequests | Action::ListHolds, Standing::Role(Assistant)) => HANDLER,
        (Action::RequestHold, Standing::Role(Manager)) => SOUND_HOLD,
        (Action::RequestHold, Standing::Role(Assistant)) => HANDLED_HOLD,
        (Action::DecideHold, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::Undecided,
            Condition::Retained,
        ],
        (Action::DecideHold, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::Undecided,
            Condition::Retained,
        ],
        (Action::ReleaseHold, Standing::Role(Manager)) => {
            &[Condition::OwnUnit, Condition::HoldApproved]
        }
        (Action::ReleaseHold, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OwnUnit,
            Condition::HoldApproved,
        ],
        (Action::DisposeOne, Standing::Role(Manager)) => EARLY_DISPOSAL,
        _ => return None,
    })
}

/// For what a standing does what opens content (K-19: to a file for the own check, the analyses and decided cases only).
///
/// What needs a case needs its approval too: [`Condition::CaseApproved`]. Looking up which recordings a request would be about needs none yet (K-33).
pub(crate) fn purpose_fits(standing: Standing, action: Action, purpose: Purpose) -> bool {
    use Role::{Assistant, ExchangeStaff, Manager, VendorSupervisor};
    let Standing::Role(role) = standing else {
        return false;
    };
    match (action, purpose) {
        (Action::Listen, Purpose::StaffCheck) => {
            matches!(role, Manager | Assistant | ExchangeStaff)
        }
        (Action::Listen, Purpose::AnalysisInquiry | Purpose::AnalysisComplaint) => {
            matches!(role, Manager | Assistant | VendorSupervisor)
        }
        (
            Action::Listen,
            Purpose::UnreasonableDemand | Purpose::Statute | Purpose::SubjectRights,
        ) => {
            matches!(role, Manager | Assistant)
        }
        (Action::Find, Purpose::StaffCheck) => matches!(role, Manager | Assistant | ExchangeStaff),
        (Action::Find, Purpose::AnalysisInquiry | Purpose::AnalysisComplaint) => {
            matches!(role, Manager | Assistant | VendorSupervisor)
        }
        (Action::Find, Purpose::UnreasonableDemand | Purpose::Statute | Purpose::SubjectRights) => {
            matches!(role, Manager | Assistant)
        }
        // An analysis of inquiries asks what was said, not by whom.
        (Action::Reveal, Purpose::StaffCheck) => {
            matches!(role, Manager | Assistant | ExchangeStaff)
        }
        (Action::Reveal, Purpose::AnalysisComplaint) => matches!(role, Manager | Assistant),
        (
            Action::RequestHandOver,
            Purpose::AnalysisInquiry
            | Purpose::AnalysisComplaint
            | Purpose::UnreasonableDemand
            | Purpose::Statute
            | Purpose::SubjectRights,
        ) => {
            matches!(role, Manager | Assistant)
        }
        (Action::ListenToFile, Purpose::StaffCheck) => matches!(role, Assistant | ExchangeStaff),
        (Action::ListenToFile, Purpose::AnalysisInquiry | Purpose::AnalysisComplaint) => {
            role == Assistant
        }
        _ => false,
    }
}

/// The roles that a standing may grant: no administrator one that opens content, and nobody a manager's, who is appointed.
pub(crate) fn is_grantable(standing: Standing, granted: Role) -> bool {
    match standing {
        Standing::Role(Role::Administrator) => !granted.opens_content(),
        Standing::Role(Role::Manager) => match granted {
            Role::Manager | Role::Administrator | Role::Auditor => false,
            Role::Assistant
            | Role::ExchangeStaff
            | Role::VendorSupervisor
            | Role::Operator
            | Role::DutyOfficer
            | Role::Analyst => true,
        },
        Standing::Role(_)
        | Standing::Deputy
        | Standing::HostUser
        | Standing::Superuser
        | Standing::Service => false,
    }
}

/// As what a person stands before an act: by the own role where that has it, else as a deputy where there ever was one.
pub(crate) fn standing_of(role: Role, was_deputised: bool, action: Action) -> Standing {
    let own = Standing::Role(role);
    let steps_in = was_deputised
        && demands(own, action).is_none()
        && demands(Standing::Deputy, action).is_some();
    if steps_in { Standing::Deputy } else { own }
}

/// Judges an act: is it in the table, and does each of its conditions hold.
///
/// The order: purpose given, then the table, then the conditions as they stand there, those that tell of the recording last.
///
/// # Errors
/// The first rule that refuses.
pub(crate) fn judge(
    standing: Standing,
    action: Action,
    holds: impl Fn(Condition) -> bool,
) -> Result<(), Refusal> {
    if action.opens_content() && !holds(Condition::PurposeGiven) {
        return Err(Condition::PurposeGiven.refusal());
    }
    let conditions = judge_standing(standing, action)?;
    match conditions.iter().find(|condition| !holds(**condition)) {
        Some(condition) => Err(condition.refusal()),
        None => Ok(()),
    }
}

/// The first step of [`judge`]: whether the table has the act at all.
///
/// # Errors
/// `PERSON_UNKNOWN` where nobody is proved and only a person could, else `ROLE_NOT_PERMITTED`.
pub(crate) fn judge_standing(
    standing: Standing,
    action: Action,
) -> Result<&'static [Condition], Refusal> {
    demands(standing, action).ok_or_else(|| match standing {
        Standing::HostUser | Standing::Superuser | Standing::Service => Refusal::nobody(),
        Standing::Role(_) | Standing::Deputy => {
            Refusal::new(RefusalCode::RoleNotPermitted, action.clause())
        }
    })
}

/// A state of person, purpose and recording, as the table shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything that may be asked for holds.
    Sound,
    /// Everything holds, and this is the purpose.
    For(Purpose),
    /// Everything else holds.
    Without(Condition),
}

impl State {
    /// As the table shows it.
    pub fn code(self) -> &'static str {
        match self {
            State::Sound => "sound",
            State::For(purpose) => purpose.code(),
            State::Without(condition) => condition.missing_code(),
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone)]
pub struct AccessLine {
    /// Who.
    pub standing: Standing,
    /// What.
    pub action: Action,
    /// In which state.
    pub state: State,
    /// Yes, or why not.
    pub verdict: Result<(), Refusal>,
}

/// Every standing, action and state, judged as live requests are.
///
/// The states of an act are: sound or each purpose, and each condition missing that anybody's line of the act demands.
pub fn access_table() -> impl Iterator<Item = AccessLine> {
    Standing::all().flat_map(|standing| {
        Action::ALL.iter().flat_map(move |action| {
            states(*action).into_iter().map(move |state| AccessLine {
                standing,
                action: *action,
                state,
                verdict: judge(standing, *action, |condition| {
                    holds_in(state, condition, standing, *action)
                }),
            })
        })
    })
}

fn states(action: Action) -> Vec<State> {
    let mut missing: Vec<Condition> = Standing::all()
        .filter_map(|standing| demands(standing, action))
        .flatten()
        .copied()
        .filter(|condition| *condition != Condition::PurposeFits)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let without = missing.into_iter().map(State::Without);
    if action.opens_content() {
        let purposes = Purpose::ALL.into_iter().map(State::For);
        let none = State::Without(Condition::PurposeGiven);
        purposes.chain([none]).chain(without).collect()
    } else {
        [State::Sound].into_iter().chain(without).collect()
    }
}

fn holds_in(state: State, condition: Condition, standing: Standing, action: Action) -> bool {
    match state {
        State::Sound => true,
        State::For(purpose) => {
            condition != Condition::PurposeFits || purpose_fits(standing, action, purpose)
        }
        State::Without(missing) => condition != missing,
    }
}
