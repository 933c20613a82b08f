//! A peer that answers what it was not asked and asks what it was not told: nothing panics, and everything ends.
// Messages of every kind at any time, in any order, lost ways, and an application that does what it likes.
use std::collections::BTreeSet;

use rand_chacha::ChaCha12Rng;

use super::*;
use crate::{
    endpoint::session::Change,
    peer::{Credentials, PeerSettings, Reliable},
    timer::Timer,
};

const STEPS: u32 = 60;

struct Chaos {
    bench: Bench,
    chance: ChaCha12Rng,
    dialogs: Vec<DialogId>,
    requests: Vec<RequestId>,
    cseq: u32,
    calls: u32,
    /// Where the application waits for the outcome of an offer.
    asking: BTreeSet<DialogId>,
    /// How often each event came.
    heard: BTreeMap<&'static str, u64>,
}

#[test]
fn whatever_a_peer_says_nothing_is_left_when_the_application_has_ended_its_calls() {
    let mut heard = BTreeMap::new();
    for seed in 0..700 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..STEPS {
            chaos.step();
        }
        for (name, count) in chaos.end(seed) {
            *heard.entry(name).or_insert(0) += count;
        }
    }
    // Else it would show nothing of what never happened.
    assert_eq!(heard.len(), 22, "{heard:?}");
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let mut bench = Bench::new();
        bench.patience = Some(Duration::from_secs(4));
        bench.endpoint.set_peer(
            NEIGHBOUR,
            PeerSettings {
                reliable: [Reliable::Off, Reliable::Supported, Reliable::Required]
                    [usize::try_from(seed % 3).unwrap()],
                credentials: Some(Credentials {
                    realm: "r".to_owned(),
                    user: "u".to_owned(),
                    password: "p".to_owned(),
                }),
                ..PeerSettings::default()
            },
        );
        Chaos {
            bench,
            chance: ChaCha12Rng::seed_from_u64(seed),
            dialogs: Vec::new(),
            requests: Vec::new(),
            cseq: 1,
            calls: 0,
            asking: BTreeSet::new(),
            heard: BTreeMap::new(),
        }
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        let index = self.chance.next_u64() % u64::try_from(among.len()).unwrap();
        among[usize::try_from(index).unwrap()].clone()
    }

    fn step(&mut self) {
        match self.chance.next_u64() % 10 {
            0 | 1 => self.ask(),
            2..=4 => self.answer(),
            5..=7 => self.wish(),
            8 => {
                let pause = self.pick(&[0, 1, 400, 600, 3_000, 11_000, 33_000]);
                self.bench.wait(Duration::from_millis(pause));
            }
            _ => {
                let place = self.pick(&[PEER, "192.0.2.9:5071", "192.0.2.9:5060"]);
                let lost = Hop::udp(US.parse().unwrap(), place.parse().unwrap());
                if self.chance.next_u64().is_multiple_of(4) {
                    self.bench.lose(lost);
                }
            }
        }
        self.listen();
    }

    /// What the application learns.
    fn listen(&mut self) {
        for event in std::mem::take(&mut self.bench.events) {
            *self.heard.entry(event.name()).or_default() += 1;
            self.settle(&event);
            self.dialogs.extend(event.dialog());
            if let Event::Reinvited { request, .. }
            | Event::Updated { request, .. }
            | Event::Requested { request, .. } = event
            {
                self.requests.push(request);
            }
        }
        self.dialogs.dedup();
        self.bench.ladder();
    }

    /// An offer has an outcome, unless the call is over.
    fn settle(&mut self, event: &Event) {
        let Some(id) = event.dialog() else { return };
        match event {
            Event::Modified { .. }
            | Event::NotModified { .. }
            | Event::Cancelled { .. }
            | Event::Rejected { .. }
            | Event::NoResponse { .. }
            | Event::AcceptedLate { .. }
            | Event::Ended { .. }
            | Event::ByeDone { .. } => {
                self.asking.remove(&id);
            }
            _ => {}
        }
    }

    /// A request of the peer's, mostly inside a dialog that it has heard of.
    fn ask(&mut self) {
        self.calls += 1;
        self.cseq += 1;
        let timed = "Supported: timer, 100rel\r\nAllow: UPDATE\r\nSession-Expires: 90\r\n";
        let more = self.pick(&["", timed, "Require: 100rel\r\n", "Session-Expires: 1\r\n"]);
        let method = self.pick(&[
            "INVITE", "INVITE", "UPDATE", "BYE", "ACK", "ACK", "ACK", "CANCEL", "PRACK", "PRACK",
            "INFO", "OPTIONS",
        ]);
        let body = self.pick(&["", SDP]);
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let cseq = self.pick(&[self.cseq, 1, self.cseq - 1]);
        if self.chance.next_u64().is_multiple_of(3) {
            // A new call.
            let headers = format!("{more}{kind}");
            let text = request(method, &format!("new{}", self.calls), "", &headers);
            let text = text.replace("Call-ID: c1", &format!("Call-ID: c{}", self.calls));
            return self.bench.hear(&format!("{text}{body}"));
        }
        let all = self.bench.sent.clone();
        if all.is_empty() {
            return;
        }
        let fitting: Vec<Message> = all
            .iter()
            .filter(|sent| match method {
                "PRACK" => sent.named("RSeq").next().is_some(),
                "ACK" => sent.status() == Some(200),
                _ => true,
            })
            .cloned()
            .collect();
        let known = if fitting.is_empty() {
            self.pick(&all)
        } else {
            self.pick(&fitting[fitting.len().saturating_sub(2)..])
        };
        let value = |name| known.text(name).unwrap().into_owned();
        let (ours, theirs) = if known.is_request() {
            (value(HeaderName::From), value(HeaderName::To))
        } else {
            (value(HeaderName::To), value(HeaderName::From))
        };
        let tag = if theirs.contains("tag=") {
            ""
        } else {
            self.pick(&[";tag=one", ";tag=two", ""])
        };
        let rack = known.named("RSeq").next().map_or_else(String::new, |rseq| {
            format!("RAck: {rseq} {} INVITE\r\n", known.cseq().unwrap().number)
        });
        let branch = known.via().unwrap();
        let branch = String::from_utf8_lossy(branch.branch().unwrap_or_default()).into_owned();
        let branch = match method {
            "ACK" | "CANCEL" => branch,
            _ => format!("z9hG4bKask{}", self.calls),
        };
        let cseq = match method {
            "ACK" | "CANCEL" => known.cseq().unwrap().number,
            _ => cseq,
        };
        self.bench.hear(&format!(
            "{method} sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};rport;branch={branch}\r\nFrom: {theirs}{tag}\r\nTo: {ours}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:x@192.0.2.9:5071>\r\n{more}{rack}{kind}\r\n{body}",
            value(HeaderName::CallId)
        ));
    }

    /// An answer to any request of ours, whether it has been answered or not.
    fn answer(&mut self) {
        let asked: Vec<Message> = self
            .bench
            .sent
            .iter()
            .filter(|sent| sent.is_request() && sent.method() != Some(Method::Ack))
            .cloned()
            .collect();
        if asked.is_empty() {
            return;
        }
        let recent = asked.len().saturating_sub(4);
        let request = self.pick(&asked[recent..]);
        let status = self.pick(&[
            "100 Trying",
            "180 Ringing",
            "183 Progress",
            "183 Progress",
            "200 OK",
            "200 OK",
            "200 OK",
            "202 Accepted",
            "302 Moved",
            "401 Who",
            "407 Who",
            "408 Late",
            "422 Small",
            "481 Gone",
            "487 Over",
            "488 No",
            "491 Pending",
            "500 No",
            "501 No",
            "503 Busy",
        ]);
        let tag = self.pick(&["one", "two", ""]);
        let rseq = self.pick(&[1, 2, 3]);
        let nonce = self.chance.next_u64() % 3;
        let more = match &status[..1] {
            "1" => self.pick(&["", "Require: 100rel\r\nRSeq: N\r\nAllow: UPDATE\r\n"]),
            "2" => self.pick(&[
                "",
                "Session-Expires: 90;refresher=uac\r\nAllow: UPDATE\r\n",
                "Session-Expires: 0;refresher=uas\r\n",
                "Contact: <sip:x@192.0.2.9:5071>\r\n",
            ]),
            _ if status.starts_with("422") => "Min-SE: 4000\r\n",
            _ if status.starts_with("401") => {
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"N\"\r\n"
            }
            _ if status.starts_with("407") => {
                "Proxy-Authenticate: Digest realm=\"r\", nonce=\"N\", qop=\"auth\", stale=true\r\n"
            }
            _ => "Retry-After: 1\r\n",
        };
        let more = more
            .replace("RSeq: N", &format!("RSeq: {rseq}"))
            .replace("\"N\"", &format!("\"{nonce}\""));
        if self.chance.next_u64().is_multiple_of(2) {
            self.bench.describe(&request, status, tag, &more);
        } else {
            self.bench.answer(&request, status, tag, &more);
        }
    }

    /// What the application wants.
    fn wish(&mut self) {
        if self.dialogs.len() < 2 || self.chance.next_u64().is_multiple_of(6) {
            let id = self.bench.call();
            self.dialogs.push(id);
            return;
        }
        let dialogs = self.dialogs.clone();
        let recent = dialogs.len().saturating_sub(5);
        let id = self.pick(&dialogs[recent..]);
        let now = self.bench.now;
        let body = self.pick(&[Bytes::new(), sdp()]);
        let delivery = self.pick(&[Delivery::Reliable, Delivery::Once]);
        let glare = self.pick(&[Glare::Report, Glare::Repeat]);
        let kind = self.chance.next_u64() % 10;
        let requests = self.requests.clone();
        let endpoint = &mut self.bench.endpoint;
        match kind {
            0 | 1 => {
                let ring = Ring {
                    body: Some(body),
                    delivery,
                    ..Ring::plain(183, "Progress")
                };
                endpoint.ring(now, id, ring);
            }
            2 | 3 => endpoint.accept(now, id, Vec::new(), body),
            4 | 5 => {
                if endpoint.usages.contains_key(&id) {
                    self.asking.insert(id);
                }
                if kind == 4 {
                    endpoint.reinvite(now, id, sdp(), glare);
                } else {
                    endpoint.update(now, id, sdp());
                }
            }
            6 if delivery == Delivery::Reliable => endpoint.bye(now, id, Some("SIP;cause=200")),
            6 => endpoint.cancel(now, id, None),
            7 => {
                let method = "INFO".to_owned();
                let headers = Vec::new();
                endpoint.request(
                    now,
                    id,
                    InDialog {
                        method,
                        headers,
                        body: None,
                    },
                );
            }
            _ => {
                if requests.is_empty() {
                    return;
                }
                let request = self.pick(&requests);
                let status = self.pick(&[180, 200, 200, 488, 491]);
                let endpoint = &mut self.bench.endpoint;
                endpoint.respond(now, request, status, "Answer", Vec::new(), Some(body));
            }
        }
        self.bench.drain();
    }

    fn end(mut self, seed: u64) -> BTreeMap<&'static str, u64> {
        self.bench.wait(Duration::from_secs(200));
        self.listen();
        let usages = &mut self.bench.endpoint.usages;
        self.asking.retain(|id| usages.contains_key(id));
        assert!(self.asking.is_empty(), "seed {seed}: {:?}", self.asking);
        for usage in usages.values_mut() {
            let will_try = usage.timers.is_running(Timer::Glare);
            for session in usage.sessions() {
                assert!(will_try || session.waiting.is_none(), "seed {seed}");
                if let Change::Sent { client, .. } = &session.change {
                    let will_end = self.bench.endpoint.clients.contains_key(client);
                    assert!(will_end, "seed {seed}");
                }
            }
        }

        for _ in 0..3 {
            for id in self.dialogs.clone() {
                self.bench.endpoint.bye(self.bench.now, id, None);
            }
            for request in self.requests.clone() {
                let now = self.bench.now;
                self.bench
                    .endpoint
                    .respond(now, request, 500, "Over", Vec::new(), None);
            }
            self.bench.drain();
            self.listen();
            self.bench.wait(Duration::from_secs(200));
            self.listen();
        }
        assert!(
            self.bench.is_empty(),
            "seed {seed}: {:?}, next {:?}, stages {:?}",
            self.bench.endpoint,
            self.bench.endpoint.poll_timeout().map(|(_, why)| why),
            self.bench
                .endpoint
                .usages
                .values()
                .map(|usage| match usage.stage {
                    Stage::Calling { .. } => "calling",
                    Stage::Ringing { .. } => "ringing",
                    Stage::ExpectAck { .. } => "expect ack",
                    Stage::Talking { .. } => "talking",
                    Stage::Closing { .. } => "closing",
                })
                .collect::<Vec<_>>()
        );
        self.heard
    }
}
