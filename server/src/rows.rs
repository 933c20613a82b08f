//! Rows on their way to the office: sealed, spooled and made durable on a thread of their own, many with one flush.
//!
//! Start at [`Worker::run`]; [`recover`] is what a start does before any call.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rules::{AlarmCode, AuditDraft, CallRecord, Caller, JstDay, RecordingId, RecordingState};
use storage::{
    AudioFacts, AuditTrail, CutSegment, Disk, Duty, Layout, SealedCaller, SealedSegment, Sealer,
    Spool, SpoolEntry, SpoolFault, Vault,
};
use tokio::sync::Notify;

use crate::calls::Desk;

/// Rows that may wait while the disk is slow.
const WAITING: usize = 8_192;
/// Rows made durable with one flush.
const TOGETHER: usize = 256;
/// How long the first row waits for others, so that one flush serves them all; a crash loses a second of a call at most.
const GATHER: Duration = Duration::from_millis(25);
/// How long somebody waits for all rows to be on disk.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);
/// How often a flush that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What became of a call, for its row.
pub(crate) enum Row {
    /// A recording has begun.
    Begun {
        record: Box<CallRecord>,
        caller: Caller,
    },
    /// It has ended, whole or cut.
    Ended {
        record: Box<CallRecord>,
        sealed: Result<SealedSegment, Box<CutSegment>>,
    },
    /// Nothing was kept of the call. The caller is not known where the recording should have begun and did not.
    Unrecorded {
        record: Box<CallRecord>,
        caller: Option<Caller>,
    },
    /// Something else for the office.
    Entry(Box<SpoolEntry>),
}

enum Work {
    Row(Row),
    /// To say when everything before is on disk, or that it could not be.
    Flush(SyncSender<bool>),
    Stop,
}

/// The way to the spool; it never makes anybody wait.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    work: SyncSender<Work>,
    desk: Desk,
}

/// The spool's thread.
#[derive(Debug)]
pub(crate) struct RowsThread {
    work: SyncSender<Work>,
    thread: JoinHandle<()>,
}

/// What the spool's thread is begun with.
pub(crate) struct Beginning {
    pub(crate) spool: Spool,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) desk: Desk,
    /// Told after each flush.
    pub(crate) nudge: Arc<Notify>,
}

impl Rows {
    /// Begins the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(beginning: Beginning) -> io::Result<(Rows, RowsThread)> {
        let (work, inbox) = sync_channel(WAITING);
        let desk = beginning.desk.clone();
        let worker = Worker {
            inbox,
            beginning,
            ended: Vec::new(),
            is_sound: true,
        };
        let thread = thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || worker.run())?;
        Ok((
            Rows {
                work: work.clone(),
                desk,
            },
            RowsThread { work, thread },
        ))
    }

    /// Hands over a row.
    pub(crate) fn put(&self, row: Row) {
        if self.work.try_send(Work::Row(row)).is_err() {
            self.desk.raise(AlarmCode::RecorderBehind, None);
        }
    }

    /// Waits until every row that was handed over before is on disk; `false` where that cannot be said.
    pub(crate) fn flush(&self) -> bool {
        let (told, is_told) = sync_channel(1);
        self.work.send(Work::Flush(told)).is_ok()
            && is_told.recv_timeout(FLUSH_PATIENCE).unwrap_or(false)
    }
}

impl RowsThread {
    /// Writes what waits and ends.
    pub(crate) fn stop(self) {
        // A thread that has ended already needs no telling.
        let _ = self.work.send(Work::Stop);
        let _ = self.thread.join();
    }
}

struct Worker {
    inbox: Receiver<Work>,
    beginning: Beginning,
    /// Ended recordings whose rows are in line for the next flush.
    ended: Vec<(JstDay, RecordingId)>,
    is_sound: bool,
}

impl Worker {
    fn run(mut self) {
        loop {
            let first = match self.inbox.recv_timeout(RETRY) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if matches!(first, Some(Work::Row(_))) {
                thread::sleep(GATHER);
            }
            let more: Vec<Work> = self.inbox.try_iter().take(TOGETHER).collect();
            let works: Vec<Work> = first.into_iter().chain(more).collect();
            // A row says "sealed" only of what is on disk; one flush serves all of them.
            if works
                .iter()
                .any(|work| matches!(work, Work::Row(Row::Ended { .. })))
                && let Err(fault) = self.beginning.vault.flush()
            {
                tracing::warn!(%fault, "rows are written before their recordings are durable; the next start sets it right");
            }
            let mut is_last = false;
            let mut waiting = Vec::new();
            for work in works {
                match work {
                    Work::Row(row) => self.put(row),
                    Work::Flush(told) => waiting.push(told),
                    Work::Stop => is_last = true,
                }
            }
            self.flush();
            for told in waiting {
                // Whoever waited may have given up.
                let _ = told.try_send(self.is_sound);
            }
            if is_last {
                return;
            }
        }
    }

