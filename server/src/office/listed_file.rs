//! A file outside the vault that the register of copies lists: removed by what it is, not by its name alone.
//!
//! Whoever owns its folder may put anything in its place at any time. So no link is followed on the way, nothing is read that
//! could keep the office waiting, and the name is removed from the very folder in which it was looked at.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA256};
use rules::{CopyId, Digest};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat, unlinkat,
};

use crate::voice::{copy_header_bytes, is_copy};

/// By what a file is known as the one that was written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written {
    /// It is whole.
    Whole { sha256: Digest, bytes: u64 },
    /// It broke off somewhere, and says which copy it is.
    Begun(CopyId),
    /// It broke off somewhere, and encrypted as it is nothing in it says so.
    Unmarked,
}

/// What became of a file that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is gone by that.
    Done,
    /// Something else lies there.
    Another,
    /// It stays: it has a second name, by which it would be left, or nobody can tell whether it is what was written.
    Kept,
}

/// Removes a file if it is still what was written: an ordinary one without a second name, known as `written` says.
///
/// `place`: absolute.
///
/// # Errors
/// The system's own: the file or its folder cannot be reached, or a link leads there.
pub(super) fn remove_if_same(place: &Path, written: Written) -> io::Result<Removal> {
    let (true, Some(folder), Some(name)) = (place.is_absolute(), place.parent(), place.file_name())
    else {
        return Ok(Removal::Another);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::empty())?);
    let opened = fstat(&file)?;
    let is_ordinary = FileType::from_raw_mode(opened.st_mode) == FileType::RegularFile;
    let length = u64::try_from(opened.st_size).unwrap_or(0);
    if !is_ordinary {
        return Ok(Removal::Another);
    }
    match written.is(file, length)? {
        Some(true) if opened.st_nlink == 1 => {}
        Some(false) => return Ok(Removal::Another),
        Some(true) | None => return Ok(Removal::Kept),
    }
    let named = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino) {
        return Ok(Removal::Another);
    }
    unlinkat(&folder, name, AtFlags::empty())?;
    Ok(Removal::Done)
}

/// Removes a file as [`remove_if_same`] does, and says whether it lies there all the same.
///
/// What cannot be opened is judged by its length, whatever way leads to it; what cannot even be looked at is taken for gone.
pub(super) fn stays(place: &Path, written: Written) -> bool {
    match remove_if_same(place, written) {
        Ok(removal) => removal == Removal::Kept,
        Err(_) => {
            fs::metadata(place).is_ok_and(|found| found.is_file() && written.may_have(found.len()))
        }
    }
}

impl Written {
    /// Whether a file is it; `None` where nothing tells.
    ///
    /// `length`: of the file, in octets; no more is read than what was written.
    fn is(self, file: File, length: u64) -> io::Result<Option<bool>> {
        match self {
            Written::Whole { sha256, bytes } => {
                let is_same = length == bytes && hash_of(file.take(bytes))? == sha256;
                Ok(Some(is_same))
            }
            Written::Begun(copy) => {
                let most = u64::try_from(copy_header_bytes(copy)).unwrap_or(0);
                let mut front = Vec::new();
                file.take(most).read_to_end(&mut front)?;
                Ok(Some(is_copy(&front, copy)))
            }
            Written::Unmarked => Ok(None),
        }
    }

    /// Whether a file of this length can be it.
    fn may_have(self, length: u64) -> bool {
        match self {
            Written::Whole { bytes, .. } => length == bytes,
            Written::Begun(_) | Written::Unmarked => true,
        }
    }
}

fn hash_of(mut bytes: impl Read) -> io::Result<Digest> {
    let mut hash = Hashing(Context::new(&SHA256));
    io::copy(&mut bytes, &mut hash)?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.0.finish().as_ref());
    Ok(Digest(sha256))
}

/// Hashes what is written into it.
struct Hashing(Context);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use jiff::Timestamp;

    use super::*;
    use crate::voice::copy_header;

    const WRITTEN: &[u8] = b"RIFF";

    fn whole() -> Written {
        let (sha256, bytes) = (hash_of(WRITTEN).unwrap(), WRITTEN.len() as u64);
        Written::Whole { sha256, bytes }
    }

    fn remove(place: &Path) -> io::Result<Removal> {
        remove_if_same(place, whole())
    }

    #[test]
    fn what_was_written_is_removed_and_another_file_of_its_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("own.wav");
        for other in ["riff", "RIFF and more", ""] {
            fs::write(&place, other).unwrap();
            assert_eq!(remove(&place).unwrap(), Removal::Another, "{other}");
            assert!(place.exists(), "{other}");
        }
        fs::write(&place, WRITTEN).unwrap();
        assert_eq!(remove(&place).unwrap(), Removal::Done);
        assert!(!place.exists());
        assert!(remove(&place).is_err(), "nothing is there");
        let nowhere = remove(Path::new("own.wav")).unwrap();
        assert_eq!(nowhere, Removal::Another, "nobody says where");
    }

    #[test]
    fn what_broke_off_is_known_by_what_it_says_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("own.wav");
        let [own, other] = [1, 2].map(|random| CopyId::new(Timestamp::UNIX_EPOCH, random));
        let header = copy_header(80_000, own);
        for another in [&header[1..], &header[..header.len() - 1], &[], WRITTEN] {
            fs::write(&place, another).unwrap();
            let removed = remove_if_same(&place, Written::Begun(own));
            assert_eq!(removed.unwrap(), Removal::Another);
        }
        for voice in [&[][..], &[7; 4_000]] {
            fs::write(&place, [&header, voice].concat()).unwrap();
            let removed = remove_if_same(&place, Written::Begun(other));
            assert_eq!(removed.unwrap(), Removal::Another);
            let removed = remove_if_same(&place, Written::Begun(own));
            assert_eq!(removed.unwrap(), Removal::Done);
            assert!(!place.exists());
        }
    }

    #[test]
    fn links_and_second_names_stay_with_what_they_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/own.wav"), WRITTEN).unwrap();
        symlink(at("real"), at("folder")).unwrap();
        symlink(at("real/own.wav"), at("link.wav")).unwrap();

        assert!(remove(&at("folder/own.wav")).is_err());
        assert!(remove(&at("link.wav")).is_err());
        fs::hard_link(at("real/own.wav"), at("second.wav")).unwrap();
        assert_eq!(remove(&at("real/own.wav")).unwrap(), Removal::Kept);

        assert!(at("link.wav").exists() && at("second.wav").exists());
    }

    #[test]
    fn nothing_that_never_ends_keeps_the_office_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.wav");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, mode, 0).unwrap();

        for place in [&pipe, Path::new("/dev/zero"), folder.path()] {
            assert_eq!(remove(place).unwrap(), Removal::Another, "{place:?}");
        }
    }

    #[test]
    fn whatever_way_leads_to_what_was_written_it_stays_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        symlink(at("real"), at("folder")).unwrap();
        let place = at("real/own.wav");
        fs::write(&place, WRITTEN).unwrap();
        assert!(stays(&at("folder/own.wav"), whole()), "by a link");
        assert!(stays(&place, Written::Unmarked), "nobody can tell");
        assert!(!stays(&at("real"), whole()), "no file");
        assert!(!stays(&place, whole()), "removed by that");
        assert!(!place.exists());
        for written in [whole(), Written::Unmarked] {
            assert!(!stays(&place, written), "gone");
        }
        fs::write(&place, "another").unwrap();
        assert!(!stays(&place, whole()), "changed");
    }
}
