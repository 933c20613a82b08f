//! SIPp on either side of the real binary, over UDP and over TCP: what calls need beyond talking.
//!
//! Each scenario checks what it receives; a test is over when both parties have seen their scenario to its end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use conformance::{
    house::{
        ANNOUNCE, CITIZEN, CITY,
        Caller::{Carrier, Pbx},
        House, SECOND_NUMBER, TRANSPARENT, announced, callee, listen, over_both,
        with_second_number,
    },
    kamailio::{Kamailio, Line},
    server::Network,
    sipp::Transport::{Tcp, Udp},
};
use tempfile::TempDir;

const PASSWORD: &str = "carp streamer";

#[test]
fn a_reliable_answer_and_an_early_update_cross_from_the_carrier() {
    over_both(100, |house| {
        house.play(Carrier, "caller-demands-reliable", "callee-rings-reliably");
    });
}

#[test]
fn a_reliable_answer_and_an_early_update_cross_from_the_pbx() {
    over_both(102, |house| {
        house.play(Pbx, "caller-demands-reliable", "callee-rings-reliably");
    });
}

#[test]
fn a_call_without_an_offer_is_answered_with_one_from_either_side() {
    over_both(104, |house| {
        house.play(Carrier, "caller-offers-late", "callee-answers");
        house.play(Pbx, "caller-offers-late", "callee-answers");
    });
}

#[test]
fn an_announced_call_without_an_offer_is_answered_with_one() {
    announced(106, |house| {
        house.ask(Carrier, "caller-offers-late");
    });
}

#[test]
fn a_talk_is_held_resumed_refreshed_and_never_becomes_a_fax_from_the_carrier() {
    over_both(108, |house| {
        house.play(Carrier, "caller-changes", "callee-follows");
    });
}

#[test]
fn a_talk_is_held_resumed_refreshed_and_never_becomes_a_fax_from_the_pbx() {
    over_both(110, |house| {
        house.play(Pbx, "caller-changes", "callee-follows");
    });
}

#[test]
fn a_talk_is_held_and_resumed_by_whoever_was_called() {
    over_both(134, |house| {
        house.play(Carrier, "caller-is-held", "callee-holds");
        house.play(Pbx, "caller-is-held", "callee-holds");
    });
}

#[test]
fn an_announced_talk_is_held_resumed_refreshed_and_never_becomes_a_fax() {
    announced(176, |house| {
        house.play(Carrier, "caller-changes", "callee-follows");
    });
}

#[test]
fn an_announced_talk_is_held_and_resumed_by_the_department() {
    announced(178, |house| {
        house.play(Carrier, "caller-is-held", "callee-holds");
    });
}

#[test]
fn offers_that_cross_in_an_announced_talk_are_told_491_too() {
    announced(182, |house| {
        house.play(Carrier, "caller-holds", "callee-crosses");
    });
}

#[test]
fn after_a_notice_too_a_trusted_pbx_is_told_what_a_trusted_carrier_says() {
    announced(184, |house| {
        house.play(Carrier, "caller-is-known", "callee-knows-caller");
    });
}

#[test]
fn whom_the_pbx_called_is_transferred_to_a_department_and_the_pbx_is_let_go() {
    over_both(136, |house| {
        let network = house.server.network;
        let department = house.start("callee-answers", callee(network, Carrier), None, &[]);
        house.play(Pbx, "caller-transfers", "callee-hangs-up");
        house.finish(department);
    });
}

#[test]
fn a_session_that_is_too_short_is_refused_with_our_minimum_and_then_refreshed() {
    over_both(112, |house| {
        house.play(Carrier, "caller-is-short", "callee-answers");
        house.play(Pbx, "caller-is-short", "callee-answers");
    });
}

#[test]
fn a_session_of_an_announced_call_is_refreshed_too() {
    announced(114, |house| {
        house.ask(Carrier, "caller-is-short");
    });
}

#[test]
fn what_is_asked_outside_a_call_is_answered_as_it_must_be() {
    over_both(116, |house| {
        house.ask(Carrier, "caller-asks");
        house.ask(Pbx, "caller-asks");
    });
}

