//! The slot in which the emergency's state waits for its file: the newest state alone, beside every queue.
//!
//! A thread of its own saves it, so that neither a full queue nor an audit file that hangs keeps it from the disk. Whoever declared may
//! wait until the save was tried; the emergency holds either way (law 1).

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rules::{AlarmCode, EmergencyState};
use storage::{Disk, EmergencyFileFault, Layout};

/// How often a save that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The slot as everybody but its thread sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EmergencySlot {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    /// The state that is not saved yet.
    unsaved: Option<EmergencyState>,
    /// How many states were put, and the last of them that was tried and that was saved.
    put: u64,
    tried: u64,
    saved: u64,
    is_closed: bool,
}

/// What became of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Save {
    /// It, or a newer one, is in its file.
    Done,
    /// It is in memory only; the save is tried again and again.
    Waiting,
}

impl EmergencySlot {
    /// Begins the thread that saves what is put.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(
        layout: &Layout,
        disk: Arc<dyn Disk>,
    ) -> io::Result<(EmergencySlot, JoinHandle<()>)> {
        let slot = EmergencySlot::default();
        let (shared, layout) = (Arc::clone(&slot.shared), layout.clone());
        let thread = thread::Builder::new()
            .name("emergency-file".to_owned())
            .spawn(move || shared.save_until_closed(&layout, &*disk))?;
        Ok((slot, thread))
    }

    /// Puts a state in the place of whatever waits there; never waits.
    pub(crate) fn put(&self, state: EmergencyState) {
        let mut slot = self.shared.lock();
        slot.unsaved = Some(state);
        slot.put += 1;
        drop(slot);
        self.shared.changed.notify_all();
    }

    /// Waits until the newest state was tried to save, at most for `patience`.
    pub(crate) fn tried(&self, patience: Duration) -> Save {
        let until = Instant::now() + patience;
        let mut slot = self.shared.lock();
        let wanted = slot.put;
        while slot.tried < wanted {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Save::Waiting;
            }
            slot = self.shared.wait(slot, left);
        }
        if slot.saved >= wanted {
            Save::Done
        } else {
            Save::Waiting
        }
    }

    /// Tells the thread to save what is there, once more, and end.
    pub(crate) fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // The slot is whole between any two statements; a panic elsewhere does not spoil it.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, slot: MutexGuard<'s, Slot>, patience: Duration) -> MutexGuard<'s, Slot> {
        let woken = self.changed.wait_timeout(slot, patience);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn save_until_closed(&self, layout: &Layout, disk: &dyn Disk) {
        let mut slot = self.lock();
        loop {
            let is_last = slot.is_closed;
            if let Some(state) = slot.unsaved.clone() {
                let number = slot.put;
                drop(slot);
                let saved = storage::save_emergency(disk, layout, &state);
                slot = self.lock();
                slot.note(number, saved);
                self.changed.notify_all();
            }
            if is_last {
                return;
            }
            if !slot.is_closed && slot.tried == slot.put {
                slot = self.wait(slot, RETRY);
            }
        }
    }
}

impl Slot {
    fn note(&mut self, number: u64, saved: Result<(), EmergencyFileFault>) {
        self.tried = number;
        match saved {
            Ok(()) => {
                self.saved = number;
                self.unsaved.take_if(|_| self.put == number);
            }
            Err(fault) => {
                tracing::error!(%fault, code = AlarmCode::EmergencyNotSaved.code(), "the emergency holds but is not saved");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::{Faults, MemoryDisk};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn slot(disk: &MemoryDisk) -> (EmergencySlot, JoinHandle<()>, Layout) {
        let layout = Layout::new("/data", "/root");
        layout.make_folders(disk).unwrap();
        let (slot, thread) = EmergencySlot::begin(&layout, Arc::new(disk.clone())).unwrap();
        (slot, thread, layout)
    }

    #[test]
    fn whoever_waits_hears_whether_the_state_is_on_disk() {
        let disk = MemoryDisk::new();
        let (slot, thread, layout) = slot(&disk);
        slot.put(EmergencyState::default());
        assert_eq!(slot.tried(PATIENCE), Save::Done);
        assert!(disk.read(&layout.emergency()).is_ok());
        slot.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_state_that_finds_no_room_is_tried_again_and_nobody_waits_for_that() {
        let disk = MemoryDisk::new();
        let (slot, thread, layout) = slot(&disk);
        disk.set_faults(Faults {
            capacity_bytes: Some(0),
            ..Faults::default()
        });
        slot.put(EmergencyState::default());
        assert_eq!(slot.tried(PATIENCE), Save::Waiting);
        disk.set_faults(Faults::default());
        slot.close();
        thread.join().unwrap();
        assert!(disk.read(&layout.emergency()).is_ok());
    }
}
