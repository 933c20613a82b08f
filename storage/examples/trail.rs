//! What the audit trail costs: `cargo run --release -p denwaban-storage --example trail DIR [ENTRIES]`.
//!
//! Writes a chain of so many entries (ten million) over three years, signs its head, verifies it on one
//! core, and lets 64 askers wait for durable entries, as listeners do.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and is over when it fails"
)]

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan};
use rules::{Action, Actor, AuditDraft, AuditEvent, AuditReceipt, Purpose, RecordingId};
use rustix::time::{ClockId, clock_gettime};
use storage::{AuditTrail, Disk, Duty, Heads, Layout, OsDisk, Signing, verify};

const MONTHS: u64 = 36;
const BATCH: usize = 1_000;
const ASKERS: usize = 64;
const ASKING: Duration = Duration::from_secs(10);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let entries = arguments
        .next()
        .map_or(10_000_000, |text| text.parse().unwrap());
    let folder = Path::new(&folder).join("trail-measurement");
    let layout = Layout::new(folder.join("data"), folder.join("root"));
    layout.make_folders(&OsDisk).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);

    let begun = worked();
    write(&disk, &layout, entries);
    tell("written", entries, begun);

    let signing = Signing::open(&disk, &layout, Timestamp::now()).unwrap();
    let heads = Heads::new(Arc::clone(&disk), &layout);
    let begun = worked();
    let head = heads.sign(Duty::Calls, signing.key()).unwrap().head();
    tell("tiles and head", head.size, begun);
    let begun = worked();
    let report = verify(&*disk, &layout, Duty::Calls, &[head]).unwrap();
    assert!(report.is_whole(), "{report:?}");
    tell("verified", report.entries(), begun);

    ask(&disk, &layout);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// How long this thread had a core: what others do on the machine does not count.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

fn tell(what: &str, entries: u64, begun: Duration) {
    let took = worked() - begun;
    let each = took.as_nanos() / u128::from(entries);
    println!(
        "{what}: {entries} entries in {:.1} s of one core, {each} ns each",
        took.as_secs_f64()
    );
}

fn write(disk: &Arc<dyn Disk>, layout: &Layout, entries: u64) {
    let mut trail = AuditTrail::open(Arc::clone(disk), layout, Duty::Calls).unwrap();
    let first: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
    for month in 0..MONTHS {
        let at = first + i64::try_from(month * 31 * 24).unwrap().hours();
        let mut left = usize::try_from(entries / MONTHS).unwrap();
        while left > 0 {
            let batch = left.min(BATCH);
            let drafts = (0..batch).map(|_| granted()).collect();
            let _ = trail.append_all(drafts, at).unwrap();
            left -= batch;
        }
    }
}

/// As long as entries are.
fn granted() -> AuditDraft {
    AuditDraft {
        actor: Actor::Person {
            unix_user: "denwaban".to_owned(),
            person: Some("sato.hanako".parse().unwrap()),
        },
        event: AuditEvent::ListenGranted {
            recording: RecordingId::new(Timestamp::UNIX_EPOCH, 7),
            action: Action::ListenToFile,
            purpose: Purpose::AnalysisComplaint,
            case: None,
            range_ms: Some((0, 60_000)),
            policy: 1,
        },
    }
}

/// Each asker waits for its entry before it asks again; whatever waits becomes durable with one sync.
fn ask(disk: &Arc<dyn Disk>, layout: &Layout) {
    let mut trail = AuditTrail::open(Arc::clone(disk), layout, Duty::Office).unwrap();
    let (asked, inbox) = mpsc::sync_channel::<mpsc::SyncSender<AuditReceipt>>(ASKERS);
    let askers: Vec<_> = (0..ASKERS)
        .map(|_| {
            let asked = asked.clone();
            thread::spawn(move || {
                let (answer, answered) = mpsc::sync_channel(1);
                while asked.send(answer.clone()).is_ok() {
                    let _receipt = answered.recv();
                }
            })
        })
        .collect();
    drop(asked);
    let (mut grants, mut syncs) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < ASKING {
        let first = inbox.recv().unwrap();
        let waiting: Vec<_> = [first].into_iter().chain(inbox.try_iter()).collect();
        let drafts = waiting.iter().map(|_| granted()).collect();
        let receipts = trail.append_all(drafts, Timestamp::now()).unwrap();
        grants += receipts.len();
        syncs += 1;
        for (answer, receipt) in waiting.into_iter().zip(receipts) {
            answer.send(receipt).unwrap();
        }
    }
    let each = grants as f64 / begun.elapsed().as_secs_f64();
    println!("granted: {grants} durable entries with {syncs} syncs, {each:.0} a second");
    drop(inbox);
    askers.into_iter().for_each(|asker| asker.join().unwrap());
}
