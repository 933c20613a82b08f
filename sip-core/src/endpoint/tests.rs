//! Behaviour of one endpoint, told as ladders; the other side is written by hand.
// One endpoint at 192.0.2.1 and one peer at 192.0.2.9 whose datagrams we write ourselves.
use super::*;
use crate::{
    header::{HeaderName, Method},
    testing::epoch,
};

const US: &str = "192.0.2.1:5060";
const PEER: &str = "192.0.2.9:5070";

struct Bench {
    endpoint: Endpoint,
    now: Instant,
    sent: Vec<Message>,
    /// Which way each of `sent` went.
    ways: Vec<Hop>,
    events: Vec<Event>,
    /// What the peer's next answer holds.
    body: &'static str,
    /// How long the next call waits for a sign of life.
    patience: Option<Duration>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Settings::default())
    }

    fn with(settings: Settings) -> Bench {
        Bench {
            endpoint: Endpoint::new(settings, [7; 32]),
            now: epoch(),
            sent: Vec::new(),
            ways: Vec::new(),
            events: Vec::new(),
            body: "",
            patience: None,
        }
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sent.push(Message::parse(transmit.payload).unwrap());
            self.ways.push(transmit.hop);
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    fn hear(&mut self, text: &str) {
        self.hear_from(NEIGHBOUR, text);
    }

    fn hear_from(&mut self, peer: PeerId, text: &str) {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint.handle_message(self.now, peer, hop(), octets);
        self.drain();
    }

    fn hear_by(&mut self, hop: Hop, text: &str) {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint
            .handle_message(self.now, NEIGHBOUR, hop, octets);
        self.drain();
    }

    /// Nobody is there by this way.
    fn lose(&mut self, hop: Hop) {
        self.endpoint.handle_unreachable(self.now, hop);
        self.drain();
    }

    /// Moves time to each timeout up to `after` from here.
    fn wait(&mut self, after: Duration) {
        let end = self.now + after;
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// The ladder since it was last asked for.
    fn ladder(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(milestone) = self.endpoint.poll_milestone() {
            lines.push(format!(
                "{} {}",
                if milestone.sent { ">" } else { "<" },
                milestone.line
            ));
        }
        lines
    }

    fn names(&mut self) -> Vec<&'static str> {
        self.events.drain(..).map(|event| event.name()).collect()
    }

    fn last(&self) -> &Message {
        self.sent.last().unwrap()
    }

    fn call(&mut self) -> DialogId {
        self.call_at("sip:200@pbx.example")
    }

    fn call_at(&mut self, request_uri: &str) -> DialogId {
        self.call_by(hop(), request_uri)
    }

    fn call_by(&mut self, hop: Hop, request_uri: &str) -> DialogId {
        let party = |user: &str| NameAddrText {
            display: None,
            uri: format!("sip:{user}@city.example"),
        };
        let id = self.endpoint.invite(
            self.now,
            Invite {
                peer: NEIGHBOUR,
                hop,
                request_uri: request_uri.to_owned(),
                from: party("0790000001"),
                to: party("200"),
                contact_user: Some("denwaban".to_owned()),
                body: Some(Bytes::from_static(b"v=0\r\n")),
                headers: vec![("X-Own", "1".to_owned())],
                max_forwards: 69,
                patience: self.patience,
                require_reliable: false,
            },
        );
        self.drain();
        id
    }

    /// The peer answers the request we sent last but `back`.
    fn answer(&mut self, request: &Message, status: &str, tag: &str, more: &str) {
        let value = |name| String::from_utf8_lossy(request.value(name).unwrap()).into_owned();
        let to = value(HeaderName::To);
        let to = if to.contains(";tag=") || tag.is_empty() {
            to
        } else {
            format!("{to};tag={tag}")
        };
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {};received=192.0.2.1\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}Content-Length: {}\r\n\r\n{}",
            value(HeaderName::Via),
            value(HeaderName::From),
            value(HeaderName::CallId),
            value(HeaderName::CSeq),
            self.body.len(),
            self.body
        );
        self.hear(&text);
    }

    /// The same with a description.
    fn describe(&mut self, request: &Message, status: &str, tag: &str, more: &str) {
        let more = format!("{more}Content-Type: application/sdp\r\n");
        self.body = SDP;
        self.answer(request, status, tag, &more);
        self.body = "";
    }

    /// A request of the peer's inside the dialog of our INVITE.
    fn inside(&mut self, invite: &Message, method: &str, cseq: u32, tag: &str) {
        self.inside_with(invite, method, cseq, tag, "", "");
    }

    /// The same with headers and a description.
    fn inside_with(
        &mut self,
        invite: &Message,
        method: &str,
        cseq: u32,
        tag: &str,
        more: &str,
        body: &str,
    ) {
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = inside_text(invite, method, cseq, tag);
        self.hear(&format!("{text}{more}{kind}\r\n{body}"));
    }

    /// The ACK of our failure to an INVITE inside the dialog, which has the INVITE's branch.
    fn ack_refusal(&mut self, invite: &Message, cseq: u32, tag: &str) {
        let text = inside_text(invite, "ACK", cseq, tag).replace("inACK", "inINVITE");
        self.hear(&format!("{text}\r\n"));
    }

    fn invited(&mut self) -> DialogId {
        self.invited_with("", "")
    }

    /// A call that comes in with these headers and this description.
    fn invited_with(&mut self, more: &str, body: &str) -> DialogId {
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let more = format!("Contact: <sip:a@192.0.2.9:5070>\r\n{more}{kind}");
        self.hear(&format!("{}{body}", request("INVITE", "1", "", &more)));
        match self.events.pop() {
            Some(Event::Invited { dialog, .. }) => dialog,
            other => panic!("{other:?}"),
        }
    }

    /// A call that came in with these headers, was accepted and ACKed; says our tag.
    fn talking_with(&mut self, more: &str) -> (DialogId, String) {
        let id = self.invited_with(more, SDP);
        self.endpoint
            .accept(self.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
        self.drain();
        let tag = self.tag();
        self.hear(&within("ACK", 1, &tag, "", ""));
        self.ladder();
        self.names();
        (id, tag)
    }

    /// A call of ours that the peer accepted with these headers; gives our INVITE too.
    fn called_with(&mut self, more: &str) -> (DialogId, Message) {
        let id = self.call();
        let invite = self.last().clone();
        let more = format!("Contact: <sip:200@192.0.2.9:5071>\r\n{more}");
        self.describe(&invite, "200 OK", "near", &more);
        self.ladder();
        self.names();
        (id, invite)
    }

    /// A header of the message sent last.
    fn header(&self, name: &str) -> Option<String> {
        self.last()
            .named(name)
            .next()
            .map(|value| value.into_owned())
    }

    /// Our tag, as it stands in the answer sent last.
    fn tag(&self) -> String {
        String::from_utf8_lossy(self.last().to().unwrap().tag().unwrap()).into_owned()
    }

    fn is_empty(&self) -> bool {
        self.endpoint.dialog_count() == 0
            && self.endpoint.transaction_count() == 0
            && self.endpoint.tags.is_empty()
            && self.endpoint.server_keys.is_empty()
            && self.endpoint.merged.is_empty()
            && self.endpoint.poll_timeout().is_none()
    }
}

