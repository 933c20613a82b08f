//! Files copied from one folder into another: each whole and the same, or not at all.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustix::fs::OFlags;

use super::{BackupFault, at};
use crate::files::{Disk, MODE_SHARED, fresh_name, open_ordinary, remove_if_there};

const PIECE: usize = 256 * 1024;

/// A file to be copied.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
}

/// Copies the files of a folder that are not there yet.
///
/// # Returns
/// How many segments were among them.
pub(super) fn copy_missing(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    mode: u32,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<u64, BackupFault> {
    let entries = match fs::read_dir(from) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.map_err(at(from))?,
    };
    disk.make_folder(to, mode).map_err(at(to))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_wanted = entry.file_name().to_str().is_some_and(&is_wanted);
        // A link or a pipe is nothing that the service made.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_wanted && is_file && !target.exists() {
            files.push(Copied { source, target });
        }
    }
    let copied = copy_files(disk, to, &files)?;
    let is_segment = |target: &&PathBuf| target.extension().is_some_and(|ending| ending == "krec");
    Ok(copied.iter().filter(is_segment).count() as u64)
}

/// Copies files into a folder. All are made durable together, compared with what was read, and named then, in their order: a name
/// stands for a whole file.
///
/// # Returns
/// Those that are there; of a day that was disposed of meanwhile none is.
pub(super) fn copy_files(
    disk: &dyn Disk,
    folder: &Path,
    files: &[Copied],
) -> Result<Vec<PathBuf>, BackupFault> {
    let mut written = Vec::with_capacity(files.len());
    for Copied { source, target } in files {
        let fresh = fresh_name(target);
        match copy_bytes(disk, source, &fresh) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound && !source.exists() => {}
            copied => written.push((fresh, target, copied.map_err(at(target))?)),
        }
    }
    if written.is_empty() {
        return Ok(Vec::new());
    }
    disk.sync_all(folder).map_err(at(folder))?;
    let mut named = Vec::with_capacity(written.len());
    for (fresh, target, read) in written {
        match digest_of(&fresh) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
            found
                if found
                    .as_ref()
                    .is_ok_and(|found| found.as_ref() != read.as_ref()) =>
            {
                return Err(BackupFault::NotTheSame { path: fresh });
            }
            found => drop(found.map_err(at(&fresh))?),
        }
        match disk.rename(&fresh, target) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            renamed => {
                renamed.map_err(at(target))?;
                named.push(target.clone());
            }
        }
    }
    match disk.sync_folder(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        synced => synced.map(|()| named).map_err(at(folder)),
    }
}

/// Copies a file, and says what was read.
fn copy_bytes(disk: &dyn Disk, source: &Path, fresh: &Path) -> io::Result<Digest> {
    let mut from = open_ordinary(source, OFlags::RDONLY)?;
    remove_if_there(disk, fresh)?;
    let mut to = disk.create(fresh, MODE_SHARED)?;
    let mut read = Context::new(&SHA256);
    for_each_piece(&mut from, |piece| {
        read.update(piece);
        to.write(piece)
    })?;
    Ok(read.finish())
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = open_ordinary(path, OFlags::RDONLY)?;
    let mut digest = Context::new(&SHA256);
    for_each_piece(&mut file, |piece| {
        digest.update(piece);
        Ok(())
    })?;
    Ok(digest.finish())
}

fn for_each_piece(
    from: &mut impl Read,
    mut act: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            length => act(&piece[..length])?,
        }
    }
}
