//! The keys by command line: a root is lost, a mirror's volume is away, and everybody is told what to do.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use common::{House, text};
use serde_json::Value;

fn mirrored() -> House {
    let house = House::init(&["--profile", "announce"]);
    let config = fs::read_to_string(house.config()).unwrap();
    let mirror = house.dir().join("mirror");
    let config = format!("{config}\n[keys]\nmirrors = [\"{}\"]\n", mirror.display());
    fs::write(house.config(), config).unwrap();
    house
}

fn status(house: &House) -> Value {
    let output = house.denwaban(&["keys", "status", "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn check_warns_where_no_mirror_is_and_names_one_that_is() {
    let house = House::init(&["--profile", "announce"]);
    let checked = house.denwaban(&["check"]);
    assert!(
        text(&checked).contains("no mirror of the keys"),
        "{}",
        text(&checked)
    );
    let house = mirrored();
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    let checked = house.denwaban(&["check"]);
    assert!(
        text(&checked).contains("鍵の写し / mirror"),
        "{}",
        text(&checked)
    );
    assert!(checked.status.success());
}

#[test]
fn the_status_shows_generation_mirrors_and_groups_and_a_rotation_counts_on() {
    let house = mirrored();
    assert_eq!(status(&house)["mirrors"][0]["state"], "behind");
    let rotated = house.denwaban(&["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", text(&rotated));
    let shown = status(&house);
    assert_eq!(
        (&shown["provider"], &shown["generation"]),
        (&"folder".into(), &2.into())
    );
    assert_eq!(shown["mirrors"][0]["state"], "current");
    assert!(shown["created_at"].as_str().unwrap().ends_with("+09:00"));
    let groups = shown["groups"].as_array().unwrap();
    let days = groups.iter().filter(|group| group["kind"] == "day");
    assert_eq!(days.count(), 8);
    assert!(
        groups
            .iter()
            .all(|group| group["generation"] == 1 && group["recordings"] == 0)
    );
    let trail = fs::read_dir(house.dir().join("data/office/audit")).unwrap();
    let trail: String = trail
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(trail.contains("keys_rotated"), "{trail}");
}

#[test]
fn a_lost_root_is_recovered_from_the_mirror_and_not_while_it_is_there() {
    let house = mirrored();
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    let mirror = house.dir().join("mirror");
    let recover = ["keys", "recover", "--from", mirror.to_str().unwrap()];
    let refused = house.denwaban(&recover);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    for file in fs::read_dir(house.dir().join("root")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let lost = house.denwaban(&["keys", "rotate"]);
    assert_eq!(lost.status.code(), Some(4), "{}", text(&lost));
    assert!(text(&lost).contains("keys recover"), "{}", text(&lost));

    let recovered = house.denwaban(&recover);
    assert!(recovered.status.success(), "{}", text(&recovered));
    assert_eq!(status(&house)["generation"], 2);
    assert!(house.denwaban(&["check"]).status.success());
}

#[test]
fn a_mirror_that_is_away_is_named() {
    let house = mirrored();
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    fs::remove_dir_all(house.dir().join("mirror")).unwrap();
    let rotated = house.denwaban(&["keys", "rotate"]);
    assert_eq!(rotated.status.code(), Some(4), "{}", text(&rotated));
    let mirror = house.dir().join("mirror");
    let named = format!("incomplete: {}", mirror.display());
    assert!(text(&rotated).contains(&named), "{}", text(&rotated));
    assert!(!mirror.exists());
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    assert_eq!(status(&house)["mirrors"][0]["state"], "current");
}

#[test]
fn a_mirror_that_was_struck_is_named_until_it_is_ended_by_a_decision() {
    let house = House::init(&["--profile", "announce"]);
    let unmirrored = fs::read_to_string(house.config()).unwrap();
    let mirror = house.dir().join("mirror");
    let name = mirror.to_str().unwrap();
    let mirrored = format!("{unmirrored}\n[keys]\nmirrors = [\"{name}\"]\n");
    fs::write(house.config(), &mirrored).unwrap();
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    let end = [
        "keys",
        "mirror",
        "--ended",
        name,
        "--decision",
        "機器の廃止決裁",
    ];

    let refused = house.denwaban(&end);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("strike it"), "{}", text(&refused));
    fs::write(house.config(), &unmirrored).unwrap();
    assert_eq!(status(&house)["mirrors"][0]["state"], "behind");
    let rotated = house.denwaban(&["keys", "rotate"]);
    assert_eq!(rotated.status.code(), Some(4), "{}", text(&rotated));
    let named = format!("incomplete: {name}");
    assert!(text(&rotated).contains(&named), "{}", text(&rotated));
    assert!(text(&house.denwaban(&["check"])).contains("keys mirror --ended"));

    let undecided = house.denwaban(&end[..4]);
    assert_eq!(undecided.status.code(), Some(3), "{}", text(&undecided));
    assert!(text(&undecided).contains("DECISION_REQUIRED"));
    let ended = house.denwaban(&end);
    assert!(ended.status.success(), "{}", text(&ended));
    assert_eq!(status(&house)["mirrors"], Value::Array(Vec::new()));
    let checked = house.denwaban(&["check"]);
    assert!(text(&checked).contains("mirror ended by decision"));
    assert!(house.denwaban(&["keys", "rotate"]).status.success());
    let trail = house.denwaban(&["audit", "list", "--json"]);
    let trail = text(&trail);
    assert!(trail.contains("\"fact\":\"mirror_ended\""), "{trail}");
    assert!(trail.contains("\"code\":\"DECISION_REQUIRED\""), "{trail}");
    assert!(!trail.contains("機器の廃止決裁"));
}

#[test]
fn what_is_in_memory_lies_in_no_core_file() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    let limits = fs::read_to_string(format!("/proc/{}/limits", house.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
    house.terminate();
}

#[test]
fn a_mirror_beside_what_it_mirrors_is_refused() {
    let house = House::init(&["--profile", "announce"]);
    let config = fs::read_to_string(house.config()).unwrap();
    for wrong in ["data/mirror", "root", "."] {
        fs::write(
            house.config(),
            format!("{config}\n[keys]\nmirrors = [\"{wrong}\"]\n"),
        )
        .unwrap();
        let refused = house.denwaban(&["check"]);
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{wrong}: {}",
            text(&refused)
        );
    }
}

/// Root and keys as they were before a rotation, put back beside a mirror that followed it.
fn put_back(house: &House) {
    for folder in ["root", "data/keys"] {
        copy(
            &house.dir().join(folder),
            &house.dir().join("old").join(folder),
        );
    }
    let rotated = house.denwaban(&["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", text(&rotated));
    for folder in ["root", "data/keys"] {
        fs::remove_dir_all(house.dir().join(folder)).unwrap();
        copy(
            &house.dir().join("old").join(folder),
            &house.dir().join(folder),
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copied = Command::new("cp")
        .args(["-a", "--"])
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn beside_a_newer_mirror_no_key_is_touched_calls_go_on_and_the_mirror_is_taken_in() {
    let mut house = mirrored();
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    put_back(&house);
    let store = house.dir().join("mirror/store");
    let newer = fs::read(&store).unwrap();

    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(4), "{}", text(&checked));
    let mirror = house.dir().join("mirror");
    let advice = format!("keys recover --from {}", mirror.display());
    assert!(text(&checked).contains(&advice), "{}", text(&checked));
    assert!(
        !text(&checked).contains("run keys mirror"),
        "{}",
        text(&checked)
    );
    for command in [["keys", "rotate"], ["keys", "mirror"], ["dispose", "--due"]] {
        let refused = house.denwaban(&command);
        assert_eq!(
            refused.status.code(),
            Some(4),
            "{command:?}: {}",
            text(&refused)
        );
    }
    house.run();
    house.terminate();
    assert!(house.log().contains("KEY_UNAVAILABLE"), "{}", house.log());
    assert!(house.log().contains(&advice), "{}", house.log());
    assert_eq!(fs::read(&store).unwrap(), newer);

    let recovered = house.denwaban(&["keys", "recover", "--from", mirror.to_str().unwrap()]);
    assert!(recovered.status.success(), "{}", text(&recovered));
    assert_eq!(status(&house)["mirrors"][0]["state"], "current");
    assert!(house.denwaban(&["check"]).status.success());
}

/// The mirror's volume is away, or there is none: the trail alone tells.
#[test]
fn keys_older_than_the_trail_tells_are_left_alone_until_a_person_gives_up_what_came_since() {
    let mut house = House::init(&["--profile", "announce"]);
    put_back(&house);
    let store = house.dir().join("data/keys/store");
    let old = fs::read(&store).unwrap();
    for command in [
        ["check"].as_slice(),
        &["keys", "mirror"],
        &["dispose", "--due"],
    ] {
        let refused = house.denwaban(command);
        let told = text(&refused);
        assert_eq!(refused.status.code(), Some(4), "{command:?}: {told}");
    }
    let checked = text(&house.denwaban(&["check"]));
    assert!(
        checked.contains("the audit trail tells of generation 2"),
        "{checked}"
    );
    house.run();
    house.terminate();
    assert!(house.log().contains("KEY_UNAVAILABLE"), "{}", house.log());
    assert_eq!(fs::read(&store).unwrap(), old);

    let rotated = house.denwaban(&["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", text(&rotated));
    assert_eq!(status(&house)["generation"], 3);
    assert!(house.denwaban(&["check"]).status.success());
}

#[test]
fn a_file_of_keys_that_others_can_read_is_a_fault() {
    let house = House::init(&["--profile", "announce"]);
    let root = house.dir().join("root/0001.root");
    for file in [root, house.dir().join("data/keys/store")] {
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o640);
        let checked = house.denwaban(&["check"]);
        assert_eq!(checked.status.code(), Some(2), "{}", text(&checked));
        let remedy = format!("chmod 600 {}", file.display());
        assert!(text(&checked).contains(&remedy), "{}", text(&checked));
        mode(0o600);
    }
    assert!(house.denwaban(&["check"]).status.success());
}

/// What is there and opens nothing is no key.
#[test]
fn check_opens_what_it_calls_good() {
    let house = mirrored();
    assert!(house.denwaban(&["keys", "mirror"]).status.success());
    let (store, root) = (
        house.dir().join("data/keys/store"),
        house.dir().join("root/0001.root"),
    );
    let flipped = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        bytes
    };
    let wrapped = text_of(&store).find("\"wrapped\": \"").unwrap() + 14;
    let damages = [
        ("no JSON", &store, b"{".to_vec()),
        ("a wrapped byte", &store, flipped(&store, wrapped)),
        ("a byte of the root", &root, flipped(&root, 20)),
    ];
    for (what, path, damaged) in damages {
        let whole = fs::read(path).unwrap();
        fs::write(path, damaged).unwrap();
        expect_no_good_keys(&house, what);
        fs::write(path, whole).unwrap();
        assert!(house.denwaban(&["check"]).status.success(), "{what}");
    }
    let old = fs::read(&store).unwrap();
    assert!(house.denwaban(&["keys", "rotate"]).status.success());
    fs::write(&store, old).unwrap();
    expect_no_good_keys(&house, "a key store of before a rotation");
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn expect_no_good_keys(house: &House, what: &str) {
    let checked = house.denwaban(&["check"]);
    let told = text(&checked);
    assert_eq!(checked.status.code(), Some(4), "{what}: {told}");
    assert!(told.contains("keys recover"), "{what}: {told}");
    assert!(!told.contains("良 ok    鍵束"), "{what}: {told}");
    assert!(!told.contains("良 ok    鍵の根"), "{what}: {told}");
}
