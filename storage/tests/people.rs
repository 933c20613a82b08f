//! People as they are kept, whatever engine keeps them: facts once and in order, the last passwords, used codes, sessions, wrong attempts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::Path, sync::Arc};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, Attempts, AuditDraft, AuditEvent, CodeFound, CodeOffer, Fact, JstMonth, LoginSession,
    NewPassword, Origin, PasswordFound, Period, RegisterPermit, SecondFactor, StaffId, Subject,
};
use storage::{
    Attachments, AttemptKey, Catalogue, Group, Layout, OsDisk, PasswordHash, PasswordSet,
    SealedFields, SealedText, TextKind, TokenHash, TotpSecret,
};

/// A catalogue with its keys and trail.
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

    /// Asks, writes the entry, records.
    async fn record(&mut self, by: Option<&str>, fact: Fact, attachments: Attachments) -> bool {
        let proved = by.map(|id| proved(id, now()));
        let register = self
            .catalogue
            .register(&*self.city.disk, &self.city.layout)
            .await
            .unwrap();
        let granted = register.request(&petitioner(proved.as_ref()), fact, now());
        let Some(grant) = granted.unwrap() else {
            return false;
        };
        let ahead = self
            .catalogue
            .keep_ahead(&grant, attachments, 0)
            .await
            .unwrap();
        let receipt = trail(&self.city)
            .append(grant.entry().clone(), now())
            .unwrap();
        let permit = RegisterPermit::issue(grant, receipt).unwrap();
        self.catalogue.record(permit, ahead).await.unwrap();
        self.settle().await;
        true
    }

    /// Keeps a password, says that it is set, and puts it in force.
    async fn set_password(&mut self, set: &PasswordSet, person: &StaffId) {
        let after = trail(&self.city).end().seq;
        self.catalogue.keep_password(set, after).await.unwrap();
        self.say_set(person);
        self.settle().await;
    }

    fn say_set(&self, person: &StaffId) {
        let person = person.clone();
        let draft = AuditDraft::system(AuditEvent::PasswordSet { person });
        let _ = trail(&self.city).append(draft, now()).unwrap();
    }

    async fn offer(&mut self, person: &StaffId, sealed: &SealedFields) {
        let offer = CodeOffer::new(now());
        let offered = self.catalogue.offer_totp(person, sealed, offer).await;
        offered.unwrap();
    }

    /// Offers codes, and confirms them by the code of a step.
    async fn enrol(&mut self, person: &StaffId, sealed: &SealedFields, step: u64) {
        self.offer(person, sealed).await;
        let offered = self.catalogue.offered_totp(person).await.unwrap().unwrap();
        let confirmed = offered.offer.confirm(person, CodeFound::Step(step), now());
        let confirmation = confirmed.unwrap();
        let after = trail(&self.city).end().seq;
        let kept = self.catalogue.keep_confirmation(confirmation, after).await;
        kept.unwrap();
        self.say_enrolled(person);
        self.settle().await;
    }

    fn say_enrolled(&self, person: &StaffId) {
        let draft = AuditDraft {
            actor: Actor::Person {
                unix_user: "denwaban".to_owned(),
                person: Some(person.clone()),
            },
            event: AuditEvent::TotpEnrolled,
        };
        let _ = trail(&self.city).append(draft, now()).unwrap();
    }

    async fn settle(&mut self) {
        let City { disk, layout, .. } = &self.city;
        let settled = self.catalogue.settle_passwords(&**disk, layout).await;
        settled.unwrap();
        self.catalogue.settle_codes(&**disk, layout).await.unwrap();
    }

    /// The secret of the codes in force.
    async fn secret_of(&mut self, person: &StaffId) -> String {
        let kept = self.catalogue.account(person).await.unwrap().unwrap();
        let opened = self.city.opener.open_totp(person, &kept.totp.unwrap());
        opened.unwrap().text().to_string()
    }
}

fn id(text: &str) -> StaffId {
    text.parse().unwrap()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(&NewPassword::judge(&id("x"), text).unwrap()).unwrap()
}

fn designated(person: &str) -> Fact {
    let day = |text: &str| text.parse().unwrap();
    Fact::Designated {
        person: id(person),
        period: Period::new(day("2026-11-01"), day("2027-03-31")).unwrap(),
    }
}

