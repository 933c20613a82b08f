//! `denwaban emergency`: declare, lift, look. Through the running server's socket, or under the calls' lock when none runs.

use std::{sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use rules::{Scope, jst_rfc3339};
use serde_json::json;
use storage::{Duty, OsDisk};

use super::{Exit, Form, Person, Place, Terminal};
use crate::{
    calls,
    clock::Clock,
    config::Config,
    duty::{Answer, Conversation, Message},
    emergency::{self, Declared, Request},
    said::fits_a_record,
    unix,
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 緊急時モードを宣言します。以後の通話は告知なしでつながります / declare it; from then on calls are connected without the notice
    Declare(Declare),
    /// 緊急時モードを解除します / lift it
    Lift(Lift),
    /// いまの緊急時モードを表示します / show what is declared
    Status(Place),
}

#[derive(Debug, Args)]
pub(super) struct Declare {
    #[command(flatten)]
    place: Place,
    /// 範囲: all または市の番号 / where it holds: all, or a number of the city
    #[arg(long, default_value = "all")]
    scope: Scope,
    /// 理由（必須）/ why; it must say something
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_parser = fits_a_record
    )]
    reason: String,
    /// 長さ: 30m, 4h など。省略時4時間、最長24時間 / how long; four hours unless given, at most 24
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    duration: Option<Duration>,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Lift {
    #[command(flatten)]
    place: Place,
    /// 範囲: all または市の番号。省略時はすべて / which one; every one unless given
    #[arg(long)]
    scope: Option<Scope>,
    #[command(flatten)]
    person: Person,
}

pub(super) fn emergency(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::Declare(arguments) => {
            let config = arguments.place.load(out)?;
            let request = Request::Declare {
                scope: arguments.scope.clone(),
                reason: arguments.reason.clone(),
                for_s: arguments.duration.map(|duration| duration.as_secs()),
                proof: arguments.person.proof(&config.layout(), out)?,
            };
            let declared = send(config, request, out)?;
            for emergency in &declared {
                tell(emergency, "緊急時モードを宣言しました / declared", out)?;
            }
            warn_unless_saved(&declared, out);
            Ok(())
        }
        Command::Lift(arguments) => {
            let config = arguments.place.load(out)?;
            let request = Request::Lift {
                scope: arguments.scope.clone(),
                proof: arguments.person.proof(&config.layout(), out)?,
            };
            let lifted = send(config, request, out)?;
            for emergency in &lifted {
                tell(emergency, "緊急時モードを解除しました / lifted", out)?;
            }
            warn_unless_saved(&lifted, out);
            Ok(())
        }
        Command::Status(place) => status(place, out),
    }
}

/// What was ordered holds; only a restart would forget it.
fn warn_unless_saved(emergencies: &[Declared], out: &mut Terminal) {
    if !emergencies.iter().all(|emergency| emergency.is_saved) {
        out.complain(
            "この変更はまだディスクに保存されていません。再起動すると失われます。ディスクを確認してください。\n\
             it holds, but its file is not written yet: a restart would forget it; look at the disk of the data folder",
        );
    }
}

fn send(config: Config, request: Request, out: &mut Terminal) -> Result<Vec<Declared>, Exit> {
    let asked = calls::Request::Emergency(request.clone());
    let answer = match Conversation::ask(&config.layout(), Duty::Calls, &asked) {
        Ok(Some(mut conversation)) => conversation.answer(),
        Ok(None) => Ok(emergency::do_alone(
            &Arc::new(config),
            request,
            &unix::own_user(),
        )),
        Err(fault) => Err(fault),
    };
    let answer = answer.unwrap_or_else(|fault| {
        Answer::Failed(Message::new(
            "動いている denwaban に接続できません。ソケットの権限を確認してください。",
            format!("the running denwaban cannot be asked ({fault}); check the mode and group of its socket"),
        ))
    });
    out.settle(answer)
}

fn status(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let config = place.load(out)?;
    let state = storage::load_emergency(&OsDisk, &config.layout()).map_err(|fault| {
        out.complain(&format!("緊急時モードの状態ファイルを読めません。\nthe state of the emergency cannot be read: {fault}"));
        Exit::Failed
    })?;
    let now = Clock::begin().now().wall;
    let in_force: Vec<_> = state
        .declared()
        .iter()
        .filter(|emergency| emergency.is_in_force(now))
        .collect();
    if in_force.is_empty() && out.form == Form::Text {
        return out.line("緊急時モードではありません / no emergency is in force");
    }
    for emergency in in_force {
        let declared = Declared::of(emergency, true);
        let reason = emergency.reason();
        let object = json!({
            "id": declared.id,
            "scope": declared.scope,
            "started": declared.started,
            "expires": declared.expires,
            "reason": reason,
        });
        out.result(&object, || {
            let described = describe(&declared);
            let reason = Wording::from(reason);
            format!("緊急時モードです / in force: {described}\n  理由 / reason: {reason}")
        })?;
    }
    Ok(())
}

fn tell(emergency: &Declared, done: &str, out: &mut Terminal) -> Result<(), Exit> {
    out.result(emergency, || format!("{done}: {}", describe(emergency)))
}

fn describe(emergency: &Declared) -> String {
    format!(
        "{} 範囲/scope={} {} から {} まで / until",
        emergency.id,
        emergency.scope,
        jst_rfc3339(emergency.started),
        jst_rfc3339(emergency.expires)
    )
}

/// Reads `90s`, `30m`, `4h` or `1d`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (count, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write a number and a unit: 90s, 30m, 4h or 1d".to_owned()),
    };
    let count: u64 = count
        .parse()
        .map_err(|_| "write a number and a unit: 90s, 30m, 4h or 1d".to_owned())?;
    count
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| "that is longer than time itself".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(parse_time("4h"), Ok(Duration::from_secs(14_400)));
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert!(parse_time("4").is_err());
        assert!(parse_time("h").is_err());
        assert!(parse_time("99999999999999999999d").is_err());
    }
}
