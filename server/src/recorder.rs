//! The recorder: takes frames out of the rings, lays both voices side by side and hands whole chunks to the sealed writer.
//!
//! One worker turns every 20 ms; one thread flushes the vault. Whatever fails here costs recording and is written down, and never
//! reaches a call (law 1). Start at [`Worker::turn`].

mod live;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use exchange::{Begin, RecordOrder, RecorderEvent, RecorderFault};
use jiff::Timestamp;
use media::{Codec, Track};
use rules::{AlarmCode, CallId, CallRecord, Caller, JstDay, Reason};
use storage::{Opening, RecordingWriter, Sealer, Vault, WriteFault};
use tokio::sync::mpsc;

use self::live::{Live, Over, Sealed, Trouble, finish};
use crate::{
    calls::Desk,
    clock::Clock,
    rows::{Row, Rows},
    signalling::Order,
};

/// How often the rings are emptied.
const TURN: Duration = Duration::from_millis(20);
/// How often the vault is flushed: what a power cut costs.
const FLUSH: Duration = Duration::from_millis(300);
/// Orders that may wait; a thousand calls beginning at once while the disk is slow.
const ORDERS: usize = 8_192;
/// How long a recording waits for its ring to be closed after its call is over.
const LAST_FRAMES: Duration = Duration::from_secs(1);
/// How long what was closed early is remembered for its call's end: longer than any call may last.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 3600);

enum Work {
    Order(RecordOrder),
    Stop,
}

/// The recorder as the signalling thread sees it.
#[derive(Debug)]
pub(crate) struct Recorder {
    work: SyncSender<Work>,
    desk: Desk,
}

/// The recorder's threads.
#[derive(Debug)]
pub(crate) struct RecorderThreads {
    work: SyncSender<Work>,
    worker: JoinHandle<()>,
    flusher: JoinHandle<()>,
    ending: Arc<AtomicBool>,
}

/// What the recorder is begun with.
pub(crate) struct Beginning {
    pub(crate) vault: Arc<Vault>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) rows: Rows,
    pub(crate) desk: Desk,
    pub(crate) events: mpsc::Sender<Order>,
}

impl Recorder {
    /// Begins the recorder's threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(beginning: Beginning) -> io::Result<(Recorder, RecorderThreads)> {
        let Beginning {
            vault,
            sealer,
            rows,
            desk,
            events,
        } = beginning;
        let (work, inbox) = sync_channel(ORDERS);
        let ending = Arc::new(AtomicBool::new(false));
        let flusher = begin_flusher(Arc::clone(&vault), desk.clone(), Arc::clone(&ending))?;
        let worker = Worker {
            inbox,
            vault,
            sealer,
            rows,
            desk: desk.clone(),
            events,
            clock: Clock::begin(),
            live: BTreeMap::new(),
            closed: BTreeMap::new(),
            is_disk_full: false,
        };
        let worker = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || worker.run())?;
        let threads = RecorderThreads {
            work: work.clone(),
            worker,
            flusher,
            ending,
        };
        Ok((Recorder { work, desk }, threads))
    }

    /// Hands over an order; never waits. A recorder that is that far behind loses the recording, and an alarm says so.
    ///
    /// Returns what the exchange must know: that a recording did not begin.
    #[must_use]
    pub(crate) fn order(&self, order: RecordOrder) -> Option<RecorderEvent> {
        let (TrySendError::Full(Work::Order(lost)) | TrySendError::Disconnected(Work::Order(lost))) =
            self.work.try_send(Work::Order(order)).err()?
        else {
            return None;
        };
        let call = call_of(&lost);
        self.desk.raise(AlarmCode::RecorderBehind, Some(call));
        matches!(lost, RecordOrder::Begin(_)).then_some(RecorderEvent {
            call,
            fault: RecorderFault::NotBegun,
        })
    }
}

impl RecorderThreads {
    /// Seals what is open and ends the threads.
    pub(crate) fn stop(self) {
        // The worker may have ended by a panic; then there is nothing left to seal here, and the next start recovers.
        let _ = self.work.send(Work::Stop);
        let _ = self.worker.join();
        self.ending.store(true, Ordering::Release);
        self.flusher.thread().unpark();
        let _ = self.flusher.join();
    }
}

