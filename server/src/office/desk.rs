//! The office as other threads see it: each hands a job in and waits for its answer.

use std::sync::Arc;

use rules::{
    Action, Actor, AuditDraft, Fact, Proved, RecordingId, RecordingState, Register, StaffId,
    Statement, TrailReading,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Comparison, DisposeDone, DisposeRequest, FindWish, Job, KeysDone, KeysRequest, Opened, Reader,
    RevealWish, Revealed, Search, TrailDone, TrailRequest, Wish, search, together::Together,
};
use crate::{
    config::Config,
    duty::{Answer, Ending, Message},
    export::AudioStep,
    people::{Ask, Told},
    proof::{Asker, Proof},
};

/// The office as other threads see it.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) config: Arc<Config>,
}

impl Desk {
    /// Asks to hear a recording. The audit entry is durable when the answer comes.
    pub(crate) fn listen(&self, wish: Wish, asker: Asker) -> Answer<Opened> {
        let action = wish.action;
        let leave = self.ask(|answer| {
            Job::Together(Together::Listen {
                wish: Box::new(wish),
                asker,
                answer,
            })
        });
        match leave.unwrap_or_else(ended) {
            Answer::Done(leave) => leave.open(self, action),
            other => other.without(),
        }
    }

    /// Asks to look for recordings. The audit entry is durable when the answer comes.
    pub(crate) fn begin_search(&self, wish: FindWish, asker: Asker) -> Answer<Box<Search>> {
        self.ask(|answer| Job::BeginSearch {
            wish,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Reads the next page of a search; between two pages others have their turn.
    ///
    /// # Errors
    /// The office has ended.
    pub(crate) fn search_page(
        &self,
        search: Box<Search>,
    ) -> Result<(Box<Search>, search::Page), Ending> {
        self.ask(|answer| Job::SearchPage { search, answer })
            .ok_or_else(ended)
    }

    /// Asks for a caller's number. The audit entry is durable when the answer comes.
    pub(crate) fn reveal(&self, wish: RevealWish, asker: Asker) -> Answer<Revealed> {
        self.ask(|answer| Job::Reveal {
            wish,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Compares rows and files of all days; between two days others have their turn.
    pub(crate) fn reconcile(&self, asker: Asker) -> Answer<Comparison> {
        match self.prove(Action::Reconcile, Proof::Nobody, asker) {
            Answer::Done(_) => {}
            other => return other.without(),
        }
        let listed = self.ask(|answer| Job::DaysToReconcile { answer });
        let days = match listed.unwrap_or_else(ended) {
            Answer::Done(days) => days,
            other => return other.without(),
        };
        let mut comparison = Comparison::default();
        for day in days {
            let Some(compared) = self.ask(|answer| Job::ReconcileDay { day, answer }) else {
                return ended();
            };
            comparison.add(day, compared);
        }
        let told = comparison.clone();
        // An alarm that cannot be told any more is in the answer all the same.
        let _ = self.ask(|answer| Job::Compared {
            comparison: told,
            answer,
        });
        Answer::Done(comparison)
    }

    /// Asks to read of the trail. The audit entry is durable when the answer comes.
    pub(crate) fn let_read(
        &self,
        reading: TrailReading,
        proof: Proof,
        asker: Asker,
    ) -> Answer<Reader> {
        self.ask(|answer| Job::LetRead {
            reading,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Signs a statement for the public. The audit entry is durable when the answer comes.
    pub(crate) fn sign_statement(&self, statement: Statement, actor: Actor) -> Answer<String> {
        let statement = Box::new(statement);
        self.ask(|answer| Job::SignStatement {
            statement,
            actor,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Where the office's files lie and what it is told to do, for whoever only reads.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Asks something about people.
    pub(crate) fn people(&self, ask: Ask, proof: Proof, asker: Asker) -> Answer<Told> {
        self.ask(|answer| Job::People {
            ask,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Asks whether somebody may do what opens no content.
    ///
    /// # Returns
    /// Whoever was proved, for what is recorded by it.
    pub(crate) fn prove(
        &self,
        action: Action,
        proof: Proof,
        asker: Asker,
    ) -> Answer<Option<Proved>> {
        self.ask(|answer| Job::Prove {
            action,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// The same, of which only the name is asked.
    pub(crate) fn judge(
        &self,
        action: Action,
        proof: Proof,
        asker: Asker,
    ) -> Answer<Option<StaffId>> {
        match self.prove(action, proof, asker) {
            Answer::Done(proved) => Answer::Done(proved.map(|proved| proved.person().clone())),
            other => other.without(),
        }
    }

    /// Records a fact that stands alone, for somebody who was proved before.
    pub(crate) fn record(&self, proved: Option<Proved>, asker: Asker, fact: Fact) -> Answer<Told> {
        let (proved, fact) = (proved.map(Box::new), Box::new(fact));
        self.ask(|answer| Job::Record {
            proved,
            asker,
            fact,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Leave to bring audio back that a restore awaits, or to give it up.
    pub(crate) fn restore_audio(&self, step: AudioStep, proof: Proof, asker: Asker) -> Answer<()> {
        self.ask(|answer| Job::RestoreAudio {
            step,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Asks for leave to copy rows, audio and trail out. The audit entry is durable when the answer comes.
    pub(crate) fn back_up(&self, proof: Proof, asker: Asker) -> Answer<()> {
        self.ask(|answer| Job::BackUp {
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// The register as it stands; `None` where it cannot be read, and then nothing goes on.
    pub(crate) fn register(&self) -> Option<Arc<Register>> {
        self.ask(|answer| Job::Register { answer }).flatten()
    }

    /// The register and a recording as they stand; `None` where they cannot be read, and then nothing goes on.
    pub(crate) fn standing(
        &self,
        recording: RecordingId,
    ) -> Option<(Arc<Register>, RecordingState)> {
        self.ask(|answer| Job::Together(Together::Standing { recording, answer }))
            .flatten()
    }

    /// Writes an entry; `false` if it is not durable.
    pub(crate) fn audit(&self, draft: AuditDraft) -> bool {
        self.ask(|answer| Job::Together(Together::Audit { draft, answer }))
            .unwrap_or(false)
    }

    /// Plans, destroys, or takes note of a certificate.
    pub(crate) fn dispose(&self, request: DisposeRequest, asker: Asker) -> Answer<DisposeDone> {
        self.ask(|answer| Job::Dispose {
            request,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Signs heads, or changes the key that signs.
    pub(crate) fn trail(
        &self,
        request: TrailRequest,
        proof: Proof,
        asker: Asker,
    ) -> Answer<TrailDone> {
        self.ask(|answer| Job::Trail {
            request,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Rotates, mirrors or recovers the keys.
    pub(crate) fn keys(
        &self,
        request: KeysRequest,
        proof: Proof,
        asker: Asker,
    ) -> Answer<KeysDone> {
        self.ask(|answer| Job::Keys {
            request,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    pub(super) fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.jobs.blocking_send(job(answer)).ok()?;
        answered.blocking_recv().ok()
    }
}

pub(super) fn ended<T>() -> Answer<T> {
    Answer::Unavailable(Message::new(
        "事務の係が終了しています。",
        "the office's thread has ended; start denwaban again",
    ))
}
