//! An archive of one day, for tests of what destroys it.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use rules::{Actor, CaseId, DisposalCause, JstDay, MirrorEnd, RecordingId};
use storage::{
    Catalogue, Disk, DisposalRecord, DisposeFault, DisposedDay, Keys, Layout, MemoryDisk, Office,
    Opening, OsDisk, Pending, Signing, Spool, SpoolEntry, Subject, dispose_due, dispose_one,
};

use super::*;

/// An installation, its database on a real disk, and three recordings of today with their rows.
pub struct Archive {
    pub city: City,
    pub keys: Keys,
    pub catalogue: Catalogue,
    pub signing: Option<Signing>,
    /// What the register says of mirrors; `None`: nobody can read it.
    pub mirror_ends: Option<Vec<MirrorEnd>>,
    _database: tempfile::TempDir,
}

impl Archive {
    pub async fn begin(disk: Arc<dyn Disk>, layout: &Layout) -> Archive {
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
            mirror_ends: Some(Vec::new()),
            city,
            _database: database,
        }
    }

    /// What the next start finds on the disk.
    pub fn again(self, disk: Arc<dyn Disk>) -> Archive {
        let layout = self.city.layout.clone();
        self.again_with(disk, &layout)
    }

    /// The same with another configuration.
    pub fn again_with(self, disk: Arc<dyn Disk>, layout: &Layout) -> Archive {
        let city = city_again(Arc::clone(&disk), layout);
        Archive {
            keys: Keys::open(disk, layout).unwrap(),
            signing: signing(&city),
            city,
            ..self
        }
    }

    pub fn expiry(&self) -> Timestamp {
        self.city.vault.begin_day(today()).unwrap()
    }

    /// Does something with the office, whose trail is opened for it.
    pub async fn office<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Office<'_>) -> Result<T, DisposeFault>,
    ) -> Result<T, DisposeFault> {
        let mut trail =
            AuditTrail::open(Arc::clone(&self.city.disk), &self.city.layout, Duty::Office)?;
        let mut office = Office {
            keys: &mut self.keys,
            vault: &self.city.vault,
            catalogue: &mut self.catalogue,
            trail: &mut trail,
            signing: self.signing.as_ref().map(Signing::key),
            mirror_ends: self.mirror_ends.as_deref(),
        };
        act(&mut office).await
    }

    pub async fn dispose(&mut self, at: Timestamp) -> Result<Vec<DisposedDay>, DisposeFault> {
        self.office(async |office| dispose_due(office, &Actor::System, at).await)
            .await
    }

    pub async fn destroy(&mut self, number: u128) -> Result<Vec<Pending>, DisposeFault> {
        let recording = opening(number).recording;
        let cause = DisposalCause::Decided { case: case() };
        self.office(async |office| {
            dispose_one(office, &Actor::System, recording, cause, now(), || Ok(())).await
        })
        .await
    }

    pub fn record(&self, subject: Subject) -> Option<DisposalRecord> {
        DisposalRecord::read(&*self.city.disk, &self.city.layout, subject).unwrap()
    }

    /// Which of so many recordings open.
    pub fn heard(&self, numbers: &[u128]) -> Vec<u128> {
        let is_heard = |number: &&u128| opens(&self.city, opening(**number).recording);
        numbers.iter().filter(is_heard).copied().collect()
    }

    pub fn trail(&self) -> String {
        let folder = self.city.layout.office_audit();
        let names = self.city.disk.list(&folder).unwrap();
        let text = |name: &String| self.city.disk.read(&folder.join(name)).unwrap();
        names
            .iter()
            .map(|name| String::from_utf8(text(name)).unwrap())
            .collect()
    }
}

pub fn keep(city: &City, spool: &mut Spool, opening: &Opening) {
    let sealed = record(city, opening, 3);
    city.vault.flush().unwrap();
    let row = row(city, opening, Some(&sealed));
    spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
    spool.flush(now()).unwrap();
    let day = JstDay::of(opening.call_started);
    city.vault.close_recording(day, opening.recording).unwrap();
}

pub fn opens(house: &City, recording: RecordingId) -> bool {
    // Its own city, so that the trail of the permit does not touch the disk under test.
    let desk = city(Arc::new(MemoryDisk::new()), &memory_layout());
    let permit = permit(&desk, recording, now());
    let opened = house
        .vault
        .open(permit, kept_on(today()), &house.opener, now());
    opened.is_ok_and(|mut playback| {
        let audio = playback.read(0, 0..9_600, now()).unwrap();
        audio.carrier.len() == 9_600
    })
}

pub fn mirrored() -> Layout {
    memory_layout().with_mirrors(vec![PathBuf::from("/volume/mirror")])
}

pub fn case() -> CaseId {
    CaseId::new(now(), 77)
}
