use bytes::Bytes;

use super::*;

fn message(from: &str, headers: &str) -> Message {
    let text = format!(
        "INVITE sip:0783331001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: {from};tag=a\r\n\
        To: <sip:0783331001@127.0.0.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.2>\r\n{headers}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).unwrap()
}

fn answer(headers: &str) -> Message {
    let text = format!(
        "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\n\
        To: <sip:0783331001@127.0.0.1>;tag=b\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).unwrap()
}

fn towards(trust: Trust) -> Towards<'static> {
    Towards {
        trust,
        form: NumberForm::AsItCame,
        ours: "192.0.2.1:5060".parse().unwrap(),
        shown: Shown::AsItCame,
    }
}

/// From and the headers as lines.
fn told(identity: &Identity, towards: &Towards<'_>) -> Vec<String> {
    let (from, headers) = identity.write(towards);
    let display = from
        .display
        .map_or(String::new(), |display| format!("{display} "));
    let mut lines = vec![format!("From: {display}<{}>", from.uri)];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    lines
}

const EVERYTHING: &str = "P-Asserted-Identity: \"市民\" <sip:+81790000001@carrier.example;user=phone>, <tel:+81790000001;cpc=ordinary>\r\n\
    Privacy: none\r\n\
    Diversion: <sip:0783331000@carrier.example>;reason=user-busy;counter=1;screen=no;privacy=off;x-evil=1\r\n\
    History-Info: <sip:0783331000@carrier.example?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1;foo=bar,\r\n <sip:0783331001@x>;index=1.1;rc=1\r\n\
    Reason: Q.850;cause=16;text=\"forwarded\"\r\n\
    P-Early-Media: supported\r\n\
    Resource-Priority: ets.0, wps.1\r\n\
    Identity: eyJh.eyJ0.sig;info=<https://cert.example/a.pem>;alg=ES256;ppt=shaken\r\n\
    X-Odd: secret\r\n";

#[test]
fn a_trusted_peer_is_told_everything_in_its_value() {
    let identity = Identity::read(
        &message("\"山田\" <sip:0790000001@carrier.example>", EVERYTHING),
        Trust::Inside,
    );
    assert_eq!(
        told(&identity, &towards(Trust::Inside)),
        [
            "From: 山田 <sip:0790000001@192.0.2.1:5060>",
            "P-Asserted-Identity: \"市民\" <sip:+81790000001@carrier.example;user=phone>",
            "P-Asserted-Identity: <tel:+81790000001;cpc=ordinary>",
            "Privacy: none",
            "Diversion: <sip:0783331000@carrier.example>;reason=user-busy;counter=1;privacy=off;screen=no",
            "History-Info: <sip:0783331000@carrier.example?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1",
            "History-Info: <sip:0783331001@x>;index=1.1;rc=1",
            "Reason: Q.850;cause=16;text=\"forwarded\"",
            "P-Early-Media: supported",
            "Resource-Priority: ets.0, wps.1",
            "Identity: eyJh.eyJ0.sig;info=<https://cert.example/a.pem>;alg=ES256;ppt=shaken",
        ]
    );
    assert_eq!(identity.absence(), None);
    assert_eq!(identity.extension(), "0790000001");
    assert!(
        identity
            .numbers()
            .all(|number| number.e164() == "+81790000001")
    );
    assert!(matches!(identity.caller(), Caller::Known(number) if number.e164() == "+81790000001"));
}

#[test]
fn a_peer_outside_is_told_from_alone() {
    let identity = Identity::read(
        &message("\"山田\" <sip:0790000001@carrier.example>", EVERYTHING),
        Trust::Inside,
    );
    assert_eq!(
        told(&identity, &towards(Trust::Outside)),
        ["From: 山田 <sip:0790000001@192.0.2.1:5060>"]
    );
}

#[test]
fn of_a_peer_outside_from_alone_is_believed() {
    let identity = Identity::read(
        &message(
            "<sip:0790000002@x>",
            &EVERYTHING.replace("Privacy: none\r\n", ""),
        ),
        Trust::Outside,
    );
    assert_eq!(
        told(&identity, &towards(Trust::Inside)),
        ["From: <sip:0790000002@192.0.2.1:5060>"]
    );
    assert!(matches!(identity.caller(), Caller::Known(number) if number.e164() == "+81790000002"));
}

#[test]
fn a_peer_outside_gets_an_anonymous_from_where_privacy_asks() {
    for (privacy, is_hidden) in [
        ("id", true),
        ("user", true),
        ("header", true),
        ("full", true),
        ("ID;critical", true),
        ("session", false),
        ("critical", false),
        ("history", false),
        ("none", false),
        ("none;id", false),
        ("something-else", false),
    ] {
        for of in [Trust::Inside, Trust::Outside] {
            let invite = message(
                "\"山田\" <sip:0790000001@x>",
                &format!("Privacy: {privacy}\r\n"),
            );
            let identity = Identity::read(&invite, of);
            let expected = if is_hidden {
                "From: Anonymous <sip:anonymous@anonymous.invalid>"
            } else {
                "From: 山田 <sip:0790000001@192.0.2.1:5060>"
            };
            assert_eq!(
                told(&identity, &towards(Trust::Outside)),
                [expected],
                "{privacy}"
            );
            assert_eq!(
                identity.caller() == Caller::Anonymous,
                is_hidden,
                "{privacy}"
            );
        }
    }
}

#[test]
fn a_privacy_that_cannot_be_given_and_is_critical_is_refused_outside_only() {
    for (privacy, is_beyond) in [
        ("id;critical", false),
        ("critical;unheard-of", true),
        ("unheard-of", false),
    ] {
        let identity = Identity::read(
            &message("<sip:1@x>", &format!("Privacy: {privacy}\r\n")),
            Trust::Inside,
        );
        assert_eq!(
            identity.is_beyond_us(Trust::Outside),
            is_beyond,
            "{privacy}"
        );
        assert!(!identity.is_beyond_us(Trust::Inside));
    }
}

#[test]
fn why_a_number_is_missing_is_read_and_told() {
    let anonymous = "<sip:anonymous@anonymous.invalid>";
    let (id, payphone) = (
        "Privacy: id\r\n",
        "P-Asserted-Identity: <tel:+81790000003;cpc=payphone>\r\n",
    );
    let payphone_id = format!("{payphone}{id}");
    for (from, headers, absence, display) in [
        (
            format!("\"Anonymous\" {anonymous}"),
            id,
            Absence::Withheld,
            "Anonymous",
        ),
        (
            format!("Anonymous {anonymous}"),
            "",
            Absence::Withheld,
            "Anonymous",
        ),
        (
            format!("\"Coin line/payphone\" {anonymous}"),
            id,
            Absence::Payphone,
            "Coin line/payphone",
        ),
        (
            format!("\"Unavailable\" {anonymous}"),
            "",
            Absence::Unavailable,
            "Unavailable",
        ),
        (
            format!("\"Interaction with other service\" {anonymous}"),
            "",
            Absence::Conflict,
            "Interaction with other service",
        ),
        (anonymous.to_owned(), id, Absence::Withheld, "Anonymous"),
        (
            anonymous.to_owned(),
            payphone_id.as_str(),
            Absence::Payphone,
            "Coin line/payphone",
        ),
        (
            format!("\"Anonymous\" {anonymous}"),
            payphone_id.as_str(),
            Absence::Payphone,
            "Anonymous",
        ),
        (
            "<sip:unavailable@unknown.invalid>".to_owned(),
            "",
            Absence::Unavailable,
            "Unavailable",
        ),
        (
            "<sip:0790000001;cpc=payphone@x;user=phone>".to_owned(),
            id,
            Absence::Payphone,
            "",
        ),
    ] {
        let identity = Identity::read(&message(&from, headers), Trust::Inside);
        assert_eq!(identity.absence(), Some(absence), "{from} {headers}");
        assert_eq!(identity.caller(), Caller::Anonymous, "{from} {headers}");
        let (from_told, _) = identity.write(&towards(Trust::Inside));
        assert_eq!(
            from_told.display.unwrap_or_default(),
            display,
            "{from} {headers}"
        );
    }
}

#[test]
fn foreign_and_hostile_octets_in_a_name_harm_nobody() {
    let mut octets = message(
        "\"@@\" <sip:0790000001@x>",
        "P-Asserted-Identity: \"a\\\"b\\\\\" <sip:1@x>\r\n",
    )
    .octets()
    .to_vec();
    let at = octets.windows(2).position(|pair| pair == b"@@").unwrap();
    // Half a character of Shift_JIS.
    octets[at] = 0x8e;
    octets[at + 1] = 0x07;
    let identity = Identity::read(&Message::parse(Bytes::from(octets)).unwrap(), Trust::Inside);
    assert_eq!(
        told(&identity, &towards(Trust::Inside)),
        [
            "From: \u{fffd}  <sip:0790000001@192.0.2.1:5060>",
            "P-Asserted-Identity: \"a\\\"b\\\\\" <sip:1@x>"
        ]
    );
}

#[test]
fn no_value_brings_a_line_of_its_own() {
    let headers = "P-Asserted-Identity: \"a\r\n\tb\" <sip:1@x>\r\nReason: SIP;text=\"a\r\n b\"\r\nDiversion: <sip:2@x>;reason=\"a\r\n b\"\r\n\
        P-Early-Media: sendrecv,\r\n gated\r\nIdentity: abc;info=<https://x\r\n Via: y>;alg=ES256\r\n";
    let identity = Identity::read(&message("<sip:1@x>", headers), Trust::Inside);
    let lines = told(&identity, &towards(Trust::Inside));
    assert_eq!(
        lines,
        [
            "From: <sip:1@192.0.2.1:5060>",
            "P-Asserted-Identity: \"a\tb\" <sip:1@x>"
                .replace('\t', " ")
                .as_str(),
            "Diversion: <sip:2@x>;reason=\"a   b\"",
            "Reason: SIP;text=\"a   b\"",
            "P-Early-Media: sendrecv, gated",
            "Identity: abc;alg=ES256",
        ]
    );
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])));
}

