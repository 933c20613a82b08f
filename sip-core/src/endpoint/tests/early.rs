//! Early dialogs: several callees of one INVITE, and requests before the answer.
// The peer at 192.0.2.9 forks, re-routes, and speaks before it answers.
use super::*;
use crate::dialog::MAX_FORWARDS;

#[test]
fn a_request_of_a_callee_that_rings_is_heard_and_answered() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.inside(&invite, "INFO", 1, "near");
    assert_eq!(bench.last().status(), Some(500), "it overtook its own 180");
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.names();
    bench.inside(&invite, "INFO", 2, "near");
    let Some(Event::Requested {
        dialog, request, ..
    }) = bench.events.pop()
    else {
        panic!("not asked")
    };
    assert_eq!(dialog, Some(id));
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), None);
    bench.drain();
    assert_eq!(bench.last().status(), Some(200));
    bench.inside(&invite, "INFO", 1, "near");
    assert_eq!(bench.last().status(), Some(500), "an old number");
    bench.inside(&invite, "INFO", 9, "stranger");
    assert_eq!(bench.last().status(), Some(500), "a fork that never rang");
}

#[test]
fn a_request_of_ours_goes_to_who_rang_last_by_its_own_route() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    assert_eq!(bench.endpoint.dialog_name(id), None);
    let route = |host: &str| {
        format!("Contact: <sip:{host}@192.0.2.9:5071>\r\nRecord-Route: <sip:{host}.example;lr>\r\n")
    };
    bench.answer(&invite, "180 Ringing", "one", &route("one"));
    bench.answer(&invite, "180 Ringing", "two", &route("two"));
    bench.answer(&invite, "183 Progress", "one", &route("one"));
    let info = || InDialog {
        method: "INFO".to_owned(),
        headers: vec![("X-Own", "1".to_owned())],
        body: Some(("text/plain".to_owned(), Bytes::from_static(b"hello"))),
    };
    bench.endpoint.request(bench.now, id, info());
    bench.drain();
    let sent = bench.last().clone();
    assert_eq!(sent.to().unwrap().tag(), Some(&b"one"[..]));
    assert_eq!(sent.cseq().unwrap().number, 2);
    assert_eq!(sent.max_forwards(), Some(MAX_FORWARDS));
    assert_eq!(
        sent.text(HeaderName::Route).as_deref(),
        Some("<sip:one.example;lr>")
    );
    assert_eq!(sent.content_type().as_deref(), Some("text/plain"));
    assert_eq!(sent.body(), Bytes::from_static(b"hello"));
    let name = bench.endpoint.dialog_name(id).unwrap();
    assert_eq!(name.remote_tag, "one");
    let ours = name.local_tag.clone();
    let named = |bench: &mut Bench, peer: PeerId, tag: &str| {
        bench.endpoint.dialog_named(
            peer,
            name.call_id.as_bytes(),
            ours.as_bytes(),
            tag.as_bytes(),
        )
    };
    assert_eq!(named(&mut bench, NEIGHBOUR, "two"), Some(id));
    assert_eq!(named(&mut bench, NEIGHBOUR, "three"), None);
    assert_eq!(named(&mut bench, PeerId(9), "two"), None);

    // The 2xx confirms one, with the routes it says (RFC 3261 section 13.2.2.4).
    bench.answer(&invite, "200 OK", "two", &route("later"));
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    let bye = bench.last().clone();
    assert_eq!(
        bye.text(HeaderName::Route).as_deref(),
        Some("<sip:later.example;lr>")
    );
    assert_eq!(
        bye.request_uri().unwrap().as_str(),
        "sip:later@192.0.2.9:5071"
    );
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn one_of_several_callees_that_gives_up_does_not_end_the_call() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "180 Ringing", "one", "");
    bench.answer(&invite, "180 Ringing", "two", "");
    bench.ladder();
    bench.inside(&invite, "BYE", 1, "one");
    assert_eq!(bench.ladder(), ["< BYE", "> 200 BYE"]);
    bench.answer(&invite, "200 OK", "two", "");
    assert_eq!(bench.names(), ["Rang", "Rang", "Accepted"]);
}

#[test]
fn a_199_ends_its_own_early_dialog_and_nothing_else() {
    // RFC 6228 section 4: a branch of a forking PBX has ended, another rings on.
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "180 Ringing", "one", "");
    bench.answer(&invite, "180 Ringing", "two", "");
    bench.ladder();
    let reliable = "Require: 100rel\r\nRSeq: 1\r\n";
    bench.answer(&invite, "199 Early Dialog Terminated", "two", reliable);
    assert_eq!(bench.ladder(), ["> PRACK", "< 199 INVITE"]);
    let info = InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info);
    bench.drain();
    assert_eq!(bench.last().to().unwrap().tag(), Some(&b"one"[..]));
    // One that never rang leaves nothing either.
    bench.answer(&invite, "199 Early Dialog Terminated", "three", "");
    let usage = bench.endpoint.usages.get_mut(&id).unwrap();
    assert_eq!(usage.sessions().len(), 1);
    bench.answer(&invite, "200 OK", "one", "");
    assert_eq!(bench.names(), ["Rang", "Rang", "Accepted"]);
}

