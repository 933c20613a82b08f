//! The measurement itself works: what it sends arrives, through nobody, through the floor, and through the real binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{path::PathBuf, process::Command, time::Duration};

use bench::{
    denwaban::Profile,
    load::{self, Setup, hold_directly, hold_floor},
    simulator::{self, Caller},
};

const WINDOW: Duration = Duration::from_secs(1);

#[test]
fn what_is_sent_directly_arrives_once_and_from_one_partner() {
    let held = hold_directly(&setup(21_000), WINDOW).unwrap();
    assert!(held.heard.sent > 0, "{held}");
    assert_eq!(
        (held.heard.lost(), held.heard.strayed, held.heard.foreign),
        (0, 0, 0),
        "{held}"
    );
}

#[test]
fn the_floor_carries_every_packet_to_the_other_party() {
    let held = hold_floor(&setup(22_500), WINDOW).unwrap();
    assert!(held.heard.sent > 0, "{held}");
    assert_eq!(
        (held.heard.lost(), held.heard.strayed, held.heard.foreign),
        (0, 0, 0),
        "{held}"
    );
    assert!(held.cpu.is_some());
}

#[test]
fn calls_that_are_held_are_carried_and_recorded() {
    let report = load::hold(&with_binary(24_000), 2).unwrap();
    let heard = &report.denwaban.heard;
    assert!(heard.sent > 0, "{report}");
    assert_eq!(
        (heard.lost(), heard.strayed, heard.foreign),
        (0, 0, 0),
        "{report}"
    );
    assert_eq!(report.figures.completed, 4, "{report}");
    assert_eq!(report.recordings.len(), 4, "{report}");
    assert!(
        report
            .recordings
            .iter()
            .all(|listed| listed.state == "sealed"),
        "{report}"
    );
}

#[test]
fn calls_at_a_rate_are_answered_ended_and_recorded() {
    let report = load::rate(&with_binary(26_000), 10, 2).unwrap();
    // A machine that builds at the same time may leave us too late for a call; it is told so, and no call is half done.
    let refused: u32 = report.figures.refused.values().sum();
    assert_eq!(report.figures.completed + refused, 20, "{report}");
    assert!(report.figures.completed > 0, "{report}");
    assert_eq!(
        u32::try_from(report.recordings.len()).unwrap(),
        report.figures.completed,
        "{report}"
    );
}

#[test]
fn many_calls_through_the_exchange_leave_nothing() {
    let pause = Duration::from_millis(20);
    let report = simulator::simulate(2_000, pause, Caller::Polite).unwrap();
    assert_eq!((report.answered, report.refused), (2_000, 0), "{report}");
    assert!(report.is_clean, "{report}");
}

#[test]
fn callers_who_never_acknowledge_leave_nothing() {
    let pause = Duration::from_millis(1);
    let report = simulator::simulate(5_000, pause, Caller::Silent).unwrap();
    assert!(report.refused > 3_000, "most found no place: {report}");
    assert!(report.is_clean, "{report}");
}

fn setup(first_port: u16) -> Setup {
    let floor = PathBuf::from(env!("CARGO_BIN_EXE_floor"));
    Setup {
        denwaban: floor.with_file_name("denwaban"),
        floor,
        profile: Profile::Transparent,
        first_port,
        calls: 4,
    }
}

/// With the binary brought up to date, or the one that `DENWABAN_BIN` names.
fn with_binary(first_port: u16) -> Setup {
    let setup = setup(first_port);
    if let Some(given) = std::env::var_os("DENWABAN_BIN") {
        return Setup {
            denwaban: given.into(),
            ..setup
        };
    }
    let profile = setup.floor.parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "denwaban-server",
        "--bin",
        "denwaban",
    ]);
    build.arg("--target-dir").arg(profile.parent().unwrap());
    build.args(profile.ends_with("release").then_some("--release"));
    assert!(
        build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap()
            .success()
    );
    setup
}
