//! The texts of a fact: kept before its entry, so that wherever the power goes both are there or neither is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use rules::{Fact, Period, RegisterGrant, RegisterPermit, Subject};
use storage::{
    Attachments, AuditTrail, Catalogue, Duty, Faults, Layout, MemoryDisk, OsDisk, SealedText,
    TextKind,
};

/// Trail and keys on a disk whose power can go, the database on a real one.
struct House {
    city: City,
    catalogue: Catalogue,
    database: Layout,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new(disk: &MemoryDisk) -> House {
        let folder = tempfile::tempdir().unwrap();
        let database = Layout::new(folder.path().join("data"), folder.path().join("root"));
        database.make_folders(&OsDisk).unwrap();
        let mut house = House {
            city: city(Arc::new(disk.clone()), &memory_layout()),
            catalogue: Catalogue::open(&database).await.unwrap(),
            database,
            _folder: folder,
        };
        let grant = house.ask(None, founded()).await;
        house.write(grant, Attachments::default()).await.unwrap();
        house
    }

    /// What the next start finds.
    async fn again(self, disk: &MemoryDisk) -> House {
        House {
            city: city_again(Arc::new(disk.clone()), &memory_layout()),
            catalogue: Catalogue::open(&self.database).await.unwrap(),
            ..self
        }
    }

    async fn ask(&mut self, by: Option<&str>, fact: Fact) -> RegisterGrant {
        let (disk, layout) = (&*self.city.disk, &self.city.layout);
        let register = self.catalogue.register(disk, layout).await.unwrap();
        let proved = by.map(|id| proved(id, now()));
        let granted = register.request(&petitioner(proved.as_ref()), fact, now());
        granted.unwrap().unwrap()
    }

    /// Keeps ahead, writes the entry, records; `None` where the disk let it get no further than the entry.
    async fn write(&mut self, grant: RegisterGrant, attachments: Attachments) -> Option<()> {
        let ahead = self
            .catalogue
            .keep_ahead(&grant, attachments)
            .await
            .unwrap();
        let disk = Arc::clone(&self.city.disk);
        let mut trail = AuditTrail::open(disk, &self.city.layout, Duty::Office).ok()?;
        let receipt = trail.append(grant.entry().clone(), now()).ok()?;
        let permit = RegisterPermit::issue(grant, receipt).unwrap();
        self.catalogue.record(permit, ahead).await.unwrap();
        Some(())
    }

    /// A deputy's appointment, and the basis that belongs to it.
    fn deputised(&self, until: &str, basis: &str) -> (Fact, SealedText) {
        let about = Subject::Person("sato".parse().unwrap());
        let sealed = self
            .city
            .sealer
            .seal_text(about, TextKind::Basis, now(), basis);
        let (text, basis) = sealed.unwrap();
        let day = |text: &str| text.parse().unwrap();
        let fact = Fact::Deputised {
            person: "sato".parse().unwrap(),
            period: Period::new(day("2026-11-20"), day(until)).unwrap(),
            basis,
        };
        (fact, text)
    }

    /// Whether somebody is a deputy, and the basis.
    async fn found(&mut self) -> (bool, Option<String>) {
        let (disk, layout) = (&*self.city.disk, &self.city.layout);
        let register = self.catalogue.register(disk, layout).await.unwrap();
        let sato = register.person(&"sato".parse().unwrap()).unwrap();
        let about = Subject::Person(sato.id().clone());
        let text = self.catalogue.sealed_text(about, TextKind::Basis).await;
        let text = text.unwrap();
        let basis = text.map(|text| self.city.opener.open_text(&text).unwrap());
        (sato.is_deputy(now()), basis)
    }
}

/// The power goes in the n-th sync of the entry, for every n, and whatever the entry became the process dies before its row.
#[tokio::test]
async fn wherever_the_power_goes_a_fact_has_its_text_or_neither_is_there() {
    let mut outcomes = Vec::new();
    for n in 1.. {
        let disk = MemoryDisk::new();
        let mut house = House::new(&disk).await;
        let (fact, text) = house.deputised("2026-12-10", "出張");
        let grant = house.ask(Some("kacho"), fact).await;
        disk.set_faults(Faults {
            freeze_at_sync: Some(disk.sync_count() + n),
            ..Faults::default()
        });
        let attachments = Attachments::of(text);
        let ahead = house.catalogue.keep_ahead(&grant, attachments).await;
        let _ = ahead.unwrap();
        let trail = AuditTrail::open(Arc::new(disk.clone()), &house.city.layout, Duty::Office);
        let written = trail.and_then(|mut trail| trail.append(grant.entry().clone(), now()));

        let mut house = house.again(&disk.after_power_cut()).await;

        let (is_deputy, basis) = house.found().await;
        assert_eq!(basis.is_some(), is_deputy, "n = {n}");
        outcomes.push(is_deputy);
        if written.is_ok() {
            break;
        }
    }
    assert!(
        outcomes.contains(&false) && outcomes.contains(&true),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_text_whose_entry_was_never_written_is_read_by_nobody_and_goes() {
    let disk = MemoryDisk::new();
    let mut house = House::new(&disk).await;
    let (fact, text) = house.deputised("2026-11-30", "入院");
    let grant = house.ask(Some("kacho"), fact).await;
    house.write(grant, Attachments::of(text)).await.unwrap();
    let (other, text) = house.deputised("2026-12-10", "出張");
    let grant = house.ask(Some("kacho"), other).await;
    let ahead = house
        .catalogue
        .keep_ahead(&grant, Attachments::of(text))
        .await;
    let _ = ahead.unwrap();
    assert_eq!(house.found().await, (true, Some("入院".to_owned())));

    let mut house = house.again(&disk).await;

    assert_eq!(house.found().await, (true, Some("入院".to_owned())));
    // Asked again, it is recorded with the text of this time.
    let (fact, text) = house.deputised("2026-12-10", "出張");
    let grant = house.ask(Some("kacho"), fact).await;
    house.write(grant, Attachments::of(text)).await.unwrap();
    assert_eq!(house.found().await, (true, Some("出張".to_owned())));
}
