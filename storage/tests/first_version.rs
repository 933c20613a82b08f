//! A folder that the first version's program wrote opens, is heard, goes on, and is forgotten like any other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, AuditDraft, AuditEvent, JstDay, RecordingId, RecordingState};
use storage::{
    AuditTrail, Catalogue, Disk, Duty, Keys, Layout, ListedCall, Office, OsDisk, Signing,
    dispose_due, verify,
};

const ANNOUNCED: &str = "01M8PJSD73NVS7T2Y1TQ263AJ6";
const IN_AN_EMERGENCY: &str = "01M8PJT1KKYP20WYMSD09J88BT";
/// What the first version wrote of the announced one as WAV: 18.3 s.
const SAMPLES: usize = 146_560;

/// The folder, copied to where it may be changed.
struct Found {
    layout: Layout,
    city: City,
    _folder: tempfile::TempDir,
}

impl Found {
    fn copied() -> Found {
        let folder = tempfile::tempdir().unwrap();
        let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/first-version/folder");
        copy(&written, folder.path());
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        layout.make_folders(&*disk).unwrap();
        Found {
            city: city_again(disk, &layout),
            layout,
            _folder: folder,
        }
    }

    /// What each start of today does: keys for the days to come, rows out of the spool.
    async fn started(&self, at: Timestamp) -> (Keys, Catalogue) {
        let mut keys = Keys::open(Arc::clone(&self.city.disk), &self.layout).unwrap();
        keys.make_ahead(at).unwrap();
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        let _ = catalogue
            .take_in(&*self.city.disk, &self.layout)
            .await
            .unwrap();
        (keys, catalogue)
    }

    fn entries(&self, duty: Duty) -> u64 {
        let report = verify(&*self.city.disk, &self.layout, duty, &[]).unwrap();
        assert!(report.is_whole(), "{report:?}");
        report.entries()
    }

    /// The caller's and the city's samples, if the recording opens.
    fn hears(&self, recording: RecordingId, at: Timestamp) -> Option<[Vec<u8>; 2]> {
        let permit = permit(&self.city, recording, at);
        let day = JstDay::of(recorded_at());
        let opened = self
            .city
            .vault
            .open(permit, kept_on(day), &self.city.opener, at);
        let mut playback = opened.ok()?;
        let audio = playback.read(0, 0..u64::MAX, at).unwrap();
        Some([audio.carrier.to_vec(), audio.city.to_vec()])
    }
}

/// Copies a folder, with nothing in it that is no file or folder.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn recorded_at() -> Timestamp {
    "2026-11-30T15:58:00Z".parse().unwrap()
}

/// When the first version said that the day of the recordings ends.
fn expiry() -> Timestamp {
    "2027-02-27T15:00:00Z".parse().unwrap()
}

fn recordings() -> [RecordingId; 2] {
    [ANNOUNCED, IN_AN_EMERGENCY].map(|id| id.parse().unwrap())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

async fn listed(catalogue: &mut Catalogue) -> Vec<ListedCall> {
    let mut listing = catalogue.list(true, None).await.unwrap();
    listing.page().await.unwrap()
}

#[test]
fn its_recordings_are_listed_and_heard() {
    run(async {
        let found = Found::copied();
        let (_, mut catalogue) = found.started(recorded_at()).await;
        let calls = listed(&mut catalogue).await;
        assert_eq!(calls.len(), 2);
        for (call, recording) in calls.iter().zip(recordings()) {
            assert_eq!(call.recording, Some(recording));
            assert_eq!(call.state, RecordingState::Sealed);
            assert_eq!(call.expires_at, expiry());
        }
        for recording in recordings() {
            for voice in found.hears(recording, recorded_at()).unwrap() {
                assert!(voice.len().abs_diff(SAMPLES) < 800, "{}", voice.len());
                // Silence of G.711 is one octet over and over.
                assert!(voice.windows(2).any(|pair| pair[0] != pair[1]));
            }
        }
        assert!(catalogue.caller(recordings()[0]).await.unwrap().is_some());
    });
}

#[test]
fn its_trail_goes_on_and_its_next_month_begins_with_what_was_before() {
    run(async {
        let found = Found::copied();
        assert_eq!(
            (found.entries(Duty::Calls), found.entries(Duty::Office)),
            (5, 10)
        );
        let january = recorded_at() + 960.hours();
        let mut trail =
            AuditTrail::open(Arc::clone(&found.city.disk), &found.layout, Duty::Office).unwrap();
        let draft = AuditDraft::system(AuditEvent::ClockStepped { by_ms: 1 });
        let _ = trail.append(draft, january).unwrap();
        drop(trail);
        // The month's beginning and the entry.
        assert_eq!(found.entries(Duty::Office), 12);
    });
}

#[test]
fn its_recordings_are_destroyed_at_the_instant_that_it_wrote_down() {
    run(async {
        let found = Found::copied();
        let (mut keys, mut catalogue) = found.started(recorded_at()).await;
        let mut trail = trail(&found.city);
        let signing = Signing::open(&found.city.disk, &found.layout, recorded_at()).unwrap();
        let mut office = Office {
            keys: &mut keys,
            vault: &found.city.vault,
            catalogue: &mut catalogue,
            trail: &mut trail,
            signing: Some(signing.key()),
            mirror_ends: Some(&[]),
        };
        let early = expiry() - 1.seconds();
        let days = dispose_due(&mut office, &Actor::System, early)
            .await
            .unwrap();
        assert!(days.is_empty(), "{days:?}");
        let days = dispose_due(&mut office, &Actor::System, expiry())
            .await
            .unwrap();
        assert_eq!(days[0].counts.due(), 2);
        assert_eq!(days[0].counts.disposed(), 2);
        assert!(days[0].pending.is_empty());

        let states = listed(&mut catalogue)
            .await
            .into_iter()
            .map(|call| call.state);
        assert!(states.eq([RecordingState::Disposed; 2]));
        drop(trail);
        for recording in recordings() {
            assert!(found.hears(recording, recorded_at()).is_none());
        }
    });
}
