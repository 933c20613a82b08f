//! Packages through the real program: what opens them, how long, and what the trail and the lists say of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    ops::Range,
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use common::{
    hand_over::{City, field, open_request, request_under, unzip, verify},
    recorded, text, wait_for,
};
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

/// How an asker ends that took every byte and whose file stays.
#[derive(Clone, Copy)]
enum Ending {
    /// It dies before it says anything.
    Dies,
    /// It says that nothing could be written.
    Lies,
}

fn proof_of(city: &City, person: &str) -> Value {
    let password = city.house.dir().join(format!("{person}.password"));
    let password = fs::read_to_string(password).unwrap();
    let proof = json!({"person": person, "password": password.trim(), "code": null});
    json!({ "password": proof })
}

/// Asks for a file as the command does, writes all of it, and never says that it is written.
fn take(city: &City, request: &Value, file: &str, ending: Ending) {
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
    if matches!(ending, Ending::Lies) {
        writeln!(office.get_mut(), "\"write_failed\"").unwrap();
        let left = office.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(left, 0, "the office has nothing to say to it");
    }
}

fn export(city: &City, file: &str, ending: Ending) {
    let request = json!({"export": {
        "recording": city.recording,
        "purpose": "STAFF_CHECK",
        "case": null,
        "place": file,
        "proof": proof_of(city, "hanako"),
    }});
    take(city, &request, file, ending);
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
fn a_whole_file_whose_asker_never_said_so_is_removed_and_another_in_its_place_stays() {
    let mut city = City::new();
    let file = |name| city.path(name);
    let [own, changed, denied] = ["own.wav", "changed.wav", "denied.wav"].map(file);
    city.house.run();
    export(&city, &own, Ending::Dies);
    export(&city, &changed, Ending::Dies);
    export(&city, &denied, Ending::Lies);
    // A file that never became whole was sent all the same.
    let heard = ["recordings", "heard", &city.recording, "--json"];
    wait_for("what was sent of each", || {
        let heard = city.done("kacho", &heard).stdout;
        let heard = String::from_utf8(heard).unwrap();
        let hearing = |line| serde_json::from_str::<Value>(line).unwrap();
        let sent = heard.lines().map(hearing);
        let sent = sent.filter(|hearing| hearing["to_ms"].as_u64() > Some(0));
        (sent.count() == 3).then_some(())
    });
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

    let stays = [&own, &changed, &denied].map(|file| Path::new(file).exists());
    assert_eq!(stays, [false, true, false]);
    let listed = copies(&in_40_minutes(&["copies", "list", "--json"]));
    let expected = [
        (own, "destroyed"),
        (changed, "outstanding"),
        (denied, "destroyed"),
    ];
    assert_eq!(
        listed,
        expected.map(|(place, state)| (place, state.to_owned()))
    );
}

#[test]
fn a_package_that_left_stays_outstanding_whatever_its_asker_says() {
    let mut city = City::new();
    let id = city.approved();
    city.house.run();
    let (file, proof) = (city.path("denied.zip"), proof_of(&city, "taro"));
    let wish = json!({"hand_over": id, "form": "zip", "place": file, "proof": proof});
    take(&city, &json!({ "package": wish }), &file, Ending::Lies);

    let listed = city.done("hanako", &["copies", "list", "--json"]);
    let copy: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(copy["state"], "outstanding", "{copy}");
}

/// The frames of a WAV file of two channels of 16 bits: the citizen's sample and the city's.
fn frames(file: &Path) -> Vec<[i16; 2]> {
    let bytes = fs::read(file).unwrap();
    let data = bytes.windows(4).position(|name| name == b"data").unwrap() + 8;
    let sample = |bytes: &[u8]| i16::from_le_bytes([bytes[0], bytes[1]]);
    let frame = |frame: &[u8]| [sample(&frame[..2]), sample(&frame[2..])];
    bytes[data..].chunks_exact(4).map(frame).collect()
}

/// The loudest of the citizen's samples inside the stretch, as `ffmpeg` hears it.
fn loudest(file: &Path) -> String {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-ss", "0.12", "-t", "0.1", "-i"]);
    ffmpeg.arg(file).arg("-af");
    ffmpeg.arg("pan=mono|c0=c0,volumedetect");
    let heard = ffmpeg.args(["-f", "null", "-"]).output().unwrap();
    let told = text(&heard);
    let line = told.lines().find(|line| line.contains("max_volume"));
    line.unwrap_or_else(|| panic!("{told}"))
        .rsplit(": ")
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn a_third_party_is_silent_in_the_package_and_the_recording_stays_as_it_is() {
    const MASKED: Range<usize> = 800..2_000;
    let city = City::new();
    let request = open_request(&city);
    let approve = ["requests", "decide", &request, "--approve", "--reason"];
    city.done("kacho", &[&approve[..], &["開示の決定"]].concat());
    let to = ["--receiver", "請求者"];
    let id = field(&request_under(&city, &request, "STATUTE", &to), "id");
    let decide = |mask: &str| {
        let decide = [
            "handover",
            "decide",
            &id,
            "--approve",
            "--reason",
            "第三者を含む",
        ];
        city.house
            .by("kacho", &[&decide[..], &["--mask", mask]].concat())
    };
    let elsewhere = decide(&format!("{}:citizen:0.1-0.25", "0".repeat(26)));
    assert_eq!(elsewhere.status.code(), Some(1), "{}", text(&elsewhere));
    let beyond = decide(&format!("{}:citizen:100-250", city.recording));
    assert_eq!(beyond.status.code(), Some(1), "{}", text(&beyond));
    assert!(text(&beyond).contains("s long"), "{}", text(&beyond));
    let decided = decide(&format!("{}:citizen:0.1-0.25", city.recording));
    assert!(decided.status.success(), "{}", text(&decided));
    // Whoever may not decide it learns from no mask how long it is.
    let late = ["handover", "decide", &id, "--approve", "--reason", "再度"];
    let mask = ["--mask", &format!("{}:citizen:100-250", city.recording)];
    let late = city.code("kacho", &[&late[..], &mask].concat());
    assert_eq!(late, "OUT_OF_ORDER");
    let package = city.path("masked.zip");
    city.done(
        "taro",
        &["handover", "package", &id, "--out", &package, "--zip"],
    );
    let show = ["handover", "passphrase", &id, "--json"];
    let passphrase = field(&city.done("hanako", &show), "passphrase");
    let inside = city.house.dir().join("inside");
    unzip(&package, &passphrase, &inside);

    let manifest = inside.join("manifest.txt");
    let genuine = verify(&manifest, &city.public_key());
    assert!(text(&genuine).contains("files=1"), "{}", text(&genuine));
    let note = fs::read_to_string(&manifest).unwrap();
    assert!(note.contains("decided-by kacho\n") && note.contains(" citizen:0.100-0.250\n"));
    assert!(
        !note.contains("783331000"),
        "no number is in the package: {note}"
    );
    let original = city.path("original.wav");
    let export = [
        "recordings",
        "export",
        &city.recording,
        "--purpose",
        "STAFF_CHECK",
    ];
    city.done("hanako", &[&export[..], &["--out", &original]].concat());
    let masked = inside.join("0001.wav");
    let (heard, whole) = (frames(&masked), frames(Path::new(&original)));
    assert_eq!(heard.len(), whole.len());
    assert!(whole[MASKED].iter().any(|[citizen, _]| *citizen != 0));
    for (place, (heard, whole)) in heard.into_iter().zip(whole).enumerate() {
        let expected = match MASKED.contains(&place) {
            true => [0, whole[1]],
            false => whole,
        };
        assert_eq!(heard, expected, "{place}");
    }
    assert_eq!(loudest(&masked), "-91.0 dB");
    assert_ne!(loudest(Path::new(&original)), "-91.0 dB");
}

/// Samples that one mask silences: on the citizen's side, on the city's.
const MASKED: [&[Range<usize>]; 2] = [
    &[8_000..17_000, 24_000..28_000, 136_000..140_000],
    &[
        24_000..28_000,
        56_000..62_400,
        72_008..74_000,
        136_000..140_000,
    ],
];
/// The same as whoever decides names it: one side and both in each segment (the border lies at 7.3 s), and one over the border.
const STRETCHES: [&str; 7] = [
    "citizen:1.000-2.125",
    "citizen:3.000-3.500",
    "citizen:17.000-17.500",
    "city:3.000-3.500",
    "city:7.000-7.800",
    "city:9.001-9.250",
    "city:17.000-17.500",
];

#[test]
fn masks_of_each_segment_and_over_their_border_silence_just_what_they_name() {
    let mut city = City::new();
    city.recording = recorded::lay_down(&city.house);
    let request = open_request(&city);
    let approve = ["requests", "decide", &request, "--approve", "--reason"];
    city.done("kacho", &[&approve[..], &["開示の決定"]].concat());
    let to = ["--receiver", "請求者"];
    let id = field(&request_under(&city, &request, "STATUTE", &to), "id");
    let masks = STRETCHES.map(|stretch| format!("{}:{stretch}", city.recording));
    let masks = masks.iter().flat_map(|mask| ["--mask", mask]);
    let decide = ["handover", "decide", &id, "--approve", "--reason", "第三者"];
    let decide: Vec<&str> = decide.into_iter().chain(masks).collect();
    city.done("kacho", &decide);
    let package = city.path("masked.zip");
    let out = ["--out", &package, "--zip"];
    city.done("taro", &[&["handover", "package", &id], &out[..]].concat());
    let show = ["handover", "passphrase", &id, "--json"];
    let passphrase = field(&city.done("hanako", &show), "passphrase");
    let inside = city.house.dir().join("inside");

    unzip(&package, &passphrase, &inside);

    let manifest = inside.join("manifest.txt");
    let genuine = verify(&manifest, &city.public_key());
    assert!(genuine.status.success(), "{}", text(&genuine));
    let manifest = fs::read_to_string(manifest).unwrap();
    let item = manifest.lines().find(|line| line.starts_with("0001.wav "));
    let named: Vec<&str> = item.unwrap().split(' ').skip(4).collect();
    assert_eq!(named, STRETCHES);
    let heard = frames(&inside.join("0001.wav"));
    let whole = recorded::expected(city.house.dir());
    assert_eq!((heard.len(), whole.len()), (155_200, 155_200));
    for (place, (heard, whole)) in heard.into_iter().zip(whole).enumerate() {
        assert!(!whole.contains(&0), "{place}");
        let expected = [0, 1].map(|side| {
            let is_masked = MASKED[side].iter().any(|masked| masked.contains(&place));
            if is_masked { 0 } else { whole[side] }
        });
        assert_eq!(heard, expected, "{place}");
    }
}
