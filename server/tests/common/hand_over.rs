//! A city that hands recordings over: two assistants, a contractor, and other programs that open what it made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use super::{House, telephone, text};

/// A house with a recording, two assistants, an attested contractor and a contract of today.
pub(crate) struct City {
    pub house: House,
    pub recording: String,
    /// The contractor's private key.
    pub private: PathBuf,
}

impl City {
    pub(crate) fn new() -> City {
        let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
        house.found();
        house.enlist("hanako", "assistant");
        house.enlist("taro", "assistant");
        house.run();
        telephone::call(&house, "short", 3_000);
        let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
        house.terminate();
        let recording = row["id"].as_str().unwrap().to_owned();
        let private = house.dir().join("vendor.key");
        let recipient = key_pair(&private);
        let city = City {
            house,
            recording,
            private,
        };
        city.contract(&recipient);
        city
    }

    pub(crate) fn contract(&self, recipient: &str) {
        let until = day(60);
        self.house.contract(recipient, &until);
        for arguments in [
            &["vendors", "add", "betsu", "--recipient", recipient][..],
            &[
                "vendors",
                "attest",
                "betsu",
                "--kind",
                "security-policy",
                "--until",
                &until,
            ],
        ] {
            self.done("kacho", arguments);
        }
    }

    pub(crate) fn request(&self, vendor: &str, more: &[&str]) -> Output {
        let wish = [
            "handover",
            "request",
            "--to",
            vendor,
            "--contract",
            "r8-1",
            "--medium",
            "USB-12",
            "--recording",
            &self.recording,
            "--recording",
            &self.recording,
            "--json",
        ];
        self.house.by("hanako", &[&wish[..], more].concat())
    }

    /// A hand-over that was asked for and approved.
    pub(crate) fn approved(&self) -> String {
        let asked = self.request("bunseki", &["--purpose", "ANALYSIS_INQUIRY"]);
        let id = field(&asked, "id");
        self.decide("kacho", &id);
        id
    }

    pub(crate) fn decide(&self, by: &str, id: &str) -> Output {
        let decide = [
            "handover",
            "decide",
            id,
            "--approve",
            "--reason",
            "分析のため",
            "--json",
        ];
        self.house.by(by, &decide)
    }

    pub(crate) fn done(&self, by: &str, arguments: &[&str]) -> Output {
        let output = self.house.by(by, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        output
    }

    pub(crate) fn code(&self, by: &str, arguments: &[&str]) -> String {
        code(&self.house.by(by, &[arguments, &["--json"]].concat()))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.house.dir().join(name).display().to_string()
    }

    pub(crate) fn public_key(&self) -> String {
        let note = self.house.dir().join("signing/history/0001.note");
        let note = fs::read_to_string(note).unwrap();
        note.lines().nth(2).unwrap().to_owned()
    }
}

pub(crate) fn day(from_today: i32) -> String {
    let today = rules::JstDay::of(jiff::Timestamp::now()).date();
    let day = today
        .checked_add(jiff::Span::new().days(from_today))
        .unwrap();
    day.to_string()
}

/// A key pair of Debian's `age-keygen`.
pub(crate) fn key_pair(private: &Path) -> String {
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(private)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let shown = Command::new("age-keygen")
        .arg("-y")
        .arg(private)
        .output()
        .unwrap();
    String::from_utf8(shown.stdout).unwrap().trim().to_owned()
}

pub(crate) fn field(output: &Output, name: &str) -> String {
    assert!(output.status.success(), "{}", text(output));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    object[name].as_str().unwrap().to_owned()
}

/// The code of a refusal, which names its clause in both languages.
pub(crate) fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    let clause = refusal["clause"].as_str().unwrap();
    assert!(refusal["ja"].as_str().unwrap().starts_with(clause));
    assert!(refusal["en"].as_str().unwrap().starts_with("by "));
    refusal["code"].as_str().unwrap().to_owned()
}

/// Opens a package with `age` and `tar`.
pub(crate) fn unpack(package: &str, private: &Path, into: &Path) {
    fs::create_dir(into).unwrap();
    let archive = into.join("package.tar");
    let mut age = Command::new("age");
    age.args(["-d", "-i"])
        .arg(private)
        .arg("-o")
        .arg(&archive)
        .arg(package);
    let opened = age.output().unwrap();
    assert!(opened.status.success(), "{}", text(&opened));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(into).arg("-xf").arg(&archive);
    assert!(tar.status().unwrap().success());
    fs::remove_file(archive).unwrap();
}

/// Opens a package with `7zz`.
pub(crate) fn unzip(package: &str, passphrase: &str, into: &Path) {
    let mut extract = Command::new("7zz");
    extract.args(["x", "-y"]).arg(format!("-p{passphrase}"));
    extract.arg(format!("-o{}", into.display())).arg(package);
    let opened = extract.output().unwrap();
    assert!(opened.status.success(), "{}", text(&opened));
}

pub(crate) fn verify(manifest: &Path, key: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_denwaban"))
        .args([
            "handover",
            "verify",
            manifest.to_str().unwrap(),
            "--key",
            key,
        ])
        .output()
        .unwrap()
}

pub(crate) fn receipt_code(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("receipt.txt")).unwrap();
    text.trim().rsplit(' ').next().unwrap().to_owned()
}

/// Asks for a hand-over under a request.
pub(crate) fn request_under(city: &City, request: &str, purpose: &str, more: &[&str]) -> Output {
    let wish = [
        "handover",
        "request",
        "--request",
        request,
        "--purpose",
        purpose,
        "--medium",
        "USB-12",
        "--recording",
        &city.recording,
        "--json",
    ];
    city.house.by("hanako", &[&wish[..], more].concat())
}

/// A request by statute about the recording.
pub(crate) fn open_request(city: &City) -> String {
    let open = [
        "requests",
        "open",
        "--kind",
        "statute",
        "--basis",
        "刑事訴訟法第197条第2項",
        "--requester",
        "試験警察署",
        "--document",
        "試発第1号",
        "--recording",
        &city.recording,
        "--json",
    ];
    field(&city.house.by("hanako", &open), "id")
}
