//! The measurement itself works: what it sends arrives, through nobody and through the floor.

use std::{path::PathBuf, time::Duration};

use bench::{
    denwaban::Profile,
    load::{Setup, hold_directly, hold_floor},
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
