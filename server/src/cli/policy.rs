//! `denwaban policy`: what is in force, a new version of it, and decisions where the rules say nothing (K-30, K-31).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rules::{Label, jst_rfc3339};

use super::{Exit, Person, Place, Terminal, people::ask_as};
use crate::{
    office::PolicyView,
    outside,
    people::RegisterAsk,
    said::{Said, Words},
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 現在の方針（またはその版）を表示します / show the version in force, or another one
    Show(Show),
    /// 方針の新しい版を施行します。全員の確認が新たに必要になります / put a new version in force; everybody acknowledges it anew
    Apply(Apply),
    /// 要領第6条による措置の決定を記録します（拒否は変わりません）/ record a measure of article 6; it changes no refusal
    Decide(Decide),
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// 版 / the version; the one in force unless given
    #[arg(long = "of", value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// 方針のファイル（TOML）/ the policy as TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    #[command(flatten)]
    place: Place,
    /// 根拠（必須、方針の bases の一つ）/ on what it rests, one of the policy's bases; required
    #[arg(long, default_value = "", hide_default_value = true)]
    basis: Said<Label>,
    /// 措置（必須、封印して保存）/ the measure; required, and kept sealed
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    measure: Said<Words>,
    #[command(flatten)]
    person: Person,
}

pub(super) fn policy(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    let (place, person, ask) = match command {
        Command::Show(Show {
            place,
            version,
            person,
        }) => (place, person, RegisterAsk::ShowPolicy { version }),
        Command::Apply(Apply {
            file,
            place,
            person,
        }) => {
            let text = outside::read_text(&file).map_err(|fault| {
                out.message(&outside::unread(&file, &fault));
                Exit::Usage
            })?;
            (place, person, RegisterAsk::ApplyPolicy { text })
        }
        Command::Decide(Decide {
            place,
            basis,
            measure,
            person,
        }) => (place, person, RegisterAsk::DecideMeasure { basis, measure }),
    };
    ask_as(&place, &person, ask, out)
}

pub(super) fn text(view: &PolicyView) -> String {
    let mut lines = vec![match view.at {
        Some(at) => format!(
            "方針 第{}版 / policy version {0}、{} {}",
            view.version,
            jst_rfc3339(at),
            view.by.as_ref().map_or("", |by| by.as_str())
        ),
        None => format!(
            "方針 第{}版（製品の既定）/ policy version {0}, that of the program",
            view.version
        ),
    }];
    // A file of several lines, which whoever applied it wrote.
    lines.extend(view.text.as_ref().map(|text| text.as_str().to_owned()));
    lines.extend(view.measures.iter().map(|measure| {
        format!(
            "要領第6条の決定 / measure {} {} {} {}",
            measure.decision,
            jst_rfc3339(measure.at),
            measure.basis,
            measure
                .measure
                .as_ref()
                .map_or_else(String::new, Wording::to_string)
        )
    }));
    lines.join("\n")
}
