//! One party goes, another comes: REFER and Replaces. The world is whole unless a test says otherwise.

use expect_test::expect;
use rules::NoticeKind;
use tests::{
    City, Plan,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
    voice::{frames_in, speaker},
};

/// A citizen talks with a department, announced and recorded.
pub(crate) fn talking() -> (City, usize, usize) {
    let mut city = City::new(Plan::announce());
    let (citizen, department) = talk(&mut city);
    (city, citizen, department)
}

pub(crate) fn talk(city: &mut City) -> (usize, usize) {
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    answer(city, department);
    city.run_until_line(department, "ACK", 1);
    for line in [citizen, department] {
        city.line_speaks(line);
    }
    city.run_ms(500);
    (citizen, department)
}

pub(crate) fn answer(city: &mut City, line: usize) {
    let body = city.lines[line].describe("sendrecv");
    city.line_answers(line, "INVITE", 200, &Extra::body(body));
}

pub(crate) fn refer(city: &mut City, line: usize, target: &str) {
    let refer =
        Extra::header(format!("Refer-To: <{target}>")).and("Referred-By: <sip:100@127.0.0.3>");
    city.line_says(line, "REFER", &refer);
}

/// Asks for the transfer to the party of the call that is so named.
pub(crate) fn refer_to_dialog(city: &mut City, line: usize, replaces: &str) {
    let replaces = replaces
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D");
    let target = format!("sip:{OTHER_NUMBER}@127.0.0.1?Replaces={replaces}");
    refer(city, line, &target);
}

/// What the NOTIFYs said, without the empty line.
pub(crate) fn told(city: &City, line: usize) -> Vec<String> {
    let got = city.lines[line].got.iter().map(|(_, message)| message);
    got.filter(|message| message.method() == "NOTIFY" && message.status().is_none())
        .map(|message| {
            let state = message.header("Subscription-State");
            let state = state.split(';').next().unwrap_or_default();
            format!("{} {state}", message.body.trim())
        })
        .collect()
}

#[test]
fn a_blind_transfer_brings_the_next_party_and_the_recording_goes_on() {
    let (mut city, citizen, department) = talking();
    let next = city.line(city.pbx.address, "100");
    refer(
        &mut city,
        department,
        &format!("sip:{OTHER_NUMBER}@127.0.0.1"),
    );
    city.run_until_line(next, "INVITE (sdp)", 1);
    let before = city.lines[citizen].voice.heard.len();
    city.line_answers(next, "INVITE", 180, &Extra::default());
    city.run_ms(1_000);
    assert!(
        city.lines[citizen].voice.heard.len() > before + 40,
        "ringback"
    );
    answer(&mut city, next);
    city.run_until_line(department, "BYE", 1);
    city.run_ms(20);
    city.line_speaks(next);
    city.run_ms(1_000);
    city.line_says(citizen, "BYE", &Extra::default());
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
        0007.593 |                                |<------ 200 INVITE (sdp) -------|
        0007.593 |                                |------------- ACK ------------->|
        0007.593 |                     [recording: announced]                      |
        0007.593 |                            [Talking]                            |
        0008.103 |                                |<------------ REFER ------------|
        0008.103 |                                |---------- 202 REFER ---------->|
        0008.103 |                                |----------- NOTIFY ------------>|
        0008.103 |                                |-------- INVITE (sdp) --------->|
        0008.103 |                         [Transferring]                          |
        0008.113 |                                |<--------- 200 NOTIFY ----------|
        0008.113 |                                |<--------- 100 INVITE ----------|
        0008.113 |                                |<--------- 180 INVITE ----------|
        0008.113 |                                |----------- NOTIFY ------------>|
        0008.123 |                                |<--------- 200 NOTIFY ----------|
        0009.113 |                                |<------ 200 INVITE (sdp) -------|
        0009.113 |                                |------------- ACK ------------->|
        0009.113 |                                |----------- NOTIFY ------------>|
        0009.113 |                          [transferred]                          |
        0009.113 |                            [Talking]                            |
        0009.113 |                    [recording: next segment]                    |
        0009.123 |                                |<--------- 200 NOTIFY ----------|
        0009.123 |                                |------------- BYE ------------->|
        0009.133 |                                |<----------- 200 BYE -----------|
        0010.153 |------------- BYE ------------->|                                |
        0010.153 |<----------- 200 BYE -----------|                                |
        0010.153 |                                |------------- BYE ------------->|
        0010.153 |                     [Over: CALLER_HUNG_UP]                      |
        0010.163 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
    assert_eq!(
        told(&city, department),
        [
            "SIP/2.0 100 Trying active",
            "SIP/2.0 180 Ringing active",
            "SIP/2.0 200 OK terminated"
        ]
    );
    let invite = city.lines[next].invite.clone().unwrap();
    assert!(
        invite.header("From").contains("0790000001"),
        "{}",
        invite.header("From")
    );
    assert!(invite.header("Referred-By").contains("sip:100@127.0.0.1"));
    let recording = &city.recorder.closed[0];
    assert_eq!(city.recorder.closed.len(), 1);
    assert_eq!(recording.earlier.len(), 1, "two segments");
    assert_eq!(recording.notice.kind(), NoticeKind::Announced);
    let channel = &recording.city;
    let speakers: std::collections::BTreeSet<u16> = frames_in(channel, 2)
        .into_iter()
        .filter_map(|(at, _)| speaker(&channel[at..]))
        .collect();
    let both = [department, next].map(|line| city.lines[line].voice.local.port());
    assert_eq!(speakers, both.into_iter().collect());
    let notices = city
        .playbacks
        .iter()
        .filter(|playback| playback.sent > 20_000);
    assert_eq!(notices.count(), 1, "no second announcement");
}

