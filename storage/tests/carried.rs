//! The texts of the register after a restore. Here the office's database is lost, and the backup holds texts of which today's trail
//! says nothing, or no key is left.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, sync::Arc};

use common::*;
use rules::{
    Actor, CaseId, DecisionId, DisposalCause, Fact, JstDay, Period, RegisterPermit, Subject,
};
use storage::{
    Attachments, Catalogue, Duty, Keys, Lock, MemoryDisk, Office, OsDisk, SealedText, Spool,
    TextKind, back_up, dispose_one, restore,
};

struct House {
    folder: tempfile::TempDir,
    city: City,
}

impl House {
    /// Two recordings of today; sato is a deputy by a basis.
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let city = city(Arc::new(OsDisk), &real_layout(folder.path()));
        let mut spool = Spool::new(Arc::clone(&city.disk), &city.layout);
        for number in [1, 2] {
            let opening = opening(number);
            let sealed = record(&city, &opening, 3);
            spool
                .put(&entry(row(&city, &opening, Some(&sealed))))
                .unwrap();
            city.vault.flush().unwrap();
            city.vault
                .close_recording(today(), opening.recording)
                .unwrap();
        }
        spool.flush(now()).unwrap();
        let house = House { folder, city };
        let mut catalogue = house.catalogue().await;
        let _ = catalogue
            .take_in(&OsDisk, &house.city.layout)
            .await
            .unwrap();
        house.enter(&mut catalogue, None, founded(), vec![]).await;
        let (text, basis) = house.seal(sato(), TextKind::Basis, "出張");
        let day = |text: &str| text.parse::<JstDay>().unwrap();
        let deputised = Fact::Deputised {
            person: "sato".parse().unwrap(),
            period: Period::new(day("2026-11-20"), day("2026-12-10")).unwrap(),
            basis,
        };
        house
            .enter(&mut catalogue, Some("kacho"), deputised, vec![text])
            .await;
        catalogue.close().await.unwrap();
        house
    }

    async fn catalogue(&self) -> Catalogue {
        Catalogue::open(&self.city.layout).await.unwrap()
    }

    fn seal(&self, about: Subject, kind: TextKind, text: &str) -> (SealedText, rules::Digest) {
        let sealed = self.city.sealer.seal_text(about, kind, now(), text);
        sealed.unwrap()
    }

    async fn keep(&self, texts: &[SealedText]) {
        let mut catalogue = self.catalogue().await;
        for text in texts {
            catalogue.keep_text(text).await.unwrap();
        }
        catalogue.close().await.unwrap();
    }

    async fn enter(
        &self,
        catalogue: &mut Catalogue,
        by: Option<&str>,
        fact: Fact,
        texts: Vec<SealedText>,
    ) {
        let register = catalogue.register(&OsDisk, &self.city.layout).await;
        let proved = by.map(|id| proved(id, now()));
        let granted = register
            .unwrap()
            .request(&petitioner(proved.as_ref()), fact, now());
        let grant = granted.unwrap().unwrap();
        let attachments = Attachments {
            texts,
            ..Attachments::default()
        };
        let ahead = catalogue.keep_ahead(&grant, attachments, 0).await.unwrap();
        let receipt = trail(&self.city).append(grant.entry().clone(), now());
        let permit = RegisterPermit::issue(grant, receipt.unwrap()).unwrap();
        catalogue.record(permit, ahead).await.unwrap();
    }

    async fn back_up(&self) {
        let backup = self.folder.path().join("backup");
        back_up(&self.city.layout, &backup).await.unwrap();
    }

    async fn dispose_one(&self, number: u128) {
        let mut keys = Keys::open(Arc::clone(&self.city.disk), &self.city.layout).unwrap();
        let mut catalogue = self.catalogue().await;
        let mut office = Office {
            keys: &mut keys,
            vault: &self.city.vault,
            catalogue: &mut catalogue,
            trail: &mut trail(&self.city),
            signing: None,
            mirror_ends: Some(&[]),
        };
        let case = CaseId::new(now(), 77);
        let cause = DisposalCause::Decided { case };
        let recording = opening(number).recording;
        let flushed = || Ok(());
        dispose_one(
            &mut office,
            &Actor::System,
            recording,
            cause,
            now(),
            flushed,
        )
        .await
        .unwrap();
        catalogue.close().await.unwrap();
    }

    fn lose_catalogue(&self) {
        fs::remove_file(self.city.layout.catalogue()).unwrap();
    }

    async fn restore(&self) {
        let layout = &self.city.layout;
        let held = [Duty::Calls, Duty::Office].map(|duty| Lock::acquire(layout, duty).unwrap());
        let keys = Keys::open(Arc::clone(&self.city.disk), layout).unwrap();
        let backup = self.folder.path().join("backup");
        restore(&self.city.vault, &keys, &backup, now(), &held)
            .await
            .unwrap();
    }

    async fn found(&self, about: Subject, kind: TextKind) -> Option<String> {
        let mut catalogue = self.catalogue().await;
        let text = catalogue.sealed_text(about, kind).await.unwrap();
        catalogue.close().await.unwrap();
        text.map(|text| self.city.opener.open_text(&text).unwrap())
    }
}