#[test]
fn a_trusted_pbx_is_told_what_a_trusted_carrier_says_of_its_caller() {
    over_both(118, |house| {
        house.play(Carrier, "caller-is-known", "callee-knows-caller");
    });
}

#[test]
fn a_call_out_after_184_shows_no_number() {
    over_both(120, |house| {
        let dialled = format!("184{CITIZEN}");
        house.play_as(Pbx, &dialled, "caller-talks-briefly", "callee-hears-nobody");
    });
}

#[test]
fn an_emergency_call_goes_out_at_once() {
    over_both(122, |house| {
        house.play_as(Pbx, "110", "caller-talks-briefly", "callee-answers");
    });
}

#[test]
fn offers_that_cross_are_told_491_and_the_first_is_answered() {
    over_both(124, |house| {
        house.play(Carrier, "caller-holds", "callee-crosses");
        house.play(Pbx, "caller-holds", "callee-crosses");
    });
}

#[test]
fn a_pbx_that_answers_503_is_passed_over_for_the_next() {
    over_both(126, |house| {
        let at = callee(house.server.network, Carrier);
        let first = house.start("callee-is-full", at, None, &[]);
        house.second_answers();
        house.finish(first);
    });
}

#[test]
fn a_pbx_where_nobody_listens_is_passed_over_for_the_next() {
    over_both(128, House::second_answers);
}

#[test]
fn a_pbx_that_says_nothing_is_passed_over_for_the_next() {
    let network = Network::new(130);
    let _says_nothing = UdpSocket::bind(callee(network, Carrier)).unwrap();
    House::open(130, Udp, TRANSPARENT, House::second_answers);
}

#[test]
fn a_redirection_to_a_foreign_place_is_told_as_480_without_the_place() {
    over_both(132, |house| {
        let at = callee(house.server.network, Carrier);
        let abroad = [("place", "sip:0790000009@192.0.2.1")];
        let redirects = house.start("callee-redirects", at, None, &abroad);
        house.ask(Carrier, "caller-is-told-480");
        house.finish(redirects);
    });
}

#[test]
fn a_redirection_to_a_number_of_the_city_is_followed() {
    for (third, transport) in [(148, Udp), (149, Tcp)] {
        House::open_as(
            third,
            transport,
            TRANSPARENT,
            |text| with_second_number(&text),
            |house| {
                let at = callee(house.server.network, Carrier);
                let place = format!("sip:{SECOND_NUMBER}@{}", house.server.network.server);
                let redirects = house.start("callee-redirects", at, None, &[("place", &place)]);
                house.second_answers();
                house.finish(redirects);
            },
        );
    }
}

#[test]
fn an_invite_with_replaces_takes_the_place_of_a_party_of_its_own_peer_alone() {
    over_both(150, |house| {
        let called = callee(house.server.network, Carrier);
        let colleague = house.start("callee-answers", called, None, &[]);
        let citizen = house.start_caller(Carrier, "caller-is-hung-up-on", CITY);
        let own = colleague.dialog().unwrap().of_calling_server();
        let others = citizen.dialog().unwrap().of_called_server();
        let words = [("own", own.as_str()), ("others", others.as_str())];
        let stranger = house.start_beside(Carrier, "carrier-may-not-replace", &words);
        house.finish(stranger);
        let picks_up = house.start_beside(Pbx, "caller-picks-up", &words);
        house.finish(picks_up);
        house.finish(colleague);
        house.finish(citizen);
    });
}

#[test]
fn a_trusted_carrier_is_told_what_a_trusted_pbx_says_of_its_caller() {
    over_both(138, |house| {
        house.play(Pbx, "caller-is-known", "callee-knows-caller");
    });
}

#[test]
fn a_call_out_after_186_shows_the_number() {
    over_both(140, |house| {
        let dialled = format!("186{CITIZEN}");
        house.play_as(Pbx, &dialled, "caller-talks-briefly", "callee-sees-number");
    });
}

