//! An attended transfer lets nobody go before those who stay are joined. What is broken stands in each test's name.

use expect_test::expect;
use tests::{Plan, line::Extra};

use crate::{
    attended::{
        Consulted, Named, PCMA, PCMU, agrees, consult, consult_in, hear_each_other,
        hear_each_other_still, hold,
    },
    transfer::{refer_to_dialog, told},
};

/// The citizen speaks both codecs, the department and the expert one each: the citizen has to be asked for the other one.
fn consult_in_two_codecs() -> Consulted {
    let mut all = consult(&Named {
        citizen: &[PCMA, PCMU, 101],
        department: &[PCMA, 101],
        consultation: &[PCMU, 101],
    });
    for line in [all.citizen, all.department, all.consulting, all.expert] {
        all.city.line_speaks(line);
    }
    all.city.run_ms(100);
    all
}

/// The department asks for its transfer, and the citizen is asked for the expert's codec.
fn ask_the_citizen() -> Consulted {
    let mut consulted = consult_in_two_codecs();
    consulted.refer();
    let city = &mut consulted.city;
    city.run_until_line(consulted.citizen, "INVITE (sdp)", 1);
    consulted
}

impl Consulted {
    fn refer(&mut self) {
        let replaces = self.city.lines[self.consulting].replaces();
        refer_to_dialog(&mut self.city, self.department, &replaces);
        self.city.run_until_line(self.department, "202 REFER", 1);
    }

    fn hangs_up(&mut self, line: usize) {
        self.city.line_says(line, "BYE", &Extra::default());
        self.city.run_until_line(line, "200 BYE", 1);
    }

    fn refuses(&mut self, line: usize, status: u16) {
        let nothing = Extra::default();
        self.city.line_answers(line, "INVITE", status, &nothing);
        self.city.run_ms(100);
    }

    /// How a call stands for each line.
    fn ends(&self) -> [&str; 4] {
        [self.citizen, self.department, self.consulting, self.expert]
            .map(|line| self.city.lines[line].end_of_call())
    }

    /// Whoever is still there hangs up, first the citizen.
    fn finish(&mut self) {
        for line in [self.citizen, self.consulting, self.expert, self.department] {
            if self.city.lines[line].end_of_call().is_empty() {
                self.city.line_says(line, "BYE", &Extra::default());
                self.city.run_ms(100);
            }
        }
        self.city.finish();
    }

    /// How many segments the recording of the citizen's call has.
    fn segments(&self) -> usize {
        assert_eq!(self.city.recorder.closed.len(), 1);
        self.city.recorder.closed[0].earlier.len() + 1
    }
}

#[test]
fn whoever_transfers_is_let_go_once_the_party_that_was_asked_has_agreed() {
    let mut all = ask_the_citizen();
    all.city.run_ms(1_000);
    assert_eq!(all.ends(), [""; 4]);
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    hear_each_other_still(&mut all.city, citizen, department);
    hear_each_other_still(&mut all.city, consulting, expert);
    agrees(&mut all.city, citizen, 1, "sendrecv", &[PCMU, 101]);
    all.city.run_until_line(department, "BYE", 1);
    all.city.run_until_line(consulting, "BYE", 1);
    hear_each_other(&mut all.city, citizen, expert);
    assert_eq!(
        told(&all.city, department),
        ["SIP/2.0 100 Trying active", "SIP/2.0 200 OK terminated"]
    );
    all.finish();
    assert_eq!(all.segments(), 2);
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
        0007.823 |                                |<------------ REFER ------------|
        0007.823 |                                |---------- 202 REFER ---------->|
        0007.823 |                                |----------- NOTIFY ------------>|
        0007.823 |<-------- INVITE (sdp) ---------|                                |
        0007.833 |                                |<--------- 200 NOTIFY ----------|
        0008.323 |<----- INVITE (sdp) again ------|                                |
        0009.323 |<----- INVITE (sdp) again ------|                                |
        0009.833 |------ 200 INVITE (sdp) ------->|                                |
        0009.833 |<------------- ACK -------------|                                |
        0009.833 |                                |----------- NOTIFY ------------>|
        0009.833 |                          [transferred]                          |
        0009.833 |                            [Talking]                            |
        0009.833 |                    [recording: next segment]                    |
        0009.843 |                                |<--------- 200 NOTIFY ----------|
        0009.843 |                                |------------- BYE ------------->|
        0009.853 |                                |<----------- 200 BYE -----------|
        0010.453 |------------- BYE ------------->|                                |
        0010.453 |<----------- 200 BYE -----------|                                |
        0010.453 |                                |------------- BYE ------------->|
        0010.453 |                     [Over: CALLER_HUNG_UP]                      |
        0010.463 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&all.city.ladder(0));
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |                                |<-------- INVITE (sdp) ---------|
        0000.000 |                                |--------- 100 INVITE ---------->|
        0000.000 |                           [internal]                            |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 200 INVITE (sdp) -------|
        0000.010 |                                |------------- ACK ------------->|
        0000.010 |                                |------ 200 INVITE (sdp) ------->|
        0000.010 |                  [not recorded: OUT_OF_SCOPE]                   |
        0000.010 |                            [Talking]                            |
        0000.020 |                                |<------------- ACK -------------|
        0002.230 |                                |------------- BYE ------------->|
        0002.230 |              [joined to another call by transfer]               |
        0002.240 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&all.city.ladder(1));
}

