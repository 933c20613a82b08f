//! What a telephone of a storm writes: requests, answers, acknowledgements, descriptions.

use std::time::Instant;

use super::{Client, LAST, Phone, Referred, Reliable, Waiting, branch_of, direction_of};
use crate::{
    carrier::Repeat,
    net::Packet,
    text::{self, Text},
};

impl Phone {
    pub(super) fn headers_of_invite(&self) -> Vec<String> {
        let mut headers = self.habits.headers.clone();
        let mut supported = Vec::new();
        match self.habits.reliable {
            Reliable::No => {}
            Reliable::Supported => supported.push("100rel"),
            Reliable::Required => headers.push("Require: 100rel".to_owned()),
        }
        if let Some(interval) = self.habits.interval_s {
            supported.push("timer");
            headers.push(format!("Session-Expires: {interval}"));
        }
        if !supported.is_empty() {
            headers.push(format!("Supported: {}", supported.join(", ")));
        }
        headers.push(self.allow());
        headers
    }

    fn allow(&self) -> String {
        let update = if self.habits.allows_update {
            ", UPDATE"
        } else {
            ""
        };
        format!("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, INFO, NOTIFY{update}")
    }

    pub(super) fn refer_to(&self, referred: &Referred) -> String {
        let uri = match referred {
            Referred::Uri(uri) => (*uri).to_owned(),
            Referred::Outside => format!("sip:07981{:05}@{}", self.index, self.exchange.ip()),
            Referred::Dialog(replaces) => {
                // Inside a URI each of these has its escape (RFC 3261 section 19.1.2).
                let escaped = replaces
                    .replace('@', "%40")
                    .replace(';', "%3B")
                    .replace('=', "%3D");
                format!("sip:300@{}?Replaces={escaped}", self.exchange.ip())
            }
        };
        format!("Refer-To: <{uri}>")
    }

    /// A request inside the call, or the one that begins it; it is repeated until it is answered.
    pub(super) fn request(
        &mut self,
        now: Instant,
        method: &str,
        headers: &[String],
        kind: &str,
        body: &str,
    ) -> Packet {
        self.sequence += 1;
        let (sequence, branch) = (
            self.sequence,
            format!("z9hG4bK{}.{}", self.name, self.sequence),
        );
        let packet = self.write(method, sequence, &branch, headers, kind, body);
        let sdp = if body.starts_with("v=0") {
            " (sdp)"
        } else {
            ""
        };
        self.note(now, format!("> {method}{sdp}"));
        self.clients.push(Client {
            branch,
            method: method.to_owned(),
            payload: packet.payload.clone(),
            repeat: self.repeats(now),
            until: Some(now + LAST),
        });
        packet
    }

    pub(super) fn cancel(&mut self, now: Instant) -> Packet {
        let branch = format!("z9hG4bK{}.1", self.name);
        let invited = std::mem::replace(&mut self.remote, self.invite.header("To").to_owned());
        let target = std::mem::replace(&mut self.target, self.invite.target());
        let packet = self.write("CANCEL", 1, &branch, &[], "", "");
        (self.remote, self.target) = (invited, target);
        self.note(now, "> CANCEL");
        self.clients.push(Client {
            branch: branch.clone(),
            method: "CANCEL".to_owned(),
            payload: packet.payload.clone(),
            repeat: self.repeats(now),
            until: Some(now + LAST),
        });
        // Whoever does not answer a cancelled INVITE is given up (RFC 3261 section 9.1).
        for client in &mut self.clients {
            if client.method == "INVITE" {
                client.until = Some(now + LAST);
            }
        }
        packet
    }

    /// The ACK of a 2xx.
    pub(super) fn acknowledge(&mut self, now: Instant, sequence: u32, body: &str) -> Packet {
        let branch = format!("z9hG4bK{}.ack{sequence}", self.name);
        let packet = self.write("ACK", sequence, &branch, &[], "application/sdp", body);
        self.note(
            now,
            if body.is_empty() {
                "> ACK"
            } else {
                "> ACK (sdp)"
            },
        );
        self.acknowledgements
            .insert(sequence, packet.payload.clone());
        packet
    }

