//! What is asked of the office about people, how it answers, and the staff file of the first version, which `people bootstrap` takes in.

use std::{fs, io, path::Path};

use rules::{
    Attestation, AuditDraft, AuditEvent, CaseId, ContractId, DecisionId, Fact, HoldId, JstDay,
    Label, MOST_ITEMS, MOST_STRETCHES, MaskBeyond, Period, Refusal, RegisterFault, Role, StaffId,
    Subject, TakenIn, VendorId,
};
use serde::{Deserialize, Serialize};

use crate::{
    cases::{CaseView, HoldAsk, HoldView, RequestAsk},
    duty::{Answer, Message},
    forgetting::{ForgetAsk, Forgotten},
    numbers::{NumberAsk, NumberView},
    office::PolicyView,
    proof::Secret,
    said::{self, Said, Words},
    wording::Wording,
};

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    Account(AccountAsk),
    Register(RegisterAsk),
}

/// About the own account; what is shown with it is looked at in a way of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountAsk {
    Login,
    Logout,
    /// Change the own password.
    Renew {
        new: Secret,
    },
}

/// About the register, by whoever is proved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RegisterAsk {
    Bootstrap {
        manager: StaffId,
        manager_password: Secret,
        administrator: StaffId,
        administrator_password: Secret,
    },
    /// Take a person in; the answer holds the first password.
    Add {
        person: StaffId,
        role: Role,
        #[serde(deserialize_with = "said::typed")]
        unit: Label,
        vendor: Option<VendorId>,
        #[serde(default)]
        name: Said<Words>,
    },
    Deputise {
        person: StaffId,
        period: Period,
        #[serde(default)]
        basis: Said<Words>,
    },
    Train {
        person: StaffId,
        #[serde(default)]
        course: Said<Label>,
        on: JstDay,
    },
    Attest {
        vendor: VendorId,
        #[serde(default)]
        kind: Said<Attestation>,
        until: JstDay,
    },
    /// Name a manager with root's right; the answer holds the first password.
    Recover {
        person: StaffId,
    },
    Acknowledge,
    AddContract(WishedContract),
    /// A fact that needs nothing beside it ([`Fact::stands_alone`]).
    Record(Fact),
    /// Give another person a password that must be changed.
    Issue {
        person: StaffId,
    },
    List,
    EnrolTotp,
    /// Put the own codes in force by one of them.
    ConfirmTotp {
        code: Secret,
    },
    /// Make a file the next version of the policy.
    ApplyPolicy {
        text: String,
    },
    /// Keep what the manager decided where the rules say nothing.
    DecideMeasure {
        #[serde(default)]
        basis: Said<Label>,
        #[serde(default)]
        measure: Said<Words>,
    },
    ShowPolicy {
        version: Option<u32>,
    },
    Request(RequestAsk),
    Hold(HoldAsk),
    Number(NumberAsk),
    Forget(ForgetAsk),
}

/// A contract of the own unit, as it was typed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WishedContract {
    pub(crate) contract: ContractId,
    pub(crate) vendor: VendorId,
    pub(crate) numbers: Vec<String>,
    pub(crate) period: Period,
    pub(crate) purposes: Vec<String>,
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    Done,
    /// It was so already.
    AlreadySo,
    /// The person was taken in before.
    AlreadyIn {
        person: StaffId,
        password: PasswordView,
    },
    /// The same person asked for it before in the same words, and it is still undecided.
    AskedBefore(Subject),
    /// A password for its first use.
    Issued {
        person: StaffId,
        password: Secret,
    },
    /// A login session.
    Session {
        person: StaffId,
        token: Secret,
    },
    /// The secret of one-time codes.
    Totp {
        person: StaffId,
        secret: Secret,
    },
    People(Vec<PersonView>),
    Policy(Box<PolicyView>),
    /// A request was opened.
    Opened {
        case: CaseId,
    },
    Cases(Vec<CaseView>),
    /// A hold was asked for.
    HoldRequested {
        hold: HoldId,
    },
    Holds(Vec<HoldView>),
    /// A number's notice was decided.
    Decided {
        decision: DecisionId,
    },
    Numbers(Vec<NumberView>),
    /// What goes of the trail.
    Forgotten(Forgotten),
}

/// Whose a person's password is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PasswordView {
    /// Nobody has set one.
    Missing,
    /// Another person issued it; it opens nothing but its change.
    First,
    Own,
}

