//! Hand-overs through the real program: two people and a contractor, a package that other programs open, and each refusal with its clause.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use common::{
    House,
    hand_over::{
        City, code, day, field, key_pair, open_request, receipt_code, request_under, unpack, unzip,
        verify,
    },
    text,
};
use serde_json::{Value, json};

#[test]
fn a_hand_over_goes_from_the_request_to_the_certificate() {
    let city = City::new();
    let id = city.approved();
    let package = city.path("package.age");
    city.done("taro", &["handover", "package", &id, "--out", &package]);
    let bytes = fs::read(&package).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    for marker in [&b"RIFF"[..], b"denwaban", b"manifest"] {
        assert!(!bytes.windows(marker.len()).any(|window| window == marker));
    }

    let inside = city.house.dir().join("inside");
    unpack(&package, &city.private, &inside);
    let mut names: Vec<_> = fs::read_dir(&inside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["0001.wav", "manifest.txt", "receipt.txt"]);
    assert!(
        fs::read(inside.join("0001.wav"))
            .unwrap()
            .starts_with(b"RIFF")
    );
    let (manifest, key) = (inside.join("manifest.txt"), city.public_key());
    let genuine = verify(&manifest, &key);
    assert!(genuine.status.success(), "{}", text(&genuine));
    assert!(text(&genuine).contains("files=1 見当たらない/missing=0"));
    let note = fs::read_to_string(&manifest).unwrap();
    assert!(note.contains("purpose ANALYSIS_INQUIRY\nunder contract r8-1\n"));
    assert!(note.contains("requested-by hanako\ndecided-by kacho\n"));

    city.done(
        "taro",
        &["handover", "give", &id, "--receiver", "分析 太郎"],
    );
    let wrong = ["handover", "receive", &id, "--code", "aaaaa-aaaaa-aaaaa"];
    assert_eq!(city.code("taro", &wrong), "RECEIPT_CODE_WRONG");
    let told = receipt_code(&inside).to_uppercase();
    city.done("taro", &["handover", "receive", &id, "--code", &told]);
    assert_eq!(
        city.code("kacho", &["handover", "close", &id]),
        "CERTIFICATE_REQUIRED"
    );
    let certificate = city.path("certificate");
    fs::write(&certificate, "すべて廃棄しました").unwrap();
    city.done(
        "hanako",
        &["handover", "destroyed", &id, "--certificate", &certificate],
    );
    city.done("kacho", &["handover", "close", &id]);

    let listed = city.done("kacho", &["handover", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["state"], "CLOSED");
    assert_eq!(listed["receiver"], "分析 太郎");
    assert_eq!(listed["reason"], "分析のため");
    assert_eq!(listed["number"], 1);
    let to_assistant = city.done("hanako", &["handover", "list", "--json"]);
    let to_assistant: Value = serde_json::from_slice(&to_assistant.stdout).unwrap();
    assert_eq!(to_assistant["reason"], Value::Null);
    let csv = city.path("register.csv");
    city.done("kacho", &["handover", "register", "--csv", &csv]);
    let csv = fs::read_to_string(csv).unwrap();
    for cell in [
        &id,
        "r8-1",
        "分析 太郎",
        "USB-12",
        "ANALYSIS_INQUIRY",
        &city.recording,
        "分析のため",
        "完了 closed",
    ] {
        assert!(csv.contains(cell), "{cell}: {csv}");
    }
    let copies = city.done("kacho", &["copies", "list", "--json"]);
    let copy: Value = serde_json::from_slice(&copies.stdout).unwrap();
    assert_eq!(
        (&copy["state"], &copy["holder"]),
        (&"destroyed".into(), &"bunseki".into())
    );
    let catalogue = fs::read(city.house.dir().join("data/office/catalogue.db")).unwrap();
    let name = "太郎".as_bytes();
    assert!(!catalogue.windows(name.len()).any(|window| window == name));
}

#[test]
fn a_zip_opens_in_7z_with_a_passphrase_that_is_shown_once_to_somebody_else() {
    let city = City::new();
    let id = city.approved();
    let package = city.path("package.zip");
    city.done(
        "taro",
        &["handover", "package", &id, "--out", &package, "--zip"],
    );
    let show = ["handover", "passphrase", id.as_str()];
    assert_eq!(city.code("taro", &show), "SELF_APPROVAL");
    let shown = city.done("hanako", &[&show[..], &["--json"]].concat());
    let passphrase = field(&shown, "passphrase");
    assert_eq!(city.code("kacho", &show), "OUT_OF_ORDER");
    let listed = city.done("kacho", &["handover", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["passphrase_shown"]["by"], "hanako");
    let inside = city.house.dir().join("inside");
    unzip(&package, &passphrase, &inside);
    let genuine = verify(&inside.join("manifest.txt"), &city.public_key());
    assert!(genuine.status.success(), "{}", text(&genuine));
}

#[test]
fn an_approved_request_is_answered_by_a_package_of_its_recordings_and_nothing_else_is() {
    let city = City::new();
    let request = open_request(&city);
    let to = ["--receiver", "試験警察署 刑事課"];
    let ask = |purpose| request_under(&city, &request, purpose, &to);
    assert_eq!(code(&ask("STATUTE")), "DECISION_REQUIRED");
    let approve = ["requests", "decide", &request, "--approve", "--reason"];
    city.done("kacho", &[&approve[..], &["照会書を確認した"]].concat());
    assert_eq!(code(&ask("SUBJECT_RIGHTS")), "DECISION_REQUIRED");
    assert_eq!(code(&ask("ANALYSIS_INQUIRY")), "PURPOSE_NOT_PERMITTED");
    let nameless = request_under(&city, &request, "STATUTE", &["--receiver", " "]);
    assert_eq!(code(&nameless), "PARTICULARS_REQUIRED");
    let id = field(&ask("STATUTE"), "id");
    city.decide("kacho", &id);
    let package = city.path("request.zip");
    let pack = ["handover", "package", &id, "--out", &package];
    assert_eq!(city.code("taro", &pack), "PLAIN_EXPORT_FORBIDDEN");
    assert!(!Path::new(&package).exists());
    city.done("taro", &[&pack[..], &["--zip"]].concat());
    let show = ["handover", "passphrase", &id, "--json"];
    let passphrase = field(&city.done("hanako", &show), "passphrase");
    let inside = city.house.dir().join("inside");
    unzip(&package, &passphrase, &inside);
    let manifest = inside.join("manifest.txt");
    let genuine = verify(&manifest, &city.public_key());
    assert!(text(&genuine).contains("files=1"), "{}", text(&genuine));
    let note = fs::read_to_string(&manifest).unwrap();
    assert!(note.contains(&format!("purpose STATUTE\nunder request {request}\n")));

    city.done("taro", &["handover", "give", &id, "--receiver", "警部補"]);
    let listed = city.done("kacho", &["handover", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["request"], request.as_str());
    assert_eq!(listed["addressee"], "試験警察署 刑事課");
    assert_eq!(listed["receiver"], "警部補");
    assert_eq!(listed["medium"], "USB-12");
    let csv = city.path("register.csv");
    city.done("kacho", &["handover", "register", "--csv", &csv]);
    let csv = fs::read_to_string(csv).unwrap();
    for cell in [&request, "試験警察署 刑事課", "警部補", "USB-12"] {
        assert!(csv.contains(cell), "{cell}: {csv}");
    }
    let people = text(&city.done("kacho", &["people", "list", "--json"]));
    assert!(
        people.contains(r#""trained_in":"個人情報保護""#),
        "{people}"
    );
    for words in ["刑事課", "警部補", "USB-12", "個人情報保護"] {
        assert_eq!(files_with(&city.house.dir().join("data"), words), 0);
    }
}

/// In how many files of a folder this stands in clear.
fn files_with(folder: &Path, words: &str) -> usize {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return files_with(&path, words);
        }
        let bytes = fs::read(path).unwrap_or_default();
        let mut windows = bytes.windows(words.len());
        usize::from(windows.any(|window| window == words.as_bytes()))
    });
    files.sum()
}

#[test]
fn a_training_that_is_recorded_again_in_the_same_words_is_one() {
    let house = House::init(&["--profile", "announce"]);
    house.found();
    house.enlist("hanako", "assistant");
    let train = |course: &str, on: &str| {
        let train = ["people", "train", "hanako", "--course", course, "--on", on];
        let answer = house.by("kacho", &[&train[..], &["--json"]].concat());
        field(&answer, "state")
    };
    assert_eq!(train("接遇", &day(0)), "done");
    assert_eq!(train("接遇", &day(0)), "already_so");
    assert_eq!(train("個人情報", &day(0)), "done");
    assert_eq!(train("個人情報", &day(-1)), "done");
}

#[test]
fn a_request_that_names_a_key_is_answered_to_that_key() {
    let city = City::new();
    let request = open_request(&city);
    let approve = ["requests", "decide", &request, "--approve", "--reason"];
    city.done("kacho", &[&approve[..], &["照会書を確認した"]].concat());
    let private = city.house.dir().join("police.key");
    let recipient = key_pair(&private);
    let to = ["--receiver", "試験警察署", "--recipient", &recipient];
    let id = field(&request_under(&city, &request, "STATUTE", &to), "id");
    city.decide("kacho", &id);
    let package = city.path("request.age");
    city.done("taro", &["handover", "package", &id, "--out", &package]);
    let inside = city.house.dir().join("inside");
    unpack(&package, &private, &inside);
    let genuine = verify(&inside.join("manifest.txt"), &city.public_key());
    assert!(genuine.status.success(), "{}", text(&genuine));
}

#[test]
fn nobody_decides_alone_and_nothing_is_packaged_before_its_decision() {
    let city = City::new();
    assert_eq!(code(&city.request("bunseki", &[])), "PURPOSE_REQUIRED");
    let purpose = |purpose| ["--purpose", purpose];
    assert_eq!(
        code(&city.request("bunseki", &purpose("MARKETING"))),
        "PURPOSE_NOT_PERMITTED"
    );
    assert_eq!(
        code(&city.request("bunseki", &purpose("ANALYSIS_COMPLAINT"))),
        "OUT_OF_SCOPE"
    );
    assert_eq!(
        code(&city.request("betsu", &purpose("ANALYSIS_INQUIRY"))),
        "WRONG_RECIPIENT"
    );
    let ask = || field(&city.request("bunseki", &purpose("ANALYSIS_INQUIRY")), "id");
    let id = ask();
    assert_eq!(ask(), id, "whoever got no answer asks for one hand-over");
    let package = city.path("package.age");
    let pack = ["handover", "package", &id, "--out", &package];
    assert_eq!(city.code("taro", &pack), "DECISION_REQUIRED");
    assert!(!Path::new(&package).exists());
    assert_eq!(code(&city.decide("hanako", &id)), "ROLE_NOT_PERMITTED");
    let today = day(0);
    let deputise = ["--from", &today, "--until", &today, "--basis", "出張"];
    city.done(
        "kacho",
        &[&["people", "deputise", "hanako"], &deputise[..]].concat(),
    );
    assert_eq!(code(&city.decide("hanako", &id)), "SELF_APPROVAL");
    let people = |by: &str| text(&city.done(by, &["people", "list", "--json"]));
    assert!(people("kacho").contains("\"deputy_basis\":\"出張\""));
    assert!(!people("kanri").contains("出張"));
    let trail = fs::read_dir(city.house.dir().join("data/office/audit")).unwrap();
    let trail: String = trail
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    for refused in [
        "PURPOSE_REQUIRED",
        "WRONG_RECIPIENT",
        "DECISION_REQUIRED",
        "SELF_APPROVAL",
    ] {
        assert!(
            trail.contains(&format!("\"code\":\"{refused}\"")),
            "{refused}"
        );
    }
}

#[test]
fn a_forged_manifest_and_an_exchanged_file_prove_nothing() {
    let city = City::new();
    let id = city.approved();
    let package = city.path("package.age");
    city.done("taro", &["handover", "package", &id, "--out", &package]);
    let inside = city.house.dir().join("inside");
    unpack(&package, &city.private, &inside);
    let (manifest, key) = (inside.join("manifest.txt"), city.public_key());
    let genuine = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, genuine.replace("ANALYSIS_INQUIRY", "STATUTE")).unwrap();
    assert_eq!(verify(&manifest, &key).status.code(), Some(5));
    fs::write(&manifest, &genuine).unwrap();
    fs::write(inside.join("0001.wav"), "another voice").unwrap();
    assert_eq!(verify(&manifest, &key).status.code(), Some(5));
    fs::remove_file(inside.join("0001.wav")).unwrap();
    let alone = verify(&manifest, &key);
    assert!(text(&alone).contains("missing=1"), "{}", text(&alone));
    assert_eq!(verify(&manifest, "no key").status.code(), Some(2));
    // Nothing of it is read, and a script may write it everywhere.
    for command in ["handover", "dispose", "statement"] {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_denwaban"));
        verify.args([command, "verify", "/nowhere", "--key", &key]);
        let verified = verify.args(["--config", "/nowhere.toml"]).output().unwrap();
        let told = text(&verified);
        assert_eq!(verified.status.code(), Some(2), "{told}");
        assert!(told.contains("/nowhere cannot be read"), "{told}");
    }
}

