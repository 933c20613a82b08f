//! `denwaban backup` and `denwaban restore`: rows, audio and trail out and back; the root and the keys never.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;
use rules::{Action, Actor, AuditDraft, AuditEvent, JstDay, StaffId};
use serde::Serialize;
use storage::{
    AudioRestore, AuditTrail, BackupFault, Carried, Disk, Duty, Keys, Lock, OsDisk, Restored, Vault,
};
use tokio::runtime;

use super::{Exit, Person, Place, Terminal, recordings::with_office};
use crate::{
    config::Config,
    export::{AudioStep, Request},
    outside,
    proof::Proof,
    unix,
};

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
#[group(id = "step", required = true, multiple = true)]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// backup が作ったフォルダ。停止中に、記録と証跡を戻します / the folder that backup made: rows and trail, while nothing runs
    #[arg(long, value_name = "DIR", group = "step")]
    from: Option<PathBuf>,
    /// 続けて音声を戻します。運用中でも、途中からでもできます。--from は移したフォルダ / then the audio, while the service runs; goes on where it was cut off
    #[arg(long, group = "step")]
    audio: bool,
    /// 戻せない音声をあきらめ、欠けたものとして数えます / count what cannot be brought as missing
    #[arg(long, group = "step", conflicts_with_all = ["from", "audio"])]
    give_up: bool,
}

pub(super) fn backup(arguments: &Backup, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    if let Err(message) = outside::check_place(&config.layout(), &arguments.out) {
        out.message(&message);
        return Err(Exit::Failed);
    }
    let runtime = a_runtime()?;
    let proof = arguments.person.proof(&config.layout(), out)?;
    let request = Request::BackUp { proof };
    let leave = with_office(&config, &request, |conversation| {
        conversation.answer::<()>()
    });
    out.settle(leave)?;
    let made = runtime.block_on(storage::back_up(&config.layout(), &arguments.out));
    let Carried { rows, files } = made.map_err(|fault| {
        out.complain(&format!("バックアップできません。\n{fault}"));
        Exit::Unavailable
    })?;
    let folder = &arguments.out;
    let object = serde_json::json!({ "folder": folder, "rows": rows, "files": files });
    out.result(&object, || {
        format!(
            "バックアップしました（鍵は含みません）/ backed up, without any key: {} 行/rows={rows} 音声/files={files}",
            folder.display()
        )
    })
}

/// The three things that a restore is asked for.
enum Step<'line> {
    Rows(&'line Path),
    Audio(Option<&'line Path>),
    GiveUp,
}

impl Restore {
    fn step(&self) -> Step<'_> {
        match (&self.from, self.audio, self.give_up) {
            (_, _, true) => Step::GiveUp,
            (Some(from), false, false) => Step::Rows(from),
            (from, _, false) => Step::Audio(from.as_deref()),
        }
    }
}

pub(super) fn restore(arguments: &Restore, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let proof = arguments.person.proof(&config.layout(), out)?;
    match arguments.step() {
        Step::Rows(from) => restore_rows(&config, from, proof, out),
        Step::Audio(from) => restore_audio(&config, from, proof, out),
        Step::GiveUp => {
            allowed_audio(&config, AudioStep::GiveUp, proof, out)?;
            let given_up = AudioRestore::give_up(&vault_of(&config));
            let given_up = given_up.map_err(|fault| not_restored(&fault, out))?;
            out.result(&GivenUp { given_up }, || {
                "復元を終えました。戻らなかった音声は reconcile が挙げます / the restore is over; reconcile names what did not come back".to_owned()
            })
        }
    }
}

/// The object of `restore --from`: recordings, and the segments of their sound.
#[derive(Serialize)]
struct RestoredRows<'left> {
    rows: u64,
    purged: u64,
    removed: u64,
    awaited: u64,
    /// The days that are not restored to their end.
    left: Vec<&'left JstDay>,
    /// Tiles of the trail that stay in the backup.
    tiles_left: usize,
}

/// The object of a day of `restore --audio`.
#[derive(Serialize)]
struct RestoredDay {
    day: JstDay,
    restored: u64,
    /// The days of which something is still awaited.
    awaited_days: usize,
}

/// The object of `restore --audio` where nothing is awaited, or is any more.
#[derive(Serialize)]
struct RestoredAudio {
    restored: u64,
    awaited_days: usize,
}

/// The object of `restore --give-up`.
#[derive(Serialize)]
struct GivenUp {
    /// The days whose sound is not awaited any more.
    given_up: Vec<JstDay>,
}

