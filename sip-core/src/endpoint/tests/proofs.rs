//! Who we are: challenges of a peer, honest ones and others, and requests outside every dialog.
// The peer at 192.0.2.9 asks for a password; peer 1 and other realms ask too and get none.
use super::*;
use crate::peer::{Credentials, PeerSettings};

const REALM: &str = "ims.example";

fn credentials(realm: &str) -> Credentials {
    Credentials {
        realm: realm.to_owned(),
        user: "city".to_owned(),
        password: "secret".to_owned(),
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    let settings = PeerSettings {
        credentials: Some(credentials(REALM)),
        ..PeerSettings::default()
    };
    bench.endpoint.set_peer(NEIGHBOUR, settings);
    bench
}

pub(super) fn outside(method: &str) -> Outside {
    let party = || NameAddrText {
        display: None,
        uri: "sip:0783331000@ims.example".to_owned(),
    };
    Outside {
        peer: NEIGHBOUR,
        hop: hop(),
        method: method.to_owned(),
        request_uri: "sip:ims.example".to_owned(),
        from: party(),
        to: party(),
        contact_user: Some("r4nd0m".to_owned()),
        headers: vec![("Expires", "3600".to_owned())],
        series: 7,
        patience: None,
    }
}

fn register(bench: &mut Bench) -> SentId {
    let sent = bench.endpoint.send(bench.now, outside("REGISTER"));
    bench.drain();
    sent
}

fn ask(name: &str, nonce: &str, more: &str) -> String {
    format!(
        "{name}: Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=SHA-256{more}\r\n"
    )
}

fn challenge(bench: &mut Bench, nonce: &str, more: &str) {
    let request = bench.last().clone();
    let header = ask("WWW-Authenticate", nonce, more);
    bench.answer(&request, "401 Unauthorized", "reg", &header);
}

fn proxy_challenge(bench: &mut Bench, nonce: &str, more: &str) {
    let request = bench.last().clone();
    let header = ask("Proxy-Authenticate", nonce, more);
    bench.answer(&request, "407 Proxy Authentication Required", "px", &header);
}

/// What the last answer to a challenge says under a name, without quotes.
fn said(bench: &Bench, header: &str, name: &str) -> Option<String> {
    let value = bench.header(header)?;
    let (_, rest) = value.split_once(&format!("{name}="))?;
    let value = rest.split(',').next()?;
    Some(value.trim_matches('"').to_owned())
}

fn shown(bench: &Bench, header: &str) -> Option<(String, String)> {
    Some((said(bench, header, "nonce")?, said(bench, header, " nc")?))
}

fn pair(nonce: &str, count: &str) -> Option<(String, String)> {
    Some((nonce.to_owned(), count.to_owned()))
}

#[test]
fn a_register_is_sent_again_with_its_credentials_and_the_next_shows_them_at_once() {
    let mut bench = bench();
    let sent = register(&mut bench);
    let first = bench.last().clone();
    assert_eq!(first.method(), Some(Method::Register));
    assert_eq!(
        first.text(HeaderName::Contact).as_deref(),
        Some("<sip:r4nd0m@192.0.2.1:5060>")
    );
    challenge(&mut bench, "one", ", opaque=\"op\"");
    let second = bench.last().clone();
    assert_eq!(second.call_id(), first.call_id());
    assert_eq!(second.from().unwrap().tag(), first.from().unwrap().tag());
    assert_eq!(second.to().unwrap().tag(), None);
    assert_eq!(second.cseq().unwrap().number, 2);
    assert_ne!(
        second.via().unwrap().branch(),
        first.via().unwrap().branch()
    );
    assert_eq!(bench.header("Expires").as_deref(), Some("3600"));
    let header = bench.header("Authorization").unwrap();
    assert!(
        header.starts_with("Digest username=\"city\", realm=\"ims.example\", nonce=\"one\", uri=\"sip:ims.example\", response=\""),
        "{header}"
    );
    assert!(
        header.contains(", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"")
            && header.ends_with(", opaque=\"op\""),
        "{header}"
    );
    assert!(!header.contains("secret"));
    bench.answer(&second, "200 OK", "reg", "");
    match bench.events.pop() {
        Some(Event::Answered {
            dialog: None,
            sent: answered,
            status: 200,
            message: Some(_),
        }) => assert_eq!(answered, sent),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        bench.events.len(),
        0,
        "the application hears of no challenge"
    );

    register(&mut bench);
    assert_eq!(bench.last().cseq().unwrap().number, 3);
    assert_eq!(bench.last().call_id(), first.call_id());
    assert_eq!(shown(&bench, "Authorization"), pair("one", "00000002"));
    assert_eq!(
        bench.ladder(),
        [
            "> REGISTER",
            "< 401 REGISTER",
            "> REGISTER",
            "< 200 REGISTER",
            "> REGISTER"
        ]
    );
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_nonce_is_answered_once_and_a_stale_one_replaced() {
    let mut bench = bench();
    register(&mut bench);
    challenge(&mut bench, "one", "");
    challenge(&mut bench, "two", ", stale=true");
    assert_eq!(shown(&bench, "Authorization"), pair("two", "00000001"));
    challenge(&mut bench, "two", ", stale=true");
    assert_eq!(bench.names(), ["Answered"], "the same nonce, again");

    // What was only remembered may be old; the new nonce is answered once, and a wrong password is told.
    register(&mut bench);
    assert_eq!(shown(&bench, "Authorization"), None, "it was refused");
    challenge(&mut bench, "three", "");
    let request = bench.last().clone();
    bench.answer(&request, "200 OK", "reg", "");
    register(&mut bench);
    assert_eq!(shown(&bench, "Authorization"), pair("three", "00000002"));
    challenge(&mut bench, "four", "");
    assert_eq!(shown(&bench, "Authorization"), pair("four", "00000001"));
    challenge(&mut bench, "five", "");
    assert_eq!(bench.names(), ["Answered", "Answered"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_server_that_finds_every_nonce_stale_is_asked_four_times() {
    let mut bench = bench();
    register(&mut bench);
    for number in 0..9 {
        challenge(&mut bench, &format!("n{number}"), ", stale=true");
    }
    let registers = bench.sent.len();
    assert_eq!((registers, bench.names()), (5, vec!["Answered"]));
}

#[test]
fn nobody_else_and_no_other_realm_is_shown_anything() {
    for header in [
        "WWW-Authenticate: Digest realm=\"evil.example\", nonce=\"x\"\r\n",
        "WWW-Authenticate: Digest nonce=\"x\"\r\n",
        "WWW-Authenticate: Basic realm=\"ims.example\"\r\n",
        "Proxy-Authenticate: Digest realm=\"ims.example\", nonce=\"x\"\r\n",
        "",
    ] {
        let mut bench = bench();
        register(&mut bench);
        let request = bench.last().clone();
        bench.answer(&request, "401 Unauthorized", "reg", header);
        assert_eq!(
            (bench.names(), bench.sent.len()),
            (vec!["Answered"], 1),
            "{header}"
        );
    }
    // A peer without credentials of ours, who names the realm of another.
    let mut bench = bench();
    let elsewhere = Outside {
        peer: PeerId(1),
        ..outside("OPTIONS")
    };
    bench.endpoint.send(bench.now, elsewhere);
    bench.drain();
    let request = bench.last().clone();
    let header = ask("WWW-Authenticate", "x", "");
    let answer = strangers::answer_to(&request, "401 Unauthorized", "t")
        .replace("Content-Length", &format!("{header}Content-Length"));
    bench.hear_from(PeerId(1), &answer);
    assert_eq!((bench.names(), bench.sent.len()), (vec!["Answered"], 1));
    // What a peer's request asks is not for us to prove: 401 to an answer of ours does not exist.
    register(&mut bench);
    let request = bench.last().clone();
    let forged = strangers::answer_to(&request, "401 Unauthorized", "t")
        .replace("Content-Length", &format!("{header}Content-Length"));
    bench.hear_from(PeerId(1), &forged);
    assert_eq!((bench.names(), bench.sent.len()), (vec![], 2));
}

#[test]
fn an_invite_is_acked_and_sent_again_and_its_acks_and_byes_show_the_same() {
    let mut bench = bench();
    bench.patience = Some(Duration::from_secs(4));
    let id = bench.call();
    let first = bench.last().clone();
    proxy_challenge(&mut bench, "one", "");
    let second = bench.last().clone();
    assert_eq!(second.cseq().unwrap().number, 2);
    assert_eq!(second.body(), first.body());
    assert_eq!(bench.header("X-Own").as_deref(), Some("1"));
    assert_eq!(
        shown(&bench, "Proxy-Authorization"),
        pair("one", "00000001")
    );
    // The callee asks too.
    challenge(&mut bench, "deep", "");
    assert_eq!(
        shown(&bench, "Proxy-Authorization"),
        pair("one", "00000002")
    );
    assert_eq!(shown(&bench, "Authorization"), pair("deep", "00000001"));
    let third = bench.last().clone();
    bench.wait(Duration::from_secs(6));
    bench.ladder();
    assert_eq!(bench.names(), Vec::<&str>::new(), "something has come back");
    bench.describe(
        &third,
        "200 OK",
        "near",
        "Contact: <sip:200@192.0.2.9:5070>\r\n",
    );
    let ack = bench.last().clone();
    assert_eq!(ack.method(), Some(Method::Ack));
    assert_eq!(ack.cseq().unwrap().number, 3);
    for name in ["Authorization", "Proxy-Authorization"] {
        assert_eq!(
            ack.named(name).next(),
            third.named(name).next(),
            "RFC 3261 section 13.2.2.4"
        );
    }
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.last().cseq().unwrap().number, 4);
    assert_eq!(
        shown(&bench, "Proxy-Authorization"),
        pair("one", "00000003")
    );
    assert_eq!(shown(&bench, "Authorization"), pair("deep", "00000002"));
    proxy_challenge(&mut bench, "two", "");
    assert_eq!(bench.last().method(), Some(Method::Bye));
    assert_eq!(bench.last().cseq().unwrap().number, 5);
    assert_eq!(
        shown(&bench, "Proxy-Authorization"),
        pair("two", "00000001")
    );
    let bye = bench.last().clone();
    bench.answer(&bye, "200 OK", "", "");
    assert_eq!(bench.names(), ["Accepted", "ByeDone"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn requests_in_a_dialog_are_proved_and_their_numbers_go_on() {
    let mut bench = bench();
    let (id, _) = bench.called_with("Allow: INVITE, ACK, BYE, UPDATE, INFO\r\n");
    let info = InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info);
    bench.drain();
    challenge(&mut bench, "one", "");
    assert_eq!(bench.last().method(), Some(Method::Info));
    assert_eq!(bench.last().cseq().unwrap().number, 3);
    let request = bench.last().clone();
    bench.answer(&request, "200 OK", "", "");
    assert_eq!(bench.names(), ["Answered"]);

    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    assert_eq!(bench.last().cseq().unwrap().number, 4);
    challenge(&mut bench, "two", "");
    let reinvite = bench.last().clone();
    assert_eq!(reinvite.method(), Some(Method::Invite));
    assert_eq!(reinvite.cseq().unwrap().number, 5);
    assert_eq!(reinvite.body(), sdp());
    bench.describe(&reinvite, "200 OK", "", "");
    assert_eq!(bench.last().method(), Some(Method::Ack));
    assert_eq!(bench.last().cseq().unwrap().number, 5);
    assert!(bench.header("Authorization").is_some());
    assert_eq!(bench.names(), ["Modified"]);
}

#[test]
fn a_challenge_that_crosses_our_cancel_is_not_answered() {
    let mut bench = bench();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "100 Trying", "", "");
    bench.endpoint.cancel(bench.now, id, None);
    bench.drain();
    let header = ask("Proxy-Authenticate", "one", "");
    bench.answer(&invite, "407 Proxy Authentication Required", "px", &header);
    assert_eq!(bench.names(), ["Rejected"]);
    assert_eq!(bench.last().method(), Some(Method::Ack));
}

#[test]
fn a_challenge_to_a_change_that_was_withdrawn_is_not_answered() {
    let mut bench = bench();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    bench.endpoint.withdraw(bench.now, id);
    bench.ladder();
    challenge(&mut bench, "one", "");
    assert_eq!(bench.ladder(), ["< 401 INVITE", "> ACK"]);
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn after_our_bye_no_challenge_is_answered_but_its_own() {
    let mut bench = bench();
    let (id, _) = bench.called_with("Allow: INVITE, ACK, BYE, UPDATE, INFO\r\n");
    let info = InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info);
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    bench.ladder();
    let header = ask("WWW-Authenticate", "one", "");
    let sent: Vec<Message> = bench.sent.split_off(bench.sent.len() - 3);
    for request in sent {
        bench.answer(&request, "401 Unauthorized", "near", &header);
    }
    assert_eq!(
        bench.ladder(),
        ["< 401 INFO", "< 401 INVITE", "> ACK", "< 401 BYE", "> BYE"]
    );
}

#[test]
fn another_password_forgets_the_nonce() {
    let mut bench = bench();
    register(&mut bench);
    challenge(&mut bench, "one", "");
    let request = bench.last().clone();
    bench.answer(&request, "200 OK", "reg", "");
    let settings = PeerSettings {
        credentials: Some(credentials(REALM)),
        ..PeerSettings::default()
    };
    bench.endpoint.set_peer(NEIGHBOUR, settings);
    register(&mut bench);
    assert_eq!(shown(&bench, "Authorization"), None);
}

#[test]
fn a_request_nobody_answers_is_told_once() {
    let mut bench = bench();
    bench.endpoint.send(bench.now, outside("OPTIONS"));
    bench.wait(Duration::from_secs(33));
    let status = |bench: &mut Bench| match bench.events.pop() {
        Some(Event::Answered {
            status,
            message: None,
            ..
        }) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&mut bench), 408);
    bench.endpoint.send(bench.now, outside("OPTIONS"));
    bench.drain();
    bench.miss(hop());
    assert_eq!(status(&mut bench), 503);
    for method in ["INVITE", "SUBSCRIBE", "BYE", "no token"] {
        bench.endpoint.send(bench.now, outside(method));
        bench.drain();
        assert_eq!(status(&mut bench), 405, "{method}");
    }
    let broken = Outside {
        request_uri: String::new(),
        ..outside("OPTIONS")
    };
    bench.endpoint.send(bench.now, broken);
    bench.drain();
    assert_eq!(status(&mut bench), 400);
    assert!(bench.events.is_empty() && bench.is_empty());
}

#[test]
fn whoever_asks_with_patience_hears_of_silence_when_that_is_over() {
    let asked = |patience_s| Outside {
        patience: Some(Duration::from_secs(patience_s)),
        ..outside("REGISTER")
    };
    let mut bench = bench();
    bench.endpoint.send(bench.now, asked(4));
    bench.drain();
    let register = bench.last().clone();
    bench.wait(Duration::from_millis(3_999));
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.names(), ["Answered"]);
    bench.answer(&register, "200 OK", "reg", "");
    bench.endpoint.send(bench.now, asked(4));
    bench.drain();
    let register = bench.last().clone();
    bench.answer(&register, "100 Trying", "reg", "");
    bench.wait(Duration::from_secs(31));
    assert_eq!(bench.names(), [""; 0], "somebody is there");
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.names(), ["Answered"]);
    assert!(bench.is_empty());
}

#[test]
fn credentials_follow_no_contact_to_a_stranger() {
    // A peer that was shown who we are answers with somebody else's address, in each place that may name one.
    for named in [
        "Contact: <sip:x@203.0.113.66:5060>\r\n",
        "Contact: <sip:x@192.0.2.10:5060>\r\n",
        "Contact: <sip:x@192.0.2.9>\r\nRecord-Route: <sip:203.0.113.66;lr>\r\n",
    ] {
        let mut bench = bench();
        bench.endpoint.set_neighbours(BTreeMap::from([
            (hop().remote.ip(), NEIGHBOUR),
            ("192.0.2.10".parse().unwrap(), PeerId(1)),
        ]));
        let dialog = bench.call();
        let invite = bench.last().clone();
        let header = ask("Proxy-Authenticate", "n1", "");
        bench.answer(&invite, "407 Proxy Authentication Required", "x", &header);
        let invite = bench.last().clone();
        bench.answer(&invite, "200 OK", "x", named);
        bench.endpoint.bye(bench.now, dialog, None);
        bench.drain();
        let methods: Vec<_> = bench.sent.iter().filter_map(Message::method).collect();
        assert!(
            methods.ends_with(&[Method::Ack, Method::Bye]),
            "{methods:?}"
        );
        assert!(bench.ways.iter().all(|way| *way == hop()), "{named}");
    }
}