#[test]
fn a_transfer_that_fails_gives_the_call_back() {
    let (mut city, citizen, department) = talking();
    let next = city.line(city.pbx.address, "100");
    refer(
        &mut city,
        department,
        &format!("sip:{OTHER_NUMBER}@127.0.0.1"),
    );
    city.run_until_line(next, "INVITE (sdp)", 1);
    city.line_answers(next, "INVITE", 486, &Extra::default());
    city.run_ms(100);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    city.line_says(department, "BYE", &Extra::default());
    city.finish();
    assert_eq!(
        told(&city, department),
        [
            "SIP/2.0 100 Trying active",
            "SIP/2.0 486 Busy Here terminated"
        ]
    );
    assert_eq!(city.recorder.closed.len(), 1);
    assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
}

#[test]
fn whoever_wants_no_word_of_its_transfer_hears_none() {
    // RFC 4488 section 4.
    let (mut city, citizen, department) = talking();
    let next = city.line(city.pbx.address, "100");
    let target = format!("Refer-To: <sip:{OTHER_NUMBER}@127.0.0.1>");
    let wish = "Refer-Sub: false\r\nRequire: norefersub";
    city.line_says(department, "REFER", &Extra::header(target).and(wish));
    city.run_until_line(next, "INVITE (sdp)", 1);
    let taken = city.lines[department].answered(202, "REFER").unwrap();
    assert_eq!(taken.header("Refer-Sub"), "false");
    answer(&mut city, next);
    city.run_until_line(department, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    assert_eq!(told(&city, department), [""; 0]);
}

#[test]
fn a_transfer_goes_on_when_whoever_asked_for_it_hangs_up_at_once() {
    for is_answered in [true, false] {
        let (mut city, citizen, department) = talking();
        let next = city.line(city.pbx.address, "100");
        refer(
            &mut city,
            department,
            &format!("sip:{OTHER_NUMBER}@127.0.0.1"),
        );
        city.run_until_line(department, "202 REFER", 1);
        city.line_says(department, "BYE", &Extra::default());
        city.run_until_line(next, "INVITE (sdp)", 1);
        city.run_ms(200);
        if is_answered {
            answer(&mut city, next);
            city.run_ms(500);
            city.line_says(next, "BYE", &Extra::default());
        } else {
            city.line_answers(next, "INVITE", 486, &Extra::default());
        }
        city.finish();
        assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
        assert_eq!(city.recorder.closed.len(), 1, "what was recorded is kept");
    }
}

#[test]
fn a_caller_who_leaves_during_a_transfer_ends_everything() {
    let (mut city, citizen, department) = talking();
    let next = city.line(city.pbx.address, "100");
    refer(
        &mut city,
        department,
        &format!("sip:{OTHER_NUMBER}@127.0.0.1"),
    );
    city.run_until_line(next, "INVITE (sdp)", 1);
    city.run_ms(300);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.lines[next].end_of_call(), "cancelled");
    assert_eq!(city.lines[department].end_of_call(), "was hung up on");
}

