//! `denwaban backup` and `denwaban restore`: rows, audio and trail out and back; the root and the keys never.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use jiff::Timestamp;
use rules::{Action, Actor, AuditDraft, AuditEvent, StaffId};
use storage::{AuditTrail, Carried, Disk, Duty, Keys, Lock, OsDisk, Restored, Vault};
use tokio::runtime;

use super::{
    Exit, Person, Place, Terminal,
    recordings::{allowed, with_office},
};
use crate::{config::Config, export::Request, unix};

#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 新しいフォルダ / a folder that does not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// backup が作ったフォルダ / the folder that backup made
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

pub(super) fn backup(arguments: &Backup, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let runtime = a_runtime()?;
    let proof = arguments.person.proof(&config.layout(), out)?;
    let request = Request::BackUp { proof };
    let leave = with_office(&config, &request, |conversation| {
        conversation.answer::<()>()
    });
    out.settle(leave)?;
    let made = runtime.block_on(storage::back_up(&config.layout(), &arguments.out));
    let Carried { rows, files, .. } = made.map_err(|fault| {
        out.complain(&format!("バックアップできません。\n{fault}"));
        Exit::Unavailable
    })?;
    out.line(&format!(
        "バックアップしました（鍵は含みません）/ backed up, without any key: {} 行/rows={rows} 音声/files={files}",
        arguments.out.display()
    ))
}

pub(super) fn restore(arguments: &Restore, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let proof = arguments.person.proof(&config.layout(), out)?;
    let person = allowed(&config, Action::Restore, proof, out)?;
    let restored = bring_back(&config, arguments, person).map_err(|fault| {
        out.complain(&format!("復元できません。\n{fault}"));
        Exit::Unavailable
    })?;
    let Restored { carried, left } = restored;
    out.line(&format!(
        "復元しました / restored: 行/rows={} 音声/files={} 鍵がなく廃棄/purged={}",
        carried.rows, carried.files, carried.purged
    ))?;
    for (day, fault) in &left {
        out.complain(&format!(
            "{day} は最後まで復元できませんでした。原因を除いて、もう一度復元してください。\n{day} is not restored to its end: {fault}; mend that and restore again"
        ));
    }
    match left.is_empty() {
        true => Ok(()),
        false => Err(Exit::Failed),
    }
}

/// Nobody listens or records before everything without a key is gone: both duties are held until then.
fn bring_back(
    config: &Config,
    arguments: &Restore,
    person: Option<StaffId>,
) -> Result<Restored, String> {
    let layout = config.layout();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    layout
        .make_folders(&OsDisk)
        .map_err(|fault| fault.to_string())?;
    let lock = |duty| Lock::acquire(&layout, duty).map_err(|fault| fault.to_string());
    let held = [lock(Duty::Calls)?, lock(Duty::Office)?];
    let keys = Keys::open(Arc::clone(&disk), &layout).map_err(|fault| fault.to_string())?;
    let vault = Vault::new(Arc::clone(&disk), &layout, config.retention);
    let runtime = a_runtime().map_err(|_| "the system gives no thread".to_owned())?;
    let restored = runtime
        .block_on(storage::restore(
            &layout,
            &vault,
            &keys,
            &arguments.from,
            &held,
        ))
        .map_err(|fault| fault.to_string())?;
    let mut trail =
        AuditTrail::open(disk, &layout, Duty::Office).map_err(|fault| fault.to_string())?;
    let actor = Actor::Person {
        unix_user: unix::own_user(),
        person,
    };
    let event = AuditEvent::Restored {
        rows: restored.carried.rows,
        files: restored.carried.files,
        purged: restored.carried.purged,
    };
    let written = trail.append(AuditDraft { actor, event }, Timestamp::now());
    // It is restored whether or not it can be written down, and whoever asked is told.
    written.map(|_| restored).map_err(|fault| fault.to_string())
}

fn a_runtime() -> Result<runtime::Runtime, Exit> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| Exit::Failed)
}