fn sato() -> Subject {
    Subject::Person("sato".parse().unwrap())
}

fn looked_at(number: u128) -> Subject {
    Subject::Recording(opening(number).recording)
}

#[test]
fn what_the_trail_still_says_has_its_texts_after_a_restore_and_the_others_stay_in_the_backup() {
    run(async {
        let house = House::new().await;
        let stranger = Subject::Person("stranger".parse().unwrap());
        let decision = Subject::Decision(DecisionId::new(now(), 7));
        let other_keys = city(Arc::new(MemoryDisk::new()), &memory_layout());
        let kacho = Subject::Person("kacho".parse().unwrap());
        let unopened =
            other_keys
                .sealer
                .seal_text(kacho.clone(), TextKind::Name, now(), "鍵がない");
        let kept = [
            (sato(), TextKind::Name, "試験 花子"),
            (stranger.clone(), TextKind::Name, "知らない人"),
            (decision.clone(), TextKind::Reason, "証跡にない"),
            (looked_at(1), TextKind::Reason, "脅迫の疑い"),
            (looked_at(2), TextKind::Reason, "廃棄した録音"),
        ]
        .map(|(about, kind, text)| house.seal(about, kind, text).0);
        house.keep(&kept).await;
        house.keep(&[unopened.unwrap().0]).await;
        house.back_up().await;
        house.dispose_one(2).await;
        house.lose_catalogue();

        house.restore().await;

        let mut found = Vec::new();
        for (about, kind) in [
            (sato(), TextKind::Basis),
            (sato(), TextKind::Name),
            (looked_at(1), TextKind::Reason),
            (looked_at(2), TextKind::Reason),
            (stranger, TextKind::Name),
            (decision, TextKind::Reason),
            (kacho, TextKind::Name),
        ] {
            found.extend(house.found(about, kind).await);
        }
        assert_eq!(found, ["出張", "試験 花子", "脅迫の疑い"]);
    });
}

#[test]
fn a_text_of_today_is_not_replaced_by_that_of_a_backup_however_often_it_is_restored() {
    run(async {
        let house = House::new().await;
        let name = |name| house.seal(sato(), TextKind::Name, name).0;
        house.keep(&[name("試験 花子")]).await;
        house.back_up().await;
        house.keep(&[name("改姓 花子")]).await;

        for _ in 0..2 {
            house.restore().await;

            let found = house.found(sato(), TextKind::Name).await;
            assert_eq!(found.as_deref(), Some("改姓 花子"));
        }
    });
}

#[test]
fn a_text_that_no_entry_has_does_not_stand_for_the_one_of_the_entry() {
    run(async {
        let house = House::new().await;
        // Sealed like the true one, and no entry says so.
        let forged = house.seal(sato(), TextKind::Basis, "偽り").0;
        house.keep(&[forged]).await;
        house.back_up().await;
        house.lose_catalogue();

        house.restore().await;

        let found = house.found(sato(), TextKind::Basis).await;
        assert_eq!(found.as_deref(), Some("出張"));
    });
}
