//! What was decided about the numbers' notices, in a small file that the office writes and whoever carries calls reads:
//! calls know it without database or keys, and go on by what they knew last where it cannot be read.

use std::{io, path::PathBuf};

use rules::{Fault, Notices};
use thiserror::Error;

use crate::{
    files::{Disk, MODE_SHARED},
    layout::Layout,
};

/// A few hundred octets a number, of which a city has no more than ten thousand.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// What the office wrote last; `None` where it never did.
///
/// # Errors
/// [`NoticeFileFault`] if the file cannot be read; whoever carries calls goes on by what was known last, and says so.
pub fn load_notices(disk: &dyn Disk, layout: &Layout) -> Result<Option<Notices>, NoticeFileFault> {
    load(disk, layout.notices())
}

/// What whoever carries calls took in last, in any run; `None` where it never did.
///
/// # Errors
/// [`NoticeFileFault`] if the file cannot be read.
pub fn load_known_notices(
    disk: &dyn Disk,
    layout: &Layout,
) -> Result<Option<Notices>, NoticeFileFault> {
    load(disk, layout.known_notices())
}

/// Writes what was decided; a reader sees the old state or the new one.
///
/// # Errors
/// [`NoticeFileFault::Disk`]; the decisions stand in the register, and the office tries again.
pub fn save_notices(
    disk: &dyn Disk,
    layout: &Layout,
    notices: &Notices,
) -> Result<(), NoticeFileFault> {
    save(disk, layout.notices(), notices)
}

/// Writes what whoever carries calls took in: a start that finds no file of the office goes on by it.
///
/// # Errors
/// [`NoticeFileFault::Disk`].
pub fn save_known_notices(
    disk: &dyn Disk,
    layout: &Layout,
    notices: &Notices,
) -> Result<(), NoticeFileFault> {
    save(disk, layout.known_notices(), notices)
}

fn load(disk: &dyn Disk, path: PathBuf) -> Result<Option<Notices>, NoticeFileFault> {
    let bytes = match disk.read_short(&path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(NoticeFileFault::Disk { path, source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| NoticeFileFault::Damaged { path })
}

fn save(disk: &dyn Disk, path: PathBuf, notices: &Notices) -> Result<(), NoticeFileFault> {
    let saved = serde_json::to_vec_pretty(notices)
        .map_err(io::Error::from)
        .and_then(|bytes| disk.replace(&path, &bytes, MODE_SHARED));
    saved.map_err(|source| NoticeFileFault::Disk { path, source })
}

/// Why what was decided is not known to whoever carries calls.
#[derive(Debug, Error)]
pub enum NoticeFileFault {
    /// The file is not what was written.
    #[error("file of the numbers' notices {} is damaged; the office writes it anew when it starts", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("file of the numbers' notices {} cannot be used ({source}); check the disk and the folder's group", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl NoticeFileFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Resource
    }
}

#[cfg(test)]
mod tests {
    use rules::{Number, NumberNotice};

    use super::*;
    use crate::memory_disk::{Faults, MemoryDisk};

    fn decided() -> Notices {
        let number = Number::parse("0783331000").unwrap();
        vec![NumberNotice::Announced { number }].into()
    }

    #[test]
    fn what_was_decided_reads_back_and_a_damaged_file_says_so() {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        assert_eq!(load_notices(&disk, &layout).unwrap(), None);
        save_notices(&disk, &layout, &decided()).unwrap();
        assert_eq!(load_notices(&disk, &layout).unwrap(), Some(decided()));
        let endless = [b"[".to_vec(), vec![b' '; MAX_FILE_BYTES]].concat();
        disk.replace(&layout.notices(), &endless, MODE_SHARED)
            .unwrap();
        assert!(matches!(
            load_notices(&disk, &layout),
            Err(NoticeFileFault::Disk { .. })
        ));
        disk.replace(&layout.notices(), b"[{", MODE_SHARED).unwrap();
        assert!(matches!(
            load_notices(&disk, &layout),
            Err(NoticeFileFault::Damaged { .. })
        ));
    }

    #[test]
    fn a_state_that_finds_no_room_leaves_the_one_before() {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        save_notices(&disk, &layout, &decided()).unwrap();
        disk.set_faults(Faults {
            capacity_bytes: Some(0),
            ..Faults::default()
        });
        assert!(save_notices(&disk, &layout, &Notices::default()).is_err());
        disk.set_faults(Faults::default());
        assert_eq!(load_notices(&disk, &layout).unwrap(), Some(decided()));
    }
}