fn begin_flusher(
    vault: Arc<Vault>,
    desk: Desk,
    ending: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("vault-flush".to_owned())
        .spawn(move || {
            let mut was_sound = true;
            loop {
                let is_ending = ending.load(Ordering::Acquire);
                // A day's expiry is fixed when the day begins, not by its first call (K-22).
                let flushed = vault
                    .begin_day(JstDay::of(Timestamp::now()))
                    .and_then(|_| vault.flush());
                match flushed {
                    Ok(()) => was_sound = true,
                    Err(fault) if was_sound => {
                        was_sound = false;
                        tracing::error!(%fault, "recordings are not durable");
                        desk.raise(
                            if fault.is_disk_full() {
                                AlarmCode::DiskFull
                            } else {
                                AlarmCode::RecorderFault
                            },
                            None,
                        );
                    }
                    Err(_) => {} // Told already; it is tried again with the next flush.
                }
                if is_ending {
                    return;
                }
                thread::park_timeout(FLUSH);
            }
        })
}

struct Worker {
    inbox: Receiver<Work>,
    vault: Arc<Vault>,
    sealer: Arc<Sealer>,
    rows: Rows,
    desk: Desk,
    events: mpsc::Sender<Order>,
    clock: Clock,
    live: BTreeMap<CallId, Live>,
    closed: BTreeMap<CallId, Closed>,
    is_disk_full: bool,
}

/// A recording that was closed before its call: by a panic, or because the call's end did not come.
struct Closed {
    /// `None`: not even its file could be ended; the next start recovers the row from it.
    sealed: Option<Sealed>,
    until: Instant,
}

impl Worker {
    /// Turns until it is told to stop. Orders are taken with the rings, so that whoever carries calls wakes nobody.
    fn run(mut self) {
        let mut next = Instant::now() + TURN;
        loop {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let until = Instant::now() + TURN;
            loop {
                match self.inbox.try_recv() {
                    Ok(Work::Order(order)) => self.obey(order),
                    Ok(Work::Stop) | Err(TryRecvError::Disconnected) => return self.end(),
                    Err(TryRecvError::Empty) => {
                        // No order waits: an end that has not come by now and is long due never will.
                        self.give_up_lost(Instant::now());
                        break;
                    }
                }
                if Instant::now() >= until {
                    break; // However many orders there are, the rings must not overflow.
                }
            }
            let now = Instant::now();
            next = (next + TURN).max(now);
            self.turn(now);
        }
    }

    /// Carries an order out. A panic costs the recording of its call and no other.
    fn obey(&mut self, order: RecordOrder) {
        let call = call_of(&order);
        let begins = matches!(order, RecordOrder::Begin(_));
        if catch_unwind(AssertUnwindSafe(|| self.carry_out(order))).is_err() {
            tracing::error!(%call, "the recorder survived a panic; the recording of this call is lost or has no end");
            self.desk.raise(AlarmCode::RecorderFault, Some(call));
            if begins {
                self.tell(call, RecorderFault::NotBegun);
            }
        }
    }

    fn carry_out(&mut self, order: RecordOrder) {
        match order {
            RecordOrder::Begin(begin) => self.open(*begin),
            RecordOrder::Next(next) => match self.live.get_mut(&next.call) {
                Some(live) => live.next.push_back(*next),
                // It was not begun, or was given up: its call's end says so.
                None => {
                    tracing::warn!(call = %next.call, "a recording that is not there cannot go on");
                }
            },
            RecordOrder::End { call, record } => match self.live.get_mut(&call) {
                Some(live) => {
                    live.over = Some(Over {
                        record,
                        until: Instant::now() + LAST_FRAMES,
                    });
                }
                None => match self.closed.remove(&call) {
                    Some(closed) => self.settle(call, closed.sealed, record),
                    None => self.never_begun(record),
                },
            },
            RecordOrder::Unrecorded { record, caller } => self.unrecorded(record, Some(caller)),
        }
    }

    /// The exchange could not be told that a recording did not begin: its call gets its row all the same (K-06).
    fn never_begun(&mut self, mut record: Box<CallRecord>) {
        record.recording = None;
        record.notice = None;
        record.unrecorded = Some(Reason::RecorderFault);
        self.unrecorded(record, None);
    }

