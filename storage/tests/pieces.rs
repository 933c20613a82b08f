//! A disposal in pieces, by a folder of many files: what is heard between two pieces, and how much one of them is (K-11).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::*;
use jiff::Timestamp;
use rules::{Actor, CaseId, DisposalCause, Fact, Holds, RecordingId, RegisterPermit, StaffId};
use storage::{
    Attachments, AuditTrail, Catalogue, Disposal, DisposedDay, EarlyDisposal, EarlyStep, Keys,
    Layout, Office, Opening, OsDisk, Signing, Spool, SpoolEntry, Step, hold,
};

/// The office of a city whose day is due.
struct House {
    city: City,
    keys: Keys,
    catalogue: Catalogue,
    trail: AuditTrail,
    signing: Option<Signing>,
}

impl House {
    async fn new(folder: &Path) -> House {
        let layout = Layout::new(folder.join("data"), folder.join("root"));
        let city = city(Arc::new(OsDisk), &layout);
        House {
            keys: Keys::open(Arc::new(OsDisk), &layout).unwrap(),
            catalogue: Catalogue::open(&layout).await.unwrap(),
            trail: trail(&city),
            signing: signing(&city),
            city,
        }
    }

    fn expiry(&self) -> Timestamp {
        self.city.vault.begin_day(today()).unwrap()
    }

    /// Files without a row, as a lost database leaves them.
    fn leave_files(&self, count: u128) {
        self.expiry();
        let folder = self.city.layout.vault_day(today());
        for number in 0..count {
            let name = format!("{}-000.krec", RecordingId::new(now(), 1_000 + number));
            fs::write(folder.join(name), "what no key opens").unwrap();
        }
    }

    fn files(&self) -> usize {
        self.city.vault.files(today()).unwrap().len()
    }

    async fn record(&mut self, by: Option<&str>, fact: Fact) {
        let proved = by.map(|id| proved(id, now()));
        let register = self.catalogue.register(&OsDisk, &self.city.layout).await;
        let granted = register
            .unwrap()
            .request(&petitioner(proved.as_ref()), fact, now());
        let grant = granted.unwrap().unwrap();
        let nothing = Attachments::default();
        let ahead = self.catalogue.keep_ahead(&grant, nothing, 0).await.unwrap();
        let receipt = self.trail.append(grant.entry().clone(), now()).unwrap();
        let permit = RegisterPermit::issue(grant, receipt).unwrap();
        self.catalogue.record(permit, ahead).await.unwrap();
    }

    async fn is_designated(&mut self) -> bool {
        let register = self.catalogue.register(&OsDisk, &self.city.layout).await;
        let register = register.unwrap();
        register
            .person(&id("sato"))
            .unwrap()
            .designation(now())
            .is_some()
    }

    fn office(&mut self) -> Office<'_> {
        Office {
            keys: &mut self.keys,
            vault: &self.city.vault,
            catalogue: &mut self.catalogue,
            trail: &mut self.trail,
            signing: self.signing.as_ref().map(Signing::key),
            mirror_ends: Some(&[]),
        }
    }

    /// Disposes of what is due; `between` is asked before each piece.
    async fn dispose(&mut self, mut between: impl AsyncFnMut(&mut House)) -> Vec<DisposedDay> {
        let mut disposal = Disposal::new(Actor::System, self.expiry());
        loop {
            between(self).await;
            let decided = Holds::default();
            match disposal
                .step(&mut self.office(), Some(&decided))
                .await
                .unwrap()
            {
                Step::Further(further) => disposal = further,
                Step::Done(days) => return days,
            }
        }
    }
}

fn id(text: &str) -> StaffId {
    text.parse().unwrap()
}

const FILES: u128 = 1_200;
const A_PIECE: usize = 500;

