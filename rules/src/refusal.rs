//! A refusal names the clause that forbids, in plain Japanese and in English (K-40).

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
    /// Nobody is named, or the person is not in the staff file.
    PersonUnknown,
    /// The role does not include the act.
    RoleNotPermitted,
    /// No manager designated the person.
    NotDesignated,
    /// The training is not on record or lapsed.
    TrainingExpired,
    /// The call is still being recorded.
    RecordingOpen,
    /// There is no sound: the call was connected unrecorded.
    NotRecorded,
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
    /// An emergency without a reason.
    ReasonRequired,
    /// An emergency of more than 24 hours.
    EmergencyTooLong,
    /// An emergency that would be over when it begins.
    EmergencyTooShort,
}

impl RefusalCode {
    /// All of them.
    pub const ALL: [RefusalCode; 17] = [
        RefusalCode::PurposeRequired,
        RefusalCode::PurposeNotPermitted,
        RefusalCode::PersonUnknown,
        RefusalCode::RoleNotPermitted,
        RefusalCode::NotDesignated,
        RefusalCode::TrainingExpired,
        RefusalCode::RecordingOpen,
        RefusalCode::NotRecorded,
        RefusalCode::Disposed,
        RefusalCode::AuditUnavailable,
        RefusalCode::PermitLapsed,
        RefusalCode::NotDue,
        RefusalCode::ClockFrozen,
        RefusalCode::DecisionRequired,
        RefusalCode::ReasonRequired,
        RefusalCode::EmergencyTooLong,
        RefusalCode::EmergencyTooShort,
    ];

    /// As lists and messages show it.
    pub fn code(self) -> &'static str {
        match self {
            RefusalCode::PurposeRequired => "PURPOSE_REQUIRED",
            RefusalCode::PurposeNotPermitted => "PURPOSE_NOT_PERMITTED",
            RefusalCode::PersonUnknown => "PERSON_UNKNOWN",
            RefusalCode::RoleNotPermitted => "ROLE_NOT_PERMITTED",
            RefusalCode::NotDesignated => "NOT_DESIGNATED",
            RefusalCode::TrainingExpired => "TRAINING_EXPIRED",
            RefusalCode::RecordingOpen => "RECORDING_OPEN",
            RefusalCode::NotRecorded => "NOT_RECORDED",
            RefusalCode::Disposed => "DISPOSED",
            RefusalCode::AuditUnavailable => "AUDIT_UNAVAILABLE",
            RefusalCode::PermitLapsed => "PERMIT_LAPSED",
            RefusalCode::NotDue => "NOT_DUE",
            RefusalCode::ClockFrozen => "CLOCK_FROZEN",
            RefusalCode::DecisionRequired => "DECISION_REQUIRED",
            RefusalCode::ReasonRequired => "REASON_REQUIRED",
            RefusalCode::EmergencyTooLong => "EMERGENCY_TOO_LONG",
            RefusalCode::EmergencyTooShort => "EMERGENCY_TOO_SHORT",
        }
    }

    /// The HTTP status that says the same.
    pub fn status(self) -> u16 {
        match self {
            RefusalCode::PurposeNotPermitted
            | RefusalCode::PersonUnknown
            | RefusalCode::RoleNotPermitted
            | RefusalCode::NotDesignated
            | RefusalCode::TrainingExpired
            | RefusalCode::PermitLapsed => 403,
            RefusalCode::NotRecorded => 404,
            RefusalCode::RecordingOpen
            | RefusalCode::NotDue
            | RefusalCode::ClockFrozen
            | RefusalCode::DecisionRequired => 409,
            RefusalCode::Disposed => 410,
            RefusalCode::PurposeRequired
            | RefusalCode::ReasonRequired
            | RefusalCode::EmergencyTooLong
            | RefusalCode::EmergencyTooShort => 422,
            RefusalCode::AuditUnavailable => 503,
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
    /// 管理補助者 are those whom the manager designates.
    Rules4Designation,
    /// They work after training.
    Rules4Training,
    /// Recordings are stored by the machine, by itself.
    Rules5Storing,
    /// For analysis, certain demands and statutes only; no other use.
    Rules5Use,
    /// Systems are protected by personal accounts and enough security.
    Rules5Security,
    /// Three months at most, then beyond recovery.
    Rules5Retention,
}

impl Clause {
    /// As it is cited in Japanese.
    pub fn japanese(self) -> &'static str {
        match self {
            Clause::Consultation4Announcement => "諮問書4①",
            Clause::Consultation7Logs => "諮問書7(1)",
            Clause::Consultation7Staff => "諮問書7(2)",
            Clause::Rules4Designation => "要領第4条第1項",
            Clause::Rules4Training => "要領第4条第2項",
            Clause::Rules5Storing => "要領第5条第1項",
            Clause::Rules5Use => "要領第5条第2項",
            Clause::Rules5Security => "要領第5条第5項",
            Clause::Rules5Retention => "要領第5条第6項",
        }
    }

    /// As it is cited in English.
    pub fn english(self) -> &'static str {
        match self {
            Clause::Consultation4Announcement => "section 4(1) of the consultation",
            Clause::Consultation7Logs => "section 7(1) of the consultation",
            Clause::Consultation7Staff => "section 7(2) of the consultation",
            Clause::Rules4Designation => "article 4 paragraph 1 of the handling rules",
            Clause::Rules4Training => "article 4 paragraph 2 of the handling rules",
            Clause::Rules5Storing => "article 5 paragraph 1 of the handling rules",
            Clause::Rules5Use => "article 5 paragraph 2 of the handling rules",
            Clause::Rules5Security => "article 5 paragraph 5 of the handling rules",
            Clause::Rules5Retention => "article 5 paragraph 6 of the handling rules",
        }
    }
}

