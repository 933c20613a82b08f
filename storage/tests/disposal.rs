//! Disposal: mirrors that are late, a day that cannot be read, recordings that are held, let go or destroyed by themselves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, CaseId, DisposalCause, JstDay, RecordingId, RecordingState, RetentionPolicy};
use storage::{
    Catalogue, Disk, DiskFile, DisposalRecord, DisposalStage, DisposeFault, DisposedDay, Faults,
    Group, Keys, Layout, MemoryDisk, Office, Opening, OsDisk, Pending, Signing, Spool, SpoolEntry,
    Subject, acknowledge, dispose_due, dispose_one, hold, plan_due, release, verify_certificate,
};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// An installation, its database on a real disk, and three recordings of today with their rows.
struct Archive {
    city: City,
    keys: Keys,
    catalogue: Catalogue,
    signing: Option<Signing>,
    _database: tempfile::TempDir,
}

impl Archive {
    async fn begin(disk: Arc<dyn Disk>, layout: &Layout) -> Archive {
        let city = city(Arc::clone(&disk), layout);
        let mut spool = Spool::new(Arc::clone(&disk), layout);
        for number in 1..=3 {
            keep(&city, &mut spool, &opening(number));
        }
        let database = tempfile::tempdir().unwrap();
        let folders = Layout::new(database.path().join("data"), database.path().join("root"));
        folders.make_folders(&OsDisk).unwrap();
        Archive {
            keys: Keys::open(disk, layout).unwrap(),
            catalogue: Catalogue::open(&folders).await.unwrap(),
            signing: signing(&city),
            city,
            _database: database,
        }
    }

    /// What the next start finds on the disk.
    fn again(self, disk: Arc<dyn Disk>) -> Archive {
        let layout = self.city.layout.clone();
        let city = city_again(Arc::clone(&disk), &layout);
        Archive {
            keys: Keys::open(disk, &layout).unwrap(),
            signing: signing(&city),
            city,
            ..self
        }
    }

    fn expiry(&self) -> Timestamp {
        self.city.vault.begin_day(today()).unwrap()
    }

    /// Does something with the office, whose trail is opened for it.
    async fn office<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Office<'_>) -> Result<T, DisposeFault>,
    ) -> Result<T, DisposeFault> {
        let mut trail = storage::AuditTrail::open(
            Arc::clone(&self.city.disk),
            &self.city.layout,
            storage::Duty::Office,
        )?;
        let mut office = Office {
            keys: &mut self.keys,
            vault: &self.city.vault,
            catalogue: &mut self.catalogue,
            trail: &mut trail,
            signing: self.signing.as_ref().map(Signing::key),
        };
        act(&mut office).await
    }

    async fn dispose(&mut self, at: Timestamp) -> Result<Vec<DisposedDay>, DisposeFault> {
        self.office(async |office| dispose_due(office, &Actor::System, at).await)
            .await
    }

    async fn destroy(&mut self, number: u128) -> Result<Vec<Pending>, DisposeFault> {
        let recording = opening(number).recording;
        let cause = DisposalCause::Decided { case: case() };
        self.office(async |office| {
            dispose_one(office, &Actor::System, recording, cause, now(), || Ok(())).await
        })
        .await
    }

    fn record(&self, subject: Subject) -> Option<DisposalRecord> {
        DisposalRecord::read(&*self.city.disk, &self.city.layout, subject).unwrap()
    }

    /// Which of so many recordings open.
    fn heard(&self, numbers: &[u128]) -> Vec<u128> {
        let is_heard = |number: &&u128| opens(&self.city, opening(**number).recording);
        numbers.iter().filter(is_heard).copied().collect()
    }

    fn trail(&self) -> String {
        let folder = self.city.layout.office_audit();
        let names = self.city.disk.list(&folder).unwrap();
        let text = |name: &String| self.city.disk.read(&folder.join(name)).unwrap();
        names
            .iter()
            .map(|name| String::from_utf8(text(name)).unwrap())
            .collect()
    }
}

