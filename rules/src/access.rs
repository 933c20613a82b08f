//! Who may do what: roles, purposes, and the order in which a request is judged (K-05, K-08, K-11, K-19).
//!
//! Listening takes two steps, so that the entry is durable before the first byte leaves (law 3): [`request_listen`] judges and returns a [`ListenGrant`],
//! which is a wish that holds the entry to write; with the trail's receipt for exactly that entry it becomes a [`crate::ListenPermit`].

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    POLICY_VERSION,
    audit::{Actor, AuditDraft, AuditEvent},
    ids::{JstDay, RecordingId},
    recording::RecordingState,
    refusal::{Clause, Refusal, RefusalCode},
    staff::{Role, StaffMember},
};

/// What recordings are used for: a closed list. 二次利用 (any other use) has no code, so it cannot be typed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// 問い合わせ内容の分析 (consultation 4③).
    AnalysisInquiry,
    /// 苦情となった通話内容の原因分析 (consultation 4③).
    AnalysisComplaint,
    /// 電話交換業務を所管する市職員の確認 (consultation 4④).
    StaffCheck,
    /// 不当要求行為 (要領 5-2, 5-4); needs a case and the manager's decision.
    UnreasonableDemand,
    /// 法令又は条例の規定 (要領 5-2).
    Statute,
    /// 開示請求: a kind of statute.
    SubjectRights,
    /// 廃棄 (要領 5-6).
    Disposal,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 7] = [
        Purpose::AnalysisInquiry,
        Purpose::AnalysisComplaint,
        Purpose::StaffCheck,
        Purpose::UnreasonableDemand,
        Purpose::Statute,
        Purpose::SubjectRights,
        Purpose::Disposal,
    ];

    /// As it is typed in and written down.
    pub fn code(self) -> &'static str {
        match self {
            Purpose::AnalysisInquiry => "ANALYSIS_INQUIRY",
            Purpose::AnalysisComplaint => "ANALYSIS_COMPLAINT",
            Purpose::StaffCheck => "STAFF_CHECK",
            Purpose::UnreasonableDemand => "UNREASONABLE_DEMAND",
            Purpose::Statute => "STATUTE",
            Purpose::SubjectRights => "SUBJECT_RIGHTS",
            Purpose::Disposal => "DISPOSAL",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Purpose {
    type Err = Refusal;

    /// A purpose that is not on the list is refused by the clause that closes the list.
    fn from_str(text: &str) -> Result<Purpose, Refusal> {
        let refusal = Refusal::new(RefusalCode::PurposeNotPermitted, Clause::Rules5Use);
        Purpose::ALL
            .into_iter()
            .find(|purpose| purpose.code() == text)
            .ok_or(refusal)
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Writes a recording to a file on the host, to be heard there (K-19).
    ListenToFile,
    /// Declares or renews an emergency.
    DeclareEmergency,
    /// Ends an emergency.
    LiftEmergency,
    /// Destroys what is due.
    Dispose,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 4] = [
        Action::ListenToFile,
        Action::DeclareEmergency,
        Action::LiftEmergency,
        Action::Dispose,
    ];

    /// As tables show it.
    pub fn code(self) -> &'static str {
        match self {
            Action::ListenToFile => "listen_to_file",
            Action::DeclareEmergency => "declare_emergency",
            Action::LiftEmergency => "lift_emergency",
            Action::Dispose => "dispose",
        }
    }

    fn is_open_to(self, role: Role) -> bool {
        match self {
            Action::ListenToFile => matches!(role, Role::Assistant | Role::ExchangeStaff),
            Action::DeclareEmergency | Action::LiftEmergency => role == Role::DutyOfficer,
            Action::Dispose => role == Role::Manager,
        }
    }

    /// The clause that says who does it.
    fn clause(self) -> Clause {
        match self {
            Action::ListenToFile => Clause::Consultation7Staff,
            Action::DeclareEmergency | Action::LiftEmergency => Clause::Consultation4Announcement,
            Action::Dispose => Clause::Rules5Retention,
        }
    }
}

/// Whether a person may do this without opening any content.
///
/// `person`: `None` is the host's own user, whom the socket's mode and group let in; a person who is named must have the role.
///
/// # Errors
/// `ROLE_NOT_PERMITTED`; for [`Action::ListenToFile`] also `PERSON_UNKNOWN`, because nobody listens without a name (law 3).
pub fn may(person: Option<&StaffMember>, action: Action) -> Result<(), Refusal> {
    match person {
        None if action == Action::ListenToFile => Err(Refusal::new(
            RefusalCode::PersonUnknown,
            Clause::Rules4Designation,
        )),
        Some(person) if !action.is_open_to(person.role) => {
            Err(Refusal::new(RefusalCode::RoleNotPermitted, action.clause()))
        }
        None | Some(_) => Ok(()),
    }
}

/// Somebody asks for a recording.
#[derive(Debug, Clone)]
pub struct ListenRequest<'a> {
    /// The person, as the staff file knows them; `None` where nobody was named or found.
    pub person: Option<&'a StaffMember>,
    /// The Unix user that asks.
    pub unix_user: &'a str,
    /// What is asked for.
    pub recording: RecordingId,
    /// Where it stands.
    pub state: RecordingState,
    /// When its day expires.
    pub expires_at: Timestamp,
    /// What for.
    pub purpose: Option<Purpose>,
    /// Which part, in milliseconds from its beginning; `None` is the whole.
    pub range_ms: Option<(u64, u64)>,
}

