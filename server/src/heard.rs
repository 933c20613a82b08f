//! Who heard a recording, and who saw its caller's number: read from the office's trail, for whoever may see that. The entry that it was seen is durable first.

use std::io;

use jiff::Timestamp;
use rules::{
    AuditEntry, HandOverId, Hearing, Hearings, Purpose, RecordingId, StaffId, TrailReading,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use storage::{AuditFault, Duty, OsDisk, read_entries};

use crate::{
    duty::{Answer, Client, Conversation, Ending, Message},
    office::{Desk, Reader},
    proof::{Asker, Proof},
    wording::Wording,
};

/// A hearing, one a line; after the last stands none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HearingView {
    pub(crate) at: Timestamp,
    pub(crate) who: Option<StaffId>,
    pub(crate) purpose: Purpose,
    pub(crate) hand_over: Option<HandOverId>,
    pub(crate) range_ms: Option<(u64, u64)>,
}

impl From<Hearing> for HearingView {
    fn from(hearing: Hearing) -> HearingView {
        HearingView {
            at: hearing.at,
            who: hearing.who,
            purpose: hearing.purpose,
            hand_over: hearing.hand_over,
            range_ms: hearing.range_ms,
        }
    }
}

/// Somebody who saw the caller's number, one a line; after the last stands none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SightingView {
    pub(crate) at: Timestamp,
    pub(crate) who: Option<StaffId>,
    pub(crate) purpose: Purpose,
    /// For managers and auditors, where it still opens.
    pub(crate) reason: Option<Wording>,
}

/// Shows one client who heard a recording.
///
/// # Errors
/// The client went away.
pub(crate) fn show(
    desk: &Desk,
    recording: RecordingId,
    proof: Proof,
    asker: Asker,
    client: &mut Client,
) -> io::Result<()> {
    let reading = TrailReading::Hearings { recording };
    let (hearings, _) = match let_read(desk, recording, reading, proof, asker) {
        Ok(read) => read,
        Err(ending) => return client.answer(&ending.without::<Option<HearingView>>()),
    };
    for hearing in hearings.finish() {
        client.answer(&Answer::Done(Some(HearingView::from(hearing))))?;
    }
    client.answer(&Answer::Done(None::<HearingView>))
}

/// Shows one client who saw the number of a recording's caller, and why.
///
/// # Errors
/// The client went away.
pub(crate) fn show_sightings(
    desk: &Desk,
    recording: RecordingId,
    proof: Proof,
    asker: Asker,
    client: &mut Client,
) -> io::Result<()> {
    let reading = TrailReading::Sightings { recording };
    let (hearings, reader) = match let_read(desk, recording, reading, proof, asker) {
        Ok(read) => read,
        Err(ending) => return client.answer(&ending.without::<Option<SightingView>>()),
    };
    for sighting in hearings.sightings() {
        let view = SightingView {
            at: sighting.at,
            who: sighting.who.clone(),
            purpose: sighting.purpose,
            reason: reader.words.get(&sighting.reason).cloned(),
        };
        client.answer(&Answer::Done(Some(view)))?;
    }
    client.answer(&Answer::Done(None::<SightingView>))
}

fn let_read(
    desk: &Desk,
    recording: RecordingId,
    reading: TrailReading,
    proof: Proof,
    asker: Asker,
) -> Result<(Hearings, Reader), Ending> {
    let reader = match desk.let_read(reading, proof, asker) {
        Answer::Done(reader) => reader,
        other => return Err(other.without()),
    };
    let hearings = read(desk, recording).map_err(|fault| {
        Answer::Unavailable(Message::new("証跡を読めません。", fault.to_string()))
    })?;
    Ok((hearings, reader))
}

fn read(desk: &Desk, recording: RecordingId) -> Result<Hearings, AuditFault> {
    let mut hearings = Hearings::of(recording);
    let layout = desk.config().layout();
    read_entries(&OsDisk, &layout, Duty::Office, 1, &mut |_, entry| {
        if hearings.may_concern(entry)
            && let Ok(entry) = serde_json::from_str::<AuditEntry>(entry)
        {
            hearings.handle(&entry);
        }
    })?;
    Ok(hearings)
}

/// The asker's end: hands on each view until the last.
///
/// # Errors
/// The office went away.
pub(crate) fn receive<V: DeserializeOwned>(
    conversation: &mut Conversation,
    mut tell: impl FnMut(V),
) -> io::Result<Answer<()>> {
    loop {
        match conversation.answer::<Option<V>>()? {
            Answer::Done(Some(view)) => tell(view),
            Answer::Done(None) => return Ok(Answer::Done(())),
            other => return Ok(other.without()),
        }
    }
}
