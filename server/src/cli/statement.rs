//! `denwaban statement`: what the public is told of a month, signed; and its verification by anybody.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use rules::{Cell, JstMonth};
use serde::Serialize;
use storage::verify_statement;

use super::{Exit, Person, Place, Terminal, recordings::with_office, signed::Signed};
use crate::{duty::Message, export::Request, outside, report::ReportRequest};

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
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
struct What {
    /// 月 / the month
    #[arg(long, value_name = "YYYY-MM")]
    month: JstMonth,
    /// 書き出すファイル / the file; an existing one is never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 公表文を検証します（設定は不要）/ verify a statement; it needs no configuration
    Verify(Signed),
}

pub(super) fn statement(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    match (&arguments.command, &arguments.place, &arguments.what) {
        (Some(Command::Verify(arguments)), ..) => verify(arguments, out),
        (None, Some(place), Some(what)) => publish(place, what, &arguments.person, out),
        // clap has asked for both.
        (None, ..) => Err(Exit::Usage),
    }
}

fn publish(place: &Place, what: &What, person: &Person, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let request = Request::Report(ReportRequest::Statement {
        month: what.month,
        proof: person.proof(&config.layout(), out)?,
    });
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    let note: String = out.settle(answer)?;
    if let Err(message) = outside::write_text(&config.layout(), &what.out, &note) {
        out.message(&message);
        return Err(Exit::Failed);
    }
    let object = serde_json::json!({ "month": what.month, "file": what.out });
    out.result(&object, || {
        format!("書き出しました / written: {}", what.out.display())
    })
}

/// The object of `verify --json`.
#[derive(Serialize)]
struct Shown {
    month: JstMonth,
    lines: BTreeMap<String, ShownCell>,
}

/// A number; `null` for a suppressed one; `{"at_least":N}` for a sum with a suppressed part.
#[derive(Serialize)]
#[serde(untagged)]
enum ShownCell {
    Count(Option<u64>),
    Sum { at_least: u64 },
}

fn verify(arguments: &Signed, out: &mut Terminal) -> Result<(), Exit> {
    let (note, keys) = arguments.read(out)?;
    let published = verify_statement(&note, &keys).map_err(|fault| {
        out.message(&Message::new("公表文を検証できません。", fault.to_string()));
        Exit::Unverified
    })?;
    let lines = published.lines.into_iter().map(|(name, cell)| {
        let cell = match cell {
            Cell::Count(count) => ShownCell::Count(Some(count)),
            Cell::Suppressed => ShownCell::Count(None),
            Cell::AtLeast(at_least) => ShownCell::Sum { at_least },
        };
        (name, cell)
    });
    let shown = Shown {
        month: published.month,
        lines: lines.collect(),
    };
    out.result(&shown, || {
        format!("正しい署名です / the signature is good: {}", shown.month)
    })
}
