//! One party of a call: a way for SIP, an RTP socket, and messages written out by hand.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{House, PATIENCE, line::Line, wait_for};

/// A party's sockets.
pub(crate) struct Telephone {
    sip: Line,
    rtp: Arc<UdpSocket>,
    /// Where it sends its own requests.
    house: SocketAddr,
    tag: String,
    /// As whom it calls.
    number: &'static str,
}

/// A SIP message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub text: String,
    pub from: SocketAddr,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.text
            .lines()
            .find_map(|line| {
                line.get(..prefix.len())
                    .filter(|start| start.eq_ignore_ascii_case(&prefix))
                    .map(|_| &line[prefix.len()..])
            })
            .unwrap_or_else(|| panic!("no {name} in\n{}", self.text))
    }

    /// Where the body says that media goes.
    pub(crate) fn media(&self) -> SocketAddr {
        let address = self
            .text
            .lines()
            .find_map(|line| {
                line.strip_prefix("c=IN IP4 ")
                    .or_else(|| line.strip_prefix("c=IN IP6 "))
            })
            .expect("a connection line");
        let port = self
            .text
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))
            .expect("an audio line");
        let port = port.split(' ').next().unwrap().parse().unwrap();
        SocketAddr::new(address.trim().parse().unwrap(), port)
    }

    fn vias(&self) -> String {
        self.text
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("via:"))
            .map(|line| format!("{}\r\n", line.trim_end()))
            .collect()
    }
}

/// A dialog that a caller has set up.
pub(crate) struct Dialog {
    pub call_id: String,
    pub answer: Received,
}

impl Telephone {
    pub(crate) fn new(address: IpAddr, sip_port: u16, house: SocketAddr) -> Telephone {
        let sip = UdpSocket::bind((address, sip_port)).unwrap();
        Telephone::over(Line::Datagrams(sip), address, house)
    }

    /// A telephone whose SIP goes by a line, and whose voice leaves from an address.
    pub(crate) fn over(sip: Line, address: IpAddr, house: SocketAddr) -> Telephone {
        let rtp = Arc::new(UdpSocket::bind((address, 0)).unwrap());
        rtp.set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let tag = format!("t{}", rtp.local_addr().unwrap().port());
        Telephone {
            sip,
            rtp,
            house,
            tag,
            number: "0790000001",
        }
    }

    /// The same, calling from another number.
    pub(crate) fn with_number(self, number: &'static str) -> Telephone {
        Telephone { number, ..self }
    }

    /// Waits for a message whose first line begins like this; others are passed over.
    pub(crate) fn expect(&self, start: &str) -> Received {
        self.expect_any(&[start])
    }

    pub(crate) fn expect_any(&self, starts: &[&str]) -> Received {
        let until = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for {starts:?}; passed over {passed:?}"
            );
            let Some((text, from)) = self.sip.hear(left) else {
                continue;
            };
            if starts.iter().any(|start| text.starts_with(start)) {
                return Received { text, from };
            }
            passed.push(text.lines().next().unwrap_or_default().to_owned());
        }
    }

    /// Whether anything at all arrives within this time.
    pub(crate) fn hears_within(&self, time: Duration) -> bool {
        self.sip.hear(time).is_some()
    }

    pub(crate) fn send(&self, text: &str) {
        self.sip.say(text, self.house);
    }

    fn sdp(&self) -> String {
        let rtp = self.rtp.local_addr().unwrap();
        format!(
            "v=0\r\no=- 1 1 IN {version} {ip}\r\ns=-\r\nc=IN {version} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n",
            version = if rtp.is_ipv4() { "IP4" } else { "IP6" },
            ip = rtp.ip(),
            port = rtp.port()
        )
    }

    fn request(&self, method: &str, call_id: &str, sequence: u32, to: &str, body: &str) -> String {
        let own = self.sip.own();
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} sip:0783331000@{house} SIP/2.0\r\nVia: SIP/2.0/{transport} {own};branch=z9hG4bK{call_id}{method}{sequence};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{number}@{own}>;tag={tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{number}@{own}{parameter}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
            transport = self.sip.transport(),
            parameter = self.sip.parameter(),
            house = self.house,
            tag = self.tag,
            number = self.number,
            length = body.len(),
        )
    }

    /// Sends an INVITE to 0783331000.
    pub(crate) fn invite(&self, call_id: &str) {
        self.send(&self.request(
            "INVITE",
            call_id,
            1,
            &format!("<sip:0783331000@{}>", self.house),
            &self.sdp(),
        ));
    }

    /// Waits for the 200 of an INVITE and acknowledges it.
    pub(crate) fn answered(&self, call_id: &str) -> Dialog {
        let answer = self.expect("SIP/2.0 200");
        self.send(&self.request("ACK", call_id, 1, answer.header("To"), ""));
        Dialog {
            call_id: call_id.to_owned(),
            answer,
        }
    }

    /// Hangs up and waits for the 200.
    pub(crate) fn hang_up(&self, dialog: &Dialog) {
        self.send(&self.request("BYE", &dialog.call_id, 2, dialog.answer.header("To"), ""));
        self.expect("SIP/2.0 200");
    }

    pub(crate) fn options(&self) {
        self.send(&self.request(
            "OPTIONS",
            "options",
            1,
            &format!("<sip:{}>", self.house),
            "",
        ));
    }

    /// Answers a request; `body` for the 200 of an INVITE.
    pub(crate) fn respond(&self, request: &Received, status: &str, has_body: bool) {
        let body = if has_body { self.sdp() } else { String::new() };
        let kind = if has_body {
            "Content-Type: application/sdp\r\n"
        } else {
            ""
        };
        let to = request.header("To");
        let to = if to.contains("tag=") {
            to.to_owned()
        } else {
            format!("{to};tag={}", self.tag)
        };
        let own = self.sip.own();
        let text = format!(
            "SIP/2.0 {status}\r\n{vias}From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\nContact: <sip:pbx@{own}{parameter}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
            parameter = self.sip.parameter(),
            vias = request.vias(),
            from = request.header("From"),
            call_id = request.header("Call-ID"),
            cseq = request.header("CSeq"),
            length = body.len(),
        );
        self.sip.say(&text, request.from);
    }

    /// Takes the next call: rings, answers, waits for the ACK. Returns the INVITE.
    pub(crate) fn pick_up(&self) -> Received {
        let invite = self.expect("INVITE");
        self.respond(&invite, "180 Ringing", false);
        self.respond(&invite, "200 OK", true);
        self.expect("ACK");
        invite
    }

    /// Speaks one value over and over to a media address, and listens, until the voice is dropped.
    pub(crate) fn speak(&self, to: SocketAddr, sample: u8) -> Voice {
        let ending = Arc::new(AtomicBool::new(false));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let speaker = {
            let (rtp, ending) = (Arc::clone(&self.rtp), Arc::clone(&ending));
            thread::spawn(move || speak(&rtp, to, sample, &ending))
        };
        let listener = {
            let (rtp, ending, heard) = (
                Arc::clone(&self.rtp),
                Arc::clone(&ending),
                Arc::clone(&heard),
            );
            thread::spawn(move || listen(&rtp, &ending, &heard))
        };
        Voice {
            ending,
            heard,
            threads: vec![speaker, listener],
        }
    }
}

