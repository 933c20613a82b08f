//! Hearing at speaking pace: pieces of at most a second, each sent when its time has come, so that a right that lapses stops the sound within one (K-11).
//!
//! Order: entry durable, then bytes flow, then the entry that says which part was sent.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use rules::{AuditDraft, AuditEvent, ListenPermit, Refusal, RefusalCode};
use serde::{Deserialize, Serialize};
use storage::OpenFault;

use crate::{
    duty::{Answer, Client, Conversation},
    export::{ABORT, END, receive_parts},
    office::{Desk, Opened, Wish},
    people,
    proof::Asker,
    voice::{self, SAMPLE_RATE_HZ, Voice, wav_header},
};

/// What was heard, in milliseconds from the recording's beginning.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Played {
    pub(crate) range_ms: (u64, u64),
}

/// Plays a recording to one client.
///
/// # Errors
/// The client went away; what it got is written down all the same.
pub(crate) fn play(desk: &Desk, wish: Wish, asker: Asker, client: &mut Client) -> io::Result<()> {
    let (recording, range_ms) = (wish.recording, wish.range_ms);
    let opened = match desk.listen(wish, asker) {
        Answer::Done(opened) => opened,
        other => return client.answer(&other.without::<()>()),
    };
    let Opened {
        playback,
        granted,
        actor,
        ..
    } = opened;
    let mut voice = Voice::new(playback, range_ms);
    let from_ms = voice.at_ms();
    let ended = send(desk, &mut voice, client);
    let played = Played {
        range_ms: (from_ms, voice.at_ms()),
    };
    let cut = match &ended {
        Err(Cut::Recording(fault)) => cut_by(fault),
        Ok(()) | Err(Cut::Client(_)) => None,
    };
    let event = AuditEvent::PlaybackEnded {
        recording,
        granted,
        range_ms: played.range_ms,
        cut,
    };
    // The grant is written down already; this entry only says how far it went.
    let is_written = desk.audit(AuditDraft { actor, event });
    match ended {
        Ok(()) if is_written => client.answer(&Answer::Done(played)),
        Ok(()) => {
            let message = people::message(&Refusal::audit_unavailable());
            client.answer(&Answer::<Played>::Unavailable(message))
        }
        Err(Cut::Client(fault)) => Err(fault),
        Err(Cut::Recording(fault)) => {
            client.end_parts(ABORT)?;
            client.answer(&voice::broken_off::<Played>(
                &fault,
                "録音を最後まで読めませんでした。",
            ))
        }
    }
}

/// The rule that ended it, if one did.
pub(crate) fn cut_by(fault: &OpenFault) -> Option<RefusalCode> {
    match fault {
        OpenFault::Refused(refusal) => Some(refusal.code()),
        OpenFault::Expired => Some(RefusalCode::Disposed),
        _ => None,
    }
}

enum Cut {
    Client(io::Error),
    Recording(OpenFault),
}

const PIECE: Duration = Duration::from_millis(500); // A right that lapses is seen at the next one, within a second.

/// A client that stops reading is waited for, and then gone; nothing is sent ahead of its time.
fn send(desk: &Desk, voice: &mut Voice<ListenPermit>, client: &mut Client) -> Result<(), Cut> {
    client.answer(&Answer::Done(())).map_err(Cut::Client)?;
    let header = wav_header(voice.samples());
    client.send_part(&header).map_err(Cut::Client)?;
    let samples = u64::from(SAMPLE_RATE_HZ) / 2;
    let begun = Instant::now();
    let first_ms = voice.at_ms();
    while let Some(part) = voice.part(desk, samples).map_err(Cut::Recording)? {
        client.send_part(&part.bytes).map_err(Cut::Client)?;
        voice.pass(&part);
        let said = Duration::from_millis(voice.at_ms() - first_ms);
        // As long as what was sent lasts, so that no more than a piece lies ahead.
        std::thread::sleep(said.saturating_sub(begun.elapsed()).min(PIECE));
    }
    client.end_parts(END).map_err(Cut::Client)
}

/// The asker's end: writes what comes as it comes.
///
/// # Errors
/// The office went away, or nobody reads any more.
pub(crate) fn receive(
    conversation: &mut Conversation,
    out: &mut impl Write,
) -> io::Result<Answer<Played>> {
    match conversation.answer::<()>()? {
        Answer::Done(()) => {}
        other => return Ok(other.without()),
    }
    receive_parts(conversation, out)?;
    conversation.answer()
}
