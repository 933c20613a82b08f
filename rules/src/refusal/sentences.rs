//! The sentences of a refusal: why, and what to do.

use super::RefusalCode;

/// Of a text that is no line which a record holds.
pub(super) const NOT_ONE_LINE_JA: &str = "記録に残す文は、そのまま読める1行で書きます。改行・制御文字・文字の向きを変える文字が入っています。それらを除いて書き直してください。";
/// The same in English.
pub(super) const NOT_ONE_LINE_EN: &str = "what a record keeps is one line that reads as it was typed; it holds a line break, a control character or one that turns the direction of writing, so write it without";

/// Why, and what to do, in Japanese.
pub(super) fn japanese(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::PurposeRequired => {
            "通話録音データは定められた目的のためにしか利用できません。目的（ANALYSIS_INQUIRY、ANALYSIS_COMPLAINT、STAFF_CHECKなど）を指定してください。"
        }
        RefusalCode::PurposeNotPermitted => {
            "この操作は、この役割とこの目的では認められていません。操作と役割ごとに認められた目的は denwaban access table で確かめられます。"
        }
        RefusalCode::PersonUnknown => {
            "通話録音データを取り扱えるのは、登録された職員本人に限られます。--as ID --password-file FILE を付けるか、denwaban login でログインしてください。"
        }
        RefusalCode::RoleNotPermitted => {
            "この操作はあなたの役割には認められていません。認められた役割の職員が行ってください。"
        }
        RefusalCode::RoleEnded => {
            "役割を解かれた職員は取り扱えません。改めて、管理責任者は people appoint で、その他の役割は people add で定めます。"
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
        RefusalCode::AudioAwaited => {
            "この録音の音声は、バックアップからの復元を待っています。失われてはいません。`denwaban restore --audio` の進みを管理者に確かめ、後でもう一度お試しください。"
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
            "管理責任者の決定がなければ行えません。録音については請求や保全を申し出て、別の人の決定（requests decide、holds decide）を受け、--case または --decision で指定してください。証跡の削除と鍵の写しの終了では、決定の内容を --decision に書いてください。"
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
            "自分についての決定や、自分が申し出たことの決定はできません。別の人が行ってください。ほかに決定できる人がいないときは、先に後任を定めてください（people appoint、people add）。"
        }
        RefusalCode::RoleNotGrantable => {
            "この役割を与えることも、解くこともできません。内容を扱う役割は管理責任者が、監査とシステム管理者はシステム管理者が、管理責任者と代決者は、委託事業者でも監査・システム管理者でもない市職員から、現任の管理責任者（people appoint）が定めます。"
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
            "廃棄証明の期限を過ぎたデータがある事業者・請求・提供先には、新たに渡せません。handover destroyed または copies destroyed で証明を登録してください。"
        }
        RefusalCode::CopyOverdue => {
            "廃棄の期限を過ぎた写しを持つ職員は、新たに書き出せません。copies list で確かめ、copies destroyed で廃棄を記録してください。"
        }
        RefusalCode::CopyPresent => {
            "写しのファイルが書き出し先に残っているか、書き出しの途中のため、廃棄を記録できません。copies list の場所のファイルを（別名のものも）消し、書き出しの途中で切れたものは30分待ってから、もう一度記録してください。"
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
            "根拠の示されていないもの、請求者・文書番号・対象の録音の欠けた請求は受け付けられません。根拠（--basis、保全では --ground、告知の省略では --means か --law、措置では方針に定めたもの）と、--requester、--document、--recording を指定してください。"
        }
        RefusalCode::ParticularsRequired => {
            "記録に残す事項（渡す媒体、提供先・受領者、研修名、証明の種類、措置の内容）の書かれていないものは受け付けられません。--medium、--receiver、--course、--kind、--measure のうち必要なものを書いてください。"
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

/// The same in English.
pub(super) fn english(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::PurposeRequired => {
            "recordings are used for stated purposes only; name the purpose (ANALYSIS_INQUIRY, ANALYSIS_COMPLAINT, STAFF_CHECK and so on)"
        }
        RefusalCode::PurposeNotPermitted => {
            "this act is not permitted for this purpose in this role; `denwaban access table` lists the purposes of each act and role"
        }
        RefusalCode::PersonUnknown => {
            "only a registered person who proves to be that person does this; add --as ID --password-file FILE, or log in with `denwaban login`"
        }
        RefusalCode::RoleNotPermitted => {
            "this act is not part of the role; let a person of a permitted role do it"
        }
        RefusalCode::RoleEnded => {
            "whoever was withdrawn from a role has none of its rights; a manager is appointed anew with `people appoint`, others are taken in anew with `people add`"
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
        RefusalCode::AudioAwaited => {
            "the sound of this recording is still being brought back from a backup and is not lost; ask the administrator how far `denwaban restore --audio` is, and try again later"
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
            "this needs the manager's decision; about a recording let another person decide (requests decide, holds decide) and name it by --case or --decision, about months of the trail and mirrors of the keys say the decision with --decision"
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
            "nobody decides about oneself, or what one has asked for; let another do it, and where there is nobody else appoint or take in another first (`people appoint`, `people add`)"
        }
        RefusalCode::RoleNotGrantable => {
            "this role is not yours to give or to end; roles that open content are the manager's, auditors and administrators the administrator's, and managers and deputies are named by the sitting manager (`people appoint`) from the city's staff, neither contractors nor auditors nor administrators"
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
            "nothing more is handed to a contractor, or under a request or to a key, whose certificates of destruction are overdue; record them with `handover destroyed`"
        }
        RefusalCode::CopyOverdue => {
            "nobody makes a copy who still has one that must be gone; see `copies list`, and record its destruction with `copies destroyed`"
        }
        RefusalCode::CopyPresent => {
            "the file of the copy still lies where it was written, or is being written, so nothing says that it is gone; remove it from its place in `copies list`, under every name, wait 30 minutes where writing broke off, and record it again"
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
            "what says no basis, or a request without requester, document or recordings, is not taken; give the basis (--basis, of a hold --ground, of a waived notice --means or --law, of a measure one that the policy names), --requester, --document and --recording"
        }
        RefusalCode::ParticularsRequired => {
            "what its record is to hold is not said (medium, receiver, course, kind of attestation, measure); say it with --medium, --receiver, --course, --kind or --measure"
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
