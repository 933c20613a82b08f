//! One recording before its day, by the decision of an approved request (要領 5-2, 消去; K-33).

use std::io;

use jiff::Timestamp;
use rules::{Action, CaseId, RecordingId};
use storage::{Duty, EarlyDisposal, Layout};

use super::{owner::Owner, people::Caller};
use crate::{
    calls,
    duty::{Answer, Conversation, DUTY_PATIENCE, Ending},
};

impl Owner {
    /// Judges it. `decision`: as it was typed in, where it was.
    pub(super) async fn dispose_early(
        &mut self,
        caller: &Caller<'_>,
        recording: RecordingId,
        decision: Option<&str>,
        now: Timestamp,
    ) -> Result<EarlyDisposal, Ending> {
        let register = self.register().await?;
        let petitioner = caller.petitioner();
        let case = decision.and_then(|text| text.parse::<CaseId>().ok());
        let heard = self.heard_of([recording].into()).await?;
        let judged =
            register.judge_early_disposal(&petitioner, case, recording, heard.first(), now);
        let cause = judged.map_err(|fault| self.refuse(caller, Action::DisposeOne, &fault))?;
        let actor = petitioner.actor();
        Ok(EarlyDisposal::new(actor, recording, cause, now))
    }
}

/// Waits until whoever carries calls has on disk what was sealed before. Where nobody does, all of it is.
pub(super) fn flush_calls(layout: &Layout) -> io::Result<()> {
    let Some(conversation) = Conversation::ask(layout, Duty::Calls, &calls::Request::Flush)? else {
        return Ok(());
    };
    let mut conversation = conversation.within(DUTY_PATIENCE)?;
    match conversation.answer::<bool>()? {
        Answer::Done(true) => Ok(()),
        _ => Err(io::Error::other("its rows could not be written")),
    }
}
