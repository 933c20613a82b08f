//! `denwaban keys`: how the keys stand, a new root, mirrors, and the way back when a root is lost.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use rules::jst_rfc3339;
use serde::Serialize;
use storage::{
    Catalogue, Disk, FolderRoots, Group, GroupStatus, KeyStatus, OsDisk, Standing, Vault,
};
use tokio::runtime;

use super::{
    Exit, Form, Person, Place, Terminal,
    audit::{ask_of_trail, shown_keys},
    recordings::with_office,
};
use crate::{
    config::Config,
    export::Request,
    office::{KeysDone, KeysRequest, TrailRequest},
    said::{Said, Words},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 鍵の状態 / the root's generation, the mirrors, and the groups that have keys
    Status(Place),
    /// 鍵の根を新しくします。古い鍵束の写しでは何も開けなくなります / a new root, under which old key stores open nothing
    Rotate(Rotate),
    /// 鍵の写しをすべて書きます（新しいボリュームにも）。--ended は、設定から外した写しを待つのをやめる決定です / write every mirror, on a volume that was replaced too; --ended: by decision, wait no more for one that the configuration names no more
    Mirror(Mirror),
    /// 鍵の根か鍵束を失ったとき、写しから作り直します / make root and key store anew from a mirror, when either is lost
    Recover(Recover),
    /// 署名を検証するための公開鍵（新しいものが最後）/ the public keys that verify what was signed, the newest last
    Public(Place),
}

#[derive(Debug, Args)]
pub(super) struct Mirror {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 設定から外した写し（keys status の名前）/ a mirror that was struck from the configuration, as keys status names it
    #[arg(long, value_name = "NAME")]
    ended: Option<PathBuf>,
    /// 終了の決定（--ended に必須、封印して保存）/ the decision; required by --ended, and kept sealed
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        requires = "ended"
    )]
    decision: Said<Words>,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 署名の鍵を新しくします。古い鍵が新しい鍵に署名します / the key that signs instead, named by the old one
    #[arg(long)]
    signing: bool,
}

#[derive(Debug, Args)]
pub(super) struct Recover {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 写しのフォルダ / the mirror's folder
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

pub(super) fn keys(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::Status(place) => status(place, out),
        Command::Public(place) => public(place, out),
        Command::Rotate(arguments) if arguments.signing => {
            let config = Arc::new(arguments.place.load(out)?);
            let proof = arguments.person.proof(&config.layout(), out)?;
            ask_of_trail(&config, TrailRequest::ChangeKey, proof, out)?;
            public(&arguments.place, out)
        }
        Command::Rotate(Rotate { place, person, .. }) => {
            ask(place, person, KeysRequest::Rotate, out)
        }
        Command::Mirror(Mirror {
            place,
            person,
            ended,
            decision,
        }) => {
            let request = match ended {
                None => KeysRequest::Mirror,
                Some(mirror) => KeysRequest::EndMirror {
                    mirror: mirror.clone(),
                    decision: decision.clone(),
                },
            };
            ask(place, person, request, out)
        }
        Command::Recover(arguments) => {
            let from = std::path::absolute(&arguments.from).map_err(|_| Exit::Usage)?;
            let request = KeysRequest::Recover { from };
            ask(&arguments.place, &arguments.person, request, out)
        }
    }
}

fn public(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let layout = place.load(out)?.layout();
    shown_keys(&layout, out)?.iter().try_for_each(|key| {
        let key = key.to_string();
        out.result(&serde_json::json!({ "key": key }), || key.clone())
    })
}

