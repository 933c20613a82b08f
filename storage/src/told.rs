//! What the office tells whoever carries calls by small files, and how it knows each again, also over a start: beside it lies a note of what it wrote
//! last. So an older file, or another's, is known for it however plausible it is (law 2, K-22).

use std::path::PathBuf;

use jiff::Timestamp;
use rules::{Digest, Notices, PolicyDays};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    files::{Disk, MODE_SECRET, MODE_SHARED},
    layout::Layout,
    notice_file::{NoticeFileFault, load, save},
    secret::sha256_of,
};

/// What is told by a file of its own. Nothing told is the default.
pub trait Told: Clone + Default + PartialEq + Serialize + DeserializeOwned {
    /// Where the file lies.
    fn path(layout: &Layout) -> PathBuf;

    /// Where the office notes what it wrote.
    fn note(layout: &Layout) -> PathBuf;

    /// Whether a register can have said so; asked of a file beside which no note lies.
    fn is_possible(&self, now: Timestamp) -> bool;
}

impl Told for Notices {
    fn path(layout: &Layout) -> PathBuf {
        layout.notices()
    }

    fn note(layout: &Layout) -> PathBuf {
        layout.notices_note()
    }

    fn is_possible(&self, now: Timestamp) -> bool {
        self.check(now).is_ok()
    }
}

impl Told for PolicyDays {
    fn path(layout: &Layout) -> PathBuf {
        layout.policy_days()
    }

    fn note(layout: &Layout) -> PathBuf {
        layout.policy_days_note()
    }

    fn is_possible(&self, _now: Timestamp) -> bool {
        true
    }
}

/// As what a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundFile {
    /// The office wrote it, or nothing says that it did not.
    Own,
    /// The office wrote another one last.
    Altered,
}

/// What the office wrote last; two where it was cut off between note and file.
type Note = Vec<Digest>;

/// Says by the file what is to be told, and notes it; as what it was found before.
///
/// # Errors
/// [`NoticeFileFault`]; what is to be told stands in the register, and the office tries again.
pub fn settle_told<T: Told>(
    disk: &dyn Disk,
    layout: &Layout,
    wanted: &T,
    now: Timestamp,
) -> (FoundFile, Result<(), NoticeFileFault>) {
    let found = load::<T>(disk, T::path(layout));
    let note = load::<Note>(disk, T::note(layout));
    let state = judge(&found, &note, now);
    (state, write(disk, layout, &found, &note, wanted))
}

/// Whether the file says what is to be told; of one that the disk does not give nothing is said.
pub fn tells<T: Told>(disk: &dyn Disk, layout: &Layout, wanted: &T) -> bool {
    match load::<T>(disk, T::path(layout)) {
        Ok(found) => found.unwrap_or_default() == *wanted,
        Err(NoticeFileFault::Damaged { .. }) => false,
        Err(NoticeFileFault::Disk { .. }) => true,
    }
}

fn judge<T: Told>(
    found: &Result<Option<T>, NoticeFileFault>,
    note: &Result<Option<Note>, NoticeFileFault>,
    now: Timestamp,
) -> FoundFile {
    let is_own = match (found, note) {
        (Err(NoticeFileFault::Disk { .. }), _) | (_, Err(NoticeFileFault::Disk { .. })) => true,
        (Err(NoticeFileFault::Damaged { .. }), _) | (_, Err(NoticeFileFault::Damaged { .. })) => {
            false
        }
        (Ok(found), Ok(Some(note))) => note.contains(&digest(&found.clone().unwrap_or_default())),
        (Ok(Some(found)), Ok(None)) => found.is_possible(now),
        (Ok(None), Ok(None)) => true,
    };
    match is_own {
        true => FoundFile::Own,
        false => FoundFile::Altered,
    }
}