    /// The ACK of a refusal belongs to the INVITE's transaction and carries the To of the answer.
    pub(super) fn acknowledge_refusal(&mut self, now: Instant, answer: &Text) -> Packet {
        let sequence = answer.sequence();
        let branch = branch_of(answer);
        let remote = std::mem::replace(&mut self.remote, answer.header("To").to_owned());
        let packet = self.write("ACK", sequence, &branch, &[], "", "");
        self.remote = remote;
        self.note(now, "> ACK");
        self.acknowledgements
            .insert(sequence, packet.payload.clone());
        packet
    }

    fn write(
        &self,
        method: &str,
        sequence: u32,
        branch: &str,
        headers: &[String],
        kind: &str,
        body: &str,
    ) -> Packet {
        let me = self.address;
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let kind = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {kind}\r\n")
        };
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
            Call-ID: {id}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{user}@{me}>\r\n{lines}{kind}Content-Length: {length}\r\n\r\n{body}",
            target = self.target,
            from = self.local,
            to = self.remote,
            id = self.call_id,
            user = self.user,
            length = body.len(),
        );
        self.packet(text.into_bytes())
    }

    pub(super) fn packet(&self, payload: Vec<u8>) -> Packet {
        Packet {
            from: self.address,
            to: self.exchange,
            payload,
        }
    }

    /// An answer to the INVITE that called it.
    pub(super) fn answer_invite(
        &mut self,
        now: Instant,
        status: u16,
        headers: &[String],
        body: &str,
    ) -> Packet {
        let invite = self.invite.clone();
        self.respond(now, &invite, status, headers, body)
    }

    /// An answer; a final one of an INVITE is repeated until its ACK comes.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        request: &Text,
        status: u16,
        headers: &[String],
        body: &str,
    ) -> Packet {
        let mut lines = headers.to_vec();
        lines.push(self.allow());
        let payload = text::answer_with(
            request,
            status,
            "Answer",
            &self.name,
            self.address,
            &lines,
            "application/sdp",
            body,
        );
        let method = request.method().to_owned();
        let sdp = if body.starts_with("v=0") {
            " (sdp)"
        } else {
            ""
        };
        self.note(now, format!("> {status} {method}{sdp}"));
        self.answers
            .insert((branch_of(request), method.clone()), payload.clone());
        // Over a connection only a 2xx is repeated (RFC 3261 sections 13.3.1.4 and 17.2.1).
        let is_repeated = status < 300 || !self.transport.is_reliable();
        if method == "INVITE" && status >= 200 && is_repeated {
            self.waiting.retain(|waiting| waiting.what == "ACK");
            self.waiting.push(Waiting {
                what: "ACK",
                sequence: request.sequence(),
                payload: payload.clone(),
                repeat: Repeat::after(now),
                until: now + LAST,
            });
        }
        self.packet(payload)
    }

    /// When a request is to be repeated; over a connection it never is.
    fn repeats(&self, now: Instant) -> Option<Repeat> {
        (!self.transport.is_reliable()).then(|| Repeat::after(now))
    }

    // Descriptions.

    /// An offer of its own, one version later.
    pub(super) fn offer(&mut self, direction: &'static str) -> String {
        self.version += 1;
        self.offered = Some(direction);
        self.describe(direction, &self.habits.payload_types.clone())
    }

    /// The answer to an offer: its codecs that were offered, the direction turned around.
    pub(super) fn answer_offer(&mut self, offer: &Text) -> String {
        self.version += 1;
        let direction = match direction_of(&offer.body) {
            "sendonly" => "recvonly",
            "recvonly" => "sendonly",
            same => same,
        };
        let common = self.common(offer);
        self.describe(direction, &common)
    }

    /// One codec and the keypad's events, of what was offered.
    pub(super) fn common(&self, offer: &Text) -> Vec<u8> {
        let offered = offer.payload_types();
        let own = self.habits.payload_types.iter();
        let audio = offered
            .iter()
            .find(|number| **number < 96 && own.clone().any(|own| own == *number));
        let events = offered.iter().filter(|number| **number >= 96);
        audio.into_iter().chain(events).copied().collect()
    }

    /// Whether it has a codec that is offered; what offers nothing can be offered something.
    pub(super) fn has_common(&self, offer: &Text) -> bool {
        offer.body.is_empty() || self.common(offer).iter().any(|number| *number < 96)
    }

    fn describe(&self, direction: &str, payload_types: &[u8]) -> String {
        text::describe(self.voice.local, payload_types)
            .replace("o=phone 1 1", &format!("o=phone 1 {}", self.version))
            .replace("sendrecv", direction)
    }
}
