//! `denwaban requests`: what somebody asks of recordings by statute, by their own right or because of an unreasonable demand, and what was decided.

use clap::{Args, Subcommand};
use rules::{CaseId, RecordingId, RequestKind, Verdict};

use super::{
    Exit, Person, Place, Terminal,
    people::{Own, ask_as},
};
use crate::{
    cases::{CaseView, RequestAsk, WishedRequest},
    people::RegisterAsk,
    said::{Said, Words},
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 請求を受け付け、その id を表示します / open a request; its id is the case
    Open(Open),
    /// 請求について決定します（受け付けた人以外）/ decide a request; never by whoever opened it
    Decide(Decide),
    /// 利用停止：対象の録音をこの請求以外に使わせません / suspend every other use of its recordings
    Suspend(About),
    /// 請求の一覧 / the requests of the own unit
    List(Own),
}

#[derive(Debug, Args)]
pub(super) struct Open {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 種類 / statute 法令・条例, subject 開示請求等, unreasonable 不当要求行為
    #[arg(long)]
    kind: RequestKind,
    /// 根拠（封印して保存）/ on what it rests; it is kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    basis: Said<Words>,
    /// 請求者（封印して保存）/ who asks; it is kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    requester: Said<Words>,
    /// 文書番号（封印して保存）/ the document in which that stands; it is kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    document: Said<Words>,
    /// 対象の録音（複数可）/ a recording that it is about; several may follow
    #[arg(long = "recording", value_name = "ID", num_args = 1..)]
    recordings: Vec<RecordingId>,
}

/// Yes or no.
#[derive(Debug, Args)]
pub(super) struct Verdicts {
    /// 承認します / say yes
    #[arg(long, required_unless_present = "reject")]
    approve: bool,
    /// 承認しません / say no
    #[arg(long, conflicts_with = "approve")]
    reject: bool,
}

impl Verdicts {
    pub(super) fn verdict(&self) -> Verdict {
        match self.approve {
            true => Verdict::Approved,
            false => Verdict::Rejected,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// 請求の id / which request
    id: CaseId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    verdict: Verdicts,
    /// 理由（必須、封印して保存）/ why; required, and kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: Said<Words>,
}

#[derive(Debug, Args)]
pub(super) struct About {
    /// 請求の id / which request
    id: CaseId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

pub(super) fn requests(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    let (place, person, ask) = match command {
        Command::Open(arguments) => {
            let wish = WishedRequest {
                kind: arguments.kind,
                basis: arguments.basis,
                requester: arguments.requester,
                document: arguments.document,
                recordings: arguments.recordings,
            };
            (arguments.place, arguments.person, RequestAsk::Open(wish))
        }
        Command::Decide(arguments) => {
            let ask = RequestAsk::Decide {
                case: arguments.id,
                verdict: arguments.verdict.verdict(),
                reason: arguments.reason,
            };
            (arguments.place, arguments.person, ask)
        }
        Command::Suspend(about) => {
            let ask = RequestAsk::Suspend { case: about.id };
            (about.place, about.person, ask)
        }
        Command::List(own) => (own.place, own.person, RequestAsk::List),
    };
    ask_as(&place, &person, RegisterAsk::Request(ask), out)
}

/// A request as people read it.
pub(super) fn shown(case: &CaseView) -> String {
    let text = |label: &str, text: &Option<Wording>| {
        text.as_ref()
            .map_or_else(String::new, |text| format!("\n  {label}: {text}"))
    };
    let decided = case.decided_by.as_ref().map_or_else(String::new, |by| {
        let at = case.decided_at.as_deref().unwrap_or_default();
        format!(" 決定/decided {at} {by}")
    });
    let recordings: Vec<String> = case.recordings.iter().map(ToString::to_string).collect();
    format!(
        "{} {} {} {} 受付/opened {} {}{decided}{}{}{}{}\n  録音/recordings: {}",
        case.id,
        case.kind,
        case.state,
        case.unit,
        case.opened_at,
        case.opened_by,
        text("根拠/basis", &case.texts.basis),
        text("請求者/requester", &case.texts.requester),
        text("文書/document", &case.texts.document),
        text("理由/reason", &case.texts.reason),
        recordings.join(" "),
    )
}