    fn put(&mut self, row: Row) {
        let ended = match &row {
            Row::Ended { record, .. } => {
                record.recording.map(|recording| (record.day(), recording))
            }
            Row::Begun { .. } | Row::Unrecorded { .. } | Row::Entry(_) => None,
        };
        let entry = self.entry(row);
        match self.beginning.spool.put(&entry) {
            Ok(()) => self.ended.extend(ended),
            Err(fault) => self.complain(&fault),
        }
    }

    fn flush(&mut self) {
        match self.beginning.spool.flush(Timestamp::now()) {
            Ok(()) => {
                self.is_sound = true;
                self.close_ended();
                self.beginning.nudge.notify_one();
            }
            Err(fault) => self.complain(&fault),
        }
    }

    /// Their rows are durable, so a start need not look for these recordings any more.
    fn close_ended(&mut self) {
        for (day, recording) in self.ended.drain(..) {
            if let Err(fault) = self.beginning.vault.close_recording(day, recording) {
                tracing::warn!(%fault, "a recording keeps its open name until the next flush");
            }
        }
    }

    fn complain(&mut self, fault: &SpoolFault) {
        if std::mem::replace(&mut self.is_sound, false) {
            tracing::error!(%fault, "rows wait; calls go on");
            self.beginning
                .desk
                .raise(AlarmCode::DatabaseUnavailable, None);
        }
    }

    fn entry(&self, row: Row) -> SpoolEntry {
        let (call, caller, state, audio) = match row {
            Row::Entry(entry) => return *entry,
            Row::Begun { record, caller } => (record, Some(caller), RecordingState::Open, None),
            Row::Unrecorded { record, caller } => {
                (record, caller, RecordingState::Unrecorded, None)
            }
            Row::Ended {
                record,
                sealed: Ok(segment),
            } => (
                record,
                None,
                RecordingState::Sealed,
                Some(AudioFacts::from(&segment)),
            ),
            Row::Ended {
                record,
                sealed: Err(cut),
            } => (
                record,
                None,
                RecordingState::Recovered,
                Some(AudioFacts::from(&cut.segment)),
            ),
        };
        let day = call.day();
        let caller = caller.map(|caller| self.seal(&call, &caller));
        // What is not kept cannot outlive its day: the policy in force says when the row goes.
        let expires_at = self
            .beginning
            .vault
            .begin_day(day)
            .unwrap_or_else(|_| self.beginning.vault.policy_expiry(day));
        SpoolEntry::Row(Box::new(storage::Row {
            call: *call,
            caller,
            expires_at,
            state,
            audio,
        }))
    }

    fn seal(&self, call: &CallRecord, caller: &Caller) -> SealedCaller {
        self.beginning
            .sealer
            .seal_caller(call.call_id, call.day(), caller)
            .unwrap_or_else(|fault| {
                tracing::warn!(call = %call.call_id, %fault, "a caller's number is not kept");
                SealedCaller::NotKept
            })
    }
}

/// Closes what a crash left open: cut to whole chunks, written down in row and audit, and only then settled.
///
/// It is done before the first call, by whoever holds the calls' lock. What cannot be written down is found again by the next start.
pub(crate) fn recover(layout: &Layout, disk: &Arc<dyn Disk>, vault: &Vault, spool: &mut Spool) {
    let (recovered, faults) = match vault.recover() {
        Ok(found) => found,
        Err(fault) => {
            tracing::error!(%fault, "the vault cannot be looked through; the next start recovers what is open");
            return;
        }
    };
    for fault in &faults {
        tracing::error!(%fault, "a recording could not be recovered");
    }
    if recovered.is_empty() {
        return;
    }
    let drafts: Vec<AuditDraft> = recovered
        .iter()
        .filter_map(|segment| segment.audit_event().map(AuditDraft::system))
        .collect();
    let now = Timestamp::now();
    let audited = AuditTrail::open(Arc::clone(disk), layout, Duty::Calls)
        .and_then(|mut trail| trail.append_all(drafts, now));
    if let Err(fault) = audited {
        tracing::error!(%fault, "recovered recordings wait for the audit trail; the next start writes them down");
        return;
    }
    let spooled = recovered
        .iter()
        .try_for_each(|segment| spool.put(&segment.spool_entry()))
        .and_then(|()| spool.flush(now));
    if let Err(fault) = spooled {
        tracing::error!(%fault, "recovered recordings wait for the spool; the next start writes them down");
        return;
    }
    match vault.settle(&recovered) {
        Ok(()) => tracing::warn!(
            recordings = recovered.len(),
            "recordings that a crash left open were recovered"
        ),
        Err(fault) => {
            tracing::error!(%fault, "recovered recordings keep their open names; the next start looks again");
        }
    }
}
