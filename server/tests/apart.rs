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
    process::{Command, Output},
};

use common::{House, telephone, text, wait_for};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

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
const CLERK: u32 = 61_003;
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
    // Whoever is only in the socket's group founds nothing; as whom the office runs may, and finds it done.
    for (user, code) in [(CALLS, "ROLE_NOT_PERMITTED"), (OFFICE, "ALREADY_FOUNDED")] {
        let refused = found_by(&house, user);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
        assert!(text(&refused).contains(code), "{}", text(&refused));
    }
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
    let begun = Timestamp::now() - (24 * 31 * 38).hours();
    let house = House::init_at(begun, &["--profile", "announce"]);
    house.done_at(begun, &["emergency", "declare", "--reason", "訓練"]);
    house.found();
    house.done(&["emergency", "declare", "--reason", "訓練"]);
    let believed = ["dispose", "--due", "--confirm-clock", "三年ぶりの点検"];
    let believed = house.by("kacho", &believed);
    assert!(believed.status.success(), "{}", text(&believed));
    share(&house);
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

#[test]
fn a_wav_of_a_third_unix_user_goes_at_its_time_where_the_office_can_and_else_blocks_its_holder() {
    if !rustix::process::getuid().is_root() {
        eprintln!("left out: only root starts processes of three other users");
        return;
    }
    let house = house();
    house.found();
    house.enlist("hanako", "assistant");
    designate_for_60_days(&house);
    share(&house);
    let own = clerks_folder(&house, "own", 0o700).join("call.wav");
    let common = clerks_folder(&house, "common", 0o770).join("call.wav");
    let calls = house.run_duty("calls", as_user(CALLS));
    let office = house.run_duty("office", as_user(OFFICE));
    call(&house, "three-users");
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let export = |file: &Path| export_by_clerk(&house, row["id"].as_str().unwrap(), file);
    let begun = Timestamp::now();
    for file in [&own, &common] {
        let exported = export(file);
        assert!(exported.status.success(), "{}", text(&exported));
        assert_eq!(fs::metadata(file).unwrap().uid(), CLERK);
    }
    // A file is its writer's alone, until the writer lets the group read it: then the office knows it again.
    fs::set_permissions(&common, fs::Permissions::from_mode(0o640)).unwrap();
    let listed = copies(&house);
    assert_eq!(standings(&listed), [["outstanding", ""]; 2]);
    check_listed(&listed[0], &own, begun);
    check_listed(&listed[1], &common, begun);
    calls.terminate();
    office.terminate();

    let office = house.run_duty("office", |command| {
        as_user(OFFICE)(in_31_days(command));
    });
    let due = ["dispose", "--due", "--confirm-clock", "時報で確かめた"];
    let disposed = house.by("kacho", &due);
    assert!(disposed.status.success(), "{}", text(&disposed));
    assert_eq!([own.exists(), common.exists()], [true, false]);
    let listed = copies(&house);
    let expected = [["outstanding", "overdue"], ["destroyed", ""]];
    assert_eq!(standings(&listed), expected);
    let refused = export(&common);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let refusal: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(refusal["status"], 409);
    assert_eq!(refusal["code"], "COPY_OVERDUE");
    assert!(!common.exists());

    fs::remove_file(&own).unwrap();
    certify(&house, listed[0]["id"].as_str().unwrap());
    let exported = export(&common);
    assert!(exported.status.success(), "{}", text(&exported));
    office.terminate();
}

fn designate_for_60_days(house: &House) {
    let day = |days: i64| rules::JstDay::of(Timestamp::now() + (24 * days).hours()).to_string();
    let (from, until) = (day(0), day(60));
    let designate = ["people", "designate", "hanako"];
    let days = ["--from", &from, "--until", &until];
    let designated = house.by("kacho", &[&designate[..], &days].concat());
    assert!(designated.status.success(), "{}", text(&designated));
}

fn clerks_folder(house: &House, name: &str, mode: u32) -> PathBuf {
    let folder = house.dir().join(name);
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(CLERK), Some(GROUP)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    folder
}

/// A copy is listed with its path, the hash of its file and the end of its 30 days, which begin when it is judged.
fn check_listed(copy: &Value, file: &Path, begun: Timestamp) {
    assert_eq!(copy["place"], file.to_str().unwrap());
    let sha256 = storage::sha256_of(&fs::read(file).unwrap());
    assert_eq!(copy["sha256"], json!(sha256));
    let [made_at, destroy_by] = ["made_at", "destroy_by"].map(|name| {
        let instant = copy[name].as_str().unwrap();
        instant.parse::<Timestamp>().unwrap()
    });
    let longest = (30 * 24).hours();
    assert!((begun + longest..=made_at + longest).contains(&destroy_by));
}

fn certify(house: &House, copy: &str) {
    let certificate = house.dir().join("certificate");
    fs::write(&certificate, "消去しました").unwrap();
    let destroyed = ["copies", "destroyed", copy, "--certificate"];
    let certificate = [certificate.to_str().unwrap()];
    let certified = by_clerk(house, &[&destroyed[..], &certificate].concat());
    assert!(certified.status.success(), "{}", text(&certified));
}

/// A command of `hanako`, who works as a Unix user of the group that does neither duty.
fn by_clerk(house: &House, arguments: &[&str]) -> Output {
    let mut command = house.command(arguments);
    command.args(house.proof("hanako")).uid(CLERK).gid(GROUP);
    command.output().unwrap()
}

fn export_by_clerk(house: &House, recording: &str, file: &Path) -> Output {
    let export = [
        "recordings",
        "export",
        recording,
        "--purpose",
        "STAFF_CHECK",
    ];
    let out = ["--out", file.to_str().unwrap(), "--json"];
    by_clerk(house, &[&export[..], &out].concat())
}

fn copies(house: &House) -> Vec<Value> {
    let listed = by_clerk(house, &["copies", "list", "--json"]);
    assert!(listed.status.success(), "{}", text(&listed));
    let lines = String::from_utf8(listed.stdout).unwrap();
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Where each copy stands, and what its holder is reminded of.
fn standings<'c>(copies: &'c [Value]) -> Vec<[&'c str; 2]> {
    let word = |copy: &'c Value, name: &str| copy[name].as_str().unwrap_or_default();
    let standing = |copy| ["state", "reminder"].map(|name| word(copy, name));
    copies.iter().map(standing).collect()
}

/// Moves a program's wall clock as `faketime` does, which waits for a program of its own; the monotonic one stays.
fn in_31_days(command: &mut Command) -> &mut Command {
    command
        .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1")
        .env("FAKETIME", "+31d")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Names the first manager and administrator as a Unix user of the group.
fn found_by(house: &House, user: u32) -> Output {
    let mut command = house.command(&["people", "bootstrap"]);
    for (role, id) in [("manager", "kacho"), ("administrator", "kanri")] {
        let file = house.dir().join(format!("{id}.password"));
        command.args([format!("--{role}"), id.to_owned()]);
        command.arg(format!("--{role}-password-file")).arg(file);
    }
    command.uid(user).gid(GROUP);
    command.output().unwrap()
}

fn as_user(user: u32) -> impl Fn(&mut Command) {
    move |command| {
        command.uid(user).gid(GROUP);
    }
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
