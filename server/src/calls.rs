//! The calls' desk: its own audit chain and, by a slot beside its queue, the file of the emergency's state.
//!
//! The desk is a thread of its own, so that a slow or full disk never reaches signalling. What it cannot write waits (law 1).

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use exchange::Alarm;
use jiff::Timestamp;
use rules::{AlarmCode, AuditDraft, AuditEvent, CallId, EmergencyState, JstMonth, TrailTerm};
use serde::{Deserialize, Serialize};
use storage::{AuditTrail, Disk, Duty, Layout, MODE_SHARED, OldMonths, OsDisk, unlink_months};

use crate::{
    emergency,
    emergency_slot::{EmergencySlot, Save},
    look,
};

/// Tasks that may wait for the desk.
const TASKS: usize = 8_192;
/// Entries that wait for an audit file that cannot be written; older ones are the more telling, so new ones are refused then.
const WAITING_ENTRIES: usize = 65_536;
/// How often what waits is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is asked on the calls' socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// To declare or lift an emergency.
    Emergency(emergency::Request),
    /// To see what goes on.
    Look(look::Request),
    /// To say when every row that was sealed before is on disk.
    Flush,
    /// To go by what the office has written about the numbers' notices.
    Notices,
    /// To say which prompts were loaded.
    Prompts,
    /// To remove months of the own chain, which the office has told of in its own.
    ForgetMonths {
        /// The last of them.
        through: JstMonth,
    },
}

/// Removes months of the own chain whose term is over; the newest stays, whoever asks. `false` where they do not all go.
///
/// `uid`: who asks. Nobody but the office's user, and root, is listened to: who else did not tell of it first.
pub(crate) fn forget_months(layout: &Layout, uid: u32, through: JstMonth) -> bool {
    let is_office = fs::metadata(layout.office()).is_ok_and(|folder| folder.uid() == uid);
    if !is_office && uid != 0 {
        tracing::warn!(
            uid,
            "a user who does no office's duty asked to remove months of the trail"
        );
        return false;
    }
    let months = OldMonths {
        chain: Duty::Calls,
        through,
        term: TrailTerm::default(),
    };
    match unlink_months(months, &OsDisk, layout, Timestamp::now()) {
        Ok(()) => {
            tracing::info!(%through, "the oldest months of the trail are removed, as was decided");
            true
        }
        Err(fault) => {
            tracing::error!(%fault, "months of the trail that are decided to go are still there");
            false
        }
    }
}

enum Task {
    Audit(Box<AuditDraft>),
    Stop,
}

/// The desk as other threads see it: it never makes them wait.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    tasks: SyncSender<Task>,
    emergency: EmergencySlot,
}

impl Desk {
    /// Begins the desk's threads; the one returned ends last. Whoever does it holds the calls' lock.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(layout: &Layout) -> io::Result<(Desk, JoinHandle<()>)> {
        let (tasks, inbox) = sync_channel(TASKS);
        let kept = kept(layout);
        let (emergency, saver) = EmergencySlot::begin(layout, Arc::new(OsDisk))?;
        let slot = emergency.clone();
        let worker = Worker {
            layout: layout.clone(),
            inbox,
            trail: None,
            has_kept: !kept.is_empty(),
            is_kept: !kept.is_empty(),
            waiting: kept,
            is_sound: true,
        };
        let thread = thread::Builder::new()
            .name("calls-desk".to_owned())
            .spawn(move || {
                worker.run();
                slot.close();
                // A saver that panicked has logged it.
                let _ = saver.join();
            })?;
        Ok((Desk { tasks, emergency }, thread))
    }

    /// Writes an entry as soon as the disk lets it.
    pub(crate) fn audit(&self, draft: AuditDraft) {
        if self.tasks.try_send(Task::Audit(Box::new(draft))).is_err() {
            tracing::error!("the calls' desk is behind; an entry is lost");
        }
    }

    /// Saves the state of the emergency; it holds whether or not that works.
    pub(crate) fn save_emergency(&self, state: EmergencyState) {
        self.emergency.put(state);
    }

    /// Waits until the emergency's newest state was tried to save, at most for `patience`.
    pub(crate) fn emergency_tried(&self, patience: Duration) -> Save {
        self.emergency.tried(patience)
    }

    /// Raises an alarm: a line in the log and an entry.
    pub(crate) fn raise(&self, code: AlarmCode, call: Option<CallId>) {
        match call {
            Some(call) => tracing::error!(%call, code = code.code(), "alarm"),
            None => tracing::error!(code = code.code(), "alarm"),
        }
        self.audit(AuditDraft::system(AuditEvent::AlarmRaised {
            code,
            call,
            about: None,
        }));
    }

    /// Raises what the exchange has to say.
    pub(crate) fn alarm(&self, alarm: &Alarm) {
        tracing::error!("{alarm}");
        let (code, call) = (alarm.code(), alarm.call());
        self.audit(AuditDraft::system(AuditEvent::AlarmRaised {
            code,
            call,
            about: None,
        }));
    }

    /// Ends the desk when everything before has been done.
    pub(crate) fn stop(&self) {
        // A desk that has ended already needs no telling.
        let _ = self.tasks.send(Task::Stop);
    }
}