    fn open(&mut self, begin: Begin) {
        let Begin {
            call,
            recording,
            notice,
            tap,
            record,
            caller,
            codecs,
        } = begin;
        let opening = Opening {
            recording,
            call,
            call_started: record.started_at,
            segment: 0,
            start: self.clock.now().wall,
            carrier: stored(codecs.carrier),
            city: stored(codecs.department),
        };
        match RecordingWriter::create(notice, &self.vault, &self.sealer, &opening) {
            Ok(writer) => {
                let record = Box::new(record);
                self.rows.put(Row::Begun {
                    record: record.clone(),
                    caller,
                });
                let track = Track::new(codecs.carrier, codecs.department);
                self.live.insert(
                    call,
                    Live {
                        tap,
                        track,
                        writer,
                        segment: 0,
                        earlier: None,
                        next: VecDeque::new(),
                        is_interrupted: false,
                        refused: 0,
                        record,
                        dry_since: None,
                        over: None,
                    },
                );
            }
            Err(fault) => {
                self.complain(call, &fault);
                self.tell(call, RecorderFault::NotBegun);
            }
        }
    }

    fn unrecorded(&mut self, record: Box<CallRecord>, caller: Option<Caller>) {
        if record.unrecorded == Some(Reason::RecorderFault) {
            tracing::warn!(call = %record.call_id, "a call went unrecorded: RECORDER_FAULT");
        }
        self.rows.put(Row::Unrecorded { record, caller });
    }

    /// Empties every ring, writes whole chunks, and closes what is over. A panic ends the recording it happened in, and no other.
    fn turn(&mut self, now: Instant) {
        let mut finished = Vec::new();
        let mut broken = Vec::new();
        let mut going_on = Vec::new();
        let mut faults = Vec::new();
        for (call, live) in &mut self.live {
            match catch_unwind(AssertUnwindSafe(|| live.turn(now, *call, &mut faults))) {
                Ok(true) => finished.push(*call),
                Ok(false) if live.goes_on(now) => going_on.push(*call),
                Ok(false) => {}
                Err(_) => broken.push(*call),
            }
        }
        for call in finished {
            self.close(call, now, &mut faults);
        }
        for call in going_on {
            self.go_on(call, now, &mut faults);
        }
        for call in broken {
            self.close_broken(call, now, &mut faults);
        }
        self.report(faults);
    }

    /// Goes on with a recording's next segment; where that cannot be, what was written waits for the call's end.
    fn go_on(&mut self, call: CallId, now: Instant, faults: &mut Vec<(CallId, Trouble)>) {
        let Some(live) = self.live.remove(&call) else {
            return;
        };
        let over = live.over.as_ref().map(|over| over.record.clone());
        let wall = self.clock.now().wall;
        match catch_unwind(AssertUnwindSafe(|| {
            live.go_on(now, wall, &self.sealer, faults)
        })) {
            Ok(Ok(live)) => {
                self.live.insert(call, live);
            }
            Ok(Err(sealed)) => self.wait_for_end(call, now, Some(sealed), over),
            Err(_) => self.wait_for_end(call, now, None, over),
        }
    }

    fn wait_for_end(
        &mut self,
        call: CallId,
        now: Instant,
        sealed: Option<Sealed>,
        over: Option<Box<CallRecord>>,
    ) {
        match over {
            Some(record) => self.settle(call, sealed, record),
            None => {
                let until = now + LONGEST_CALL;
                self.closed.insert(call, Closed { sealed, until });
            }
        }
    }

    /// Seals everything at once: the service ends.
    fn end(mut self) {
        let now = Instant::now();
        while let Ok(Work::Order(order)) = self.inbox.try_recv() {
            self.obey(order);
        }
        self.turn(now);
        let mut faults = Vec::new();
        let live: Vec<CallId> = self.live.keys().copied().collect();
        for call in live {
            self.close(call, now, &mut faults);
        }
        self.report(faults);
    }

    /// Ends a recording whose call is over, or, when the service ends, one whose call is not.
    fn close(&mut self, call: CallId, now: Instant, faults: &mut Vec<(CallId, Trouble)>) {
        let Some(live) = self.live.remove(&call) else {
            return;
        };
        let record = live.over.as_ref().map(|over| over.record.clone());
        let sealed = live.finish(now, call, faults);
        match record {
            Some(record) => self.settle(call, sealed, record),
            // Without the call's own end the next start recovers the row from the file.
            None => tracing::warn!(%call, "a recording ended before its call"),
        }
    }

