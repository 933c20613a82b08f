//! What must hold when a storm is over: the laws, and that nothing is left.

use std::{collections::BTreeSet, time::Duration};

use memchr::memmem;
use rules::{CallId, EndCause, NoticeKind, NoticeRecord, Reason};

use super::{
    watch,
    world::{BROKEN, World, is_open},
};
use crate::{
    checkers::a_recording_ends_within_three_months,
    phone::{OfferTime, Phone},
    recorder::Recording,
    reference::Unprovoked,
    voice::{Heard, frames_in, speaker},
};

/// What tells a spoken frame from all others: who speaks, and its number.
const FRAME_HEAD: usize = 16;

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
    let seed = world.seed;
    let faults = &world.watch.faults;
    assert!(
        faults.is_empty(),
        "seed {seed}: seen: {}",
        faults.join("; ")
    );
    every_record_says_why(world);
    every_row_lies_on_the_disk(world);
    nobody_is_heard_or_named_without_a_key(world);
    for recording in &world.recorder.closed {
        a_recording_ends_within_three_months(&world.recorder.archive, recording);
        the_channels_are_not_exchanged(world, recording);
        a_recording_is_as_long_as_its_segments_say(world, recording);
    }
    if !world.watch.is_rough {
        for phone in &world.phones {
            who_is_on_hold_hears_nobody(world, phone);
            what_is_heard_is_one_stream(world, phone);
            nobody_rings_for_ever(world, phone);
        }
        a_talk_is_ended_by_a_party(world);
    }
    let is_down = |trunk: &exchange::TrunkReport| {
        let mut places = trunk.places.iter();
        places.any(|place| place.state != exchange::PlaceState::Up)
    };
    let trunks = world.wiring.exchange().trunks(world.clock.now());
    let down = trunks.into_iter().find(is_down);
    assert!(
        down.is_none(),
        "seed {seed}: a peer that answers is thought down: {down:?}"
    );
}

/// A call comes under an emergency or not, and where nothing is kept the record says why.
fn every_record_says_why(world: &World) {
    let seed = world.seed;
    let closed = world.recorder.closed.iter().map(|closed| &closed.record);
    for record in closed.chain(&world.recorder.unrecorded) {
        let is_under = world
            .watch
            .is_under_emergency(record.call_id, &record.called);
        if let Some(is_under) = is_under {
            assert_eq!(
                record.emergency.is_some(),
                is_under,
                "seed {seed}: a call and an emergency: {record:?}"
            );
        }
        let has_left = matches!(
            record.end_cause,
            Some(EndCause::CallerHungUp | EndCause::Cancelled)
        );
        if has_left && record.answered_at.is_none() {
            assert_eq!(
                record.unrecorded,
                Some(Reason::CallerHungUp),
                "seed {seed}: a caller left: {record:?}"
            );
        }
    }
}

fn every_row_lies_on_the_disk(world: &World) {
    let rows = watch::rows(&world.recorder.archive.disk);
    let closed = world.recorder.closed.iter().map(|closed| &closed.record);
    for record in closed.chain(&world.recorder.unrecorded) {
        assert!(
            rows.contains(&record.call_id.to_string()),
            "seed {}: a row is on no disk: {record:?}",
            world.seed
        );
    }
}

/// Law 3: what was said, and by whose number, lies on the disk only sealed; no key of it is there.
fn nobody_is_heard_or_named_without_a_key(world: &World) {
    let disk = world.recorder.archive.disk.everything();
    let lies_open = |bytes: &[u8]| {
        let finder = memmem::Finder::new(bytes);
        disk.values().any(|file| finder.find(file).is_some())
    };
    for recording in &world.recorder.closed {
        for channel in [&recording.carrier, &recording.city] {
            let spoken = [0, 1].into_iter().flat_map(|side| frames_in(channel, side));
            let last = spoken.max().map(|(at, _)| &channel[at..]);
            let frame = last.and_then(|sound| sound.get(..FRAME_HEAD));
            assert!(
                !frame.is_some_and(lies_open),
                "seed {}: a recording can be heard by whoever has the disk",
                world.seed
            );
        }
    }
    for phone in &world.phones {
        // Numbers of three digits lie in anything.
        let is_citizen = phone.address == world.carrier && phone.user.len() >= 10;
        assert!(
            !(is_citizen && lies_open(phone.user.as_bytes())),
            "seed {}: the number of {} can be read by whoever has the disk",
            world.seed,
            phone.name
        );
    }
}

/// The citizen's channel holds the citizen, and the city's never.
fn the_channels_are_not_exchanged(world: &World, recording: &Recording) {
    let phones_in = |channel: &[u8]| -> Vec<&Phone> {
        let frames = frames_in(channel, 1).into_iter();
        let ports: BTreeSet<u16> = frames
            .filter_map(|(at, _)| speaker(&channel[at..]))
            .collect();
        let has = |phone: &&Phone| ports.contains(&phone.voice.local.port());
        world.phones.iter().filter(has).collect()
    };
    let is_citizen = |phone: &&Phone| phone.address == world.carrier;
    assert!(
        phones_in(&recording.carrier).iter().all(is_citizen)
            && !phones_in(&recording.city).iter().any(is_citizen),
        "seed {}: a recording has its channels exchanged",
        world.seed
    );
}

