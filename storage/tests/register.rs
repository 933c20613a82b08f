//! The register of people against the trail: rows are lost, come back old, are written by hand; the trail is what happened.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::*;
use jiff::ToSpan;
use rules::{
    AttestedKind, AuditReceipt, Digest, Fact, JstMonth, Particular, Period, RefusalCode, Register,
    RegisterFault, RegisterPermit, StaffId, TrailTerm, VendorId,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use storage::{
    Attachments, Catalogue, CatalogueFault, Duty, Heads, Layout, OldMonths, OsDisk,
    RegisterMismatch, Removal, Signing, remove_months, verify,
};

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// A register with its trail; rows get lost between the two.
struct House {
    city: City,
    catalogue: Catalogue,
}

impl House {
    async fn new(folder: &Path) -> House {
        let layout = Layout::new(folder.join("data"), folder.join("root"));
        let city = city(Arc::new(OsDisk), &layout);
        let catalogue = Catalogue::open(&layout).await.unwrap();
        House { city, catalogue }
    }

    /// What a start after a crash, or beside other files, finds.
    async fn again(self) -> House {
        self.catalogue.close().await.unwrap();
        let catalogue = Catalogue::open(&self.city.layout).await.unwrap();
        let city = self.city;
        House { city, catalogue }
    }

    async fn register(&mut self) -> Result<Arc<Register>, CatalogueFault> {
        self.catalogue
            .register(&*self.city.disk, &self.city.layout)
            .await
    }

    /// Asks and writes the entry; then the process dies.
    async fn write_down(
        &mut self,
        by: Option<&str>,
        fact: Fact,
    ) -> (rules::RegisterGrant, AuditReceipt) {
        let proved = by.map(|id| proved(id, now()));
        let register = self.register().await.unwrap();
        let granted = register.request(&petitioner(proved.as_ref()), fact, now());
        let grant = granted.unwrap().unwrap();
        let receipt = trail(&self.city)
            .append(grant.entry().clone(), now())
            .unwrap();
        (grant, receipt)
    }

    async fn record(&mut self, by: Option<&str>, fact: Fact) -> u64 {
        let (grant, receipt) = self.write_down(by, fact).await;
        let nothing = Attachments::default();
        let ahead = self.catalogue.keep_ahead(&grant, nothing, 0).await.unwrap();
        let permit = RegisterPermit::issue(grant, receipt).unwrap();
        let seq = permit.audit_seq();
        self.catalogue.record(permit, ahead).await.unwrap();
        seq
    }

    async fn is_designated(&mut self) -> bool {
        let register = self.register().await.unwrap();
        let person = register.person(&id("sato")).unwrap();
        person.designation(now()).is_some()
    }

    /// Somebody with the file in hand.
    async fn by_hand(self, sql: &'static str) -> House {
        self.catalogue.close().await.unwrap();
        let options = SqliteConnectOptions::new().filename(self.city.layout.catalogue());
        let mut hand = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut hand).await.unwrap();
        hand.close().await.unwrap();
        let catalogue = Catalogue::open(&self.city.layout).await.unwrap();
        let city = self.city;
        House { city, catalogue }
    }

    async fn mismatch(&mut self) -> RegisterMismatch {
        let whole = self
            .catalogue
            .compare_whole(&*self.city.disk, &self.city.layout)
            .await;
        let found = self.register().await;
        match (found, whole) {
            (Err(CatalogueFault::Register(found)), Err(CatalogueFault::Register(whole))) => {
                assert_eq!(found, whole);
                found
            }
            (found, whole) => panic!("{:?}, {whole:?}", found.err()),
        }
    }
}

fn id(text: &str) -> StaffId {
    text.parse().unwrap()
}

fn withdrawn() -> Fact {
    Fact::Withdrawn { person: id("sato") }
}

fn designated(from: &str) -> Fact {
    let day = |text: &str| text.parse().unwrap();
    Fact::Designated {
        person: id("sato"),
        period: Period::new(day(from), day("2027-03-31")).unwrap(),
    }
}

/// Any user of the host's group asks for it.
async fn found_anew(house: &mut House) -> Result<(), RegisterFault> {
    let register = house.register().await.unwrap();
    let fact = Fact::Founded {
        manager: id("thief"),
        administrator: id("thiefs-friend"),
        unit: "広聴課".parse().unwrap(),
        taken_in: vec![],
    };
    register.request(&petitioner(None), fact, now()).map(drop)
}

fn assert_founded(judged: &Result<(), RegisterFault>) {
    let Err(RegisterFault::Refused(refusal)) = judged else {
        panic!("{judged:?}");
    };
    assert_eq!(refusal.code(), RefusalCode::AlreadyFounded);
}

