//! The places of a duty's clients: so many at once, and whoever keeps silent gives way to whoever comes.

use std::{
    collections::BTreeMap,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, PoisonError},
};

/// The places of one duty.
#[derive(Clone, Debug)]
pub(super) struct Places {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug)]
struct Table {
    most: usize,
    next: u64,
    /// Clients whose request has not come yet, the oldest first.
    silent: BTreeMap<u64, UnixStream>,
    /// Clients that are being answered.
    speaking: usize,
}

/// The place of a client that has not made its request; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
}

impl Places {
    /// `most`: places there are.
    pub(super) fn new(most: usize) -> Places {
        let table = Table {
            most,
            next: 0,
            silent: BTreeMap::new(),
            speaking: 0,
        };
        Places {
            table: Arc::new(Mutex::new(table)),
        }
    }

    /// Gives a client a place. When all are taken, the one that has kept silent longest is hung up on; `None` when every
    /// client has made its request and is being answered.
    pub(super) fn take(&self, stream: &UnixStream) -> Option<Place> {
        let mut table = self.lock();
        if table.silent.len() + table.speaking >= table.most {
            let (_, longest_silent) = table.silent.pop_first()?;
            // It may have gone already.
            let _ = longest_silent.shutdown(Shutdown::Both);
        }
        let number = table.next;
        table.next += 1;
        table.silent.insert(number, stream.try_clone().ok()?);
        drop(table);
        Some(Place {
            places: self.clone(),
            number,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        // Counts cannot be left half done; a panic elsewhere does not spoil them.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The client has made its request, and keeps its place until what is returned is dropped; `None` when a newer client has it.
    pub(super) fn spoke(&self) -> Option<Speaking> {
        let mut table = self.places.lock();
        table.silent.remove(&self.number)?;
        table.speaking += 1;
        drop(table);
        Some(Speaking(self.places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().silent.remove(&self.number);
    }
}

/// The place of a client that is being answered.
#[derive(Debug)]
pub(super) struct Speaking(Places);

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.lock().speaking -= 1;
    }
}
