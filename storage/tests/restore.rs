//! A restore in two steps: rows before anybody reads one, audio while others listen. Here the archive is lost, and whatever restores it
//! is killed, or meets a disposal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use common::{
    beside::{dying, when_copied},
    *,
};
use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, AuditDraft, AuditEntry, AuditEvent, CaseId, CountedDays, DisposalCause, DisposalCounts,
    Fact, Holds, JstDay, Reconciled, RecordingState,
};
use storage::{
    AudioRestore, AuditTrail, BackupFault, Catalogue, CatalogueFault, Disk, Disposal, DisposeFault,
    DisposedDay, Duty, Group, Heads, Keys, Layout, Lock, MemoryDisk, Office, OpenFault, Opening,
    OsDisk, Pending, Restoration, Restored, Spool, SpoolEntry, Step, Vault, back_up, dispose_due,
    dispose_one, hold, read_entries, reconcile_day, restore,
};

/// The 24th; 1 and 2 are recordings of it, 3 and 4 of the 27th.
fn opening_of(number: u128) -> Opening {
    let days = if number > 2 { 72 } else { 0 };
    Opening {
        call_started: now() + days.hours(),
        ..opening(number)
    }
}

fn day_of(number: u128) -> JstDay {
    JstDay::of(opening_of(number).call_started)
}

struct House {
    folder: tempfile::TempDir,
    layout: Layout,
}

impl House {
    /// An archive of four recordings, in a backup.
    async fn backed_up() -> House {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        let city = city(Arc::new(OsDisk), &layout);
        let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
        for number in 1..=4 {
            let opening = opening_of(number);
            let sealed = record(&city, &opening, 3);
            let row = row(&city, &opening, Some(&sealed));
            spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
            city.vault.flush().unwrap();
            let day = day_of(number);
            city.vault.close_recording(day, opening.recording).unwrap();
        }
        spool.flush(now()).unwrap();
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        let _ = catalogue.take_in(&OsDisk, &layout).await.unwrap();
        catalogue.close().await.unwrap();
        let house = House { folder, layout };
        house.write(Duty::Calls, AuditEvent::KeysRecovered { generation: 1 });
        house.write(Duty::Office, registered(founded()));
        back_up(&house.layout, &house.backup()).await.unwrap();
        house
    }

    /// One of the later day was disposed of by itself since, and then everything but the keys was lost.
    async fn lost() -> House {
        let house = House::backed_up().await;
        house.dispose_one(3).await.unwrap();
        for lost in ["vault", "calls", "office"] {
            fs::remove_dir_all(house.layout.data().join(lost)).unwrap();
        }
        house.layout.make_folders(&OsDisk).unwrap();
        // Keys are recovered before anything is restored, and the trail says so.
        for chain in [Duty::Calls, Duty::Office] {
            house.write(chain, AuditEvent::KeysRecovered { generation: 2 });
        }
        house
    }

    fn write(&self, chain: Duty, event: AuditEvent) {
        let mut trail = AuditTrail::open(Arc::new(OsDisk), &self.layout, chain).unwrap();
        let _ = trail.append(AuditDraft::system(event), now()).unwrap();
    }