#[test]
fn whoever_was_on_hold_hears_the_ringback_and_the_next_party() {
    let (mut city, citizen, department) = talking();
    let next = city.line(city.pbx.address, "100");
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "INVITE", &Extra::body(body));
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let body = city.lines[citizen].describe("recvonly");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_ms(200);
    refer(
        &mut city,
        department,
        &format!("sip:{OTHER_NUMBER}@127.0.0.1"),
    );
    city.run_until_line(citizen, "INVITE (sdp)", 2);
    let offer = city.lines[citizen].last("INVITE").unwrap().body.clone();
    assert!(offer.contains("a=sendrecv"), "{offer}");
    let body = city.lines[citizen].describe("sendrecv");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_ms(100);
    answer(&mut city, next);
    city.run_ms(20);
    city.run_ms(500);
    assert!(city.lines[next].voice.heard_speech().len() > 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn an_attended_transfer_joins_the_citizen_with_whoever_was_consulted() {
    for which in ["the citizen's call", "the consultation"] {
        let (mut city, citizen, department) = talking();
        let consulting = city.line(city.pbx.address, "100");
        let expert = city.line(city.pbx.address, "100");
        let offer = Extra::body(city.lines[consulting].describe("sendrecv"));
        city.line_calls(consulting, OTHER_NUMBER, &offer);
        city.run_until_line(expert, "INVITE (sdp)", 1);
        answer(&mut city, expert);
        city.run_until_line(consulting, "200 INVITE (sdp)", 1);
        city.run_ms(50);
        city.line_speaks(expert);
        city.run_ms(300);
        let (says, names) = if which == "the citizen's call" {
            (department, consulting)
        } else {
            (consulting, department)
        };
        let replaces = city.lines[names].replaces();
        let replaces = replaces
            .replace('@', "%40")
            .replace(';', "%3B")
            .replace('=', "%3D");
        refer(
            &mut city,
            says,
            &format!("sip:{OTHER_NUMBER}@127.0.0.1?Replaces={replaces}"),
        );
        city.run_until_line(department, "BYE", 1);
        city.run_until_line(consulting, "BYE", 1);
        assert_eq!(told(&city, says), ["SIP/2.0 200 OK terminated"], "{which}");
        let (before, heard) = (
            city.lines[citizen].voice.heard_speech().len(),
            city.lines[expert].voice.heard_speech().len(),
        );
        city.run_ms(500);
        assert!(
            city.lines[citizen].voice.heard_speech().len() > before + 20,
            "{which}"
        );
        assert!(
            city.lines[expert].voice.heard_speech().len() > heard + 20,
            "{which}"
        );
        city.line_says(expert, "BYE", &Extra::default());
        city.finish();
        assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
        assert_eq!(city.recorder.closed.len(), 1, "{which}");
        assert_eq!(city.recorder.closed[0].earlier.len(), 1, "{which}");
        if which == "the citizen's call" {
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
                0007.593 |                                |<------ 200 INVITE (sdp) -------|
                0007.593 |                                |------------- ACK ------------->|
                0007.593 |                     [recording: announced]                      |
                0007.593 |                            [Talking]                            |
                0008.473 |                                |<------------ REFER ------------|
                0008.473 |                                |---------- 202 REFER ---------->|
                0008.473 |                                |----------- NOTIFY ------------>|
                0008.473 |                          [transferred]                          |
                0008.473 |                            [Talking]                            |
                0008.473 |                    [recording: next segment]                    |
                0008.483 |                                |<--------- 200 NOTIFY ----------|
                0008.483 |                                |------------- BYE ------------->|
                0008.493 |                                |<----------- 200 BYE -----------|
                0008.993 |                                |<------------- BYE -------------|
                0008.993 |                                |----------- 200 BYE ----------->|
                0008.993 |<------------- BYE -------------|                                |
                0008.993 |                   [Over: DEPARTMENT_HUNG_UP]                    |
                0009.003 |----------- 200 BYE ----------->|                                |
            "#]]
            .assert_eq(&city.ladder(0));
        }
    }
}

#[test]
fn an_attended_transfer_moves_a_leg_whose_media_lives_elsewhere() {
    let mut city = City::new(Plan {
        shards: 2,
        ..Plan::announce()
    });
    let (citizen, department) = talk(&mut city);
    let consulting = city.line(city.pbx.address, "100");
    let expert = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[consulting].describe("sendrecv"));
    city.line_calls(consulting, OTHER_NUMBER, &offer);
    city.run_until_line(expert, "INVITE (sdp)", 1);
    answer(&mut city, expert);
    city.run_until_line(consulting, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    let replaces = city.lines[consulting].replaces();
    let replaces = replaces
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D");
    let target = format!("sip:{OTHER_NUMBER}@127.0.0.1?Replaces={replaces}");
    let before = city.lines[expert].invite.as_ref().unwrap().media();
    refer(&mut city, department, &target);
    city.run_until_line(expert, "INVITE (sdp)", 2);
    let after = city.lines[expert].last("INVITE").unwrap().media();
    assert_ne!(before, after, "it sends to another shard from here on");
    answer(&mut city, expert);
    city.run_ms(50);
    city.line_speaks(expert);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    assert!(city.lines[expert].voice.heard_speech().len() > 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.recorder.closed[0].earlier.len(), 1);
}

#[test]
fn an_invite_with_replaces_takes_the_place_of_a_party_of_its_peer() {
    let (mut city, citizen, department) = talking();
    let colleague = city.line(city.pbx.address, "101");
    let replaces = city.lines[department].replaces();
    let body = city.lines[colleague].describe("sendrecv");
    let invite = Extra::body(body).and(format!("Replaces: {replaces}"));
    city.line_calls(colleague, NUMBER, &invite);
    city.run_until_line(colleague, "200 INVITE (sdp)", 1);
    city.run_until_line(department, "BYE", 1);
    city.run_ms(20);
    city.line_speaks(colleague);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    city.line_says(colleague, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.recorder.closed.len(), 1);
    assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
}

#[test]
fn replaces_names_a_dialog_of_its_own_peer_or_nothing() {
    let (mut city, citizen, department) = talking();
    let (citizens, departments) = (
        city.lines[citizen].replaces(),
        city.lines[department].replaces(),
    );
    let cases = [
        (city.pbx.address, citizens.clone(), "481 INVITE"),
        (
            city.pbx.address,
            "nobody;to-tag=1;from-tag=2".to_owned(),
            "481 INVITE",
        ),
        (city.carrier.address, citizens, "403 INVITE"),
        (city.carrier.address, departments, "403 INVITE"),
        (city.pbx.address, "nonsense".to_owned(), "400 INVITE"),
    ];
    for (address, replaces, refused) in cases {
        let stranger = city.line(address, "0790000008");
        let body = city.lines[stranger].describe("sendrecv");
        let invite = Extra::body(body).and(format!("Replaces: {replaces}"));
        city.line_calls(stranger, NUMBER, &invite);
        city.run_until_line(stranger, refused, 1);
    }
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn what_may_not_be_transferred_is_refused_and_the_call_goes_on() {
    let (mut city, citizen, department) = talking();
    let cases = [
        // A carrier's leg to a carrier.
        (
            department,
            "sip:0790000009@127.0.0.1".to_owned(),
            "403 REFER",
        ),
        (
            department,
            "sip:0783339999@198.51.100.9".to_owned(),
            "403 REFER",
        ),
        (
            department,
            format!("sip:{OTHER_NUMBER}@198.51.100.9"),
            "403 REFER",
        ),
        (
            department,
            format!("sip:{OTHER_NUMBER}@127.0.0.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2"),
            "481 REFER",
        ),
        (
            department,
            format!("sip:{OTHER_NUMBER}@127.0.0.1?Replaces=nonsense"),
            "400 REFER",
        ),
        (
            citizen,
            format!("sip:{OTHER_NUMBER}@127.0.0.1"),
            "403 REFER",
        ),
    ];
    for (line, target, refused) in cases {
        let count = city.lines[line].count(refused);
        refer(&mut city, line, &target);
        city.run_until_line(line, refused, count + 1);
    }
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn two_citizens_are_never_joined() {
    let mut city = City::new(Plan::announce());
    let (first, one) = talk(&mut city);
    let (second, other) = talk(&mut city);
    let replaces = city.lines[other].replaces();
    let replaces = replaces
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D");
    refer(
        &mut city,
        one,
        &format!("sip:{NUMBER}@127.0.0.1?Replaces={replaces}"),
    );
    city.run_until_line(one, "403 REFER", 1);
    for line in [first, second] {
        city.line_says(line, "BYE", &Extra::default());
    }
    city.finish();
}

#[test]
fn a_telephone_that_called_outside_may_hand_its_call_on_inside() {
    let mut city = City::new(Plan::announce());
    let extension = city.line(city.pbx.address, "200");
    let citizen = city.line(city.carrier.address, "0790000009");
    let next = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[extension].describe("sendrecv"));
    city.line_calls(extension, "0790000009", &offer);
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    answer(&mut city, citizen);
    city.run_until_line(extension, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    city.line_speaks(citizen);
    refer(
        &mut city,
        extension,
        &format!("sip:{OTHER_NUMBER}@127.0.0.1"),
    );
    city.run_until_line(next, "INVITE (sdp)", 1);
    answer(&mut city, next);
    city.run_until_line(extension, "BYE", 1);
    city.run_ms(500);
    assert!(city.lines[next].voice.heard_speech().len() > 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    assert_eq!(
        city.recorder.closed.len() + city.recorder.unrecorded.len(),
        0
    );
}

#[test]
fn a_call_out_counts_against_its_cap_after_it_was_handed_on() {
    // Or one telephone could have as many calls out as it has colleagues.
    let mut city = City::new(Plan {
        adapt: |settings| settings.outbound.calls = Some(1),
        ..Plan::announce()
    });
    let extension = city.line(city.pbx.address, "200");
    let citizen = city.line(city.carrier.address, "0790000009");
    let next = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[extension].describe("sendrecv"));
    city.line_calls(extension, "0790000009", &offer);
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    answer(&mut city, citizen);
    city.run_until_line(extension, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    let inside = format!("sip:{OTHER_NUMBER}@127.0.0.1");
    refer(&mut city, extension, &inside);
    city.run_until_line(next, "INVITE (sdp)", 1);
    answer(&mut city, next);
    city.run_until_line(extension, "BYE", 1);
    let call_again = |city: &mut City| {
        let again = city.line(city.pbx.address, "201");
        let offer = Extra::body(city.lines[again].describe("sendrecv"));
        city.line_calls(again, "0790000008", &offer);
        city.run_ms(100);
        again
    };
    let second = call_again(&mut city);
    assert_eq!(city.lines[second].end_of_call(), "503");
    city.line_says(citizen, "BYE", &Extra::default());
    city.run_ms(100);
    let other = city.line(city.carrier.address, "0790000008");
    let third = call_again(&mut city);
    city.run_until_line(other, "INVITE (sdp)", 1);
    city.line_says(third, "CANCEL", &Extra::default());
    city.finish();
}