#[test]
fn a_peer_that_never_stops_is_cut() {
    let headers =
        "P-Asserted-Identity: <sip:1@x>\r\nDiversion: <sip:1@x>\r\nReason: SIP\r\n".repeat(30);
    let identity = Identity::read(&message("<sip:1@x>", &headers), Trust::Inside);
    let lines = told(&identity, &towards(Trust::Inside));
    for (name, most) in [("P-Asserted-Identity", 4), ("Diversion", 8), ("Reason", 4)] {
        assert_eq!(
            lines.iter().filter(|line| line.starts_with(name)).count(),
            most,
            "{name}"
        );
    }
}

#[test]
fn numbers_leave_in_the_trunks_form() {
    let headers = "P-Asserted-Identity: <sip:0790000001@x;user=phone>, <tel:+81790000001>\r\n";
    let identity = Identity::read(
        &message("<sip:0790000001;cpc=ordinary@x;user=phone>", headers),
        Trust::Inside,
    );
    let with = |form| Towards {
        form,
        ..towards(Trust::Inside)
    };
    assert_eq!(
        told(&identity, &with(NumberForm::E164)),
        [
            "From: <sip:+81790000001;cpc=ordinary@192.0.2.1:5060;user=phone>",
            "P-Asserted-Identity: <sip:+81790000001@x;user=phone>",
            "P-Asserted-Identity: <tel:+81790000001>",
        ]
    );
    let tel = Identity::read(
        &message("<tel:790000001;phone-context=+81>", ""),
        Trust::Inside,
    );
    assert_eq!(
        told(&tel, &with(NumberForm::National)),
        ["From: <sip:0790000001@192.0.2.1:5060;user=phone>"]
    );
    assert_eq!(
        told(&tel, &with(NumberForm::AsItCame)),
        ["From: <sip:790000001;phone-context=+81@192.0.2.1:5060;user=phone>"]
    );
}