    /// What a chain tells, but for when.
    fn told(&self, chain: Duty) -> Vec<AuditEvent> {
        let mut told = Vec::new();
        read_entries(&OsDisk, &self.layout, chain, 1, &mut |_, entry| {
            told.push(serde_json::from_str::<AuditEntry>(entry).unwrap().event);
        })
        .unwrap();
        told
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn city(&self, disk: Arc<dyn Disk>) -> City {
        city_again(disk, &self.layout)
    }

    async fn restore(&self, disk: Arc<dyn Disk>) -> Result<Restored, BackupFault> {
        let held =
            [Duty::Calls, Duty::Office].map(|duty| Lock::acquire(&self.layout, duty).unwrap());
        let keys = Keys::open(Arc::new(OsDisk), &self.layout).unwrap();
        let vault = self.city(disk).vault;
        restore(&vault, &keys, &self.backup(), later(), &held).await
    }

    /// Brings all audio, and says how many files came.
    fn bring(&self, disk: Arc<dyn Disk>) -> Result<u64, BackupFault> {
        let vault = self.city(disk).vault;
        let Some(mut audio) = AudioRestore::resume(&vault, None)? else {
            return Ok(0);
        };
        let days = audio.days().into_iter();
        days.map(|day| audio.bring_day(day)).sum()
    }

    async fn dispose_one(&self, number: u128) -> Result<(), DisposeFault> {
        let cause = DisposalCause::Decided {
            case: CaseId::new(now(), 77),
        };
        let recording = opening_of(number).recording;
        self.with_office(async |office| {
            let flushed = || Ok(());
            dispose_one(office, &Actor::System, recording, cause, now(), flushed).await
        })
        .await?;
        Ok(())
    }

    /// Disposes of what is due; `decided`: what is decided to be held.
    async fn dispose(&self, at: Timestamp, decided: &Holds) -> Vec<DisposedDay> {
        self.with_office(async |office| {
            let mut disposal = Disposal::new(Actor::System, at);
            loop {
                match disposal.step(office, Some(decided)).await.unwrap() {
                    Step::Further(further) => disposal = further,
                    Step::Done(days) => return days,
                }
            }
        })
        .await
    }

    async fn with_office<T>(&self, act: impl AsyncFnOnce(&mut Office<'_>) -> T) -> T {
        let city = self.city(Arc::new(OsDisk));
        let mut keys = Keys::open(Arc::clone(&city.disk), &self.layout).unwrap();
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        let mut trail = trail(&city);
        let mut office = Office {
            keys: &mut keys,
            vault: &city.vault,
            catalogue: &mut catalogue,
            trail: &mut trail,
            signing: None,
            mirror_ends: Some(&[]),
        };
        let done = act(&mut office).await;
        catalogue.close().await.unwrap();
        done
    }

    fn open(&self, number: u128) -> Result<(), OpenFault> {
        let city = self.city(Arc::new(OsDisk));
        let desk = common::city(Arc::new(MemoryDisk::new()), &memory_layout());
        let at = opening_of(number).call_started;
        let permit = permit(&desk, opening_of(number).recording, at);
        city.vault
            .open(permit, kept_on(day_of(number)), &city.opener, at)
            .map(drop)
    }

    async fn state(&self, number: u128) -> RecordingState {
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        let row = catalogue.find(opening_of(number).recording).await.unwrap();
        catalogue.close().await.unwrap();
        row.unwrap().state
    }

    /// The first day, compared by a trail that has not counted it.
    async fn reconciled(&self, vault: &Arc<Vault>) -> Reconciled {
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        let told = CountedDays::default();
        let compared = reconcile_day(&mut catalogue, vault, &OsDisk, day_of(1), &told, later());
        let day = compared.await.unwrap();
        catalogue.close().await.unwrap();
        day
    }

    async fn check_that_the_living_are_back_and_the_dead_are_not(&self) {
        for number in [1, 2, 4] {
            self.open(number).unwrap();
            assert_eq!(self.state(number).await, RecordingState::Sealed);
        }
        assert!(matches!(self.open(3), Err(OpenFault::NoFile { .. })));
        assert_eq!(self.state(3).await, RecordingState::Disposed);
        assert_eq!(Restoration::read(&OsDisk, &self.layout).unwrap(), None);
        let vault = self.city(Arc::new(OsDisk)).vault;
        assert!(vault.fixed_expiry(day_of(4)).unwrap().is_some());
        for (chain, first) in [
            (Duty::Calls, AuditEvent::KeysRecovered { generation: 1 }),
            (Duty::Office, registered(founded())),
        ] {
            let report = storage::verify(&OsDisk, &self.layout, chain, &[]).unwrap();
            assert!(report.is_whole());
            let told = self.told(chain);
            let recovered = AuditEvent::KeysRecovered { generation: 2 };
            assert_eq!((&told[1], &told[2]), (&first, &recovered));
            let is_joined =
                matches!(told[3], AuditEvent::TrailRestored { carried, .. } if carried == 1);
            assert!(is_joined && told.len() == 4, "{told:?}");
        }
    }
}

fn registered(change: Fact) -> AuditEvent {
    AuditEvent::Registered { change, policy: 1 }
}

fn counts_of([due, disposed, held, failed]: [u64; 4]) -> DisposalCounts {
    DisposalCounts::new(due, disposed, held, failed).unwrap()
}

/// When the archive is restored.
fn later() -> Timestamp {
    now() + 100.hours()
}

#[test]
fn rows_are_read_before_any_audio_is_there_and_what_is_awaited_is_neither_lost_nor_damaged() {
    run(async {
        let house = House::lost().await;

        let restored = house.restore(Arc::new(OsDisk)).await.unwrap();

        let counted = (restored.rows, restored.purged, restored.awaited);
        assert_eq!(counted, (4, 1, 3), "{restored:?}");
        assert!(restored.left.is_empty());
        for number in [1, 2, 4] {
            assert_eq!(house.state(number).await, RecordingState::Sealed);
            assert!(matches!(house.open(number), Err(OpenFault::Awaited { .. })));
        }
        assert_eq!(house.state(3).await, RecordingState::Disposed);
        let vault = house.city(Arc::new(OsDisk)).vault;
        let day = house.reconciled(&vault).await;
        assert_eq!((day.counts.recorded, day.counts.awaited), (2, 2));
        assert!(day.counts.is_explained() && day.discrepancies.is_empty());

        // Each day is heard as it arrives.
        let mut audio = AudioRestore::resume(&vault, None).unwrap().unwrap();
        assert_eq!(audio.bring_day(day_of(1)).unwrap(), 2);
        house.open(1).unwrap();
        assert!(matches!(house.open(4), Err(OpenFault::Awaited { .. })));
        assert_eq!(audio.bring_day(day_of(4)).unwrap(), 1);
        house
            .check_that_the_living_are_back_and_the_dead_are_not()
            .await;
    });
}

#[test]
fn whoever_was_in_the_register_is_in_it_again_and_a_second_register_is_not_restored_over() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let mut catalogue = Catalogue::open(&house.layout).await.unwrap();
        let register = catalogue.register(&OsDisk, &house.layout).await.unwrap();
        assert!(register.is_founded());
        catalogue.close().await.unwrap();
        // What goes on from the backup's end stays.
        house.write(Duty::Office, AuditEvent::KeysRecovered { generation: 2 });
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let last = house.told(Duty::Office).pop().unwrap();
        assert_eq!(last, AuditEvent::KeysRecovered { generation: 2 });

        let other = House::lost().await;
        other.write(Duty::Office, registered(founded()));
        let before = every_byte_under(&other.layout.office_audit());
        let refused = other.restore(Arc::new(OsDisk)).await;

        assert!(matches!(refused, Err(BackupFault::Parted { .. })));
        assert_eq!(every_byte_under(&other.layout.office_audit()), before);
        assert_eq!(Restoration::read(&OsDisk, &other.layout).unwrap(), None);
    });
}

