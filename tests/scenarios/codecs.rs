//! The codecs of a trunk's settings. The world is whole; a peer is spoken with in one codec only, or two of them have none in common.

use exchange::Settings;
use media::Codec;
use tests::{
    City, Plan,
    carrier::Dial,
    line::{Extra, Line},
    plan::NUMBER,
};

const PCMU: u8 = 0;
const PCMA: u8 = 8;
const CARRIER: usize = 0;
const PBX: usize = 1;

type Adapt = fn(&mut Settings);

fn plans(adapt: Adapt) -> [Plan; 2] {
    [Plan::announce(), Plan::transparent()].map(|plan| Plan { adapt, ..plan })
}

/// What a description names of our codecs, in its order.
fn codecs(payload_types: &[u8]) -> Vec<u8> {
    let ours = [PCMU, PCMA];
    let named = payload_types.iter().copied();
    named.filter(|named| ours.contains(named)).collect()
}

/// What the last offer or answer that a line got names of our codecs.
fn told(line: &Line) -> Vec<u8> {
    let mut got = line.got.iter().rev();
    let described = got.find(|(_, message)| message.media().is_some());
    codecs(&described.expect("a description").1.payload_types())
}

#[test]
fn a_trunk_is_spoken_with_in_the_codecs_of_its_settings_alone() {
    let sides: [Adapt; 2] = [
        |settings| settings.peers[CARRIER].codecs = vec![Codec::Pcma],
        |settings| settings.peers[PBX].codecs = vec![Codec::Pcma],
    ];
    for adapt in sides {
        for plan in plans(adapt) {
            // Everybody names PCMU first.
            let mut city = City::new(plan);
            let citizen = city.line(city.carrier.address, "0790000001");
            let department = city.line(city.pbx.address, "100");
            let offer = city.lines[citizen].describe("sendrecv");
            city.line_calls(citizen, NUMBER, &Extra::body(offer));
            city.run_until_line(department, "INVITE (sdp)", 1);
            assert_eq!(told(&city.lines[department]), [PCMA]);
            let answer = city.lines[department].describe("sendrecv");
            city.line_answers(department, "INVITE", 200, &Extra::body(answer));
            city.run_until_line(citizen, "200 INVITE (sdp)", 1);
            assert_eq!(told(&city.lines[citizen]), [PCMA]);
            city.run_ms(100);
            city.line_says(citizen, "BYE", &Extra::default());
            city.finish();
        }
    }
}

#[test]
fn a_caller_without_an_offer_and_a_callee_outside_are_offered_the_codecs_of_their_trunk() {
    let adapt: Adapt = |settings| settings.peers[CARRIER].codecs = vec![Codec::Pcma];
    for plan in plans(adapt) {
        let mut city = City::new(plan);
        let citizen = city.line(city.carrier.address, "0790000001");
        let department = city.line(city.pbx.address, "100");
        city.lines[citizen].ack_body = city.lines[citizen].describe_again("sendrecv", &[8, 101]);
        city.line_calls(citizen, NUMBER, &Extra::default());
        city.run_until_line(department, "INVITE (sdp)", 1);
        let answer = city.lines[department].describe("sendrecv");
        city.line_answers(department, "INVITE", 200, &Extra::body(answer));
        city.run_until_line(citizen, "200 INVITE (sdp)", 1);
        assert_eq!(told(&city.lines[citizen]), [PCMA]);
        city.run_ms(100);
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
    }
    let orders: [(Adapt, &[u8]); 2] = [
        (adapt, &[PCMA]),
        (
            |settings| settings.peers[CARRIER].codecs = vec![Codec::Pcma, Codec::Pcmu],
            &[PCMA, PCMU],
        ),
    ];
    for (adapt, expected) in orders {
        let mut city = City::new(Plan {
            adapt,
            ..Plan::announce()
        });
        let extension = city.line(city.pbx.address, "200");
        let citizen = city.line(city.carrier.address, "0790000009");
        let offer = city.lines[extension].describe("sendrecv");
        city.line_calls(extension, "0790000009", &Extra::body(offer));
        city.run_until_line(citizen, "INVITE (sdp)", 1);
        assert_eq!(told(&city.lines[citizen]), expected);
        city.line_says(extension, "CANCEL", &Extra::default());
        city.finish();
    }
}

#[test]
fn two_trunks_without_a_common_codec_have_no_call_and_the_caller_hears_488_at_once() {
    let adapt: Adapt = |settings| {
        settings.peers[CARRIER].codecs = vec![Codec::Pcmu];
        settings.peers[PBX].codecs = vec![Codec::Pcma];
    };
    for plan in plans(adapt) {
        for offers in [vec![PCMU, PCMA, 101], vec![PCMA, 101]] {
            let mut city = City::new(plan.clone());
            let call = city.dial(Dial {
                payload_types: offers,
                ..Dial::to(NUMBER)
            });
            city.finish();
            assert_eq!(city.caller(call).end_of_call(), "488");
            assert!(city.pbx.calls.is_empty() && city.media_sent.is_empty());
        }
        let mut city = City::new(plan);
        let without_offer = city.line(city.carrier.address, "0790000001");
        let extension = city.line(city.pbx.address, "200");
        city.line_calls(without_offer, NUMBER, &Extra::default());
        let offer = city.lines[extension].describe("sendrecv");
        city.line_calls(extension, "0790000009", &Extra::body(offer));
        city.finish();
        for line in [without_offer, extension] {
            assert_eq!(city.lines[line].end_of_call(), "488");
        }
    }
}

#[test]
fn a_codec_that_the_other_trunk_does_not_speak_is_refused_inside_a_call_which_goes_on() {
    let adapt: Adapt = |settings| settings.peers[CARRIER].codecs = vec![Codec::Pcmu];
    for plan in plans(adapt) {
        let mut city = City::new(plan);
        let citizen = city.line(city.carrier.address, "0790000001");
        let department = city.line(city.pbx.address, "100");
        let offer = city.lines[citizen].describe("sendrecv");
        city.line_calls(citizen, NUMBER, &Extra::body(offer));
        city.run_until_line(department, "INVITE (sdp)", 1);
        let answer = city.lines[department].describe("sendrecv");
        city.line_answers(department, "INVITE", 200, &Extra::body(answer));
        city.run_until_line(department, "ACK", 1);
        city.run_ms(100);
        for asks in [department, citizen] {
            city.lines[asks].version += 1;
            let offer = city.lines[asks].describe_again("sendrecv", &[PCMA, 101]);
            city.line_says(asks, "INVITE", &Extra::body(offer));
            city.run_until_line(asks, "488 INVITE", 1);
        }
        assert_eq!(city.exchange_at_work().call_count(), 1);
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
    }
}