#[test]
fn a_number_of_the_trunk_replaces_what_the_pbx_says_of_itself() {
    let headers = "P-Asserted-Identity: <sip:205@pbx>\r\nPrivacy: id\r\nDiversion: <sip:205@pbx>;reason=no-answer\r\n";
    let identity = Identity::read(&message("\"佐藤\" <sip:205@pbx>", headers), Trust::Inside);
    let number = Number::parse("0783331001").unwrap();
    let with = |trust, shown| Towards {
        shown,
        ..towards(trust)
    };
    assert_eq!(
        told(&identity, &with(Trust::Inside, Shown::Number(&number))),
        [
            "From: <sip:0783331001@192.0.2.1:5060>",
            "P-Asserted-Identity: <sip:0783331001@192.0.2.1:5060>",
            "Diversion: <sip:205@pbx>;reason=no-answer",
        ]
    );
    assert_eq!(
        told(&identity, &with(Trust::Inside, Shown::Withheld(&number))),
        [
            "From: Anonymous <sip:anonymous@anonymous.invalid>",
            "P-Asserted-Identity: <sip:0783331001@192.0.2.1:5060>",
            "Privacy: id",
            "Diversion: <sip:205@pbx>;reason=no-answer",
        ]
    );
    assert_eq!(
        told(&identity, &with(Trust::Outside, Shown::Withheld(&number))),
        ["From: Anonymous <sip:anonymous@anonymous.invalid>"]
    );
}