    /// Ends a recording after a panic in it: what was written is sealed, and its call's end finds that.
    fn close_broken(&mut self, call: CallId, now: Instant, faults: &mut Vec<(CallId, Trouble)>) {
        let Some(Live { writer, over, .. }) = self.live.remove(&call) else {
            return;
        };
        tracing::error!(%call, "a recording was ended by a panic; its call and all other recordings go on");
        faults.push((call, Trouble::Fault));
        let sealed = finish(writer);
        match over {
            Some(Over { record, .. }) => self.settle(call, sealed, record),
            None => {
                let until = now + LONGEST_CALL;
                self.closed.insert(call, Closed { sealed, until });
            }
        }
    }

    /// Closes recordings whose fork has long been gone and whose call's end was lost, and forgets what was closed early for good.
    fn give_up_lost(&mut self, now: Instant) {
        self.closed.retain(|_, closed| closed.until > now);
        let lost: Vec<CallId> = self
            .live
            .iter()
            .filter(|(_, live)| live.end_is_lost(now))
            .map(|(call, _)| *call)
            .collect();
        let mut faults = Vec::new();
        for call in lost {
            tracing::error!(%call, "the end of a recorded call never came; its recording is closed, its row says no cause");
            if let Some(live) = self.live.get_mut(&call) {
                live.over = Some(live.end_by_fork(now, self.clock.now().wall));
            }
            self.close(call, now, &mut faults);
        }
        self.report(faults);
    }

    /// Writes the row of a closed recording.
    fn settle(&mut self, call: CallId, sealed: Option<Sealed>, record: Box<CallRecord>) {
        match sealed {
            Some(sealed) => self.rows.put(Row::Ended { record, sealed }),
            None => tracing::warn!(%call, "a recording has no end; the next start recovers it"),
        }
    }

    fn complain(&mut self, call: CallId, fault: &WriteFault) {
        tracing::error!(%call, %fault, "a recording could not be begun; the call goes on");
        let code = if fault.is_disk_full() {
            AlarmCode::DiskFull
        } else {
            AlarmCode::RecorderFault
        };
        self.desk.raise(code, Some(call));
    }

    /// Tells exchange and desk what went wrong in this turn; a full disk is told once, not by each call.
    fn report(&mut self, faults: Vec<(CallId, Trouble)>) {
        let was_full = self.is_disk_full;
        let mut is_full = false;
        for (call, trouble) in faults {
            match trouble {
                Trouble::DiskFull => {
                    is_full = true;
                    if !std::mem::replace(&mut self.is_disk_full, true) {
                        tracing::error!(
                            "the disk is full; calls go on, recordings have gaps until there is room"
                        );
                        self.desk.raise(AlarmCode::DiskFull, None);
                    }
                }
                Trouble::Fault => self.desk.raise(AlarmCode::RecorderFault, Some(call)),
                Trouble::Behind => {
                    tracing::warn!(%call, "frames were refused: the recorder is behind");
                    self.desk.raise(AlarmCode::RecorderBehind, Some(call));
                    continue;
                }
            }
            self.tell(call, RecorderFault::Interrupted);
        }
        if was_full && !is_full && !self.live.values().any(|live| live.is_interrupted) {
            tracing::info!("there is room on the disk again; recordings go on");
            self.is_disk_full = false;
        }
    }

    fn tell(&self, call: CallId, fault: RecorderFault) {
        if self
            .events
            .try_send(Order::Recorder(RecorderEvent { call, fault }))
            .is_err()
        {
            tracing::warn!(%call, "the exchange was not told of a recorder fault");
        }
    }
}

pub(super) fn stored(codec: Codec) -> storage::Codec {
    match codec {
        Codec::Pcmu => storage::Codec::Pcmu,
        Codec::Pcma => storage::Codec::Pcma,
    }
}

fn call_of(order: &RecordOrder) -> CallId {
    match order {
        RecordOrder::Begin(begin) => begin.call,
        RecordOrder::Next(next) => next.call,
        RecordOrder::End { call, .. } => *call,
        RecordOrder::Unrecorded { record, .. } => record.call_id,
    }
}

#[cfg(test)]
mod tests;