fn keep(city: &City, spool: &mut Spool, opening: &Opening) {
    let sealed = record(city, opening, 3);
    city.vault.flush().unwrap();
    let row = row(city, opening, Some(&sealed));
    spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
    spool.flush(now()).unwrap();
    let day = JstDay::of(opening.call_started);
    city.vault.close_recording(day, opening.recording).unwrap();
}

fn opens(house: &City, recording: RecordingId) -> bool {
    // Its own city, so that the trail of the permit does not touch the disk under test.
    let desk = city(Arc::new(MemoryDisk::new()), &memory_layout());
    let permit = permit(&desk, recording, now());
    let opened = house.vault.open(permit, today(), &house.opener, now());
    opened.is_ok_and(|mut playback| {
        let audio = playback.read(0, 0..9_600, now()).unwrap();
        audio.carrier.len() == 9_600
    })
}

fn mirrored() -> Layout {
    memory_layout().with_mirrors(vec![PathBuf::from("/volume/mirror")])
}

fn case() -> CaseId {
    CaseId::new(now(), 77)
}

#[test]
fn a_certificate_is_checked_without_configuration_and_one_changed_letter_shows() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk), &memory_layout()).await;
        let expiry = archive.expiry();
        let days = archive.dispose(expiry).await.unwrap();
        assert_eq!((days[0].counts.due(), &days[0].pending[..]), (3, &[][..]));

        let record = archive.record(Subject::Day(today())).unwrap();
        let note = record.certificate().unwrap().to_owned();
        let key = archive
            .signing
            .as_ref()
            .unwrap()
            .key()
            .verifier_key()
            .clone();
        let keys = [key];
        let certificate = verify_certificate(&note, &keys).unwrap();
        assert_eq!(
            (certificate.day, certificate.counts.disposed()),
            (today(), 3)
        );
        let trail = archive.trail();
        let entry = format!("\"seq\":{},", certificate.audit_seq);
        let line = trail.lines().find(|line| line.contains(&entry)).unwrap();
        assert!(line.contains("disposal_completed"), "{line}");
        for number in 1..=3 {
            assert!(!note.contains(&opening(number).recording.to_string()));
        }

        let changed = note.replace("disposed 3", "disposed 2");
        assert!(verify_certificate(&changed, &keys).is_err());
        let other = city(Arc::new(MemoryDisk::new()), &memory_layout());
        let other = [signing(&other).unwrap().key().verifier_key().clone()];
        assert!(verify_certificate(&note, &other).is_err());
        let signed = archive.signing.as_ref().unwrap().key();
        let no_certificate = signed.sign_note("a note\n".to_owned()).unwrap().to_string();
        assert!(verify_certificate(&no_certificate, &keys).is_err());
    });
}

#[test]
fn a_certificate_is_acknowledged_once() {
    run(async {
        let mut archive = Archive::begin(Arc::new(MemoryDisk::new()), &memory_layout()).await;
        let manager = proved("bucho", now());
        let subject = Subject::Day(today());
        let acknowledged = async |archive: &mut Archive| {
            archive
                .office(async |office| {
                    acknowledge(office, &Actor::System, &manager, subject, now())
                })
                .await
        };
        let early = acknowledged(&mut archive).await;
        assert!(matches!(early, Err(DisposeFault::NoCertificate { .. })));
        let expiry = archive.expiry();
        archive.dispose(expiry).await.unwrap();
        for _ in 0..2 {
            let record = acknowledged(&mut archive).await.unwrap();
            assert!(matches!(record.stage, DisposalStage::Acknowledged { .. }));
        }
        assert_eq!(archive.trail().matches("disposal_acknowledged").count(), 1);
    });
}

