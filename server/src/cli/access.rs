//! `denwaban access table`: who may do what in which state, as every request is judged.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rules::access_table;
use serde::Serialize;

use super::{Exit, Terminal};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 役割・操作・状態ごとの可否と、拒否の根拠 / each role, act and state, and the clause of each refusal
    Table(Table),
}

#[derive(Debug, Args)]
pub(super) struct Table {
    /// 他のコマンドと同じく指定できますが、結果は変わりません / accepted as everywhere; the table is the same for every configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Serialize)]
struct Line {
    role: &'static str,
    action: &'static str,
    state: &'static str,
    allow: bool,
    code: Option<&'static str>,
    clause: Option<&'static str>,
}

pub(super) fn access(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    let Command::Table(Table { config: _ }) = command;
    for line in access_table() {
        let refusal = line.verdict.as_ref().err();
        let line = Line {
            role: line.standing.code(),
            action: line.action.code(),
            state: line.state.code(),
            allow: refusal.is_none(),
            code: refusal.map(|refusal| refusal.code().code()),
            clause: refusal.map(|refusal| refusal.clause().japanese()),
        };
        out.result(&line, || {
            let verdict = match (line.code, line.clause) {
                (Some(code), Some(clause)) => format!("否 no  {code} {clause}"),
                _ => "可 yes".to_owned(),
            };
            format!(
                "{:<18} {:<21} {:<22} {verdict}",
                line.role, line.action, line.state
            )
        })?;
    }
    Ok(())
}
