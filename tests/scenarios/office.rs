//! What becomes of a call afterwards: its row, the one who may hear it, and the end of its days.

#![expect(
    clippy::unwrap_used,
    reason = "what cannot be done here fails the test that wants it"
)]

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rules::{
    Account, Action, Actor, CodeFound, Fact, Heard, Host, Label, ListenPermit, ListenRequest,
    Origin, POLICY_VERSION, PasswordAge, PasswordFound, Petitioner, Proved, Purpose, Recorded,
    RecordingState, Register, Role, SecondFactor, StaffId, TakenIn, Trial,
};
use storage::{
    AuditTrail, Catalogue, Disk, Duty, Keys, Layout, ListedCall, Office, OpenFault, Opener,
    dispose_due,
};
use tempfile::TempDir;
use tests::{City, Plan, archive::layout, carrier::Dial, department::refuses, plan::NUMBER};

/// The office's rows lie in real SQLite, everything else on the city's disk.
struct Rows {
    catalogue: Catalogue,
    _folder: TempDir,
}

impl Rows {
    async fn of(city: &City) -> Rows {
        let folder = tempfile::tempdir().unwrap();
        let on_disk = Layout::new(folder.path().join("data"), folder.path().join("root"));
        on_disk.make_folders(&storage::OsDisk).unwrap();
        let mut catalogue = Catalogue::open(&on_disk).await.unwrap();
        let taken = catalogue
            .take_in(&city.recorder.archive.disk, &layout())
            .await
            .unwrap();
        assert_eq!(taken.damaged, 0);
        Rows {
            catalogue,
            _folder: folder,
        }
    }

    async fn list(&mut self) -> Vec<ListedCall> {
        self.catalogue
            .list(true, None)
            .await
            .unwrap()
            .page()
            .await
            .unwrap()
    }
}

fn disk(city: &City) -> Arc<dyn Disk> {
    Arc::new(city.recorder.archive.disk.clone())
}

/// Whoever the first version's staff file named as an assistant, and who acknowledged the rules since.
fn register(now: Timestamp) -> Register {
    let unit: Label = "広聴課".parse().unwrap();
    let person: StaffId = "hanako".parse().unwrap();
    let founded = Fact::Founded {
        manager: "kacho".parse().unwrap(),
        administrator: "kanri".parse().unwrap(),
        unit: unit.clone(),
        taken_in: vec![TakenIn {
            person: person.clone(),
            role: Role::Assistant,
            unit,
            designated_on: Some("2026-04-01".parse().unwrap()),
            trained_on: Some("2026-10-01".parse().unwrap()),
        }],
    };
    let by = Actor::Person {
        unix_user: "hanako".to_owned(),
        person: Some(person),
    };
    let version = POLICY_VERSION;
    let facts = [founded, Fact::Acknowledged { version }];
    Register::of(facts.map(|fact| Recorded {
        at: now,
        by: by.clone(),
        fact,
    }))
}

fn proved(now: Timestamp) -> Proved {
    let account = Account {
        set_at: now,
        origin: Origin::Own,
        second: SecondFactor::None,
    };
    let trial = Trial {
        person: &"hanako".parse().unwrap(),
        account: Some(account),
        password: PasswordFound::Right,
        code: CodeFound::None,
        age: PasswordAge::default(),
    };
    trial.judge(now).unwrap()
}

/// Somebody who may listen asks, and the entry is durable before the permit exists.
fn permit(city: &City, listed: &ListedCall, now: Timestamp) -> ListenPermit {
    let proved = proved(now);
    let request = ListenRequest {
        petitioner: Petitioner {
            proved: Some(&proved),
            unix_user: "hanako",
            host: Host::User,
        },
        action: Action::ListenToFile,
        heard: Heard {
            sound: rules::Sound::Here,
            recording: listed.recording.unwrap(),
            state: listed.state,
            expires_at: listed.expires_at,
            called: None,
            unit: "広聴課".parse().unwrap(),
        },
        purpose: Some(Purpose::AnalysisInquiry),
        case: None,
        range_ms: None,
    };
    let grant = request.judge(&register(now), now).unwrap();
    let mut trail = AuditTrail::open(disk(city), &layout(), Duty::Office).unwrap();
    let receipt = trail.append(grant.entry().clone(), now).unwrap();
    ListenPermit::issue(grant, receipt, now).unwrap()
}

/// A city with one recorded call.
fn recorded() -> City {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(3_000);
    city.hang_up(call);
    city.finish();
    city
}

