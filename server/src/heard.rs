//! Who heard a recording: read from the office's trail, for whoever may see that. The entry that it was seen is durable first.

use std::io;

use jiff::Timestamp;
use rules::{
    AuditEntry, HandOverId, Hearing, Hearings, Purpose, RecordingId, StaffId, TrailReading,
};
use serde::{Deserialize, Serialize};
use storage::{AuditFault, Duty, OsDisk, read_entries};

use crate::{
    duty::{Answer, Client, Conversation, Ending, Message},
    office::Desk,
    proof::{Asker, Proof},
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
    let hearings = match hearings(desk, recording, proof, asker) {
        Ok(hearings) => hearings,
        Err(ending) => return client.answer(&ending.without::<Option<HearingView>>()),
    };
    for hearing in hearings.finish() {
        client.answer(&Answer::Done(Some(HearingView::from(hearing))))?;
    }
    client.answer(&Answer::Done(None::<HearingView>))
}

fn hearings(
    desk: &Desk,
    recording: RecordingId,
    proof: Proof,
    asker: Asker,
) -> Result<Hearings, Ending> {
    match desk.let_read(TrailReading::Hearings { recording }, proof, asker) {
        Answer::Done(_) => read(desk, recording).map_err(|fault| {
            Answer::Unavailable(Message::new("証跡を読めません。", fault.to_string()))
        }),
        other => Err(other.without()),
    }
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

/// The asker's end: hands on each hearing until the last.
///
/// # Errors
/// The office went away.
pub(crate) fn receive(
    conversation: &mut Conversation,
    mut tell: impl FnMut(HearingView),
) -> io::Result<Answer<()>> {
    loop {
        match conversation.answer::<Option<HearingView>>()? {
            Answer::Done(Some(hearing)) => tell(hearing),
            Answer::Done(None) => return Ok(Answer::Done(())),
            other => return Ok(other.without()),
        }
    }
}
