//! One recording before its day, by the decision of an approved request (要領 5-2, 消去; K-33).

use std::io;

use jiff::Timestamp;
use rules::{Action, CaseId, RecordingId};
use storage::{Duty, Layout};

use super::{
    owner::Owner,
    people::Caller,
    sweep::{DisposeDone, NotDone, waits_for},
};
use crate::{
    calls,
    duty::{Answer, Conversation, Ending},
};

impl Owner {
    /// `decision`: as it was typed in.
    pub(super) async fn dispose_early(
        &mut self,
        caller: &Caller<'_>,
        recording: RecordingId,
        decision: &str,
        now: Timestamp,
    ) -> Result<DisposeDone, Ending> {
        let register = self.register().await?;
        let petitioner = caller.petitioner();
        let case = decision.parse::<CaseId>().ok();
        let heard = self.heard_of([recording].into()).await?;
        let judged =
            register.judge_early_disposal(&petitioner, case, recording, heard.first(), now);
        let cause = judged.map_err(|fault| self.refuse(caller, Action::DisposeOne, &fault))?;
        let actor = petitioner.actor();
        let layout = self.layout.clone();
        let disposed = self
            .with_office(async |office| {
                let flushed = || flush_calls(&layout);
                storage::dispose_one(office, &actor, recording, cause, now, flushed).await
            })
            .await;
        let pending = disposed.map_err(NotDone::ending)?;
        Ok(DisposeDone::DisposedOne {
            recording,
            pending: pending.iter().map(waits_for).collect(),
        })
    }
}

/// Waits until whoever carries calls has on disk what was sealed before. Where nobody does, all of it is.
fn flush_calls(layout: &Layout) -> io::Result<()> {
    let Some(mut conversation) = Conversation::ask(layout, Duty::Calls, &calls::Request::Flush)?
    else {
        return Ok(());
    };
    match conversation.answer::<bool>()? {
        Answer::Done(true) => Ok(()),
        _ => Err(io::Error::other("its rows could not be written")),
    }
}
