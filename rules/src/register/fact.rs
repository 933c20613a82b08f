//! Facts: what stands in the register, one a line.

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::{
    access::Action,
    audit::{Actor, AuditDraft, AuditEvent},
    case::RequestFact,
    copies::{CopyFact, Destruction},
    digest::Digest,
    hand_over::HandOverFact,
    hold::HoldFact,
    ids::{ContractId, DecisionId, JstDay, Label, StaffId, VendorId},
    month::JstMonth,
    particular::Particular,
    people::{Designation, Period, Person, Role, Training},
    policy::PolicyFact,
    recipient::Recipient,
    vendor::{AttestedKind, Terms},
    waiver::WaiverFact,
};

/// What the city writes into its registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The first manager and the first administrator, and whom the first version's staff file named.
    Founded {
        /// 管理責任者.
        manager: StaffId,
        /// システム管理者, another person.
        administrator: StaffId,
        /// The unit of both.
        unit: Label,
        /// From the staff file.
        taken_in: Vec<TakenIn>,
    },
    /// A person was taken in.
    PersonAdded {
        /// Who.
        person: StaffId,
        /// As what.
        role: Role,
        /// Into which unit.
        unit: Label,
        /// Of which contractor.
        vendor: Option<VendorId>,
    },
    /// 指定.
    Designated {
        /// Who.
        person: StaffId,
        /// For which days.
        period: Period,
    },
    /// Every designation, deputyship and approval of the person ended, and the role where it rests on nothing else.
    Withdrawn {
        /// Whose.
        person: StaffId,
    },
    /// 研修.
    Trained {
        /// Who.
        person: StaffId,
        /// In what.
        course: Particular,
        /// When.
        on: JstDay,
    },
    /// Whoever wrote this acknowledged a version of the rules.
    Acknowledged {
        /// Which.
        version: u32,
    },
    /// 管理責任者 of the unit.
    Appointed {
        /// Who.
        person: StaffId,
    },
    /// 代決.
    Deputised {
        /// Who.
        person: StaffId,
        /// For which days.
        period: Period,
        /// The salted hash of its basis.
        basis: Digest,
    },
    /// Somebody with root on the host made a manager.
    Recovered {
        /// Whom.
        person: StaffId,
        /// Of which unit.
        unit: Label,
    },
    /// An auditor took note of that.
    RecoveryAcknowledged {
        /// Of whose.
        person: StaffId,
    },
    /// A contractor was taken in.
    VendorAdded {
        /// Who.
        vendor: VendorId,
        /// To whom packages are encrypted.
        recipient: Recipient,
    },
    /// A contractor attested something.
    VendorAttested {
        /// Who.
        vendor: VendorId,
        /// What.
        kind: AttestedKind,
        /// The last day on which it counts.
        until: JstDay,
    },
    /// A contract was made.
    ContractAdded {
        /// Which.
        contract: ContractId,
        /// What it is about.
        #[serde(flatten)]
        terms: Terms,
    },
    /// A contract's supervisor was approved.
    SupervisorApproved {
        /// Of which.
        contract: ContractId,
        /// Who.
        person: StaffId,
    },
    /// 収受.
    HandOver(HandOverFact),
    /// A copy outside the vault.
    Copy(CopyFact),
    /// The policy, or a decision beside it.
    Policy(PolicyFact),
    /// The manager signed a month's supervision report off (要領 3-2).
    SupervisionSigned {
        /// Of which month.
        month: JstMonth,
        /// The SHA-256 of its lines.
        report: Digest,
    },
    /// The manager decided that the oldest months of the audit trail go.
    MonthsForgotten {
        /// The last of them.
        through: JstMonth,
        /// The decision under which its text lies sealed.
        decision: DecisionId,
        /// The salted hash of its text.
        text: Digest,
    },
    /// Nobody waits for a mirror of the keys any more.
    MirrorEnded {
        /// Its folder, as the configuration named it.
        mirror: String,
        /// The decision under which its text lies sealed.
        decision: DecisionId,
        /// The salted hash of its text.
        text: Digest,
    },
    /// A step of a request.
    Request(RequestFact),
    /// A step of a hold.
    Hold(HoldFact),
    /// A step of a waiver of a number's notice.
    Waiver(WaiverFact),
}

/// A person of the first version's staff file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenIn {
    /// Who.
    pub person: StaffId,
    /// As what.
    pub role: Role,
    /// In which unit.
    pub unit: Label,
    /// From when the designation held.
    pub designated_on: Option<JstDay>,
    /// The last training.
    pub trained_on: Option<JstDay>,
}

