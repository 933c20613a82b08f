//! What the disposal of a day leaves behind, wherever it is cut off. Real SQLite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, RecordingId, RecordingState};
use storage::{
    Catalogue, Disk, DisposeFault, Faults, Keys, Layout, ListedCall, MemoryDisk, Office, OpenFault,
    OsDisk, Spool, dispose_due,
};

struct Archive {
    city: City,
    keys: Keys,
    catalogue: Catalogue,
}

/// One day with two recordings (one of them without a row) and an unrecorded call.
async fn archive(disk: Arc<dyn Disk>, layout: &Layout, database: &Layout) -> Archive {
    let city = city(Arc::clone(&disk), layout);
    let sealed = record(&city, &opening(1), 3);
    record(&city, &opening(2), 3);
    city.vault.flush().unwrap();
    let mut spool = Spool::new(Arc::clone(&disk), layout);
    spool
        .put(&entry(row(&city, &opening(1), Some(&sealed))))
        .unwrap();
    spool.put(&entry(unrecorded(&city, 3))).unwrap();
    spool.flush(now()).unwrap();
    let mut catalogue = Catalogue::open(database).await.unwrap();
    let _ = catalogue.take_in(&*disk, layout).await.unwrap();
    let keys = Keys::open(disk, layout).unwrap();
    Archive {
        city,
        keys,
        catalogue,
    }
}

async fn dispose(archive: &mut Archive, at: Timestamp) -> Result<u64, DisposeFault> {
    let mut trail = storage::AuditTrail::open(
        Arc::clone(&archive.city.disk),
        &archive.city.layout,
        storage::Duty::Office,
    )?;
    let signing = signing(&archive.city);
    let mut office = Office {
        keys: &mut archive.keys,
        vault: &archive.city.vault,
        catalogue: &mut archive.catalogue,
        trail: &mut trail,
        signing: signing.as_ref().map(storage::Signing::key),
        mirror_ends: Some(&[]),
    };
    let days = dispose_due(&mut office, &Actor::System, at).await?;
    Ok(days.iter().map(|day| day.counts.disposed()).sum())
}

#[test]
fn a_day_is_destroyed_at_its_instant_and_nothing_of_it_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    run(async {
        let mut archive = archive(Arc::new(OsDisk), &layout, &layout).await;
        let expiry = archive.city.vault.begin_day(today()).unwrap();
        let markers = markers(&archive);

        assert_eq!(
            dispose(&mut archive, expiry - 1.millisecond())
                .await
                .unwrap(),
            0
        );
        let before = every_byte_under(folder.path());
        assert!(markers.iter().all(|marker| contains(&before, marker)));
        assert_eq!(dispose(&mut archive, expiry).await.unwrap(), 2);

        let after = every_byte_under(folder.path());
        for (index, marker) in markers.iter().enumerate() {
            assert!(!contains(&after, marker), "marker {index} is left");
        }
        assert_eq!(
            std::fs::metadata(layout.data().join("office/catalogue.db-wal"))
                .unwrap()
                .len(),
            0
        );
        assert!(!layout.vault_day(today()).exists());
        let tombstones = listed(&mut archive.catalogue, true, None).await;
        assert_eq!(tombstones.len(), 2);
        for tombstone in tombstones {
            let expected = ListedCall {
                recording: tombstone.recording,
                call: None,
                day: today(),
                expires_at: expiry,
                state: RecordingState::Disposed,
                called: None,
                department: None,
                caller: None,
                started_at: None,
                answered_at: None,
                ended_at: None,
                duration_ms: None,
                gaps_ms: None,
                notice: None,
                reason: None,
                recovery: None,
                chunks: None,
                sha256: None,
                bytes: None,
            };
            assert_eq!(tombstone, expected);
        }
        assert_eq!(dispose(&mut archive, expiry).await.unwrap(), 0);
        let report = storage::verify(&OsDisk, &layout, storage::Duty::Office, &[]).unwrap();
        assert!(report.is_whole());
    });
}

#[test]
fn an_old_copy_of_everything_beside_todays_root_opens_nothing() {
    let disk = MemoryDisk::new();
    let layout = memory_layout();
    let folder = tempfile::tempdir().unwrap();
    let database = real_layout(folder.path());
    database.make_folders(&OsDisk).unwrap();
    run(async {
        let mut archive = archive(Arc::new(disk.clone()), &layout, &database).await;
        let old = disk.everything();
        let expiry = archive.city.vault.begin_day(today()).unwrap();
        dispose(&mut archive, expiry).await.unwrap();

        let restored = MemoryDisk::new();
        for (path, bytes) in old
            .iter()
            .filter(|(path, _)| !path.starts_with(layout.root()))
        {
            restored.plant(path, bytes);
        }
        for (path, bytes) in disk.everything() {
            if path.starts_with(layout.root()) {
                restored.plant(&path, &bytes);
            }
        }
        let city = city_again(Arc::new(restored), &layout);
        let permit = permit(&city, opening(1).recording, now());
        let opened = city
            .vault
            .open(permit, kept_on(today()), &city.opener, now())
            .err();
        assert!(matches!(opened, Some(OpenFault::Key(_))), "{opened:?}");
    });
}

