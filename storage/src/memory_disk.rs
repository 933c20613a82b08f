//! A disk in memory that breaks when it is told to: the fault seam of every test above it.
//!
//! It keeps two truths: what was written, and what was made durable. Files become durable by
//! their own sync, names by the sync of their folder; folders themselves are durable at once.
//! After a freeze every request is refused, and [`MemoryDisk::after_power_cut`] gives the disk
//! that the next start would find.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::files::{Disk, DiskFile};

/// What shall go wrong. Counts begin at 1 and run over the whole disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// All files together may not hold more bytes than this (a full disk).
    pub capacity_bytes: Option<u64>,
    /// This write is refused, and writes half of its bytes first.
    pub refused_write: Option<u64>,
    /// This sync (of a file, a folder or all) is refused.
    pub refused_sync: Option<u64>,
    /// The power goes in this sync, before it has any effect.
    pub freeze_at_sync: Option<u64>,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    folders: BTreeSet<PathBuf>,
    faults: Faults,
    write_count: u64,
    sync_count: u64,
    is_frozen: bool,
}

#[derive(Clone, Default)]
struct Inode {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// How many bytes both have alike: a sync copies what follows them.
    synced_bytes: usize,
}

impl Inode {
    fn durable(bytes: Vec<u8>) -> Inode {
        Inode {
            synced_bytes: bytes.len(),
            durable: bytes.clone(),
            written: bytes,
        }
    }

    fn sync(&mut self) {
        self.durable.truncate(self.synced_bytes);
        self.durable
            .extend_from_slice(&self.written[self.synced_bytes..]);
        self.synced_bytes = self.written.len();
    }
}

