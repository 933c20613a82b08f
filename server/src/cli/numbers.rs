//! `denwaban numbers`: how callers of each number are told, and the decisions that they are told otherwise (law 2).

use clap::{Args, Subcommand};
use rules::{DecisionId, JstDay, WaiverBasis, WaiverState};

use super::{
    Exit, Person, Place, Terminal,
    people::{Own, ask_as},
};
use crate::{
    numbers::{NumberAsk, NumberView, WishedWaiver},
    people::RegisterAsk,
    said::{Said, Words},
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 番号の告知を、他の手段または法令により省く決定をします / decide that callers are told by other means, or that a law excuses it
    Decide(Decide),
    /// 決定を見直して確認します。設定だけの決定もこれで管理責任者の決定になります / confirm a decision, that of the configuration too
    Confirm(Confirm),
    /// 決定を取り消します。次の通話から告知します / withdraw a decision; the next call is announced
    Withdraw(About),
    /// 番号ごとの告知と決定 / each number, how its callers are told, and the decisions
    List(Own),
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// 市の番号 / the city's number
    number: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    basis: Basis,
    /// 見直しの日（1年以内）。過ぎると再び告知します / when it is looked at again, within a year; past it the number announces
    #[arg(long, value_name = "DATE")]
    review: JstDay,
}

/// On what it rests: one of them.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Basis {
    /// 告知に代わる手段（封印して保存）/ by what other means callers are told beforehand; kept sealed
    #[arg(long, value_name = "TEXT")]
    means: Option<Said<Words>>,
    /// 告知を要しない法令（封印して保存）/ the law that excuses it; kept sealed
    #[arg(long, value_name = "TEXT")]
    law: Option<Said<Words>>,
}

#[derive(Debug, Args)]
pub(super) struct Confirm {
    /// 決定の id（numbers list）/ which decision
    id: DecisionId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 次の見直しの日（指定がなければ、また最長で1年後）/ the next review; a year from today unless given, and at most
    #[arg(long, value_name = "DATE")]
    review: Option<JstDay>,
}

#[derive(Debug, Args)]
pub(super) struct About {
    /// 決定の id（numbers list）/ which decision
    id: DecisionId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

pub(super) fn numbers(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    let (place, person, ask) = match command {
        Command::Decide(arguments) => {
            let (basis, text) = match arguments.basis {
                Basis {
                    means: Some(text), ..
                } => (WaiverBasis::Means, text),
                Basis { law, .. } => (WaiverBasis::Law, law.unwrap_or_default()),
            };
            let wish = WishedWaiver {
                number: arguments.number,
                basis,
                text,
                review: arguments.review,
            };
            (arguments.place, arguments.person, NumberAsk::Decide(wish))
        }
        Command::Confirm(arguments) => {
            let ask = NumberAsk::Confirm {
                decision: arguments.id,
                review: arguments.review,
            };
            (arguments.place, arguments.person, ask)
        }
        Command::Withdraw(about) => {
            let decision = about.id;
            (about.place, about.person, NumberAsk::Withdraw { decision })
        }
        Command::List(own) => (own.place, own.person, NumberAsk::List),
    };
    ask_as(&place, &person, RegisterAsk::Number(ask), out)
}

/// A number as people read it.
pub(super) fn shown(view: &NumberView) -> String {
    let notice = match view.notice.as_str() {
        "announced" => "告知する/announced",
        "waived" => "告知を省く/waived",
        _ => "告知せず録音しない/neither told nor recorded",
    };
    let line = format!("{} {} {} {notice}", view.number, view.unit, view.profile);
    let Some(decision) = &view.decision else {
        return line;
    };
    let state = match decision.state {
        WaiverState::Unconfirmed => "設定のみ・未確認/by configuration, unconfirmed",
        WaiverState::InForce => "有効/in force",
        WaiverState::Lapsed => "見直しの日を過ぎています/past its review",
        WaiverState::Superseded => "他の決定による/superseded",
        WaiverState::Withdrawn => "取消し/withdrawn",
    };
    let by = match (&decision.decided_by, &decision.unix_user) {
        (Some(person), _) => person.as_str(),
        (None, Some(unix_user)) => unix_user.as_str(),
        (None, None) => "",
    };
    let review = decision
        .review
        .map_or_else(String::new, |day| format!(" 見直し/review={day}"));
    let withdrawn = match (&decision.withdrawn_at, &decision.withdrawn_by) {
        (Some(at), Some(by)) => format!(" 取消し/withdrawn {at} {by}"),
        _ => String::new(),
    };
    format!(
        "{line}\n  {} {state} {} {by}{review}{withdrawn}\n  {}: {}",
        decision.id,
        decision.decided_on,
        decision.basis,
        decision
            .text
            .as_ref()
            .map_or_else(|| "-".to_owned(), Wording::to_string),
    )
}
