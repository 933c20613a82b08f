//! In this world a disk panics, a call's end is lost or crosses a recording that never began.

use std::path::Path;

use rules::{
    Declaration, EmergencyId, EndCause, Notice, Number, RecordingId, RetentionPolicy, Scope,
};
use storage::{Disk, DiskFile, Keys, Layout, MemoryDisk, Spool};

use exchange::Next;

use super::*;
use crate::rows::{self, RowsThread};

/// A disk in memory on which whatever touches the file of one recording panics, from the armed moment on.
#[derive(Clone, Default)]
struct PanickingDisk {
    memory: MemoryDisk,
    at: Arc<std::sync::Mutex<Option<(RecordingId, Moment)>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Creating,
    Writing,
}

struct PanickingFile {
    file: Box<dyn DiskFile>,
    disk: PanickingDisk,
    path: std::path::PathBuf,
}

impl PanickingDisk {
    fn touch(&self, path: &Path, moment: Moment) {
        let armed = *self.at.lock().unwrap_or_else(|held| held.into_inner());
        if let Some((recording, when)) = armed {
            let is_its = path.to_string_lossy().contains(&recording.to_string());
            assert!(
                !(is_its && when == moment),
                "a broken invariant of the disk"
            );
        }
    }
}

impl DiskFile for PanickingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.touch(&self.path, Moment::Writing);
        self.file.write(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.cut(length)
    }
}