/// The mirror's volume is away on the day of the disposal, and comes back with the keys of that day.
#[test]
fn a_disposal_is_complete_only_when_the_mirror_has_followed() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk.clone()), &mirrored()).await;
        let expiry = archive.expiry();
        let mirror = disk.everything().into_iter();
        let mirror: Vec<_> = mirror
            .filter(|(path, _)| path.starts_with("/volume"))
            .collect();
        for (path, _) in &mirror {
            disk.unlink(path).unwrap();
        }

        for _ in 0..2 {
            let days = archive.dispose(expiry).await.unwrap();
            let waits = Pending::Mirror(PathBuf::from("/volume/mirror"));
            assert_eq!(days[0].pending, [waits]);
            assert_eq!(archive.heard(&[1, 2, 3]), []);
            let record = archive.record(Subject::Day(today())).unwrap();
            assert_eq!(record.stage, DisposalStage::Incomplete);
        }
        let trail = archive.trail();
        assert_eq!(trail.matches("disposal_incomplete").count(), 1);
        assert_eq!(trail.matches("disposal_begun").count(), 1);

        for (path, bytes) in &mirror {
            disk.plant(path, bytes);
        }
        let days = archive.dispose(expiry + 1.hour()).await.unwrap();
        assert_eq!((days.len(), &days[0].pending[..]), (1, &[][..]));
        assert!(
            archive
                .record(Subject::Day(today()))
                .unwrap()
                .certificate()
                .is_some()
        );
        assert!(
            archive
                .dispose(expiry + 2.hours())
                .await
                .unwrap()
                .is_empty()
        );
        for (path, bytes) in &mirror {
            assert_ne!(
                disk.read(path).ok().as_ref(),
                Some(bytes),
                "{}",
                path.display()
            );
        }
    });
}

#[test]
fn a_day_that_cannot_be_read_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    run(async {
        let mut archive = Archive::begin(Arc::new(OsDisk), &layout).await;
        let expiry = archive.expiry();
        let tomorrow = Opening {
            call_started: now() + 24.hours(),
            ..opening(9)
        };
        keep(
            &archive.city,
            &mut Spool::new(Arc::new(OsDisk), &layout),
            &tomorrow,
        );
        // The folder of today is no folder any more.
        let (day, aside) = (layout.vault_day(today()), folder.path().join("aside"));
        std::fs::rename(&day, &aside).unwrap();
        std::fs::write(&day, "damaged").unwrap();
        let at = expiry + 24.hours();
        let plan = archive
            .office(async |office| plan_due(office, at).await)
            .await
            .unwrap();
        assert_eq!((plan.len(), plan[0].due, plan[0].failed), (2, 3, 3));

        let days = archive.dispose(at).await.unwrap();

        assert_eq!((days[0].day, days[0].counts.failed()), (today(), 3));
        assert_eq!(days[0].pending, [Pending::Bytes(3)]);
        assert_eq!((days[1].counts.due(), days[1].counts.disposed()), (1, 1));
        assert!(days[1].pending.is_empty());
        // It is put back: the bytes go, and the day is certified.
        std::fs::remove_file(&day).unwrap();
        std::fs::rename(&aside, &day).unwrap();
        assert_eq!(archive.heard(&[1, 2, 3]), []);
        let days = archive.dispose(at).await.unwrap();
        assert_eq!((days.len(), days[0].counts.disposed()), (1, 3));
        assert!(days[0].pending.is_empty() && !day.exists());
    });
}

#[test]
fn a_link_named_like_a_day_leads_nowhere_and_a_strange_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    run(async {
        let mut archive = Archive::begin(Arc::new(OsDisk), &layout).await;
        let expiry = archive.expiry();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let kept = ["expiry", "precious"].map(|name| elsewhere.join(name));
        let strange = layout.vault_day(today()).join("strange");
        for file in kept.iter().chain([&strange]) {
            std::fs::write(file, "not the vault's").unwrap();
        }
        let link = layout.vault_day("2020-01-01".parse().unwrap());
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();

        let days = archive.dispose(expiry).await.unwrap();

        assert!(kept.iter().chain([&strange]).all(|file| file.exists()));
        let is_named = |day: &DisposedDay| matches!(day.pending[..], [Pending::Disk(_)]);
        assert!(days.len() == 2 && days.iter().all(is_named), "{days:?}");
        assert_eq!(archive.heard(&[1, 2, 3]), []);
        assert_eq!(days[1].counts.disposed(), 3);
        let (recovered, faults) = archive.city.vault.recover().unwrap();
        assert_eq!((recovered.len(), faults.len()), (0, 1));
    });
}

