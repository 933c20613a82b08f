//! The key that signs, on a disk that loses power at every sync.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use storage::{
    Disk, Duty, Faults, MemoryDisk, NoteFault, Signing, SigningFault, VerifierKey, head_key,
    verifier_keys,
};

fn open(disk: &MemoryDisk) -> Result<Signing, SigningFault> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Signing::open(&disk, &memory_layout(), now())
}

fn change(disk: &MemoryDisk, signing: &mut Signing) -> Result<(), SigningFault> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    signing.change(&disk, &memory_layout(), now())
}

fn keys(disk: &MemoryDisk) -> Vec<VerifierKey> {
    verifier_keys(disk, &memory_layout()).unwrap()
}

#[test]
fn what_an_installation_signs_verifies_with_its_history_alone() {
    let disk = MemoryDisk::new();
    let mut signing = open(&disk).unwrap();
    let early = signing
        .key()
        .sign_note("a certificate\n".to_owned())
        .unwrap();
    change(&disk, &mut signing).unwrap();
    let late = signing.key().sign_note("a statement\n".to_owned()).unwrap();

    let keys = keys(&disk);
    assert_eq!(early.verify(&keys), Ok(&keys[0]));
    assert_eq!(late.verify(&keys), Ok(&keys[1]));
    assert_eq!(keys[0].name(), keys[1].name(), "the name outlives the key");
    assert!(keys[0].name().as_str().starts_with("denwaban-"));
    let heads: Vec<_> = keys.iter().map(|key| head_key(key, Duty::Calls)).collect();
    assert_eq!(early.verify(&heads), Err(NoteFault::Unsigned));
    assert_eq!(open(&disk).unwrap().generation(), 2);
}

#[test]
fn the_key_that_was_changed_is_nowhere_on_the_disk() {
    let disk = MemoryDisk::new();
    let mut signing = open(&disk).unwrap();
    let old = disk.read(&memory_layout().signing_key()).unwrap();
    change(&disk, &mut signing).unwrap();

    let secret = &old[old.len() - 40..old.len() - 1];
    for (path, bytes) in disk.everything() {
        assert!(!contains(&bytes, secret), "{}", path.display());
    }
    assert!(!format!("{signing:?}").contains(std::str::from_utf8(secret).unwrap()));
}

#[test]
fn a_power_cut_at_any_sync_leaves_one_key_and_its_history() {
    let mut survived = 0;
    for sync in 1.. {
        let disk = MemoryDisk::new();
        disk.set_faults(Faults {
            freeze_at_sync: Some(sync),
            ..Faults::default()
        });
        let mut signed = Vec::new();
        let ended = open(&disk).and_then(|mut signing| {
            signed.push(signing.key().sign_note("early\n".to_owned())?);
            change(&disk, &mut signing)?;
            signed.push(signing.key().sign_note("late\n".to_owned())?);
            Ok(())
        });
        for disk in [disk.after_power_cut(), disk.after_kill()] {
            let signing = open(&disk).unwrap();
            let keys = keys(&disk);
            assert_eq!(keys.last(), Some(signing.key().verifier_key()));
            for note in &signed {
                note.verify(&keys).unwrap();
            }
            let names = disk.list(&memory_layout().signing()).unwrap();
            assert!(!names.contains(&"key.new".to_owned()), "sync {sync}");
        }
        if ended.is_ok() {
            break;
        }
        survived += 1;
    }
    assert!(survived >= 6, "{survived} syncs");
}

#[test]
fn a_history_that_was_changed_names_its_first_bad_note() {
    let disk = MemoryDisk::new();
    let mut signing = open(&disk).unwrap();
    change(&disk, &mut signing).unwrap();
    let other = MemoryDisk::new();
    let _ = open(&other).unwrap();
    let path = memory_layout().signing_history().join("0002.note");
    let forged = other
        .read(&memory_layout().signing_history().join("0001.note"))
        .unwrap();
    disk.plant(&path, &forged);
    let found = verifier_keys(&disk, &memory_layout()).unwrap_err();
    assert!(matches!(found, SigningFault::History { path: bad } if bad == path));

    let other_key = other.read(&memory_layout().signing_key()).unwrap();
    let disk = MemoryDisk::new();
    let _ = open(&disk).unwrap();
    disk.plant(&memory_layout().signing_key(), &other_key);
    assert!(matches!(open(&disk), Err(SigningFault::OtherKey { .. })));
}
