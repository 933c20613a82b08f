//! At each 20 ms frame of the notice something happens; whatever it is, law 2 holds (K-04).

use announcements::PromptId;
use rules::{NoticeKind, Scope};
use tests::{City, Plan, carrier::Dial, plan::NUMBER};

/// When the notice begins: the ACK has come.
const NOTICE_BEGINS_MS: u64 = 10;

/// Frames of the notice, and one more on each side of it.
fn frames() -> impl Iterator<Item = u64> {
    let city = City::new(Plan::announce());
    let samples = city.prompt(PromptId::RecordingNotice).clip.samples();
    (0..=samples.div_ceil(160)).map(|frame| frame * 20)
}

/// A call into whose notice something comes after so many milliseconds.
fn at_frame(at_ms: u64, mut happens: impl FnMut(&mut City, usize)) -> City {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(NOTICE_BEGINS_MS + at_ms);
    happens(&mut city, call);
    city
}

/// Whether a call was told to its end before it was cut is the engine's to say: the record must agree.
fn agrees_with_the_engine(city: &City) {
    let told = city
        .playbacks
        .iter()
        .any(|playback| playback.sent == playback.total);
    assert!(city.recorder.closed.is_empty(), "a recording");
    assert!(
        city.recorder
            .unrecorded
            .iter()
            .all(|record| record.notice.is_none()),
        "a record that says announced"
    );
    assert_eq!(
        city.pbx.calls.is_empty(),
        !told,
        "the department is called only after the notice"
    );
}

#[test]
fn a_bye_at_each_frame_cuts_it() {
    for at_ms in frames() {
        let mut city = at_frame(at_ms, City::hang_up);
        city.finish();
        agrees_with_the_engine(&city);
    }
}

#[test]
fn a_lost_shard_at_each_frame_cuts_it() {
    for at_ms in frames() {
        let mut city = at_frame(at_ms, |city, _| city.lose_shard());
        city.finish();
        agrees_with_the_engine(&city);
    }
}

#[test]
fn the_end_of_service_at_each_frame_cuts_it() {
    for at_ms in frames() {
        let mut city = at_frame(at_ms, |city, _| city.shut_down());
        city.finish();
        agrees_with_the_engine(&city);
    }
}

/// Lets a call that went on come to its end, recorded as announced.
fn goes_on(mut city: City, at_ms: u64) -> City {
    city.run_until(&format!("connected, whatever came at {at_ms} ms"), |city| {
        city.is_talking(0)
    });
    city.run_ms(200);
    city.hang_up(0);
    city.finish();
    assert_eq!(city.recorder.closed.len(), 1);
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
    city
}

#[test]
fn a_cancel_after_our_200_at_each_frame_is_answered_and_changes_nothing() {
    for at_ms in frames() {
        let city = at_frame(at_ms, |city, call| {
            let packet = city.carrier.cancel_too_late(call);
            city.send(packet);
        });
        let city = goes_on(city, at_ms);
        assert_eq!(
            city.caller(0).other_answers,
            ["200 CANCEL", "200 BYE"],
            "at {at_ms} ms"
        );
    }
}

#[test]
fn an_emergency_at_each_frame_changes_nothing() {
    for at_ms in frames() {
        let city = at_frame(at_ms, |city, _| {
            city.declare(Scope::All, 1)
                .expect("an emergency with a reason");
        });
        let city = goes_on(city, at_ms);
        assert_eq!(city.record(0).emergency, None);
    }
}