fn restore_rows(
    config: &Arc<Config>,
    from: &Path,
    proof: Proof,
    out: &mut Terminal,
) -> Result<(), Exit> {
    let request = Request::Judge {
        action: Action::Restore,
        proof,
        asked_by: None,
    };
    let judged = with_office(config, &request, |conversation| conversation.answer());
    let person: Option<StaffId> = out.settle(judged)?;
    let restored = bring_back(config, from, person).map_err(|fault| not_restored(&fault, out))?;
    let object = RestoredRows {
        rows: restored.rows,
        purged: restored.purged,
        removed: restored.removed,
        awaited: restored.awaited,
        left: restored.left.keys().collect(),
        tiles_left: restored.tiles_left.len(),
    };
    out.result(&object, || {
        format!(
            "記録を復元しました。サービスを起動できます / rows are restored and the service may start: 行/rows={} 鍵がなく廃棄/purged={} 消した音声/files removed={} 待つ音声/audio awaited={}",
            restored.rows, restored.purged, restored.removed, restored.awaited
        )
    })?;
    if restored.awaited > 0 {
        out.line("続けて音声を戻してください（運用中にできます）/ then bring the audio, while the service runs: denwaban restore --audio")?;
    }
    for (day, fault) in &restored.left {
        tell_left(*day, fault, out);
    }
    for fault in &restored.tiles_left {
        out.complain(&format!(
            "証跡の木の一部は戻りませんでした。証跡は戻っています。\nthe trail is restored, a part of its tree is not: {fault}"
        ));
    }
    match restored.left.is_empty() && restored.tiles_left.is_empty() {
        true => Ok(()),
        false => Err(Exit::Failed),
    }
}

/// Goes on day by day, whatever one of them lacks.
fn restore_audio(
    config: &Arc<Config>,
    from: Option<&Path>,
    proof: Proof,
    out: &mut Terminal,
) -> Result<(), Exit> {
    allowed_audio(config, AudioStep::Bring, proof, out)?;
    let vault = vault_of(config);
    let audio = AudioRestore::resume(&vault, from).map_err(|fault| not_restored(&fault, out))?;
    let Some(mut audio) = audio else {
        let nothing = RestoredAudio {
            restored: 0,
            awaited_days: 0,
        };
        return out.result(&nothing, || {
            "待つ音声はありません / no audio is awaited".to_owned()
        });
    };
    let days = audio.days();
    let (mut outcome, mut brought) = (Ok(()), 0);
    for (done, day) in (1..).zip(&days) {
        match audio.bring_day(*day) {
            Ok(files) => {
                brought += files;
                let object = RestoredDay {
                    day: *day,
                    restored: files,
                    awaited_days: audio.days().len(),
                };
                out.result(&object, || {
                    format!("{day} 音声/files={files}（{done}/{} 日 days）", days.len())
                })?;
            }
            Err(fault) => {
                tell_left(*day, &fault, out);
                outcome = Err(Exit::Failed);
            }
        }
    }
    outcome?;
    let all = RestoredAudio {
        restored: brought,
        awaited_days: audio.days().len(),
    };
    out.result(&all, || {
        "音声をすべて復元しました / all audio is restored".to_owned()
    })
}

fn allowed_audio(
    config: &Arc<Config>,
    step: AudioStep,
    proof: Proof,
    out: &mut Terminal,
) -> Result<(), Exit> {
    let request = Request::RestoreAudio { step, proof };
    let leave = with_office(config, &request, |conversation| conversation.answer::<()>());
    out.settle(leave)
}

fn vault_of(config: &Config) -> Vault {
    Vault::new(Arc::new(OsDisk), &config.layout(), config.retention)
}

fn not_restored(fault: &impl Display, out: &mut Terminal) -> Exit {
    out.complain(&format!("復元できません。\n{fault}"));
    Exit::Unavailable
}

fn tell_left(day: JstDay, fault: &BackupFault, out: &mut Terminal) {
    out.complain(&format!(
        "{day} は最後まで復元できませんでした。原因を除いて、もう一度復元してください。\n{day} is not restored to its end: {fault}; mend that and restore again"
    ));
}

/// Nobody listens or records before everything without a key is gone: both duties are held until then.
fn bring_back(config: &Config, from: &Path, person: Option<StaffId>) -> Result<Restored, String> {
    let layout = config.layout();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    layout
        .make_folders(&OsDisk)
        .map_err(|fault| fault.to_string())?;
    let lock = |duty| Lock::acquire(&layout, duty).map_err(|fault| fault.to_string());
    let held = [lock(Duty::Calls)?, lock(Duty::Office)?];
    let keys = Keys::open(Arc::clone(&disk), &layout).map_err(|fault| fault.to_string())?;
    let vault = vault_of(config);
    let runtime = a_runtime().map_err(|_| "the system gives no thread".to_owned())?;
    let now = Timestamp::now();
    let restored = runtime
        .block_on(storage::restore(&vault, &keys, from, now, &held))
        .map_err(|fault| fault.to_string())?;
    let mut trail =
        AuditTrail::open(disk, &layout, Duty::Office).map_err(|fault| fault.to_string())?;
    let actor = Actor::Person {
        unix_user: unix::own_user(),
        person,
    };
    let event = AuditEvent::Restored {
        rows: restored.rows,
        files: restored.awaited,
        purged: restored.purged,
    };
    let written = trail.append(AuditDraft { actor, event }, now);
    // It is restored whether or not it can be written down, and whoever asked is told.
    written.map(|_| restored).map_err(|fault| fault.to_string())
}

fn a_runtime() -> Result<runtime::Runtime, Exit> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| Exit::Failed)
}
