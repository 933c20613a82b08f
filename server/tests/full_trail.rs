//! The office's trail takes not one byte more, and all else is as ever: what is written down before it is done is not done.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use common::{House, text};
use jiff::{SignedDuration, Timestamp};
use rules::{AlarmCode, AuditDraft, AuditEvent};
use serde_json::Value;
use storage::{AuditTrail, Duty, Layout, OsDisk};

/// Each file of these folders, with what it holds.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A house whose trail is longer than every other of its files.
struct Full {
    house: House,
    /// Beyond it no file grows.
    most_bytes: u64,
}

impl Full {
    fn new(house: House) -> Full {
        let others = files(house.dir()).into_values().map(|bytes| bytes.len());
        let longest = others.max().unwrap() as u64 + 256 * 1024;
        let layout = Layout::new(house.dir().join("data"), house.dir().join("root"));
        let mut trail = AuditTrail::open(Arc::new(OsDisk), &layout, Duty::Office).unwrap();
        let draft = || AuditDraft::system(AuditEvent::alarm(AlarmCode::MirrorBehind));
        while trail_bytes(&house) <= longest {
            let _ = trail
                .append_all((0..500).map(|_| draft()).collect(), Timestamp::now())
                .unwrap();
        }
        let most_bytes = trail_bytes(&house);
        Full { house, most_bytes }
    }

    /// Does it while the trail cannot grow. The kernel's signal is ignored, as a service manager's limit has it, so that the write fails.
    fn denwaban(&self, arguments: &[&str]) -> Output {
        let program = self.house.command(arguments);
        let blocks = (self.most_bytes / 1024).to_string();
        let script = "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"";
        Command::new("bash")
            .args(["-c", script, &blocks])
            .arg(program.get_program())
            .args(program.get_args())
            .env("HOME", self.house.dir())
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap()
    }

    fn refused(&self, arguments: &[&str]) {
        let refused = self.denwaban(&[arguments, &["--json"]].concat());
        assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
        let told: Value = serde_json::from_slice(&refused.stderr).unwrap();
        assert_eq!(told["code"], "AUDIT_UNAVAILABLE", "{arguments:?}");
    }
}

fn trail_bytes(house: &House) -> u64 {
    let months = files(&house.dir().join("data/office/audit"));
    months.into_values().map(|bytes| bytes.len() as u64).sum()
}

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap_or_default())),
        }
    }
    found
}

#[test]
fn what_is_done_to_keys_is_not_done_where_it_cannot_be_written_down_first() {
    let house = House::init(&["--profile", "announce"]);
    let mirror = house.dir().join("mirror");
    let config = fs::read_to_string(house.config()).unwrap();
    let config = format!("{config}\n[keys]\nmirrors = [\"{}\"]\n", mirror.display());
    fs::write(house.config(), config).unwrap();
    house.done(&["keys", "mirror"]);
    let full = Full::new(house);
    let keys = || {
        let folders = ["root", "mirror", "signing", "data/keys"];
        let all = folders.map(|folder| files(&full.house.dir().join(folder)));
        all.into_iter().flatten().collect::<Files>()
    };
    // The mirror's volume was replaced, so that there is something to be written to it.
    for file in files(&mirror).into_keys() {
        fs::remove_file(file).unwrap();
    }
    let acts = [
        &["keys", "mirror"][..],
        &["keys", "rotate", "--signing"],
        &["keys", "rotate"],
    ];
    let done: Vec<_> = acts
        .iter()
        .filter(|act| {
            let before = keys();
            full.refused(act);
            keys() != before
        })
        .collect();
    assert!(done.is_empty(), "{done:?}");
    for act in acts {
        let before = keys();
        full.house.done(act);
        assert!(keys() != before, "{act:?}");
    }
}

#[test]
fn a_clock_is_believed_by_no_word_that_cannot_be_written_down_first() {
    let house = House::init(&["--profile", "announce"]);
    house.found();
    house.done(&["dispose", "--due"]);
    let path = house.dir().join("data/office/clock.json");
    let mut clock: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // As if the wall had been put on by six minutes since then.
    let anchor = &mut clock["clock"]["believed"]["anchor"]["wall"];
    let wall: Timestamp = anchor.as_str().unwrap().parse().unwrap();
    *anchor = (wall - SignedDuration::from_mins(6)).to_string().into();
    fs::write(&path, serde_json::to_vec(&clock).unwrap()).unwrap();
    let frozen = house.denwaban(&["dispose", "--due"]);
    assert!(text(&frozen).contains("CLOCK_FROZEN"), "{}", text(&frozen));

    let full = Full::new(house);
    let before = fs::read(&path).unwrap();
    let confirm = ["dispose", "--due", "--confirm-clock", "時報で確かめた"];
    let proof = full.house.proof("kacho");
    let proof: Vec<&str> = proof.iter().map(String::as_str).collect();
    full.refused(&[&confirm[..], &proof].concat());
    assert_eq!(fs::read(&path).unwrap(), before);
    let frozen = full.house.denwaban(&["dispose", "--due"]);
    assert!(text(&frozen).contains("CLOCK_FROZEN"), "{}", text(&frozen));
    let confirmed = full.house.by("kacho", &confirm);
    assert!(confirmed.status.success(), "{}", text(&confirmed));
}