#[test]
fn over_a_cap_calls_are_told_when_to_come_back_and_emergency_calls_go_out() {
    let one_a_minute =
        |text| format!("{text}\n[overload.caps]\nnumber = {{ calls = 1, per_s = 60 }}\n");
    for (third, transport, profile) in [
        (142, Udp, TRANSPARENT),
        (143, Tcp, TRANSPARENT),
        (186, Udp, ANNOUNCE),
        (187, Tcp, ANNOUNCE),
    ] {
        House::open_as(third, transport, profile, one_a_minute, |house| {
            house.play(Carrier, "caller-talks-briefly", "callee-answers");
            house.ask(Carrier, "caller-is-told-later");
            house.play_as(Pbx, "119", "caller-talks-briefly", "callee-answers");
        });
    }
}

#[test]
fn a_citizen_who_hangs_up_during_the_notice_calls_no_department_and_leaves_nothing() {
    announced(144, |house| {
        house.ask(Carrier, "caller-talks-briefly");
        let call = house.server.call_in_state("unrecorded").unwrap();
        assert_eq!(call["reason"], "CALLER_HUNG_UP", "{call}");
    });
}

#[test]
fn a_line_is_registered_with_its_password_called_by_its_contact_and_taken_away_at_the_end() {
    for (third, transport, profile) in [
        (146, Udp, TRANSPARENT),
        (147, Tcp, TRANSPARENT),
        (188, Udp, ANNOUNCE),
    ] {
        let registrar = callee(Network::new(third), Pbx);
        let secret = Secret::new();
        let registers = |text: String| registered(&text, &secret);
        let takes = listen("registrar-challenges", registrar, transport);
        House::open_as(third, transport, profile, registers, |house| {
            house.server.wait_until_registered().unwrap();
            house.play(Carrier, "caller-calls-contact", "callee-answers");
        });
        takes.finish().unwrap();
    }
}

#[test]
fn kamailio_takes_a_line_by_its_sha_256_digest_calls_it_and_lets_it_call_out() {
    for (third, transport) in [(152, Udp), (153, Tcp)] {
        let network = Network::new(third);
        let registrar = callee(network, Pbx);
        let line = Line {
            at: network.server,
            password: PASSWORD,
            callee: SocketAddr::new(registrar.ip(), 5066),
        };
        let kamailio = Kamailio::start(registrar, &line, transport).unwrap();
        let secret = Secret::new();
        let registers = |text: String| registered(&text, &secret);
        House::open_as(third, transport, TRANSPARENT, registers, |house| {
            house.server.wait_until_registered().unwrap();
            house.calls_through(Carrier, registrar, callee(network, Carrier));
            house.calls_through(Pbx, network.server, line.callee);
            kamailio.wait_for("proved INVITE of city").unwrap();
        });
        kamailio
            .wait_for("proved REGISTER of city expires 0")
            .unwrap();
    }
}

#[test]
fn a_line_with_a_wrong_password_is_not_taken_by_kamailio() {
    let network = Network::new(154);
    let registrar = callee(network, Pbx);
    let line = Line {
        at: network.server,
        password: "another",
        callee: registrar,
    };
    let kamailio = Kamailio::start(registrar, &line, Udp).unwrap();
    let secret = Secret::new();
    let registers = |text: String| registered(&text, &secret);
    House::open_as(154, Udp, TRANSPARENT, registers, |house| {
        kamailio.wait_for("refused REGISTER of city").unwrap();
        house.server.wait_until_refused().unwrap();
    });
    assert!(!kamailio.log().contains("proved"), "{}", kamailio.log());
}

/// The password of a line, in a file that its owner alone can read.
struct Secret {
    folder: TempDir,
}

impl Secret {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = Self { folder };
        fs::write(secret.file(), format!("{PASSWORD}\n")).unwrap();
        fs::set_permissions(secret.file(), fs::Permissions::from_mode(0o600)).unwrap();
        secret
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("line.password")
    }
}

/// The configuration whose carrier is a line that registers.
fn registered(text: &str, secret: &Secret) -> String {
    let (before, carrier) = text.split_once("send_to = ").unwrap();
    let (send_to, after) = carrier.split_once('\n').unwrap();
    format!(
        "{before}send_to = {send_to}\n\
         registration = {{ registrar = \"carrier.example\", user = \"{CITY}\", auth_user = \"city\", \
         realm = \"carrier.example\", password_file = \"{}\", contact_user = \"line-1\" }}\n{after}",
        secret.file().display()
    )
}