#[test]
fn a_party_that_refuses_leaves_both_calls_as_they_were() {
    let mut all = ask_the_citizen();
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    all.refuses(citizen, 488);
    hear_each_other_still(&mut all.city, citizen, department);
    hear_each_other_still(&mut all.city, consulting, expert);
    assert_eq!(all.ends(), [""; 4]);
    assert_eq!(
        told(&all.city, department),
        [
            "SIP/2.0 100 Trying active",
            "SIP/2.0 488 Not Acceptable Here terminated"
        ]
    );
    // It may try again.
    all.refer();
    agrees(&mut all.city, citizen, 2, "sendrecv", &[PCMU, 101]);
    hear_each_other(&mut all.city, citizen, expert);
    all.finish();
    assert_eq!(all.segments(), 2);
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
        0007.823 |                                |<------------ REFER ------------|
        0007.823 |                                |---------- 202 REFER ---------->|
        0007.823 |                                |----------- NOTIFY ------------>|
        0007.823 |<-------- INVITE (sdp) ---------|                                |
        0007.833 |                                |<--------- 200 NOTIFY ----------|
        0007.833 |--------- 488 INVITE ---------->|                                |
        0007.833 |<------------- ACK -------------|                                |
        0007.833 |                                |----------- NOTIFY ------------>|
        0007.833 |                        [transfer failed]                        |
        0007.843 |                                |<--------- 200 NOTIFY ----------|
        0008.933 |                                |<------------ REFER ------------|
        0008.933 |                                |---------- 202 REFER ---------->|
        0008.933 |                                |----------- NOTIFY ------------>|
        0008.933 |<-------- INVITE (sdp) ---------|                                |
        0008.943 |                                |<--------- 200 NOTIFY ----------|
        0008.943 |------ 200 INVITE (sdp) ------->|                                |
        0008.943 |<------------- ACK -------------|                                |
        0008.943 |                                |----------- NOTIFY ------------>|
        0008.943 |                          [transferred]                          |
        0008.943 |                            [Talking]                            |
        0008.943 |                    [recording: next segment]                    |
        0008.953 |                                |<--------- 200 NOTIFY ----------|
        0008.953 |                                |------------- BYE ------------->|
        0008.963 |                                |<----------- 200 BYE -----------|
        0009.543 |------------- BYE ------------->|                                |
        0009.543 |<----------- 200 BYE -----------|                                |
        0009.543 |                                |------------- BYE ------------->|
        0009.543 |                     [Over: CALLER_HUNG_UP]                      |
        0009.553 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&all.city.ladder(0));
}

#[test]
fn a_party_that_does_not_answer_leaves_both_calls_as_they_were() {
    let mut all = ask_the_citizen();
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    all.city.run_ms(33_000);
    hear_each_other_still(&mut all.city, citizen, department);
    hear_each_other_still(&mut all.city, consulting, expert);
    assert_eq!(all.ends(), [""; 4]);
    assert_eq!(
        told(&all.city, department),
        [
            "SIP/2.0 100 Trying active",
            "SIP/2.0 408 Request Timeout terminated"
        ]
    );
    all.finish();
    assert_eq!(all.segments(), 1, "the recording goes on as it was");
}

