//! SIPp as carrier and department of the real binary: what each party said must lie in its own channel, sample by sample.
//!
//! A loopback network per test; each waits for what must happen and never for a time, except for the length of a talk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{path::Path, process::Command, time::Duration};

use conformance::{
    server::{Network, Server},
    sipp::{Part, Sipp, Transport},
    speech::{self, Overlap},
};
use serde_json::Value;

/// The notice lasts about eight seconds; what is left is talk.
const TALK_AFTER_NOTICE: Duration = Duration::from_millis(12_500);
const TALK: Duration = Duration::from_secs(3);

#[test]
fn an_announced_call_keeps_both_voices_in_their_own_channels() {
    let server = Server::start(Network::new(41), &["announce"]).unwrap();
    let call = talk(&server, TALK_AFTER_NOTICE);
    assert_eq!(call["notice"], "announced");
    let (caller, city) = compare(&server, &call);
    assert!(
        caller.said_from > 8000,
        "what the caller said during the notice was kept: {caller}"
    );
    assert_eq!(
        city.said_from, 0,
        "the department's first words are missing: {city}"
    );
    server.stop().unwrap();
}

#[test]
fn in_an_emergency_the_department_rings_at_once_and_both_voices_are_kept() {
    let server = Server::start(Network::new(42), &["announce"]).unwrap();
    server
        .command(&[
            "emergency",
            "declare",
            "--scope",
            "all",
            "--reason",
            "drill",
            "--for",
            "1h",
        ])
        .unwrap();
    let call = talk(&server, TALK);
    assert_eq!(call["notice"], "emergency");
    let (_, city) = compare(&server, &call);
    assert_eq!(
        city.said_from, 0,
        "the department's first words are missing: {city}"
    );
    server.stop().unwrap();
}

#[test]
fn a_waived_call_in_the_transparent_profile_keeps_both_voices() {
    let server =
        Server::start(Network::new(43), &["transparent", "--waiver", "decision 7"]).unwrap();
    let call = talk(&server, TALK);
    assert_eq!(call["notice"], "decision");
    compare(&server, &call);
    server.stop().unwrap();
}

#[test]
fn an_options_is_answered_with_what_we_can() {
    let server = Server::start(Network::new(47), &["announce"]).unwrap();
    let Network {
        server: remote,
        carrier,
        ..
    } = server.network;
    let part = Part {
        scenario: "carrier-asks",
        local: carrier,
        remote: Some(remote),
        speech: &[],
        pause: TALK,
        transport: Transport::Udp,
        words: &[],
    };
    Sipp::start(&part).unwrap().finish().unwrap();
    assert_eq!(server.calls().unwrap(), Vec::<Value>::new());
    server.stop().unwrap();
}

/// One call with both parties speaking; returns its line of the list.
fn talk(server: &Server, talk: Duration) -> Value {
    let Network {
        server: remote,
        carrier,
        department,
    } = server.network;
    let (caller, city) = (speech::noise(1, 30), speech::noise(2, 30));
    let department = Part {
        scenario: "department-talks",
        local: department,
        remote: None,
        speech: &city,
        pause: talk,
        transport: Transport::Udp,
        words: &[],
    };
    let carrier = Part {
        scenario: "carrier-talks",
        local: carrier,
        remote: Some(remote),
        speech: &caller,
        pause: talk,
        transport: Transport::Udp,
        words: &[],
    };
    run(server, &carrier, &department);
    server.call_in_state("sealed").unwrap()
}

fn run(server: &Server, carrier: &Part<'_>, department: &Part<'_>) {
    let department = Sipp::start(department).unwrap();
    let carrier = Sipp::start(carrier).unwrap();
    let ended = carrier.finish().and_then(|()| department.finish());
    ended.unwrap_or_else(|fault| panic!("{fault}\nthe server's log:\n{}", server.log()));
}

/// Exports the recording, lets two other programs open it, and finds both voices in it.
#[expect(clippy::print_stderr, reason = "the lengths are the test's report")]
fn compare(server: &Server, call: &Value) -> (Overlap, Overlap) {
    let wav = server.export(call["id"].as_str().unwrap()).unwrap();
    let [caller, city] = speech::channels(&wav).unwrap();
    others_open(&wav, &caller, &city);
    let listed_ms = call["duration_ms"].as_u64().unwrap();
    assert_eq!(
        listed_ms,
        caller.len() as u64 / 8,
        "the list and the file disagree on the length"
    );
    let overlaps = [(1, caller), (2, city)].map(|(seed, channel)| {
        let found = speech::overlap(&speech::linear(&speech::noise(seed, 30)), &channel);
        let found = found.unwrap_or_else(|fault| panic!("voice {seed}: {fault}; listed as {call}"));
        assert!(
            found.samples > 8000,
            "voice {seed}: less than a second was kept: {found}"
        );
        eprintln!("voice {seed}: {found} of {}", channel.len());
        found
    });
    (overlaps[0], overlaps[1])
}

/// `ffmpeg` and `sox` decode the same samples as we do.
fn others_open(wav: &Path, caller: &[i16], city: &[i16]) {
    let interleaved: Vec<u8> = caller
        .iter()
        .zip(city)
        .flat_map(|(caller, city)| [caller.to_le_bytes(), city.to_le_bytes()].concat())
        .collect();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-i"])
        .arg(wav)
        .args(["-f", "s16le", "-"]);
    let mut sox = Command::new("sox");
    sox.arg(wav)
        .args(["-t", "raw", "-e", "signed", "-b", "16", "-L", "-"]);
    for mut program in [ffmpeg, sox] {
        let output = program.output().unwrap();
        assert!(
            output.status.success(),
            "{program:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.stdout == interleaved,
            "{program:?} reads other samples than we do"
        );
    }
}
