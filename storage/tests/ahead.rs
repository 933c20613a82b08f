//! Texts and passwords of a fact: kept before its entry, so that wherever the power goes both are there or neither is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use rules::{
    Fact, NewPassword, Origin, Period, Register, RegisterGrant, RegisterPermit, StaffId, Subject,
};
use storage::{
    Attachments, AuditTrail, Catalogue, Duty, Faults, Layout, MemoryDisk, OsDisk, PasswordHash,
    PasswordSet, SealedText, TextKind,
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
        let mut house = House::unfounded(disk).await;
        let grant = house.ask(None, founded()).await;
        house.write(grant, Attachments::default()).await.unwrap();
        house
    }

    async fn unfounded(disk: &MemoryDisk) -> House {
        let folder = tempfile::tempdir().unwrap();
        let database = Layout::new(folder.path().join("data"), folder.path().join("root"));
        database.make_folders(&OsDisk).unwrap();
        House {
            city: city(Arc::new(disk.clone()), &memory_layout()),
            catalogue: Catalogue::open(&database).await.unwrap(),
            database,
            _folder: folder,
        }
    }

    /// What the next start finds.
    async fn again(self, disk: &MemoryDisk) -> House {
        let mut house = House {
            city: city_again(Arc::new(disk.clone()), &memory_layout()),
            catalogue: Catalogue::open(&self.database).await.unwrap(),
            ..self
        };
        let City { disk, layout, .. } = &house.city;
        let settled = house.catalogue.settle_passwords(&**disk, layout).await;
        settled.unwrap();
        house
    }

    async fn register(&mut self) -> Arc<Register> {
        let (disk, layout) = (&*self.city.disk, &self.city.layout);
        self.catalogue.register(disk, layout).await.unwrap()
    }

    async fn ask(&mut self, by: Option<&str>, fact: Fact) -> RegisterGrant {
        let register = self.register().await;
        let proved = by.map(|id| proved(id, now()));
        let granted = register.request(&petitioner(proved.as_ref()), fact, now());
        granted.unwrap().unwrap()
    }

    /// Keeps ahead, writes the entry, records; `None` where the disk let it get no further than the entry.
    async fn write(&mut self, grant: RegisterGrant, attachments: Attachments) -> Option<()> {
        let ahead = self
            .catalogue
            .keep_ahead(&grant, attachments, 0)
            .await
            .unwrap();
        let disk = Arc::clone(&self.city.disk);
        let mut trail = AuditTrail::open(disk, &self.city.layout, Duty::Office).ok()?;
        let receipt = trail.append(grant.entry().clone(), now()).ok()?;
        let permit = RegisterPermit::issue(grant, receipt).unwrap();
        self.catalogue.record(permit, ahead).await.unwrap();
        Some(())
    }

    /// Keeps ahead, and writes the entry until the power goes in its n-th sync; whether it came to its end.
    async fn write_until(
        &mut self,
        n: u64,
        disk: &MemoryDisk,
        grant: &RegisterGrant,
        attachments: Attachments,
    ) -> bool {
        disk.set_faults(Faults {
            freeze_at_sync: Some(disk.sync_count() + n),
            ..Faults::default()
        });
        let ahead = self.catalogue.keep_ahead(grant, attachments, 0).await;
        let _ = ahead.unwrap();
        let trail = AuditTrail::open(Arc::new(disk.clone()), &self.city.layout, Duty::Office);
        let written = trail.and_then(|mut trail| trail.append(grant.entry().clone(), now()));
        written.is_ok()
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
        let register = self.register().await;
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
        let attachments = Attachments::of(text);
        let written = house.write_until(n, &disk, &grant, attachments).await;

        let mut house = house.again(&disk.after_power_cut()).await;

        let (is_deputy, basis) = house.found().await;
        assert_eq!(basis.is_some(), is_deputy, "n = {n}");
        outcomes.push(is_deputy);
        if written {
            break;
        }
    }
    assert!(
        outcomes.contains(&false) && outcomes.contains(&true),
        "{outcomes:?}"
    );
}

/// The same with the two first persons: nobody could come in whose passwords were lost with their founding.
#[tokio::test]
async fn wherever_the_power_goes_the_first_two_have_their_passwords_or_are_not_founded() {
    let own = ["kacho", "kanri"].map(|id| {
        let person: StaffId = id.parse().unwrap();
        let password = NewPassword::judge(&person, "umi-no-mieru-oka").unwrap();
        (person, PasswordHash::new(&password).unwrap())
    });
    let mut outcomes = Vec::new();
    for n in 1.. {
        let disk = MemoryDisk::new();
        let mut house = House::unfounded(&disk).await;
        let grant = house.ask(None, founded()).await;
        let passwords = own
            .iter()
            .map(|(person, hash)| PasswordSet::founders(person.clone(), hash.clone()));
        let attachments = Attachments {
            passwords: passwords.collect(),
            ..Attachments::default()
        };
        let written = house.write_until(n, &disk, &grant, attachments).await;

        let mut house = house.again(&disk.after_power_cut()).await;

        let is_founded = house.register().await.is_founded();
        for (person, hash) in &own {
            let kept = house.catalogue.account(person).await.unwrap();
            let found = kept.map(|kept| (kept.account.origin, kept.hash));
            let expected = is_founded.then(|| (Origin::Own, hash.clone()));
            assert!(found == expected, "{person}, n = {n}, {is_founded}");
        }
        outcomes.push(is_founded);
        if written {
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
        .keep_ahead(&grant, Attachments::of(text), 0)
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
