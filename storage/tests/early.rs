//! One recording destroyed by itself, while every other of its day lives on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use common::{archive::*, *};
use rules::{Actor, DisposalCause, RecordingState};
use storage::{
    Disk, DiskFile, DisposeFault, EarlyDisposal, EarlyStep, Faults, MemoryDisk, Spool, Subject,
    dispose_one, hold,
};

#[test]
fn one_recording_is_destroyed_and_every_other_of_its_day_still_opens() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk.clone()), &mirrored()).await;
        archive
            .office(async |office| hold(office, &hold_permit(case(), opening(1).recording)).await)
            .await
            .unwrap();
        archive
            .office(async |office| hold(office, &hold_permit(case(), opening(3).recording)).await)
            .await
            .unwrap();
        let old = disk.everything();

        assert_eq!(archive.destroy(1).await.unwrap(), []);
        assert_eq!(archive.destroy(1).await.unwrap(), [], "twice is once");

        assert_eq!(archive.heard(&[1, 2, 3]), [2, 3]);
        let caller = archive.catalogue.caller(opening(2).recording).await;
        let caller = caller.unwrap().unwrap();
        let desk = city(Arc::new(MemoryDisk::new()), &memory_layout());
        let permit = reveal_permit(&desk, opening(2).recording, now());
        let opener = &archive.city.opener;
        assert!(
            opener
                .open_caller(&permit, opening(2).call, &caller, now())
                .is_ok()
        );
        let mut spool = Spool::new(Arc::clone(&archive.city.disk), &mirrored());
        keep(&archive.city, &mut spool, &opening(4));
        assert_eq!(
            archive.heard(&[4]),
            [4],
            "the day goes on with its new generation"
        );
        assert_eq!(archive.trail().matches("\"recording_disposed\"").count(), 1);

        // A second one, so that what was sealed anew is sealed anew once more.
        assert_eq!(archive.destroy(2).await.unwrap(), []);
        assert_eq!(archive.heard(&[1, 2, 3, 4]), [3, 4]);

        // All old files beside today's root.
        let root = archive.city.layout.root().to_owned();
        let restored = MemoryDisk::new();
        for (path, bytes) in old.iter().filter(|(path, _)| !path.starts_with(&root)) {
            restored.plant(path, bytes);
        }
        for (path, bytes) in disk.everything() {
            if path.starts_with(&root) {
                restored.plant(&path, &bytes);
            }
        }
        let restored = city_again(Arc::new(restored), &mirrored());
        assert!((1..=3).all(|number| !opens(&restored, opening(number).recording)));

        let expiry = archive.expiry();
        let days = archive.dispose(expiry).await.unwrap();
        let counts = days[0].counts;
        assert_eq!(
            (counts.due(), counts.disposed(), counts.held()),
            (2, 1, 1),
            "the first two have certificates of their own"
        );
        assert_eq!(archive.heard(&[1, 2, 3, 4]), [3]);
    });
}

/// The power goes in the n-th sync of destroying one recording, for every n; the next sweep ends the work or it was not begun.
#[test]
fn destroying_one_recording_converges_wherever_the_power_goes() {
    for is_kill in [false, true] {
        let mut n = 0;
        let mut is_over = false;
        while !is_over {
            n += 1;
            let disk = MemoryDisk::new();
            is_over = run(async {
                let mut archive = Archive::begin(Arc::new(disk.clone()), &mirrored()).await;
                disk.set_faults(Faults {
                    freeze_at_sync: Some(disk.sync_count() + n),
                    ..Faults::default()
                });
                let is_over = archive
                    .destroy(1)
                    .await
                    .is_ok_and(|pending| pending.is_empty());
                let after = match is_kill {
                    true => disk.after_kill(),
                    false => disk.after_power_cut(),
                };
                let mut archive = archive.again(Arc::new(after));
                let was_heard = archive.heard(&[1]);
                assert_eq!(archive.heard(&[2, 3]), [2, 3], "n = {n}");
                archive.dispose(now()).await.unwrap();
                assert_eq!(
                    archive.heard(&[1]),
                    was_heard,
                    "a sweep decides nothing, n = {n}"
                );
                assert_eq!(archive.destroy(1).await.unwrap(), [], "n = {n}");
                assert_eq!(archive.heard(&[1, 2, 3]), [2, 3], "n = {n}");
                let files = archive.city.vault.segments(today(), opening(1).recording);
                assert!(files.unwrap().is_empty(), "n = {n}");
                let row = archive.catalogue.find(opening(1).recording).await;
                assert_eq!(
                    row.unwrap().unwrap().state,
                    RecordingState::Disposed,
                    "n = {n}"
                );
                let subject = Subject::Recording(opening(1).recording);
                assert!(
                    archive.record(subject).unwrap().certificate().is_some(),
                    "n = {n}"
                );
                is_over
            });
        }
        assert!(n > 15, "it has more than fifteen syncs, found {n}");
    }
}