/// The peer at `PEER`.
const NEIGHBOUR: PeerId = PeerId(0);

fn hop() -> Hop {
    Hop::udp(US.parse().unwrap(), PEER.parse().unwrap())
}

const SDP: &str = "v=0\r\n";

fn sdp() -> Bytes {
    Bytes::from_static(SDP.as_bytes())
}

/// The head of a request of the peer's inside the dialog of our INVITE; `tag` is the peer's.
fn inside_text(invite: &Message, method: &str, cseq: u32, tag: &str) -> String {
    let value = |name| String::from_utf8_lossy(invite.value(name).unwrap()).into_owned();
    format!(
        "{method} sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKin{method}{cseq}\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n",
        value(HeaderName::To),
        value(HeaderName::From),
        value(HeaderName::CallId)
    )
}

/// A request of the caller's inside the dialog of its INVITE; `tag` is ours.
fn within(method: &str, cseq: u32, tag: &str, more: &str, body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    let text = request(
        method,
        &format!("{method}{cseq}"),
        tag,
        &format!("{more}{kind}"),
    );
    let number = if method == "BYE" { 2 } else { 1 };
    let text = text.replace(
        &format!("CSeq: {number} {method}"),
        &format!("CSeq: {cseq} {method}"),
    );
    format!("{text}{body}")
}

