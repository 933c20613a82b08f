//! A small city hall: a disk, its keys, a caller who was told, a listener who may hear.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of it"
)]

pub mod archive;
pub mod beside;
pub mod reading;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan};
use rules::{
    Account, Action, Actor, CallId, CallRecord, Caller, CaseId, CodeFound, Digest, EndCause, Fact,
    FindPermit, FindRequest, Ground, Heard, HoldFact, HoldId, HoldPermit, HoldTerms, Host, JstDay,
    ListenPermit, ListenRequest, Notice, Number, Origin, PasswordAge, PasswordFound, Petitioner,
    Played, Proved, Purpose, Reason, Recorded, RecordingId, RecordingState, Register,
    ReleasePermit, RetentionPolicy, RevealPermit, RevealRequest, Role, SecondFactor, Sought, Sound,
    TakenIn, Trial, Verdict,
};
use storage::{
    AuditTrail, Catalogue, Channel, Chunk, Codec, Disk, Duty, Gap, Kept, Keys, Layout, ListedCall,
    MemoryDisk, Opener, Opening, RecordingWriter, Row, SealedCaller, SealedSegment, Sealer,
    Signing, SpoolEntry, Vault,
};

pub const CHUNK: u32 = 3200;

pub struct City {
    pub disk: Arc<dyn Disk>,
    pub layout: Layout,
    pub vault: Arc<Vault>,
    pub sealer: Sealer,
    pub opener: Opener,
}

pub fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

pub fn today() -> JstDay {
    JstDay::of(now())
}

/// What nobody wrote a row of.
pub fn kept_on(day: JstDay) -> Kept {
    Kept { day, bytes: None }
}

/// A new installation on an empty disk, on the morning of `now`.
pub fn city(disk: Arc<dyn Disk>, layout: &Layout) -> City {
    layout.make_folders(&*disk).unwrap();
    let mut keys = Keys::create(Arc::clone(&disk), layout, now()).unwrap();
    keys.make_ahead(now()).unwrap();
    city_again(disk, layout)
}

/// What a start finds.
pub fn city_again(disk: Arc<dyn Disk>, layout: &Layout) -> City {
    City {
        vault: Arc::new(Vault::new(
            Arc::clone(&disk),
            layout,
            RetentionPolicy::new(89).unwrap(),
        )),
        sealer: Sealer::new(Arc::clone(&disk), layout),
        opener: Opener::new(Arc::clone(&disk), layout),
        layout: layout.clone(),
        disk,
    }
}

pub fn memory_layout() -> Layout {
    Layout::new(PathBuf::from("/city/data"), PathBuf::from("/root"))
}

pub fn notice() -> Notice {
    let ended = now() + 8.seconds();
    let played =
        Played::reported("recording-notice", [7; 32], 1, 64_800, 64_800, now(), ended).unwrap();
    Notice::announced(&played)
}

pub fn opening(number: u128) -> Opening {
    Opening {
        recording: RecordingId::new(now(), number),
        call: CallId::new(now(), number + 1_000_000),
        call_started: now(),
        segment: 0,
        start: now() + 9.seconds(),
        carrier: Codec::Pcmu,
        city: Codec::Pcma,
    }
}

/// The bytes of a channel of a chunk: different everywhere, and easy to make again.
pub fn voice(channel: Channel, start: u64, samples: u32) -> Vec<u8> {
    let tone = match channel {
        Channel::Carrier => 3,
        Channel::City => 5,
    };
    let at = |sample: u64| u8::try_from((start + sample) * tone % 251).unwrap();
    (0..u64::from(samples)).map(at).collect()
}

pub fn append(
    writer: &mut RecordingWriter,
    start: u64,
    samples: u32,
    gaps: &[Gap],
) -> Result<(), storage::WriteFault> {
    writer.append(&Chunk {
        start,
        samples,
        carrier: &voice(Channel::Carrier, start, samples),
        city: &voice(Channel::City, start, samples),
        gaps,
    })
}

/// A recording of so many whole chunks.
pub fn record(city: &City, opening: &Opening, chunks: u64) -> SealedSegment {
    let mut writer = RecordingWriter::create(notice(), &city.vault, &city.sealer, opening).unwrap();
    for chunk in 0..chunks {
        append(&mut writer, chunk * u64::from(CHUNK), CHUNK, &[]).unwrap();
    }
    writer.finish().unwrap()
}