fn write<T: Told>(
    disk: &dyn Disk,
    layout: &Layout,
    found: &Result<Option<T>, NoticeFileFault>,
    note: &Result<Option<Note>, NoticeFileFault>,
    wanted: &T,
) -> Result<(), NoticeFileFault> {
    let after = vec![digest(wanted)];
    let is_so = matches!(found, Ok(found) if found.clone().unwrap_or_default() == *wanted);
    if !is_so {
        // Cut off here, the file before is still known as the office's own.
        let before = note.as_ref().ok().cloned().flatten().unwrap_or_default();
        save(
            disk,
            T::note(layout),
            &[before, after.clone()].concat(),
            MODE_SECRET,
        )?;
        save(disk, T::path(layout), wanted, MODE_SHARED)?;
    }
    match is_so && matches!(note, Ok(Some(note)) if *note == after) {
        true => Ok(()),
        false => save(disk, T::note(layout), &after, MODE_SECRET),
    }
}

fn digest<T: Serialize>(told: &T) -> Digest {
    let text = serde_json::to_vec(told).expect("what is told is lists and maps of texts");
    sha256_of(&text)
}

#[cfg(test)]
mod tests {
    use rules::{JstDay, Number, NumberNotice, RetentionPolicy};

    use super::*;
    use crate::memory_disk::MemoryDisk;

    fn announced(numbers: &[&str]) -> Notices {
        let announced = |number: &&str| NumberNotice::Announced {
            number: Number::parse(number).unwrap(),
        };
        numbers.iter().map(announced).collect::<Vec<_>>().into()
    }

    fn days(n: u16) -> PolicyDays {
        let day: JstDay = "2026-12-01".parse().unwrap();
        [(day, RetentionPolicy::new(n).unwrap())]
            .into_iter()
            .collect()
    }

    fn at() -> Timestamp {
        "2026-12-01T00:00:00Z".parse().unwrap()
    }

    /// What was there before, what comes after it, on a disk of its own.
    fn an_older_file_is_known<T: Told + std::fmt::Debug>(older: &T, newer: &T) {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        let settle = |wanted: &T| {
            let (found, saved) = settle_told(&disk, &layout, wanted, at());
            saved.unwrap();
            found
        };
        assert_eq!(settle(&T::default()), FoundFile::Own);
        assert_eq!(settle(older), FoundFile::Own);
        let kept = disk.read(&T::path(&layout)).unwrap();
        assert_eq!(settle(newer), FoundFile::Own);
        assert!(tells(&disk, &layout, newer));
        let newest = disk.read(&T::path(&layout)).unwrap();
        for other in [kept.as_slice(), b"[{"] {
            disk.replace(&T::path(&layout), other, MODE_SHARED).unwrap();
            assert!(!tells(&disk, &layout, newer));
            assert_eq!(settle(newer), FoundFile::Altered);
            assert_eq!(settle(newer), FoundFile::Own, "it is written anew");
            assert_eq!(disk.read(&T::path(&layout)).unwrap(), newest);
        }
        disk.unlink(&T::path(&layout)).unwrap();
        assert_eq!(settle(newer), FoundFile::Altered);

        // Cut off between note and file: what is there is the file before.
        let note = vec![digest(newer), digest(older)];
        save(&disk, T::note(&layout), &note, MODE_SECRET).unwrap();
        assert_eq!(settle(older), FoundFile::Own);
        assert!(tells(&disk, &layout, older));
    }

    #[test]
    fn an_older_file_and_one_that_is_gone_are_known_for_it_and_written_anew() {
        let numbers = ["0783331000", "0783332000"];
        an_older_file_is_known(&announced(&numbers[..1]), &announced(&numbers));
        an_older_file_is_known(&days(60), &days(30));
    }

    #[test]
    fn a_file_of_an_earlier_version_has_no_note_and_is_judged_by_what_a_register_can_say() {
        let (disk, layout) = (MemoryDisk::new(), Layout::new("/data", "/root"));
        layout.make_folders(&disk).unwrap();
        save(&disk, layout.policy_days(), &days(60), MODE_SHARED).unwrap();
        let (found, saved) = settle_told(&disk, &layout, &days(60), at());
        saved.unwrap();
        assert_eq!(found, FoundFile::Own);
        save(&disk, layout.policy_days(), &days(90), MODE_SHARED).unwrap();
        let (found, _) = settle_told(&disk, &layout, &days(60), at());
        assert_eq!(found, FoundFile::Altered);
    }
}
