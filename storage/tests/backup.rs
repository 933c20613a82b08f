//! Backup and restore: what was disposed of stays dead, whatever the backup still holds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, sync::Arc};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, DisposalCause, JstDay, RecordingState};
use storage::{
    AudioRestore, BackupFault, Catalogue, Duty, Keys, Layout, Lock, MemoryDisk, Office, Opening,
    OsDisk, Restored, Spool, SpoolEntry, back_up, dispose_due, dispose_one, restore,
};

fn later(number: u128) -> Opening {
    Opening {
        call_started: now() + 72.hours(),
        ..opening(number)
    }
}

struct House {
    folder: tempfile::TempDir,
    layout: Layout,
    city: City,
    expiry: Timestamp,
}

/// Two recordings of today and two of a later day, all in a backup.
async fn backed_up() -> House {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    for opening in [opening(1), opening(2), later(3), later(4)] {
        let sealed = record(&city, &opening, 3);
        let row = row(&city, &opening, Some(&sealed));
        spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
        city.vault.flush().unwrap();
        let day = JstDay::of(opening.call_started);
        city.vault.close_recording(day, opening.recording).unwrap();
    }
    spool.flush(now()).unwrap();
    let mut catalogue = Catalogue::open(&layout).await.unwrap();
    let _ = catalogue.take_in(&OsDisk, &layout).await.unwrap();
    let made = back_up(&layout, &folder.path().join("backup"))
        .await
        .unwrap();
    assert_eq!((made.rows, made.files), (4, 4));
    let expiry = city.vault.begin_day(today()).unwrap();
    House {
        folder,
        layout,
        city,
        expiry,
    }
}

impl House {
    fn backup(&self) -> std::path::PathBuf {
        self.folder.path().join("backup")
    }

