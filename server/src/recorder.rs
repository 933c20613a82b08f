//! The recorder: takes frames out of the rings, lays both voices side by side and hands whole chunks to the sealed writer.
//!
//! One worker turns every 20 ms; one thread flushes the vault. Whatever fails here costs recording and is written down, and never
//! reaches a call (law 1). Start at [`Worker::turn`].

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use exchange::{Begin, RecordOrder, RecorderEvent, RecorderFault};
use jiff::Timestamp;
use media::{Codec, Side, Tap, Track};
use rules::{AlarmCode, CallId, CallRecord, Caller, JstDay, Reason};
use storage::{Channel, Chunk, Gap, Opening, RecordingWriter, Sealer, Vault, WriteFault};
use tokio::sync::mpsc;

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
    is_disk_full: bool,
}

/// One recording in progress.
struct Live {
    tap: Tap,
    track: Track,
    writer: RecordingWriter,
    /// Whether the last chunk could not be written.
    is_interrupted: bool,
    refused: u64,
    over: Option<Over>,
}

/// A call that is over and whose last frames are awaited.
struct Over {
    record: Box<CallRecord>,
    until: Instant,
}

impl Worker {
    fn run(mut self) {
        let mut next = Instant::now() + TURN;
        loop {
            match self
                .inbox
                .recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                Ok(Work::Order(order)) => self.obey(order),
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return self.end(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= next {
                next = (next + TURN).max(now);
                self.turn(now);
            }
        }
    }

    fn obey(&mut self, order: RecordOrder) {
        match order {
            RecordOrder::Begin(begin) => self.open(*begin),
            RecordOrder::End { call, record } => match self.live.get_mut(&call) {
                Some(live) => {
                    live.over = Some(Over {
                        record,
                        until: Instant::now() + LAST_FRAMES,
                    });
                }
                None => self.never_begun(record),
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
                self.rows.put(Row::Begun {
                    record: Box::new(record),
                    caller,
                });
                let track = Track::new(codecs.carrier, codecs.department);
                self.live.insert(
                    call,
                    Live {
                        tap,
                        track,
                        writer,
                        is_interrupted: false,
                        refused: 0,
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

    /// Empties every ring, writes whole chunks, and closes what is over.
    fn turn(&mut self, now: Instant) {
        let mut finished = Vec::new();
        let mut faults = Vec::new();
        for (call, live) in &mut self.live {
            let is_dry = live.tap.is_abandoned();
            while let Some(frame) = live.tap.pop() {
                live.track.handle_frame(&frame);
            }
            let upto = live.tap.position(now).unwrap_or(0);
            while let Some(chunk) = live.track.poll_chunk(upto) {
                live.write(&chunk, *call, &mut faults);
            }
            if live.tap.refused() > live.refused {
                live.refused = live.tap.refused();
                faults.push((*call, Trouble::Behind));
            }
            if live
                .over
                .as_ref()
                .is_some_and(|over| is_dry || now >= over.until)
            {
                finished.push(*call);
            }
        }
        for call in finished {
            if let Some(live) = self.live.remove(&call) {
                self.close(call, live, now, &mut faults);
            }
        }
        self.report(faults);
    }

    /// Seals everything at once: the service ends.
    fn end(mut self) {
        let now = Instant::now();
        while let Ok(Work::Order(order)) = self.inbox.try_recv() {
            self.obey(order);
        }
        self.turn(now);
        let mut faults = Vec::new();
        for (call, live) in std::mem::take(&mut self.live) {
            self.close(call, live, now, &mut faults);
        }
        self.report(faults);
    }

    fn close(
        &mut self,
        call: CallId,
        mut live: Live,
        now: Instant,
        faults: &mut Vec<(CallId, Trouble)>,
    ) {
        while let Some(frame) = live.tap.pop() {
            live.track.handle_frame(&frame);
        }
        let end = live
            .tap
            .ended()
            .or_else(|| live.tap.position(now))
            .unwrap_or(0);
        while let Some(chunk) = live.track.finish(end) {
            live.write(&chunk, call, faults);
        }
        let Live { writer, over, .. } = live;
        let sealed = writer.finish();
        if let Err(cut) = &sealed {
            tracing::error!(%call, fault = %cut.fault, "a recording has no end");
            faults.push((call, Trouble::Fault));
        }
        match over {
            Some(Over { record, .. }) => self.rows.put(Row::Ended { record, sealed }),
            // Without the call's own end the next start recovers the row from the file.
            None => tracing::warn!(%call, "a recording ended before its call"),
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

/// What went wrong with one recording in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    DiskFull,
    Fault,
    Behind,
}

impl Live {
    /// Seals a chunk; one that cannot be written becomes a gap, and the next one is tried again.
    fn write(&mut self, chunk: &media::Chunk, call: CallId, faults: &mut Vec<(CallId, Trouble)>) {
        let gaps: Vec<Gap> = chunk.gaps.iter().map(marked).collect();
        let sealed = Chunk {
            start: chunk.start,
            samples: chunk.samples,
            carrier: &chunk.carrier,
            city: &chunk.city,
            gaps: &gaps,
        };
        match self.writer.append(&sealed) {
            Ok(()) => self.is_interrupted = false,
            Err(fault) if !self.is_interrupted => {
                self.is_interrupted = true;
                tracing::error!(%call, %fault, "a chunk was lost; the recording has a gap");
                faults.push((
                    call,
                    if fault.is_disk_full() {
                        Trouble::DiskFull
                    } else {
                        Trouble::Fault
                    },
                ));
            }
            Err(_) => {} // Told when the interruption began.
        }
    }
}

fn marked(gap: &media::Gap) -> Gap {
    let channel = match gap.side {
        Side::Carrier => Channel::Carrier,
        Side::Department => Channel::City,
    };
    Gap {
        channel,
        start: gap.start,
        samples: gap.samples,
    }
}

fn stored(codec: Codec) -> storage::Codec {
    match codec {
        Codec::Pcmu => storage::Codec::Pcmu,
        Codec::Pcma => storage::Codec::Pcma,
    }
}

fn call_of(order: &RecordOrder) -> CallId {
    match order {
        RecordOrder::Begin(begin) => begin.call,
        RecordOrder::End { call, .. } => *call,
        RecordOrder::Unrecorded { record, .. } => record.call_id,
    }
}

#[cfg(test)]
mod tests {
    use rules::{EndCause, Number, RecordingId, RetentionPolicy};
    use storage::{Disk, Layout, MemoryDisk, Spool};

    use super::*;
    use crate::rows;

    fn ended(recording: RecordingId) -> CallRecord {
        let at = Timestamp::now();
        CallRecord {
            call_id: CallId::new(at, 1),
            recording: Some(recording),
            called: Number::parse("0783331000").unwrap(),
            department: "daihyo".to_owned(),
            started_at: at,
            answered_at: Some(at),
            ended_at: Some(at),
            end_cause: Some(EndCause::CallerHungUp),
            emergency: None,
            notice: None,
            unrecorded: None,
        }
    }

    #[test]
    fn a_recording_that_ends_and_never_began_leaves_a_row_that_says_so() {
        let folder = std::env::temp_dir().join(format!("denwaban-recorder-{}", std::process::id()));
        let on_disk = Layout::new(folder.join("data"), folder.join("root"));
        on_disk.make_folders(&storage::OsDisk).unwrap();
        let (desk, desk_thread) = Desk::begin(&on_disk).unwrap();
        let layout = Layout::new("/data", "/root");
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        layout.make_folders(&*disk).unwrap();
        let retention = RetentionPolicy::default();
        let vault = Arc::new(Vault::new(Arc::clone(&disk), &layout, retention));
        let sealer = Arc::new(Sealer::new(Arc::clone(&disk), &layout));
        let (rows, rows_thread) = Rows::begin(rows::Beginning {
            spool: Spool::new(disk, &layout),
            sealer: Arc::clone(&sealer),
            vault: Arc::clone(&vault),
            retention,
            desk: desk.clone(),
            nudge: Arc::default(),
        })
        .unwrap();
        let (_work, inbox) = sync_channel(1);
        let (events, _told) = mpsc::channel(1);
        let mut worker = Worker {
            inbox,
            vault,
            sealer,
            rows,
            desk: desk.clone(),
            events,
            clock: Clock::begin(),
            live: BTreeMap::new(),
            is_disk_full: false,
        };
        let recording = RecordingId::new(Timestamp::now(), 2);
        let record = ended(recording);

        worker.obey(RecordOrder::End {
            call: record.call_id,
            record: Box::new(record),
        });
        rows_thread.stop();
        desk.stop();
        desk_thread.join().unwrap();
        std::fs::remove_dir_all(folder).unwrap();

        let files = memory.everything();
        let spooled: Vec<&[u8]> = files
            .iter()
            .filter(|(path, _)| path.starts_with(layout.spool()))
            .map(|(_, bytes)| &bytes[..])
            .collect();
        let spooled = String::from_utf8(spooled.concat()).unwrap();
        assert!(spooled.contains("\"RECORDER_FAULT\""), "{spooled}");
        assert!(!spooled.contains(&recording.to_string()), "{spooled}");
    }
}
