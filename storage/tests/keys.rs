//! Keys: made ahead, rotated, destroyed; at every sync the power may go.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use common::*;
use jiff::ToSpan;
use rules::{Caller, JstDay, Number};
use storage::{DAYS_AHEAD, Disk, Faults, Group, KeyFault, Keys, MemoryDisk, SealedCaller};

fn caller() -> Caller {
    Caller::Known(Number::parse("0790000001").unwrap())
}

fn seal(city: &City, day: JstDay) -> SealedCaller {
    city.sealer
        .seal_caller(opening(1).call, day, &caller())
        .unwrap()
}

fn opens(disk: &MemoryDisk, sealed: &SealedCaller) -> bool {
    // Its own city, so that the trail of the permit does not touch the disk under test.
    let desk = city(Arc::new(MemoryDisk::new()), &memory_layout());
    let permit = reveal_permit(&desk, opening(1).recording, now());
    let opener = storage::Opener::new(Arc::new(disk.clone()), &memory_layout());
    let opened = opener.open_caller(&permit, opening(1).call, sealed, now());
    opened.is_ok_and(|opened| opened == caller())
}

#[test]
fn public_halves_are_there_a_week_ahead_and_made_again_if_lost() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &memory_layout());
    let last = (0..DAYS_AHEAD).fold(today(), |day, _| day.next());
    let sealed = seal(&city, last);
    assert!(opens(&disk, &sealed));
    assert!(city.sealer.day(last.next()).is_err());

    let half = city.sealer.day(today()).unwrap();
    disk.unlink(&city.layout.public_halves().join(format!("day-{}", today())))
        .unwrap();
    let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
    keys.make_ahead(now() + 24.hours()).unwrap();
    keys.make_ahead(now()).unwrap();

    assert_eq!(city.sealer.day(today()).unwrap(), half);
    assert!(city.sealer.day(last.next()).is_ok());
}

#[test]
fn a_reason_is_sealed_to_its_months_register() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk), &memory_layout());
    let id = rules::EmergencyId::new(now(), 1);
    let (sealed, first) = city.sealer.seal_reason(id, now(), "台風").unwrap();
    let (_, second) = city.sealer.seal_reason(id, now(), "台風").unwrap();
    assert_eq!(sealed.group().to_string(), "register-2026-11");
    assert_ne!(
        first, second,
        "without its salt a short reason could be guessed"
    );
}

#[test]
fn what_is_destroyed_opens_no_more_whatever_old_files_come_back() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &memory_layout());
    let (gone, kept) = (seal(&city, today()), seal(&city, today().next()));
    let old: BTreeMap<PathBuf, Vec<u8>> = disk.everything();
    assert!(opens(&disk, &gone));

    let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
    keys.destroy(&BTreeSet::from([Group::Day(today())]), now())
        .unwrap();

    assert!(!opens(&disk, &gone));
    assert!(opens(&disk, &kept));
    // All old data beside today's root.
    let restored = MemoryDisk::new();
    let root = city.layout.root();
    for (path, bytes) in old.iter().filter(|(path, _)| !path.starts_with(root)) {
        restored.plant(path, bytes);
    }
    for (path, bytes) in disk
        .everything()
        .iter()
        .filter(|(path, _)| path.starts_with(root))
    {
        restored.plant(path, bytes);
    }
    assert!(!opens(&restored, &gone));
    assert!(!opens(&restored, &kept));
    let refused = Keys::open(Arc::new(restored), &city.layout).err();
    assert!(matches!(refused, Some(KeyFault::RootMissing { .. })));
}

