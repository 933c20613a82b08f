//! `denwaban holds`: recordings of a case that outlive their day, by decision and until they are let go.

use clap::{Args, Subcommand};
use rules::{CaseId, Ground, HoldId, JstDay, RecordingId};

use super::{
    Exit, Person, Place, Terminal,
    people::{Own, ask_as},
    requests::Verdicts,
};
use crate::{
    cases::{HoldAsk, HoldView, WishedHold},
    people::RegisterAsk,
    said::{Said, Words},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 保全を申し出て、その id を表示します / ask that recordings of a case are held
    Request(Request),
    /// 保全について決定します（申し出た人以外）/ decide a hold; never by whoever asked for it
    Decide(Decide),
    /// 保全を解除します。期限の過ぎた録音はただちに廃棄されます / let a hold go; what is past its day is disposed of at once
    Release(About),
    /// 保全の一覧 / the holds of the own unit
    List(Own),
}

#[derive(Debug, Args)]
pub(super) struct Request {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 請求（事案）の id（必須）/ for which request; required
    #[arg(long, value_name = "R", default_value = "", hide_default_value = true)]
    case: Said<CaseId>,
    /// 根拠（必須）: 不当要求行為の録音及び録画に関する要領の条、または法令 / article-5, article-6, article-7 or law; required
    #[arg(long, default_value = "", hide_default_value = true)]
    ground: Said<Ground>,
    /// 対象の録音（複数可、その請求の対象に限る）/ a recording of the request; several may follow
    #[arg(long = "recording", value_name = "ID", num_args = 1..)]
    recordings: Vec<RecordingId>,
    /// 見直しの日（指定がなければ90日後）/ when it is looked at again; 90 days from today unless given
    #[arg(long, value_name = "DATE")]
    review: Option<JstDay>,
    /// 期限（指定がなければ、また最長で1年後）/ its last day; a year from today unless given, and at most
    #[arg(long, value_name = "DATE")]
    until: Option<JstDay>,
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// 保全の id / which hold
    id: HoldId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    verdict: Verdicts,
    /// 理由（封印して保存）/ why; it is kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: Said<Words>,
}

#[derive(Debug, Args)]
pub(super) struct About {
    /// 保全の id / which hold
    id: HoldId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

pub(super) fn holds(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    let (place, person, ask) = match command {
        Command::Request(arguments) => {
            let wish = WishedHold {
                case: arguments.case,
                ground: arguments.ground,
                recordings: arguments.recordings,
                review: arguments.review,
                until: arguments.until,
            };
            (arguments.place, arguments.person, HoldAsk::Request(wish))
        }
        Command::Decide(arguments) => {
            let ask = HoldAsk::Decide {
                hold: arguments.id,
                verdict: arguments.verdict.verdict(),
                reason: arguments.reason,
            };
            (arguments.place, arguments.person, ask)
        }
        Command::Release(about) => {
            let ask = HoldAsk::Release { hold: about.id };
            (about.place, about.person, ask)
        }
        Command::List(own) => (own.place, own.person, HoldAsk::List),
    };
    ask_as(&place, &person, RegisterAsk::Hold(ask), out)
}

/// A hold as people read it.
pub(super) fn shown(hold: &HoldView) -> String {
    let step = |label: &str, at: &Option<String>, by: &Option<rules::StaffId>| match (at, by) {
        (Some(at), Some(by)) => format!(" {label} {at} {by}"),
        _ => String::new(),
    };
    let overdue = match hold.overdue.as_deref() {
        Some("review") => " 見直しの日を過ぎています/review overdue",
        Some(_) => " 期限を過ぎています。解除してください/past its end, let it go",
        None => "",
    };
    let reason = hold
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!("\n  理由/reason: {reason}"));
    let recordings: Vec<String> = hold.recordings.iter().map(ToString::to_string).collect();
    format!(
        "{} {} 請求/case={} 根拠/ground={} 見直し/review={} 期限/until={}{overdue} 申出/requested {} {}{}{}{reason}\n  録音/recordings: {}",
        hold.id,
        hold.state,
        hold.case,
        hold.ground,
        hold.review,
        hold.until,
        hold.requested_at,
        hold.requested_by,
        step("決定/decided", &hold.decided_at, &hold.decided_by),
        step("解除/released", &hold.released_at, &hold.released_by),
        recordings.join(" "),
    )
}
