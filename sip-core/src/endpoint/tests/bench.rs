//! What the tests of one endpoint share: the bench it lies on, and what its peer may say.
// One endpoint at 192.0.2.1 and one peer at 192.0.2.9 whose messages we write ourselves.
use super::*;
use crate::hop::Loss;

pub(super) const US: &str = "192.0.2.1:5060";
pub(super) const PEER: &str = "192.0.2.9:5070";

pub(super) struct Bench {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) sent: Vec<Message>,
    /// Which way each of `sent` went.
    pub(super) ways: Vec<Hop>,
    pub(super) events: Vec<Event>,
    /// What the peer's next answer holds.
    pub(super) body: &'static str,
    /// How long the next call waits for a sign of life.
    pub(super) patience: Option<Duration>,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Bench {
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

    pub(super) fn drain(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sent.push(Message::parse(transmit.payload).unwrap());
            self.ways.push(transmit.hop);
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    pub(super) fn hear(&mut self, text: &str) {
        self.hear_from(NEIGHBOUR, text);
    }

    pub(super) fn hear_from(&mut self, peer: PeerId, text: &str) {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint.handle_message(self.now, peer, hop(), octets);
        self.drain();
    }

    pub(super) fn hear_by(&mut self, hop: Hop, text: &str) {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint
            .handle_message(self.now, NEIGHBOUR, hop, octets);
        self.drain();
    }

    /// The connection of this way has ended.
    pub(super) fn lose(&mut self, hop: Hop) {
        self.endpoint.handle_loss(self.now, hop, Loss::Broken);
        self.drain();
    }

    /// Nobody is there by this way.
    pub(super) fn miss(&mut self, hop: Hop) {
        self.endpoint.handle_loss(self.now, hop, Loss::Unreachable);
        self.drain();
    }

    /// Moves time to each timeout up to `after` from here.
    pub(super) fn wait(&mut self, after: Duration) {
        let end = self.now + after;
        while let Some((at, _)) = self.endpoint.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// The ladder since it was last asked for.
    pub(super) fn ladder(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(milestone) = self.endpoint.poll_milestone() {
            lines.push(format!(
                "{} {}",
                if milestone.passage == Passage::Sent {
                    ">"
                } else {
                    "<"
                },
                milestone.line
            ));
        }
        lines
    }

    pub(super) fn names(&mut self) -> Vec<&'static str> {
        self.events.drain(..).map(|event| event.name()).collect()
    }

    pub(super) fn last(&self) -> &Message {
        self.sent.last().unwrap()
    }

    pub(super) fn call(&mut self) -> DialogId {
        self.call_at("sip:200@pbx.example")
    }

    pub(super) fn call_at(&mut self, request_uri: &str) -> DialogId {
        self.call_by(hop(), request_uri)
    }

    pub(super) fn call_by(&mut self, hop: Hop, request_uri: &str) -> DialogId {
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

    /// The peer answers a request of ours.
    pub(super) fn answer(&mut self, request: &Message, status: &str, tag: &str, more: &str) {
        let text = self.answer_text(request, status, tag, more);
        self.hear(&text);
    }

    /// What it answers with.
    pub(super) fn answer_text(
        &self,
        request: &Message,
        status: &str,
        tag: &str,
        more: &str,
    ) -> String {
        let value = |name| String::from_utf8_lossy(request.value(name).unwrap()).into_owned();
        let to = value(HeaderName::To);
        let to = if to.contains(";tag=") || tag.is_empty() {
            to
        } else {
            format!("{to};tag={tag}")
        };
        format!(
            "SIP/2.0 {status}\r\nVia: {};received=192.0.2.1\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}Content-Length: {}\r\n\r\n{}",
            value(HeaderName::Via),
            value(HeaderName::From),
            value(HeaderName::CallId),
            value(HeaderName::CSeq),
            self.body.len(),
            self.body
        )
    }

    /// The same with a description.
    pub(super) fn describe(&mut self, request: &Message, status: &str, tag: &str, more: &str) {
        let more = format!("{more}Content-Type: application/sdp\r\n");
        self.body = SDP;
        self.answer(request, status, tag, &more);
        self.body = "";
    }

    /// A request of the peer's inside the dialog of our INVITE.
    pub(super) fn inside(&mut self, invite: &Message, method: &str, cseq: u32, tag: &str) {
        self.inside_with(invite, method, cseq, tag, "", "");
    }

    /// The same with headers and a description.
    pub(super) fn inside_with(
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
    pub(super) fn ack_refusal(&mut self, invite: &Message, cseq: u32, tag: &str) {
        let text = inside_text(invite, "ACK", cseq, tag).replace("inACK", "inINVITE");
        self.hear(&format!("{text}\r\n"));
    }

    pub(super) fn invited(&mut self) -> DialogId {
        self.invited_with("", "")
    }

    /// A call that comes in with these headers and this description.
    pub(super) fn invited_with(&mut self, more: &str, body: &str) -> DialogId {
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
    pub(super) fn talking_with(&mut self, more: &str) -> (DialogId, String) {
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
    pub(super) fn called_with(&mut self, more: &str) -> (DialogId, Message) {
        let id = self.call();
        let invite = self.last().clone();
        let more = format!("Contact: <sip:200@192.0.2.9:5071>\r\n{more}");
        self.describe(&invite, "200 OK", "near", &more);
        self.ladder();
        self.names();
        (id, invite)
    }

    /// A header of the message sent last.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.last()
            .named(name)
            .next()
            .map(|value| value.into_owned())
    }

    /// Our tag, as it stands in the answer sent last.
    pub(super) fn tag(&self) -> String {
        String::from_utf8_lossy(self.last().to().unwrap().tag().unwrap()).into_owned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.endpoint.dialog_count() == 0
            && self.endpoint.transaction_count() == 0
            && self.endpoint.tags.is_empty()
            && self.endpoint.server_keys.is_empty()
            && self.endpoint.merged.is_empty()
            && self.endpoint.poll_timeout().is_none()
    }
}

/// The peer at `PEER`.
pub(super) const NEIGHBOUR: PeerId = PeerId(0);

pub(super) fn hop() -> Hop {
    Hop::udp(US.parse().unwrap(), PEER.parse().unwrap())
}

pub(super) const SDP: &str = "v=0\r\n";

pub(super) fn sdp() -> Bytes {
    Bytes::from_static(SDP.as_bytes())
}

/// The head of a request of the peer's inside the dialog of our INVITE; `tag` is the peer's.
pub(super) fn inside_text(invite: &Message, method: &str, cseq: u32, tag: &str) -> String {
    let value = |name| String::from_utf8_lossy(invite.value(name).unwrap()).into_owned();
    format!(
        "{method} sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKin{method}{cseq}\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n",
        value(HeaderName::To),
        value(HeaderName::From),
        value(HeaderName::CallId)
    )
}

/// A request of the caller's inside the dialog of its INVITE; `tag` is ours.
pub(super) fn within(method: &str, cseq: u32, tag: &str, more: &str, body: &str) -> String {
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

pub(super) const FOREVER: Duration = Duration::from_secs(600);

/// A request of the peer's; `branch` of an ACK to a failure and of a CANCEL is the INVITE's.
pub(super) fn request(method: &str, branch: &str, tag: &str, more: &str) -> String {
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