pub fn row(city: &City, opening: &Opening, segment: Option<&SealedSegment>) -> Row {
    let caller = Caller::Known(Number::parse("0790000001").unwrap());
    let day = JstDay::of(opening.call_started);
    Row {
        call: CallRecord {
            call_id: opening.call,
            recording: Some(opening.recording),
            called: Number::parse("0783331000").unwrap(),
            department: "daihyo".to_owned(),
            started_at: opening.call_started,
            answered_at: Some(opening.start),
            ended_at: segment.map(|_| opening.start + 60.seconds()),
            end_cause: segment.map(|_| EndCause::CallerHungUp),
            emergency: None,
            notice: Some(notice().record()),
            unrecorded: None,
        },
        caller: Some(city.sealer.seal_caller(opening.call, day, &caller).unwrap()),
        expires_at: city.vault.begin_day(day).unwrap(),
        state: match segment {
            Some(_) => RecordingState::Sealed,
            None => RecordingState::Open,
        },
        audio: segment.map(Into::into),
    }
}

pub fn trail(city: &City) -> AuditTrail {
    AuditTrail::open(Arc::clone(&city.disk), &city.layout, Duty::Office).unwrap()
}

/// The key that signs certificates, where the disk lets it be used.
pub fn signing(city: &City) -> Option<Signing> {
    Signing::open(&city.disk, &city.layout, now()).ok()
}

/// Somebody who was shown to be that person.
pub fn proved(id: &str, at: Timestamp) -> Proved {
    let account = Account {
        set_at: at,
        origin: Origin::Own,
        second: SecondFactor::None,
    };
    let trial = Trial {
        person: &id.parse().unwrap(),
        account: Some(account),
        password: PasswordFound::Right,
        code: CodeFound::None,
        age: PasswordAge::default(),
    };
    trial.judge(at).unwrap()
}

pub fn petitioner(proved: Option<&Proved>) -> Petitioner<'_> {
    Petitioner {
        proved,
        unix_user: "denwaban",
        host: Host::Owner,
    }
}

/// The first two persons, and an assistant whom the first version's staff file named.
pub fn founded() -> Fact {
    Fact::Founded {
        manager: "kacho".parse().unwrap(),
        administrator: "kanri".parse().unwrap(),
        unit: "広聴課".parse().unwrap(),
        taken_in: vec![TakenIn {
            person: "sato".parse().unwrap(),
            role: Role::Assistant,
            unit: "広聴課".parse().unwrap(),
            designated_on: Some("2026-04-01".parse().unwrap()),
            trained_on: Some("2026-10-01".parse().unwrap()),
        }],
    }
}

fn register(at: Timestamp) -> Register {
    let person = "sato".parse().unwrap();
    let by = Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some(person),
    };
    let version = rules::POLICY_VERSION;
    let facts = [founded(), Fact::Acknowledged { version }];
    Register::of(facts.map(|fact| Recorded {
        at,
        by: by.clone(),
        fact,
    }))
}

fn heard(recording: RecordingId, at: Timestamp) -> Heard {
    Heard {
        recording,
        state: RecordingState::Sealed,
        expires_at: at + 1000.hours(),
        called: None,
        unit: "広聴課".parse().unwrap(),
        sound: Sound::Here,
    }
}

/// A permit of somebody who may, through the trail as in service.
pub fn permit(city: &City, recording: RecordingId, at: Timestamp) -> ListenPermit {
    let proved = proved("sato", at);
    let request = ListenRequest {
        petitioner: petitioner(Some(&proved)),
        action: Action::ListenToFile,
        heard: heard(recording, at),
        purpose: Some(Purpose::AnalysisComplaint),
        case: None,
        range_ms: None,
    };
    let grant = request.judge(&register(at), at).unwrap();
    let receipt = trail(city).append(grant.entry().clone(), at).unwrap();
    ListenPermit::issue(grant, receipt, at).unwrap()
}

/// A permit to see a caller's number, in the same way.
pub fn reveal_permit(city: &City, recording: RecordingId, at: Timestamp) -> RevealPermit {
    let proved = proved("sato", at);
    let request = RevealRequest {
        petitioner: petitioner(Some(&proved)),
        heard: heard(recording, at),
        purpose: Some(Purpose::AnalysisComplaint),
        reason: Some(Digest([7; 32])),
    };
    let grant = request.judge(&register(at), at).unwrap();
    let receipt = trail(city).append(grant.entry().clone(), at).unwrap();
    RevealPermit::issue(grant, receipt, at).unwrap()
}

