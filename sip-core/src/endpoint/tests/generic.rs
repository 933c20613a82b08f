//! Requests inside a dialog that the endpoint knows nothing of, and those outside that it refuses.
// The peer at 192.0.2.9 knows methods that we do not.
use super::*;

fn plain(method: &str) -> InDialog {
    InDialog {
        method: method.to_owned(),
        headers: Vec::new(),
        body: None,
    }
}

#[test]
fn every_method_inside_a_dialog_is_asked() {
    let mut bench = Bench::new();
    let (_, tag) = bench.talking_with("");
    let methods = ["INFO", "NOTIFY", "REFER", "MESSAGE", "OPTIONS", "X-NEW"];
    for (method, cseq) in methods.into_iter().zip(2..) {
        let more = "Event: refer\r\nContent-Disposition: x\r\n";
        bench.hear(&within(method, cseq, &tag, more, ""));
        let Some(Event::Requested {
            request, message, ..
        }) = bench.events.pop()
        else {
            panic!("{method} was not asked")
        };
        assert_eq!(message.method().unwrap().as_bytes(), method.as_bytes());
        bench
            .endpoint
            .respond(bench.now, request, 202, "Accepted", Vec::new(), None);
        bench.drain();
        assert_eq!(bench.last().status(), Some(202));
    }
    bench.hear(&within("SUBSCRIBE", 20, &tag, "Event: presence\r\n", ""));
    assert_eq!(bench.last().status(), Some(489));
    bench.hear(&within("SUBSCRIBE", 21, &tag, "Event: refer;id=1\r\n", ""));
    assert_eq!(bench.names(), ["Requested"]);
    bench.wait(FOREVER);
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn what_an_info_carries_is_for_the_application() {
    let mut bench = Bench::new();
    let (_, tag) = bench.talking_with("");
    let digits = within(
        "INFO",
        2,
        &tag,
        "Content-Type: application/dtmf-relay\r\n",
        "",
    );
    bench.hear(&format!("{digits}Signal=1\r\n"));
    assert_eq!(bench.names(), ["Requested"]);
    let text = within("UPDATE", 3, &tag, "Content-Type: text/plain\r\n", "");
    bench.hear(&format!("{text}hello"));
    assert_eq!(bench.last().status(), Some(415));
}

#[test]
fn a_request_of_ours_is_answered_unanswered_or_refused_at_once() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    let answers = |bench: &mut Bench| -> Vec<(SentId, u16, bool)> {
        bench
            .events
            .drain(..)
            .filter_map(|event| match event {
                Event::Answered {
                    sent,
                    status,
                    message,
                    ..
                } => Some((sent, status, message.is_some())),
                _ => None,
            })
            .collect()
    };
    let refer = InDialog {
        headers: vec![("Refer-To", "<sip:300@pbx.example>".to_owned())],
        ..plain("REFER")
    };
    let first = bench.endpoint.request(bench.now, id, refer);
    bench.drain();
    let refer = bench.last().clone();
    assert!(refer.contact().is_some(), "a REFER names its target");
    bench.answer(&refer, "202 Accepted", "", "");
    assert_eq!(answers(&mut bench), [(first, 202, true)]);
    let lost = bench.endpoint.request(bench.now, id, plain("X-NEW"));
    bench.wait(Duration::from_secs(33));
    assert_eq!(answers(&mut bench), [(lost, 408, false)]);
    for method in ["INVITE", "BYE", "UPDATE", "bad method", ""] {
        let sent = bench.endpoint.request(bench.now, id, plain(method));
        bench.drain();
        assert_eq!(answers(&mut bench), [(sent, 405, false)], "{method}");
    }
    let nowhere = bench
        .endpoint
        .request(bench.now, DialogId(9999), plain("INFO"));
    bench.drain();
    assert_eq!(answers(&mut bench), [(nowhere, 481, false)]);
    let sent: Vec<SentId> = (0..17)
        .map(|_| bench.endpoint.request(bench.now, id, plain("INFO")))
        .collect();
    bench.drain();
    assert_eq!(answers(&mut bench), [(sent[16], 503, false)]);
    bench.wait(FOREVER);
    assert_eq!(answers(&mut bench).len(), 16);
    let again = bench.endpoint.request(bench.now, id, plain("INFO"));
    bench.wait(FOREVER);
    assert_eq!(answers(&mut bench), [(again, 408, false)]);
}

#[test]
fn what_belongs_to_a_dialog_and_names_none_is_refused() {
    let mut bench = Bench::new();
    for (method, status) in [
        ("PRACK", 481),
        ("UPDATE", 481),
        ("INFO", 481),
        ("NOTIFY", 481),
        ("REFER", 403),
        ("SUBSCRIBE", 489),
        ("PUBLISH", 489),
        ("MESSAGE", 405),
        ("REGISTER", 405),
        ("X-NEW", 501),
    ] {
        bench.hear(&request(method, method, "", ""));
        assert_eq!(bench.last().status(), Some(status), "{method}");
        let events = bench.header("Allow-Events");
        assert_eq!(events.is_some(), status == 489, "{method}");
    }
    assert!(bench.is_empty());
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_dialog_that_ends_takes_nothing_but_bye() {
    let mut bench = Bench::new();
    let (id, tag) = bench.talking_with("");
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    for (method, cseq) in ["INFO", "UPDATE", "INVITE"].into_iter().zip(2..) {
        bench.hear(&within(method, cseq, &tag, "", ""));
        assert_eq!(bench.last().status(), Some(481), "{method}");
    }
    let sent = bench.endpoint.request(bench.now, id, plain("INFO"));
    bench.drain();
    assert!(
        matches!(bench.events.pop(), Some(Event::Answered { sent: of, status: 481, .. }) if of == sent)
    );
}