/// What was sealed and what was marked as missing are together what the recorder was given.
fn a_recording_is_as_long_as_its_segments_say(world: &World, recording: &Recording) {
    let Some(sealed) = recording.sealed().filter(|_| recording.number == 0) else {
        return;
    };
    let heard = u64::try_from(recording.carrier.len()).expect("an hour");
    let lost = recording.missing_samples;
    assert!(
        sealed.samples == heard && sealed.gaps.samples == lost,
        "seed {}: sealed are {} samples and {} missing, of {heard} and {lost}",
        world.seed,
        sealed.samples,
        sealed.gaps.samples
    );
    let inspection = world
        .recorder
        .archive
        .inspect(recording.record.day(), recording.id);
    assert_eq!(
        inspection.numbers,
        recording.attempts + 1,
        "seed {}: a chunk's number was used twice, or none",
        world.seed
    );
    // Nothing is kept while a transfer rings.
    let is_whole = !world.watch.is_rough && !world.phones.iter().any(|phone| phone.has("> REFER"));
    if let (Some(opened), true) = (recording.opened, is_whole) {
        let lasted = recording.ended.saturating_duration_since(opened);
        let kept = Duration::from_micros(125 * heard);
        assert!(
            kept + Duration::from_millis(60) >= lasted,
            "seed {}: {kept:?} are kept of {lasted:?}",
            world.seed
        );
    }
}

/// After a second no speech reaches whoever does not want any.
fn who_is_on_hold_hears_nobody(world: &World, phone: &Phone) {
    let second = Duration::from_secs(1);
    let changes = ["agreed ", "> INVITE", "> UPDATE", "< INVITE", "< UPDATE"];
    for (place, (since, words)) in phone.log.iter().enumerate() {
        if words != "agreed sendonly" && words != "agreed inactive" {
            continue;
        }
        // Until it agrees to anything else, or asks for it: in the order of its log, for both may happen at one instant.
        let mut later = phone.log[place + 1..].iter();
        let next = later.find(|(_, words)| changes.iter().any(|change| words.starts_with(change)));
        let until = next.map(|(at, _)| *at);
        let is_heard = |heard: &&Heard| {
            heard.at > *since + second
                && until.is_none_or(|until| heard.at < until)
                && speaker(&heard.payload).is_some()
        };
        let heard = phone.voice.heard.iter().find(is_heard);
        assert!(
            heard.is_none(),
            "seed {}: {} hears in spite of {words}",
            world.seed,
            phone.name
        );
    }
}

/// One source, and numbers that go on.
fn what_is_heard_is_one_stream(world: &World, phone: &Phone) {
    const LEAP: u16 = 3_000; // A minute on hold.
    for pair in phone.voice.heard.windows(2) {
        let step = pair[1]
            .sequence
            .wrapping_sub(pair[0].sequence)
            .cast_signed();
        assert!(
            pair[0].ssrc == pair[1].ssrc && step.unsigned_abs() < LEAP,
            "seed {}: {} hears a stream that leaps by {step}",
            world.seed,
            phone.name
        );
    }
}

/// Nobody but its parties ends a talk, while nothing is lost and nobody dies.
fn a_talk_is_ended_by_a_party(world: &World) {
    let is_unexplained = |Unprovoked { legs, .. }: &&Unprovoked| {
        let phones = legs.each_ref().map(|leg| {
            let mut phones = world.phones.iter();
            phones.find(|phone| phone.call_id() == leg)
        });
        let [Some(one), Some(other)] = phones else {
            return false;
        };
        may_agree(one, other) && [one, other].iter().all(|phone| phone.called != BROKEN)
    };
    let found = world.reference.unprovoked.iter().find(is_unexplained);
    assert!(
        found.is_none(),
        "seed {}: a talk that neither ended: {found:?}",
        world.seed
    );
}

/// Whether two have a codec for each other. Where one of them offers late, each may have taken another one first: then one of them must
/// have all that the other has, and let itself be changed.
fn may_agree(one: &Phone, other: &Phone) -> bool {
    let audio = |phone: &Phone| -> BTreeSet<u8> {
        let numbers = phone.habits.payload_types.iter();
        numbers.copied().filter(|number| *number < 96).collect()
    };
    let (own, theirs) = (audio(one), audio(other));
    let is_late = [one, other].map(|phone| phone.habits.offer == OfferTime::Later);
    match is_late {
        [false, false] => !own.is_disjoint(&theirs),
        _ if own == theirs => true,
        _ => {
            one.habits.change == 200 && own.is_superset(&theirs)
                || other.habits.change == 200 && theirs.is_superset(&own)
        }
    }
}

/// Attempts ring at most for 120 s, those at a department for 20.
fn nobody_rings_for_ever(world: &World, phone: &Phone) {
    let Some((began, _)) = phone
        .log
        .first()
        .filter(|(_, words)| words.starts_with('<'))
    else {
        return;
    };
    let done = phone
        .log
        .iter()
        .find(|(_, words)| words.starts_with("> 200 INVITE") || words.starts_with("over"));
    let most_s = if phone.address == world.carrier {
        125
    } else {
        22
    };
    let rang = done.map(|(at, _)| at.saturating_duration_since(*began));
    assert!(
        rang.is_some_and(|rang| rang < Duration::from_secs(most_s)),
        "seed {}: {} rang for {rang:?}",
        world.seed,
        phone.name
    );
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
    let NoticeRecord::Announced { samples, ended, .. } = &recording.notice else {
        return;
    };
    assert_eq!(recording.notice.kind(), NoticeKind::Announced);
    let Some(opened) = recording.opened else {
        return;
    };
    // The prompt of this call is known by when it ended.
    let played = world.playbacks.iter().any(|(playback, wall)| {
        let is_whole = playback.sent == *samples && playback.total == *samples;
        wall == ended && playback.ended <= opened && is_whole
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
