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
    /// Nobody is proved to ask.
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
    /// An emergency, or a look at a caller's number, without a reason.
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
    pub const ALL: [RefusalCode; 48] = [
        RefusalCode::PurposeRequired,
        RefusalCode::PurposeNotPermitted,
        RefusalCode::PersonUnknown,
        RefusalCode::RoleNotPermitted,
        RefusalCode::NotDesignated,
        RefusalCode::TrainingExpired,
        RefusalCode::RecordingOpen,
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
        RefusalCode::WrongRecipient,
        RefusalCode::OutOfOrder,
        RefusalCode::PlainExportForbidden,
        RefusalCode::ReceiptCodeWrong,
        RefusalCode::CertificateRequired,
        RefusalCode::LegalBasisRequired,
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
            RefusalCode::NotDesignated => "NOT_DESIGNATED",
            RefusalCode::TrainingExpired => "TRAINING_EXPIRED",
            RefusalCode::RecordingOpen => "RECORDING_OPEN",
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
            RefusalCode::WrongRecipient => "WRONG_RECIPIENT",
            RefusalCode::OutOfOrder => "OUT_OF_ORDER",
            RefusalCode::PlainExportForbidden => "PLAIN_EXPORT_FORBIDDEN",
            RefusalCode::ReceiptCodeWrong => "RECEIPT_CODE_WRONG",
            RefusalCode::CertificateRequired => "CERTIFICATE_REQUIRED",
            RefusalCode::LegalBasisRequired => "LEGAL_BASIS_REQUIRED",
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
            | RefusalCode::HoldTooLong
            | RefusalCode::ReviewTooLate => 422,
            RefusalCode::TooManyAttempts => 429,
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
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, clause: Clause) -> Refusal {
        Refusal { code, clause }
    }

    /// The refusal of whatever needs a person, where nobody is proved (law 3).
    pub fn nobody() -> Refusal {
        Refusal::new(RefusalCode::PersonUnknown, Clause::Rules5Security)
    }

    /// The refusal of a recording whose time is over (K-22).
    pub fn disposed() -> Refusal {
        Refusal::new(RefusalCode::Disposed, Clause::Rules5Retention)
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
            "通話録音データを取り扱えるのは、登録された職員本人に限られます。--as ID --password-file FILE を付けるか、denwaban login でログインしてください。"
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
        RefusalCode::RetentionFixed => {
            "保存期間は3か月以内（1日から92日）です。保全によるほか、延ばせません。"
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
            "管理責任者の決定がなければ行えません。この録音についての請求や保全を申し出て、別の人の決定（requests decide、holds decide）を受け、--case または --decision で指定してください。"
        }
        RefusalCode::ReasonRequired => "理由のない取扱いはできません。理由を入力してください。",
        RefusalCode::EmergencyTooLong => {
            "緊急時の扱いは一度に24時間までです。期間を短くし、必要なときは改めて宣言してください。"
        }
        RefusalCode::EmergencyTooShort => {
            "緊急時の扱いには1秒以上の期間が要ります。30m や 4h のように指定してください。"
        }
        RefusalCode::OrgNotPermitted => {
            "通話録音データは、所管する課の職員だけが取り扱えます。所管課の職員が行ってください。"
        }
        RefusalCode::AckRequired => {
            "現在の取扱要領を確認していない職員は取り扱えません。people acknowledge で確認してください。"
        }
        RefusalCode::NotApproved => {
            "委託事業者で確認できるのは、管理責任者が承認した監督者だけです。contracts approve を依頼してください。"
        }
        RefusalCode::ContractScope => {
            "委託契約の期間の外では取り扱えません。契約の期間を確認してください。"
        }
        RefusalCode::OutOfScope => {
            "委託業務の範囲にこの録音はありません。契約の番号と目的を確認してください。"
        }
        RefusalCode::NotAttested => {
            "情報セキュリティポリシー等の遵守の証明が有効でない事業者には認められません。vendors attest で登録してください。"
        }
        RefusalCode::DeputyNotInPeriod => {
            "代決できるのは定められた期間だけです。管理責任者が決定してください。"
        }
        RefusalCode::SelfApproval => {
            "自分についての決定や、自分が申し出たことの決定はできません。別の管理責任者か代決者が行ってください。"
        }
        RefusalCode::RoleNotGrantable => {
            "この役割を与えることはできません。内容を扱う役割は管理責任者が、管理責任者は現任の管理責任者（people appoint）が定めます。"
        }
        RefusalCode::AlreadyFounded => {
            "最初の管理責任者は一度だけ定められます。以後は people appoint、誰もログインできないときは root で people recover を使ってください。"
        }
        RefusalCode::LoginFailed => {
            "ID、パスワード、確認コードのいずれかが違います。確かめてもう一度入力してください。"
        }
        RefusalCode::TooManyAttempts => {
            "誤った入力が続いたため、しばらく待ってから入力してください（最長5分）。緊急時モードの宣言には影響しません。"
        }
        RefusalCode::SessionOver => {
            "ログインの有効時間が過ぎました（無操作15分、最長8時間）。もう一度ログインしてください。"
        }
        RefusalCode::PasswordExpired => {
            "パスワードを変更してから利用してください。`denwaban password` で変更できます。"
        }
        RefusalCode::PasswordTooShort => "パスワードは12文字以上にしてください。",
        RefusalCode::PasswordBlocked => {
            "推測されやすいパスワードは使えません。別のものにしてください。"
        }
        RefusalCode::PasswordReused => {
            "直近10回に使ったパスワードは使えません。別のものにしてください。"
        }
        RefusalCode::VendorCertOverdue => {
            "廃棄証明の期限を過ぎたデータがある事業者には、新たに渡せません。handover destroyed または copies destroyed で証明を登録してください。"
        }
        RefusalCode::CopyOverdue => {
            "廃棄の期限を過ぎた写しを持つ職員は、新たに書き出せません。copies list で確かめ、copies destroyed で廃棄を記録してください。"
        }
        RefusalCode::WrongRecipient => {
            "契約の相手方でない事業者には渡せません。--to と --contract を確かめてください。"
        }
        RefusalCode::OutOfOrder => {
            "この手続は今の段階では行えないか、既に済んでいます。handover list で段階を確かめてください。"
        }
        RefusalCode::PlainExportForbidden => {
            "暗号化していないデータは渡せません。受け取る側の公開鍵（--recipient）を登録するか、--zip を付けてください。"
        }
        RefusalCode::ReceiptCodeWrong => {
            "受領コードが違います。受け取った側が包みを開いて読んだコードを確かめてください。"
        }
        RefusalCode::CertificateRequired => {
            "渡したデータの廃棄証明がないため、完了にできません。handover destroyed で登録してください。"
        }
        RefusalCode::LegalBasisRequired => {
            "根拠、請求者、文書番号、対象の録音のいずれかが欠けた請求は受け付けられません。--basis、--requester、--document、--recording を指定してください。"
        }
        RefusalCode::AlreadyDecided => {
            "既に別の決定がされています。決定は変えられません。必要なときは新たに申し出てください。"
        }
        RefusalCode::UseSuspended => {
            "利用停止の決定により、この録音はその請求の処理以外には利用できません。"
        }
        RefusalCode::HoldTooLong => {
            "保全は今日から1年以内で、見直しの日 (--review) は保全の期限 (--until) までにしてください。必要なときは改めて決定を受けます。"
        }
        RefusalCode::LegalHold => {
            "保全中の録音は廃棄できません。holds release で解除してから行ってください。"
        }
        RefusalCode::ReviewTooLate => {
            "録音の告知に代わる手段や法令の決定は、今日から1年以内に見直します。--review に見直しの日を指定してください。"
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
            "only a registered person who proves to be that person does this; add --as ID --password-file FILE, or log in with `denwaban login`"
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
        RefusalCode::RetentionFixed => {
            "recordings are kept for three months at most, 1 to 92 days; nothing but a hold keeps one longer"
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
            "this needs the manager's decision about the recording; let another person decide it (requests decide, holds decide), and name it by --case or --decision"
        }
        RefusalCode::ReasonRequired => "this is done for a stated reason only; give the reason",
        RefusalCode::EmergencyTooLong => {
            "an emergency is declared for 24 hours at most; shorten it, and declare again if need be"
        }
        RefusalCode::EmergencyTooShort => {
            "an emergency lasts a second at least; say how long it shall hold, such as 30m or 4h"
        }
        RefusalCode::OrgNotPermitted => {
            "what belongs to a unit is handled by that unit alone; let a person of that unit do it"
        }
        RefusalCode::AckRequired => {
            "staff handle recordings once they acknowledged the rules in force; read them and run `people acknowledge`"
        }
        RefusalCode::NotApproved => {
            "of a contractor only a supervisor whom the manager approved listens; ask for `contracts approve`"
        }
        RefusalCode::ContractScope => {
            "a contractor listens only while the contract is in force; look at its period"
        }
        RefusalCode::OutOfScope => {
            "there is no such recording in the scope of the contract; look at its numbers and purposes"
        }
        RefusalCode::NotAttested => {
            "nothing is granted to a contractor whose attestations are missing or lapsed; record them with `vendors attest`"
        }
        RefusalCode::DeputyNotInPeriod => {
            "a deputy decides within the appointed period only; let the manager decide"
        }
        RefusalCode::SelfApproval => {
            "nobody decides about oneself, or what one has asked for; let another manager or a deputy do it"
        }
        RefusalCode::RoleNotGrantable => {
            "this role is not yours to grant; roles that open content are the manager's to give, and a manager is appointed by the sitting one (`people appoint`)"
        }
        RefusalCode::AlreadyFounded => {
            "the first manager is named once; later ones are appointed with `people appoint`, or named by root with `people recover` where nobody can log in"
        }
        RefusalCode::LoginFailed => {
            "id, password and code do not belong together; look at them and try again"
        }
        RefusalCode::TooManyAttempts => {
            "after wrong attempts the next is looked at later, in 5 minutes at most; the emergency is declared without it"
        }
        RefusalCode::SessionOver => {
            "the login session is over (15 minutes idle, 8 hours at most); log in again"
        }
        RefusalCode::PasswordExpired => {
            "the password must be changed first; change it with `denwaban password`"
        }
        RefusalCode::PasswordTooShort => {
            "a password has at least 12 characters; choose a longer one"
        }
        RefusalCode::PasswordBlocked => {
            "a password that is easily guessed is not taken; choose another"
        }
        RefusalCode::PasswordReused => {
            "none of the last 10 passwords is taken again; choose another"
        }
        RefusalCode::VendorCertOverdue => {
            "nothing more is handed to a contractor whose certificates of destruction are overdue; record them with `handover destroyed`"
        }
        RefusalCode::CopyOverdue => {
            "nobody makes a copy who still has one that must be gone; see `copies list`, and record its destruction with `copies destroyed`"
        }
        RefusalCode::WrongRecipient => {
            "recordings go to the contractor of the contract and to nobody else; look at --to and --contract"
        }
        RefusalCode::OutOfOrder => {
            "this step is not due, or was taken already; see `handover list` for where the hand-over stands"
        }
        RefusalCode::PlainExportForbidden => {
            "nothing leaves the city in clear; give the receiver's public key (--recipient) or package with --zip"
        }
        RefusalCode::ReceiptCodeWrong => {
            "this is not the code that lies in the package; ask the receiver to open it and read the code out"
        }
        RefusalCode::CertificateRequired => {
            "what was handed over is not yet certified as destroyed; record the certificate with `handover destroyed`"
        }
        RefusalCode::LegalBasisRequired => {
            "a request without its basis, requester, document or recordings is not taken; give --basis, --requester, --document and --recording"
        }
        RefusalCode::AlreadyDecided => {
            "it was decided otherwise, and a decision stands; ask anew where need be"
        }
        RefusalCode::UseSuspended => {
            "the use of this recording is suspended by decision, but for the case that suspended it"
        }
        RefusalCode::HoldTooLong => {
            "a hold lasts a year from today at most and is reviewed (--review) before it ends (--until); what is needed longer is decided anew"
        }
        RefusalCode::LegalHold => {
            "a recording that a case holds is not destroyed; let it go by holds release first"
        }
        RefusalCode::ReviewTooLate => {
            "a decision that waives the announcement is looked at again within a year from today; give the day by --review"
        }
    }
}