#[test]
fn a_head_is_signed_of_a_chain_that_a_restore_brought() {
    run(async {
        let house = House::lost().await;
        let sign = || {
            let city = house.city(Arc::new(OsDisk));
            let signing = signing(&city).unwrap();
            let heads = Heads::new(Arc::clone(&city.disk), &house.layout);
            [Duty::Calls, Duty::Office].map(|chain| heads.sign(chain, signing.key()).unwrap())
        };
        sign();

        house.restore(Arc::new(OsDisk)).await.unwrap();

        let signed = sign().map(|signed| signed.head().size);
        assert_eq!(signed, [4, 4]);
    });
}

#[test]
fn a_restore_killed_at_any_sync_is_ended_by_the_next_and_nobody_reads_a_row_before_it_is_purged() {
    let mut n = 0;
    let mut is_over = false;
    while !is_over {
        n += 1;
        is_over = run(async {
            let house = House::lost().await;
            let (disk, left) = dying(n);
            let rows = house.restore(Arc::clone(&disk)).await;
            let audio = match &rows {
                Ok(_) => house.bring(disk).map(drop),
                Err(_) => Ok(()),
            };

            // Either nobody reads a row, or none has lost its key.
            match Catalogue::open(&house.layout).await {
                Err(CatalogueFault::BeingRestored { .. }) => assert!(rows.is_err(), "n = {n}"),
                Err(fault) => panic!("n = {n}: {fault}"),
                Ok(mut catalogue) => {
                    let row = catalogue.find(opening_of(3).recording).await.unwrap();
                    let is_dead = |row: &storage::ListedCall| row.state == RecordingState::Disposed;
                    assert!(row.as_ref().is_none_or(is_dead), "n = {n}");
                    catalogue.close().await.unwrap();
                }
            }
            let is_over = rows.is_ok() && audio.is_ok() && left.load(Ordering::SeqCst) > 0;
            if rows.is_err() {
                house.restore(Arc::new(OsDisk)).await.unwrap();
            }
            house.bring(Arc::new(OsDisk)).unwrap();
            house
                .check_that_the_living_are_back_and_the_dead_are_not()
                .await;
            is_over
        });
    }
    assert!(n > 10, "it syncs less often than it says: {n}");
}