#[tokio::test]
async fn facts_are_read_back_as_they_were_recorded_and_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let about = Subject::Person(id("sato"));
    let (text, _) = house
        .city
        .sealer
        .seal_text(about, TextKind::Name, now(), "試験 花子")
        .unwrap();
    let attachments = Attachments {
        texts: vec![text],
        passwords: vec![PasswordSet::founders(
            id("kacho"),
            hash("kaze-ni-noru-tori"),
        )],
        ..Attachments::default()
    };
    assert!(house.record(None, founded(), attachments).await);
    let nothing = Attachments::default;
    assert!(
        house
            .record(Some("kacho"), designated("sato"), nothing())
            .await
    );
    assert!(
        !house
            .record(Some("kacho"), designated("sato"), nothing())
            .await
    );
    house.catalogue.close().await.unwrap();

    let mut catalogue = Catalogue::open(&house.city.layout).await.unwrap();
    let register = catalogue
        .register(&OsDisk, &house.city.layout)
        .await
        .unwrap();
    let sato = register.person(&id("sato")).unwrap();
    let held = sato.designation(now()).unwrap();
    assert_eq!(held.period.until().to_string(), "2027-04-01");
    assert_eq!(register.people().count(), 3);
    let account = catalogue.account(&id("kacho")).await.unwrap().unwrap();
    assert_eq!(account.account.origin, Origin::Own);
    assert_eq!(account.account.second, SecondFactor::None);
    assert_eq!(
        account.hash.find("kaze-ni-noru-tori").unwrap(),
        PasswordFound::Right
    );
    assert!(catalogue.account(&id("sato")).await.unwrap().is_none());
    let about = Subject::Person(id("sato"));
    let name = catalogue.sealed_text(about, TextKind::Name).await;
    let name = name.unwrap().unwrap();
    let opened = house.city.opener.open_text(&name).unwrap();
    assert_eq!(opened, "試験 花子");
    let about = Subject::Person(id("kacho"));
    let of_another = SealedText {
        about,
        ..name.clone()
    };
    assert!(house.city.opener.open_text(&of_another).is_err());
    let kind = TextKind::Basis;
    assert!(
        house
            .city
            .opener
            .open_text(&SealedText { kind, ..name })
            .is_err()
    );
}

#[tokio::test]
async fn no_name_password_code_or_token_lies_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let about = Subject::Person(id("sato"));
    let (text, _) = house
        .city
        .sealer
        .seal_text(about, TextKind::Name, now(), "試験 花子")
        .unwrap();
    let attachments = Attachments {
        texts: vec![text],
        passwords: vec![PasswordSet::issued(id("sato"), hash("kaze-ni-noru-tori"))],
        ..Attachments::default()
    };
    house.record(None, founded(), attachments).await;
    let secret = TotpSecret::random().unwrap();
    let totp = house
        .city
        .sealer
        .seal_totp(&id("sato"), now(), &secret)
        .unwrap();
    let offer = CodeOffer::new(now());
    house
        .catalogue
        .offer_totp(&id("sato"), &totp, offer)
        .await
        .unwrap();
    let session = session(now());
    let token = TokenHash::of("a-token-that-only-sato-holds");
    house
        .catalogue
        .begin_session(&token, &session)
        .await
        .unwrap();
    let key = AttemptKey::of(&id("my-password-as-an-id"), "root");
    let wrong = Attempts::default().failed(now());
    house
        .catalogue
        .keep_attempts(&key, wrong, now())
        .await
        .unwrap();
    for name in ["catalogue.db", "catalogue.db-wal"] {
        let path = house.city.layout.catalogue().with_file_name(name);
        let bytes = std::fs::read(path).unwrap();
        for marker in [
            "花子".as_bytes(),
            b"kaze-ni-noru",
            secret.text().as_bytes(),
            b"only-sato-holds",
            b"my-password",
        ] {
            assert!(!contains(&bytes, marker), "{name}");
        }
    }
}

#[tokio::test]
async fn ten_passwords_are_remembered_and_a_new_one_ends_the_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let token = TokenHash::of("token");
    let session = session(now());
    house
        .catalogue
        .begin_session(&token, &session)
        .await
        .unwrap();
    let one = hash("kaze-ni-noru-tori");
    for _ in 0..12 {
        let set = PasswordSet::issued(id("sato"), one.clone());
        house.set_password(&set, &id("sato")).await;
    }
    let last = house.catalogue.last_passwords(&id("sato")).await.unwrap();
    assert_eq!(last.len(), 10);
    // The same password under another hash is no new one.
    let anew = hash("kaze-ni-noru-tori");
    house.catalogue.rehash(&id("sato"), &anew).await.unwrap();
    let kept = house.catalogue.account(&id("sato")).await.unwrap().unwrap();
    assert!(kept.hash == anew && anew != one);
    let last = house.catalogue.last_passwords(&id("sato")).await.unwrap();
    assert_eq!((last.len(), &last[1]), (10, &one));
    assert_eq!(house.catalogue.session(&token).await.unwrap(), None);
}