const FOREVER: Duration = Duration::from_secs(600);

/// A request of the peer's; `branch` of an ACK to a failure and of a CANCEL is the INVITE's.
fn request(method: &str, branch: &str, tag: &str, more: &str) -> String {
    let to = if tag.is_empty() {
        String::new()
    } else {
        format!(";tag={tag}")
    };
    let number = if method == "BYE" { 2 } else { 1 };
    format!(
        "{method} sip:0783331000@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};rport;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=far\r\nTo: <sip:0783331000@y>{to}\r\nCall-ID: c1\r\nCSeq: {number} {method}\r\n{more}\r\n"
    )
}

mod early;
mod generic;
mod incoming;
mod limits;
mod outgoing;
mod proofs;
mod reinvite;
mod reliable;
mod session;
mod strangers;
mod update;
mod ways;

#[test]
fn a_call_that_comes_in_is_tried_rung_answered_and_ended() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    let answer = String::from_utf8_lossy(bench.last().octets()).into_owned();
    let tag = bench.tag();
    let expected = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK1;received=192.0.2.9;rport=5070\r\nFrom: <sip:a@x>;tag=far\r\nTo: <sip:0783331000@y>;tag={tag}\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:{US}>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY\r\nSupported: 100rel, timer, replaces\r\nSession-Expires: 1800;refresher=uas\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    );
    assert_eq!(answer, expected);
    bench.hear(&request("ACK", "2", &tag, ""));
    bench.hear(&request("BYE", "3", &tag, ""));
    bench.hear(&request("BYE", "3", &tag, ""));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "> 180 INVITE",
            "> 200 INVITE (sdp)",
            "< ACK",
            "< BYE",
            "> 200 BYE",
            "< BYE again",
            "> 200 BYE again"
        ]
    );
    assert_eq!(bench.names(), ["Acked", "Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_2xx_is_repeated_until_its_ack_and_the_missing_ack_is_reported() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    let tag = bench.tag();
    bench.ladder();
    // RFC 3261 section 13.3.1.4: at 0.5, 1.5, 3.5, 7.5 s and then each 4 s, until 32 s.
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.ladder(), vec!["> 200 INVITE (sdp) again"; 10]);
    assert_eq!(bench.names(), ["AckMissing"]);
    bench.endpoint.bye(bench.now, id, Some("SIP;cause=408"));
    bench.drain();
    assert_eq!(
        bench.last().text(HeaderName::Reason).as_deref(),
        Some("SIP;cause=408")
    );
    let bye = bench.last().clone();
    bench.answer(&bye, "481 Gone", "", "");
    assert_eq!(bench.names(), ["ByeDone"]);
    bench.hear(&request("ACK", "9", &tag, ""));
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_bye_of_ours_waits_for_the_ack() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    let tag = bench.tag();
    assert_eq!(
        bench.ladder(),
        ["< INVITE", "> 100 INVITE", "> 200 INVITE (sdp)"]
    );
    bench.hear(&request("ACK", "2", &tag, ""));
    assert_eq!(bench.ladder(), ["< ACK", "> BYE"]);
    let bye = bench.last().clone();
    assert_eq!(bye.request_uri().unwrap().as_str(), "sip:a@192.0.2.9:5070");
    bench.hear(&request("BYE", "3", &tag, ""));
    bench.answer(&bye, "200 OK", "", "");
    assert_eq!(bench.names(), ["ByeDone"], "crossing BYEs end it once");
}

