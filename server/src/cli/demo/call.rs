//! One call of the demonstration: a citizen's telephone on the carrier's side, a department's on the PBX's.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use super::{
    ladder::{Ladder, Step},
    party::{Line, Text, Voice, description},
    speech::Speech,
};

const PATIENCE: Duration = Duration::from_secs(30);
const RING: Duration = Duration::from_millis(2_500); // Long enough to hear one Japanese ringback (1 s on, 2 s off).
const T1: Duration = Duration::from_millis(500); // RFC 3261 section 17.1.1.1.

/// Who stands where, all on loopback.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) denwaban: SocketAddr,
    pub(super) carrier: IpAddr,
    pub(super) pbx: SocketAddr,
    pub(super) number: String,
}

/// What the citizen went through.
pub(super) struct Outcome {
    /// Time from the carrier's answer until the department's telephone rang: the notice, when there was one.
    pub(super) notice: Duration,
    pub(super) heard_samples: usize,
}

/// Plays one call to its end and writes every message into `ladder`.
pub(super) fn play(
    scene: &Scene,
    speech: &Speech,
    ladder: &Ladder,
    call_id: &str,
) -> io::Result<Outcome> {
    let department_line = Line::bind(scene.pbx)?;
    let (rang, rings) = channel();
    let (department_spoke, citizen_turn) = channel();
    let (citizen_spoke, department_turn) = channel();
    thread::scope(|scope| {
        let department = scope.spawn(move || {
            department(
                &department_line,
                speech,
                ladder,
                &rang,
                &Turns {
                    spoke: department_spoke,
                    turn: department_turn,
                },
            )
        });
        let outcome = citizen(
            scene,
            speech,
            ladder,
            call_id,
            &rings,
            &Turns {
                spoke: citizen_spoke,
                turn: citizen_turn,
            },
        );
        let department = department
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the department's thread panicked")));
        outcome.and_then(|outcome| department.map(|()| outcome))
    })
}

/// The two parties speak in turns, as people do.
struct Turns {
    spoke: Sender<()>,
    turn: Receiver<()>,
}

impl Turns {
    fn done(&self) {
        // The other party may have hung up; then nobody waits for this.
        let _ = self.spoke.send(());
    }

    fn wait(&self) -> io::Result<()> {
        self.turn.recv_timeout(PATIENCE).map_err(|_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                "the other party did not speak within 30 s",
            )
        })
    }
}

fn citizen(
    scene: &Scene,
    speech: &Speech,
    ladder: &Ladder,
    call_id: &str,
    rings: &Receiver<Instant>,
    turns: &Turns,
) -> io::Result<Outcome> {
    let line = Line::bind(SocketAddr::new(scene.carrier, 0))?;
    let mut voice = Voice::bind(scene.carrier)?;
    let dialog = Dialog {
        local: line.address()?,
        scene,
        call_id,
    };

    let invite = dialog.request(
        "INVITE",
        1,
        None,
        &description(SocketAddr::new(scene.carrier, voice.port())),
    );
    let accepted = dialog.invite(&line, &invite, ladder)?;
    let answered = Instant::now();
    let audio = accepted
        .audio_address()
        .ok_or_else(|| io::Error::other("the 200 has no audio address in its SDP"))?;
    line.send(
        scene.denwaban,
        &dialog.request("ACK", 1, Some(&accepted), ""),
    )?;
    ladder.add(Step::FromCarrier("ACK".to_owned()));
    voice.start(audio)?;

    let rang = wait_for_ringing(&voice, ladder, rings)?;
    turns.wait()?;
    voice.say(&speech.citizen_question);
    turns.done();
    turns.wait()?;
    voice.say(&speech.citizen_thanks);

    line.send(
        scene.denwaban,
        &dialog.request("BYE", 2, Some(&accepted), ""),
    )?;
    ladder.add(Step::FromCarrier("BYE".to_owned()));
    let bye_done = wait_for(&line, |text| {
        text.status().is_some() && text.method() == "BYE"
    })?;
    ladder.add(Step::ToCarrier(format!(
        "{} BYE",
        bye_done.status().unwrap_or(0)
    )));
    Ok(Outcome {
        notice: rang.saturating_duration_since(answered),
        heard_samples: voice.heard().len(),
    })
}

/// Waits until the department rings; what the citizen hears before that is the notice.
fn wait_for_ringing(
    voice: &Voice,
    ladder: &Ladder,
    rings: &Receiver<Instant>,
) -> io::Result<Instant> {
    const LOOK: Duration = Duration::from_millis(10);
    let deadline = Instant::now() + PATIENCE;
    let mut is_told = false;
    while Instant::now() < deadline {
        if let Ok(rang) = rings.recv_timeout(LOOK) {
            return Ok(rang);
        }
        if !is_told && !voice.heard().is_empty() {
            is_told = true;
            ladder.add(Step::Heard(
                "告知「…この通話は、市民サービスの向上のため、録音させていただきます。」 the notice begins".to_owned(),
            ));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "the department did not ring within 30 s",
    ))
}

