//! The vault on a disk in memory: real segments, sealed by real keys, on a disk that can be filled.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use rules::{CallRecord, Caller, JstDay, RecordingId, RecordingState, RetentionPolicy};
use storage::{
    AudioFacts, Disk, Keys, Layout, MemoryDisk, Row, SealedSegment, Sealer, Spool, SpoolEntry,
    Vault,
    segment::{Inspection, inspect},
};

/// The vault and what it stands on.
pub struct Archive {
    /// The disk, and what is wrong with it.
    pub disk: MemoryDisk,
    /// The vault.
    pub vault: Arc<Vault>,
    /// What can seal and cannot open.
    pub sealer: Sealer,
    /// How long things are kept.
    pub policy: RetentionPolicy,
    spool: Spool,
    /// Ended recordings whose rows wait in the spool.
    ended: Vec<(JstDay, RecordingId)>,
}

impl Archive {
    /// A vault with the keys of a week, or without any.
    pub fn new(has_keys: bool, now: Timestamp) -> Archive {
        let disk = if has_keys {
            disk_with_keys(now)
        } else {
            disk_with_folders()
        };
        Archive::on(disk)
    }

    /// The vault that the next start finds on a disk.
    pub fn on(disk: MemoryDisk) -> Archive {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let policy = RetentionPolicy::new(89).expect("89 days are a policy");
        let vault = Arc::new(Vault::new(Arc::clone(&shared), &layout(), policy));
        let spool = Spool::new(Arc::clone(&shared), &layout());
        Archive {
            disk,
            vault,
            sealer: Sealer::new(shared, &layout()),
            policy,
            spool,
            ended: Vec::new(),
        }
    }

    /// What the segment of a recording says of itself, read without any key.
    pub fn inspect(&self, day: JstDay, recording: RecordingId) -> Inspection {
        let segments = self
            .vault
            .segments(day, recording)
            .expect("the vault's folder can be listed");
        let [segment] = &segments[..] else {
            panic!("one segment, not {}", segments.len())
        };
        let bytes = self.vault.read(segment).expect("a segment can be read");
        inspect(&bytes).expect("a segment explains itself")
    }

    /// Puts a call's row in line for the office, as far as the call has come.
    pub fn put_row(
        &mut self,
        call: &CallRecord,
        caller: &Caller,
        state: RecordingState,
        segment: Option<&SealedSegment>,
    ) {
        let row = Row {
            call: call.clone(),
            // Without the day's key the caller is left out, and the row waits for nothing.
            caller: self
                .sealer
                .seal_caller(call.call_id, call.day(), caller)
                .ok(),
            expires_at: self.policy.expiry(call.day()),
            state,
            audio: segment.map(AudioFacts::from),
        };
        self.spool
            .put(&SpoolEntry::Row(Box::new(row)))
            .expect("a city's rows are few");
        self.ended
            .extend(call.recording.map(|recording| (call.day(), recording)));
    }

    /// Makes the rows durable; on a disk that refuses they wait.
    pub fn flush_rows(&mut self, now: Timestamp) {
        if self.spool.flush(now).is_err() {
            return;
        }
        for (day, recording) in self.ended.drain(..) {
            // A refused name is tried again with the vault's next flush.
            let _ = self.vault.close_recording(day, recording);
        }
    }

    /// Whether these bytes lie anywhere on the disk.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.disk
            .everything()
            .values()
            .any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }
}

/// Where things lie on the disk.
pub fn layout() -> Layout {
    Layout::new("/data", "/root")
}

fn disk_with_folders() -> MemoryDisk {
    let disk = MemoryDisk::new();
    layout()
        .make_folders(&disk)
        .expect("an empty disk takes folders");
    disk
}

/// Made once: what it costs is not what a scenario is about. Every city gets its own copy.
fn disk_with_keys(now: Timestamp) -> MemoryDisk {
    static MADE: OnceLock<MemoryDisk> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let disk = disk_with_folders();
        let mut keys =
            Keys::create(Arc::new(disk.clone()), &layout(), now).expect("an empty disk takes keys");
        keys.make_ahead(now)
            .expect("an empty disk takes a week's keys");
        disk
    });
    made.after_kill()
}