#[test]
fn a_cancel_before_the_answer_ends_the_call_and_after_it_has_no_effect() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear(&request("CANCEL", "forged", "", ""));
    bench.hear(&request("CANCEL", "1", "", ""));
    bench.hear(&request("CANCEL", "1", "", ""));
    let tag = bench.tag();
    bench.hear(&request("ACK", "1", &tag, ""));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "< CANCEL",
            "> 481 CANCEL",
            "< CANCEL",
            "> 200 CANCEL",
            "> 487 INVITE",
            "< CANCEL",
            "> 200 CANCEL",
            "< ACK"
        ]
    );
    assert_eq!(bench.names(), ["Cancelled"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());

    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    bench.ladder();
    bench.hear(&request("CANCEL", "1", "", ""));
    assert_eq!(bench.ladder(), ["< CANCEL", "> 200 CANCEL"]);
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_cancel_of_another_caller_is_refused_though_its_branch_fits() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear(&request("CANCEL", "1", "", "").replace("tag=far", "tag=forged"));
    bench.hear(&request("CANCEL", "1", "", "").replace("Call-ID: c1", "Call-ID: c2"));
    assert_eq!(
        bench.ladder()[2..],
        ["< CANCEL", "> 481 CANCEL", "< CANCEL", "> 481 CANCEL"]
    );
    assert_eq!(bench.endpoint.dialog_count(), 1);
}

#[test]
fn a_bye_of_the_caller_before_the_answer_is_a_cancel() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.drain();
    let tag = bench.tag();
    bench.hear(&request("BYE", "2", &tag, ""));
    assert_eq!(bench.ladder()[3..], ["< BYE", "> 200 BYE", "> 487 INVITE"]);
    assert_eq!(bench.names(), ["Cancelled"]);
}

#[test]
fn a_failure_is_repeated_until_its_ack() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.endpoint.reject(
        bench.now,
        id,
        486,
        "Busy Here",
        vec![("Reason", "Q.850;cause=17".to_owned())],
    );
    bench.drain();
    let tag = bench.tag();
    bench.wait(Duration::from_secs(2));
    bench.hear(&request("INVITE", "1", "", ""));
    bench.hear(&request("ACK", "1", &tag, ""));
    bench.wait(Duration::from_secs(2));
    bench.hear(&request("ACK", "1", &tag, ""));
    assert_eq!(
        bench.ladder()[2..],
        [
            "> 486 INVITE",
            "> 486 INVITE again",
            "> 486 INVITE again",
            "< INVITE again",
            "> 486 INVITE again",
            "< ACK",
            "< ACK"
        ]
    );
    assert_eq!(bench.endpoint.dialog_count(), 0);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_answer_and_no_second_call() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.hear(&request("INVITE", "1", "", ""));
    bench.endpoint.ring(
        bench.now,
        id,
        Ring {
            body: Some(Bytes::from_static(b"v=0\r\n")),
            ..Ring::plain(183, "Session Progress")
        },
    );
    bench.drain();
    bench.hear(&request("INVITE", "1", "", ""));
    assert_eq!(
        bench.ladder()[2..],
        [
            "< INVITE again",
            "> 100 INVITE again",
            "> 183 INVITE (sdp)",
            "< INVITE again",
            "> 183 INVITE (sdp) again"
        ]
    );
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_copy_that_came_by_another_way_is_a_loop() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear(&request("INVITE", "other", "", ""));
    assert_eq!(bench.last().status(), Some(482));
    assert_eq!(bench.endpoint.dialog_count(), 1);
}

#[test]
fn a_caller_of_rfc_2543_is_served() {
    let mut bench = Bench::new();
    let old =
        |method: &str, to: &str| request(method, "1", to, "").replace(";rport;branch=z9hG4bK1", "");
    bench.hear(&old("INVITE", ""));
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench.hear(&old("INVITE", ""));
    bench
        .endpoint
        .reject(bench.now, dialog, 486, "Busy Here", Vec::new());
    bench.drain();
    let tag = bench.tag();
    bench.hear(&old("ACK", &tag));
    bench.wait(Duration::from_secs(10));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "< INVITE again",
            "> 100 INVITE again",
            "> 486 INVITE",
            "< ACK"
        ]
    );
}