impl ListenRequest<'_> {
    /// The entry that says that it was refused.
    pub fn refused(&self, refusal: &Refusal) -> AuditDraft {
        let event = AuditEvent::ListenRefused {
            recording: self.recording,
            action: Action::ListenToFile,
            purpose: self.purpose,
            code: refusal.code(),
            policy: POLICY_VERSION,
        };
        AuditDraft {
            actor: self.actor(),
            event,
        }
    }

    fn granted(&self, purpose: Purpose) -> AuditDraft {
        let event = AuditEvent::ListenGranted {
            recording: self.recording,
            action: Action::ListenToFile,
            purpose,
            range_ms: self.range_ms,
            policy: POLICY_VERSION,
        };
        AuditDraft {
            actor: self.actor(),
            event,
        }
    }

    fn actor(&self) -> Actor {
        Actor::Person {
            unix_user: self.unix_user.to_owned(),
            person: self.person.map(|person| person.id.clone()),
        }
    }
}

/// Judges a request to hear a recording from a file on the host.
///
/// The order: purpose given, person known, role, designation, training, purpose permitted, and only then what may be learnt about the recording.
///
/// # Errors
/// The first rule that refuses. Write [`ListenRequest::refused`] to the trail.
pub fn request_listen(request: &ListenRequest<'_>, now: Timestamp) -> Result<ListenGrant, Refusal> {
    let Some(purpose) = request.purpose else {
        return Err(Refusal::new(
            RefusalCode::PurposeRequired,
            Clause::Rules5Use,
        ));
    };
    may(request.person, Action::ListenToFile)?;
    let Some(person) = request.person else {
        return Err(Refusal::new(
            RefusalCode::PersonUnknown,
            Clause::Rules4Designation,
        ));
    };
    judge_person(person, purpose, now)?;
    judge_recording(request.state, request.expires_at, now)?;
    let lapses_at = person
        .training_lapses_on()
        .map_or(request.expires_at, |day| {
            day.start().min(request.expires_at)
        });
    Ok(ListenGrant {
        entry: request.granted(purpose),
        recording: request.recording,
        purpose,
        range_ms: request.range_ms,
        lapses_at,
    })
}

/// The person's part of the judgement; a permit in use asks it again with the person as the staff file has them by then.
pub(crate) fn judge_person(
    person: &StaffMember,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), Refusal> {
    let today = JstDay::of(now);
    may(Some(person), Action::ListenToFile)?;
    if !person.is_designated(today) {
        return Err(Refusal::new(
            RefusalCode::NotDesignated,
            Clause::Rules4Designation,
        ));
    }
    if !person.is_trained(today) {
        return Err(Refusal::new(
            RefusalCode::TrainingExpired,
            Clause::Rules4Training,
        ));
    }
    if !listens_for(person.role, purpose) {
        return Err(Refusal::new(
            RefusalCode::PurposeNotPermitted,
            Clause::Rules5Use,
        ));
    }
    Ok(())
}

/// For what a role listens to a file (K-19): exchange staff for their check, assistants for the analyses too.
fn listens_for(role: Role, purpose: Purpose) -> bool {
    match purpose {
        Purpose::StaffCheck => matches!(role, Role::Assistant | Role::ExchangeStaff),
        Purpose::AnalysisInquiry | Purpose::AnalysisComplaint => role == Role::Assistant,
        Purpose::UnreasonableDemand
        | Purpose::Statute
        | Purpose::SubjectRights
        | Purpose::Disposal => false,
    }
}

fn judge_recording(
    state: RecordingState,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), Refusal> {
    // Past its instant a recording is gone for everybody, whether or not the sweep ran (K-22).
    let is_past = now >= expires_at;
    match state {
        RecordingState::Unrecorded => Err(Refusal::new(
            RefusalCode::NotRecorded,
            Clause::Consultation4Announcement,
        )),
        RecordingState::Disposed => {
            Err(Refusal::new(RefusalCode::Disposed, Clause::Rules5Retention))
        }
        RecordingState::Open | RecordingState::Sealed | RecordingState::Recovered if is_past => {
            Err(Refusal::new(RefusalCode::Disposed, Clause::Rules5Retention))
        }
        RecordingState::Open => Err(Refusal::new(
            RefusalCode::RecordingOpen,
            Clause::Rules5Storing,
        )),
        RecordingState::Sealed | RecordingState::Recovered => Ok(()),
    }
}

/// A request that the rules allow, once the entry it holds is durable. It opens nothing.
#[derive(Debug)]
#[must_use = "a grant opens nothing until its entry is durable and it becomes a permit"]
pub struct ListenGrant {
    pub(crate) entry: AuditDraft,
    pub(crate) recording: RecordingId,
    pub(crate) purpose: Purpose,
    pub(crate) range_ms: Option<(u64, u64)>,
    pub(crate) lapses_at: Timestamp,
}

impl ListenGrant {
    /// The entry that must be durable first.
    pub fn entry(&self) -> &AuditDraft {
        &self.entry
    }
}