fn ask(place: &Place, person: &Person, ask: KeysRequest, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let proof = person.proof(&config.layout(), out)?;
    let request = Request::Keys { ask, proof };
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    let done: KeysDone = out.settle(answer)?;
    let behind = done.behind.iter();
    let behind = behind.map(|(folder, why)| serde_json::json!({ "folder": folder, "why": why }));
    let object = serde_json::json!({
        "generation": done.generation,
        "behind": behind.collect::<Vec<_>>(),
    });
    out.result(&object, || {
        format!("鍵の根の世代 / root generation: {}", done.generation)
    })?;
    for (folder, why) in &done.behind {
        out.complain(&format!(
            "写しが最新ではありません / incomplete: {}\n{why}",
            folder.display()
        ));
    }
    match done.behind.is_empty() {
        true => Ok(()),
        false => Err(Exit::Unavailable),
    }
}

/// The object of `--json`.
#[derive(Serialize)]
struct Shown {
    provider: &'static str,
    generation: u32,
    created_at: Option<String>,
    mirrors: Vec<ShownMirror>,
    groups: Vec<ShownGroup>,
}

#[derive(Serialize)]
struct ShownMirror {
    folder: String,
    /// `current` or `behind`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Serialize)]
struct ShownGroup {
    id: String,
    kind: &'static str,
    generation: u32,
    recordings: u64,
    /// When it is destroyed; a case and a register have no day for it.
    expires_at: Option<String>,
}

fn status(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let config = place.load(out)?;
    let shown = look(&config).map_err(|fault| {
        out.complain(&format!("鍵の状態を読めません。\n{fault}"));
        Exit::Unavailable
    })?;
    if out.form == Form::Json {
        return out.object(&shown);
    }
    let made = shown.created_at.as_deref().unwrap_or("-");
    out.line(&format!(
        "鍵の根 / root: {} 世代/generation={} 作成/made={made}",
        shown.provider, shown.generation
    ))?;
    for mirror in &shown.mirrors {
        let state = match mirror.state {
            "current" => "最新 current",
            _ => "未反映 behind",
        };
        out.line(&format!("写し / mirror: {} {state}", mirror.folder))?;
    }
    for group in &shown.groups {
        out.line(&format!(
            "{} 世代/generation={} 録音/recordings={} 期日/expires={}",
            group.id,
            group.generation,
            group.recordings,
            group.expires_at.as_deref().unwrap_or("-")
        ))?;
    }
    Ok(())
}

fn look(config: &Config) -> Result<Shown, String> {
    let layout = config.layout();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let status = KeyStatus::read(&disk, &layout).map_err(|fault| fault.to_string())?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| fault.to_string())?;
    let counts = runtime.block_on(async {
        let mut catalogue = Catalogue::open_read_only(&layout).await?;
        catalogue.recordings_by_day().await
    });
    let counts = counts.map_err(|fault| fault.to_string())?;
    let vault = Vault::new(disk, &layout, config.retention);
    let group = |status: &GroupStatus| {
        let (recordings, expires_at) = match status.group {
            Group::Day(day) => {
                let fixed = vault.fixed_expiry(day).ok().flatten();
                let expires_at = fixed.unwrap_or_else(|| vault.policy_expiry(day));
                (counts.get(&day).copied().unwrap_or(0), Some(expires_at))
            }
            Group::Case(_) | Group::Register(_) => (status.held, None),
        };
        ShownGroup {
            id: status.group.to_string(),
            kind: status.group.kind(),
            generation: status.generation,
            recordings,
            expires_at: expires_at.map(jst_rfc3339),
        }
    };
    let mirror = |(folder, standing): &(PathBuf, Standing)| ShownMirror {
        folder: folder.display().to_string(),
        state: match standing {
            Standing::Current => "current",
            Standing::Behind(_) => "behind",
        },
        why: match standing {
            Standing::Current => None,
            Standing::Behind(fault) => Some(fault.to_string()),
        },
    };
    Ok(Shown {
        provider: FolderRoots::NAME,
        generation: status.generation,
        created_at: status.rooted_at.map(jst_rfc3339 as fn(Timestamp) -> String),
        mirrors: status.mirrors.iter().map(mirror).collect(),
        groups: status.groups.iter().map(group).collect(),
    })
}
