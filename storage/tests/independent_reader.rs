//! A reader in another language, written from `docs/recording-format.md`, hears what was recorded.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that is left out says so"
)]

mod common;

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use common::*;
use storage::{Channel, Gap, Layout, OsDisk, RecordingWriter};

/// Exit status of the script without its library.
const NO_LIBRARY: i32 = 77;

fn open_with_python(layout: &Layout, segment: &Path, out: &Path) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/krec1_open.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(segment)
        .arg("--root")
        .arg(layout.root().join("0001.root"))
        .arg("--store")
        .arg(layout.key_store())
        .arg("--out")
        .arg(out)
        .output();
    match output {
        Ok(output) if output.status.code() != Some(NO_LIBRARY) => Some(output),
        Ok(_) => {
            eprintln!("left out: python3 has no cryptography; pip3 install cryptography");
            None
        }
        Err(fault) => {
            eprintln!("left out: python3 cannot be run ({fault})");
            None
        }
    }
}

#[test]
fn an_independent_reader_hears_what_was_recorded_and_refuses_what_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    let city = city(Arc::new(OsDisk), &layout);
    let opening = opening(1);
    let gap = Gap {
        channel: Channel::City,
        start: 3300,
        samples: 160,
    };
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    append(&mut writer, 3200, CHUNK, &[gap]).unwrap();
    // A stretch that nobody wrote: silence and a gap of both channels.
    append(&mut writer, 8000, 777, &[]).unwrap();
    writer.finish().unwrap();
    city.vault.flush().unwrap();
    let file = city
        .vault
        .segments(today(), opening.recording)
        .unwrap()
        .remove(0);
    let segment = layout.vault_day(today()).join(file.name());
    let out = folder.path().join("out");

    let Some(output) = open_with_python(&layout, &segment, &out) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["complete"], true);
    assert_eq!(report["chunks"], 4);
    assert_eq!(report["samples"], 8777);
    assert_eq!(report["notice"], "announced");
    assert_eq!(report["start_ms"], opening.start.as_millisecond());
    assert_eq!(
        report["gaps"],
        serde_json::json!([[1, 3300, 160], [0, 6400, 1600], [1, 6400, 1600]])
    );
    let permit = permit(&city, opening.recording, now());
    let mut playback = city
        .vault
        .open(permit, kept_on(today()), &city.opener, now())
        .unwrap();
    let audio = playback.read(0, 0..8777, now()).unwrap();
    assert_eq!(
        std::fs::read(out.with_extension("carrier")).unwrap(),
        *audio.carrier
    );
    assert_eq!(
        std::fs::read(out.with_extension("city")).unwrap(),
        *audio.city
    );
    assert_eq!(audio.city[..6400], voice(Channel::City, 0, 6400));

    let whole = std::fs::read(&segment).unwrap();
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 200);
    std::fs::write(&segment, &cut).unwrap();
    let output = open_with_python(&layout, &segment, &out).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["complete"], &report["samples"]),
        (&false.into(), &6400.into())
    );
    let mut changed = whole;
    changed[20] ^= 1;
    std::fs::write(&segment, &changed).unwrap();
    assert!(
        !open_with_python(&layout, &segment, &out)
            .unwrap()
            .status
            .success()
    );
}