#[test]
fn a_party_that_knows_nothing_of_its_call_ends_that_call_alone() {
    let mut all = ask_the_citizen();
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    all.refuses(citizen, 481);
    hear_each_other_still(&mut all.city, consulting, expert);
    assert_eq!(all.city.lines[department].end_of_call(), "was hung up on");
    assert_eq!(all.city.lines[citizen].end_of_call(), "was hung up on");
    all.finish();
    assert_eq!(all.segments(), 1);
}

#[test]
fn the_parties_are_joined_though_whoever_transfers_hangs_up_meanwhile() {
    for (first, second) in [(true, true), (true, false), (false, true)] {
        let mut all = ask_the_citizen();
        let (citizen, department, consulting, expert) =
            (all.citizen, all.department, all.consulting, all.expert);
        if first {
            all.hangs_up(department);
        }
        if second {
            all.hangs_up(consulting);
        }
        all.city.run_ms(500);
        agrees(&mut all.city, citizen, 1, "sendrecv", &[PCMU, 101]);
        hear_each_other(&mut all.city, citizen, expert);
        let [_, one, other, _] = all.ends().map(str::to_owned);
        let way = |is_own| if is_own { "hung up" } else { "was hung up on" };
        assert_eq!([one.as_str(), &other], [way(first), way(second)]);
        all.finish();
        assert_eq!(all.segments(), 2);
        if (first, second) == (true, true) {
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
                0007.823 |                                |<------------ REFER ------------|
                0007.823 |                                |---------- 202 REFER ---------->|
                0007.823 |                                |----------- NOTIFY ------------>|
                0007.823 |<-------- INVITE (sdp) ---------|                                |
                0007.833 |                                |<--------- 200 NOTIFY ----------|
                0007.833 |                                |<------------- BYE -------------|
                0007.833 |                                |----------- 200 BYE ----------->|
                0007.833 |                            [Parted]                             |
                0008.323 |<----- INVITE (sdp) again ------|                                |
                0008.353 |------ 200 INVITE (sdp) ------->|                                |
                0008.353 |<------------- ACK -------------|                                |
                0008.353 |                          [transferred]                          |
                0008.353 |                            [Talking]                            |
                0008.353 |                    [recording: next segment]                    |
                0008.953 |------------- BYE ------------->|                                |
                0008.953 |<----------- 200 BYE -----------|                                |
                0008.953 |                                |------------- BYE ------------->|
                0008.953 |                     [Over: CALLER_HUNG_UP]                      |
                0008.963 |                                |<----------- 200 BYE -----------|
            "#]]
            .assert_eq(&all.city.ladder(0));
            expect![[r#"
                seconds  carrier                       denwaban                       department
                0000.000 |                                |<-------- INVITE (sdp) ---------|
                0000.000 |                                |--------- 100 INVITE ---------->|
                0000.000 |                           [internal]                            |
                0000.000 |                                |-------- INVITE (sdp) --------->|
                0000.000 |                            [Passing]                            |
                0000.010 |                                |<--------- 100 INVITE ----------|
                0000.010 |                                |<------ 200 INVITE (sdp) -------|
                0000.010 |                                |------------- ACK ------------->|
                0000.010 |                                |------ 200 INVITE (sdp) ------->|
                0000.010 |                  [not recorded: OUT_OF_SCOPE]                   |
                0000.010 |                            [Talking]                            |
                0000.020 |                                |<------------- ACK -------------|
                0000.240 |                                |<------------- BYE -------------|
                0000.240 |                                |----------- 200 BYE ----------->|
                0000.240 |                            [Parted]                             |
                0000.750 |              [joined to another call by transfer]               |
            "#]]
            .assert_eq(&all.city.ladder(1));
        }
    }
}

#[test]
fn whoever_is_alone_when_the_join_fails_is_not_left_in_silence() {
    let mut all = ask_the_citizen();
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    all.hangs_up(department);
    all.hangs_up(consulting);
    all.refuses(citizen, 488);
    all.city.run_until_line(expert, "BYE", 1);
    let heard = all.city.lines[citizen].voice.heard.len();
    all.city.run_ms(1_000);
    let heard = all.city.lines[citizen].voice.heard.len() - heard;
    assert!(heard > 40, "the closing prompt");
    all.city.run_until_line(citizen, "BYE", 1);
    all.city.finish();
    assert_eq!(all.segments(), 1);
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
        0007.823 |                                |<------------ REFER ------------|
        0007.823 |                                |---------- 202 REFER ---------->|
        0007.823 |                                |----------- NOTIFY ------------>|
        0007.823 |<-------- INVITE (sdp) ---------|                                |
        0007.833 |                                |<--------- 200 NOTIFY ----------|
        0007.833 |                                |<------------- BYE -------------|
        0007.833 |                                |----------- 200 BYE ----------->|
        0007.833 |                            [Parted]                             |
        0007.853 |--------- 488 INVITE ---------->|                                |
        0007.853 |<------------- ACK -------------|                                |
        0007.853 |                        [transfer failed]                        |
        0007.853 |                       [prompt congestion]                       |
        0007.853 |                            [Closing]                            |
        0018.962 |<------------- BYE -------------|                                |
        0018.962 |                       [Over: CONGESTION]                        |
        0018.972 |----------- 200 BYE ----------->|                                |
    "#]]
    .assert_eq(&all.city.ladder(0));
}

#[test]
fn a_call_that_is_whole_goes_on_though_the_other_ends_by_a_failed_join() {
    for is_first in [true, false] {
        let mut all = ask_the_citizen();
        let (citizen, department, consulting, expert) =
            (all.citizen, all.department, all.consulting, all.expert);
        all.hangs_up(if is_first { department } else { consulting });
        all.refuses(citizen, 488);
        if is_first {
            hear_each_other_still(&mut all.city, consulting, expert);
            all.city.run_until_line(citizen, "BYE", 1);
        } else {
            hear_each_other_still(&mut all.city, citizen, department);
            all.city.run_until_line(expert, "BYE", 1);
        }
        all.finish();
        assert_eq!(all.segments(), 1);
    }
}

#[test]
fn a_party_that_hangs_up_meanwhile_ends_its_own_call_alone() {
    let mut all = ask_the_citizen();
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    all.hangs_up(citizen);
    all.city.run_until_line(department, "BYE", 1);
    hear_each_other_still(&mut all.city, consulting, expert);
    all.finish();
    assert_eq!(all.segments(), 1);
    assert_eq!(
        told(&all.city, department).last().map(String::as_str),
        Some("SIP/2.0 487 Request Terminated terminated")
    );

    let mut all = ask_the_citizen();
    all.city
        .line_answers(citizen, "INVITE", 100, &Extra::default());
    all.hangs_up(expert);
    all.city.run_until_line(consulting, "BYE", 1);
    all.city.run_until_line(citizen, "CANCEL", 1);
    hear_each_other_still(&mut all.city, citizen, department);
    assert_eq!(
        told(&all.city, department).last().map(String::as_str),
        Some("SIP/2.0 480 Temporarily Unavailable terminated")
    );
    all.finish();
    assert_eq!(all.segments(), 1);
}

#[test]
fn a_party_that_agreed_in_vain_is_asked_for_what_it_had() {
    // The 200 and the BYE of the other party cross.
    let mut all = ask_the_citizen();
    let (citizen, department, expert) = (all.citizen, all.department, all.expert);
    all.hangs_up(expert);
    agrees(&mut all.city, citizen, 1, "sendrecv", &[PCMU, 101]);
    agrees(&mut all.city, citizen, 2, "sendrecv", &[PCMA, 101]);
    hear_each_other(&mut all.city, citizen, department);
    all.finish();
    assert_eq!(all.segments(), 1);
}

#[test]
fn whoever_was_fetched_from_hold_is_on_hold_again_where_the_other_refuses() {
    // Whoever transfers has put both on hold.
    let mut all = consult(&Named {
        citizen: &[PCMU, 101],
        department: &[PCMU, 101],
        consultation: &[PCMU, 101],
    });
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    hold(&mut all.city, department, citizen, "sendonly", "recvonly");
    hold(&mut all.city, consulting, expert, "sendonly", "recvonly");
    all.refer();
    agrees(&mut all.city, citizen, 2, "sendrecv", &[PCMU, 101]);
    all.city.run_until_line(expert, "INVITE (sdp)", 3);
    all.refuses(expert, 488);
    agrees(&mut all.city, citizen, 3, "sendonly", &[PCMU, 101]);
    all.city.run_ms(100);
    assert_eq!(all.ends(), [""; 4]);
    all.finish();
    assert_eq!(all.segments(), 1);
}

#[test]
fn a_change_that_is_wanted_while_two_are_joined_waits() {
    let mut all = ask_the_citizen();
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    for line in [department, consulting, expert] {
        let body = all.city.lines[line].describe("sendonly");
        all.city.line_says(line, "INVITE", &Extra::body(body));
        all.city.run_until_line(line, "491 INVITE", 1);
    }
    agrees(&mut all.city, citizen, 1, "sendrecv", &[PCMU, 101]);
    hear_each_other(&mut all.city, citizen, expert);
    all.finish();
}

#[test]
fn a_leg_that_was_to_move_to_the_other_shard_in_vain_stays_where_it_is() {
    for is_agreed in [false, true] {
        let plan = Plan {
            shards: 2,
            ..Plan::announce()
        };
        let one_codec: &[u8] = &[PCMU, 101];
        let mut all = consult_in(
            plan,
            &Named {
                citizen: one_codec,
                department: one_codec,
                consultation: one_codec,
            },
        );
        let (citizen, department, consulting, expert) =
            (all.citizen, all.department, all.consulting, all.expert);
        for line in [citizen, department, consulting, expert] {
            all.city.line_speaks(line);
        }
        let stays = all.city.lines[expert].invite.as_ref().unwrap().media();
        all.refer();
        all.city.run_until_line(expert, "INVITE (sdp)", 2);
        let moves = all.city.lines[expert].last("INVITE").unwrap().media();
        assert_ne!(stays, moves);
        if is_agreed {
            // Its 200 and the BYE of the citizen cross.
            all.hangs_up(citizen);
            agrees(&mut all.city, expert, 2, "sendrecv", one_codec);
            agrees(&mut all.city, expert, 3, "sendrecv", one_codec);
            let asked_back = all.city.lines[expert].last("INVITE").unwrap().media();
            assert_eq!(asked_back, stays);
            hear_each_other(&mut all.city, consulting, expert);
        } else {
            all.refuses(expert, 488);
            hear_each_other_still(&mut all.city, citizen, department);
            hear_each_other_still(&mut all.city, consulting, expert);
        }
        all.finish();
        assert_eq!(all.segments(), 1);
    }
}

#[test]
fn what_a_party_agreed_to_stands_until_the_join() {
    // Whoever transfers has put both on hold, and hangs up while the expert is still asked.
    let mut all = consult(&Named {
        citizen: &[PCMU, 101],
        department: &[PCMU, 101],
        consultation: &[PCMU, 101],
    });
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    hold(&mut all.city, department, citizen, "sendonly", "recvonly");
    hold(&mut all.city, consulting, expert, "sendonly", "recvonly");
    all.refer();
    agrees(&mut all.city, citizen, 2, "sendrecv", &[PCMU, 101]);
    all.city.run_until_line(expert, "INVITE (sdp)", 3);
    all.hangs_up(department);
    let body = all.city.lines[citizen].describe("sendonly");
    all.city.line_says(citizen, "INVITE", &Extra::body(body));
    all.city.run_until_line(citizen, "491 INVITE", 1);
    agrees(&mut all.city, expert, 3, "sendrecv", &[PCMU, 101]);
    hear_each_other(&mut all.city, citizen, expert);
    all.finish();
}

#[test]
fn whoever_is_to_be_told_of_a_hold_is_asked_last() {
    // The expert holds the consultation, and has to be asked for the citizen's codec.
    let mut all = consult(&Named {
        citizen: &[PCMU, 101],
        department: &[PCMU, 101],
        consultation: &[PCMA, PCMU, 101],
    });
    let (citizen, department, consulting, expert) =
        (all.citizen, all.department, all.consulting, all.expert);
    hold(&mut all.city, expert, consulting, "inactive", "inactive");
    for line in [citizen, department] {
        all.city.line_speaks(line);
    }
    all.refer();
    all.city.run_ms(500);
    assert_eq!(all.city.lines[citizen].count("INVITE (sdp)"), 0);
    hear_each_other_still(&mut all.city, citizen, department);
    all.city.lines[expert].version += 1;
    let holding = all.city.lines[expert].describe_again("inactive", &[PCMU, 101]);
    all.city
        .line_answers(expert, "INVITE", 200, &Extra::body(holding));
    agrees(&mut all.city, citizen, 1, "inactive", &[PCMU, 101]);
    all.city.run_until_line(department, "BYE", 1);
    all.city.lines[expert].version += 1;
    let resumed = all.city.lines[expert].describe_again("sendrecv", &[PCMU, 101]);
    all.city.line_says(expert, "INVITE", &Extra::body(resumed));
    agrees(&mut all.city, citizen, 2, "sendrecv", &[PCMU, 101]);
    hear_each_other(&mut all.city, citizen, expert);
    all.finish();
}
