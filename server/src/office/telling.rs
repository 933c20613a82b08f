//! What the office tells whoever carries calls by its files: the numbers' notices (law 2) and the policy's N (K-22). Start at [`Owner::look_after_told`].

use std::{
    io,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{AlarmCode, Notices, PolicyDays, Register};
use storage::{Duty, FoundFile, Layout, NoticeFileFault, tells};

use super::owner::Owner;
use crate::{
    calls,
    duty::{Answer, Conversation, DUTY_PATIENCE},
};

/// How often the files are looked at: so long calls may go by what somebody else wrote.
const EACH: Duration = Duration::from_secs(10);

/// What the files say since this process has settled them.
#[derive(Debug, Default)]
pub(super) struct TellingFiles {
    notices: Option<Notices>,
    days: Option<PolicyDays>,
    again: Option<Instant>,
}

impl Owner {
    /// Has what is told settled anew, as soon as a file says something else.
    pub(super) fn look_after_told(&mut self) {
        let now = Instant::now();
        if self.telling.again.is_some_and(|again| now < again) {
            return;
        }
        self.telling.again = Some(now + EACH);
        let (disk, layout) = (&*self.disk, &self.layout);
        let notices = self.telling.notices.as_ref();
        let days = self.telling.days.as_ref();
        let is_so = notices.is_none_or(|notices| tells(disk, layout, notices))
            && days.is_none_or(|days| tells(disk, layout, days));
        if !is_so {
            self.waivers_again = now;
        }
    }

    /// Writes the file where it says something else than the register, and has calls look at it.
    pub(super) fn settle_notices(&mut self, register: &Register) -> Result<(), String> {
        let wanted = register.waivers().notices();
        let now = Timestamp::now();
        let (found, saved) = storage::settle_told(&*self.disk, &self.layout, &wanted, now);
        self.tell_of_file(AlarmCode::NoticesAltered, found, &saved);
        self.telling.notices = saved.is_ok().then_some(wanted);
        let outcome = saved
            .map_err(|fault| fault.to_string())
            .and_then(|()| tell_calls(&self.layout).map_err(|fault| fault.to_string()));
        self.note(AlarmCode::NoticesUnknown, outcome.clone());
        outcome
    }

    /// Writes N of the policy for whoever fixes the expiry of a day.
    pub(super) fn settle_policy_days(
        &mut self,
        register: &Register,
    ) -> Result<(), NoticeFileFault> {
        let wanted = register.policy().days();
        let now = Timestamp::now();
        let (found, saved) = storage::settle_told(&*self.disk, &self.layout, &wanted, now);
        self.tell_of_file(AlarmCode::PolicyDaysAltered, found, &saved);
        self.telling.days = saved.is_ok().then_some(wanted);
        saved.inspect_err(|fault| {
            tracing::error!(%fault, "a day that begins is not yet kept by the policy's N");
        })
    }

    /// Each time that a file was found altered is told; once it is written anew, that is over.
    fn tell_of_file(
        &mut self,
        code: AlarmCode,
        found: FoundFile,
        saved: &Result<(), NoticeFileFault>,
    ) {
        let altered = (found == FoundFile::Altered).then(|| {
            "a file for calls was not what the office had written; it is written anew".to_owned()
        });
        self.remind(code, altered);
        if saved.is_ok() {
            self.remind(code, None);
        }
    }
}

/// Waits until whoever carries calls goes by the file. Where nobody does, the next start reads it.
fn tell_calls(layout: &Layout) -> io::Result<()> {
    let Some(conversation) = Conversation::ask(layout, Duty::Calls, &calls::Request::Notices)?
    else {
        return Ok(());
    };
    let mut conversation = conversation.within(DUTY_PATIENCE)?;
    match conversation.answer::<bool>()? {
        Answer::Done(true) => Ok(()),
        _ => Err(io::Error::other(
            "whoever carries calls could not take it in",
        )),
    }
}
