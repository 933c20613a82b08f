//! The table itself: what each act demands of each standing. Whatever stands in no line is no.

use super::{Action, Condition, Standing};
use crate::people::Role;

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
    Condition::Arrived,
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
    Condition::Arrived,
];
/// A contractor's supervisor: approval, contract, attestation and training; outside the contract nothing is even there.
const VENDOR_EAR: &[Condition] = &[
    Condition::Approved,
    Condition::ContractInForce,
    Condition::Attested,
    Condition::Trained,
    Condition::Acknowledged,
    Condition::PurposeFits,
    Condition::InScope,
    Condition::UseFree,
    Condition::Recorded,
    Condition::Retained,
    Condition::Closed,
    Condition::Arrived,
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
    Condition::Attested,
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
    Condition::Arrived,
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
    Condition::Arrived,
    Condition::Unheld,
];
/// What is decided about another person of the own unit.
const ABOUT_ANOTHER: &[Condition] = &[Condition::OtherPerson, Condition::OwnUnit];
/// The same by a deputy.
const DEPUTY_ABOUT_ANOTHER: &[Condition] = &[
    Condition::DeputyPeriod,
    Condition::OtherPerson,
    Condition::OwnUnit,
];

/// What the act demands of whoever stands there so; `None` is no, and whatever stands in no line is no.
pub(super) fn demands(standing: Standing, action: Action) -> Option<&'static [Condition]> {
    use Role::{
        Administrator, Assistant, Auditor, DutyOfficer, ExchangeStaff, Manager, VendorSupervisor,
    };
    use Standing::{Deputy, HostUser, OfficeUser, Service, Superuser};
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
        (Action::ReadDecisions, Standing::Role(Manager | Auditor)) => &[],
        (Action::AcknowledgeRecovery, Standing::Role(Auditor)) => &[],
        (
            Action::DeclareEmergency | Action::LiftEmergency,
            Standing::Role(DutyOfficer) | HostUser | Superuser,
        ) => &[],
        // Ids, days and counts, asked for without a person. The service does the first two by itself too, which is nobody's act.
        (Action::Reconcile | Action::SignHeads | Action::PlanDisposal, HostUser | Superuser) => &[],
        (Action::Dispose, Standing::Role(Manager) | HostUser | Superuser) => &[],
        (Action::AcknowledgeDisposal | Action::ConfirmClock, Standing::Role(Manager)) => &[],
        (Action::AcknowledgeDisposal | Action::ConfirmClock, Deputy) => &[Condition::DeputyPeriod],
        // Root reads every file of the host by itself; the trail shows neither content nor numbers.
        (
            Action::ReadTrail | Action::ExportTrail | Action::SeeHeard | Action::SeeSupervision,
            Standing::Role(Manager | Auditor) | Superuser,
        ) => &[],
        (Action::ForgetMonths, Standing::Role(Manager)) => &[Condition::TermOver],
        // Root too: whoever lost keys or catalogue can prove nobody.
        (
            Action::RotateKeys
            | Action::MirrorKeys
            | Action::EndMirror
            | Action::RecoverKeys
            | Action::BackUp
            | Action::Restore,
            Standing::Role(Administrator) | Superuser,
        ) => &[],
        // Not whoever is in the group of the socket, such as those who may declare an emergency: who founds names the managers.
        (Action::Found, OfficeUser | Superuser) => &[Condition::NotFounded],
        (Action::Recover, Superuser) => &[Condition::CityStaff],
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
        (Action::Designate | Action::Train, Standing::Role(Manager)) => ABOUT_ANOTHER,
        (Action::Appoint | Action::Deputise, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::CityStaff,
        ],
        (Action::Withdraw, Standing::Role(Manager)) => &[
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::RoleEndable,
        ],
        (Action::Withdraw, Standing::Role(Administrator)) => {
            &[Condition::OtherPerson, Condition::RoleEndable]
        }
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
        (Action::Designate | Action::Train, Deputy) => DEPUTY_ABOUT_ANOTHER,
        (Action::Withdraw, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OtherPerson,
            Condition::OwnUnit,
            Condition::RoleEndable,
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
        (Action::MakeCopy, Standing::Role(Assistant | ExchangeStaff)) => &[],
        (Action::DestroyCopy, Standing::Role(Manager | Assistant | ExchangeStaff)) => {
            &[Condition::OwnUnit]
        }
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
        // They name citizens, and where what was said of them lies.
        (
            Action::ListRequests | Action::ListHolds | Action::ListHandOvers | Action::ListCopies,
            Standing::Role(Manager | Auditor),
        ) => &[],
        (
            Action::ListRequests | Action::ListHolds | Action::ListHandOvers | Action::ListCopies,
            Standing::Role(Assistant),
        )
        | (Action::ListCopies, Standing::Role(ExchangeStaff)) => HANDLER,
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
        (Action::DecideWaiver, Standing::Role(Manager)) => {
            &[Condition::OwnUnit, Condition::ReviewBounded]
        }
        (Action::DecideWaiver, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OwnUnit,
            Condition::ReviewBounded,
        ],
        (Action::ConfirmWaiver, Standing::Role(Manager)) => &[
            Condition::OwnUnit,
            Condition::Undecided,
            Condition::ReviewBounded,
        ],
        (Action::ConfirmWaiver, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OwnUnit,
            Condition::Undecided,
            Condition::ReviewBounded,
        ],
        (Action::WithdrawWaiver, Standing::Role(Manager)) => {
            &[Condition::OwnUnit, Condition::Undecided]
        }
        (Action::WithdrawWaiver, Deputy) => &[
            Condition::DeputyPeriod,
            Condition::OwnUnit,
            Condition::Undecided,
        ],
        // The public is told how many there are and why.
        (Action::ListWaivers, Standing::Role(_) | HostUser | Superuser) => &[],
        (Action::ReadWaivers, Standing::Role(Manager | Auditor)) => &[],
        (Action::ReadWaivers, Standing::Role(Assistant)) => HANDLER,
        (_, OfficeUser) => return demands(HostUser, action),
        _ => return None,
    })
}
