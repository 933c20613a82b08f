//! A city's archive at full size: rows of 90 days, each with its sealed caller, and files of the days that are asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, CallId, CallRecord, Caller, EndCause, Holds, JstDay, Number, Reason, RecordingId,
    RecordingState, RetentionPolicy,
};
use storage::{
    AuditTrail, Catalogue, Disk, DisposedDay, Duty, Keys, Layout, Office, OsDisk, PlannedDay, Row,
    SealedCaller, Sealer, Signing, Spool, SpoolEntry, Vault, dispose_due, plan_due,
};

const DAYS: usize = 90;
/// A minute of two-way G.711 is a megabyte; what a file holds costs a removal little, and a copy everything.
const SHORT_FILE_BYTES: usize = 4096;

/// Which recordings have their file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// Those of the day that is due.
    Due,
    /// All.
    All,
}

/// How many recordings there are, how many of them are due, and how long a file is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) due: usize,
    pub(crate) file_bytes: usize,
}

impl Size {
    /// `[ROWS] [DUE] [BYTES]` of a command line: 600,000, 6,700 and 4,096 unless given.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Size {
        let mut count = |default| {
            let given = arguments.next();
            given.map_or(default, |text: String| text.parse::<usize>().unwrap())
        };
        Size {
            rows: count(600_000),
            due: count(6_700),
            file_bytes: count(SHORT_FILE_BYTES),
        }
    }
}

/// Measures in a folder of that name under the command line's first argument, and removes the folder.
pub(crate) fn run<F: Future<Output = ()>>(name: &str, measure: impl FnOnce(PathBuf, Size) -> F) {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let folder = Path::new(&folder).join(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(folder.clone(), Size::read(arguments)));
    fs::remove_dir_all(&folder).unwrap();
}

/// The archive.
pub(crate) struct Archive {
    pub(crate) layout: Layout,
    pub(crate) keys: Keys,
    pub(crate) vault: Vault,
    pub(crate) catalogue: Catalogue,
    signing: Signing,
    trail: AuditTrail,
}

/// The day that is due.
pub(crate) fn first_day() -> JstDay {
    JstDay::of(begun())
}

fn begun() -> Timestamp {
    "2026-08-01T03:00:00Z".parse().unwrap()
}

impl Archive {
    /// Fills a folder.
    pub(crate) async fn fill(folder: &Path, size: Size, files: Files) -> Archive {
        let layout = Layout::new(folder.join("data"), folder.join("root"));
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        layout.make_folders(&OsDisk).unwrap();
        let mut keys = Keys::create(Arc::clone(&disk), &layout, begun()).unwrap();
        let vault = Vault::new(Arc::clone(&disk), &layout, RetentionPolicy::default());
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        for days in 0..DAYS {
            keys.make_ahead(later(days)).unwrap();
            vault.begin_day(JstDay::of(later(days))).unwrap();
        }
        let sealer = Sealer::new(Arc::clone(&disk), &layout);
        let number = Caller::Known(Number::parse("0790000001").unwrap());
        let call = CallId::new(begun(), 1);
        let caller = sealer.seal_caller(call, first_day(), &number).unwrap();

        let prepared = Instant::now();
        let mut spool = Spool::new(Arc::clone(&disk), &layout);
        let sound = vec![0x5a; size.file_bytes];
        for number in 0..size.rows {
            let days = match number < size.due {
                true => 0,
                false => 1 + number % (DAYS - 1),
            };
            let row = row(number, later(days), &caller);
            if days == 0 || files == Files::All {
                let name = format!("{}-000.krec", row.call.recording.unwrap());
                let day = JstDay::of(later(days));
                fs::write(layout.vault_day(day).join(name), &sound).unwrap();
            }
            spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
            if number % 20_000 == 0 || number + 1 == size.rows {
                spool.flush(later(days)).unwrap();
                let _ = catalogue.take_in(&OsDisk, &layout).await.unwrap();
            }
        }
        println!(
            "{} rows, {} of them due, made in {:.0?}",
            size.rows,
            size.due,
            prepared.elapsed()
        );
        Archive {
            trail: AuditTrail::open(Arc::clone(&disk), &layout, Duty::Office).unwrap(),
            signing: Signing::open(&disk, &layout, begun()).unwrap(),
            layout,
            keys,
            vault,
            catalogue,
        }
    }

    /// What is due on the evening of the first day's expiry.
    pub(crate) async fn plan(&mut self) -> Vec<PlannedDay> {
        let expiry = self.expiry();
        plan_due(&mut self.office(), Some(&Holds::default()), expiry)
            .await
            .unwrap()
    }

    /// Disposes of it.
    pub(crate) async fn dispose(&mut self) -> Vec<DisposedDay> {
        let expiry = self.expiry();
        dispose_due(&mut self.office(), &Actor::System, expiry)
            .await
            .unwrap()
    }

    fn expiry(&self) -> Timestamp {
        self.vault.begin_day(first_day()).unwrap()
    }

    fn office(&mut self) -> Office<'_> {
        Office {
            keys: &mut self.keys,
            vault: &self.vault,
            catalogue: &mut self.catalogue,
            trail: &mut self.trail,
            signing: Some(self.signing.key()),
            mirror_ends: Some(&[]),
        }
    }
}

fn later(days: usize) -> Timestamp {
    begun() + (i64::try_from(days).unwrap() * 24).hours()
}

fn row(number: usize, at: Timestamp, caller: &SealedCaller) -> Row {
    let id = number as u128 + 1;
    Row {
        call: CallRecord {
            call_id: CallId::new(at, id),
            recording: Some(RecordingId::new(at, id)),
            called: Number::parse("0783331000").unwrap(),
            department: "daihyo".to_owned(),
            started_at: at,
            answered_at: Some(at + 9.seconds()),
            ended_at: Some(at + 180.seconds()),
            end_cause: Some(EndCause::CallerHungUp),
            emergency: None,
            notice: None,
            unrecorded: None::<Reason>,
        },
        caller: Some(caller.clone()),
        expires_at: RetentionPolicy::default().expiry(JstDay::of(at)),
        state: RecordingState::Sealed,
        audio: None,
    }
}

/// Does something and tells what it cost.
pub(crate) async fn timed<T>(what: &str, act: impl Future<Output = T>) -> T {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let outcome = act.await;
    println!(
        "{what}: {:.2?} CPU, {:.2?} wall",
        cpu_time() - cpu,
        wall.elapsed()
    );
    outcome
}

/// What this process has used of all processors: user and system.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name may hold spaces, and ends with the last parenthesis; `utime` and `stime` are fields 14 and 15 of proc(5).
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux that Debian builds.
    Duration::from_millis(ticks * 10)
}
