//! What each party is told of the other. The network is whole; carriers and PBX are inside the trust domain unless a test says otherwise.

use std::time::Duration;

use exchange::{CalledPlace, NumberForm, Settings, Trust};
use expect_test::expect;
use rules::Caller;
use tests::{
    City, Plan,
    carrier::Dial,
    department::answers_after,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
    text::Text,
};

const TOLD: [&str; 10] = [
    "From",
    "To",
    "P-Asserted-Identity",
    "Privacy",
    "Diversion",
    "History-Info",
    "Reason",
    "P-Early-Media",
    "Resource-Priority",
    "Identity",
];

/// The first line and every header that names a party; tags left out.
fn told(message: &Text) -> String {
    let mut lines = vec![message.start.clone()];
    for name in TOLD {
        for value in message.all(name) {
            let value = value.split(";tag=").next().unwrap_or_default();
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A citizen's call that brings everything that S-08 names, and more.
fn told_everything() -> Dial {
    let lines = [
        "P-Asserted-Identity: \"市民\" <sip:+81790000001@carrier.example;user=phone>, <tel:+81790000001;cpc=ordinary>",
        "Privacy: none",
        "Diversion: <sip:0783331000@carrier.example>;reason=user-busy;counter=1",
        "History-Info: <sip:0783331000@carrier.example?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1",
        "Reason: Q.850;cause=16",
        "P-Early-Media: supported",
        "Resource-Priority: ets.0",
        "Identity: eyJh.eyJ0.c2ln;info=<https://cert.example/a.pem>;alg=ES256;ppt=\"shaken\"",
        "X-Odd: 1",
        "Subject: 相談",
        "User-Agent: gateway",
        "Call-Info: <http://evil.example>",
        "P-Preferred-Identity: <sip:evil@evil.example>",
        "Remote-Party-ID: <sip:evil@evil.example>",
    ];
    Dial {
        headers: lines.map(str::to_owned).to_vec(),
        ..Dial::to(NUMBER)
    }
}

fn connect(plan: Plan, dial: Dial) -> City {
    let mut city = City::new(plan.with("100", answers_after(100)));
    let call = city.dial(dial);
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    city
}

#[test]
fn a_trusted_pbx_is_told_all_that_a_trusted_carrier_said() {
    let city = connect(Plan::transparent(), told_everything());
    expect![[r#"
        INVITE sip:100@127.0.0.3:5062 SIP/2.0
        From: "テスト" <sip:0790000001@127.0.0.1:5060>
        To: <sip:0783331001@127.0.0.3:5062>
        P-Asserted-Identity: "市民" <sip:+81790000001@carrier.example;user=phone>
        P-Asserted-Identity: <tel:+81790000001;cpc=ordinary>
        Privacy: none
        Diversion: <sip:0783331000@carrier.example>;reason=user-busy;counter=1
        History-Info: <sip:0783331000@carrier.example?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1
        Reason: Q.850;cause=16
        P-Early-Media: supported
        Resource-Priority: ets.0
        Identity: eyJh.eyJ0.c2ln;info=<https://cert.example/a.pem>;alg=ES256;ppt="shaken"
    "#]]
    .assert_eq(&told(&city.telephone(0).invite));
    for name in [
        "X-Odd",
        "Subject",
        "User-Agent",
        "Call-Info",
        "P-Preferred-Identity",
        "Remote-Party-ID",
    ] {
        assert_eq!(city.telephone(0).invite.header(name), "", "{name}");
    }
}

#[test]
fn nothing_but_from_is_told_to_or_taken_from_a_peer_outside_the_trust_domain() {
    for adapt in [
        (|settings: &mut Settings| settings.peers[0].trust = Trust::Outside) as fn(&mut Settings),
        |settings| settings.peers[1].trust = Trust::Outside,
    ] {
        let plan = Plan {
            adapt,
            ..Plan::transparent()
        };
        let mut dial = told_everything();
        dial.headers.retain(|line| !line.starts_with("Privacy"));
        let city = connect(plan, dial);
        expect![[r#"
            INVITE sip:100@127.0.0.3:5062 SIP/2.0
            From: "テスト" <sip:0790000001@127.0.0.1:5060>
            To: <sip:0783331001@127.0.0.3:5062>
        "#]]
        .assert_eq(&told(&city.telephone(0).invite));
    }
}

/// What the far side's CANCEL, or BYE where it answered, says of why the caller has given up.
fn why_given_up(adapt: fn(&mut Settings), method: &str) -> String {
    let mut city = City::new(Plan {
        adapt,
        ..Plan::transparent()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = city.lines[citizen].describe("sendrecv");
    city.line_calls(citizen, NUMBER, &Extra::body(offer));
    city.run_until_line(department, "INVITE (sdp)", 1);
    city.line_answers(department, "INVITE", 180, &Extra::default());
    city.run_until_line(citizen, "180 INVITE", 1);
    let why = Extra::header("Reason: SIP;cause=200;text=\"Call completed elsewhere\"");
    city.line_says(citizen, method, &why);
    city.run_until_line(department, "CANCEL", 1);
    city.finish();
    let cancel = city.lines[department]
        .last("CANCEL")
        .expect("it was given up");
    cancel.header("Reason").to_owned()
}

#[test]
fn why_a_caller_gives_up_is_told_within_the_trust_domain() {
    for method in ["CANCEL", "BYE"] {
        assert_eq!(
            why_given_up(|_| {}, method),
            "SIP;cause=200;text=\"Call completed elsewhere\"",
            "{method}"
        );
        for adapt in [
            (|settings: &mut Settings| settings.peers[0].trust = Trust::Outside)
                as fn(&mut Settings),
            |settings| settings.peers[1].trust = Trust::Outside,
        ] {
            assert_eq!(why_given_up(adapt, method), "", "{method}");
        }
    }
}

#[test]
fn a_withheld_caller_is_named_to_no_peer_outside_and_in_no_record() {
    let withheld = || Dial {
        headers: vec![
            "P-Asserted-Identity: <tel:+81790000001>".to_owned(),
            "Privacy: id".to_owned(),
        ],
        ..Dial::to(NUMBER)
    };
    let outside = Plan {
        adapt: |settings| settings.peers[1].trust = Trust::Outside,
        is_waived: true,
        ..Plan::transparent()
    };
    let city = connect(outside, withheld());
    expect![[r#"
        INVITE sip:100@127.0.0.3:5062 SIP/2.0
        From: "Anonymous" <sip:anonymous@anonymous.invalid>
        To: <sip:0783331001@127.0.0.3:5062>
    "#]]
    .assert_eq(&told(&city.telephone(0).invite));
    assert_eq!(*city.recorder.closed[0].caller(), Caller::Anonymous);
    let inside = Plan {
        is_waived: true,
        ..Plan::transparent()
    };
    let city = connect(inside, withheld());
    expect![[r#"
        INVITE sip:100@127.0.0.3:5062 SIP/2.0
        From: "テスト" <sip:0790000001@127.0.0.1:5060>
        To: <sip:0783331001@127.0.0.3:5062>
        P-Asserted-Identity: <tel:+81790000001>
        Privacy: id
    "#]]
    .assert_eq(&told(&city.telephone(0).invite));
    assert_eq!(*city.recorder.closed[0].caller(), Caller::Anonymous);
}

#[test]
fn the_pbx_is_told_why_a_number_is_missing() {
    for (display, header, shown) in [
        ("Anonymous", "Privacy: id", "\"Anonymous\""),
        (
            "Coin line/payphone",
            "Privacy: id",
            "\"Coin line/payphone\"",
        ),
        ("Unavailable", "X-Odd: 1", "\"Unavailable\""),
        (
            "Interaction with other service",
            "X-Odd: 1",
            "\"Interaction with other service\"",
        ),
        ("", "Privacy: id", "\"Anonymous\""),
        (
            "",
            "P-Asserted-Identity: <tel:+81790000001;cpc=payphone>\r\nPrivacy: id",
            "\"Coin line/payphone\"",
        ),
        ("", "X-Odd: 1", "\"Unavailable\""),
    ] {
        let display = if display.is_empty() {
            String::new()
        } else {
            format!("\"{display}\" ")
        };
        let city = connect(
            Plan::announce(),
            Dial {
                from: Some(format!("{display}<sip:anonymous@anonymous.invalid>")),
                headers: vec![header.to_owned()],
                ..Dial::to(NUMBER)
            },
        );
        let from = city.telephone(0).invite.header("From").to_owned();
        assert!(
            from.starts_with(&format!("{shown} <sip:anonymous@anonymous.invalid>;tag=")),
            "{from}"
        );
        assert_eq!(*city.recorder.closed[0].caller(), Caller::Anonymous);
    }
}

#[test]
fn a_critical_privacy_that_nobody_knows_is_refused_where_a_peer_is_outside() {
    let mut city = City::new(Plan {
        adapt: |settings| settings.peers[1].trust = Trust::Outside,
        ..Plan::announce()
    });
    let call = city.dial(Dial {
        headers: vec!["Privacy: unheard-of;critical".to_owned()],
        ..Dial::to(NUMBER)
    });
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "500");
}

#[test]
fn the_called_number_stands_where_the_trunk_writes_it() {
    for (place, header, to) in [
        (CalledPlace::To, "X-Odd: 1", NUMBER),
        (
            CalledPlace::PCalledPartyId,
            "P-Called-Party-ID: <tel:+81783331001>",
            "0799999999",
        ),
        (
            CalledPlace::Diversion,
            "Diversion: <sip:0783331001@x>;reason=unconditional, <sip:0799999999@x>",
            "0799999999",
        ),
    ] {
        let mut city = City::new(
            Plan {
                adapt: match place {
                    CalledPlace::To => |settings| settings.peers[0].called_in = CalledPlace::To,
                    CalledPlace::PCalledPartyId => {
                        |settings| settings.peers[0].called_in = CalledPlace::PCalledPartyId
                    }
                    CalledPlace::Diversion | CalledPlace::RequestUri => {
                        |settings| settings.peers[0].called_in = CalledPlace::Diversion
                    }
                },
                ..Plan::transparent()
            }
            .with("100", answers_after(100)),
        );
        let line = city.line(city.carrier.address, "0790000001");
        let offer = city.lines[line].describe("sendrecv");
        city.lines[line].writes_to = Some(format!("<sip:{to}@127.0.0.1>"));
        city.line_calls(line, "pilot", &Extra::body(offer).and(header));
        city.run_until_line(line, "200 INVITE (sdp)", 1);
        city.run_ms(20);
        city.line_says(line, "BYE", &Extra::default());
        city.finish();
        assert_eq!(city.record(0).called.e164(), "+81783331001", "{place:?}");
    }
}

#[test]
fn numbers_leave_in_the_form_of_the_trunk() {
    let plan = Plan {
        adapt: |settings| settings.peers[1].number_form = NumberForm::E164,
        ..Plan::transparent()
    };
    let dial = Dial {
        headers: vec!["P-Asserted-Identity: <sip:0790000001@x;user=phone>".to_owned()],
        ..Dial::to(NUMBER)
    };
    let city = connect(plan, dial);
    expect![[r#"
        INVITE sip:100@127.0.0.3:5062 SIP/2.0
        From: "テスト" <sip:+81790000001@127.0.0.1:5060>
        To: <sip:+81783331001@127.0.0.3:5062>
        P-Asserted-Identity: <sip:+81790000001@x;user=phone>
    "#]]
    .assert_eq(&told(&city.telephone(0).invite));
}

/// A city with a telephone of the PBX that calls a citizen, who answers.
fn call_out(plan: Plan, called: &str, headers: &[&str]) -> (City, usize, usize) {
    let mut city = City::new(plan);
    let (pbx, carrier) = (city.pbx.address, city.carrier.address);
    let extension = city.line(pbx, "200");
    let citizen = city.line(carrier, "0790000009");
    let body = city.lines[extension].describe("sendrecv");
    let extra = Extra {
        headers: headers.iter().map(ToString::to_string).collect(),
        body,
        kind: "",
    };
    city.line_calls(extension, called, &extra);
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    (city, extension, citizen)
}

#[test]
fn a_call_out_shows_a_number_of_the_trunk_and_nothing_of_the_house() {
    let pbx_says = [
        "P-Asserted-Identity: \"戸籍係\" <sip:200@pbx.example>",
        "Privacy: none",
    ];
    let (mut city, extension, citizen) = call_out(Plan::announce(), "0790000009", &pbx_says);
    expect![[r#"
        INVITE sip:0790000009@127.0.0.2:5060 SIP/2.0
        From: <sip:0783331001@127.0.0.1:5060>
        To: <sip:0790000009@127.0.0.2:5060>
        P-Asserted-Identity: <sip:0783331001@127.0.0.1:5060>
    "#]]
    .assert_eq(&told(city.lines[citizen].invite.as_ref().unwrap()));
    let answer = city.lines[citizen].describe("sendrecv");
    let connected = Extra::body(answer).and("P-Asserted-Identity: <tel:+81790000009>");
    city.line_answers(citizen, "INVITE", 200, &connected);
    city.run_until_line(extension, "200 INVITE (sdp)", 1);
    let ok = city.lines[extension].answered(200, "INVITE").unwrap();
    assert_eq!(ok.header("P-Asserted-Identity"), "<tel:+81790000009>");
    city.run_ms(20);
    city.line_says(
        citizen,
        "BYE",
        &Extra::header("Reason: Q.850;cause=16;text=\"bye\""),
    );
    city.run_until_line(extension, "BYE", 1);
    let bye = city.lines[extension].last("BYE").unwrap();
    assert_eq!(bye.header("Reason"), "Q.850;cause=16;text=\"bye\"");
    city.finish();
}

#[test]
fn the_digits_184_and_186_decide_whether_a_call_out_shows_its_number() {
    for (called, privacy, is_shown) in [
        ("1840790000009", "X-Odd: 1", false),
        ("1860790000009", "Privacy: id", true),
        ("0790000009", "Privacy: id", false),
        ("0790000009", "X-Odd: 1", true),
    ] {
        let (mut city, _, citizen) = call_out(Plan::announce(), called, &[privacy]);
        let invite = city.lines[citizen].invite.clone().unwrap();
        assert_eq!(invite.called_user(), "0790000009");
        assert_eq!(
            invite.header("Privacy"),
            if is_shown { "" } else { "id" },
            "{called} {privacy}"
        );
        assert_eq!(
            invite.header("P-Asserted-Identity"),
            "<sip:0783331001@127.0.0.1:5060>"
        );
        let from = invite
            .header("From")
            .split(";tag=")
            .next()
            .unwrap_or_default();
        let expected = if is_shown {
            "<sip:0783331001@127.0.0.1:5060>"
        } else {
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>"
        };
        assert_eq!(from, expected, "{called} {privacy}");
        city.line_answers(citizen, "INVITE", 486, &Extra::default());
        city.finish();
    }
}

#[test]
fn the_reason_of_a_refusal_crosses_between_trusted_peers_only() {
    for (trust, expected) in [
        (Trust::Inside, "Q.850;cause=17;text=\"busy\""),
        (Trust::Outside, ""),
    ] {
        let plan = Plan {
            adapt: match trust {
                Trust::Inside => |_| {},
                Trust::Outside => |settings| settings.peers[1].trust = Trust::Outside,
            },
            ..Plan::announce()
        };
        let (mut city, extension, citizen) = call_out(plan, "0790000009", &[]);
        let busy = Extra::header("Reason: Q.850;cause=17;text=\"busy\"");
        city.line_answers(citizen, "INVITE", 486, &busy);
        city.run_until_line(extension, "486 INVITE", 1);
        let refusal = city.lines[extension].answered(486, "INVITE").unwrap();
        assert_eq!(refusal.header("Reason"), expected);
        city.finish();
    }
}

#[test]
fn an_internal_call_names_the_extension_as_it_came() {
    let mut city = City::new(Plan::announce().with("100", answers_after(100)));
    let extension = city.line(city.pbx.address, "200");
    let offer = city.lines[extension].describe("sendrecv");
    city.line_calls(extension, OTHER_NUMBER, &Extra::body(offer));
    city.run_until_line(extension, "200 INVITE (sdp)", 1);
    city.run_ms(10);
    city.line_says(extension, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        INVITE sip:100@127.0.0.3:5062 SIP/2.0
        From: <sip:200@127.0.0.1:5060>
        To: <sip:0783331002@127.0.0.3:5062>
    "#]]
    .assert_eq(&told(&city.telephone(0).invite));
}

#[test]
fn a_hostile_name_reaches_the_telephone_as_a_name_and_nothing_else() {
    let city = connect(
        Plan::transparent(),
        Dial {
            from: Some(
                "\"\\\"x\\\" <sip:evil@evil.example>\u{202e}\t\" <sip:0790000001@x>".to_owned(),
            ),
            headers: vec![
                "P-Asserted-Identity: <sip:1@x;maddr=198.51.100.9?Route=%3Csip:evil%3E>".to_owned(),
            ],
            ..Dial::to(NUMBER)
        },
    );
    expect![[r#"
        INVITE sip:100@127.0.0.3:5062 SIP/2.0
        From: "\"x\" <sip:evil@evil.example>[202e] " <sip:0790000001@127.0.0.1:5060>
        To: <sip:0783331001@127.0.0.3:5062>
        P-Asserted-Identity: <sip:1@x>
    "#]]
    .assert_eq(&told(&city.telephone(0).invite).replace('\u{202e}', "[202e]"));
    assert!(city.clock.elapsed() < Duration::from_secs(30));
}
