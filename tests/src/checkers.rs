//! The laws, checked on whatever happened. Each scenario ends with [`check`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use exchange::Milestone;
use rules::{CallId, NoticeKind, NoticeRecord};

use crate::{
    archive::Archive,
    city::{City, Playback},
    plan::{NUMBER, OTHER_NUMBER},
    recorder::Recording,
    voice::{frames_in, speaker},
};

/// Checks every law that a city of calls can break.
pub fn check(city: &City) {
    every_call_has_one_record(city);
    every_ladder_has_its_beginning_and_one_end(city);
    no_record_says_what_was_not(city);
    for recording in &city.recorder.closed {
        a_recording_has_its_notice(city, recording);
        a_recording_holds_nothing_from_before_its_gate(city, recording);
    }
    for recording in &city.recorder.closed {
        a_recording_ends_within_three_months(&city.recorder.archive, recording);
    }
    nobody_hears_a_stranger(city);
    media_goes_only_where_it_was_signalled(city);
    everything_is_given_back(city);
}

/// The record of each citizen's call that was taken in is written once, and none of any other call (K-02).
fn every_call_has_one_record(city: &City) {
    let out_of_scope: BTreeSet<CallId> = city
        .traces
        .iter()
        .filter(|trace| matches!(&trace.what, Milestone::House(what) if what == "outbound" || what == "internal"))
        .map(|trace| trace.call)
        .collect();
    let refused: BTreeSet<CallId> = city
        .traces
        .iter()
        .filter(
            |trace| matches!(&trace.what, Milestone::Ended(report) if report.stage == "Refused"),
        )
        .map(|trace| trace.call)
        .collect();
    let taken_in: BTreeSet<CallId> = city
        .traces
        .iter()
        .filter(|trace| matches!(&trace.what, Milestone::House(what) if what == "ExpectAck" || what == "ExpectPrack" || what == "Passing"))
        .map(|trace| trace.call)
        .chain(city.abandoned.iter().copied())
        .filter(|call| !out_of_scope.contains(call) && !refused.contains(call))
        .collect();
    let closed = city
        .recorder
        .closed
        .iter()
        .map(|recording| &recording.record);
    let written: Vec<CallId> = closed
        .chain(&city.recorder.unrecorded)
        .map(|record| record.call_id)
        .collect();
    let distinct: BTreeSet<CallId> = written.iter().copied().collect();
    assert_eq!(distinct.len(), written.len(), "a call has two records");
    assert_eq!(distinct, taken_in, "calls and records differ");
    assert_eq!(city.recorder.open_count(), 0, "a recording was left open");
}

/// Whoever keeps ladders learns of the end of each call that began, and sees no number that could be called.
fn every_ladder_has_its_beginning_and_one_end(city: &City) {
    let mut open: BTreeMap<CallId, bool> = BTreeMap::new();
    for trace in &city.traces {
        match &trace.what {
            Milestone::Began => assert!(open.insert(trace.call, true).is_none(), "begun twice"),
            Milestone::Ended(report) => {
                assert_eq!(
                    open.insert(report.id, false),
                    Some(true),
                    "ended without a beginning, or twice"
                );
                assert!(report.ending.is_some(), "{report:?}");
                let shown = format!("{report:?}");
                for line in [NUMBER, OTHER_NUMBER] {
                    assert!(!shown.contains(&line[1..]), "{shown}");
                }
            }
            Milestone::Message { .. } | Milestone::House(_) | Milestone::Refused(_) => {
                assert!(open.contains_key(&trace.call), "a rung before the first");
            }
        }
    }
    assert!(!open.values().any(|is_open| *is_open), "{open:?}");
}

/// A call without a recording names its reason and no notice; every record has its end.
fn no_record_says_what_was_not(city: &City) {
    for record in &city.recorder.unrecorded {
        assert!(
            record.unrecorded.is_some() && record.notice.is_none() && record.recording.is_none(),
            "{record:?}"
        );
        assert!(
            record.ended_at.is_some() && record.end_cause.is_some(),
            "{record:?}"
        );
    }
    for recording in &city.recorder.closed {
        let record = &recording.record;
        assert!(
            record.unrecorded.is_none() && record.recording == Some(recording.id),
            "{record:?}"
        );
        assert!(
            record.answered_at.is_some() && record.ended_at.is_some(),
            "{record:?}"
        );
        assert_eq!(
            record.notice.as_ref().map(NoticeRecord::kind),
            Some(recording.notice.kind())
        );
    }
}