/// The citizen's side of the dialog, written by hand.
struct Dialog<'scene> {
    local: SocketAddr,
    scene: &'scene Scene,
    call_id: &'scene str,
}

impl Dialog<'_> {
    fn request(&self, method: &str, cseq: u32, accepted: Option<&Text>, body: &str) -> String {
        let (local, number) = (self.local, &self.scene.number);
        let target = accepted.map_or_else(
            || format!("sip:{number}@{}", self.scene.denwaban),
            |accepted| accepted.contact_uri().to_owned(),
        );
        let to = accepted.map_or_else(
            || format!("<sip:{number}@{}>", self.scene.denwaban),
            |accepted| accepted.header("To").to_owned(),
        );
        let content_type = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{id}{cseq}{method};rport\r\nMax-Forwards: 70\r\n\
             From: \"市民\" <sip:0790000001@{local}>;tag={id}\r\nTo: {to}\r\nCall-ID: {id}@demo\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:carrier@{local}>\r\n{content_type}Content-Length: {length}\r\n\r\n{body}",
            id = self.call_id,
            length = body.len(),
        )
    }

    /// Sends the INVITE until something comes back, then waits for its 2xx.
    fn invite(&self, line: &Line, invite: &str, ladder: &Ladder) -> io::Result<Text> {
        ladder.add(Step::FromCarrier("INVITE (SDP)".to_owned()));
        let deadline = Instant::now() + PATIENCE;
        let mut answered = false;
        while Instant::now() < deadline {
            if !answered {
                line.send(self.scene.denwaban, invite)?;
            }
            let Some((text, _)) = line.receive(if answered { PATIENCE } else { T1 })? else {
                continue;
            };
            let Some(status) = text.status().filter(|_| text.method() == "INVITE") else {
                continue;
            };
            answered = true;
            ladder.add(Step::ToCarrier(
                text.start_line().trim_start_matches("SIP/2.0 ").to_owned(),
            ));
            match status {
                100..200 => {}
                200..300 => return Ok(text),
                _ => {
                    return Err(io::Error::other(format!(
                        "the call was refused: {}",
                        text.start_line()
                    )));
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no final answer to the INVITE within 30 s",
        ))
    }
}

fn department(
    line: &Line,
    speech: &Speech,
    ladder: &Ladder,
    rang: &Sender<Instant>,
    turns: &Turns,
) -> io::Result<()> {
    let address = line.address()?;
    let mut voice = Voice::bind(address.ip())?;
    let (invite, denwaban) = line.receive(PATIENCE)?.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            "no INVITE came to the department within 30 s",
        )
    })?;
    let _ = rang.send(Instant::now());
    ladder.add(Step::ToDepartment("INVITE (SDP)".to_owned()));
    let audio = invite.audio_address().ok_or_else(|| {
        io::Error::other("the INVITE to the department has no audio address in its SDP")
    })?;

    line.send(denwaban, &reply(&invite, "180 Ringing", address, ""))?;
    ladder.add(Step::FromDepartment("180 Ringing".to_owned()));
    thread::sleep(RING);
    line.send(
        denwaban,
        &reply(
            &invite,
            "200 OK",
            address,
            &description(SocketAddr::new(address.ip(), voice.port())),
        ),
    )?;
    ladder.add(Step::FromDepartment("200 OK (SDP)".to_owned()));
    wait_for(line, |text| text.method() == "ACK")?;
    ladder.add(Step::ToDepartment("ACK".to_owned()));

    voice.start(audio)?;
    voice.say(&speech.department_greeting);
    ladder.add(Step::Heard(
        "担当課「はい、市民課でございます。」 the department speaks".to_owned(),
    ));
    turns.done();
    turns.wait()?;
    ladder.add(Step::Heard(
        "市民「住民票の写しは、日曜日でも取れますか。」 the citizen asks".to_owned(),
    ));
    voice.say(&speech.department_answer);
    turns.done();

    let bye = wait_for(line, |text| text.method() == "BYE")?;
    ladder.add(Step::ToDepartment("BYE".to_owned()));
    line.send(denwaban, &reply(&bye, "200 OK", address, ""))?;
    ladder.add(Step::FromDepartment("200 BYE".to_owned()));
    Ok(())
}

fn wait_for(line: &Line, wanted: impl Fn(&Text) -> bool) -> io::Result<Text> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        if let Some((text, _)) = line.receive(left)?
            && wanted(&text)
        {
            return Ok(text);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "the awaited message did not come within 30 s",
    ))
}

fn reply(request: &Text, status: &str, contact: SocketAddr, body: &str) -> String {
    let vias = request
        .headers("Via")
        .map(|via| format!("Via: {via}\r\n"))
        .collect::<String>();
    let tag = if request.header("To").contains(";tag=") {
        ""
    } else {
        ";tag=department"
    };
    let content_type = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:department@{contact}>\r\n\
         {content_type}Content-Length: {}\r\n\r\n{body}",
        request.header("From"),
        request.header("To"),
        request.header("Call-ID"),
        request.header("CSeq"),
        body.len(),
    )
}
