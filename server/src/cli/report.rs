//! `denwaban report`: what the manager looks at once a month, and signs (K-27).

use std::sync::Arc;

use clap::{Args, Subcommand};
use rules::{JstMonth, StaffId, SupervisionLine, jst_rfc3339};

use super::{Exit, Person, Place, Terminal, recordings::with_office};
use crate::{
    export::Request,
    report::{self, ReportRequest},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 監督報告：利用・拒否・夜間と休日・書き出し・緊急時・期限超過 / accesses, denials, night and weekend use, exports, emergencies, what is overdue
    Supervision(Month),
}

#[derive(Debug, Args)]
pub(super) struct Month {
    #[command(flatten)]
    place: Place,
    /// 月 / the month
    #[arg(long, value_name = "YYYY-MM")]
    month: JstMonth,
    /// 確認したことを署名として記録します（管理責任者、終わった月だけ）/ sign it off, as manager, once the month is over
    #[arg(long)]
    sign: bool,
    #[command(flatten)]
    person: Person,
}

pub(super) fn report(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    let Command::Supervision(arguments) = command;
    let config = Arc::new(arguments.place.load(out)?);
    let month = arguments.month;
    let proof = arguments.person.proof(&config.layout(), out)?;
    let request = Request::Report(match arguments.sign {
        true => ReportRequest::Sign { month, proof },
        false => ReportRequest::Supervision { month, proof },
    });
    let mut written = Ok(());
    let answer = with_office(&config, &request, |conversation| {
        report::receive(conversation, |line| {
            if written.is_ok() {
                written = out.result(&line, || text(&line));
            }
        })
    });
    out.settle(answer)?;
    written
}

fn name(who: Option<&StaffId>) -> &str {
    who.map_or("（氏名なし）/ nobody by name", StaffId::as_str)
}

fn text(line: &SupervisionLine) -> String {
    match line {
        SupervisionLine::Access {
            who,
            action,
            purpose,
            count,
        } => format!(
            "利用 / access          {} {} {purpose} {count}",
            name(who.as_ref()),
            action.code()
        ),
        SupervisionLine::OutsideHours {
            who,
            night,
            weekend,
        } => format!(
            "夜間・休日 / outside    {} 夜間 night {night} 休日 weekend {weekend}",
            name(who.as_ref())
        ),
        SupervisionLine::Export { who, count } => {
            format!("書き出し / exports      {} {count}", name(who.as_ref()))
        }
        SupervisionLine::Package {
            at,
            who,
            hand_over,
            recordings,
        } => format!(
            "包み / package         {} {hand_over} 録音 recordings {recordings} {}",
            name(who.as_ref()),
            jst_rfc3339(*at)
        ),
        SupervisionLine::Denial { who, code, count } => format!(
            "拒否 / denied          {} {} {count}",
            name(who.as_ref()),
            code.code()
        ),
        SupervisionLine::Emergencies { who, count } => {
            format!("緊急時 / emergencies    {} {count}", name(who.as_ref()))
        }
        SupervisionLine::Recovered { person } => {
            format!("root による任命 / recovered {person}")
        }
        SupervisionLine::Alarm { code, count } => {
            format!("警報 / alarms          {} {count}", code.code())
        }
        SupervisionLine::Overdue { copies, holds } => {
            format!("期限を過ぎた複写・保全 / overdue: copies {copies}, holds {holds}")
        }
        SupervisionLine::RecoveryOpen { person } => {
            format!("監査が未確認の任命 / recovery not acknowledged {person}")
        }
        SupervisionLine::SignedOff { by, report } => {
            format!("署名 / signed off      {} {report}", name(by.as_ref()))
        }
    }
}
