//! Both duties apart, each in a process of its own: what one needs of the other, and that calls need nothing (law 1).

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that is left out says so"
)]

mod common;

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use common::{House, telephone, text, wait_for};
use jiff::ToSpan as _;

fn house() -> House {
    House::init(&["--profile", "transparent", "--waiver", "広報第12号"])
}

fn call(house: &House, call_id: &str) {
    telephone::call(house, call_id, 8_000);
}

/// The closed segments on disk, whoever has rows of them.
fn recordings(house: &House) -> usize {
    let days = fs::read_dir(house.dir().join("data/vault")).unwrap();
    let files = days.flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap());
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.ends_with(".krec") && !name.ends_with(".open.krec"))
        .count()
}

fn trail(house: &House, duty: &str) -> String {
    let folder = house.dir().join("data").join(duty).join("audit");
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn with_the_office_away_calls_are_recorded_and_emergencies_declared_and_only_opening_waits() {
    let house = house();
    house.found();
    house.enlist("hanako", "assistant");
    let calls = house.run_duty("calls", |_| {});
    call(&house, "alone");
    wait_for("a recording", || (recordings(&house) == 1).then_some(()));
    let declare = ["emergency", "declare", "--reason", "訓練"];
    house.done(&declare);
    house.done(&["emergency", "lift"]);
    assert!(house.rows(&[]).is_empty());

    let office = house.run_duty("office", |_| {});
    let row = house.row("the row that waited", &[], |row| row["state"] == "sealed");
    let wav = house.dir().join("call.wav");
    let id = row["id"].as_str().unwrap();
    let wav = wav.to_str().unwrap();
    let export = [
        "recordings",
        "export",
        id,
        "--purpose",
        "STAFF_CHECK",
        "--out",
        wav,
    ];
    let heard = house.by("hanako", &export);
    assert!(heard.status.success(), "{}", text(&heard));

    // The office dies in the midst of its work, and a call goes on.
    office.kill();
    call(&house, "still-alone");
    wait_for("another", || (recordings(&house) == 2).then_some(()));
    let office = house.run_duty("office", |_| {});
    house.row("both rows", &[], |_| house.rows(&[]).len() == 2);

    // Each has its own chain, and the office signs both.
    calls.terminate();
    office.terminate();
    let verified = house.denwaban(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    let (calls, office) = (trail(&house, "calls"), trail(&house, "office"));
    for event in ["server_started", "emergency_declared", "server_stopped"] {
        assert!(calls.contains(event) && !office.contains(event), "{event}");
    }
    for event in ["listen_granted", "configuration_loaded"] {
        assert!(office.contains(event), "{event}");
    }
    assert!(!calls.contains("listen_granted"));
    assert!(house.dir().join("data/office/heads/calls").exists());
}

#[test]
fn who_declares_is_proved_by_the_offices_own_process_and_needs_no_proof_without_it() {
    let house = house();
    house.found();
    house.enlist("toban", "duty_officer");
    let declare = ["emergency", "declare", "--reason", "訓練", "--json"];
    let calls = house.run_duty("calls", |_| {});
    let office = house.run_duty("office", |_| {});
    let refused = house.by("kanri", &declare);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let declared = house.by("toban", &declare);
    assert!(declared.status.success(), "{}", text(&declared));
    office.kill();
    let declared = house.by("toban", &declare);
    assert!(declared.status.success(), "{}", text(&declared));
    calls.terminate();
    let trail = trail(&house, "calls");
    let declared = trail
        .lines()
        .filter(|line| line.contains("emergency_declared"));
    let declared: Vec<&str> = declared.collect();
    assert_eq!(declared.len(), 2, "{trail}");
    assert!(declared[0].contains("\"person\":\"toban\""), "{trail}");
    assert!(declared[1].contains("\"person\":null"), "{trail}");
}

#[test]
fn one_duty_runs_once_and_beside_the_other() {
    let house = house();
    let _calls = house.run_duty("calls", |_| {});
    let _office = house.run_duty("office", |_| {});
    for roles in ["calls", "office"] {
        let second = house.denwaban(&["run", "--roles", roles]);
        assert_eq!(second.status.code(), Some(1), "{}", text(&second));
    }
    let both = house.denwaban(&["run"]);
    assert_eq!(both.status.code(), Some(1), "{}", text(&both));
}

/// Numbers that no user and no group of this machine has.
const CALLS: u32 = 61_001;
const OFFICE: u32 = 61_002;
const GROUP: u32 = 62_000;

#[test]
fn two_unix_users_share_what_both_need_and_calls_read_neither_root_nor_key_store() {
    if !rustix::process::getuid().is_root() {
        eprintln!("left out: only root starts processes of two other users");
        return;
    }
    let house = house();
    house.found();
    house.enlist("hanako", "assistant");
    share(&house);
    let as_user = |user: u32| {
        move |command: &mut Command| {
            command.uid(user).gid(GROUP);
        }
    };
    let calls = house.run_duty("calls", as_user(CALLS));
    let office = house.run_duty("office", as_user(OFFICE));
    call(&house, "two-users");
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");

    let office_month = fs::read_dir(house.dir().join("data/office/audit"))
        .unwrap()
        .next();
    let office_month = office_month.unwrap().unwrap().path();
    for secret in [
        "root/0001.root",
        "data/keys/store",
        "signing/key",
        "data/office/catalogue.db",
        "data/office/lock",
        office_month.to_str().unwrap(),
    ] {
        let path = house.dir().join(secret);
        assert!(can_read(OFFICE, &path), "{secret}");
        assert!(!can_read(CALLS, &path), "{secret}");
    }
    // The office takes what is due away from folders that the calls' user has made.
    let day = fs::read_dir(house.dir().join("data/vault")).unwrap().next();
    let day = fs::metadata(day.unwrap().unwrap().path()).unwrap();
    assert_eq!((day.uid(), day.gid()), (CALLS, GROUP));
    assert_eq!(day.permissions().mode() & 0o7777, 0o2770);
    let wav = house.dir().join("call.wav");
    let id = row["id"].as_str().unwrap();
    let wav = wav.to_str().unwrap();
    let export = [
        "recordings",
        "export",
        id,
        "--purpose",
        "STAFF_CHECK",
        "--out",
        wav,
    ];
    let heard = house.by("hanako", &export);
    assert!(heard.status.success(), "{}", text(&heard));
    // Who orders an emergency is refused, and counted, under the own user, whichever process asks.
    let refused = house.by("hanako", &["emergency", "declare", "--reason", "訓練"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let entries = trail(&house, "office");
    let entry = entries
        .lines()
        .find(|line| line.contains("\"declare_emergency\""));
    let actor = "\"unix_user\":\"root\",\"person\":\"hanako\"";
    assert!(entry.unwrap().contains(actor), "{entry:?}");
    calls.terminate();
    office.terminate();
    let verified = house.denwaban(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    // Root does the office's duty for as long as a command lasts, and the office goes on with what that has made.
    house.enlist("jiro", "assistant");
    for made in every_file(&house.dir().join("data/office")) {
        assert_eq!(
            fs::metadata(&made).unwrap().uid(),
            OFFICE,
            "{}",
            made.display()
        );
    }
}

#[test]
fn months_of_a_chain_that_another_user_writes_go_once_that_one_is_reached() {
    if !rustix::process::getuid().is_root() {
        eprintln!("left out: only root starts processes of two other users");
        return;
    }
    let begun = jiff::Timestamp::now() - (24 * 31 * 38).hours();
    let house = House::init_at(begun, &["--profile", "announce"]);
    house.done_at(begun, &["emergency", "declare", "--reason", "訓練"]);
    house.found();
    house.done(&["emergency", "declare", "--reason", "訓練"]);
    let believed = ["dispose", "--due", "--confirm-clock", "三年ぶりの点検"];
    let believed = house.by("kacho", &believed);
    assert!(believed.status.success(), "{}", text(&believed));
    share(&house);
    let as_user = |user: u32| {
        move |command: &mut Command| {
            command.uid(user).gid(GROUP);
        }
    };
    let month = rules::JstMonth::of(begun).to_string();
    let old = house.dir().join(format!("data/calls/audit/{month}.jsonl"));
    let forget = [
        "audit",
        "forget",
        "--through",
        &month,
        "--decision",
        "総務第38号",
        "--yes",
    ];

    let office = house.run_duty("office", as_user(OFFICE));
    let forgotten = house.by("kacho", &forget);
    assert_eq!(forgotten.status.code(), Some(4), "{}", text(&forgotten));
    assert!(
        text(&forgotten).contains("chain calls is incomplete"),
        "{}",
        text(&forgotten)
    );
    assert!(old.exists());
    let verified = house.denwaban(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));

    let calls = house.run_duty("calls", as_user(CALLS));
    let forgotten = house.by("kacho", &forget);
    assert!(forgotten.status.success(), "{}", text(&forgotten));
    assert!(!old.exists());
    calls.terminate();
    office.terminate();
    let verified = house.denwaban(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
}

fn every_file(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => every_file(&path),
            false => vec![path],
        })
        .collect()
}

/// What README tells the operator to do.
fn share(house: &House) {
    let config = fs::read_to_string(house.config()).unwrap();
    let config = config.replacen("[folders]", &format!("[folders]\ngroup = \"{GROUP}\""), 1);
    let access = format!("socket_group = \"{GROUP}\"\nsocket_mode = \"0660\"");
    let shared = config.replace("socket_mode = \"0600\"", &access);
    assert_eq!(shared.matches(&access).count(), 2, "both sockets");
    fs::write(house.config(), shared).unwrap();
    let give = |path: &str, user: u32| give(&house.dir().join(path), user);
    give("", 0);
    for path in ["data/calls", "data/vault"] {
        give(path, CALLS);
    }
    for path in ["data/office", "data/keys", "root", "signing"] {
        give(path, OFFICE);
    }
}

/// `chown -R USER:GROUP` and `chmod -R g+rX`, which leaves secrets their owner's.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(GROUP)).unwrap();
    let found = fs::metadata(path).unwrap();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap();
    let is_secret = ["root", "store", "key"].contains(&name) || name.ends_with(".root");
    if !is_secret {
        let more = if found.is_dir() { 0o050 } else { 0o040 };
        let mode = found.permissions().mode() | more;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

fn can_read(user: u32, path: &Path) -> bool {
    let read = Command::new("cat").arg(path).uid(user).gid(GROUP).output();
    read.unwrap().status.success()
}