#[tokio::test]
async fn no_piece_is_longer_than_five_hundred_files_and_a_withdrawal_between_two_is_heard_before_the_next()
 {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    house.leave_files(FILES);
    assert!(house.is_designated().await);

    let mut left = Vec::new();
    let days = house
        .dispose(async |house| {
            let files = house.files();
            if left.last() != Some(&files) {
                left.push(files);
            }
            // In the midst of it somebody loses the right.
            if files == 700 && house.is_designated().await {
                let fact = Fact::Withdrawn { person: id("sato") };
                house.record(Some("kacho"), fact).await;
                assert!(!house.is_designated().await);
            }
        })
        .await;

    assert_eq!(left, [1_200, 700, 200, 0]);
    assert!(left.windows(2).all(|two| two[0] - two[1] <= A_PIECE));
    assert!(!house.is_designated().await);
    let counts = days[0].counts;
    assert_eq!(
        (days.len(), counts.due(), counts.disposed()),
        (1, 1_200, 1_200)
    );
    assert!(days[0].pending.is_empty());
}

#[tokio::test]
async fn one_recording_of_a_long_day_is_destroyed_in_pieces_and_a_withdrawal_is_heard_between_them()
{
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    house.record(None, founded()).await;
    house.leave_files(FILES);
    let mut spool = Spool::new(Arc::new(OsDisk), &house.city.layout);
    for number in 1..=2 {
        keep(&house.city, &mut spool, &opening(number));
    }
    let gone = opening(1).recording;
    let cause = DisposalCause::Decided {
        case: CaseId::new(now(), 77),
    };

    let mut disposal = EarlyDisposal::new(Actor::System, gone, cause, now());
    let mut pieces = 0;
    let pending = loop {
        pieces += 1;
        if pieces == 4 {
            let fact = Fact::Withdrawn { person: id("sato") };
            house.record(Some("kacho"), fact).await;
            assert!(!house.is_designated().await);
        }
        let decided = Holds::default();
        let mut office = house.office();
        match disposal
            .step(&mut office, &decided, || Ok(()))
            .await
            .unwrap()
        {
            EarlyStep::Further(further) => disposal = *further,
            EarlyStep::Done(pending) => break pending,
        }
    };

    // It begins, lists, seals three times five hundred at most, and buries.
    assert_eq!((pieces, pending), (6, vec![]));
    for (number, opens) in [(1, false), (2, true)] {
        let permit = permit(&house.city, opening(number).recording, now());
        let vault = &house.city.vault;
        let opened = vault.open(permit, kept_on(today()), &house.city.opener, now());
        assert_eq!(opened.is_ok(), opens, "{number}");
    }
}

fn keep(city: &City, spool: &mut Spool, opening: &Opening) {
    let sealed = record(city, opening, 3);
    city.vault.flush().unwrap();
    let row = row(city, opening, Some(&sealed));
    spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
    spool.flush(now()).unwrap();
    city.vault
        .close_recording(today(), opening.recording)
        .unwrap();
}

#[tokio::test]
async fn a_hold_that_is_decided_between_two_pieces_keeps_its_recording_while_there_is_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path()).await;
    let mut spool = Spool::new(Arc::new(OsDisk), &house.city.layout);
    for number in 1..=2 {
        keep(&house.city, &mut spool, &opening(number));
    }
    let held = opening(2).recording;

    let mut pieces = 0;
    let days = house
        .dispose(async |house| {
            pieces += 1;
            // The first lists the days and the second looks at this one; the third destroys its key.
            if pieces == 3 {
                let permit = hold_permit(CaseId::new(now(), 77), held);
                hold(&mut house.office(), &permit).await.unwrap();
            }
        })
        .await;

    let counts = days[0].counts;
    assert_eq!((counts.due(), counts.disposed(), counts.held()), (2, 1, 1));
    assert_eq!(house.files(), 1);
    let permit = permit(&house.city, held, now());
    let opened = house
        .city
        .vault
        .open(permit, kept_on(today()), &house.city.opener, now());
    assert!(opened.unwrap().read(0, 0..9_600, now()).is_ok());
}
