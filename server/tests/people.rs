//! People through the real program: founded once, proved each time, stopped within a second.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Output, Stdio},
};

use aws_lc_rs::hmac;
use common::{House, telephone, text, wait_for};
use serde_json::Value;

fn house() -> House {
    House::init(&["--profile", "transparent", "--waiver", "広報第12号"])
}

/// The refusal that stands on standard error as JSON.
fn refusal(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    let keys: Vec<_> = refusal.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["clause", "code", "en", "ja", "status"]);
    refusal
}

fn code(output: &Output) -> String {
    refusal(output)["code"].as_str().unwrap().to_owned()
}

#[test]
fn two_persons_are_named_once_and_the_first_versions_people_are_taken_in() {
    let house = house();
    let staff = house.dir().join("staff.toml");
    fs::write(
        &staff,
        "[[staff]]\nid = \"hanako\"\nname = \"試験 花子\"\nrole = \"assistant\"\nunit = \"管理所管課\"\ndesignated_on = 2026-04-01\n",
    )
    .unwrap();
    let one = house.password_file("same", "umi-no-mieru-oka\n");
    let bootstrap = |manager: &str, administrator: &str| {
        house.denwaban(&[
            "people",
            "bootstrap",
            "--json",
            "--manager",
            manager,
            "--manager-password-file",
            &one,
            "--administrator",
            administrator,
            "--administrator-password-file",
            &one,
        ])
    };
    let alone = bootstrap("kacho", "kacho");
    assert_eq!(alone.status.code(), Some(1), "{}", text(&alone));
    house.found();
    assert_eq!(code(&bootstrap("thief", "kanri")), "ALREADY_FOUNDED");

    let listed = house.by("kacho", &["people", "list", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let people: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<_> = people
        .iter()
        .map(|person| person["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["hanako", "kacho", "kanri"]);
    assert_eq!(people[0]["name"], "試験 花子");
    let catalogue = fs::read(house.dir().join("data/office/catalogue.db")).unwrap();
    let name = "花子".as_bytes();
    assert!(!catalogue.windows(name.len()).any(|window| window == name));

    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(2), "{}", text(&checked));
    assert!(text(&checked).contains("staff.toml"), "{}", text(&checked));
    fs::remove_file(staff).unwrap();
    assert_eq!(house.denwaban(&["check"]).status.code(), Some(0));
}

#[test]
fn the_manager_designates_and_no_administrator_grants_what_opens_content() {
    let house = house();
    house.found();
    let add = |by: &str, id: &str, role: &str, unit: &str| {
        house.by(
            by,
            &[
                "people", "add", id, "--role", role, "--unit", unit, "--json",
            ],
        )
    };
    assert_eq!(
        code(&add("kanri", "hanako", "assistant", "管理所管課")),
        "ROLE_NOT_GRANTABLE"
    );
    assert_eq!(
        code(&add("kacho", "hanako", "manager", "管理所管課")),
        "ROLE_NOT_GRANTABLE"
    );
    assert_eq!(
        code(&add("kacho", "hanako", "assistant", "税務課")),
        "ORG_NOT_PERMITTED"
    );
    assert!(
        add("kanri", "toban", "duty_officer", "管理所管課")
            .status
            .success()
    );
    let added = add("kacho", "hanako", "assistant", "管理所管課");
    let first: Value = serde_json::from_slice(&added.stdout).unwrap();
    // Whoever asks again is told how to come by a password that nobody saw.
    let again = add("kacho", "hanako", "assistant", "管理所管課");
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        again,
        serde_json::json!({ "state": "already_so", "password": "first" })
    );
    let issued = house.by("kacho", &["password", "--for", "hanako", "--json"]);
    let lost = first;
    let first: Value = serde_json::from_slice(&issued.stdout).unwrap();
    house.password_file("hanako", lost["password"].as_str().unwrap());
    let late = house.by("hanako", &["people", "acknowledge", "--json"]);
    assert_eq!(code(&late), "LOGIN_FAILED");

    // The first password opens nothing but its change.
    house.password_file("hanako", first["password"].as_str().unwrap());
    let early = house.by("hanako", &["people", "acknowledge", "--json"]);
    assert_eq!(code(&early), "PASSWORD_EXPIRED");
    let own = house.password_file("own", "hanako-hanako\n");
    let renew = |file: &str| {
        house.by(
            "hanako",
            &["password", "--new-password-file", file, "--json"],
        )
    };
    assert_eq!(code(&renew(&own)), "PASSWORD_BLOCKED");
    house.password_file("own", "kaze-ni-noru-tori\n");
    assert!(renew(&own).status.success());
    house.password_file("hanako", "kaze-ni-noru-tori\n");
    assert_eq!(code(&renew(&own)), "PASSWORD_REUSED");

    let days = ["--from", "2026-04-01", "--until", "2027-03-31", "--json"];
    let designate =
        |by: &str, id: &str| house.by(by, &[&["people", "designate", id], &days[..]].concat());
    assert_eq!(code(&designate("kanri", "hanako")), "ROLE_NOT_PERMITTED");
    assert_eq!(code(&designate("kacho", "kacho")), "SELF_APPROVAL");
    assert!(designate("kacho", "hanako").status.success());
}

#[test]
fn wrong_passwords_delay_one_account_and_nobody_else_and_never_the_emergency() {
    let house = house();
    house.found();
    let right = fs::read_to_string(house.dir().join("kacho.password")).unwrap();
    house.password_file("kacho", "not-the-password\n");
    house.password_file("nobody", "not-the-password\n");
    let list = |id: &str| house.by(id, &["people", "list", "--json"]);
    assert_eq!(code(&list("nobody")), "LOGIN_FAILED");
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(code(&list("kacho")));
    }
    assert_eq!(codes[..3], ["LOGIN_FAILED"; 3]);
    assert!(
        codes.iter().any(|code| code == "TOO_MANY_ATTEMPTS"),
        "{codes:?}"
    );
    // The right one waits too, another person does not.
    house.password_file("kacho", &right);
    let other = list("kanri");
    assert!(other.status.success(), "{}", text(&other));
    let declared = house.denwaban(&["emergency", "declare", "--reason", "訓練"]);
    assert!(declared.status.success(), "{}", text(&declared));
}

#[test]
fn whoever_declares_an_emergency_is_named_where_that_can_be_proved() {
    let mut house = house();
    house.found();
    house.enlist("toban", "duty_officer");
    let declare = ["emergency", "declare", "--reason", "訓練", "--json"];
    assert_eq!(code(&house.by("kanri", &declare)), "ROLE_NOT_PERMITTED");
    house.run();
    let declared = house.by("toban", &declare);
    assert!(declared.status.success(), "{}", text(&declared));
    let catalogue = house.dir().join("data/office/catalogue.db");
    let sound = fs::read(&catalogue).unwrap();
    house.terminate();
    fs::write(&catalogue, b"no database".repeat(100)).unwrap();
    let declared = house.by("toban", &declare);
    assert!(declared.status.success(), "{}", text(&declared));
    fs::write(&catalogue, sound).unwrap();

    let folder = house.dir().join("data/calls/audit");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let trail: String = files
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let declared: Vec<&str> = trail
        .lines()
        .filter(|line| line.contains("emergency_declared"))
        .collect();
    assert_eq!(declared.len(), 2, "{trail}");
    assert!(declared[0].contains("\"person\":\"toban\""), "{trail}");
    assert!(declared[1].contains("\"person\":null"), "{trail}");
}

#[test]
fn a_login_lasts_until_it_is_ended_and_a_code_counts_once() {
    let house = house();
    house.found();
    let [as_id, id, option, file] = house.proof("kacho");
    let proof = [as_id.as_str(), &id, &option, &file];
    let list = ["people", "list", "--json"];
    assert_eq!(code(&house.denwaban(&list)), "PERSON_UNKNOWN");
    house.done(&[&["login"], &proof[..]].concat());
    house.done(&list);
    house.done(&["logout"]);
    assert_eq!(code(&house.denwaban(&list)), "PERSON_UNKNOWN");

    let enrolled = house.done(&[&["totp", "enrol", "--json"], &proof[..]].concat());
    let enrolled: Value = serde_json::from_slice(&enrolled.stdout).unwrap();
    let secret = enrolled["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32);
    // Until a code confirms it, the password alone proves as before.
    house.done(&[&list[..], &proof[..]].concat());
    house.done(&[&["login"], &proof[..]].concat());
    let confirm = |code: &str| house.by("kacho", &["totp", "confirm", code, "--json"]);
    assert_eq!(code(&confirm("12345")), "LOGIN_FAILED");
    let of_now = one_time_code(secret);
    let confirmed = confirm(&of_now);
    assert!(confirmed.status.success(), "{}", text(&confirmed));
    assert_eq!(code(&house.by("kacho", &list)), "LOGIN_FAILED");
    let again = house.by("kacho", &[&list[..], &["--totp", &of_now]].concat());
    assert_eq!(code(&again), "LOGIN_FAILED", "it was used to confirm");
    let wrong = house.by("kacho", &[&list[..], &["--totp", "12345"]].concat());
    assert_eq!(code(&wrong), "LOGIN_FAILED");
    // Who only found a login open cannot replace the codes.
    let replaced = house.denwaban(&["totp", "enrol", "--json"]);
    assert_eq!(code(&replaced), "PERSON_UNKNOWN");
    house.done(&["logout"]);
    // A password that another person issues takes the lost codes away. Nobody may for the manager but another one.
    let issue = house.by("kanri", &["password", "--for", "kacho", "--json"]);
    assert_eq!(code(&issue), "ROLE_NOT_GRANTABLE");
}

#[test]
fn a_withdrawal_stops_the_sound_and_the_entry_says_how_much_was_heard() {
    let mut house = house();
    house.found();
    house.enlist("hanako", "assistant");
    house.run();
    assert_eq!(
        withdrawn_while_hearing(&house, "hanako", "STAFF_CHECK"),
        "NOT_DESIGNATED"
    );
    house.terminate();
}

#[test]
fn a_withdrawal_stops_a_contractor_whom_no_manager_ever_designated() {
    let mut house = house();
    house.found();
    let today = rules::JstDay::of(jiff::Timestamp::now()).to_string();
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let approve = ["contracts", "approve", "r8-1", "--supervisor", "kantoku"];
    house.contract(recipient, &today);
    house.enlist_with("kantoku", "vendor_supervisor", &["--vendor", "bunseki"]);
    let approved = house.by("kacho", &approve);
    assert!(approved.status.success(), "{}", text(&approved));
    house.run();
    assert_eq!(
        withdrawn_while_hearing(&house, "kantoku", "ANALYSIS_INQUIRY"),
        "NOT_APPROVED"
    );
    // A manager may decide otherwise.
    let again = house.by("kacho", &approve);
    assert!(text(&again).contains("done"), "{}", text(&again));
    house.terminate();
}

/// Withdraws whoever hears five seconds of sound, once it has begun, and compares what was heard with what the trail says.
///
/// # Returns
/// The code that ended it.
fn withdrawn_while_hearing(house: &House, person: &str, purpose: &str) -> String {
    telephone::call(house, "long", 40_000);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let id = row["id"].as_str().unwrap();
    let proof = house.proof("kacho");
    let proof: Vec<&str> = proof.iter().map(String::as_str).collect();
    house.done(&[&["login"], &proof[..]].concat());
    let play = ["recordings", "play", id, "--purpose", purpose, "--json"];
    let mut playing = house
        .command(&play)
        .args(house.proof(person))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sound = BufReader::new(playing.stdout.take().unwrap());
    assert!(sound.fill_buf().unwrap().starts_with(b"RIFF"));
    house.done(&["people", "withdraw", person]);
    house.done(&["logout"]);
    let mut heard = Vec::new();
    sound.read_to_end(&mut heard).unwrap();
    let ended = code(&playing.wait_with_output().unwrap());

    let sent_ms = i64::try_from((heard.len() - 44) / 32).unwrap();
    let playback = wait_for("the entry of the playback", || {
        entry(house, "playback_ended")
    });
    let range_ms = serde_json::json!([0, sent_ms]);
    assert_eq!(playback["event"]["range_ms"], range_ms);
    assert_eq!(playback["event"]["cut"], ended.as_str());
    // At speaking pace, and not a second beyond the instant of the withdrawal, by the trail's own times.
    let at_ms = |event: &str| {
        let at = entry(house, event).unwrap()["at"].take();
        let at = at.as_str().unwrap().parse::<jiff::Timestamp>();
        at.unwrap().as_millisecond()
    };
    let longest_ms = at_ms("withdrawn") - at_ms("listen_granted") + 1_000;
    assert!(sent_ms < longest_ms, "{sent_ms} of {longest_ms} ms");
    assert!(sent_ms < row["duration_ms"].as_i64().unwrap());
    ended
}

/// The office's first entry of this event, or of this fact.
fn entry(house: &House, event: &str) -> Option<Value> {
    let files = fs::read_dir(house.dir().join("data/office/audit")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let trail: String = paths
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    // The last line may be on its way.
    let mut lines = trail
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| {
        let said = &line["entry"]["event"];
        said["event"] == event || said["change"]["fact"] == event
    });
    line.map(|mut line| line["entry"].take())
}

#[test]
fn an_old_catalogue_revives_no_right_and_a_lost_one_lets_nobody_found_it_anew() {
    let house = house();
    house.found();
    house.enlist("hanako", "assistant");
    let catalogue = house.dir().join("data/office/catalogue.db");
    let old = fs::read(&catalogue).unwrap();
    let withdrawn = house.by("kacho", &["people", "withdraw", "hanako"]);
    assert!(withdrawn.status.success(), "{}", text(&withdrawn));
    fs::write(&catalogue, old).unwrap();
    assert!(
        text(&house.denwaban(&["check"])).contains("facts of the trail are not in the register")
    );
    let listed = house.by("kacho", &["people", "list", "--json"]);
    let hanako = String::from_utf8(listed.stdout).unwrap();
    let hanako = hanako.lines().find(|line| line.contains("hanako")).unwrap();
    assert!(hanako.contains("\"designated_until\":null"), "{hanako}");

    fs::remove_file(&catalogue).unwrap();
    let one = house.password_file("same", "umi-no-mieru-oka\n");
    let anew = house.denwaban(&[
        "people",
        "bootstrap",
        "--json",
        "--manager",
        "thief",
        "--manager-password-file",
        &one,
        "--administrator",
        "friend",
        "--administrator-password-file",
        &one,
    ]);
    assert_eq!(code(&anew), "ALREADY_FOUNDED");

    // A right that somebody writes into the database by hand is none.
    let trail = house.dir().join("data/office/audit");
    fs::rename(&trail, trail.with_extension("away")).unwrap();
    let listed = house.denwaban(&["people", "list", "--json"]);
    assert_eq!(listed.status.code(), Some(5), "{}", text(&listed));
    assert!(
        text(&listed).contains("REGISTER_DIFFERS"),
        "{}",
        text(&listed)
    );
}

#[test]
fn the_trail_is_the_managers_and_the_auditors_and_keys_are_the_administrators() {
    let house = house();
    house.found();
    let backup = house.dir().join("backup");
    let export = house.dir().join("trail.jsonl");
    let (backup, export) = (backup.to_str().unwrap(), export.to_str().unwrap());
    for (refused, allowed, command) in [
        ("kanri", "kacho", &["audit", "list", "--json"][..]),
        (
            "kanri",
            "kacho",
            &["audit", "export", "--json", "--out", export],
        ),
        ("kacho", "kanri", &["keys", "mirror", "--json"]),
        ("kacho", "kanri", &["keys", "rotate", "--json"]),
        ("kacho", "kanri", &["keys", "rotate", "--signing", "--json"]),
        ("kacho", "kanri", &["backup", "--json", "--out", backup]),
        ("kacho", "kanri", &["restore", "--json", "--from", backup]),
    ] {
        assert_eq!(
            code(&house.by(refused, command)),
            "ROLE_NOT_PERMITTED",
            "{command:?}"
        );
        let done = house.by(allowed, command);
        assert!(done.status.success(), "{command:?}: {}", text(&done));
    }
    let trail = house.by("kacho", &["audit", "list", "--chain", "office"]);
    let trail = text(&trail);
    for (who, event) in [
        ("kacho (", "\"audit_exported\""),
        ("kanri (", "\"keys_begun\",\"action\":\"mirror_keys\""),
        ("kanri (", "\"keys_mirrored\""),
        ("kanri (", "\"keys_rotated\""),
        ("kanri (", "\"signing_key_made\""),
        ("kanri (", "\"backed_up\""),
        ("kanri (", "\"restored\""),
        ("kacho (", "\"action_refused\",\"action\":\"back_up\""),
    ] {
        let is_there = trail
            .lines()
            .any(|line| line.contains(who) && line.contains(event));
        assert!(is_there, "{who} {event}\n{trail}");
    }
}

#[test]
fn what_proves_nobody_is_written_down_and_a_wait_once() {
    let house = House::init(&[]);
    house.found();
    let office = house.run_duty("office", |_| {});
    let list = ["people", "list", "--json"];
    let wrong = house.dir().join("wrong");
    fs::write(&wrong, "kaze-ga-fuku-hi\n").unwrap();
    let wrong = ["--as", "kacho", "--password-file", wrong.to_str().unwrap()];
    let codes: Vec<String> = (0..8)
        .map(|_| code(&house.denwaban(&[&list[..], &wrong].concat())))
        .collect();
    let waited = codes
        .iter()
        .filter(|code| *code == "TOO_MANY_ATTEMPTS")
        .count();
    assert!(waited > 0, "{codes:?}");
    // A token that nobody was given.
    let proof = house.proof("kanri");
    let proof: Vec<&str> = proof.iter().map(String::as_str).collect();
    house.done(&[&["login"], &proof[..]].concat());
    let mut files = fs::read_dir(house.dir())
        .unwrap()
        .map(|file| file.unwrap().path());
    let token = files.find(|file| file.to_str().unwrap().contains(".denwaban-login-"));
    fs::write(token.unwrap(), "aaaaa-bbbbb-ccccc-ddddd-eeeee").unwrap();
    assert_eq!(code(&house.denwaban(&list)), "SESSION_OVER");
    office.terminate();

    let trail = fs::read_dir(house.dir().join("data/office/audit")).unwrap();
    let trail: String = trail
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let refused = |code: &str| {
        let lines = trail.lines().filter(|line| line.contains("login_refused"));
        lines.filter(|line| line.contains(code)).count()
    };
    let wrong = codes.iter().filter(|code| *code == "LOGIN_FAILED").count();
    assert_eq!(
        refused("login_failed").max(refused("LOGIN_FAILED")),
        wrong,
        "{trail}"
    );
    let waits = refused("too_many_attempts").max(refused("TOO_MANY_ATTEMPTS"));
    assert!(
        (1..=wrong).contains(&waits),
        "{waits} of {codes:?}\n{trail}"
    );
    assert_eq!(
        refused("session_over").max(refused("SESSION_OVER")),
        1,
        "{trail}"
    );
}

#[test]
fn whoever_may_not_hear_is_not_told_which_recordings_there_are() {
    let house = House::init(&[]);
    house.found();
    let nothing = rules::RecordingId::new(jiff::Timestamp::now(), 7).to_string();
    let play = [
        "recordings",
        "play",
        &nothing,
        "--purpose",
        "STAFF_CHECK",
        "--json",
    ];
    let reveal = [
        "recordings",
        "reveal",
        &nothing,
        "--purpose",
        "STAFF_CHECK",
        "--reason",
        "確認",
        "--json",
    ];
    for ask in [&play[..], &reveal] {
        assert_eq!(code(&house.denwaban(ask)), "PERSON_UNKNOWN");
        assert_eq!(code(&house.by("kanri", ask)), "ROLE_NOT_PERMITTED");
    }
    house.enlist("hanako", "assistant");
    let heard = house.by("hanako", &play);
    assert_eq!(heard.status.code(), Some(1), "{}", text(&heard));
}

#[test]
fn the_table_of_rights_is_shown_as_it_is_judged() {
    let house = House::unwritten();
    let shown = house
        .command(&["access", "table", "--json"])
        .output()
        .unwrap();
    let lines = String::from_utf8(shown.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = fs::read_to_string("../rules/tests/access.table").unwrap();
    assert_eq!(lines.len(), expected.lines().count());
    for (line, expected) in lines.iter().zip(expected.lines()) {
        let code = line["code"].as_str().unwrap_or("yes");
        let words: Vec<&str> = expected.split_whitespace().collect();
        let found = ["role", "action", "state"].map(|key| line[key].as_str().unwrap());
        assert_eq!([&found[..], &[code]].concat(), words);
        assert_eq!(line["allow"].as_bool().unwrap(), line["clause"].is_null());
    }
}

/// What an authenticator shows now for a secret in base 32 (RFC 6238, RFC 4226 section 5.3).
fn one_time_code(secret: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut key) = (0_u32, 0, Vec::new());
    for letter in secret.chars() {
        bits = (bits << 5 | u32::try_from(LETTERS.find(letter).unwrap()).unwrap()) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            key.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    let step = u64::try_from(jiff::Timestamp::now().as_second() / 30).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[19] & 0x0f);
    let word = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}
