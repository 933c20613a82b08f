//! Disposal: mirrors that are late, a day that cannot be read, recordings that are held and let go.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::PathBuf, sync::Arc};

use common::{archive::*, *};
use jiff::ToSpan;
use rules::{Actor, DecisionId, Digest, Holds, JstDay, MirrorEnd, RecordingState, RetentionPolicy};
use storage::{
    Disk, Disposal, DisposalStage, DisposeFault, DisposedDay, Group, Layout, MemoryDisk, Opening,
    OsDisk, Pending, Spool, Step, Subject, acknowledge, concerns, hold, plan_due, release,
    verifier_keys, verify_certificate,
};

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

/// The mirror was struck from the configuration, and its volume may hold the keys of the day still.
#[test]
fn beside_a_mirror_that_was_struck_nothing_is_complete_before_somebody_ends_it_and_the_certificate_says_so()
 {
    run(async {
        let disk = MemoryDisk::new();
        let archive = Archive::begin(Arc::new(disk.clone()), &mirrored()).await;
        let mut archive = archive.again_with(Arc::new(disk.clone()), &memory_layout());
        let at = archive.expiry();
        let mirror = PathBuf::from("/volume/mirror");
        for _ in 0..2 {
            let days = archive.dispose(at).await.unwrap();
            assert_eq!(days[0].pending, [Pending::Mirror(mirror.clone())]);
        }

        archive.keys.end_mirror(&mirror).unwrap();
        archive.mirror_ends = None;
        let days = archive.dispose(at).await.unwrap();
        assert_eq!(days[0].pending, [Pending::MirrorEnds]);
        let ended_on = |on| {
            Some(vec![MirrorEnd {
                mirror: mirror.display().to_string(),
                on,
                decision: DecisionId::new(now(), 1),
                text: Digest([7; 32]),
            }])
        };
        archive.mirror_ends = ended_on(JstDay::of(at));
        let days = archive.dispose(at).await.unwrap();
        assert_eq!(days[0].pending, []);
        let record = archive.record(Subject::Day(today())).unwrap();
        let keys = verifier_keys(&disk, &memory_layout()).unwrap();
        let text = record.certificate().unwrap();
        assert!(text.contains("\nmirrors ended by decision 1\n"), "{text}");
        let certificate = verify_certificate(text, &keys).unwrap();
        assert_eq!(certificate.mirrors_ended, 1);

        // Keys are made a week ahead, so the mirror has none of a day after that.
        let week: Vec<JstDay> = std::iter::successors(Some(today()), |day| Some(day.next()))
            .take(9)
            .collect();
        let end = &ended_on(today()).unwrap()[0];
        let concerned = week.iter().filter(|day| concerns(end, **day));
        assert_eq!(concerned.count(), 8);
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
            .office(async |office| plan_due(office, Some(&Holds::default()), at).await)
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

/// Somebody puts a copy of a file back into the folder of a day that was certified long ago, beside one that never was.
#[test]
fn what_comes_back_after_its_day_is_removed_and_the_record_stays_as_it_is() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk.clone()), &memory_layout()).await;
        let expiry = archive.expiry();
        let folder = memory_layout().vault_day(today());
        let copies: Vec<_> = disk
            .everything()
            .into_iter()
            .filter(|(path, _)| path.starts_with(&folder))
            .collect();
        archive.dispose(expiry).await.unwrap();
        let manager = proved("bucho", now());
        let subject = Subject::Day(today());
        archive
            .office(async |office| acknowledge(office, &Actor::System, &manager, subject, now()))
            .await
            .unwrap();
        let record = archive.record(subject).unwrap();
        for (path, bytes) in &copies {
            disk.plant(path, bytes);
        }
        let invented = folder.join(format!("{}-000.krec", opening(9).recording));
        disk.plant(&invented, b"nobody recorded this");

        let days = archive.dispose(expiry + 1.hour()).await.unwrap();

        assert_eq!(days, [], "nothing is disposed of twice");
        assert_eq!(archive.record(subject).unwrap(), record);
        assert!(
            disk.everything()
                .keys()
                .all(|path| !path.starts_with(&folder))
        );
        let trail = archive.trail();
        assert_eq!(trail.matches("\"disposal_completed\"").count(), 1);
        assert!(
            trail.contains(&format!(
                "\"event\":\"strays_removed\",\"day\":\"{}\",\"recordings\":4",
                today()
            )),
            "{trail}"
        );
    });
}

