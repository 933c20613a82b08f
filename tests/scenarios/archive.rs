//! What lies in the vault afterwards, and what a broken disk costs: never a call (law 1).

use std::time::Duration;

use exchange::Alarm;
use expect_test::expect;
use rules::{JstDay, NoticeKind};
use storage::Faults;
use tests::{City, Plan, archive::Archive, carrier::Dial, plan::NUMBER, voice::frames_in};

#[test]
fn a_sealed_segment_holds_what_was_kept_and_shows_none_of_it() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(3_000);
    city.hang_up(call);
    city.finish();
    let recording = &city.recorder.closed[0];
    let inspection = city
        .recorder
        .archive
        .inspect(city.record(call).day(), recording.id);
    assert!(inspection.is_complete);
    assert_eq!(
        inspection.samples,
        u64::try_from(recording.carrier.len()).unwrap()
    );
    assert_eq!(inspection.header.notice.kind(), NoticeKind::Announced);
    let (at, _) = frames_in(&recording.carrier, 1)[20];
    let said = &recording.carrier[at..at + 8];
    assert!(
        !city.recorder.archive.holds(said),
        "no speech lies on the disk in clear"
    );
    assert!(
        !city.recorder.archive.holds(b"0790000001"),
        "nor does the caller's number"
    );
}

#[test]
fn a_disk_that_fills_up_in_a_call_costs_the_recording_a_named_gap_and_the_call_nothing() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(2_000);
    city.recorder.archive.disk.set_faults(Faults {
        capacity_bytes: Some(0),
        ..Faults::default()
    });
    city.run_ms(2_000);
    city.recorder.archive.disk.set_faults(Faults::default());
    city.run_ms(2_000);
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.010 |------------- ACK ------------->|                                |
        0000.010 |                          [Announcing]                           |
        0007.583 |                    [notice sent to its end]                     |
        0007.583 |                                |-------- INVITE (sdp) --------->|
        0007.583 |                            [Calling]                            |
        0007.593 |                                |<--------- 100 INVITE ----------|
        0007.693 |                                |<--------- 180 INVITE ----------|
        0009.593 |                                |<------ 200 INVITE (sdp) -------|
        0009.593 |                                |------------- ACK ------------->|
        0009.593 |                     [recording: announced]                      |
        0009.593 |                            [Talking]                            |
        0011.713 |                      [recording has a gap]                      |
        0015.603 |------------- BYE ------------->|                                |
        0015.603 |<----------- 200 BYE -----------|                                |
        0015.603 |                                |------------- BYE ------------->|
        0015.603 |                     [Over: CALLER_HUNG_UP]                      |
        0015.613 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    let sealed = city.recorder.closed[0]
        .sealed()
        .expect("it is closed in order");
    let gap_ms = sealed.gaps.milliseconds() / 2;
    assert!(
        (1_600..=2_800).contains(&gap_ms),
        "two seconds of both channels are missing, and said so: {gap_ms} ms"
    );
    assert_eq!(
        sealed.samples,
        u64::try_from(city.recorder.closed[0].carrier.len()).unwrap(),
        "the time is whole"
    );
    assert_eq!(
        city.alarms,
        [Alarm::Recorder {
            call: city.calls()[call]
        }]
    );
    let speech = city.telephone(0).voice.heard_speech();
    assert!(
        speech.len() > 290 && speech.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "no frame of the call was lost"
    );
}

#[test]
fn a_disk_that_is_full_from_the_start_refuses_no_call() {
    let mut city = City::new(Plan::announce());
    city.recorder.archive.disk.set_faults(Faults {
        capacity_bytes: Some(0),
        ..Faults::default()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
    city.finish();
    assert_eq!(
        city.record(call).unrecorded,
        Some(rules::Reason::RecorderFault)
    );
    assert!(city.telephone(0).voice.heard_speech().len() > 45);
}

#[test]
fn a_process_that_is_killed_or_loses_its_power_loses_at_most_a_second() {
    for at_ms in (2_000..3_200).step_by(60) {
        let mut city = City::new(Plan::announce());
        let call = city.dial(Dial::to(NUMBER));
        city.run_until("connected", |city| city.is_talking(0));
        city.run_ms(at_ms);
        let id = city.calls()[call];
        let recording = city.recorder.open(id).expect("it is being recorded");
        let (day, recorded) = (recording.record.day(), recording.id);
        let lived = city.clock.now().at - recording.opened.expect("the gate is open");
        let disk = &city.recorder.archive.disk;
        for (what, disk, most) in [
            ("killed", disk.after_kill(), 700),
            ("power cut", disk.after_power_cut(), 1_000),
        ] {
            let inspection = Archive::on(disk).inspect(day, recorded);
            let lost = lived.saturating_sub(Duration::from_micros(inspection.samples * 125));
            assert!(
                lost <= Duration::from_millis(most),
                "{what} after {at_ms} ms: {lost:?} lost"
            );
            assert!(!inspection.is_complete);
        }
        city.hang_up(call);
        city.finish();
    }
}

#[test]
fn a_recordings_day_has_its_end_fixed_when_it_begins() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    let day = JstDay::of(city.clock.now().wall);
    let fixed = city.recorder.archive.vault.fixed_expiry(day).unwrap();
    assert_eq!(
        fixed,
        Some("2027-02-17T00:00:00+09:00".parse().unwrap()),
        "89 days after 2026-11-20"
    );
    city.hang_up(call);
    city.finish();
}