/// The process dies before, or behind, the entry that says that the password is set.
#[tokio::test]
async fn a_password_is_in_force_after_a_crash_exactly_where_the_trail_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let person = id("sato");
    let (former, new) = (hash("kaze-ni-noru-tori"), hash("umi-no-mieru-oka"));
    let own = PasswordSet::founders(person.clone(), former.clone());
    house.set_password(&own, &person).await;
    for is_told in [false, true] {
        let set = PasswordSet::issued(person.clone(), new.clone());
        let after = trail(&house.city).end().seq;
        house.catalogue.keep_password(&set, after).await.unwrap();
        if is_told {
            house.say_set(&person);
        }
        house.catalogue.close().await.unwrap();
        house.catalogue = Catalogue::open(&house.city.layout).await.unwrap();
        for _ in 0..2 {
            house.settle().await;
        }
        let kept = house.catalogue.account(&person).await.unwrap().unwrap();
        let expected = match is_told {
            true => (&new, Origin::Issued),
            false => (&former, Origin::Own),
        };
        assert!((&kept.hash, kept.account.origin) == expected, "{is_told}");
        let last = house.catalogue.last_passwords(&person).await.unwrap();
        assert_eq!(last.len(), 1 + usize::from(is_told));
    }
}

#[tokio::test]
async fn codes_are_enrolled_used_and_taken_away_with_an_issued_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let person = id("sato");
    let own = PasswordSet::founders(person.clone(), hash("kaze-ni-noru-tori"));
    house.set_password(&own, &person).await;
    let secret = TotpSecret::random().unwrap();
    let sealed = house
        .city
        .sealer
        .seal_totp(&person, now(), &secret)
        .unwrap();
    house.enrol(&person, &sealed, 6).await;
    let kept = house.catalogue.account(&person).await.unwrap().unwrap();
    let last_step = Some(6);
    assert_eq!(kept.account.second, SecondFactor::Totp { last_step });
    house.catalogue.use_totp_step(&person, 7).await.unwrap();
    let kept = house.catalogue.account(&person).await.unwrap().unwrap();
    let last_step = Some(7);
    assert_eq!(kept.account.second, SecondFactor::Totp { last_step });
    let opened = house
        .city
        .opener
        .open_totp(&person, &kept.totp.unwrap())
        .unwrap();
    assert_eq!(*opened.text(), *secret.text());

    let issued = PasswordSet::issued(person.clone(), hash("kaze-ni-noru-tori"));
    house.set_password(&issued, &person).await;
    let kept = house.catalogue.account(&person).await.unwrap().unwrap();
    assert_eq!(kept.account.second, SecondFactor::None);
    assert_eq!(kept.account.origin, Origin::Issued);
}

#[tokio::test]
async fn a_session_is_found_by_its_token_used_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let (token, other) = (TokenHash::of("token"), TokenHash::of("other"));
    let begun = session(now());
    house.catalogue.begin_session(&token, &begun).await.unwrap();
    let later = now() + 1.minute();
    house.catalogue.use_session(&token, later).await.unwrap();
    let found = house.catalogue.session(&token).await.unwrap().unwrap();
    assert_eq!((found.began_at, found.seen_at), (now(), later));
    assert_eq!(house.catalogue.session(&other).await.unwrap(), None);
    house.catalogue.end_session(&token).await.unwrap();
    assert_eq!(house.catalogue.session(&token).await.unwrap(), None);
}

#[tokio::test]
async fn wrong_attempts_are_counted_for_one_id_from_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let key = AttemptKey::of(&id("sato"), "alice");
    let wrong = Attempts::default().failed(now()).failed(now());
    house
        .catalogue
        .keep_attempts(&key, wrong, now())
        .await
        .unwrap();
    assert_eq!(house.catalogue.attempts(&key).await.unwrap(), wrong);
    for other in [
        AttemptKey::of(&id("sato"), "bob"),
        AttemptKey::of(&id("suzuki"), "alice"),
    ] {
        let none = house.catalogue.attempts(&other).await.unwrap();
        assert_eq!(none, Attempts::default());
    }
    let none = Attempts::default();
    house
        .catalogue
        .keep_attempts(&key, none, now())
        .await
        .unwrap();
    assert_eq!(house.catalogue.attempts(&key).await.unwrap(), none);
}

fn session(at: Timestamp) -> LoginSession {
    LoginSession {
        person: id("sato"),
        began_at: at,
        seen_at: at,
    }
}