#[test]
fn what_is_destroyed_while_its_audio_is_copied_goes_again() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let layout = house.layout.clone();
        let destroy = move || {
            let mut keys = Keys::open(Arc::new(OsDisk), &layout).unwrap();
            let day = Group::Day(day_of(1));
            keys.destroy(&[day].into(), later()).unwrap();
        };

        house.bring(when_copied(1, destroy)).unwrap();

        let vault = house.city(Arc::new(OsDisk)).vault;
        assert!(vault.files(day_of(1)).unwrap().is_empty());
        house.open(4).unwrap();
    });
}

#[test]
fn a_day_that_is_disposed_of_before_its_audio_came_stays_dead() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let vault = house.city(Arc::new(OsDisk)).vault;
        let expiry = vault.fixed_expiry(day_of(1)).unwrap().unwrap();
        house
            .with_office(async |office| dispose_due(office, &Actor::System, expiry).await)
            .await
            .unwrap();

        assert_eq!(house.bring(Arc::new(OsDisk)).unwrap(), 1);

        assert!(vault.files(day_of(1)).unwrap().is_empty());
        assert_eq!(house.state(1).await, RecordingState::Disposed);
        house.open(4).unwrap();
    });
}

#[test]
fn nothing_is_destroyed_or_held_by_itself_while_audio_is_awaited_that_it_would_lose() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let vault = house.city(Arc::new(OsDisk)).vault;
        // 1 has arrived, 2 of the same day has not.
        let name = format!("{}-000.krec", opening_of(1).recording);
        let there = house.backup().join("data/vault");
        let there = there.join(day_of(1).to_string()).join(&name);
        fs::copy(there, house.layout.vault_day(day_of(1)).join(&name)).unwrap();

        for number in [1, 2] {
            let refused = house.dispose_one(number).await;
            let is_refused =
                matches!(refused, Err(DisposeFault::Awaited { day }) if day == day_of(1));
            assert!(is_refused, "{number}: {refused:?}");
        }
        let permit = hold_permit(CaseId::new(now(), 78), opening_of(2).recording);
        let waits = house
            .with_office(async |office| hold(office, &permit).await)
            .await;
        assert!(matches!(waits, Err(DisposeFault::Awaited { .. })));

        house.bring(Arc::new(OsDisk)).unwrap();
        house
            .with_office(async |office| hold(office, &permit).await)
            .await
            .unwrap();
        house.dispose_one(1).await.unwrap();
        assert!(
            vault
                .segments(day_of(1), opening_of(1).recording)
                .unwrap()
                .is_empty()
        );
        house.open(2).unwrap();
    });
}

/// The day of a hold ends before its audio has come.
#[test]
fn a_day_of_which_something_awaited_is_to_be_held_waits_for_it_and_no_other_day_does() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let (case, kept) = (CaseId::new(now(), 78), opening_of(2).recording);
        let register = held(case, kept, None);
        let permit = hold_permit(case, kept);
        let vault = house.city(Arc::new(OsDisk)).vault;
        let expiry = vault.fixed_expiry(day_of(4)).unwrap().unwrap();

        let mut waits = house.dispose(expiry, register.holds()).await;
        waits.retain(|disposed| [day_of(1), day_of(4)].contains(&disposed.day));

        let day = |number, counts: [u64; 4], pending: &[Pending]| DisposedDay {
            day: day_of(number),
            counts: counts_of(counts),
            pending: pending.to_vec(),
        };
        let unsigned = [Pending::Signature];
        let expected = [
            day(1, [2, 0, 0, 2], &[Pending::Holds(1)]),
            day(4, [1, 1, 0, 0], &unsigned), // 3 has a record of its own.
        ];
        assert_eq!(waits, expected);
        assert_eq!(house.bring(Arc::new(OsDisk)).unwrap(), 2);
        house
            .with_office(async |office| hold(office, &permit).await)
            .await
            .unwrap();
        let disposed = house.dispose(expiry, register.holds()).await;
        assert_eq!(disposed[0], day(1, [2, 1, 1, 0], &unsigned));
        assert_eq!(house.state(1).await, RecordingState::Disposed);
        house.open(2).unwrap();
    });
}