/// The rules say no: which code, by which clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    code: RefusalCode,
    clause: Clause,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, clause: Clause) -> Refusal {
        Refusal { code, clause }
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
        format!(
            "{}により、{}",
            self.clause.japanese(),
            japanese_sentence(self.code)
        )
    }

    /// The refusal in plain English, with what to do.
    pub fn english(&self) -> String {
        format!(
            "by {}, {}",
            self.clause.english(),
            english_sentence(self.code)
        )
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

fn japanese_sentence(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::PurposeRequired => {
            "通話録音データは定められた目的のためにしか利用できません。目的（ANALYSIS_INQUIRY、ANALYSIS_COMPLAINT、STAFF_CHECKなど）を指定してください。"
        }
        RefusalCode::PurposeNotPermitted => {
            "この目的で通話録音データを利用することはできません。認められた目的（ANALYSIS_INQUIRY、ANALYSIS_COMPLAINT、STAFF_CHECKなど）を指定してください。"
        }
        RefusalCode::PersonUnknown => {
            "通話録音データを取り扱えるのは、指定された職員に限られます。職員名簿に登録された職員を指定してください。"
        }
        RefusalCode::RoleNotPermitted => {
            "この操作はあなたの役割には認められていません。認められた役割の職員が行ってください。"
        }
        RefusalCode::NotDesignated => {
            "管理責任者の指定を受けていない職員は取り扱えません。管理責任者に指定を依頼してください。"
        }
        RefusalCode::TrainingExpired => {
            "有効な研修の記録がない職員は取り扱えません。研修を受け、受講日を登録してください。"
        }
        RefusalCode::RecordingOpen => {
            "通話中の録音は、装置への保存が終わるまで確認できません。通話の終了後にもう一度お試しください。"
        }
        RefusalCode::NotRecorded => {
            "録音の案内がなかった通話の音声は保存していません。確認できる音声はありません。"
        }
        RefusalCode::Disposed => {
            "保存期間を過ぎた録音は廃棄の対象となり、利用できません。元に戻すことはできません。"
        }
        RefusalCode::AuditUnavailable => {
            "証跡（ログ）を記録できない間は、通話録音データを利用できません。証跡の保存先を確認してください。"
        }
        RefusalCode::PermitLapsed => {
            "許可の有効時間（最長15分）を過ぎると利用できません。もう一度申請してください。"
        }
        RefusalCode::NotDue => {
            "保存期間を過ぎていないデータは廃棄できません。廃棄の期日を確認してください。"
        }
        RefusalCode::ClockFrozen => {
            "装置の時計を信頼できない間は、何も廃棄しません。時計を確かめ、管理責任者が dispose --due --confirm-clock 理由 --as ID で確認してください。"
        }
        RefusalCode::DecisionRequired => {
            "保存期間内のデータは、決定がなければ廃棄できません。決定を記録してください。"
        }
        RefusalCode::ReasonRequired => {
            "録音の案内を省けるのは災害等の緊急時に限られます。緊急時とする理由を入力してください。"
        }
        RefusalCode::EmergencyTooLong => {
            "緊急時の扱いは一度に24時間までです。期間を短くし、必要なときは改めて宣言してください。"
        }
        RefusalCode::EmergencyTooShort => {
            "緊急時の扱いには1秒以上の期間が要ります。30m や 4h のように指定してください。"
        }
    }
}

fn english_sentence(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::PurposeRequired => {
            "recordings are used for stated purposes only; name the purpose (ANALYSIS_INQUIRY, ANALYSIS_COMPLAINT, STAFF_CHECK and so on)"
        }
        RefusalCode::PurposeNotPermitted => {
            "recordings are not used for this purpose; name a permitted one"
        }
        RefusalCode::PersonUnknown => {
            "only designated staff handle recordings; name a person who is in the staff file"
        }
        RefusalCode::RoleNotPermitted => {
            "this act is not part of the role; let a person of a permitted role do it"
        }
        RefusalCode::NotDesignated => {
            "only staff whom the responsible manager designated handle recordings; ask the manager for a designation"
        }
        RefusalCode::TrainingExpired => {
            "staff handle recordings only with a training in force; train and record the day"
        }
        RefusalCode::RecordingOpen => {
            "a recording is heard once the machine has stored it; try again when the call is over"
        }
        RefusalCode::NotRecorded => {
            "a call without the notice is not kept; there is no sound to hear"
        }
        RefusalCode::Disposed => {
            "a recording is not used after its retention, it is disposed of; nothing brings it back"
        }
        RefusalCode::AuditUnavailable => {
            "recordings are not used while the audit trail cannot be written; look at where it is stored"
        }
        RefusalCode::PermitLapsed => {
            "a permit holds for 15 minutes at most and its time is over; ask again"
        }
        RefusalCode::NotDue => {
            "nothing is disposed of before its retention ends; look at the day it expires"
        }
        RefusalCode::ClockFrozen => {
            "nothing is destroyed while the clock cannot be believed; look at it, and let the manager confirm it by dispose --due --confirm-clock REASON --as ID"
        }
        RefusalCode::DecisionRequired => {
            "nothing is disposed of before its retention ends without a decision; record the decision first"
        }
        RefusalCode::ReasonRequired => {
            "the announcement is waived in an emergency only; give the reason"
        }
        RefusalCode::EmergencyTooLong => {
            "an emergency is declared for 24 hours at most; shorten it, and declare again if need be"
        }
        RefusalCode::EmergencyTooShort => {
            "an emergency lasts a second at least; say how long it shall hold, such as 30m or 4h"
        }
    }
}