impl Fact {
    /// What it is to bring it about.
    pub fn action(&self) -> Action {
        match self {
            Fact::Founded { .. } => Action::Found,
            Fact::PersonAdded { .. } => Action::AddPerson,
            Fact::Designated { .. } => Action::Designate,
            Fact::Withdrawn { .. } => Action::Withdraw,
            Fact::Trained { .. } => Action::Train,
            Fact::Acknowledged { .. } => Action::Acknowledge,
            Fact::Appointed { .. } => Action::Appoint,
            Fact::Deputised { .. } => Action::Deputise,
            Fact::Recovered { .. } => Action::Recover,
            Fact::RecoveryAcknowledged { .. } => Action::AcknowledgeRecovery,
            Fact::VendorAdded { .. } => Action::AddVendor,
            Fact::VendorAttested { .. } => Action::AttestVendor,
            Fact::ContractAdded { .. } => Action::AddContract,
            Fact::SupervisorApproved { .. } => Action::ApproveSupervisor,
            Fact::Policy(step) => step.action(),
            Fact::SupervisionSigned { .. } => Action::SignSupervision,
            Fact::MonthsForgotten { .. } => Action::ForgetMonths,
            Fact::MirrorEnded { .. } => Action::EndMirror,
            Fact::HandOver(step) => step.action(),
            Fact::Copy(CopyFact::Begun { .. }) => Action::MakeCopy,
            Fact::Copy(CopyFact::Made { .. }) => Action::TrackCopy,
            Fact::Copy(CopyFact::Destroyed { how, .. }) => match how {
                Destruction::Removed => Action::TrackCopy,
                Destruction::Certified { .. } => Action::DestroyCopy,
            },
            Fact::Request(fact) => fact.action(),
            Fact::Hold(fact) => fact.action(),
            Fact::Waiver(fact) => fact.action(),
        }
    }

    /// Whether whoever asks for it brings all that belongs to it. Of the others the office makes what they say: a sealed text, a code, a file.
    pub fn stands_alone(&self) -> bool {
        match self {
            Fact::Designated { .. }
            | Fact::Withdrawn { .. }
            | Fact::Appointed { .. }
            | Fact::RecoveryAcknowledged { .. }
            | Fact::VendorAdded { .. }
            | Fact::SupervisorApproved { .. } => true,
            Fact::Founded { .. }
            | Fact::PersonAdded { .. }
            | Fact::Trained { .. }
            | Fact::Acknowledged { .. }
            | Fact::VendorAttested { .. }
            | Fact::Deputised { .. }
            | Fact::Recovered { .. }
            | Fact::ContractAdded { .. }
            | Fact::SupervisionSigned { .. }
            | Fact::MonthsForgotten { .. }
            | Fact::MirrorEnded { .. }
            | Fact::Request(_)
            | Fact::Hold(_)
            | Fact::Waiver(_)
            | Fact::HandOver(_)
            | Fact::Copy(_)
            | Fact::Policy(_) => false,
        }
    }

    /// Whether this person gets a first password by it.
    pub fn gives_password_to(&self, whose: &StaffId) -> bool {
        match self {
            Fact::Founded {
                manager,
                administrator,
                ..
            } => [manager, administrator].contains(&whose),
            Fact::PersonAdded { person, .. } | Fact::Recovered { person, .. } => person == whose,
            _ => false,
        }
    }

    /// The entry that says so.
    pub(super) fn entry(&self, actor: Actor, policy: u32) -> AuditDraft {
        let event = AuditEvent::Registered {
            change: self.clone(),
            policy,
        };
        AuditDraft { actor, event }
    }
}

/// A fact as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
    /// What.
    pub fact: Fact,
}

const TAKEN_IN_MONTHS: i32 = 12; // The first version's designations had no end; longer than a training none is believed.

impl TakenIn {
    pub(super) fn person(self) -> Person {
        let mut person = Person::new(self.person, self.role, self.unit, None);
        let last = |from: JstDay| from.date().saturating_add(TAKEN_IN_MONTHS.months());
        let period = self
            .designated_on
            .and_then(|from| Period::new(from, JstDay::on(last(from))).ok());
        person
            .designations
            .extend(period.map(|period| Designation { period, by: None }));
        // The first version named no course; the word says where the record comes from.
        let course = "staff.toml".parse();
        if let (Ok(course), Some(on)) = (course, self.trained_on) {
            let course = Particular::InClear(course);
            person.trainings.push(Training { course, on });
        }
        person
    }
}
