//! SIP as a simulated telephone reads it: lines of text, nothing typed.

use std::net::SocketAddr;

/// A message in lines.
#[derive(Debug, Clone)]
pub struct Text {
    /// The first line.
    pub start: String,
    headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: String,
}

impl Text {
    /// Splits a datagram.
    pub fn read(payload: &[u8]) -> Text {
        let text = String::from_utf8(payload.to_vec()).expect("our own SIP is UTF-8");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .expect("an empty line ends the headers");
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a first line").to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            (name.trim().to_ascii_lowercase(), value.trim().to_owned())
        });
        Text {
            start,
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    /// The value of a header by its long name; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    /// All values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The status of an answer; none in a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method: of the first line, or of `CSeq` in an answer.
    pub fn method(&self) -> &str {
        match self.status() {
            Some(_) => self.header("CSeq").split(' ').nth(1).unwrap_or_default(),
            None => self.start.split(' ').next().unwrap_or_default(),
        }
    }

    /// The number in `CSeq`.
    pub fn sequence(&self) -> u32 {
        self.header("CSeq")
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    /// The user part of the Request-URI.
    pub fn called_user(&self) -> &str {
        let uri = self.start.split(' ').nth(1).unwrap_or_default();
        uri.strip_prefix("sip:")
            .and_then(|rest| rest.split_once('@'))
            .map_or("", |(user, _)| user)
    }

    /// The Request-URI.
    pub fn target(&self) -> String {
        self.start.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The URI in Contact.
    pub fn contact(&self) -> String {
        self.header("Contact")
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or(String::new(), |(uri, _)| uri.to_owned())
    }

    /// Where the description in the body wants RTP.
    pub fn media(&self) -> Option<SocketAddr> {
        let host = self
            .body
            .lines()
            .find_map(|line| line.strip_prefix("c=IN IP4 "))?;
        let line = self
            .body
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))?;
        format!("{}:{}", host.trim(), line.split(' ').next()?)
            .parse()
            .ok()
    }

    /// The payload types of the audio line.
    pub fn payload_types(&self) -> Vec<u8> {
        let line = self
            .body
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))
            .unwrap_or_default();
        line.split(' ')
            .skip(2)
            .filter_map(|number| number.trim().parse().ok())
            .collect()
    }
}

/// An answer to a request, as every telephone writes it: its own headers copied back.
pub fn answer(
    request: &Text,
    status: u16,
    phrase: &str,
    tag: &str,
    contact: SocketAddr,
    body: &str,
) -> Vec<u8> {
    answer_with(
        request,
        status,
        phrase,
        tag,
        contact,
        &[],
        "application/sdp",
        body,
    )
}

/// The same with further header lines and a body of any type.
#[expect(clippy::too_many_arguments, reason = "all of it stands in one answer")]
pub fn answer_with(
    request: &Text,
    status: u16,
    phrase: &str,
    tag: &str,
    contact: SocketAddr,
    headers: &[String],
    kind: &str,
    body: &str,
) -> Vec<u8> {
    let vias: String = request
        .all("Via")
        .iter()
        .map(|via| format!("Via: {via}\r\n"))
        .collect();
    let to = request.header("To");
    let to = if to.contains(";tag=") || status == 100 {
        to.to_owned()
    } else {
        format!("{to};tag={tag}")
    };
    let kind = if body.is_empty() {
        ""
    } else {
        &format!("Content-Type: {kind}\r\n")
    };
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "SIP/2.0 {status} {phrase}\r\n{vias}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:{contact}>\r\n{headers}{kind}Content-Length: {}\r\n\r\n{body}",
        request.header("From"),
        request.header("Call-ID"),
        request.header("CSeq"),
        body.len(),
    )
    .into_bytes()
}

/// A description of one audio line.
pub fn describe(media: SocketAddr, payload_types: &[u8]) -> String {
    let numbers: Vec<String> = payload_types.iter().map(ToString::to_string).collect();
    let maps: String = payload_types
        .iter()
        .map(|number| match number {
            0 => "a=rtpmap:0 PCMU/8000\r\n".to_owned(),
            8 => "a=rtpmap:8 PCMA/8000\r\n".to_owned(),
            number => format!("a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n"),
        })
        .collect();
    format!(
        "v=0\r\no=phone 1 1 IN IP4 {host}\r\ns=call\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {list}\r\n{maps}a=ptime:20\r\na=sendrecv\r\n",
        host = media.ip(),
        port = media.port(),
        list = numbers.join(" "),
    )
}
