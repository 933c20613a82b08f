//! The vault: sealed segments, a folder for each JST day, and the instant at which a day expires.
//!
//! A segment is called `RECORDING-NNN.open.krec`, and `RECORDING-NNN.krec` once it is finished and
//! both it *and* its row are durable; so a start finds what a crash left without reading the rest.
//! One flush serves all open files: `docs/decisions/0004-flush.md` has the measurement.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use rules::{Fault, JstDay, RecordingId, RetentionPolicy};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    catalogue::Extent,
    files::{Disk, DiskFile, FRESH_SUFFIX, MODE_SHARED, list_if_there},
    header::{Header, MAX_HEADER_BYTES},
    keys::Sealed,
    layout::{Layout, MODE_TAKEN_AWAY},
    notice_file,
    segment::Chain,
};

const OPEN_SUFFIX: &str = ".open.krec";
const CLOSED_SUFFIX: &str = ".krec";
const EXPIRY_FILE: &str = "expiry";
/// A day and an instant in JSON are 60 octets.
const MAX_EXPIRY_BYTES: usize = 4096;

/// The folder of sealed recordings.
pub struct Vault {
    pub(crate) disk: Arc<dyn Disk>,
    layout: Layout,
    policy: RetentionPolicy,
    state: Mutex<State>,
    is_dirty: AtomicBool,
    /// Held over a flush, so that nobody is told "durable" while another's sync still runs.
    flushing: Mutex<()>,
}

#[derive(Default)]
struct State {
    expiries: BTreeMap<JstDay, Timestamp>,
    /// Finished, under their open names, and what each still waits for.
    finished: BTreeMap<SegmentFile, Awaits>,
}

/// What a finished segment waits for before it gets its closed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    FlushAndRow,
    Flush,
    Row,
}

/// What a part of a removal came to.
pub(crate) struct Removed {
    /// The recordings of which something is still there.
    pub(crate) left: BTreeSet<RecordingId>,
    /// Whether there is more to remove.
    pub(crate) extent: Extent,
}

/// The name of a segment's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentFile {
    /// The day whose folder it lies in.
    pub day: JstDay,
    /// The recording that it is part of.
    pub recording: RecordingId,
    /// Its place in the recording, from 0.
    pub segment: u32,
    pub(crate) stage: FileStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileStage {
    Closed,
    Open,
}