#[tokio::test]
async fn whoever_may_listen_hears_sample_by_sample_what_was_said() {
    let city = recorded();
    let now = city.clock.now().wall;
    let listed = Rows::of(&city).await.list().await.remove(0);
    let archive = &city.recorder.archive;
    let opener = Opener::new(disk(&city), &layout());
    let mut playback = archive
        .vault
        .open(permit(&city, &listed, now), (&listed).into(), &opener, now)
        .unwrap();
    let samples = playback.segments()[0].samples();
    let audio = playback.read(0, 0..samples, now).unwrap();
    let kept = &city.recorder.closed[0];
    assert_eq!(
        (&audio.carrier[..], &audio.city[..]),
        (&kept.carrier[..], &kept.city[..])
    );
    let lapsed = now + SignedDuration::from_mins(16);
    assert!(
        matches!(
            playback.read(0, 0..samples, lapsed),
            Err(OpenFault::Refused(_))
        ),
        "a permit lasts a quarter of an hour"
    );
}

#[tokio::test]
async fn every_call_has_its_row_recorded_or_not() {
    let mut city = City::new(Plan::announce());
    let first = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(first);
    city.run_ms(1_000);
    let second = city.dial(Dial {
        caller: "anonymous".into(),
        ..Dial::to("+81783331001")
    });
    city.run_ms(1_000);
    city.hang_up(second);
    city.finish();
    let rows = Rows::of(&city).await.list().await;
    let [recorded, cut] = &rows[..] else {
        panic!("two rows, not {}", rows.len())
    };
    assert_eq!(
        (recorded.state, recorded.notice.as_deref()),
        (RecordingState::Sealed, Some("announced"))
    );
    assert_eq!(
        (recorded.caller.as_deref(), cut.caller.as_deref()),
        (Some("number"), Some("anonymous"))
    );
    assert_eq!(
        (cut.state, cut.reason.as_deref(), cut.recording),
        (RecordingState::Unrecorded, Some("CALLER_HUNG_UP"), None)
    );
    // Until each party's first frame has come, 20 ms of its channel are missing.
    assert!(recorded.gaps_ms.is_some_and(|gaps_ms| gaps_ms <= 60));
    assert_eq!(recorded.called, cut.called, "one number in two forms");
    assert_eq!(recorded.called.as_deref(), Some("+81783331001"));
}

#[tokio::test]
async fn at_the_end_of_its_days_a_recording_is_gone_and_nothing_opens_it() {
    let city = recorded();
    let listed = Rows::of(&city).await.list().await.remove(0);
    let archive = &city.recorder.archive;
    let opener = Opener::new(disk(&city), &layout());
    let last_moment = listed.expires_at - SignedDuration::from_secs(1);
    let heard = archive.vault.open(
        permit(&city, &listed, city.clock.now().wall),
        (&listed).into(),
        &opener,
        city.clock.now().wall,
    );
    assert!(heard.is_ok());
    // The permit is old by then; a new one for the same day is refused by the day itself.
    let mut rows = Rows::of(&city).await;
    let mut keys = Keys::open(disk(&city), &layout()).unwrap();
    let mut trail = AuditTrail::open(disk(&city), &layout(), Duty::Office).unwrap();
    let mut office = Office {
        keys: &mut keys,
        vault: &archive.vault,
        catalogue: &mut rows.catalogue,
        trail: &mut trail,
        mirror_ends: Some(&[]),
        signing: None,
    };
    assert_eq!(
        dispose_due(&mut office, &Actor::System, last_moment)
            .await
            .unwrap(),
        [],
        "not a second early"
    );
    let disposed = dispose_due(&mut office, &Actor::System, listed.expires_at)
        .await
        .unwrap();
    assert!(disposed.iter().any(|day| day.day == listed.day));
    let tombstone = rows.list().await.remove(0);
    assert_eq!(
        (tombstone.state, tombstone.recording),
        (RecordingState::Disposed, listed.recording)
    );
    assert_eq!(
        (tombstone.called, tombstone.notice, tombstone.duration_ms),
        (None, None, None)
    );
    assert!(
        archive.vault.files(listed.day).unwrap().is_empty(),
        "no byte of it is left"
    );
}

#[tokio::test]
async fn a_refused_call_leaves_a_row_with_its_reason() {
    let mut city = City::new(Plan::transparent().with("100", refuses(486)));
    city.dial(Dial::to(NUMBER));
    city.finish();
    let row = Rows::of(&city).await.list().await.remove(0);
    assert_eq!(row.reason.as_deref(), Some("NOT_ANSWERED"));
}