/// A person as `people list` shows them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PersonView {
    pub(crate) id: StaffId,
    pub(crate) name: Option<Wording>,
    pub(crate) role: Role,
    /// The role was withdrawn.
    pub(crate) withdrawn: bool,
    pub(crate) unit: Label,
    pub(crate) vendor: Option<VendorId>,
    pub(crate) password: PasswordView,
    pub(crate) designated_until: Option<JstDay>,
    pub(crate) designated_by: Option<StaffId>,
    pub(crate) trained_on: Option<JstDay>,
    /// In what.
    pub(crate) trained_in: Option<Wording>,
    pub(crate) acknowledged: Option<u32>,
    pub(crate) deputy_until: Option<JstDay>,
    /// On what that rests, for managers and auditors.
    pub(crate) deputy_basis: Option<Wording>,
    /// A recovery that no auditor has acknowledged.
    pub(crate) recovered: bool,
}

/// The message of a refusal, with its clause in both languages (K-40).
pub(crate) fn message(refusal: &Refusal) -> Message {
    Message {
        code: refusal.code().code().to_owned(),
        status: refusal.code().status(),
        clause: refusal.clause().japanese().to_owned(),
        ja: refusal.japanese(),
        en: refusal.english(),
    }
}

/// The answer to whoever asked for what cannot be recorded.
pub(crate) fn not_recorded<T>(fault: &RegisterFault) -> Answer<T> {
    let ja = match fault {
        RegisterFault::Refused(refusal) => return Answer::Refused(message(refusal)),
        RegisterFault::NoSuchPerson(id) => {
            format!("{id} は登録されていません。people list で確かめてください。")
        }
        RegisterFault::NotInOffice(id) => {
            format!(
                "{id} は役割を解かれています。改めて、管理責任者は people appoint で、その他の役割は people add で定めてください。"
            )
        }
        RegisterFault::NoSuchVendor(id) => {
            format!("委託事業者 {id} は登録されていません。vendors add で登録してください。")
        }
        RegisterFault::NoSuchContract(id) => {
            format!("契約 {id} は登録されていません。contracts add で登録してください。")
        }
        RegisterFault::IdTaken(id) => {
            format!("{id} は別の人の id です。人ごとに別の id を付けてください。")
        }
        RegisterFault::ContractTaken(id) => {
            format!("契約 {id} は別の内容で登録されています。変更は別の id で登録してください。")
        }
        RegisterFault::VendorTaken(id) => {
            format!(
                "委託事業者 {id} は別の公開鍵で登録されています。新しい鍵は別の id で登録し、契約を結び直してください。"
            )
        }
        RegisterFault::VendorOrNot(id) => {
            format!("{id}: --vendor は vendor_supervisor にだけ、必ず指定してください。")
        }
        RegisterFault::NoSuchCase(id) => {
            format!("請求 {id} はありません。requests list で確かめてください。")
        }
        RegisterFault::NoSuchHold(id) => {
            format!("保全 {id} はありません。holds list で確かめてください。")
        }
        RegisterFault::NoSuchWaiver(id) => {
            format!("この番号についての決定 {id} はありません。numbers list で確かめてください。")
        }
        RegisterFault::OtherCase { recording, case } => format!(
            "録音 {recording} は請求 {case} の対象ではありません。対象に含む請求を申し出てください。"
        ),
        RegisterFault::NoSuchRecording(id) => {
            format!("録音 {id} はありません。recordings list で確かめてください。")
        }
        RegisterFault::TooManyRecordings { found } => {
            format!(
                "1件の請求に指定できる録音は1000件までです（{found} 件）。分けて申し出てください。"
            )
        }
        RegisterFault::OtherVendor(id) => format!("{id} はこの契約の事業者に属していません。"),
        RegisterFault::NoSuchHandOver(id) => {
            format!("収受 {id} はありません。handover list で確かめてください。")
        }
        RegisterFault::NoSuchCopy(id) => {
            format!("写し {id} はありません。copies list で確かめてください。")
        }
        RegisterFault::OfHandOver(copy, hand_over) => format!(
            "写し {copy} は収受 {hand_over} の包みです。handover destroyed で記録してください。"
        ),
        RegisterFault::ItemCount(count) => format!(
            "一度に渡せる録音は1件から{MOST_ITEMS}件です（{count}件）。--recording で指定し、多いときは分けてください。"
        ),
        RegisterFault::MaskOutside => format!(
            "無音にできるのは、この収受の録音の区間だけで、{MOST_STRETCHES}か所までです。handover list で確かめてください。"
        ),
        RegisterFault::MaskBeyond(beyond) => mask_beyond(beyond),
        RegisterFault::OtherVersion(version) => format!(
            "方針の第{version}版は、施行中の版の次ではありません。policy show で確かめてください。"
        ),
        RegisterFault::MonthNotOver(month) => {
            format!("{month} はまだ終わっていません。翌月になってから署名してください。")
        }
        RegisterFault::IdIsNumber => {
            "数字が8桁を超えて続く id は、電話番号になり得るため使えません。別の id にしてください。".to_owned()
        }
        RegisterFault::OnePerson => "管理責任者とシステム管理者は別の人にしてください。".to_owned(),
    };
    let en = fault.to_string();
    Answer::Failed(match fault.names_nothing() {
        true => Message::not_found(ja, en),
        false => Message::new(ja, en),
    })
}

