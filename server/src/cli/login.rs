//! `denwaban login`, `logout`, `password`, `totp`: how a person is proved, and what of it the person changes.

use std::{fs, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use rules::StaffId;
use storage::Layout;

use super::{
    Exit, Person, Place, Terminal,
    people::{issued, send, told},
    read_password,
};
use crate::{
    duty::Message,
    people::{AccountAsk, Ask, RegisterAsk, Told},
    proof::{self, Proof, Secret},
};

#[derive(Debug, Args)]
pub(super) struct Login {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Password {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 新しいパスワードのファイル（1行目）/ the file whose first line is the new password
    #[arg(long, value_name = "FILE", required_unless_present = "issue_to")]
    new_password_file: Option<PathBuf>,
    /// この職員に仮のパスワードを発行 / issue a first password to this person
    #[arg(long = "for", value_name = "ID", conflicts_with = "new_password_file")]
    issue_to: Option<StaffId>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Totp {
    /// 確認コードの登録を始めます。confirm するまでは今までどおりです / offer one-time codes; nothing changes until they are confirmed
    Enrol(Enrol),
    /// 認証アプリの6桁を入れて登録を終えます。以後 --totp が必要です / put them in force by one of them; from then on --totp is asked for
    Confirm(Confirm),
}

#[derive(Debug, Args)]
pub(super) struct Enrol {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Confirm {
    /// 新しい確認コード6桁（15分以内）/ the six digits of the new codes, within 15 minutes
    code: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

pub(super) fn login(arguments: &Login, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let layout = config.layout();
    let proof = arguments.person.proof(&layout, out)?;
    match send(&config, Ask::Account(AccountAsk::Login), proof, out)? {
        Told::Session { person, token } => {
            keep(&layout, &token, out)?;
            out.result(&serde_json::json!({ "id": person }), || {
                format!("ログインしました / logged in: {person}")
            })
        }
        other => told(&other, out),
    }
}

fn keep(layout: &Layout, token: &Secret, out: &mut Terminal) -> Result<(), Exit> {
    let file = proof::session_file(layout);
    let kept = file
        .ok_or_else(|| std::io::Error::other("neither XDG_RUNTIME_DIR nor HOME names a folder"));
    kept.and_then(|file| proof::keep_session(&file, token))
        .map_err(|fault| {
            out.message(&Message::new(
                "ログインの控えを保存できません。",
                format!("the login cannot be kept ({fault}); set HOME to a folder of your own"),
            ));
            Exit::Failed
        })
}

pub(super) fn logout(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let layout = config.layout();
    let file = proof::session_file(&layout);
    let token = file
        .as_deref()
        .and_then(|file| proof::read_password(file).ok());
    let proof = token.map_or(Proof::Nobody, Proof::Session);
    let ended = send(&config, Ask::Account(AccountAsk::Logout), proof, out)?;
    if let Some(file) = file {
        // One that is not there needs no removing; the session has ended either way.
        let _ = fs::remove_file(file);
    }
    told(&ended, out)
}

pub(super) fn password(arguments: &Password, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let proof = arguments.person.proof(&config.layout(), out)?;
    let ask = match (&arguments.issue_to, &arguments.new_password_file) {
        (Some(person), _) => Ask::Register(RegisterAsk::Issue {
            person: person.clone(),
        }),
        (None, Some(file)) => Ask::Account(AccountAsk::Renew {
            new: read_password(file, out)?,
        }),
        (None, None) => return Err(Exit::Usage),
    };
    match send(&config, ask, proof, out)? {
        Told::Issued { person, password } => issued(&person, &password, out),
        other => told(&other, out),
    }
}

pub(super) fn totp(command: &Totp, out: &mut Terminal) -> Result<(), Exit> {
    let (place, person, ask) = match command {
        Totp::Enrol(arguments) => (&arguments.place, &arguments.person, RegisterAsk::EnrolTotp),
        Totp::Confirm(arguments) => {
            let code = Secret::new(arguments.code.as_str());
            let ask = RegisterAsk::ConfirmTotp { code };
            (&arguments.place, &arguments.person, ask)
        }
    };
    let config = Arc::new(place.load(out)?);
    let proof = person.proof(&config.layout(), out)?;
    let ask = Ask::Register(ask);
    match send(&config, ask, proof, out)? {
        Told::Totp { person, secret } => {
            let secret = secret.text();
            let uri = format!("otpauth://totp/denwaban:{person}?secret={secret}&issuer=denwaban");
            let object = serde_json::json!({ "id": person, "secret": secret, "uri": uri });
            out.result(&object, || {
                format!(
                    "認証アプリに登録し、15分以内に totp confirm で確認してください（表示は一度だけ）/ enter it into an authenticator and confirm it within 15 minutes by totp confirm; it is shown once\n  {secret}\n  {uri}"
                )
            })
        }
        other => told(&other, out),
    }
}