impl MemoryDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// Sets what goes wrong from here on; the counts go on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Writes so far, refused ones included.
    #[must_use]
    pub fn write_count(&self) -> u64 {
        self.lock().write_count
    }

    /// Syncs so far, refused ones included.
    #[must_use]
    pub fn sync_count(&self) -> u64 {
        self.lock().sync_count
    }

    /// The disk as the next start finds it if the power goes now: only what was made durable.
    #[must_use]
    pub fn after_power_cut(&self) -> MemoryDisk {
        let mut state = self.lock().clone();
        state.names = state.durable_names.clone();
        // A folder whose removal is not durable is there again, with what it held.
        let paths: Vec<PathBuf> = state.names.keys().cloned().collect();
        for folder in paths.iter().filter_map(|path| path.parent()) {
            state.add_folder(folder);
        }
        for inode in state.inodes.values_mut() {
            *inode = Inode::durable(std::mem::take(&mut inode.durable));
        }
        state.thaw()
    }

    /// The disk as the next start finds it if the process is killed now: all that was written.
    #[must_use]
    pub fn after_kill(&self) -> MemoryDisk {
        let mut state = self.lock().clone();
        state.durable_names = state.names.clone();
        state.inodes.values_mut().for_each(Inode::sync);
        state.thaw()
    }

    /// Every byte that any name still reaches, by path: for searches.
    #[must_use]
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let reached = state.names.iter().filter_map(|(path, inode)| {
            state
                .inodes
                .get(inode)
                .map(|inode| (path.clone(), inode.written.clone()))
        });
        reached.collect()
    }

    /// Every name that there is.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// Puts a file there, durable, past all faults: for tests that damage things.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock();
        let inode = state.new_inode();
        state.inodes.insert(inode, Inode::durable(bytes.to_vec()));
        state.names.insert(path.to_owned(), inode);
        state.durable_names.insert(path.to_owned(), inode);
        if let Some(folder) = path.parent() {
            state.add_folder(folder);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn thaw(mut self) -> MemoryDisk {
        self.is_frozen = false;
        self.faults = Faults::default();
        self.write_count = 0;
        self.sync_count = 0;
        MemoryDisk {
            state: Arc::new(Mutex::new(self)),
        }
    }

    fn check_power(&self) -> io::Result<()> {
        match self.is_frozen {
            true => Err(io::Error::other("the power is gone")),
            false => Ok(()),
        }
    }

    fn begin_sync(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.sync_count += 1;
        if self.faults.freeze_at_sync == Some(self.sync_count) {
            self.is_frozen = true;
            return self.check_power();
        }
        match self.faults.refused_sync == Some(self.sync_count) {
            true => Err(io::Error::other("sync refused")),
            false => Ok(()),
        }
    }

    fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    fn add_folder(&mut self, path: &Path) {
        for folder in path.ancestors() {
            self.folders.insert(folder.to_owned());
        }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.check_power()?;
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used_bytes(&self) -> u64 {
        let lengths = self
            .names
            .values()
            .filter_map(|inode| self.inodes.get(inode));
        lengths.map(|inode| inode.written.len() as u64).sum()
    }

    fn write(&mut self, inode: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_power()?;
        self.write_count += 1;
        let room = match self.faults.capacity_bytes {
            Some(capacity) => capacity.saturating_sub(self.used_bytes()),
            None => u64::MAX,
        };
        let (taken, outcome) = if self.faults.refused_write == Some(self.write_count) {
            (bytes.len() / 2, Err(io::Error::other("write refused")))
        } else if (bytes.len() as u64) > room {
            let taken = usize::try_from(room).unwrap_or(bytes.len());
            (taken, Err(io::ErrorKind::StorageFull.into()))
        } else {
            (bytes.len(), Ok(()))
        };
        let inode = self.inodes.get_mut(&inode).ok_or(io::ErrorKind::NotFound)?;
        inode.written.extend_from_slice(&bytes[..taken]);
        outcome
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let inode = state.find(path)?;
        Ok(state.inodes[&inode].written.clone())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.lock();
        let inode = state.find(path)?;
        Ok(state.inodes[&inode].written.len() as u64)
    }

    fn create(&self, path: &Path, _mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.check_power()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path
            .parent()
            .is_some_and(|folder| state.folders.contains(folder))
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = state.new_inode();
        state.inodes.insert(inode, Inode::default());
        state.names.insert(path.to_owned(), inode);
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.lock().find(path)?;
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.find(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn overwrite(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.find(path)?;
        state.begin_sync()?;
        let inode = state
            .inodes
            .get_mut(&inode)
            .ok_or(io::ErrorKind::NotFound)?;
        inode.written.fill(0);
        inode.synced_bytes = 0;
        inode.sync();
        Ok(())
    }

    fn make_folder(&self, path: &Path, _mode: u32) -> io::Result<()> {
        let mut state = self.lock();
        state.check_power()?;
        state.add_folder(path);
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check_power()?;
        if state.names.keys().any(|name| name.starts_with(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        match state.folders.remove(path) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.check_power()?;
        if !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = |path: &&PathBuf| path.parent() == Some(folder);
        let files = state.names.keys().filter(inside);
        let folders = state.folders.iter().filter(inside);
        let name = |path: &PathBuf| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let names: BTreeSet<String> = files.chain(folders).filter_map(name).collect();
        Ok(names.into_iter().collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin_sync()?;
        let State {
            durable_names,
            folders,
            ..
        } = &mut *state;
        // Its own names as they are, and nothing in folders that were removed from it.
        durable_names.retain(|path, _| {
            let parent = path.parent().unwrap_or(path);
            parent != folder && (folders.contains(parent) || parent.parent() != Some(folder))
        });
        let inside = state
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder));
        let inside: Vec<_> = inside.map(|(path, inode)| (path.clone(), *inode)).collect();
        state.durable_names.extend(inside);
        Ok(())
    }

    fn sync_all(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin_sync()?;
        state.durable_names = state.names.clone();
        state.inodes.values_mut().for_each(Inode::sync);
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: u64,
}

impl DiskFile for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.lock().write(self.inode, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.begin_sync()?;
        let inode = state
            .inodes
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        inode.sync();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check_power()?;
        let inode = state
            .inodes
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        inode.written.resize(length, 0);
        inode.synced_bytes = inode.synced_bytes.min(length);
        Ok(())
    }
}