#[tokio::test]
async fn what_was_withdrawn_stays_withdrawn_when_the_process_dies_before_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    assert!(house.is_designated().await);
    let _ = house.write_down(Some("kacho"), withdrawn()).await;
    let mut house = house.again().await;
    let lacking = house
        .catalogue
        .compare_whole(&*house.city.disk, &house.city.layout)
        .await
        .unwrap();
    assert_eq!((lacking.facts, lacking.lacking), (1, 1));

    assert!(!house.is_designated().await);

    // What is recorded later stands after it, whatever row it has.
    house.record(Some("kacho"), designated("2026-11-01")).await;
    assert!(house.again().await.is_designated().await);
}

#[tokio::test]
async fn a_lost_catalogue_knows_its_people_again_and_nobody_founds_it_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    house.record(Some("kacho"), withdrawn()).await;
    house.catalogue.close().await.unwrap();
    fs::remove_file(house.city.layout.catalogue()).unwrap();
    let catalogue = Catalogue::open(&house.city.layout).await.unwrap();
    let mut house = House {
        city: house.city,
        catalogue,
    };

    assert_founded(&found_anew(&mut house).await);
    assert!(!house.is_designated().await);
    let register = house.register().await.unwrap();
    assert_eq!(register.people().count(), 3);
    // The passwords are lost with the catalogue.
    assert!(
        house
            .catalogue
            .account(&id("kacho"))
            .await
            .unwrap()
            .is_none()
    );
}

/// As an earlier version wrote them.
#[tokio::test]
async fn words_that_stand_in_clear_in_the_trail_are_compared_and_taken_up_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    let in_clear = || Particular::InClear("接遇".parse().unwrap());
    let vendor: VendorId = "bunseki".parse().unwrap();
    let until = "2027-03-31".parse().unwrap();
    for fact in [
        Fact::Trained {
            person: id("sato"),
            course: in_clear(),
            on: "2026-11-20".parse().unwrap(),
        },
        Fact::VendorAdded {
            vendor: vendor.clone(),
            recipient: RECIPIENT.parse().unwrap(),
        },
        Fact::VendorAttested {
            vendor: vendor.clone(),
            kind: AttestedKind::Named("isms".parse().unwrap()),
            until,
        },
    ] {
        house.record(Some("kacho"), fact).await;
    }
    let mut house = house.again().await;
    let before = house.register().await.unwrap();
    let mut house = house.by_hand("DELETE FROM register").await;
    let after = house.register().await.unwrap();
    assert_eq!(before, after);
    let training = after.person(&id("sato")).unwrap().training(now());
    assert_eq!(training.unwrap().course, in_clear());
    let kinds = after.vendors()[&vendor].attestations().values();
    assert_eq!(kinds.collect::<Vec<_>>(), [&until]);
    // A row that says it otherwise is another row.
    let hand = "UPDATE register SET fact = replace(fact, 'isms', 'disposal')";
    let mut house = house.by_hand(hand).await;
    house.mismatch().await;
}

#[tokio::test]
async fn a_row_that_is_not_what_its_entry_says_refuses_until_it_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    let seq = house.record(Some("kacho"), withdrawn()).await;
    // It was compared before, so its place is behind the mark.
    let mut house = house.again().await;
    house.register().await.unwrap();
    let hand = "UPDATE register SET fact = replace(fact, 'withdrawn', 'appointed') WHERE fact LIKE '%withdrawn%'";
    let mut house = house.by_hand(hand).await;
    assert_eq!(house.mismatch().await, RegisterMismatch::RowDiffers { seq });
    let mut house = house
        .by_hand("DELETE FROM register WHERE fact LIKE '%appointed%'")
        .await;
    assert!(!house.is_designated().await);
}

#[tokio::test]
async fn a_row_that_somebody_takes_away_beside_the_running_office_revives_no_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    house.record(Some("kacho"), withdrawn()).await;
    assert!(!house.is_designated().await);
    let options = SqliteConnectOptions::new().filename(house.city.layout.catalogue());
    let mut hand = SqliteConnection::connect_with(&options).await.unwrap();
    let taken = sqlx::raw_sql("DELETE FROM register WHERE fact LIKE '%withdrawn%'");
    taken.execute(&mut hand).await.unwrap();
    hand.close().await.unwrap();

    assert!(!house.is_designated().await);

    // The next comparison takes it up again.
    house
        .catalogue
        .compare(&*house.city.disk, &house.city.layout)
        .await
        .unwrap();
    assert!(!house.again().await.is_designated().await);
}