#[test]
fn what_is_to_be_held_and_given_up_keeps_no_day() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let vault = house.city(Arc::new(OsDisk)).vault;
        let expiry = vault.fixed_expiry(day_of(1)).unwrap().unwrap();
        AudioRestore::give_up(&vault).unwrap();

        let register = held(CaseId::new(now(), 78), opening_of(2).recording, None);
        let disposed = house.dispose(expiry, register.holds()).await;

        assert_eq!(disposed[0].counts, counts_of([2, 2, 0, 0]));
    });
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_come() {
    run(async {
        let house = House::lost().await;
        let name = format!("{}-000.krec", opening_of(1).recording);
        let there = house.backup().join("data/vault");
        let there = there.join(day_of(1).to_string()).join(name);
        let bytes = fs::read(&there).unwrap();
        fs::remove_file(&there).unwrap();
        fs::create_dir(&there).unwrap();
        house.restore(Arc::new(OsDisk)).await.unwrap();

        assert!(house.bring(Arc::new(OsDisk)).is_err());

        house.open(2).unwrap();
        assert!(matches!(house.open(1), Err(OpenFault::Awaited { .. })));
        fs::remove_dir(&there).unwrap();
        fs::write(&there, bytes).unwrap();
        assert_eq!(house.bring(Arc::new(OsDisk)).unwrap(), 2);
        house
            .check_that_the_living_are_back_and_the_dead_are_not()
            .await;
    });
}

#[test]
fn a_copy_that_is_not_what_was_read_gets_no_name() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();

        let folder = house.layout.vault_day(day_of(1));
        let refused = house.bring(when_copied(usize::MAX, move || spoil(&folder)));

        assert!(matches!(refused, Err(BackupFault::NotTheSame { .. })));
        assert!(matches!(house.open(1), Err(OpenFault::Awaited { .. })));
        house.bring(Arc::new(OsDisk)).unwrap();
        house
            .check_that_the_living_are_back_and_the_dead_are_not()
            .await;
    });
}

#[test]
fn what_is_given_up_is_missing_and_no_backup_is_made_before_that() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let again = house.folder.path().join("backup-2");
        let refused = back_up(&house.layout, &again).await;
        assert!(matches!(refused, Err(BackupFault::Restoring { .. })));
        let vault = house.city(Arc::new(OsDisk)).vault;

        AudioRestore::give_up(&vault).unwrap();

        assert!(matches!(house.open(1), Err(OpenFault::NoFile { .. })));
        let day = house.reconciled(&vault).await;
        assert_eq!((day.counts.missing, day.counts.awaited), (2, 0));
        assert_eq!(house.bring(Arc::new(OsDisk)).unwrap(), 0);
    });
}

#[test]
fn only_one_process_restores() {
    run(async {
        let house = House::lost().await;
        house.restore(Arc::new(OsDisk)).await.unwrap();
        let vault: Arc<Vault> = house.city(Arc::new(OsDisk)).vault;
        let _first = AudioRestore::resume(&vault, None).unwrap().unwrap();
        let second = AudioRestore::resume(&vault, None);
        assert!(matches!(second, Err(BackupFault::Lock(_))));
    });
}

/// Writes a byte into the first file that is being copied into a folder.
fn spoil(folder: &Path) {
    let mut files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let fresh = files.find(|path| path.extension().is_some_and(|ending| ending == "new"));
    let fresh = fresh.unwrap();
    let mut bytes = fs::read(&fresh).unwrap();
    bytes[100] ^= 1;
    fs::write(fresh, bytes).unwrap();
}
