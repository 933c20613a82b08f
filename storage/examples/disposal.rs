//! What a disposal costs: `cargo run -p denwaban-storage --example disposal DIR [ROWS] [DAY]`.
//!
//! A catalogue of ROWS recordings over 90 days (600,000 unless given), of which DAY (6,700) are of the day that is due, each with
//! its file. Every row has a sealed caller, as in service. Prints CPU and wall time of the plan and of the disposal.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and is over when it fails"
)]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, CallId, CallRecord, Caller, EndCause, JstDay, Number, Reason, RecordingId,
    RecordingState, RetentionPolicy,
};
use storage::{
    AuditTrail, Catalogue, Disk, Duty, Keys, Layout, Office, OsDisk, Row, SealedCaller, Sealer,
    Signing, Spool, SpoolEntry, Vault, dispose_due, plan_due,
};

const DAYS: usize = 90;
/// A minute of two-way G.711 is a megabyte; what a file holds costs a removal little.
const FILE: [u8; 4096] = [0x5a; 4096];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let mut count = |default| {
        let given = arguments.next();
        given.map_or(default, |text: String| text.parse::<usize>().unwrap())
    };
    let (rows, day) = (count(600_000), count(6_700));
    let folder = Path::new(&folder).join("disposal-measurement");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(&folder, rows, day));
    fs::remove_dir_all(&folder).unwrap();
}

async fn measure(folder: &Path, rows: usize, day: usize) {
    let layout = Layout::new(folder.join("data"), folder.join("root"));
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    layout.make_folders(&OsDisk).unwrap();
    let begun: Timestamp = "2026-08-01T03:00:00Z".parse().unwrap();
    let mut keys = Keys::create(Arc::clone(&disk), &layout, begun).unwrap();
    keys.make_ahead(begun).unwrap();
    let vault = Vault::new(Arc::clone(&disk), &layout, RetentionPolicy::default());
    let sealer = Sealer::new(Arc::clone(&disk), &layout);
    let mut catalogue = Catalogue::open(&layout).await.unwrap();
    let first = JstDay::of(begun);
    let caller = Caller::Known(Number::parse("0790000001").unwrap());
    let call = CallId::new(begun, 1);
    let caller = sealer.seal_caller(call, first, &caller).unwrap();
    vault.begin_day(first).unwrap();

    let prepared = Instant::now();
    let mut spool = Spool::new(Arc::clone(&disk), &layout);
    for number in 0..rows {
        let days = match number < day {
            true => 0,
            false => 1 + number % (DAYS - 1),
        };
        let at = begun + (i64::try_from(days).unwrap() * 24).hours();
        let row = row(number, at, &caller);
        if number < day {
            let name = format!("{}-000.krec", row.call.recording.unwrap());
            fs::write(layout.vault_day(first).join(name), FILE).unwrap();
        }
        spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
        if number % 20_000 == 0 || number + 1 == rows {
            spool.flush(at).unwrap();
            let _ = catalogue.take_in(&OsDisk, &layout).await.unwrap();
        }
    }
    println!(
        "{rows} rows, {day} of them due, made in {:.0?}",
        prepared.elapsed()
    );

    let mut trail = AuditTrail::open(Arc::clone(&disk), &layout, Duty::Office).unwrap();
    let signing = Signing::open(&disk, &layout, begun).unwrap();
    let expiry = vault.begin_day(first).unwrap();
    let mut office = Office {
        keys: &mut keys,
        vault: &vault,
        catalogue: &mut catalogue,
        trail: &mut trail,
        signing: Some(signing.key()),
    };
    let (wall, cpu) = (Instant::now(), cpu_time());
    let plan = plan_due(&mut office, expiry).await.unwrap();
    println!(
        "plan: {:.2?} CPU, {:.2?} wall: {plan:?}",
        cpu_time() - cpu,
        wall.elapsed()
    );
    let (wall, cpu) = (Instant::now(), cpu_time());
    let days = dispose_due(&mut office, &Actor::System, expiry)
        .await
        .unwrap();
    println!(
        "disposal: {:.2?} CPU, {:.2?} wall: {days:?}",
        cpu_time() - cpu,
        wall.elapsed()
    );
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
