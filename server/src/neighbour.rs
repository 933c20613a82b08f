//! The office as those who carry calls see it: in this process once it has begun, else behind its socket, if anywhere at all.

use std::sync::{Arc, OnceLock};

use rules::{Action, StaffId};
use storage::{Duty, Layout};
use tokio::sync::Notify;

use crate::{
    duty::{Answer, Conversation},
    export, office,
    proof::{Asker, Proof},
};

/// The office next to the calls, whether it is there or not.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    layout: Layout,
    here: Arc<OnceLock<office::Desk>>,
    nudge: Arc<Notify>,
}

impl Neighbour {
    /// One that does its duty in another process, if in any, until it moves in.
    pub(crate) fn away(layout: &Layout) -> Neighbour {
        Neighbour {
            layout: layout.clone(),
            here: Arc::default(),
            nudge: Arc::default(),
        }
    }

    /// It does its duty in this process from here on.
    pub(crate) fn moves_in(&self, desk: office::Desk) {
        if self.here.set(desk).is_err() {
            tracing::error!("a second office has begun in this process");
        }
    }

    /// Told when the spool has something new; an office in another process looks by itself.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Who was proved, or the refusal; `None` where nobody answers.
    pub(crate) fn judge(
        &self,
        action: Action,
        proof: Proof,
        unix_user: &str,
    ) -> Option<Answer<Option<StaffId>>> {
        if let Some(desk) = self.here.get() {
            return Some(desk.judge(action, proof, Asker::new(unix_user)));
        }
        let asked_by = Some(unix_user.to_owned());
        let request = export::Request::Judge {
            action,
            proof,
            asked_by,
        };
        let asked = Conversation::ask(&self.layout, Duty::Office, &request);
        asked.ok()??.answer().ok()
    }
}