    async fn dispose(&self) {
        let mut keys = Keys::open(Arc::clone(&self.city.disk), &self.layout).unwrap();
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        let mut office = Office {
            keys: &mut keys,
            vault: &self.city.vault,
            catalogue: &mut catalogue,
            trail: &mut trail(&self.city),
            signing: None,
            mirror_ends: Some(&[]),
        };
        dispose_due(&mut office, &Actor::System, self.expiry)
            .await
            .unwrap();
        // One of the later day, by decision.
        let cause = DisposalCause::Decided {
            case: rules::CaseId::new(now(), 77),
        };
        let recording = later(3).recording;
        dispose_one(&mut office, &Actor::System, recording, cause, now(), || {
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn restore(&self) -> Result<Restored, BackupFault> {
        let held =
            [Duty::Calls, Duty::Office].map(|duty| Lock::acquire(&self.layout, duty).unwrap());
        let keys = Keys::open(Arc::clone(&self.city.disk), &self.layout).unwrap();
        let vault = &self.city.vault;
        let mut restored = restore(vault, &keys, &self.backup(), now(), &held).await?;
        drop(held);
        if let Some(mut audio) = AudioRestore::resume(vault, None)? {
            for day in audio.days() {
                if let Err(fault) = audio.bring_day(day) {
                    restored.left.insert(day, fault);
                }
            }
        }
        Ok(restored)
    }

    async fn check_that_the_dead_stay_dead(&self) {
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        for (opening, lives) in [
            (opening(1), false),
            (opening(2), false),
            (later(3), false),
            (later(4), true),
        ] {
            let row = catalogue.find(opening.recording).await.unwrap().unwrap();
            assert_eq!(row.state == RecordingState::Sealed, lives);
            let day = JstDay::of(opening.call_started);
            let files = self.city.vault.segments(day, opening.recording).unwrap();
            assert_eq!(files.is_empty(), !lives);
        }
        let desk = city(Arc::new(MemoryDisk::new()), &memory_layout());
        let (day, at) = (JstDay::of(later(4).call_started), later(4).call_started);
        let permit = permit(&desk, later(4).recording, at);
        assert!(
            self.city
                .vault
                .open(permit, kept_on(day), &self.city.opener, at)
                .is_ok()
        );
    }
}

#[test]
fn a_backup_holds_no_root_and_no_key() {
    run(async {
        let house = backed_up().await;
        let bytes = every_byte_under(&house.backup());
        assert!(!contains(&bytes, b"DENWROOT") && !contains(&bytes, b"\"wrapped\""));
        let data = house.backup().join("data");
        assert!(!data.join("keys").exists());
    });
}

#[test]
fn what_was_lost_comes_back_and_what_was_disposed_of_does_not() {
    run(async {
        let house = backed_up().await;
        house.dispose().await;
        for lost in [
            "vault",
            "office/catalogue.db",
            "office/catalogue.db-wal",
            "office/catalogue.db-shm",
        ] {
            let path = house.layout.data().join(lost);
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => drop(fs::remove_file(path)),
            }
        }
        fs::create_dir(house.layout.vault()).unwrap();
        let before = every_byte_under(&house.layout.office_audit());

        // The second time there is nothing left to purge.
        for (rows, purged) in [(4, 3), (0, 0)] {
            let restored = house.restore().await.unwrap();
            assert_eq!(
                (restored.rows, restored.purged),
                (rows, purged),
                "{restored:?}"
            );
            house.check_that_the_dead_stay_dead().await;
        }
        assert_eq!(every_byte_under(&house.layout.office_audit()), before);
    });
}

#[test]
fn restoring_over_a_folder_that_lacks_nothing_brings_nothing_back() {
    run(async {
        let house = backed_up().await;
        house.dispose().await;
        let restored = house.restore().await.unwrap();
        assert_eq!(
            restored.rows, 0,
            "every row is known, as a tombstone or as it was"
        );
        house.check_that_the_dead_stay_dead().await;
        let nothing = house.folder.path().join("data");
        let keys = Keys::open(Arc::clone(&house.city.disk), &house.layout).unwrap();
        let held =
            [Duty::Calls, Duty::Office].map(|duty| Lock::acquire(&house.layout, duty).unwrap());
        let refused = restore(&house.city.vault, &keys, &nothing, now(), &held).await;
        assert!(matches!(refused, Err(BackupFault::NoBackup { .. })));
    });
}

#[test]
fn a_day_that_cannot_be_read_keeps_no_other_from_being_restored_and_is_named() {
    run(async {
        let house = backed_up().await;
        house.dispose().await;
        fs::remove_dir_all(house.layout.vault()).unwrap();
        fs::create_dir(house.layout.vault()).unwrap();
        let later_day = JstDay::of(later(4).call_started);
        fs::write(house.layout.vault_day(today()), "no folder").unwrap();

        let restored = house.restore().await.unwrap();

        assert_eq!(restored.left.keys().collect::<Vec<_>>(), [&today()]);
        assert!(!house.city.vault.files(later_day).unwrap().is_empty());
        // It is put right, and restoring again goes on.
        fs::remove_file(house.layout.vault_day(today())).unwrap();
        let restored = house.restore().await.unwrap();
        assert!(restored.left.is_empty());
        house.check_that_the_dead_stay_dead().await;
    });
}

#[test]
fn a_link_in_the_vault_leads_no_file_of_others_into_a_backup() {
    run(async {
        let house = backed_up().await;
        let secret = house.folder.path().join("secret");
        fs::write(&secret, "what only root may read").unwrap();
        let planted = house.layout.vault_day(today()).join(opening_name(7));
        std::os::unix::fs::symlink(&secret, planted).unwrap();

        let again = house.folder.path().join("backup-2");
        let made = back_up(&house.layout, &again).await.unwrap();

        assert_eq!(made.files, 4);
        assert!(!contains(
            &every_byte_under(&again),
            b"what only root may read"
        ));
    });
}

fn opening_name(number: u128) -> String {
    format!("{}-000.krec", opening(number).recording)
}

#[test]
fn a_recording_that_is_damaged_is_not_taken_for_one_that_was_disposed_of() {
    run(async {
        let house = backed_up().await;
        let recording = later(4).recording;
        let day = JstDay::of(later(4).call_started);
        let folder = house.layout.vault_day(day);
        let name = recording.to_string();
        let files = fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let file = files
            .filter(|file| file.to_string_lossy().contains(&name))
            .find(|file| file.extension().is_some_and(|ending| ending == "krec"))
            .unwrap();
        fs::write(&file, b"a header that nobody can read").unwrap();
        let restored = house.restore().await.unwrap();
        assert_eq!(restored.purged, 0);
        assert!(file.exists());
        let mut catalogue = Catalogue::open(&house.layout).await.unwrap();
        let row = catalogue.find(recording).await.unwrap().unwrap();
        assert_eq!(row.state, RecordingState::Sealed);
    });
}
