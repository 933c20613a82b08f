//! The passphrase of a package that nobody has seen yet: it dies with the recordings in the package, and what is forgotten is in no file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, CaseId, DisposalCause, Fact, HandOverId, JstDay, RecordingId, RegisterPermit};
use storage::{
    Attachments, AuditTrail, Catalogue, Duty, KeptPassphrase, Keys, Layout, Office, Opening,
    OsDisk, Passphrase, Signing, Spool, SpoolEntry, dispose_due, dispose_one, hold,
};

/// An installation of real files with a recording of today and one of three days later.
struct House {
    city: City,
    keys: Keys,
    catalogue: Catalogue,
    folder: tempfile::TempDir,
}

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout_in(folder.path());
        let city = city(Arc::new(OsDisk), &layout);
        let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
        for opening in [opening(1), opening(2), later()] {
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
        let keys = Keys::open(Arc::clone(&city.disk), &layout).unwrap();
        House {
            city,
            keys,
            catalogue,
            folder,
        }
    }

    fn keep(&self, recordings: &BTreeMap<RecordingId, JstDay>) -> (KeptPassphrase, String) {
        let passphrase = Passphrase::random().unwrap();
        let kept = self
            .city
            .opener
            .keep_passphrase(&self.city.vault, hand_over(1), recordings, &passphrase)
            .unwrap();
        (kept, passphrase.text().to_owned())
    }

    /// Records a fact together with the passphrase.
    async fn record(&mut self, by: Option<&str>, fact: Fact, kept: &KeptPassphrase) {
        let proved = by.map(|id| proved(id, now()));
        let register = self.catalogue.register(&OsDisk, &self.city.layout).await;
        let granted = register
            .unwrap()
            .request(&petitioner(proved.as_ref()), fact, now());
        let grant = granted.unwrap().unwrap();
        let attachments = Attachments {
            passphrase: Some(kept.clone()),
            ..Attachments::default()
        };
        let ahead = self.catalogue.keep_ahead(&grant, attachments, 0).await;
        let receipt = trail(&self.city).append(grant.entry().clone(), now());
        let permit = RegisterPermit::issue(grant, receipt.unwrap()).unwrap();
        let recorded = self.catalogue.record(permit, ahead.unwrap()).await;
        recorded.unwrap();
    }

    async fn office<T>(&mut self, act: impl AsyncFnOnce(&mut Office<'_>) -> T) -> T {
        let signing = signing(&self.city);
        let disk = Arc::clone(&self.city.disk);
        let mut trail = AuditTrail::open(disk, &self.city.layout, Duty::Office).unwrap();
        let mut office = Office {
            keys: &mut self.keys,
            vault: &self.city.vault,
            catalogue: &mut self.catalogue,
            trail: &mut trail,
            signing: signing.as_ref().map(Signing::key),
            mirror_ends: Some(&[]),
        };
        act(&mut office).await
    }

    async fn dispose(&mut self, at: Timestamp) {
        self.office(async |office| dispose_due(office, &Actor::System, at).await)
            .await
            .unwrap();
    }

    fn expiry(&self) -> Timestamp {
        self.city.vault.begin_day(today()).unwrap()
    }
}

fn layout_in(folder: &Path) -> Layout {
    Layout::new(folder.join("data"), folder.join("root"))
}

fn later() -> Opening {
    Opening {
        call_started: now() + 72.hours(),
        ..opening(9)
    }
}

fn hand_over(number: u128) -> HandOverId {
    HandOverId::new(now(), number)
}

fn in_package(openings: &[Opening]) -> BTreeMap<RecordingId, JstDay> {
    let entry = |opening: &Opening| (opening.recording, JstDay::of(opening.call_started));
    openings.iter().map(entry).collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
}

/// What opens it with today's root: with today's data, and with all data as it was before.
fn opened(
    house: &House,
    old: &Path,
    kept: &KeptPassphrase,
    recordings: &BTreeMap<RecordingId, JstDay>,
) -> Vec<String> {
    let restored = tempfile::tempdir().unwrap();
    copy(&old.join("data"), &restored.path().join("data"));
    copy(
        &house.folder.path().join("root"),
        &restored.path().join("root"),
    );
    let restored = layout_in(restored.path());
    let layouts = [&house.city.layout, &restored];
    let open = |layout: &Layout| {
        let city = city_again(Arc::new(OsDisk), layout);
        let opened = city.opener.open_passphrase(&city.vault, kept, recordings);
        opened.map(|passphrase| passphrase.text().to_owned()).ok()
    };
    layouts.into_iter().filter_map(open).collect()
}

