//! The system's disk, beside which something else happens: a kill, or somebody who acts meanwhile.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use storage::{Disk, DiskFile, OsDisk};

/// What reaches the system's disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// Something that a kill may come before or after: a sync, or a name.
    Boundary,
    /// Bytes of all files are synced.
    Bytes,
    Other,
}

/// The system's disk, beside which something else happens.
struct Beside<F> {
    happens: F,
}

impl<F: Fn(Reached) -> io::Result<()> + Send + Sync> Disk for Beside<F> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.read(path))
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.len(path))
    }
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.create(path, mode))
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.append(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.happens)(Reached::Boundary).and_then(|()| OsDisk.rename(from, to))
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        (self.happens)(Reached::Boundary).and_then(|()| OsDisk.unlink(path))
    }
    fn overwrite(&self, path: &Path) -> io::Result<()> {
        (self.happens)(Reached::Boundary).and_then(|()| OsDisk.overwrite(path))
    }
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.make_folder(path, mode))
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.remove_folder(path))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        (self.happens)(Reached::Other).and_then(|()| OsDisk.list(folder))
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        (self.happens)(Reached::Boundary).and_then(|()| OsDisk.sync_folder(folder))
    }
    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        (self.happens)(Reached::Bytes).and_then(|()| OsDisk.sync_all(folder))
    }
}

/// The disk of a process that is killed at the n-th boundary: from there on nothing of it happens.
pub fn dying(n: usize) -> (Arc<dyn Disk>, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(n));
    let counted = Arc::clone(&left);
    let happens = move |reached| {
        if reached != Reached::Other && counted.load(Ordering::SeqCst) > 0 {
            counted.fetch_sub(1, Ordering::SeqCst);
        }
        match counted.load(Ordering::SeqCst) {
            0 => Err(io::Error::other("the process was killed")),
            _ => Ok(()),
        }
    };
    (Arc::new(Beside { happens }), left)
}

/// The disk beside which something happens so many times, when bytes are copied and have no name yet.
pub fn when_copied(times: usize, act: impl Fn() + Send + Sync + 'static) -> Arc<dyn Disk> {
    let syncs = AtomicUsize::new(0);
    let happens = move |reached| {
        if reached == Reached::Bytes && syncs.fetch_add(1, Ordering::SeqCst) < times {
            act();
        }
        Ok(())
    };
    Arc::new(Beside { happens })
}