#[test]
fn what_no_row_and_no_key_knows_is_named_and_not_certified() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk.clone()), &memory_layout()).await;
        let never: JstDay = "2020-01-01".parse().unwrap();
        let folder = memory_layout().vault_day(never);
        let invented = folder.join(format!("{}-000.krec", opening(9).recording));
        disk.plant(&invented, b"nobody recorded this");
        let empty: JstDay = "2020-01-02".parse().unwrap();
        disk.make_folder(&memory_layout().vault_day(empty), 0o700)
            .unwrap();

        for _ in 0..2 {
            let days = archive.dispose(now()).await.unwrap();

            let [day] = &days[..] else {
                panic!("{days:?}");
            };
            assert_eq!((day.day, day.counts.due()), (never, 0));
            assert_eq!(day.pending, [Pending::Unknown(1)]);
            assert_eq!(archive.record(Subject::Day(never)), None);
            assert!(disk.read(&invented).is_ok(), "it may be evidence");
        }
        assert!(!archive.trail().contains("disposal_begun"));
        assert_eq!(archive.heard(&[1, 2, 3]), [1, 2, 3]);
    });
}

#[test]
fn a_damaged_record_of_a_day_is_named_and_never_overwritten() {
    let disk = MemoryDisk::new();
    run(async {
        let mut archive = Archive::begin(Arc::new(disk.clone()), &memory_layout()).await;
        let expiry = archive.expiry();
        let record = memory_layout()
            .disposals()
            .join(format!("{}.json", today()));
        disk.plant(&record, b"damaged");

        for _ in 0..2 {
            let days = archive.dispose(expiry).await.unwrap();

            assert!(
                matches!(days[0].pending[..], [Pending::Disk(_)]),
                "{days:?}"
            );
            assert_eq!(disk.read(&record).unwrap(), b"damaged");
            assert_eq!(archive.heard(&[1, 2, 3]), []);
        }
        assert_eq!(archive.trail().matches("\"disposal_begun\"").count(), 1);
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
            .office(async |office| plan_due(office, Some(&Holds::default()), expiry).await)
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

/// The process died between the decision's entry and the keys; then the register could not be read either.
#[test]
fn a_day_waits_for_a_hold_that_is_not_in_the_keys_and_for_a_register_that_cannot_be_read() {
    run(async {
        let mut archive = Archive::begin(Arc::new(MemoryDisk::new()), &memory_layout()).await;
        let expiry = archive.expiry();
        let recording = opening(2).recording;
        let (register, nothing) = (held(case(), recording, None), Holds::default());
        let decided = register.holds();
        for (decided, waits) in [
            (Some(decided), Pending::Holds(1)),
            (None, Pending::Register),
        ] {
            let plan = archive
                .office(async |office| plan_due(office, decided, expiry).await)
                .await
                .unwrap();
            assert_eq!((plan[0].due, plan[0].held, plan[0].failed), (3, 0, 3));
            let days = dispose(&mut archive, |_| decided).await;
            let counts = days[0].counts;
            assert_eq!(
                (counts.due(), counts.disposed(), counts.failed()),
                (3, 0, 3)
            );
            assert_eq!(days[0].pending, [waits]);
        }
        // It is decided after the day was looked at.
        let days = dispose(&mut archive, |piece| match piece {
            0 | 1 => Some(&nothing),
            _ => Some(decided),
        });
        assert_eq!(days.await[0].pending, [Pending::Holds(1)]);
        assert_eq!(archive.heard(&[1, 2, 3]), [1, 2, 3]);
        assert!(!archive.trail().contains("disposal_begun"));

        archive
            .office(async |office| hold(office, &hold_permit(case(), recording)).await)
            .await
            .unwrap();
        let days = dispose(&mut archive, |_| Some(decided)).await;
        let counts = days[0].counts;
        assert_eq!((counts.due(), counts.disposed(), counts.held()), (3, 2, 1));
        assert_eq!(archive.heard(&[1, 2, 3]), [2]);
    });
}

/// Disposes of what is due; `decided`: what is decided to be held before each piece, counted from 0.
async fn dispose<'register>(
    archive: &mut Archive,
    decided: impl Fn(usize) -> Option<&'register Holds>,
) -> Vec<DisposedDay> {
    let mut disposal = Disposal::new(Actor::System, archive.expiry());
    for piece in 0.. {
        let decided = decided(piece);
        let step = archive.office(async |office| disposal.step(office, decided).await);
        match step.await.unwrap() {
            Step::Further(further) => disposal = further,
            Step::Done(days) => return days,
        }
    }
    unreachable!("a disposal has an end")
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