/// The power goes in the n-th sync of a disposal, for every n; the next one ends the work.
#[test]
fn a_disposal_cut_off_at_any_sync_is_ended_by_the_next() {
    for is_kill in [false, true] {
        let mut n = 0;
        let mut is_over = false;
        while !is_over {
            n += 1;
            let disk = MemoryDisk::new();
            let layout = memory_layout();
            let folder = tempfile::tempdir().unwrap();
            let database = real_layout(folder.path());
            database.make_folders(&OsDisk).unwrap();
            is_over = run(async {
                let mut archive = archive(Arc::new(disk.clone()), &layout, &database).await;
                let expiry = archive.city.vault.begin_day(today()).unwrap();
                let later = keep_a_later_day(&archive.city, &mut archive.keys);
                let freeze_at_sync = Some(disk.sync_count() + n);
                disk.set_faults(Faults {
                    freeze_at_sync,
                    ..Faults::default()
                });
                // A frozen disk answers nothing; what waits for it is no fault of the disposal.
                let is_over =
                    dispose(&mut archive, expiry).await.is_ok() && disk.list(layout.root()).is_ok();

                let after = match is_kill {
                    true => disk.after_kill(),
                    false => disk.after_power_cut(),
                };
                let city = city_again(Arc::new(after.clone()), &layout);
                let keys = Keys::open(Arc::new(after.clone()), &layout).unwrap();
                let catalogue = archive.catalogue;
                let mut archive = Archive {
                    city,
                    keys,
                    catalogue,
                };
                dispose(&mut archive, expiry).await.unwrap();

                assert!(
                    archive.city.vault.files(today()).unwrap().is_empty(),
                    "n = {n}"
                );
                assert!(
                    archive.city.vault.fixed_expiry(today()).unwrap().is_none(),
                    "n = {n}"
                );
                assert!(
                    archive
                        .keys
                        .groups()
                        .all(|group| group != storage::Group::Day(today()))
                );
                let calls = listed(&mut archive.catalogue, true, None).await;
                assert_eq!(calls.len(), 2, "n = {n}");
                assert!(
                    calls
                        .iter()
                        .all(|call| call.state == RecordingState::Disposed)
                );
                let report = storage::verify(&after, &layout, storage::Duty::Office, &[]).unwrap();
                assert!(report.is_whole());
                hear_the_later_day(&archive.city, later);
                is_over
            });
        }
        assert!(n > 8, "a disposal has more than eight syncs, found {n}");
    }
}

fn later_opening() -> storage::Opening {
    let day = 30 * 24.hours();
    storage::Opening {
        call_started: now() + day,
        ..opening(9)
    }
}

fn keep_a_later_day(city: &City, keys: &mut Keys) -> RecordingId {
    keys.make_ahead(later_opening().call_started).unwrap();
    record(city, &later_opening(), 2);
    city.vault.flush().unwrap();
    later_opening().recording
}

fn hear_the_later_day(city: &City, recording: RecordingId) {
    let day = rules::JstDay::of(later_opening().call_started);
    let at = later_opening().call_started;
    let permit = permit(city, recording, at);
    let mut playback = city
        .vault
        .open(permit, kept_on(day), &city.opener, at)
        .unwrap();
    assert_eq!(playback.read(0, 0..9999, at).unwrap().carrier.len(), 6400);
}

/// What would betray the day: sealed bytes, its key, its sealed caller, the call's id.
fn markers(archive: &Archive) -> Vec<Vec<u8>> {
    let city = &archive.city;
    let file = city
        .vault
        .segments(today(), opening(1).recording)
        .unwrap()
        .remove(0);
    let segment = city.vault.read(&file).unwrap();
    let half = city
        .disk
        .read(&city.layout.public_halves().join(format!("day-{}", today())));
    let half: serde_json::Value = serde_json::from_slice(&half.unwrap()).unwrap();
    let store = city.disk.read(&city.layout.key_store()).unwrap();
    let store: serde_json::Value = serde_json::from_slice(&store).unwrap();
    let wrapped = &store["groups"][format!("day-{}", today())][0]["wrapped"];
    vec![
        segment[segment.len() - 200..segment.len() - 160].to_vec(),
        segment[16..32].to_vec(),
        half["public"].as_str().unwrap().as_bytes().to_vec(),
        wrapped.as_str().unwrap().as_bytes().to_vec(),
        opening(1).call.to_string().into_bytes(),
        b"+81783331000".to_vec(),
        b"daihyo".to_vec(),
    ]
}