/// Law 2: what was kept as announced was announced, by the engine's own count.
fn a_recording_has_its_notice(city: &City, recording: &Recording) {
    if recording.notice.kind() == NoticeKind::Announced {
        let notice = notice_of(city, recording);
        let opened = recording
            .opened
            .expect("a closed recording had its gate open");
        assert!(
            notice.ended <= opened,
            "the gate opened before the notice had ended"
        );
    }
}

/// Law 2: no frame that was spoken before the notice's last sample is in the recording.
fn a_recording_holds_nothing_from_before_its_gate(city: &City, recording: &Recording) {
    if recording.notice.kind() != NoticeKind::Announced {
        return;
    }
    let notice = notice_of(city, recording);
    let index = city
        .calls()
        .iter()
        .position(|call| *call == recording.call)
        .expect("a call of this city");
    let caller = city.voice_of_caller(index);
    for (_, number) in frames_in(&recording.carrier, 1) {
        let sent = caller.sent[&number];
        assert!(
            sent + city.plan.weather.delay >= notice.ended,
            "frame {number} came before the notice had ended"
        );
    }
}

/// The playback that proves an announced recording: all its samples went out, to this call's caller.
fn notice_of(city: &City, recording: &Recording) -> Playback {
    let NoticeRecord::Announced { samples, .. } = &recording.notice else {
        panic!("not an announced recording")
    };
    let opened = recording
        .opened
        .expect("a closed recording had its gate open");
    let played = city.playbacks.iter().rfind(|playback| {
        playback.ended <= opened && playback.sent == *samples && playback.total == *samples
    });
    *played.expect("the engine reported the notice sent to its end")
}

/// Law 4: the day of a recording has its end fixed, and the end is the policy's, within three calendar months.
pub(crate) fn a_recording_ends_within_three_months(archive: &Archive, recording: &Recording) {
    let day = recording.record.day();
    let fixed = archive
        .vault
        .fixed_expiry(day)
        .expect("the day's folder can be read")
        .expect("a day with a recording has its end");
    assert_eq!(fixed, archive.policy.expiry(day));
    let latest = day.start() + jiff::SignedDuration::from_hours(92 * 24);
    assert!(
        fixed > recording.record.started_at && fixed <= latest,
        "kept until {fixed}"
    );
}

/// Each party hears one other party at most, and a recording holds its own caller and nobody else.
fn nobody_hears_a_stranger(city: &City) {
    let callers = city.carrier.calls.iter().map(|caller| &caller.voice);
    // A transfer brings another party.
    let moves = [
        "transferred",
        "transfer failed",
        "joined to another call by transfer",
        "a party was replaced",
    ];
    let moved = city.traces.iter().filter(
        |trace| matches!(&trace.what, Milestone::House(what) if moves.contains(&what.as_str())),
    );
    let moved = moved.count();
    for voice in callers.chain(city.pbx.calls.iter().map(|telephone| &telephone.voice)) {
        let speakers: BTreeSet<u16> = voice
            .heard
            .iter()
            .filter_map(|heard| speaker(&heard.payload))
            .collect();
        // A caller may have heard the early media of one target and then another that answered.
        let most = if voice.side == 1 {
            city.plan.targets.len()
        } else {
            1
        } + moved;
        assert!(speakers.len() <= most, "{} heard {speakers:?}", voice.local);
    }
    for recording in &city.recorder.closed {
        let index = city
            .calls()
            .iter()
            .position(|call| *call == recording.call)
            .expect("a call of this city");
        let own = city.voice_of_caller(index).local.port();
        let places = frames_in(&recording.carrier, 1).into_iter();
        let speakers: BTreeSet<u16> = places
            .filter_map(|(at, _)| speaker(&recording.carrier[at..]))
            .collect();
        assert!(
            speakers.is_subset(&BTreeSet::from([own])),
            "the recording of {own} holds {speakers:?}"
        );
    }
}

/// T-04: every packet went to an address that a party has named for itself.
fn media_goes_only_where_it_was_signalled(city: &City) {
    let signalled: BTreeSet<SocketAddr> = city
        .voices()
        .map(|voice| voice.local)
        .flat_map(|rtp| [rtp, SocketAddr::new(rtp.ip(), rtp.port() + 1)])
        .collect();
    for (from, to) in &city.media_sent {
        assert!(
            signalled.contains(to),
            "media went from {from} to {to}, which nobody named"
        );
    }
}

/// Nothing is left: no call, no dialog, no port.
fn everything_is_given_back(city: &City) {
    assert!(city.wiring.is_idle(), "a call or dialog was left");
    assert_eq!(
        city.wiring.exchange().free_leg_count(),
        city.leg_count(),
        "port pairs were not given back"
    );
}