#[tokio::test]
async fn a_row_without_an_entry_and_another_trail_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    let hand = "INSERT INTO register (at, audit_seq, actor, fact) SELECT at, 99, actor, fact FROM register";
    let mut house = house.by_hand(hand).await;
    let seq = 99;
    assert_eq!(house.mismatch().await, RegisterMismatch::NoEntry { seq });

    let mut house = house
        .by_hand("DELETE FROM register WHERE audit_seq = 99")
        .await;
    house.register().await.unwrap();
    let audit = house.city.layout.office_audit();
    fs::remove_dir_all(&audit).unwrap();
    let read = house.again().await.register().await;
    assert!(matches!(
        read,
        Err(CatalogueFault::Register(
            RegisterMismatch::OtherTrail { .. }
        ))
    ));
}

#[tokio::test]
async fn a_trail_that_is_not_whole_gives_no_register() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    let _ = house.write_down(Some("kacho"), withdrawn()).await;
    let file = house.city.layout.office_audit().join("2026-11.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("withdrawn", "appointed")).unwrap();
    let mut house = house.again().await;
    let read = house.register().await;
    assert!(matches!(read, Err(CatalogueFault::Audit(_))));
}

/// What was compared vouches for itself; a disk that spoils an old line stops nobody.
#[tokio::test]
async fn a_line_that_is_spoilt_after_it_was_compared_is_named_and_the_register_holds() {
    for spoilt in ["\"founded\"", "\"logged_in\""] {
        let folder = tempfile::tempdir().unwrap();
        let mut house = House::new(folder.path()).await;
        house.record(None, founded()).await;
        let last = rules::AuditDraft::system(rules::AuditEvent::LoggedIn);
        let _ = trail(&house.city).append(last, now()).unwrap();
        let mut house = house.again().await;
        house.register().await.unwrap();
        let file = house.city.layout.office_audit().join("2026-11.jsonl");
        let spoil = |from: &str, to: &str| {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(from), "{from}");
            fs::write(&file, text.replace(from, to)).unwrap();
        };
        let text = fs::read_to_string(&file).unwrap();
        let _ = house.write_down(Some("kacho"), withdrawn()).await;
        spoil(spoilt, "\"spoilt\"");

        let mut house = house.again().await;

        assert!(!house.is_designated().await, "{spoilt}: {text}");
        let (disk, layout) = (&*house.city.disk, &house.city.layout);
        let report = verify(disk, layout, Duty::Office, &[]).unwrap();
        assert!(!report.is_whole());
        assert!(house.catalogue.compare_whole(disk, layout).await.is_err());
        // Behind what was compared nothing may be spoilt.
        let withdrawal = house
            .write_down(Some("kacho"), designated("2026-11-25"))
            .await;
        drop(withdrawal);
        spoil("2026-11-25", "2026-11-24");
        let mut house = house.again().await;
        assert!(matches!(
            house.register().await,
            Err(CatalogueFault::Audit(_))
        ));
    }
}

/// What the trail has forgotten after its term the rows still know; a catalogue from before that, or none, revives nothing.
#[tokio::test]
async fn months_that_were_removed_leave_the_rows_and_a_lost_register_is_not_founded_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    house.record(Some("kacho"), withdrawn()).await;
    house.register().await.unwrap();
    house.catalogue.close().await.unwrap();
    let old = fs::read(house.city.layout.catalogue()).unwrap();
    let later = now() + (24 * 365 * 4).hours();
    let city = house.city;
    let end = rules::AuditDraft::system(rules::AuditEvent::LoggedIn);
    let _ = trail(&city).append(end, later).unwrap();
    let mut catalogue = Catalogue::open(&city.layout).await.unwrap();
    catalogue.compare(&OsDisk, &city.layout).await.unwrap();
    remove_2026(&city, later);

    let mut house = House { city, catalogue }.again().await;
    assert!(!house.is_designated().await);
    let compared = house.catalogue.compare_whole(&OsDisk, &house.city.layout);
    assert_eq!(compared.await.unwrap().facts, 2);

    house.catalogue.close().await.unwrap();
    fs::write(house.city.layout.catalogue(), old).unwrap();
    let catalogue = Catalogue::open(&house.city.layout).await.unwrap();
    let city = house.city;
    let mut house = House { city, catalogue };
    assert!(matches!(
        house.mismatch().await,
        RegisterMismatch::EntriesGone { .. }
    ));

    let mut house = house.by_hand("DELETE FROM register").await;
    assert_founded(&found_anew(&mut house).await);
}

fn remove_2026(city: &City, later: jiff::Timestamp) {
    let signing = Signing::open(&city.disk, &city.layout, now()).unwrap();
    let heads = Heads::new(Arc::clone(&city.disk), &city.layout);
    let removal = Removal {
        months: OldMonths {
            chain: Duty::Office,
            through: JstMonth::of(now()),
            term: TrailTerm::default(),
        },
        decision: Digest([7; 32]),
        actor: rules::Actor::System,
    };
    let mut office = trail(city);
    remove_months(&removal, &heads, signing.key(), &mut office, later).unwrap();
}