#[test]
fn no_expiry_is_later_than_the_rules_allow() {
    let disk = MemoryDisk::new();
    let layout = memory_layout();
    let house = city(Arc::new(disk.clone()), &layout);
    house.vault.begin_day(today()).unwrap();
    let written = format!(
        r#"{{"day":"{}","expires_at":"9999-01-01T00:00:00Z"}}"#,
        today()
    );
    disk.plant(
        &layout.vault_day(today()).join("expiry"),
        written.as_bytes(),
    );

    let fixed = house.vault.fixed_expiry(today()).unwrap();

    assert_eq!(fixed, Some(RetentionPolicy::LONGEST.expiry(today())));
}

#[test]
fn a_held_recording_outlives_its_day_and_goes_when_it_is_let_go() {
    run(async {
        let mut archive = Archive::begin(Arc::new(MemoryDisk::new()), &memory_layout()).await;
        let expiry = archive.expiry();
        let recording = opening(2).recording;
        for _ in 0..2 {
            archive
                .office(async |office| hold(office, &hold_permit(case(), recording)).await)
                .await
                .unwrap();
        }
        let plan = archive
            .office(async |office| plan_due(office, expiry).await)
            .await
            .unwrap();
        assert_eq!((plan[0].due, plan[0].held), (3, 1));

        let days = archive.dispose(expiry).await.unwrap();

        let counts = days[0].counts;
        assert_eq!((counts.due(), counts.disposed(), counts.held()), (3, 2, 1));
        assert!(days[0].pending.is_empty());
        assert_eq!(archive.heard(&[1, 2, 3]), [2]);
        let row = archive.catalogue.find(recording).await.unwrap().unwrap();
        assert_eq!(row.state, RecordingState::Sealed);
        assert!(
            archive.dispose(expiry).await.unwrap().is_empty(),
            "nothing else is due"
        );

        let pending = archive
            .office(async |office| {
                release(
                    office,
                    &Actor::System,
                    release_permit(case(), recording),
                    expiry + 1.hour(),
                )
                .await
            })
            .await
            .unwrap();

        assert_eq!(pending, []);
        assert_eq!(archive.heard(&[2]), []);
        let row = archive.catalogue.find(recording).await.unwrap().unwrap();
        assert_eq!(row.state, RecordingState::Disposed);
        assert!(
            archive
                .record(Subject::Recording(recording))
                .unwrap()
                .certificate()
                .is_some()
        );
        assert!(
            archive
                .keys
                .groups()
                .all(|group| group != Group::Case(case()))
        );
        archive.dispose(expiry + 2.hours()).await.unwrap();
        assert!(archive.city.vault.fixed_expiry(today()).unwrap().is_none());
    });
}

#[test]
fn one_of_two_held_recordings_is_let_go_and_the_other_stays() {
    run(async {
        let disk = MemoryDisk::new();
        let mut archive = Archive::begin(Arc::new(disk.clone()), &memory_layout()).await;
        let expiry = archive.expiry();
        for number in [1, 2] {
            archive
                .office(async |office| {
                    hold(office, &hold_permit(case(), opening(number).recording)).await
                })
                .await
                .unwrap();
        }
        let let_go = async |archive: &mut Archive, at| {
            archive
                .office(async |office| {
                    release(
                        office,
                        &Actor::System,
                        release_permit(case(), opening(1).recording),
                        at,
                    )
                    .await
                })
                .await
                .unwrap()
        };
        // Before its day it stays sealed to the day.
        let_go(&mut archive, now()).await;
        assert_eq!(archive.heard(&[1, 2, 3]), [1, 2, 3]);
        let held = archive.keys.held();
        assert_eq!(held[&case()].len(), 1);
        archive.dispose(expiry).await.unwrap();
        assert_eq!(archive.heard(&[1, 2, 3]), [2]);
    });
}

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
        assert_eq!((counts.due(), counts.disposed(), counts.held()), (4, 3, 1));
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