/// The copies as hanako sees them.
fn copies(city: &City) -> Vec<Value> {
    let listed = city.done("hanako", &["copies", "list", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let copy = |line| serde_json::from_str(line).unwrap();
    listed.lines().map(copy).collect()
}

#[test]
fn whoever_certifies_a_wav_that_lies_in_its_place_has_it_removed() {
    let city = City::new();
    let certificate = city.path("certificate");
    fs::write(&certificate, "消去しました").unwrap();
    let names = ["own.wav", "second.wav", "changed.wav", "gone.wav"];
    let [own, second, changed, gone] = names.map(|name| city.path(name));
    let export = ["recordings", "export", &city.recording];
    for file in [&own, &second, &changed, &gone] {
        let to_file = ["--purpose", "STAFF_CHECK", "--out", file];
        city.done("hanako", &[&export[..], &to_file].concat());
    }
    let listed = copies(&city);
    assert_eq!(listed[0]["state"], "outstanding");
    assert_eq!(listed[0]["place"], own);
    assert_eq!(listed[0]["holder"], "hanako");
    let ids: Vec<&str> = listed
        .iter()
        .map(|copy| copy["id"].as_str().unwrap())
        .collect();
    let link = city.path("link.wav");
    fs::hard_link(&second, &link).unwrap();
    fs::write(&changed, "something else").unwrap();
    fs::remove_file(&gone).unwrap();
    let certify = |id| ["copies", "destroyed", id, "--certificate", &certificate];

    city.done("hanako", &certify(ids[0]));
    assert!(!Path::new(&own).exists());
    let again = city.done("hanako", &[&certify(ids[0])[..], &["--json"]].concat());
    assert!(text(&again).contains("already_so"), "{}", text(&again));
    assert_eq!(city.code("hanako", &certify(ids[1])), "COPY_PRESENT");
    assert!(Path::new(&second).exists());
    fs::remove_file(&link).unwrap();
    city.done("hanako", &certify(ids[1]));
    assert!(!Path::new(&second).exists());
    for id in &ids[2..] {
        city.done("hanako", &certify(id));
    }
    assert!(Path::new(&changed).exists());

    let listed = copies(&city);
    assert!(listed.iter().all(|copy| copy["state"] == "destroyed"));
}

#[test]
fn whoever_may_not_certify_a_copy_has_nothing_removed() {
    let city = City::new();
    let (file, certificate) = (city.path("own.wav"), city.path("certificate"));
    fs::write(&certificate, "消去しました").unwrap();
    let export = ["recordings", "export", &city.recording];
    let to_file = ["--purpose", "STAFF_CHECK", "--out", &file];
    city.done("hanako", &[&export[..], &to_file].concat());
    let listed = copies(&city);
    let id = listed[0]["id"].as_str().unwrap();
    let certify = ["copies", "destroyed", id, "--certificate", &certificate];
    assert_eq!(city.code("kanri", &certify), "ROLE_NOT_PERMITTED");
    assert!(Path::new(&file).exists());
}

#[test]
fn a_package_lies_where_it_was_written_until_it_is_given_and_goes_with_its_certificate() {
    let city = City::new();
    let id = city.approved();
    let package = city.path("package.zip");
    let pack = ["handover", "package", &id, "--zip", "--out"];
    city.done("taro", &[&pack[..], &[&package]].concat());
    assert_eq!(copies(&city)[0]["place"], package);
    let certificate = city.path("certificate");
    fs::write(&certificate, "すべて廃棄しました").unwrap();
    let certify = ["handover", "destroyed", &id, "--certificate", &certificate];
    let link = city.path("link.zip");
    fs::hard_link(&package, &link).unwrap();
    assert_eq!(city.code("hanako", &certify), "COPY_PRESENT");
    fs::remove_file(&link).unwrap();
    city.done("hanako", &certify);
    assert!(!Path::new(&package).exists());
    city.done("kacho", &["handover", "close", &id]);

    let id = city.approved();
    city.done("taro", &["handover", "package", &id, "--out", &package]);
    city.done(
        "taro",
        &["handover", "give", &id, "--receiver", "分析 太郎"],
    );
    assert_eq!(copies(&city)[1]["place"], "USB-12");
}

#[test]
fn a_package_that_nobody_gave_is_removed_at_its_time_and_its_hand_over_closes() {
    let city = City::new();
    let id = city.approved();
    let package = city.path("package.age");
    city.done("taro", &["handover", "package", &id, "--out", &package]);
    let due = ["dispose", "--due", "--confirm-clock", "時報で確かめた"];

    let disposed = in_31_days(&city, "kacho", &due);

    assert!(disposed.status.success(), "{}", text(&disposed));
    assert!(!Path::new(&package).exists());
    let closed = in_31_days(&city, "kacho", &["handover", "close", &id]);
    assert!(closed.status.success(), "{}", text(&closed));
    let listed = in_31_days(&city, "kacho", &["copies", "list", "--json"]);
    assert!(text(&listed).contains("\"destroyed\""), "{}", text(&listed));
}

fn in_31_days(city: &City, by: &str, arguments: &[&str]) -> Output {
    let command = city.house.command(arguments);
    let mut later = Command::new("faketime");
    later.arg("+31 days").arg(command.get_program());
    later.args(command.get_args()).args(city.house.proof(by));
    later.env("HOME", city.house.dir()).output().unwrap()
}

#[test]
fn at_its_time_a_listed_file_is_removed_and_a_changed_one_blocks_its_holder() {
    let city = City::new();
    let (whole, changed) = (city.path("whole.wav"), city.path("changed.wav"));
    let export = [
        "recordings",
        "export",
        &city.recording,
        "--purpose",
        "STAFF_CHECK",
    ];
    for file in [&whole, &changed] {
        city.done("hanako", &[&export[..], &["--out", file]].concat());
    }
    fs::write(&changed, "something else").unwrap();
    let (from, until) = (day(0), day(60));
    let designate = [
        "people",
        "designate",
        "hanako",
        "--from",
        &from,
        "--until",
        &until,
    ];
    city.done("kacho", &designate);
    let in_31_days = |by: &str, arguments: &[&str]| in_31_days(&city, by, arguments);

    let due = ["dispose", "--due", "--confirm-clock", "時報で確かめた"];
    let disposed = in_31_days("kacho", &due);

    assert!(disposed.status.success(), "{}", text(&disposed));
    assert!(!Path::new(&whole).exists(), "{}", text(&disposed));
    assert!(Path::new(&changed).exists());
    let listed = in_31_days("kacho", &["copies", "list", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let states: Vec<[Value; 2]> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|copy| ["state", "reminder"].map(|name| copy[name].clone()))
        .collect();
    let destroyed = [json!("destroyed"), Value::Null];
    assert_eq!(
        states,
        [destroyed, [json!("outstanding"), json!("overdue")]]
    );
    let third = city.path("third.wav");
    let refused = in_31_days(
        "hanako",
        &[&export[..], &["--out", &third, "--json"]].concat(),
    );
    assert_eq!(code(&refused), "COPY_OVERDUE");
}