#[test]
fn a_200_that_crosses_an_early_bye_is_ended_under_a_new_number() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    let reliable = "Require: 100rel\r\nRSeq: 1\r\n";
    bench.answer(&invite, "180 Ringing", "one", reliable);
    assert_eq!(bench.last().cseq().unwrap().number, 2, "the PRACK");
    bench.inside(&invite, "BYE", 1, "one");
    bench.answer(&invite, "200 OK", "one", "");
    let bye = bench.last().clone();
    assert_eq!(bye.method(), Some(Method::Bye));
    assert_eq!(bye.cseq().unwrap().number, 3);
}

#[test]
fn callees_beyond_the_limit_are_heard_and_not_kept() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    for fork in 0..40 {
        let tag = format!("fork{fork}");
        bench.answer(&invite, "180 Ringing", &tag, "");
    }
    assert_eq!(bench.names(), vec!["Rang"; 40]);
    let usage = bench.endpoint.usages.get_mut(&id).unwrap();
    assert_eq!(usage.sessions().len(), table::MAX_FORKS);
    bench.answer(&invite, "200 OK", "fork39", "");
    assert_eq!(bench.names(), ["Accepted"]);
}

#[test]
fn a_caller_speaks_in_its_early_dialog() {
    let mut bench = Bench::new();
    let id = bench.invited_with("Allow: INVITE, INFO\r\n", SDP);
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.drain();
    let tag = bench.tag();
    assert!(bench.endpoint.allows(id, &Method::Info));
    assert!(!bench.endpoint.allows(id, &Method::Update));
    bench.hear(&within("INFO", 2, &tag, "", ""));
    assert_eq!(bench.names(), ["Requested"]);
    bench.hear(&within("INVITE", 3, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(500), "its own INVITE is open");
    let name = bench.endpoint.dialog_name(id).unwrap();
    assert_eq!(
        (name.call_id.as_str(), name.remote_tag.as_str()),
        ("c1", "far")
    );
    assert_eq!(
        bench
            .endpoint
            .dialog_named(NEIGHBOUR, b"c1", tag.as_bytes(), b"far"),
        Some(id)
    );
}

#[test]
fn patience_is_over_when_nothing_at_all_came_back() {
    let mut bench = Bench::new();
    bench.patience = Some(Duration::from_secs(4));
    bench.call();
    bench.wait(Duration::from_secs(3));
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.names(), ["Silent"]);
    let invite = bench.sent[0].clone();
    // It goes on: a late callee is heard.
    bench.answer(&invite, "180 Ringing", "near", "");
    assert_eq!(bench.names(), ["Rang"]);
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "100 Trying", "", "");
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.names(), [""; 0]);
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "422 Too Small", "near", "Min-SE: 3600\r\n");
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.names(), [""; 0], "somebody is there");
}

#[test]
fn an_offer_to_nobody_who_has_rung_has_failed_at_once() {
    let mut bench = Bench::new();
    let id = bench.call();
    bench.endpoint.update(bench.now, id, sdp());
    for glare in [Glare::Report, Glare::Repeat] {
        bench.endpoint.reinvite(bench.now, id, sdp(), glare);
    }
    bench.drain();
    let statuses: Vec<u16> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            Event::NotModified { status, .. } => Some(*status),
            _ => None,
        })
        .collect();
    assert_eq!(statuses, [491; 3]);
}

#[test]
fn an_offer_to_a_callee_that_is_left_has_failed() {
    // Else whoever passed it on would wait for its outcome as long as the call lasts.
    for end in ["200 OK", "BYE", "422 Session Interval Too Small"] {
        let mut bench = Bench::new();
        let id = bench.call();
        let invite = bench.last().clone();
        let reliable = "Allow: UPDATE\r\nRequire: 100rel\r\nRSeq: 1\r\n";
        bench.describe(&invite, "183 Progress", "one", reliable);
        bench.endpoint.update(bench.now, id, sdp());
        bench.drain();
        assert_eq!(bench.last().method(), Some(Method::Update));
        bench.answer(&invite, "180 Ringing", "two", "");
        bench.names();
        match end {
            "BYE" => bench.inside(&invite, "BYE", 1, "one"),
            end => bench.describe(&invite, end, "two", "Min-SE: 3600\r\n"),
        }
        let Event::NotModified {
            status, message, ..
        } = bench.events.remove(0)
        else {
            panic!("not told: {end}")
        };
        assert_eq!((status, message.is_none()), (491, true), "{end}");
    }
}
