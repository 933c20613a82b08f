//! SIP messages as plain text, written and read by search alone: the measure must not share a parser with the measured.

use std::net::SocketAddr;

/// The number that citizens call in every run.
pub const CALLED: &str = "0783331000";

/// What one INVITE of the carrier is made of.
#[derive(Clone, Copy)]
pub struct CarrierCall<'run> {
    pub run: &'run str,
    pub call: u32,
    pub carrier: SocketAddr,
    pub server: SocketAddr,
    pub media: SocketAddr,
}

impl CarrierCall<'_> {
    #[must_use]
    pub fn invite(&self) -> String {
        let sdp = sdp(self.media);
        format!(
            "INVITE sip:{CALLED}@{server} SIP/2.0\r\n{head}To: <sip:{CALLED}@{server}>\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:carrier@{carrier}>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nContent-Type: application/sdp\r\n\
             Content-Length: {length}\r\n\r\n{sdp}",
            server = self.server,
            carrier = self.carrier,
            head = self.head("i"),
            length = sdp.len(),
        )
    }

    /// A request inside the dialog that a 200 opened: `to` and `contact` are that answer's.
    #[must_use]
    pub fn within(&self, method: &str, cseq: u32, to: &str, contact: &str) -> String {
        let branch = if method == "ACK" { "a" } else { "b" };
        format!(
            "{method} {contact} SIP/2.0\r\n{head}To: {to}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
            head = self.head(branch),
        )
    }

    /// The ACK of a refusal belongs to the INVITE's own transaction (RFC 3261 section 17.1.1.3).
    #[must_use]
    pub fn acknowledge_refusal(&self, to: &str) -> String {
        let (server, head) = (self.server, self.head("i"));
        format!(
            "ACK sip:{CALLED}@{server} SIP/2.0\r\n{head}To: {to}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
        )
    }

    fn head(&self, branch: &str) -> String {
        let Self {
            run, call, carrier, ..
        } = self;
        let ip = carrier.ip();
        format!(
            "Via: SIP/2.0/UDP {carrier};branch=z9hG4bK{run}{call}{branch};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:079{call:07}@{ip}>;tag=c{call}\r\nCall-ID: {call}-{run}@{ip}\r\n"
        )
    }
}

/// An answer to a request as it came, with our tag if the request had none.
#[must_use]
pub fn answer(request: &str, status: &str, tag: &str, contact: SocketAddr, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in head(request).lines().skip(1) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let is_to = name.eq_ignore_ascii_case("To");
        if is_to
            || ["Via", "From", "Call-ID", "CSeq", "Record-Route"]
                .iter()
                .any(|echoed| name.eq_ignore_ascii_case(echoed))
        {
            text.push_str(line);
            if is_to && !value.contains(";tag=") {
                text.push_str(";tag=");
                text.push_str(tag);
            }
            text.push_str("\r\n");
        }
    }
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    text + &format!(
        "Contact: <sip:department@{contact}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An offer or answer of one PCMU stream with keypad events.
#[must_use]
pub fn sdp(media: SocketAddr) -> String {
    let (ip, port) = (media.ip(), media.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// The first value of a header, by its long name.
#[must_use]
pub fn header<'text>(message: &'text str, name: &str) -> Option<&'text str> {
    head(message).lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .trim_end()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

/// The status of a response, none for a request.
#[must_use]
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The URI between angle brackets.
#[must_use]
pub fn uri(value: &str) -> Option<&str> {
    value.split_once('<')?.1.split_once('>').map(|(uri, _)| uri)
}

/// Where the party that wrote this SDP wants its audio.
#[must_use]
pub fn media(message: &str) -> Option<SocketAddr> {
    let body = message.split_once("\r\n\r\n")?.1;
    let ip = body
        .lines()
        .find_map(|line| line.strip_prefix("c=IN IP4 "))?
        .trim();
    let port = body
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "))?
        .split(' ')
        .next()?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

fn head(message: &str) -> &str {
    message
        .split_once("\r\n\r\n")
        .map_or(message, |(head, _)| head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_what_the_request_said_and_adds_our_tag() {
        let call = CarrierCall {
            run: "r",
            call: 3,
            carrier: "127.0.0.2:5060".parse().unwrap(),
            server: "127.0.0.1:5060".parse().unwrap(),
            media: "127.0.0.2:30000".parse().unwrap(),
        };
        let invite = call.invite();
        let ok = answer(
            &invite,
            "200 OK",
            "d3",
            "127.0.0.3:5062".parse().unwrap(),
            &sdp("127.0.0.3:30002".parse().unwrap()),
        );
        assert_eq!(status(&ok), Some(200));
        assert_eq!(
            header(&ok, "to"),
            Some("<sip:0783331000@127.0.0.1:5060>;tag=d3")
        );
        assert_eq!(header(&ok, "Call-ID"), Some("3-r@127.0.0.2"));
        assert_eq!(media(&ok), Some("127.0.0.3:30002".parse().unwrap()));
        assert_eq!(
            uri(header(&ok, "Contact").unwrap()),
            Some("sip:department@127.0.0.3:5062")
        );
    }
}