impl Vault {
    /// The vault of an installation. `policy` is what the configuration keeps at most, for days that begin from now on.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, layout: &Layout, policy: RetentionPolicy) -> Vault {
        Vault {
            disk,
            layout: layout.clone(),
            policy,
            state: Mutex::default(),
            is_dirty: AtomicBool::new(false),
            flushing: Mutex::default(),
        }
    }

    /// The vault of another folder of the same city, such as a backup's.
    pub(crate) fn beside(&self, layout: &Layout) -> Vault {
        Vault::new(Arc::clone(&self.disk), layout, self.policy)
    }

    /// When the recordings of a day expire. The first to ask fixes it, by the smaller of the configuration and the policy then in force.
    ///
    /// # Errors
    /// [`VaultFault`] if it can be neither read nor fixed; without it nothing of that day is kept.
    pub fn begin_day(&self, day: JstDay) -> Result<Timestamp, VaultFault> {
        if let Some(expiry) = self.lock().expiries.get(&day) {
            return Ok(*expiry);
        }
        let expiry = match self.fixed_expiry(day)? {
            Some(expiry) => expiry,
            None => self.fix_expiry(day)?,
        };
        self.lock().expiries.insert(day, expiry);
        Ok(expiry)
    }

    /// When the recordings of a day expire, if that is fixed; never later than the rules allow, whatever the file says (要領 5-6).
    ///
    /// # Errors
    /// [`VaultFault`] if the file is there and cannot be read.
    pub fn fixed_expiry(&self, day: JstDay) -> Result<Option<Timestamp>, VaultFault> {
        let path = self.expiry_path(day);
        let bytes = match self.disk.read_short(&path, MAX_EXPIRY_BYTES) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(VaultFault::Disk { path, source }),
        };
        let file: Option<ExpiryFile> = serde_json::from_slice(&bytes).ok();
        match file.filter(|file| file.day == day) {
            Some(file) => {
                let latest = RetentionPolicy::LONGEST.expiry(day);
                Ok(Some(file.expires_at.min(latest)))
            }
            None => Err(VaultFault::ExpiryDamaged { path }),
        }
    }

    /// When a day expires that nobody has begun: by the smaller of what the configuration sets and the policy says of that day.
    #[must_use]
    pub fn policy_expiry(&self, day: JstDay) -> Timestamp {
        let said = notice_file::policy_days(&*self.disk, &self.layout);
        said.within(self.policy, day).expiry(day)
    }

    /// Makes everything durable that was written since the last call, with one sync for all files,
    /// and gives finished segments whose rows are durable their closed names.
    ///
    /// To be called every 300 ms, on a thread that may wait for the disk: that interval is what a
    /// power cut costs.
    ///
    /// # Errors
    /// [`VaultFault::Disk`]; whatever was not made durable is tried again with the next call.
    pub fn flush(&self) -> Result<(), VaultFault> {
        let _alone = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // What is finished while the sync runs waits for the next one.
        let flushed: Vec<SegmentFile> = self.lock().finished.keys().cloned().collect();
        let folder = self.layout.vault();
        if let Err(source) = self.disk.sync_all(&folder) {
            self.note_written();
            return Err(VaultFault::Disk {
                path: folder,
                source,
            });
        }
        flushed
            .iter()
            .try_for_each(|file| self.advance(file, Awaits::Row, Awaits::Flush))
    }

    /// Says that the row of a recording is durable: its finished segments get their closed names,
    /// now or with the flush that makes them durable.
    ///
    /// Until then a start finds them under their open names, and writes down what the row would
    /// have said.
    ///
    /// # Errors
    /// [`VaultFault::Disk`]; the name is tried again with the next flush.
    pub fn close_recording(&self, day: JstDay, recording: RecordingId) -> Result<(), VaultFault> {
        let finished: Vec<SegmentFile> = self.lock().finished.keys().cloned().collect();
        finished
            .iter()
            .filter(|file| (file.day, file.recording) == (day, recording))
            .try_for_each(|file| self.advance(file, Awaits::Flush, Awaits::Row))
    }

    /// Takes a finished segment one step further: to `still`, or, if it waits for nothing but
    /// `this`, to its closed name.
    fn advance(&self, file: &SegmentFile, still: Awaits, this: Awaits) -> Result<(), VaultFault> {
        match self.lock().finished.get_mut(file) {
            Some(awaits @ Awaits::FlushAndRow) => {
                *awaits = still;
                return Ok(());
            }
            Some(awaits) if *awaits == this => {}
            Some(_) | None => return Ok(()),
        }
        let closed = self.close(file);
        let mut state = self.lock();
        match closed {
            Ok(()) => drop(state.finished.remove(file)),
            Err(_) => {
                state.finished.insert(file.clone(), Awaits::Flush);
                self.note_written();
            }
        }
        closed
    }

    /// The files of one recording, in order.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if the day's folder cannot be read.
    pub fn segments(
        &self,
        day: JstDay,
        recording: RecordingId,
    ) -> Result<Vec<SegmentFile>, VaultFault> {
        let mut files = self.files(day)?;
        files.retain(|file| file.recording == recording);
        files.sort_by_key(|file| file.segment);
        Ok(files)
    }

    /// All files of a day.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if the day's folder cannot be read.
    pub fn files(&self, day: JstDay) -> Result<Vec<SegmentFile>, VaultFault> {
        let names = self.names(day)?;
        Ok(names
            .iter()
            .filter_map(|name| SegmentFile::parse(day, name))
            .collect())
    }

    /// The names in a day's folder, or none if it is missing. A link is no day's folder: whoever may write into the vault
    /// must not lead the office elsewhere.
    fn names(&self, day: JstDay) -> Result<Vec<String>, VaultFault> {
        let folder = self.layout.vault_day(day);
        match self.disk.list_unlinked(&folder) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(at(&folder)),
        }
    }

    /// The days that have a folder.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if the vault's folder cannot be read.
    pub fn days(&self) -> Result<Vec<JstDay>, VaultFault> {
        let folder = self.layout.vault();
        let names = list_if_there(&*self.disk, &folder).map_err(at(&folder))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// How many segments are closed, on the days that can be read.
    #[must_use]
    pub fn count_closed(&self) -> u64 {
        let days = self.days().unwrap_or_default().into_iter();
        let files = days.flat_map(|day| self.files(day).unwrap_or_default());
        files.filter(|file| !file.is_open()).count() as u64
    }

    /// Reads a segment's file.
    ///
    /// # Errors
    /// [`VaultFault::Disk`].
    pub fn read(&self, file: &SegmentFile) -> Result<Vec<u8>, VaultFault> {
        let path = self.path(file);
        match self.disk.read(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                // It may have been closed since its folder was listed.
                let path = self.path(&SegmentFile {
                    stage: FileStage::Closed,
                    ..file.clone()
                });
                self.disk.read(&path).map_err(at(&path))
            }
            other => other.map_err(at(&path)),
        }
    }

    /// Makes the file of a new segment.
    pub(crate) fn create(&self, file: &SegmentFile) -> Result<Box<dyn DiskFile>, VaultFault> {
        let path = self.path(file);
        self.disk.create(&path, MODE_SHARED).map_err(at(&path))
    }

    /// Takes away the file of a segment that could not begin: the next start must not find a
    /// recording that never was.
    pub(crate) fn discard(&self, file: &SegmentFile) {
        // What cannot be removed is recovered as a recording without a chunk.
        let _ = self.disk.unlink(&self.path(file));
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Notes that bytes were written which the next flush must make durable.
    pub(crate) fn note_written(&self) {
        self.is_dirty.store(true, Ordering::Release);
    }

    /// Notes a segment whose last byte is written.
    pub(crate) fn note_finished(&self, file: SegmentFile) {
        self.lock().finished.insert(file, Awaits::FlushAndRow);
        self.note_written();
    }

    pub(crate) fn path(&self, file: &SegmentFile) -> PathBuf {
        self.folder(file.day).join(file.name())
    }

    /// The folder of a day.
    pub(crate) fn folder(&self, day: JstDay) -> PathBuf {
        self.layout.vault_day(day)
    }

    /// Gives a file its closed name, if it still has the open one.
    pub(crate) fn close(&self, file: &SegmentFile) -> Result<(), VaultFault> {
        let open = self.path(file);
        let closed = self.path(&SegmentFile {
            stage: FileStage::Closed,
            ..file.clone()
        });
        match self.disk.rename(&open, &closed) {
            // The day may have been disposed of meanwhile.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(at(&open)),
        }
    }

    /// What of a segment has a key, as its header says; `None` where no header can be read, which nobody opens any more.
    pub(crate) fn sealed(&self, file: &SegmentFile) -> Result<Option<Sealed>, VaultFault> {
        let path = self.path(file);
        let front = match self.disk.read_part(&path, 0, MAX_HEADER_BYTES) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                // It may have been closed since its folder was listed.
                let path = self.path(&SegmentFile {
                    stage: FileStage::Closed,
                    ..file.clone()
                });
                self.disk
                    .read_part(&path, 0, MAX_HEADER_BYTES)
                    .map_err(at(&path))?
            }
            other => other.map_err(at(&path))?,
        };
        let header = Header::read(&front, &mut Chain::new()).ok();
        Ok(header.map(|header| Sealed {
            object: header.object(),
            first: header.sealed_to(),
        }))
    }

    /// Removes the segments of one recording; false if one of them is still there.
    pub(crate) fn remove_recording(&self, day: JstDay, recording: RecordingId) -> bool {
        match self.segments(day, recording) {
            Ok(files) => self.unlink(day, &files).is_empty(),
            Err(_) => false,
        }
    }

    /// Removes the segments of some recordings.
    ///
    /// # Returns
    /// The recordings of which something is still there.
    pub(crate) fn remove_recordings(
        &self,
        day: JstDay,
        recordings: &BTreeSet<RecordingId>,
    ) -> Result<BTreeSet<RecordingId>, VaultFault> {
        let mut files = self.files(day)?;
        files.retain(|file| recordings.contains(&file.recording));
        Ok(self.unlink(day, &files))
    }

    /// Removes the segments of a day but those of `kept`; the expiry stays, so that a disposal cut off here goes on.
    ///
    /// # Returns
    /// The recordings of which something is still there.
    pub(crate) fn remove_segments(
        &self,
        day: JstDay,
        kept: &BTreeSet<RecordingId>,
    ) -> Result<BTreeSet<RecordingId>, VaultFault> {
        let mut files = self.files(day)?;
        files.retain(|file| !kept.contains(&file.recording));
        Ok(self.unlink(day, &files))
    }

    /// The same with at most so many files.
    pub(crate) fn remove_part(
        &self,
        day: JstDay,
        kept: &BTreeSet<RecordingId>,
        most: usize,
    ) -> Result<Removed, VaultFault> {
        let mut files = self.files(day)?;
        files.retain(|file| !kept.contains(&file.recording));
        let extent = match files.len() <= most {
            true => Extent::All,
            false => Extent::Part,
        };
        files.truncate(most);
        Ok(Removed {
            left: self.unlink(day, &files),
            extent,
        })
    }

    /// Removes files, each for itself, and tells the recordings of those that would not go.
    fn unlink(&self, day: JstDay, files: &[SegmentFile]) -> BTreeSet<RecordingId> {
        let is_left = |file: &&SegmentFile| match self.disk.unlink(&self.path(file)) {
            Err(fault) => fault.kind() != io::ErrorKind::NotFound,
            Ok(()) => false,
        };
        let left: BTreeSet<RecordingId> = files
            .iter()
            .filter(is_left)
            .map(|file| file.recording)
            .collect();
        // Names that may come back with the next start are not gone.
        let synced = files.is_empty() || self.disk.sync_folder(&self.layout.vault_day(day)).is_ok();
        match synced {
            true => left,
            false => files.iter().map(|file| file.recording).collect(),
        }
    }

    /// Removes what is left of a day, when nothing else of it is left anywhere. What is not the vault's own stays, and the folder with it.
    pub(crate) fn forget_day(&self, day: JstDay) -> Result<(), VaultFault> {
        let folder = self.layout.vault_day(day);
        let mut names = self.names(day)?;
        names.retain(|name| is_own(day, name));
        for name in names {
            let path = folder.join(name);
            self.disk.unlink(&path).map_err(at(&path))?;
        }
        match self.disk.remove_folder(&folder) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(at(&folder))?,
        }
        self.lock().expiries.remove(&day);
        let vault = self.layout.vault();
        self.disk.sync_folder(&vault).map_err(at(&vault))
    }

    fn fix_expiry(&self, day: JstDay) -> Result<Timestamp, VaultFault> {
        let path = self.expiry_path(day);
        let folder = self.layout.vault_day(day);
        let mode = MODE_TAKEN_AWAY;
        self.disk.make_folder(&folder, mode).map_err(at(&folder))?;
        let file = ExpiryFile {
            day,
            expires_at: self.policy_expiry(day),
        };
        let bytes = serde_json::to_vec(&file).expect("a day and an instant are JSON");
        self.disk
            .replace(&path, &bytes, MODE_SHARED)
            .map_err(at(&path))?;
        let vault = self.layout.vault();
        self.disk.sync_folder(&vault).map_err(at(&vault))?;
        Ok(file.expires_at)
    }

    fn expiry_path(&self, day: JstDay) -> PathBuf {
        self.layout.vault_day(day).join(EXPIRY_FILE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is two plain collections; a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the vault makes such a name in a day's folder.
fn is_own(day: JstDay, name: &str) -> bool {
    // What a restore was copying in may be left under its fresh name.
    let name = name.strip_suffix(FRESH_SUFFIX).unwrap_or(name);
    name == EXPIRY_FILE || SegmentFile::parse(day, name).is_some()
}

#[derive(Serialize, Deserialize)]
struct ExpiryFile {
    day: JstDay,
    expires_at: Timestamp,
}

impl SegmentFile {
    pub(crate) fn open(day: JstDay, recording: RecordingId, segment: u32) -> SegmentFile {
        SegmentFile {
            day,
            recording,
            segment,
            stage: FileStage::Open,
        }
    }

    /// The file's name in the folder of its day.
    #[must_use]
    pub fn name(&self) -> String {
        let suffix = match self.stage {
            FileStage::Open => OPEN_SUFFIX,
            FileStage::Closed => CLOSED_SUFFIX,
        };
        format!("{}-{:03}{suffix}", self.recording, self.segment)
    }

    /// True while it is being written, and after a crash until it is recovered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stage == FileStage::Open
    }

    fn parse(day: JstDay, name: &str) -> Option<SegmentFile> {
        let (stem, stage) = match name.strip_suffix(OPEN_SUFFIX) {
            Some(stem) => (stem, FileStage::Open),
            None => (name.strip_suffix(CLOSED_SUFFIX)?, FileStage::Closed),
        };
        let (recording, segment) = stem.split_once('-')?;
        let recording = recording.parse().ok()?;
        Some(SegmentFile {
            day,
            recording,
            segment: segment.parse().ok()?,
            stage,
        })
    }
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> VaultFault {
    let path = path.to_owned();
    move |source| VaultFault::Disk { path, source }
}

/// Why the vault cannot be used.
#[derive(Debug, Error)]
pub enum VaultFault {
    /// The disk refused.
    #[error("{} cannot be used ({source}); check free space, the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The instant at which a day expires cannot be read.
    #[error("{} does not say when the day expires; write the day's expiry into it by hand, as docs/recording-format.md shows it", path.display())]
    ExpiryDamaged {
        /// The file.
        path: PathBuf,
    },
}

impl VaultFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            VaultFault::Disk { .. } | VaultFault::ExpiryDamaged { .. } => Fault::Resource,
        }
    }

    /// True if the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            VaultFault::Disk { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                )
            }
            VaultFault::ExpiryDamaged { .. } => false,
        }
    }
}