#[test]
fn a_call_back_is_known_from_trusted_networks_only() {
    let (police, other) = ("<sip:110@x>", "<sip:0790000001@x>");
    let asserted = "P-Asserted-Identity: <tel:119;phone-context=+81>\r\n";
    for (from, headers, inside) in [
        (police, "", true),
        (other, asserted, true),
        (other, "", false),
        // The network names somebody else, or nobody: what the caller wrote into From is not the network's word.
        (police, "P-Asserted-Identity: <sip:0790000001@x>\r\n", false),
        (
            police,
            "P-Asserted-Identity: <sip:anonymous@anonymous.invalid>\r\n",
            false,
        ),
        (police, "P-Asserted-Identity: nonsense <\r\n", false),
        (
            police,
            "P-Asserted-Identity: <sip:0790000001@x>, <tel:119>\r\n",
            false,
        ),
        // Any caller can write it.
        (other, "Priority: psap-callback\r\n", false),
    ] {
        assert_eq!(
            Identity::read(&message(from, headers), Trust::Inside).is_callback(),
            inside,
            "{from} {headers}"
        );
        assert!(!Identity::read(&message(from, headers), Trust::Outside).is_callback());
    }
}

#[test]
fn an_answer_tells_who_is_connected_and_why_it_failed() {
    let answer = answer(
        "P-Asserted-Identity: <sip:100@pbx>\r\nReason: Q.850;cause=17\r\nP-Early-Media: sendonly\r\nResource-Priority: ets.0\r\nServer: x\r\n",
    );
    assert_eq!(
        in_answer(&answer, Trust::Inside, Trust::Inside),
        [
            ("P-Asserted-Identity", "<sip:100@pbx>".to_owned()),
            ("Reason", "Q.850;cause=17".to_owned()),
            ("P-Early-Media", "sendonly".to_owned()),
        ]
    );
    assert_eq!(
        reason(&answer, Trust::Inside, Trust::Inside).as_deref(),
        Some("Q.850;cause=17")
    );
    for (of, to) in [
        (Trust::Inside, Trust::Outside),
        (Trust::Outside, Trust::Inside),
    ] {
        assert_eq!(in_answer(&answer, of, to), []);
        assert_eq!(reason(&answer, of, to), None);
    }
}

#[test]
fn debug_shows_no_text() {
    let token = "eyJkZXN0IjoiODE3ODMzMzEwMDAifQ";
    let headers = format!(
        "{EVERYTHING}Identity: {token}.sig;info=<https://cert.example/p>;ppt=shaken\r\nReason: SIP;cause=486;text=\"tell 0783331000\"\r\n"
    );
    let identity = Identity::read(
        &message("\"山田\" <sip:0790000001@carrier.example>", &headers),
        Trust::Inside,
    );
    let shown = format!("{identity:?}");
    for text in [
        "790000001",
        "山田",
        "83331000",
        token,
        "tell ",
        "cert.example",
    ] {
        assert!(!shown.contains(text), "{text}: {shown}");
    }
    assert!(
        shown.contains("Passport") && shown.contains("cause"),
        "{shown}"
    );
}
