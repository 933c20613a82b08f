//! `denwaban dispose`: what is due, its destruction, and the certificate of it.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use rules::{RecordingId, jst_rfc3339};
use serde::Serialize;
use serde_json::json;
use storage::{DisposalRecord, OsDisk, Subject, verify_certificate};

use super::{Exit, Form, Person, Place, Terminal, recordings::with_office, signed::Signed};
use crate::{
    duty::Message,
    export::Request,
    office::{DisposeDone, DisposeRequest, Disposed},
    outside,
    said::{Said, Words},
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    // Both are given unless there is a subcommand, which has its own.
    #[command(flatten)]
    place: Option<Place>,
    #[command(flatten)]
    what: Option<What>,
    /// この時刻の予定（RFC 3339）/ what is due at that time
    #[arg(long, value_name = "TIME", requires = "plan")]
    at: Option<Timestamp>,
    /// 時計が正しいと判断した理由（管理責任者・代決者）/ why the clock is right, as the manager or a deputy says
    #[arg(long, value_name = "REASON", requires = "due")]
    confirm_clock: Option<Said<Words>>,
    /// 承認された請求の id（--one に必須、期日前の廃棄の決定）/ required by --one: the approved request by which a recording is disposed of before its day
    #[arg(long, value_name = "R", requires = "one")]
    decision: Option<String>,
    #[command(flatten)]
    person: Person,
}

/// What is destroyed. Nothing but what is due or decided: a day's expiry is fixed when it begins.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// 予定を表示します（何も廃棄しません）/ show what is due; nothing is destroyed
    #[arg(long)]
    plan: bool,
    /// 期限の来た日のすべて / every day that is due
    #[arg(long)]
    due: bool,
    /// 決定のある録音1件 / one recording before its day, by decision
    #[arg(long, value_name = "ID")]
    one: Option<RecordingId>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 廃棄証明書を書き出します / write a certificate of disposal to a file
    Certificate(Certificate),
    /// 廃棄証明書を確認したことを記録します（管理責任者）/ the manager has seen the certificate
    Acknowledge(Acknowledge),
    /// 廃棄証明書を検証します（設定は不要）/ verify a certificate; it needs no configuration
    Verify(Signed),
}