#[test]
fn requests_that_fit_nothing_are_refused_without_state() {
    let mut bench = Bench::new();
    bench.hear(&request("BYE", "1", "0123456789abcdef", ""));
    bench.hear(&request("BYE", "2", "", ""));
    bench.hear(&request("INVITE", "3", "foreign", ""));
    bench.hear(&request("OPTIONS", "4", "", "Require: 100rel, foo\r\n"));
    bench.hear(&request("REGISTER", "5", "", ""));
    bench.hear(&request("ACK", "6", "foreign", ""));
    bench.hear(&request("INVITE", "7", "", "Content-Length: 9\r\n"));
    bench.hear(&request("INVITE", "8", "", "").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    let statuses: Vec<_> = bench.sent.iter().filter_map(Message::status).collect();
    assert_eq!(statuses, [481, 481, 481, 420, 405, 400, 505]);
    assert_eq!(
        bench.sent[3].text(HeaderName::Unsupported).as_deref(),
        Some("foo")
    );
    assert_eq!(
        bench.sent[4].text(HeaderName::Allow).as_deref(),
        Some(crate::draft::ALLOW)
    );
    assert_eq!(
        bench.sent[5].phrase().as_deref(),
        Some("Content-Length is larger than the body")
    );
    assert!(bench.is_empty());
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn an_answer_without_state_is_the_same_each_time() {
    let mut bench = Bench::new();
    bench.hear(&request("REGISTER", "5", "", ""));
    bench.hear(&request("REGISTER", "5", "", ""));
    assert_eq!(bench.sent[0].octets(), bench.sent[1].octets());
}

#[test]
fn options_wait_for_the_application_and_get_no_provisional_answer() {
    let mut bench = Bench::new();
    bench.hear(&request("OPTIONS", "1", "", ""));
    let Some(Event::Requested {
        dialog: None,
        request: id,
        ..
    }) = bench.events.pop()
    else {
        panic!("not asked")
    };
    bench.hear(&request("OPTIONS", "1", "", ""));
    bench
        .endpoint
        .respond(bench.now, id, 180, "Ringing", Vec::new(), None);
    bench
        .endpoint
        .respond(bench.now, id, 200, "OK", Vec::new(), None);
    bench
        .endpoint
        .respond(bench.now, id, 500, "Again", Vec::new(), None);
    bench.drain();
    assert_eq!(
        bench.ladder(),
        ["< OPTIONS", "< OPTIONS again", "> 200 OPTIONS"]
    );
    assert_eq!(
        bench.last().text(HeaderName::Accept).as_deref(),
        Some("application/sdp, multipart/mixed")
    );
    assert_eq!(
        bench.header("Supported").as_deref(),
        Some("100rel, timer, replaces")
    );
    bench.hear(&request("OPTIONS", "2", "", "").replace("CSeq: 1", "CSeq: 2"));
    bench.wait(FOREVER);
    assert!(
        bench.is_empty(),
        "a request the application forgets is forgotten too"
    );
}

#[test]
fn verbs_in_the_wrong_stage_do_nothing() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.hear(&request("CANCEL", "1", "", ""));
    bench.ladder();
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::new());
    bench
        .endpoint
        .reject(bench.now, id, 486, "Busy Here", Vec::new());
    bench.endpoint.bye(bench.now, id, None);
    bench.endpoint.cancel(bench.now, id, None);
    bench
        .endpoint
        .respond(bench.now, RequestId(99), 200, "OK", Vec::new(), None);
    bench.drain();
    assert_eq!(bench.ladder(), [""; 0]);
}

#[test]
fn a_keep_alive_gets_no_byte() {
    let mut bench = Bench::new();
    for text in ["", "\r\n\r\n", "\0", "\r\n"] {
        bench.hear(text);
    }
    assert_eq!(bench.ladder(), [""; 0]);
    assert!(bench.sent.is_empty());
}

#[test]
fn nothing_shown_holds_a_number() {
    let mut bench = Bench::new();
    bench.call();
    bench.hear(&request("INVITE", "1", "", ""));
    let ladder = bench.ladder();
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        bench.endpoint, bench.events, bench.sent, ladder
    );
    assert!(
        !shown.contains("0790000001") && !shown.contains("0783331000"),
        "{shown}"
    );
}