/// The power goes in the n-th sync of a destruction, for every n; the next start goes on forward.
#[test]
fn a_power_cut_at_any_sync_loses_no_surviving_key_and_resumes_forward() {
    let mut n = 0;
    loop {
        n += 1;
        let disk = MemoryDisk::new();
        let city = city(Arc::new(disk.clone()), &memory_layout());
        let (gone, kept) = (seal(&city, today()), seal(&city, today().next()));
        let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
        let freeze_at_sync = Some(disk.sync_count() + n);
        disk.set_faults(Faults {
            freeze_at_sync,
            ..Faults::default()
        });
        let outcome = keys.destroy(&BTreeSet::from([Group::Day(today())]), now());

        for after in [disk.after_power_cut(), disk.after_kill()] {
            assert!(opens(&after, &kept), "n = {n}");
            let mut keys = Keys::open(Arc::new(after.clone()), &city.layout).unwrap();
            assert_eq!(after.list(city.layout.root()).unwrap().len(), 1, "n = {n}");
            assert!(opens(&after, &kept), "n = {n}");
            keys.destroy(&BTreeSet::from([Group::Day(today())]), now())
                .unwrap();
            keys.make_ahead(now() + 48.hours()).unwrap();
            assert!(opens(&after, &kept) && !opens(&after, &gone), "n = {n}");
            assert!(
                city_again(Arc::new(after), &city.layout)
                    .sealer
                    .day(today())
                    .is_err()
            );
        }
        if outcome.is_ok() {
            assert!(n > 5, "a destruction has at least five syncs");
            break;
        }
    }
}

/// The same with a disk that refuses one write or sync and works again: nothing is lost.
#[test]
fn a_refused_write_or_sync_loses_no_key() {
    for k in 1..=14 {
        for is_sync in [false, true] {
            let disk = MemoryDisk::new();
            let city = city(Arc::new(disk.clone()), &memory_layout());
            let (gone, kept) = (seal(&city, today()), seal(&city, today().next()));
            let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
            disk.set_faults(Faults {
                refused_write: (!is_sync).then_some(disk.write_count() + k),
                refused_sync: is_sync.then_some(disk.sync_count() + k),
                ..Faults::default()
            });
            let _ = keys.destroy(&BTreeSet::from([Group::Day(today())]), now());
            disk.set_faults(Faults::default());
            keys.destroy(&BTreeSet::from([Group::Day(today())]), now())
                .unwrap();
            assert!(opens(&disk, &kept) && !opens(&disk, &gone), "k = {k}");
            assert_eq!(disk.list(city.layout.root()).unwrap().len(), 1);
        }
    }
}

#[test]
fn a_first_start_that_is_cut_off_at_any_sync_can_be_begun_again() {
    for n in 1..=4 {
        let disk = MemoryDisk::new();
        memory_layout().make_folders(&disk).unwrap();
        disk.set_faults(Faults {
            freeze_at_sync: Some(n),
            ..Faults::default()
        });
        let _ = Keys::create(Arc::new(disk.clone()), &memory_layout(), now());
        let after: Arc<dyn Disk> = Arc::new(disk.after_power_cut());
        let keys = match Keys::create(Arc::clone(&after), &memory_layout(), now()) {
            Err(KeyFault::AlreadyThere { .. }) => Keys::open(after, &memory_layout()),
            other => other,
        };
        keys.unwrap().make_ahead(now()).unwrap();
    }
}

#[test]
fn damaged_or_missing_keys_say_what_to_do_and_destroy_nothing() {
    let layout = memory_layout();
    let root = layout.root().join("0001.root");
    type Damage = fn(&MemoryDisk, &std::path::Path);
    let damages: [(&str, PathBuf, Damage); 5] = [
        ("store is gone", layout.key_store(), |disk, path| {
            disk.unlink(path).unwrap();
        }),
        ("store is cut", layout.key_store(), |disk, path| {
            disk.plant(path, b"{");
        }),
        ("root is gone", root.clone(), |disk, path| {
            disk.unlink(path).unwrap();
        }),
        ("root is cut", root.clone(), |disk, path| {
            disk.plant(path, b"DENWROOT");
        }),
        ("root is another", root, |disk, path| {
            let other = MemoryDisk::new();
            let _ = city(Arc::new(other.clone()), &memory_layout());
            disk.plant(path, &other.read(path).unwrap());
        }),
    ];
    for (what, path, damage) in damages {
        let disk = MemoryDisk::new();
        let city = city(Arc::new(disk.clone()), &layout);
        let sealed = seal(&city, today());
        damage(&disk, &path);
        let before = disk.everything();
        let fault = Keys::open(Arc::new(disk.clone()), &layout).err();
        assert!(fault.is_some(), "{what}");
        assert_eq!(disk.everything(), before, "{what}");
        assert!(!opens(&disk, &sealed), "{what}");
        assert!(
            city.sealer.day(today()).is_ok(),
            "{what}: calls need no private half"
        );
    }
}