#[derive(Debug, Args)]
struct Certificate {
    /// 日 2026-11-24、または録音の id / a day, or a recording that was disposed of by itself
    #[arg(value_name = "DAY")]
    subject: Subject,
    #[command(flatten)]
    place: Place,
    /// 書き出すファイル / the file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Acknowledge {
    /// 日 2026-11-24、または録音の id / a day, or a recording that was disposed of by itself
    #[arg(value_name = "DAY")]
    subject: Subject,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

pub(super) fn dispose(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    match &arguments.command {
        Some(Command::Certificate(arguments)) => certificate(arguments, out),
        Some(Command::Acknowledge(arguments)) => acknowledge(arguments, out),
        Some(Command::Verify(arguments)) => verify(arguments, out),
        None => match (&arguments.place, &arguments.what) {
            (Some(place), Some(what)) => destroy(place, what, arguments, out),
            // clap has asked for both.
            (None, _) | (_, None) => Err(Exit::Usage),
        },
    }
}

fn destroy(
    place: &Place,
    what: &What,
    arguments: &Arguments,
    out: &mut Terminal,
) -> Result<(), Exit> {
    let layout = place.load(out)?.layout();
    let proof = arguments.person.proof(&layout, out)?;
    let request = match what {
        What { plan: true, .. } => DisposeRequest::Plan { at: arguments.at },
        What {
            one: Some(recording),
            ..
        } => DisposeRequest::One {
            proof,
            recording: *recording,
            decision: arguments.decision.clone(),
        },
        _ => DisposeRequest::Due {
            proof,
            confirm_clock: arguments.confirm_clock.clone(),
        },
    };
    match ask(place, request, out)? {
        DisposeDone::Planned(days) => {
            if days.is_empty() && out.form == Form::Text {
                return out.line("期限の来た録音はありません / nothing is due");
            }
            for day in days {
                let expires_at = jst_rfc3339(day.expires_at);
                let line = ShownDay {
                    day: day.day.to_string(),
                    expires_at,
                    due: day.due,
                    held: day.held,
                    failed: day.failed,
                };
                out.result(&line, || line.to_text())?;
            }
            Ok(())
        }
        DisposeDone::Disposed(days) => show(&days, out),
        DisposeDone::DisposedOne { recording, pending } => show_one(recording, &pending, out),
        DisposeDone::Acknowledged => Ok(()),
    }
}

/// A line of `--plan --json`.
#[derive(Serialize)]
struct ShownDay {
    day: String,
    expires_at: String,
    due: u64,
    held: u64,
    failed: u64,
}

impl ShownDay {
    fn to_text(&self) -> String {
        let ShownDay {
            day,
            expires_at,
            due,
            held,
            failed,
        } = self;
        format!(
            "{day} 期日/expires={expires_at} 対象/due={due} 保全/held={held} 失敗/failed={failed}"
        )
    }
}

fn show_one(recording: RecordingId, pending: &[String], out: &mut Terminal) -> Result<(), Exit> {
    let state = match pending.is_empty() {
        true => "complete",
        false => "incomplete",
    };
    let object = json!({ "id": recording, "state": state, "pending": pending });
    out.result(&object, || match pending.is_empty() {
        true => format!("廃棄しました / disposed: {recording} 完了/complete"),
        false => format!(
            "廃棄しました / disposed: {recording} 未完了/incomplete: {}",
            pending.join(", ")
        ),
    })?;
    match pending.is_empty() {
        true => Ok(()),
        false => Err(Exit::Unavailable),
    }
}

fn show(days: &[Disposed], out: &mut Terminal) -> Result<(), Exit> {
    if days.is_empty() && out.form == Form::Text {
        return out.line("期限の来た録音はありません / nothing is due");
    }
    for day in days {
        out.result(day, || shown_disposal(day))?;
    }
    match days.iter().all(|day| day.pending.is_empty()) {
        true => Ok(()),
        false => Err(Exit::Unavailable),
    }
}

fn shown_disposal(day: &Disposed) -> String {
    format!(
        "廃棄しました / disposed: {} 対象/due={} 廃棄/disposed={} 保全/held={} 失敗/failed={} {}",
        day.day,
        day.due,
        day.disposed,
        day.held,
        day.failed,
        match day.pending.is_empty() {
            true => "完了/complete".to_owned(),
            false => format!("未完了/incomplete: {}", day.pending.join(", ")),
        }
    )
}

fn certificate(arguments: &Certificate, out: &mut Terminal) -> Result<(), Exit> {
    let config = arguments.place.load(out)?;
    let record = DisposalRecord::read(&OsDisk, &config.layout(), arguments.subject);
    let record = record.map_err(|fault| {
        out.complain(&format!("廃棄の記録を読めません。\n{fault}"));
        Exit::Unavailable
    })?;
    let note = record.as_ref().and_then(DisposalRecord::certificate);
    let Some(note) = note else {
        let subject = &arguments.subject;
        out.message(&Message::not_found(
            format!("{subject} の廃棄証明書はありません。"),
            format!("there is no certificate for {subject}; see dispose --plan and dispose --due"),
        ));
        return Err(Exit::Failed);
    };
    if let Err(message) = outside::write_text(&config.layout(), &arguments.out, note) {
        out.message(&message);
        return Err(Exit::Failed);
    }
    let object = json!({ "subject": arguments.subject, "file": arguments.out });
    out.result(&object, || {
        format!("書き出しました / written: {}", arguments.out.display())
    })
}

fn acknowledge(arguments: &Acknowledge, out: &mut Terminal) -> Result<(), Exit> {
    let layout = arguments.place.load(out)?.layout();
    let request = DisposeRequest::Acknowledge {
        proof: arguments.person.proof(&layout, out)?,
        subject: arguments.subject,
    };
    ask(&arguments.place, request, out)?;
    let subject = arguments.subject;
    let object = json!({ "subject": subject, "state": "acknowledged" });
    out.result(&object, || {
        format!("確認を記録しました / acknowledged: {subject}")
    })
}

fn verify(arguments: &Signed, out: &mut Terminal) -> Result<(), Exit> {
    let (note, keys) = arguments.read(out)?;
    match verify_certificate(&note, &keys) {
        Ok(certificate) => {
            let (day, counts) = (certificate.day, certificate.counts);
            let completed_at = jst_rfc3339(certificate.completed_at);
            let (due, disposed) = (counts.due(), counts.disposed());
            let (held, failed) = (counts.held(), counts.failed());
            let object = json!({
                "day": day,
                "completed_at": completed_at,
                "due": due,
                "disposed": disposed,
                "held": held,
                "failed": failed,
                "mirrors_ended": certificate.mirrors_ended,
            });
            let ended = match certificate.mirrors_ended {
                0 => String::new(),
                mirrors => format!(
                    "（決定で終了した鍵の写し {mirrors} の破棄は確認していません / mirrors ended by decision, whose keys nobody saw destroyed: {mirrors}）"
                ),
            };
            out.result(&object, || {
                format!(
                    "正しい廃棄証明書です / genuine: {day} 完了/completed={completed_at} 対象/due={due} 廃棄/disposed={disposed} 保全/held={held} 失敗/failed={failed}{ended}"
                )
            })
        }
        Err(fault) => {
            out.complain(&format!(
                "廃棄証明書を検証できません。\nthe certificate proves nothing: {fault}"
            ));
            Err(Exit::Unverified)
        }
    }
}

fn ask(place: &Place, request: DisposeRequest, out: &mut Terminal) -> Result<DisposeDone, Exit> {
    let config = Arc::new(place.load(out)?);
    let request = Request::Dispose(request);
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    out.settle(answer)
}
