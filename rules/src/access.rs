//! Who may do what: one table, and nothing that it does not name (K-08, K-10 to K-13, K-38).
//!
//! [`demands`] lists the conditions of an act for whoever stands before it, or nothing, which is no. The live judgement and [`access_table`] run through the
//! same [`judge`]; they differ only in who answers whether a condition holds.

mod condition;
mod demands;

use serde::{Deserialize, Serialize};

pub use self::condition::Condition;
use self::demands::demands;
use crate::{
    people::{Person, Role},
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
    /// Reads the sealed words of decisions: a measure, why something is handed over, on what a deputy rests.
    ReadDecisions "read_decisions" Rules3Supervision,
    /// Declares or renews an emergency.
    DeclareEmergency "declare_emergency" Consultation4Announcement,
    /// Ends an emergency.
    LiftEmergency "lift_emergency" Consultation4Announcement,
    /// Compares calls, rows and files of all days.
    Reconcile "reconcile" Rules3Supervision,
    /// Has the heads of the audit trail signed, to keep them elsewhere.
    SignHeads "sign_heads" Consultation7Logs,
    /// Sees how many recordings are due, by day.
    PlanDisposal "plan_disposal" Rules5Retention,
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
    /// 解任: takes back what somebody was designated, deputised or approved for, and the role where it rests on nothing else.
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
    /// 証跡の削除: removes the oldest months of the audit trail.
    ForgetMonths "forget_months" Consultation7Logs,
    /// Makes a new root, or a new key that signs.
    RotateKeys "rotate_keys" Rules5Security,
    /// Writes the mirrors of the keys.
    MirrorKeys "mirror_keys" Rules5Security,
    /// 鍵の写しの終了: answers for a mirror that nobody reaches any more.
    EndMirror "end_mirror" Rules5Security,
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
    /// 告知に関する決定: decides that a number's callers are told by other means, or need not be.
    DecideWaiver "decide_waiver" Consultation4Announcement,
    /// Looks at such a decision, and it is still right.
    ConfirmWaiver "confirm_waiver" Consultation4Announcement,
    /// Takes one back.
    WithdrawWaiver "withdraw_waiver" Consultation4Announcement,
    /// Sees what was decided about the numbers' notices, without the words.
    ListWaivers "list_waivers" Consultation4Announcement,
    /// Reads their words too.
    ReadWaivers "read_waivers" Rules3Supervision,
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
    /// A login that ran out is no mistake of whoever declares an emergency, and whoever the socket lets in needs no role; a password that was typed in wrong
    /// is a mistake.
    pub fn goes_on_unnamed(self, refused: RefusalCode) -> bool {
        let is_emergency = matches!(self, Action::DeclareEmergency | Action::LiftEmergency);
        let is_no_mistake = matches!(refused, RefusalCode::SessionOver | RefusalCode::RoleEnded);
        is_emergency && is_no_mistake
    }
}

/// As what somebody stands before an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A person, by role.
    Role(Role),
    /// 解任された人: a person whose role was withdrawn.
    Former,
    /// 代決: a person whom the manager named to decide in the manager's place.
    Deputy,
    /// Nobody by name: the Unix user whom mode and group of socket and folders let in.
    HostUser,
    /// The same, and it is the Unix user as whom the office runs.
    OfficeUser,
    /// Root on the host.
    Superuser,
    /// The service, by itself.
    Service,
}

impl Standing {
    /// All of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Standing> {
        let others = [
            Standing::Former,
            Standing::Deputy,
            Standing::HostUser,
            Standing::OfficeUser,
            Standing::Superuser,
            Standing::Service,
        ];
        Role::ALL.into_iter().map(Standing::Role).chain(others)
    }

    /// As the table shows it.
    pub fn code(self) -> &'static str {
        match self {
            Standing::Role(role) => role.code(),
            Standing::Former => "former",
            Standing::Deputy => "deputy",
            Standing::HostUser => "host_user",
            Standing::OfficeUser => "office_user",
            Standing::Superuser => "superuser",
            Standing::Service => "service",
        }
    }
}

/// For what a standing does what opens content (K-19: to a file for the own check and the analyses only).
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
        | Standing::Former
        | Standing::Deputy
        | Standing::HostUser
        | Standing::OfficeUser
        | Standing::Superuser
        | Standing::Service => false,
    }
}

/// The roles that a standing may end: those it grants, and a manager's by another manager. A deputy ends what the manager grants, and no manager.
///
/// Nobody ends the own ([`Condition::OtherPerson`]), so the last of a unit's managers and the last administrator stay: who ends another's goes on.
pub(crate) fn is_endable(standing: Standing, ended: Role) -> bool {
    let manager = Standing::Role(Role::Manager);
    match standing {
        Standing::Role(Role::Manager) => ended == Role::Manager || is_grantable(manager, ended),
        Standing::Deputy => is_grantable(manager, ended),
        Standing::Role(_)
        | Standing::Former
        | Standing::HostUser
        | Standing::OfficeUser
        | Standing::Superuser
        | Standing::Service => is_grantable(standing, ended),
    }
}

/// As what a person stands before an act: by the own role where that has it, else as a deputy where there ever was one.
pub(crate) fn standing_of(person: &Person, action: Action) -> Standing {
    let own = person.standing();
    let steps_in = own != Standing::Former
        && !person.deputyships.is_empty()
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
/// `PERSON_UNKNOWN` where nobody is proved and only a person could, `ROLE_ENDED` for whose role was withdrawn, else `ROLE_NOT_PERMITTED`.
pub(crate) fn judge_standing(
    standing: Standing,
    action: Action,
) -> Result<&'static [Condition], Refusal> {
    demands(standing, action).ok_or_else(|| match standing {
        Standing::HostUser if action == Action::Found => {
            Refusal::new(RefusalCode::RoleNotPermitted, action.clause())
        }
        Standing::HostUser | Standing::OfficeUser | Standing::Superuser | Standing::Service => {
            Refusal::nobody()
        }
        Standing::Former => Refusal::new(RefusalCode::RoleEnded, Clause::Rules4Designation),
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
