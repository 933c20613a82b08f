//! What must hold when a storm is over: the laws, and that nothing is left.

use std::collections::BTreeSet;

use rules::{CallId, NoticeKind, NoticeRecord, Reason};

use super::world::{World, is_open};
use crate::{
    recorder::Recording,
    voice::{frames_in, speaker},
};

/// Checks everything; the message says which storm.
pub(super) fn check(world: &World) {
    let seed = world.seed;
    let faults = &world.reference.faults;
    assert!(
        faults.is_empty(),
        "seed {seed}: {} faults at the door:\n{}",
        faults.len(),
        faults
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    everybody_has_come_to_an_end(world);
    nothing_is_left(world);
    every_citizens_call_has_one_record(world);
    for recording in &world.recorder.closed {
        a_recording_has_its_notice(world, recording);
        a_recording_holds_its_own_caller(world, recording);
    }
    nobody_hears_a_stranger(world);
}

fn everybody_has_come_to_an_end(world: &World) {
    if let Some(phone) = world.phones.iter().find(|phone| is_open(phone)) {
        panic!(
            "seed {}: {} of {} is left in {:?}: {:?}",
            world.seed,
            phone.name,
            phone.address,
            phone.stage(),
            phone.log.iter().map(|(_, words)| words).collect::<Vec<_>>()
        );
    }
}

fn nothing_is_left(world: &World) {
    let seed = world.seed;
    let exchange = world.wiring.exchange();
    assert!(
        exchange.is_idle(),
        "seed {seed}: a call or dialog is left: {:?}",
        exchange.calls()
    );
    assert_eq!(
        exchange.free_leg_count(),
        40,
        "seed {seed}: port pairs were not given back"
    );
    assert_eq!(
        world.recorder.open_count(),
        0,
        "seed {seed}: a recording is left open"
    );
    let timer = world.wiring.poll_timeout().map(|(_, why)| why);
    let is_emergency = timer.is_some_and(|why| why.starts_with("emergency"));
    assert!(
        timer.is_none() || is_emergency,
        "seed {seed}: a timer is left: {timer:?}"
    );
}

/// The record of each citizen's call is written once, and none of any other (K-02).
fn every_citizens_call_has_one_record(world: &World) {
    let seed = world.seed;
    let closed = world
        .recorder
        .closed
        .iter()
        .map(|recording| &recording.record);
    let records: Vec<_> = closed.chain(&world.recorder.unrecorded).collect();
    let written: BTreeSet<CallId> = records.iter().map(|record| record.call_id).collect();
    assert_eq!(
        written.len(),
        records.len(),
        "seed {seed}: a call has two records"
    );
    let expected: BTreeSet<CallId> = world
        .taken_in
        .iter()
        .filter(|call| !world.out_of_scope.contains(call) && !world.lost.contains(call))
        .copied()
        .collect();
    let missing: Vec<_> = expected.difference(&written).collect();
    assert!(
        missing.is_empty(),
        "seed {seed}: calls without a record: {missing:?}"
    );
    for record in records {
        assert!(
            !world.out_of_scope.contains(&record.call_id),
            "seed {seed}: a record of what is no citizen's call"
        );
        assert!(
            record.ended_at.is_some() && record.end_cause.is_some(),
            "seed {seed}: {record:?}"
        );
        if record.unrecorded == Some(Reason::RecorderFault) {
            assert!(
                world.is_recorder_hurt,
                "seed {seed}: a recorder that was well kept nothing: {record:?}"
            );
        }
        assert_eq!(
            record.recording.is_some(),
            record.unrecorded.is_none(),
            "seed {seed}: {record:?}"
        );
    }
}

/// Law 2: what was kept as announced was announced, by the engine's own count, before the first frame.
fn a_recording_has_its_notice(world: &World, recording: &Recording) {
    let NoticeRecord::Announced { samples, .. } = &recording.notice else {
        return;
    };
    assert_eq!(recording.notice.kind(), NoticeKind::Announced);
    let Some(opened) = recording.opened else {
        return;
    };
    let played = world.playbacks.iter().any(|playback| {
        playback.ended <= opened && playback.sent == *samples && playback.total == *samples
    });
    assert!(
        played,
        "seed {}: a gate opened before its notice had ended",
        world.seed
    );
}

fn a_recording_holds_its_own_caller(world: &World, recording: &Recording) {
    let speakers: BTreeSet<u16> = frames_in(&recording.carrier, 1)
        .into_iter()
        .filter_map(|(at, _)| speaker(&recording.carrier[at..]))
        .collect();
    assert!(
        speakers.len() <= 1,
        "seed {}: a recording holds {speakers:?}",
        world.seed
    );
}

/// Each party hears those whom it is joined to: a called one its caller, a caller the ones that were called for it.
fn nobody_hears_a_stranger(world: &World) {
    for phone in &world.phones {
        let speakers: BTreeSet<u16> = phone
            .voice
            .heard
            .iter()
            .filter_map(|heard| speaker(&heard.payload))
            .filter(|port| *port != phone.voice.local.port())
            .collect();
        let is_called = phone
            .log
            .first()
            .is_some_and(|(_, words)| words.starts_with('<'));
        let is_transferring = world.phones.iter().any(|phone| phone.has("> REFER"));
        let most = if is_called && !is_transferring { 1 } else { 3 };
        assert!(
            speakers.len() <= most,
            "seed {}: {} heard {speakers:?}",
            world.seed,
            phone.name
        );
    }
}