#[tokio::test]
async fn offered_codes_change_nothing_until_they_are_confirmed_and_former_ones_hold_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let person = id("sato");
    let own = PasswordSet::founders(person.clone(), hash("kaze-ni-noru-tori"));
    house.set_password(&own, &person).await;
    let sealed = |secret: &TotpSecret, at| {
        let sealer = house.city.sealer.clone();
        sealer.seal_totp(&id("sato"), at, secret).unwrap()
    };
    let [first, second] = [(); 2].map(|()| TotpSecret::random().unwrap());
    let [first_sealed, second_sealed] = [&first, &second].map(|secret| sealed(secret, now()));
    house.offer(&person, &first_sealed).await;
    let kept = house.catalogue.account(&person).await.unwrap().unwrap();
    assert_eq!(kept.account.second, SecondFactor::None);
    house.enrol(&person, &first_sealed, 6).await;
    house.offer(&person, &second_sealed).await;
    assert_eq!(house.secret_of(&person).await, first.text().to_string());
    house.enrol(&person, &second_sealed, 9).await;
    assert_eq!(house.secret_of(&person).await, second.text().to_string());
    let offered = house.catalogue.offered_totp(&person).await.unwrap();
    assert!(offered.is_none(), "a confirmation is used up");
}

/// The process dies before, or behind, the entry that says that the codes are in force.
#[tokio::test]
async fn confirmed_codes_are_in_force_after_a_crash_exactly_where_the_trail_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let person = id("sato");
    let own = PasswordSet::founders(person.clone(), hash("kaze-ni-noru-tori"));
    house.set_password(&own, &person).await;
    let secret = TotpSecret::random().unwrap();
    let sealed = house.city.sealer.seal_totp(&person, now(), &secret);
    let sealed = sealed.unwrap();
    house.say_enrolled(&person);
    for is_told in [false, true] {
        house.offer(&person, &sealed).await;
        let offered = house
            .catalogue
            .offered_totp(&person)
            .await
            .unwrap()
            .unwrap();
        let confirmed = offered.offer.confirm(&person, CodeFound::Step(6), now());
        let after = trail(&house.city).end().seq;
        let kept = house.catalogue.keep_confirmation(confirmed.unwrap(), after);
        kept.await.unwrap();
        if is_told {
            house.say_enrolled(&person);
        }
        house.catalogue.close().await.unwrap();
        house.catalogue = Catalogue::open(&house.city.layout).await.unwrap();
        house.settle().await;
        let kept = house.catalogue.account(&person).await.unwrap().unwrap();
        assert_eq!(kept.totp.is_some(), is_told);
        let waits = house.catalogue.offered_totp(&person).await.unwrap();
        assert_eq!(
            waits.is_some(),
            !is_told,
            "what the trail does not know waits on"
        );
    }
}

#[tokio::test]
async fn an_offer_that_nobody_confirmed_is_gone_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let person = id("sato");
    let sealed = house
        .city
        .sealer
        .seal_totp(&person, now(), &TotpSecret::random().unwrap());
    let sealed = sealed.unwrap();
    let over = now() + 15.minutes();
    for (at, waits) in [
        (over - 1.milliseconds(), true),
        (over, false),
        (now() - 1.seconds(), false),
    ] {
        house.offer(&person, &sealed).await;
        house.catalogue.forget_stale_codes(at).await.unwrap();
        let offered = house.catalogue.offered_totp(&person).await.unwrap();
        assert_eq!(offered.is_some(), waits, "{at}");
    }
}

#[tokio::test]
async fn a_secret_of_codes_is_sealed_anew_to_each_month_and_a_used_step_stays_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let person = id("sato");
    let own = PasswordSet::founders(person.clone(), hash("kaze-ni-noru-tori"));
    house.set_password(&own, &person).await;
    let secret = TotpSecret::random().unwrap();
    let sealed = house.city.sealer.seal_totp(&person, now(), &secret);
    house.enrol(&person, &sealed.unwrap(), 6).await;
    let next = JstMonth::of(now()).next();
    let later = next.start();
    let (opener, sealer) = (house.city.opener.clone(), house.city.sealer.clone());
    let left = house.catalogue.reseal_totp(&opener, &sealer, later).await;
    assert_eq!(left.unwrap(), [] as [StaffId; 0]);
    let kept = house.catalogue.account(&person).await.unwrap().unwrap();
    assert_eq!(kept.totp.as_ref().unwrap().group(), Group::Register(next));
    let last_step = Some(6);
    assert_eq!(kept.account.second, SecondFactor::Totp { last_step });
    assert_eq!(house.secret_of(&person).await, secret.text().to_string());
}