/// A permit to search, in the same way.
pub fn find_permit(city: &City, sought: Sought, at: Timestamp) -> FindPermit {
    let proved = proved("sato", at);
    let request = FindRequest {
        petitioner: petitioner(Some(&proved)),
        sought,
        purpose: Some(Purpose::SubjectRights),
    };
    let grant = request.judge(&register(at), at).unwrap();
    let receipt = trail(city).append(grant.entry().clone(), at).unwrap();
    FindPermit::issue(grant, receipt, at).unwrap()
}

pub fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

pub fn hash(segment: &SealedSegment) -> Digest {
    segment.sha256
}

/// Leave to seal a recording to a case, from a register that says so.
pub fn hold_permit(case: CaseId, recording: RecordingId) -> HoldPermit {
    let register = held(case, recording, None);
    let mut tasks = register.holds().settle(&BTreeMap::new());
    tasks.hold.pop().unwrap()
}

/// Leave to take it out again.
pub fn release_permit(case: CaseId, recording: RecordingId) -> ReleasePermit {
    let hold = HoldId::new(now(), 78);
    let register = held(case, recording, Some(HoldFact::Released { hold }));
    let held = BTreeMap::from([(case, [recording].into())]);
    let mut tasks = register.holds().settle(&held);
    tasks.release.pop().unwrap()
}

/// A register of one approved hold, and what became of it.
pub fn held(case: CaseId, recording: RecordingId, more: Option<HoldFact>) -> Register {
    let hold = HoldId::new(now(), 78);
    let until = HoldTerms::usual_end(now());
    let terms = HoldTerms {
        case,
        ground: Ground::Law,
        recordings: [recording].into(),
        review: until,
        until,
    };
    let decided = HoldFact::Decided {
        hold,
        verdict: Verdict::Approved,
        reason: None,
    };
    let by = |id: &str| Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some(id.parse().unwrap()),
    };
    let steps = [
        (by("sato"), HoldFact::Requested { hold, terms }),
        (by("kacho"), decided),
    ];
    let more = more.map(|fact| (by("kacho"), fact));
    Register::of(steps.into_iter().chain(more).map(|(by, fact)| Recorded {
        at: now(),
        by,
        fact: Fact::Hold(fact),
    }))
}

/// Waits for what the database does.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A layout in a folder of the real disk.
pub fn real_layout(folder: &Path) -> Layout {
    Layout::new(folder.join("data"), folder.join("root"))
}

/// All pages of a list.
pub async fn listed(catalogue: &mut Catalogue, all: bool, limit: Option<u32>) -> Vec<ListedCall> {
    let mut listing = catalogue.list(all, limit).await.unwrap();
    let mut calls = Vec::new();
    loop {
        let page = listing.page().await.unwrap();
        if page.is_empty() {
            return calls;
        }
        calls.extend(page);
    }
}

/// A row on its way into the catalogue.
pub fn entry(row: Row) -> SpoolEntry {
    SpoolEntry::Row(Box::new(row))
}

/// The row of a call without a recording.
pub fn unrecorded(city: &City, number: u128) -> Row {
    let row = row(city, &opening(number), None);
    let call = CallRecord {
        recording: None,
        notice: None,
        unrecorded: Some(Reason::NoAnnouncement),
        ..row.call
    };
    Row {
        call,
        state: RecordingState::Unrecorded,
        caller: Some(SealedCaller::Anonymous),
        ..row
    }
}

/// The bytes of every file under a folder, one after the other.
pub fn every_byte_under(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(every_byte_under(&path)),
            false => bytes.extend(std::fs::read(&path).unwrap()),
        }
    }
    bytes
}

/// The city on a disk of its own, in memory.
pub fn memory_city() -> (MemoryDisk, City) {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &memory_layout());
    (disk, city)
}

/// The one file of a recording of today, and what it holds.
pub fn only_file(city: &City, recording: RecordingId) -> (PathBuf, Vec<u8>) {
    let file = city.vault.segments(today(), recording).unwrap().remove(0);
    let path = city.layout.vault_day(today()).join(file.name());
    (path, city.vault.read(&file).unwrap())
}