impl Disk for PanickingDisk {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        self.touch(path, Moment::Creating);
        Ok(Box::new(PanickingFile {
            file: self.memory.create(path, mode)?,
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.memory.read(path)
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        self.memory.len(path)
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.memory.append(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.memory.rename(from, to)
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.memory.unlink(path)
    }
    fn overwrite(&self, path: &Path) -> io::Result<()> {
        self.memory.overwrite(path)
    }
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.memory.make_folder(path, mode)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.memory.remove_folder(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.memory.list(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.memory.sync_folder(folder)
    }
    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        self.memory.sync_all(folder)
    }
}

/// A recorder whose turns the test takes itself, with everything behind it.
struct House {
    worker: Worker,
    disk: PanickingDisk,
    layout: Layout,
    told: mpsc::Receiver<Order>,
    rows: RowsThread,
    desk: Desk,
    desk_thread: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let on_disk = Layout::new(folder.path().join("data"), folder.path().join("root"));
        on_disk.make_folders(&storage::OsDisk).unwrap();
        let (desk, desk_thread) = Desk::begin(&on_disk).unwrap();
        let layout = Layout::new("/data", "/root");
        let panicking = PanickingDisk::default();
        let disk: Arc<dyn Disk> = Arc::new(panicking.clone());
        layout.make_folders(&*disk).unwrap();
        let mut keys = Keys::create(Arc::clone(&disk), &layout, Timestamp::now()).unwrap();
        keys.make_ahead(Timestamp::now()).unwrap();
        let retention = RetentionPolicy::default();
        let vault = Arc::new(Vault::new(Arc::clone(&disk), &layout, retention));
        let sealer = Arc::new(Sealer::new(Arc::clone(&disk), &layout));
        let (rows, rows_thread) = Rows::begin(rows::Beginning {
            spool: Spool::new(disk, &layout),
            sealer: Arc::clone(&sealer),
            vault: Arc::clone(&vault),
            desk: desk.clone(),
            nudge: Arc::default(),
        })
        .unwrap();
        let (_work, inbox) = sync_channel(1);
        let (events, told) = mpsc::channel(16);
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
        House {
            worker,
            disk: panicking,
            layout,
            told,
            rows: rows_thread,
            desk,
            desk_thread,
            _folder: folder,
        }
    }

    fn panic_at(&self, recording: RecordingId, moment: Moment) {
        *self.disk.at.lock().unwrap() = Some((recording, moment));
    }

    /// Begins a recording; returns the fork that the shard would hold.
    fn begin(&mut self, record: &CallRecord) -> media::Fork {
        let (fork, tap) = media::channel(200);
        let recording = record.recording.unwrap();
        self.worker.obey(RecordOrder::Begin(Box::new(Begin {
            call: record.call_id,
            recording,
            notice: notice(&record.called),
            tap,
            record: CallRecord {
                ended_at: None,
                end_cause: None,
                ..record.clone()
            },
            caller: Caller::Anonymous,
            codecs: exchange::Codecs {
                carrier: Codec::Pcmu,
                department: Codec::Pcmu,
            },
        })));
        fork
    }

    fn end(&mut self, record: &CallRecord) {
        self.worker.obey(RecordOrder::End {
            call: record.call_id,
            record: Box::new(record.clone()),
        });
    }

    /// What the exchange was told of.
    fn told(&mut self) -> Vec<(CallId, RecorderFault)> {
        let orders = std::iter::from_fn(|| self.told.try_recv().ok());
        orders
            .filter_map(|order| match order {
                Order::Recorder(RecorderEvent { call, fault }) => Some((call, fault)),
                _ => None,
            })
            .collect()
    }

    /// Ends the threads and returns the rows on their way to the office, as `CALL STATE`.
    fn rows(self) -> Vec<String> {
        self.rows.stop();
        self.desk.stop();
        self.desk_thread.join().unwrap();
        let files = self.disk.memory.everything();
        let spooled = files
            .iter()
            .filter(|(path, _)| path.starts_with(self.layout.spool()))
            .flat_map(|(_, bytes)| bytes.split(|byte| *byte == b'\n'));
        // Each line is a JSON object behind its checksum.
        spooled
            .filter_map(|line| {
                line.iter()
                    .position(|byte| *byte == b'{')
                    .map(|at| &line[at..])
            })
            .map(|line| serde_json::from_slice(line).unwrap())
            .map(|entry: serde_json::Value| summary(&entry))
            .collect()
    }
}

fn summary(entry: &serde_json::Value) -> String {
    let (row, call) = (&entry["row"], &entry["row"]["call"]);
    let number = call["call_id"].as_str().unwrap().chars().last().unwrap();
    let texts = [&row["state"], &call["end_cause"], &call["unrecorded"]];
    let texts = texts.map(|value| value.as_str().unwrap_or("-"));
    format!("call {number}: {}", texts.join(" "))
}

fn notice(called: &Number) -> Notice {
    let now = Timestamp::now();
    let mut state = rules::EmergencyState::default();
    let declaration = Declaration {
        id: EmergencyId::new(now, 9),
        scope: Scope::All,
        reason: "a test".to_owned(),
        duration: None,
        declared_by: None,
        unix_user: "root".to_owned(),
    };
    let emergency = state.declare(declaration, now).unwrap();
    Notice::waived_by_emergency(emergency, called, now).unwrap()
}

fn ended(number: u128) -> CallRecord {
    let at = Timestamp::now();
    CallRecord {
        call_id: CallId::new(at, number),
        recording: Some(RecordingId::new(at, number + 1_000)),
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
    let mut house = House::new();
    house.end(&ended(1));
    assert_eq!(
        house.rows(),
        ["call 1: unrecorded CALLER_HUNG_UP RECORDER_FAULT"]
    );
}

#[test]
fn a_panic_ends_the_recording_it_happened_in_and_no_other() {
    let mut house = House::new();
    let (broken, sound, later) = (ended(1), ended(2), ended(3));
    let forks = [house.begin(&broken), house.begin(&sound)];
    house.panic_at(broken.recording.unwrap(), Moment::Writing);
    drop(forks);
    house.end(&broken);
    house.end(&sound);
    house.worker.turn(Instant::now());
    assert_eq!(house.told(), [(broken.call_id, RecorderFault::Interrupted)]);
    drop(house.begin(&later));
    house.end(&later);
    house.worker.turn(Instant::now());
    // The next start recovers the broken one from its file, and its row from that.
    assert_eq!(
        house.rows(),
        [
            "call 1: open - -",
            "call 2: open - -",
            "call 2: sealed CALLER_HUNG_UP -",
            "call 3: open - -",
            "call 3: sealed CALLER_HUNG_UP -",
        ]
    );
}

#[test]
fn a_recording_that_a_panic_kept_from_beginning_is_told_and_its_end_leaves_a_row() {
    let mut house = House::new();
    let record = ended(1);
    house.panic_at(record.recording.unwrap(), Moment::Creating);
    let _fork = house.begin(&record);
    assert_eq!(house.told(), [(record.call_id, RecorderFault::NotBegun)]);
    house.end(&record);
    assert_eq!(
        house.rows(),
        ["call 1: unrecorded CALLER_HUNG_UP RECORDER_FAULT"]
    );
}

#[test]
fn the_end_of_a_call_finds_its_recording_that_a_panic_had_ended_before() {
    let mut house = House::new();
    let record = ended(1);
    let _fork = house.begin(&record);
    house
        .worker
        .close_broken(record.call_id, Instant::now(), &mut Vec::new());
    house.end(&record);
    assert!(house.worker.closed.is_empty());
    assert_eq!(
        house.rows(),
        ["call 1: open - -", "call 1: sealed CALLER_HUNG_UP -"]
    );
}

#[test]
fn a_recording_whose_end_was_lost_is_closed_ten_minutes_after_its_fork() {
    let mut house = House::new();
    let (lost, live) = (ended(1), ended(2));
    drop(house.begin(&lost));
    let _fork = house.begin(&live);
    let begun = Instant::now();
    house.worker.turn(begun);
    house.worker.give_up_lost(begun + Duration::from_secs(599));
    assert_eq!(house.worker.live.len(), 2);
    house.worker.give_up_lost(begun + Duration::from_secs(601));
    assert_eq!(
        house.worker.live.len(),
        1,
        "a fork that is there may be silent for hours"
    );
    assert_eq!(
        house.rows(),
        ["call 1: open - -", "call 2: open - -", "call 1: sealed - -"]
    );
}

#[test]
fn a_recording_goes_on_as_its_next_segment_when_the_fork_of_the_first_is_gone() {
    let mut house = House::new();
    let record = ended(1);
    let fork = house.begin(&record);
    let (next_fork, tap) = media::channel(200);
    house.worker.obey(RecordOrder::Next(Box::new(Next {
        call: record.call_id,
        tap,
        codecs: exchange::Codecs {
            carrier: Codec::Pcmu,
            department: Codec::Pcma,
        },
    })));
    let begun = Instant::now();
    house.worker.turn(begun);
    assert_eq!(
        house.worker.live[&record.call_id].segment, 0,
        "it is still there"
    );
    drop(fork);
    house.worker.turn(begun + TURN);
    assert_eq!(house.worker.live[&record.call_id].segment, 1);
    house.end(&record);
    drop(next_fork);
    house.worker.turn(begun + 2 * TURN);
    assert!(house.worker.live.is_empty());
    let files = house.disk.memory.everything();
    let segments = files
        .iter()
        .filter(|(path, _)| path.starts_with(house.layout.vault()))
        .filter(|(path, _)| path.extension().is_some_and(|kind| kind == "krec"));
    assert_eq!(segments.count(), 2);
    assert_eq!(
        house.rows(),
        ["call 1: open - -", "call 1: sealed CALLER_HUNG_UP -"]
    );
}

#[test]
fn a_call_that_ends_before_its_next_segment_began_has_both() {
    let mut house = House::new();
    let record = ended(1);
    let fork = house.begin(&record);
    let (next_fork, tap) = media::channel(200);
    house.worker.obey(RecordOrder::Next(Box::new(Next {
        call: record.call_id,
        tap,
        codecs: exchange::Codecs {
            carrier: Codec::Pcmu,
            department: Codec::Pcmu,
        },
    })));
    house.end(&record);
    drop((fork, next_fork));
    let begun = Instant::now();
    for turn in 0..4 {
        house.worker.turn(begun + turn * TURN);
    }
    assert!(house.worker.live.is_empty());
    assert_eq!(
        house.rows(),
        ["call 1: open - -", "call 1: sealed CALLER_HUNG_UP -"]
    );
}
