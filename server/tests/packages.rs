//! Packages through the real program: what opens them, how long, and what the trail and the lists say of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use common::{hand_over::City, text};
use serde_json::{Value, json};
use storage::{Catalogue, Layout};

fn is_passphrase_kept(city: &City, hand_over: &str) -> bool {
    let dir = city.house.dir();
    let layout = Layout::new(dir.join("data"), dir.join("root"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut catalogue = Catalogue::open_read_only(&layout).await.unwrap();
        let kept = catalogue.kept_passphrase(hand_over.parse().unwrap()).await;
        kept.unwrap().is_some()
    })
}

#[test]
fn a_passphrase_is_forgotten_when_it_is_shown_and_when_nobody_may_see_it_any_more() {
    let city = City::new();
    let pack = |name: &str| {
        let id = city.approved();
        let package = city.path(name);
        city.done(
            "taro",
            &["handover", "package", &id, "--out", &package, "--zip"],
        );
        id
    };
    let (shown, unseen) = (pack("shown.zip"), pack("unseen.zip"));
    assert!(is_passphrase_kept(&city, &shown) && is_passphrase_kept(&city, &unseen));

    city.done("hanako", &["handover", "passphrase", &shown]);
    assert!(!is_passphrase_kept(&city, &shown) && is_passphrase_kept(&city, &unseen));

    let certificate = city.path("certificate");
    fs::write(&certificate, "渡さずに廃棄しました").unwrap();
    let destroyed = [
        "handover",
        "destroyed",
        &unseen,
        "--certificate",
        &certificate,
    ];
    city.done("hanako", &destroyed);
    assert!(!is_passphrase_kept(&city, &unseen));
}

/// Asks for a file as the command does, writes all of it, and dies before it says so.
fn export_and_die(city: &City, file: &str) {
    let password = fs::read_to_string(city.house.dir().join("hanako.password")).unwrap();
    let proof = json!({"person": "hanako", "password": password.trim(), "code": null});
    let request = json!({"export": {
        "recording": city.recording,
        "purpose": "STAFF_CHECK",
        "case": null,
        "place": file,
        "proof": {"password": proof},
    }});
    let socket = city.house.dir().join("data/office/socket");
    let mut office = BufReader::new(UnixStream::connect(socket).unwrap());
    writeln!(office.get_mut(), "{request}").unwrap();
    let mut answer = String::new();
    office.read_line(&mut answer).unwrap();
    assert!(answer.contains("done"), "{answer}");
    writeln!(office.get_mut(), "\"made\"").unwrap();
    let mut written = fs::File::create_new(file).unwrap();
    loop {
        let mut length = [0; 4];
        office.read_exact(&mut length).unwrap();
        let mut part = vec![0; u32::from_le_bytes(length) as usize];
        if part.is_empty() {
            break;
        }
        office.read_exact(&mut part).unwrap();
        written.write_all(&part).unwrap();
    }
}

/// The copies as they are listed, by their place.
fn copies(listed: &[u8]) -> Vec<(String, String)> {
    let listed = std::str::from_utf8(listed).unwrap();
    let word = |copy: &Value, name: &str| copy[name].as_str().unwrap().to_owned();
    let copy = |line: &str| {
        let copy: Value = serde_json::from_str(line).unwrap();
        (word(&copy, "place"), word(&copy, "state"))
    };
    listed.lines().map(copy).collect()
}

#[test]
fn a_whole_file_whose_asker_died_before_it_said_so_is_removed_and_another_in_its_place_stays() {
    let mut city = City::new();
    let (own, changed) = (city.path("own.wav"), city.path("changed.wav"));
    city.house.run();
    for file in [&own, &changed] {
        export_and_die(&city, file);
    }
    fs::write(&changed, "something else").unwrap();
    city.house.terminate();
    let in_40_minutes = |arguments: &[&str]| {
        let command = city.house.command(arguments);
        let mut later = Command::new("faketime");
        later.arg("+40 minutes").arg(command.get_program());
        later
            .args(command.get_args())
            .args(city.house.proof("kacho"));
        let done = later.env("HOME", city.house.dir()).output().unwrap();
        assert!(done.status.success(), "{}", text(&done));
        done.stdout
    };

    in_40_minutes(&["dispose", "--due", "--confirm-clock", "時報で確かめた"]);

    assert!(!Path::new(&own).exists() && Path::new(&changed).exists());
    let listed = copies(&in_40_minutes(&["copies", "list", "--json"]));
    let expected = [(own, "destroyed"), (changed, "outstanding")];
    assert_eq!(
        listed,
        expected.map(|(place, state)| (place, state.to_owned()))
    );
}