/// A party that speaks and listens.
pub(crate) struct Voice {
    ending: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Voice {
    /// How often a sample value was heard.
    pub(crate) fn heard(&self, sample: u8) -> usize {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .filter(|heard| **heard == sample)
            .count()
    }

    /// Everything heard so far.
    pub(crate) fn heard_bytes(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Packets leave on the beat of real time: 50 a second, as any telephone does.
fn speak(rtp: &UdpSocket, to: SocketAddr, sample: u8, ending: &AtomicBool) {
    let begun = Instant::now();
    for packet in 0_u32.. {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let mut bytes = vec![0x80, 0];
        bytes.extend_from_slice(&u16::try_from(packet & 0xffff).unwrap().to_be_bytes());
        bytes.extend_from_slice(&(packet * 160).to_be_bytes());
        bytes.extend_from_slice(&[1, 2, 3, sample]);
        bytes.extend_from_slice(&[sample; 160]);
        let _ = rtp.send_to(&bytes, to);
        thread::sleep(
            (begun + Duration::from_millis(20) * (packet + 1))
                .saturating_duration_since(Instant::now()),
        );
    }
}

fn listen(rtp: &UdpSocket, ending: &AtomicBool, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 1_500];
    while !ending.load(Ordering::Relaxed) {
        if let Ok((length, _)) = rtp.recv_from(&mut bytes)
            && length > 12
        {
            heard.lock().unwrap().extend_from_slice(&bytes[12..length]);
        }
    }
}

/// A transparent call that lasts until both parties have heard so many samples.
pub(crate) fn call(house: &House, call_id: &str, samples: usize) {
    const CALLER: u8 = 0x21;
    const CITY: u8 = 0x47;
    let sip = (house.addresses.house, 5060).into();
    let caller = Telephone::new(house.addresses.carrier, 0, sip);
    let department = Telephone::new(house.addresses.pbx, 5062, sip);
    caller.invite(call_id);
    let invite = department.pick_up();
    let officer = department.speak(invite.media(), CITY);
    let dialog = caller.answered(call_id);
    let citizen = caller.speak(dialog.answer.media(), CALLER);
    wait_for("both voices at the other end", || {
        (citizen.heard(CITY) > samples && officer.heard(CALLER) > samples).then_some(())
    });
    caller.hang_up(&dialog);
    let bye = department.expect("BYE");
    department.respond(&bye, "200 OK", false);
}

/// A house that runs, with a clerk `hanako` who may handle what is recorded, and one sealed recording; its row.
pub(crate) fn recorded() -> (House, Value) {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    house.enlist("hanako", "assistant");
    house.run();
    call(&house, "one", 4_000);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    (house, row)
}
