//! Resurrection: old copies come back, each alone and in every mixture, beside today's root. Real files, real SQLite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, Fact, JstDay, RecordingState, RegisterPermit};
use storage::{
    Attachments, AuditTrail, Catalogue, Duty, Keys, Layout, MemoryDisk, Office, Opening, OsDisk,
    Signing, Spool, SpoolEntry, dispose_due,
};

/// What is restored from an old copy, or not: path under the data folder.
const PARTS: [(&str, &[&str]); 5] = [
    ("rows", &["office/catalogue.db"]),
    (
        "WAL",
        &["office/catalogue.db-wal", "office/catalogue.db-shm"],
    ),
    ("audio", &["vault"]),
    ("key store", &["keys"]),
    ("audit", &["office/audit"]),
];

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn layout_in(folder: &Path) -> Layout {
    Layout::new(folder.join("data"), folder.join("root"))
}

/// A later day, whose recording is to survive.
fn surviving() -> Opening {
    Opening {
        call_started: now() + 72.hours(),
        ..opening(9)
    }
}

/// An installation before and after the disposal of today, as copies of all its files.
struct Copies {
    old: tempfile::TempDir,
    new: tempfile::TempDir,
    expiry: Timestamp,
}

async fn copies() -> Copies {
    let live = tempfile::tempdir().unwrap();
    let layout = layout_in(live.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    for opening in [opening(1), opening(2), surviving()] {
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
    let expiry = city.vault.begin_day(today()).unwrap();
    // The database is in use, so its log holds what the file does not.
    let old = tempfile::tempdir().unwrap();
    copy(live.path(), old.path());
    let wal = old.path().join("data/office/catalogue.db-wal");
    assert!(fs::metadata(wal).unwrap().len() > 0);

    dispose(&city, &mut catalogue, expiry).await;
    let new = tempfile::tempdir().unwrap();
    copy(live.path(), new.path());
    Copies { old, new, expiry }
}

async fn dispose(city: &City, catalogue: &mut Catalogue, at: Timestamp) {
    let signing = signing(city);
    let mut office = Office {
        keys: &mut Keys::open(Arc::clone(&city.disk), &city.layout).unwrap(),
        vault: &city.vault,
        catalogue,
        trail: &mut AuditTrail::open(Arc::clone(&city.disk), &city.layout, Duty::Office).unwrap(),
        signing: signing.as_ref().map(Signing::key),
        mirror_ends: Some(&[]),
    };
    let days = dispose_due(&mut office, &Actor::System, at).await.unwrap();
    assert!(days.iter().all(|day| day.pending.is_empty()), "{days:?}");
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        // Sockets and locks are no part of a copy; there are none here.
        copy(&from.join(&name), &to.join(&name));
    }
}

fn remove(path: &Path) {
    match path.is_dir() {
        true => fs::remove_dir_all(path).unwrap(),
        false => drop(fs::remove_file(path)),
    }
}

/// Puts what was there in an old copy, or nothing, in the place of what is there.
fn put(old: &Path, there: &Path) {
    remove(there);
    if old.exists() {
        copy(old, there);
    }
}

/// Today's installation with the parts of `mask` from the old copy.
fn mixture(copies: &Copies, mask: usize) -> tempfile::TempDir {
    let mixed = tempfile::tempdir().unwrap();
    copy(copies.new.path(), mixed.path());
    for (bit, (_, paths)) in PARTS.iter().enumerate() {
        if mask & (1 << bit) == 0 {
            continue;
        }
        for path in *paths {
            let old = copies.old.path().join("data").join(path);
            put(&old, &mixed.path().join("data").join(path));
        }
    }
    mixed
}

/// How much of a recording opens with the keys of a folder: its sound, its caller.
async fn opened(folder: &Path, opening: &Opening) -> (bool, bool) {
    let layout = layout_in(folder);
    let city = city_again(Arc::new(OsDisk), &layout);
    let day = JstDay::of(opening.call_started);
    let at = opening.call_started;
    let permit = permit(&city_of_another(), opening.recording, at);
    let playback = city.vault.open(permit, kept_on(day), &city.opener, at);
    let sound = playback.is_ok_and(|mut playback| playback.read(0, 0..9_600, at).is_ok());
    let caller = async {
        let mut catalogue = Catalogue::open(&layout).await.ok()?;
        let caller = catalogue.caller(opening.recording).await.ok()??;
        let desk = city_of_another();
        let permit = reveal_permit(&desk, opening.recording, at);
        city.opener
            .open_caller(&permit, opening.call, &caller, at)
            .ok()
    };
    (sound, caller.await.is_some())
}

/// Permits are issued elsewhere, so that the trail under test stays as it was restored.
fn city_of_another() -> City {
    city(Arc::new(MemoryDisk::new()), &memory_layout())
}

fn names(mask: usize) -> String {
    let names = PARTS.iter().enumerate();
    let names = names.filter(|(bit, _)| mask & (1 << bit) != 0);
    names
        .map(|(_, (name, _))| *name)
        .collect::<Vec<_>>()
        .join(" + ")
}

#[test]
fn every_mixture_of_old_and_new_files_with_todays_root_opens_nothing_that_was_disposed_of() {
    run(async {
        let copies = copies().await;
        for mask in 0..1 << PARTS.len() {
            let mixed = mixture(&copies, mask);
            for number in [1, 2] {
                let opened = opened(mixed.path(), &opening(number)).await;
                assert_eq!(opened, (false, false), "old: {}", names(mask));
            }
        }
        assert_eq!(opened(copies.new.path(), &surviving()).await, (true, true));
    });
}

/// What is restored with today's key store is disposed of again by the next sweep, wherever it came from.
#[test]
fn old_rows_and_audio_beside_todays_keys_are_purged_by_the_next_sweep() {
    run(async {
        let copies = copies().await;
        let mixed = mixture(&copies, 0b00111);
        let layout = layout_in(mixed.path());
        let city = city_again(Arc::new(OsDisk), &layout);
        assert_eq!(city.vault.files(today()).unwrap().len(), 2);
        let mut catalogue = Catalogue::open(&layout).await.unwrap();

        dispose(&city, &mut catalogue, copies.expiry).await;

        assert!(!layout.vault_day(today()).exists());
        for number in [1, 2] {
            let row = catalogue.find(opening(number).recording).await.unwrap();
            assert_eq!(row.unwrap().state, RecordingState::Disposed);
        }
        assert_eq!(opened(mixed.path(), &surviving()).await, (true, true));
    });
}

/// Rows, log and trail of somebody whose right was withdrawn, from before and from after it, in every mixture.
#[test]
fn a_right_that_was_withdrawn_comes_back_with_no_old_rows_as_long_as_the_trail_is_todays() {
    run(async {
        let parts = [PARTS[0], PARTS[1], PARTS[4]];
        let (old, new) = withdrawal().await;
        for mask in 0..1 << parts.len() {
            let mixed = tempfile::tempdir().unwrap();
            copy(new.path(), mixed.path());
            let olds = parts.iter().enumerate();
            let olds = olds.filter(|(bit, _)| mask & (1 << bit) != 0);
            for path in olds.flat_map(|(_, (_, paths))| *paths) {
                put(
                    &old.path().join("data").join(path),
                    &mixed.path().join("data").join(path),
                );
            }
            let layout = layout_in(mixed.path());
            let mut catalogue = Catalogue::open(&layout).await.unwrap();
            let register = catalogue.register(&OsDisk, &layout).await;
            let is_audit_old = mask & 0b100 != 0;
            match register {
                Ok(register) => {
                    let sato = register.person(&"sato".parse().unwrap()).unwrap();
                    // Only old rows with an old trail agree on what was: the heads that are kept outside do not.
                    assert_eq!(
                        sato.designation(now()).is_some(),
                        is_audit_old,
                        "old: {mask:03b}"
                    );
                }
                Err(_) => assert!(is_audit_old, "old: {mask:03b}"),
            }
        }
    });
}

/// An installation in use, before and after somebody's designation was withdrawn.
async fn withdrawal() -> (tempfile::TempDir, tempfile::TempDir) {
    let live = tempfile::tempdir().unwrap();
    let layout = layout_in(live.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut catalogue = Catalogue::open(&layout).await.unwrap();
    write(&city, &mut catalogue, None, founded()).await;
    let old = tempfile::tempdir().unwrap();
    copy(live.path(), old.path());
    let person = "sato".parse().unwrap();
    let withdrawn = Fact::Withdrawn { person };
    write(&city, &mut catalogue, Some("kacho"), withdrawn).await;
    let new = tempfile::tempdir().unwrap();
    copy(live.path(), new.path());
    (old, new)
}

async fn write(city: &City, catalogue: &mut Catalogue, by: Option<&str>, fact: Fact) {
    let proved = by.map(|id| proved(id, now()));
    let register = catalogue.register(&OsDisk, &city.layout).await.unwrap();
    let granted = register.request(&petitioner(proved.as_ref()), fact, now());
    let grant = granted.unwrap().unwrap();
    let nothing = Attachments::default();
    let ahead = catalogue.keep_ahead(&grant, nothing, 0).await.unwrap();
    let receipt = trail(city).append(grant.entry().clone(), now()).unwrap();
    let permit = RegisterPermit::issue(grant, receipt).unwrap();
    catalogue.record(permit, ahead).await.unwrap();
}

/// The limit of it: whoever keeps an old root with old data keeps everything. Hence the root is in no backup.
#[test]
fn an_old_root_with_old_data_opens_everything() {
    run(async {
        let copies = copies().await;
        for opening in [opening(1), opening(2), surviving()] {
            assert_eq!(opened(copies.old.path(), &opening).await, (true, true));
        }
    });
}
