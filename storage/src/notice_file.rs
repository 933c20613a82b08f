//! What was decided about the numbers' notices and what the policy says of N, in small files that the office writes and whoever carries
//! calls reads: calls know it without database or keys, and go on by what they knew last where it cannot be read.

use std::{io, path::PathBuf};

use rules::{Fault, Notices, PolicyDays};
use serde::{Serialize, de::DeserializeOwned};
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

/// Writes what whoever carries calls took in: a start that finds no file of the office goes on by it.
///
/// # Errors
/// [`NoticeFileFault::Disk`].
pub fn save_known_notices(
    disk: &dyn Disk,
    layout: &Layout,
    notices: &Notices,
) -> Result<(), NoticeFileFault> {
    save(disk, layout.known_notices(), notices, MODE_SHARED)
}

/// N as the policy says it: what the office wrote last, or where that cannot be read or is gone, what whoever carries calls took in.
/// Where nothing was ever said, the configuration alone holds.
pub(crate) fn policy_days(disk: &dyn Disk, layout: &Layout) -> PolicyDays {
    let told = load(disk, layout.policy_days()).ok().flatten();
    let known = || load(disk, layout.known_policy_days()).ok().flatten();
    told.or_else(known).unwrap_or_default()
}

/// Keeps what the office's file says of N for a day on which it cannot be read.
///
/// # Errors
/// [`NoticeFileFault`]; what was kept before holds.
pub fn keep_policy_days(disk: &dyn Disk, layout: &Layout) -> Result<(), NoticeFileFault> {
    match load::<PolicyDays>(disk, layout.policy_days())? {
        Some(days)
            if load(disk, layout.known_policy_days())
                .is_ok_and(|known| known.as_ref() == Some(&days)) =>
        {
            Ok(())
        }
        Some(days) => save(disk, layout.known_policy_days(), &days, MODE_SHARED),
        None => Ok(()),
    }
}

pub(crate) fn load<T: DeserializeOwned>(
    disk: &dyn Disk,
    path: PathBuf,
) -> Result<Option<T>, NoticeFileFault> {
    let bytes = match disk.read_short(&path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(NoticeFileFault::Disk { path, source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| NoticeFileFault::Damaged { path })
}

pub(crate) fn save<T: Serialize>(
    disk: &dyn Disk,
    path: PathBuf,
    told: &T,
    mode: u32,
) -> Result<(), NoticeFileFault> {
    let saved = serde_json::to_vec_pretty(told)
        .map_err(io::Error::from)
        .and_then(|bytes| disk.replace(&path, &bytes, mode));
    saved.map_err(|source| NoticeFileFault::Disk { path, source })
}

/// Why what was decided is not known to whoever carries calls.
#[derive(Debug, Error)]
pub enum NoticeFileFault {
    /// The file is not what was written.
    #[error("file {} for calls is damaged; the office writes it anew when it starts", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("file {} for calls cannot be used ({source}); check the disk and the folder's group", path.display())]
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
    use jiff::Timestamp;
    use rules::{JstDay, Number, NumberNotice, RetentionPolicy};

    use super::*;
    use crate::{
        memory_disk::{Faults, MemoryDisk},
        told::{Told, settle_told},
    };

    fn told<T: Told>(disk: &MemoryDisk, layout: &Layout, said: &T) -> Result<(), NoticeFileFault> {
        settle_told(disk, layout, said, Timestamp::UNIX_EPOCH).1
    }

    fn decided() -> Notices {
        let number = Number::parse("0783331000").unwrap();
        vec![NumberNotice::Announced { number }].into()
    }

    #[test]
    fn what_was_decided_reads_back_and_a_damaged_file_says_so() {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        assert_eq!(load_notices(&disk, &layout).unwrap(), None);
        told(&disk, &layout, &decided()).unwrap();
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
    fn a_file_of_n_that_is_gone_or_damaged_leaves_what_was_known_and_never_lengthens() {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        let day: JstDay = "2026-12-01".parse().unwrap();
        let days_of = |disk: &MemoryDisk| {
            let set = RetentionPolicy::default();
            policy_days(disk, &layout).within(set, day).days()
        };
        assert_eq!(days_of(&disk), 89);
        let sixty = RetentionPolicy::new(60).unwrap();
        let said: PolicyDays = [(day, sixty)].into_iter().collect();
        told(&disk, &layout, &said).unwrap();
        assert_eq!(days_of(&disk), 60);
        keep_policy_days(&disk, &layout).unwrap();
        for damaged in [&b"[{"[..], b"{\"2026-12-01\":93}"] {
            disk.replace(&layout.policy_days(), damaged, MODE_SHARED)
                .unwrap();
            assert!(keep_policy_days(&disk, &layout).is_err());
            assert_eq!(days_of(&disk), 60);
        }
        disk.unlink(&layout.policy_days()).unwrap();
        keep_policy_days(&disk, &layout).unwrap();
        assert_eq!(days_of(&disk), 60);
    }

    #[test]
    fn a_state_that_finds_no_room_leaves_the_one_before() {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        told(&disk, &layout, &decided()).unwrap();
        disk.set_faults(Faults {
            capacity_bytes: Some(0),
            ..Faults::default()
        });
        assert!(told(&disk, &layout, &Notices::default()).is_err());
        disk.set_faults(Faults::default());
        assert_eq!(load_notices(&disk, &layout).unwrap(), Some(decided()));
    }
}
