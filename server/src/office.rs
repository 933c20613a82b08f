//! The office duty: keeps the rows, the keys and its own audit chain, and answers who may listen and what is due.
//!
//! One thread owns all three; socket clients send it jobs. Nothing here is awaited by a call (law 1): what cannot be used is
//! told once, tried again, and refuses only the commands that need it. Go on at [`Owner::run`].

mod cases;
mod clock;
mod copies;
mod desk;
mod early;
mod forgetting;
mod hand_over;
mod heads;
mod holds;
mod job;
mod keys;
mod listed_file;
mod listening;
mod numbers;
mod owner;
mod passwords;
mod people;
mod policy;
mod proving;
mod reading;
mod reconciling;
mod reminding;
mod search;
mod sweep;
mod telling;
mod together;
mod turns;
mod words;

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rules::{Action, Actor, AuditDraft, CaseId, CopyId, ListenPermit, RecordingId};
use storage::{
    AuditTrail, Catalogue, Disk, Duty, Group, Keys, OpenFault, OsDisk, Playback, Signing, Vault,
    verifier_keys,
};
use tokio::{
    runtime,
    sync::{Notify, mpsc},
};

pub(crate) use self::{
    clock::kept_clock,
    desk::Desk,
    heads::{TrailDone, TrailRequest},
    keys::{KeysDone, KeysRequest},
    policy::PolicyView,
    reading::Reader,
    reconciling::Comparison,
    search::{Cut, FindWish, RevealWish, Revealed, Search},
    sweep::{DisposeDone, DisposeRequest, Disposed},
};
use self::{desk::ended, job::Job, owner::Owner};
use crate::{config::Config, duty::Never, proof::Proof};

/// How often the office looks at what it could not use, at the spool and at the date.
const LOOK: Duration = Duration::from_secs(1);
/// How long rows gather before they are taken into the catalogue together; one commit serves them all.
const GATHER: Duration = Duration::from_millis(100);
/// Jobs that may wait.
const JOBS: usize = 64;

/// What somebody wants to hear.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) recording: RecordingId,
    /// In which way.
    pub(crate) action: Action,
    /// As it was typed in.
    pub(crate) purpose: Option<String>,
    /// Under which case.
    pub(crate) case: Option<CaseId>,
    /// Which part, in milliseconds; `None` is the whole.
    pub(crate) range_ms: Option<(u64, u64)>,
    /// Where a file of it will lie, if it becomes one.
    pub(crate) place: Option<String>,
    pub(crate) proof: Proof,
}

/// A recording that was opened for somebody.
pub(crate) struct Opened {
    pub(crate) playback: Playback<ListenPermit>,
    /// The number of the audit entry that allowed it.
    pub(crate) granted: u64,
    /// Who it was allowed to.
    pub(crate) actor: Actor,
    /// The copy that it becomes, if it does.
    pub(crate) copy: Option<CopyId>,
}

/// The office's thread.
#[derive(Debug)]
pub(crate) struct Office {
    desk: Desk,
    /// Ends when the keys were looked after.
    has_keys: Receiver<Never>,
    thread: JoinHandle<()>,
}

impl Office {
    /// Begins the thread, which looks after the keys that the coming days need before it takes the first job. Whoever begins it
    /// holds the office's lock.
    ///
    /// `nudge`: told when the spool has something new.
    ///
    /// # Errors
    /// The system gives no thread or runtime.
    pub(crate) fn begin(
        config: &Arc<Config>,
        vault: &Arc<Vault>,
        nudge: Arc<Notify>,
    ) -> io::Result<Office> {
        let (jobs, inbox) = mpsc::channel(JOBS);
        let (ready, has_keys) = std::sync::mpsc::channel();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut owner = Owner::new(config, vault, nudge);
        let thread = thread::Builder::new()
            .name("office".to_owned())
            .spawn(move || {
                // Before this process writes its first entry, which would hide how long nobody wrote.
                owner.look_at_clock();
                owner.look_after_keys(Timestamp::now());
                drop(ready);
                runtime.block_on(owner.run(inbox));
            })?;
        Ok(Office {
            desk: Desk {
                jobs,
                config: Arc::clone(config),
            },
            has_keys,
            thread,
        })
    }

    /// Waits until it has looked after the keys, at most for `patience`.
    pub(crate) fn wait_for_keys(&self, patience: Duration) {
        if self.has_keys.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the keys are not looked after yet; calls go on");
        }
    }

    /// Where jobs are handed in.
    pub(crate) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Whether its thread has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes in what the spool holds, closes the database and ends the thread.
    pub(crate) fn stop(self) {
        // A thread that has ended already needs no telling.
        let _ = self.desk.jobs.blocking_send(Job::Stop);
        let _ = self.thread.join();
    }
}

/// Makes everything that a new folder needs: folders, root, key store, keys, catalogue, audit chain.
///
/// # Errors
/// The first thing that could not be made, as a sentence.
pub(crate) fn found(config: &Config, now: Timestamp) -> Result<(), String> {
    let layout = config.layout();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    layout
        .make_folders(&OsDisk)
        .map_err(|fault| fault.to_string())?;
    let _held = storage::Lock::acquire(&layout, Duty::Office).map_err(|fault| fault.to_string())?;
    let is_founded = disk
        .exists(&layout.key_store())
        .map_err(|fault| fault.to_string())?;
    let keys = if is_founded {
        Keys::open(Arc::clone(&disk), &layout)
    } else {
        Keys::create(Arc::clone(&disk), &layout, now)
    };
    let mut keys = keys.map_err(|fault| fault.to_string())?;
    let before: BTreeSet<Group> = keys.groups().collect();
    keys.make_ahead(now).map_err(|fault| fault.to_string())?;
    let vault = Vault::new(Arc::clone(&disk), &layout, config.retention);
    let mut drafts = keys::keys_made(&before, &keys, &vault);
    let is_unnamed = verifier_keys(&*disk, &layout)
        .map_err(|fault| fault.to_string())?
        .is_empty();
    let signing = Signing::open(&disk, &layout, now).map_err(|fault| fault.to_string())?;
    if is_unnamed {
        drafts.push(AuditDraft::system(heads::made(&signing)));
    }
    let mut trail =
        AuditTrail::open(disk, &layout, Duty::Office).map_err(|fault| fault.to_string())?;
    // Nothing is done by these receipts: the entries tell of keys that are there.
    trail
        .append_all(drafts, now)
        .map_err(|fault| fault.to_string())?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| fault.to_string())?;
    runtime
        .block_on(async { Catalogue::open(&layout).await?.close().await })
        .map_err(|fault| fault.to_string())
}

/// Why an export did not come to its end, for the audit entry.
pub(crate) fn export_cause(fault: &OpenFault) -> rules::ExportCause {
    match fault {
        OpenFault::Refused(_) | OpenFault::Expired => rules::ExportCause::PermitLapsed,
        OpenFault::Key(_) => rules::ExportCause::KeyUnavailable,
        OpenFault::NoFile { .. }
        | OpenFault::NotWhole { .. }
        | OpenFault::Awaited { .. }
        | OpenFault::OtherRecording
        | OpenFault::NoSegment
        | OpenFault::Segment(_)
        | OpenFault::Vault(_)
        | OpenFault::Secret(_)
        | OpenFault::Mask(_) => rules::ExportCause::RecordingDamaged,
    }
}
