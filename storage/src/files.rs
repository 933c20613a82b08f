//! The one seam between this room and the disk: what it asks of a file system, and nothing more.
//!
//! [`OsDisk`] is the real one. [`MemoryDisk`](crate::memory_disk::MemoryDisk) is the other one that
//! runs: it fills up, refuses the k-th write or sync, and freezes at a chosen sync, so that every
//! promise about power cuts is tested instead of believed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::Path,
};

use rustix::{
    fs::{Dir, Mode, OFlags},
    process::geteuid,
};

/// Owner only: roots, key store, and what the office alone reads.
pub const MODE_SECRET: u32 = 0o600;
/// Owner writes, the common Unix group of calls and office reads.
pub const MODE_SHARED: u32 = 0o640;

/// The longest file that is read whole: a segment of nine hours in both directions has as much.
const MAX_WHOLE_BYTES: u64 = 512 * 1024 * 1024;

/// What storage asks of a file system. Every method names the whole path.
pub trait Disk: Send + Sync {
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Reads a whole file that is short, and refuses a longer one.
    fn read_short(&self, path: &Path, most_bytes: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read_part(path, 0, most_bytes + 1)?;
        match bytes.len() <= most_bytes {
            true => Ok(bytes),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }
    /// Reads up to `length` bytes of a file from `from` on; fewer, or none, at its end.
    fn read_part(&self, path: &Path, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(path)?;
        let begin = usize::try_from(from).map_or(bytes.len(), |from| from.min(bytes.len()));
        let end = begin.saturating_add(length).min(bytes.len());
        Ok(bytes[begin..end].to_vec())
    }
    /// Makes durable what anybody wrote into a file, for whoever may only read it.
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.append(path)?.sync()
    }
    /// The length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Makes a new file that must not exist yet, for appending.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists, for appending.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in one step; a file that had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Writes zeros over the file's whole length, in place, and makes them durable.
    fn overwrite(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and its parents; one that exists is fine and keeps its mode.
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// The names in a folder, sorted; a link to a folder is none. A disk that has no links need not tell them apart.
    fn list_unlinked(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.list(folder)
    }
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes everything durable that was written to the file system which holds this folder, with
    /// one call for all open files.
    fn sync_all(&self, folder: &Path) -> io::Result<()>;

    /// True if the path names a file.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.len(path) {
            Ok(_) => Ok(true),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Replaces a file as a whole: a reader sees the old bytes or the new ones, whatever happens.
    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let fresh = fresh_name(path);
        remove_if_there(self, &fresh)?;
        let mut file = self.create(&fresh, mode)?;
        file.write(bytes)?;
        file.sync()?;
        self.rename(&fresh, path)?;
        match path.parent() {
            Some(folder) => self.sync_folder(folder),
            None => Ok(()),
        }
    }
}

/// A file open for appending.
pub trait DiskFile: Send {
    /// Hands all bytes to the operating system, at the end of the file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to a length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// What the name of a file ends in while it is prepared.
pub(crate) const FRESH_SUFFIX: &str = ".new";

/// The name under which the next version of a file is prepared, in the same folder.
pub(crate) fn fresh_name(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(FRESH_SUFFIX);
    path.with_file_name(name)
}

/// Removes a name that may be missing.
pub(crate) fn remove_if_there<D: Disk + ?Sized>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.unlink(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// The names in a folder, or none if the folder is missing.
pub(crate) fn list_if_there<D: Disk + ?Sized>(disk: &D, folder: &Path) -> io::Result<Vec<String>> {
    match disk.list(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// Opens an ordinary file that exists. Whoever else may write into its folder can put a link or a pipe in its place: neither
/// leads us elsewhere or keeps us waiting.
pub(crate) fn open_ordinary(path: &Path, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no ordinary file; see who has put it there, and take it away",
        )),
    }
}

/// Gives what root has made to whom the folder belongs, so that the duty whose folder it is can write it on. Whoever is not root
/// makes everything as the own.
pub(crate) fn give_to_owner(made: &File, path: &Path) -> io::Result<()> {
    let (true, Some(folder)) = (geteuid().is_root(), path.parent()) else {
        return Ok(());
    };
    let owner = fs::metadata(folder)?;
    match owner.uid() {
        0 => Ok(()),
        uid => fchown(made, Some(uid), Some(owner.gid())),
    }
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = open_ordinary(path, OFlags::RDONLY)?;
        let length = file.metadata()?.len();
        if length > MAX_WHOLE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.take(MAX_WHOLE_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_part(&self, path: &Path, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = open_ordinary(path, OFlags::RDONLY)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        open_ordinary(path, OFlags::RDONLY)?.sync_data()
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        fs::symlink_metadata(path).map(|metadata| metadata.len())
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        give_to_owner(&file, path)?;
        Ok(Box::new(OsFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = open_ordinary(path, OFlags::WRONLY | OFlags::APPEND)?;
        Ok(Box::new(OsFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn overwrite(&self, path: &Path) -> io::Result<()> {
        // Without truncation: the zeros must land on the blocks that hold the bytes.
        let mut file = open_ordinary(path, OFlags::WRONLY)?;
        let mut left = file.metadata()?.len();
        let zeros = [0u8; 4096];
        while left > 0 {
            let step = left.min(zeros.len() as u64);
            file.write_all(&zeros[..usize::try_from(step).unwrap_or(zeros.len())])?;
            left -= step;
        }
        file.sync_all()
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent, mode)?;
        }
        match fs::DirBuilder::new().mode(mode).create(path) {
            // Somebody else was faster.
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(fault) => Err(fault),
            Ok(()) => give_to_owner(&File::open(path)?, path),
        }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                // Names that are not UTF-8 are not ours.
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn list_unlinked(&self, folder: &Path) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::new(opened)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {} // Names that are not UTF-8 are not ours.
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        let folder = File::open(folder)?;
        rustix::fs::syncfs(&folder)?;
        Ok(())
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