struct Worker {
    layout: Layout,
    inbox: Receiver<Task>,
    trail: Option<AuditTrail>,
    waiting: VecDeque<AuditDraft>,
    /// Whether everything that waits lies on disk too.
    is_kept: bool,
    /// Whether there is such a file at all.
    has_kept: bool,
    is_sound: bool,
}

impl Worker {
    fn run(mut self) {
        loop {
            let task = match self.inbox.recv_timeout(RETRY) {
                Ok(task) => Some(task),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut is_last = false;
            for task in task
                .into_iter()
                .chain(self.inbox.try_iter().collect::<Vec<_>>())
            {
                match task {
                    Task::Audit(draft) if self.waiting.len() < WAITING_ENTRIES => {
                        self.waiting.push_back(*draft);
                        self.is_kept = false;
                    }
                    Task::Audit(_) => {
                        tracing::error!("an audit entry is lost: too many wait already");
                    }
                    Task::Stop => is_last = true,
                }
            }
            self.write();
            if is_last {
                return;
            }
        }
    }

    /// Writes what waits, in order and with one flush; what cannot be written waits on.
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match append(
            &mut self.trail,
            &self.layout,
            self.waiting.iter().cloned().collect(),
        ) {
            Ok(()) => {
                self.waiting.clear();
                self.is_sound = true;
                self.forget_kept();
            }
            Err(fault) => {
                if std::mem::replace(&mut self.is_sound, false) {
                    let code = AlarmCode::AuditUnavailable.code();
                    tracing::error!(%fault, code, waiting = self.waiting.len(), "audit entries wait; calls go on");
                }
                // It is opened anew next time: whatever was wrong with the file may have been mended. A trail that
                // somebody deleted goes on after the entries that are gone, so that verification shows it.
                if !matches!(fault, storage::AuditFault::Altered { .. }) {
                    self.trail = None;
                }
                self.keep();
            }
        }
    }

    /// Puts what waits beside the chain, so that it outlives the process.
    fn keep(&mut self) {
        if self.is_kept {
            return;
        }
        let kept = serde_json::to_vec(&self.waiting).map_err(io::Error::from);
        let written =
            kept.and_then(|bytes| OsDisk.replace(&kept_path(&self.layout), &bytes, MODE_SHARED));
        match written {
            Ok(()) => (self.is_kept, self.has_kept) = (true, true),
            Err(fault) => {
                tracing::error!(%fault, waiting = self.waiting.len(), "waiting audit entries are in memory only");
            }
        }
    }

    fn forget_kept(&mut self) {
        if !std::mem::take(&mut self.has_kept) {
            return;
        }
        if let Err(fault) = OsDisk.unlink(&kept_path(&self.layout)) {
            tracing::warn!(%fault, "entries that are written may be written a second time after a restart");
        }
    }
}

/// Entries that an earlier process could not write.
fn kept(layout: &Layout) -> VecDeque<AuditDraft> {
    match OsDisk
        .read(&kept_path(layout))
        .map(|bytes| serde_json::from_slice(&bytes))
    {
        Ok(Ok(waiting)) => waiting,
        Ok(Err(fault)) => {
            tracing::error!(%fault, "waiting audit entries of an earlier run cannot be read");
            VecDeque::new()
        }
        Err(_) => VecDeque::new(),
    }
}

fn kept_path(layout: &Layout) -> PathBuf {
    layout.calls().join("audit-waiting.json")
}

fn append(
    trail: &mut Option<AuditTrail>,
    layout: &Layout,
    drafts: Vec<AuditDraft>,
) -> Result<(), storage::AuditFault> {
    let trail = match trail {
        Some(trail) => trail,
        None => trail.insert(AuditTrail::open(Arc::new(OsDisk), layout, Duty::Calls)?),
    };
    // Nobody acts on these entries' receipts: what they tell of has happened.
    trail.append_all(drafts, Timestamp::now()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_is_saved_although_the_queue_of_entries_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        layout.make_folders(&OsDisk).unwrap();
        let (emergency, saver) = EmergencySlot::begin(&layout, Arc::new(OsDisk)).unwrap();
        // A desk whose thread hangs in the audit file, with no room for another entry.
        let (tasks, _hangs) = sync_channel(0);
        let desk = Desk { tasks, emergency };
        desk.audit(AuditDraft::system(AuditEvent::ClockStepped { by_ms: 1 }));

        desk.save_emergency(EmergencyState::default());

        assert_eq!(desk.emergency_tried(Duration::from_secs(10)), Save::Done);
        assert!(layout.emergency().exists());
        desk.emergency.close();
        saver.join().unwrap();
    }
}