/// A package of two days whose passphrase nobody asked for; then the first day is over, and a copy of everything but the root comes back.
#[tokio::test]
async fn a_passphrase_that_was_never_shown_dies_with_the_first_of_its_recordings() {
    let mut house = House::new().await;
    let recordings = in_package(&[opening(1), later()]);
    let (kept, text) = house.keep(&recordings);
    let old = tempfile::tempdir().unwrap();
    copy(house.folder.path(), old.path());
    let before = opened(&house, old.path(), &kept, &recordings);
    assert_eq!(before, [text.clone(), text.clone()]);
    let others = in_package(&[later()]);
    assert!(opened(&house, old.path(), &kept, &others).is_empty());

    house.dispose(house.expiry()).await;

    assert!(opened(&house, old.path(), &kept, &recordings).is_empty());
}

#[tokio::test]
async fn it_dies_with_a_recording_that_is_destroyed_before_its_day_and_no_other_does() {
    let mut house = House::new().await;
    let (own, other) = (in_package(&[opening(1)]), in_package(&[opening(2)]));
    let ((kept, _), (kept_other, text)) = (house.keep(&own), house.keep(&other));
    let old = tempfile::tempdir().unwrap();
    copy(house.folder.path(), old.path());
    let case = CaseId::new(now(), 77);
    let cause = DisposalCause::Decided { case };
    let recording = opening(1).recording;

    house
        .office(async |office| {
            dispose_one(office, &Actor::System, recording, cause, now(), || Ok(())).await
        })
        .await
        .unwrap();

    assert!(opened(&house, old.path(), &kept, &own).is_empty());
    let restored = opened(&house, old.path(), &kept_other, &other);
    assert_eq!(restored, [text], "with today's data alone");
}

#[tokio::test]
async fn it_lives_on_with_a_recording_that_a_case_holds() {
    let mut house = House::new().await;
    let recordings = in_package(&[opening(1)]);
    let (kept, text) = house.keep(&recordings);
    let permit = hold_permit(CaseId::new(now(), 77), opening(1).recording);
    house
        .office(async |office| hold(office, &permit).await)
        .await
        .unwrap();

    house.dispose(house.expiry()).await;

    let (opener, vault) = (&house.city.opener, &house.city.vault);
    let opened = opener.open_passphrase(vault, &kept, &recordings).unwrap();
    assert_eq!(opened.text(), text);
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_byte_of_the_database_or_its_log() {
    let mut house = House::new().await;
    let recordings = in_package(&[opening(1)]);
    let (first, second) = (house.keep(&recordings).0, house.keep(&recordings).0);
    let database = house.city.layout.catalogue();
    let holds = |kept: &KeptPassphrase| {
        let json = serde_json::to_string(kept).unwrap();
        let files = ["catalogue.db", "catalogue.db-wal", "catalogue.db-shm"];
        let read = |name: &&str| fs::read(database.with_file_name(name)).unwrap();
        let is_in = |bytes: Vec<u8>| {
            let marker = json.split("\"encrypted\":\"").nth(1).unwrap();
            contains(&bytes, marker.trim_end_matches("\"}").as_bytes())
        };
        files.iter().map(read).any(is_in)
    };
    house.record(None, founded(), &first).await;
    assert!(holds(&first) && !holds(&second));

    house
        .catalogue
        .keep_passphrases_of(&BTreeSet::new())
        .await
        .unwrap();

    assert!(!holds(&first));
    let person = "sato".parse().unwrap();
    let withdrawn = Fact::Withdrawn { person };
    house.record(Some("kacho"), withdrawn, &second).await;
    let awaited = BTreeSet::from([hand_over(1)]);
    let log = || fs::metadata(database.with_file_name("catalogue.db-wal")).unwrap();
    let uncut = log().len();
    house.catalogue.keep_passphrases_of(&awaited).await.unwrap();
    assert!(uncut > 0);
    assert_eq!(log().len(), uncut, "nothing was forgotten, nothing is cut");
    let found = house.catalogue.kept_passphrase(hand_over(1)).await.unwrap();
    assert_eq!(found, Some(second));
}