/// That a mask would silence nothing.
pub(crate) fn mask_beyond(beyond: &MaskBeyond) -> String {
    let (seconds, ms) = (beyond.length_ms / 1_000, beyond.length_ms % 1_000);
    format!(
        "区間 {} は録音 {} の終わり（{seconds}.{ms:03} 秒）を越えています。秒で、録音の中の区間を指定してください。",
        beyond.stretch, beyond.recording
    )
}

/// The entry of an act that was refused.
///
/// `policy`: the version in force; where no register can be read, that of the program.
pub(crate) fn refused(
    actor: rules::Actor,
    action: rules::Action,
    refusal: &Refusal,
    policy: u32,
) -> AuditDraft {
    let event = AuditEvent::ActionRefused {
        action,
        code: refusal.code(),
        policy,
    };
    AuditDraft { actor, event }
}

/// The staff file of the first version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaffFile {
    #[serde(default)]
    staff: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: StaffId,
    name: String,
    role: Role,
    unit: Label,
    designated_on: Option<toml::value::Datetime>,
    trained_on: Option<toml::value::Datetime>,
}

/// People of the first version, each with the name.
pub(crate) struct Staff {
    pub(crate) taken_in: Vec<TakenIn>,
    pub(crate) names: Vec<(StaffId, String)>,
}

/// Reads the staff file; one that is not there names nobody. Managers and administrators are named by `bootstrap` and appointed later, never by a file.
///
/// # Errors
/// It is not in its form; the message names the line.
pub(crate) fn read_staff(path: &Path) -> Result<Staff, Message> {
    let unusable = |why: String| {
        Message::new(
            format!(
                "職員名簿 {} を読めません。直すか、取り除いてください。",
                path.display()
            ),
            format!(
                "the staff file {} cannot be taken in: {why}; correct it, or take it away",
                path.display()
            ),
        )
    };
    let text = match fs::read_to_string(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|fault| unusable(fault.to_string()))?,
    };
    let file: StaffFile = toml::from_str(&text).map_err(|fault| unusable(fault.to_string()))?;
    let mut staff = Staff {
        taken_in: Vec::new(),
        names: Vec::new(),
    };
    for entry in file.staff {
        let (id, name) = (entry.id.clone(), entry.name.clone());
        staff.names.push((id, name));
        if !matches!(entry.role, Role::Manager | Role::Administrator) {
            staff.taken_in.push(taken_in(entry).map_err(unusable)?);
        }
    }
    Ok(staff)
}

/// Whether there is such a file with anybody in it; from the bootstrap on nobody reads it.
pub(crate) fn is_left_behind(path: &Path) -> bool {
    read_staff(path).map_or(path.exists(), |staff| !staff.names.is_empty())
}

fn taken_in(entry: Entry) -> Result<TakenIn, String> {
    let day =
        |when: Option<toml::value::Datetime>, key| when.map(|when| day(&when, key)).transpose();
    Ok(TakenIn {
        person: entry.id,
        role: entry.role,
        unit: entry.unit,
        designated_on: day(entry.designated_on, "designated_on")?,
        trained_on: day(entry.trained_on, "trained_on")?,
    })
}

fn day(when: &toml::value::Datetime, key: &str) -> Result<JstDay, String> {
    let wrong = || format!("{key} is {when}, expected a date such as 2026-04-01");
    when.date
        .filter(|_| when.time.is_none())
        .map(|date| date.to_string())
        .ok_or_else(wrong)?
        .parse()
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_first_versions_people_are_taken_in_without_its_managers() {
        let file = written(
            "[[staff]]\nid = \"hanako\"\nname = \"山田 花子\"\nrole = \"assistant\"\nunit = \"市民相談課\"\ndesignated_on = 2026-04-01\ntrained_on = 2026-04-10\n\
             [[staff]]\nid = \"kacho\"\nname = \"課長\"\nrole = \"manager\"\nunit = \"市民相談課\"\n",
        );
        let staff = read_staff(file.path()).unwrap();
        assert_eq!(staff.taken_in.len(), 1);
        assert_eq!(staff.taken_in[0].trained_on, "2026-04-10".parse().ok());
        assert_eq!(staff.names.len(), 2);
        assert!(is_left_behind(file.path()));
        assert!(!is_left_behind(written("# nobody\n").path()));
        assert!(!is_left_behind(Path::new("/nowhere/staff.toml")));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let file = written("[[staff]]\nid = \"a\"\nname = \"b\"\nrole = \"king\"\nunit = \"c\"\n");
        let message = read_staff(file.path()).err().unwrap();
        assert!(message.en.contains("line 4"), "{}", message.en);
    }
}