#[test]
fn a_hold_that_is_decided_meanwhile_stops_it_though_the_keys_do_not_hold_it_yet() {
    run(async {
        let mut archive = Archive::begin(Arc::new(MemoryDisk::new()), &memory_layout()).await;
        let recording = opening(1).recording;
        let register = held(case(), recording, None);
        let cause = DisposalCause::Decided { case: case() };
        let mut disposal = EarlyDisposal::new(Actor::System, recording, cause, now());
        let stopped = loop {
            let decided = register.holds();
            let step = archive
                .office(async |office| disposal.step(office, decided, || Ok(())).await)
                .await;
            match step {
                Ok(EarlyStep::Further(further)) => disposal = *further,
                other => break other,
            }
        };
        assert!(
            matches!(stopped, Err(DisposeFault::HeldMeanwhile { .. })),
            "{stopped:?}"
        );
        assert_eq!(archive.heard(&[1, 2, 3]), [1, 2, 3]);
    });
}

/// A call begins between the listing of a day's segments and the destruction of the day's old generation.
#[test]
fn a_segment_that_begins_meanwhile_is_sealed_to_the_new_generation() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk.clone()), &memory_layout()).await;
        let late = Arc::new(Late {
            disk: disk.clone(),
            act: Mutex::new(None),
        });
        let caller = city_again(late.clone(), &memory_layout());
        let cause = DisposalCause::Decided { case: case() };
        // The writer has read the old half; while it makes its file, everything else happens.
        let halves = memory_layout()
            .public_halves()
            .join(format!("day-{}", today()));
        let old = disk.read(&halves).unwrap();
        archive
            .office(async |office| {
                let recording = opening(1).recording;
                dispose_one(office, &Actor::System, recording, cause, now(), || Ok(())).await
            })
            .await
            .unwrap();
        let new = disk.read(&halves).unwrap();
        assert_ne!(old, new);
        disk.plant(&halves, &old);
        *late.act.lock().unwrap() = Some(Box::new(move |disk| disk.plant(&halves, &new)));

        record(&caller, &opening(4), 3);

        caller.vault.flush().unwrap();
        assert_eq!(archive.heard(&[1, 2, 3, 4]), [2, 3, 4]);
        assert_eq!(
            caller
                .vault
                .segments(today(), opening(4).recording)
                .unwrap()
                .len(),
            1
        );
    });
}

type Act = Box<dyn FnOnce(&MemoryDisk) + Send>;

/// A disk on which something happens when the next segment is made.
struct Late {
    disk: MemoryDisk,
    act: Mutex<Option<Act>>,
}

impl Disk for Late {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        if path.extension().is_some_and(|ending| ending == "krec")
            && let Some(act) = self.act.lock().unwrap().take()
        {
            act(&self.disk);
        }
        self.disk.create(path, mode)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.disk.len(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.append(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.disk.unlink(path)
    }

    fn overwrite(&self, path: &Path) -> io::Result<()> {
        self.disk.overwrite(path)
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.disk.make_folder(path, mode)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_all(folder)
    }
}
