//! Jobs that share a sync: whoever waits is judged one by one, and what all of them write becomes durable together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{
    AuditDraft, AuditReceipt, LoginSession, RecordingId, RecordingState, Refusal, Register,
};
use storage::{ListedCall, TokenHash};
use tokio::sync::{mpsc, oneshot};

use super::{
    JOBS, Job, Wish,
    listening::{Judged, Leave},
    owner::Owner,
};
use crate::{
    duty::{Answer, Ending},
    people,
    proof::{Asker, Proof},
};

/// A job that may share a sync with those beside it.
pub(super) enum Together {
    /// Somebody waits for leave to hear.
    Listen {
        wish: Box<Wish>,
        asker: Asker,
        answer: oneshot::Sender<Answer<Leave>>,
    },
    /// Somebody who hears asks before the next part.
    Standing {
        recording: RecordingId,
        answer: oneshot::Sender<Option<(Arc<Register>, RecordingState)>>,
    },
    /// Somebody says how it ended.
    Audit {
        draft: AuditDraft,
        answer: oneshot::Sender<bool>,
    },
}

/// Who is answered once the entry is durable.
enum Waiting {
    Listener {
        judged: Box<Judged>,
        answer: oneshot::Sender<Answer<Leave>>,
    },
    Writer(oneshot::Sender<bool>),
}

/// What the database says of the jobs that are served together; it is asked once for all of them.
#[derive(Default)]
pub(super) struct Known {
    pub(super) sessions: BTreeMap<TokenHash, LoginSession>,
    pub(super) calls: BTreeMap<RecordingId, ListedCall>,
}

impl Owner {
    /// Serves those who wait together. Nobody is told of anything before its entry is durable.
    pub(super) async fn serve_together(&mut self, jobs: Vec<Together>) {
        match self.look_up_for(&jobs).await {
            // A row that cannot be read is the fault of whoever asks for it, and of nobody beside.
            Err(_) if jobs.len() > 1 => {
                for job in jobs {
                    let alone = vec![job];
                    let known = self.look_up_for(&alone).await;
                    self.serve(alone, known).await;
                }
            }
            known => self.serve(jobs, known).await,
        }
    }

    /// `known`: what the database says of the jobs.
    async fn serve(&mut self, jobs: Vec<Together>, known: Result<Known, Ending>) {
        let now = Timestamp::now();
        let (mut drafts, mut waiting) = (Vec::new(), Vec::new());
        for job in jobs {
            // Whoever asked may be gone; what was done is done.
            match job {
                Together::Listen {
                    wish,
                    asker,
                    answer,
                } => {
                    let judged = match &known {
                        Ok(known) => self.judge_wish(&wish, &asker, known, now).await,
                        Err(ending) => Err(ending.clone()),
                    };
                    match judged {
                        Ok(judged) => {
                            drafts.push(judged.entry());
                            waiting.push(Waiting::Listener {
                                judged: Box::new(judged),
                                answer,
                            });
                        }
                        Err(ending) => drop(answer.send(ending.without())),
                    }
                }
                Together::Standing { recording, answer } => {
                    let standing = match &known {
                        Ok(known) => self.standing(recording, known).await.ok(),
                        Err(_) => None,
                    };
                    drop(answer.send(standing));
                }
                Together::Audit { draft, answer } => {
                    drafts.push(draft);
                    waiting.push(Waiting::Writer(answer));
                }
            }
        }
        if drafts.is_empty() {
            return;
        }
        let receipts = self.audit_all(drafts).unwrap_or_default();
        let mut receipts = receipts.into_iter();
        for waiting in waiting {
            self.answer(waiting, receipts.next(), now);
        }
    }

    /// What the jobs rest on in the database, with what the spool holds.
    async fn look_up_for(&mut self, jobs: &[Together]) -> Result<Known, Ending> {
        let (mut tokens, mut recordings) = (BTreeSet::new(), BTreeSet::new());
        let mut listens = false;
        for job in jobs {
            match job {
                Together::Listen { wish, .. } => {
                    listens = true;
                    recordings.insert(wish.recording);
                    if let Proof::Session(token) = &wish.proof {
                        tokens.insert(TokenHash::of(token.text()));
                    }
                }
                Together::Standing { recording, .. } => {
                    recordings.insert(*recording);
                }
                Together::Audit { .. } => {}
            }
        }
        if listens {
            self.take_in().await;
        }
        if recordings.is_empty() {
            return Ok(Known::default());
        }
        self.rows(async |catalogue| {
            let sessions = match tokens.is_empty() {
                true => BTreeMap::new(),
                false => catalogue.sessions(&tokens).await?,
            };
            let calls = catalogue.find_each(&recordings).await?;
            Ok(Known { sessions, calls })
        })
        .await
    }

    /// What a running playback rests on.
    async fn standing(
        &mut self,
        recording: RecordingId,
        known: &Known,
    ) -> Result<(Arc<Register>, RecordingState), Ending> {
        let register = self.register().await?;
        let call = known.calls.get(&recording);
        // Of what has no row any more nothing is heard.
        let state = call.map_or(RecordingState::Disposed, |call| call.state);
        Ok((register, state))
    }

    /// `receipt`: `None` where nothing could be written.
    fn answer(&self, waiting: Waiting, receipt: Option<AuditReceipt>, now: Timestamp) {
        match waiting {
            Waiting::Listener { judged, answer } => {
                let receipt = receipt.ok_or_else(|| -> Ending {
                    Answer::Unavailable(people::message(&Refusal::audit_unavailable()))
                });
                let leave = receipt.and_then(|receipt| self.leave(*judged, receipt, now));
                drop(answer.send(Answer::of(leave)));
            }
            Waiting::Writer(answer) => drop(answer.send(receipt.is_some())),
        }
    }
}

/// The office's jobs in their order.
pub(super) struct Inbox {
    jobs: mpsc::Receiver<Job>,
    /// Taken out with those before it, and next.
    next: Option<Job>,
}

impl Inbox {
    pub(super) fn new(jobs: mpsc::Receiver<Job>) -> Inbox {
        Inbox { jobs, next: None }
    }

    /// The next job; the last is [`Job::Stop`]. Nothing is lost where nobody waits for the answer.
    pub(super) async fn recv(&mut self) -> Job {
        match self.next.take() {
            Some(job) => job,
            None => self.jobs.recv().await.unwrap_or(Job::Stop),
        }
    }

    /// The job, and those directly behind it that may share a sync with it.
    pub(super) fn with_others(&mut self, first: Together) -> Vec<Together> {
        let mut jobs = vec![first];
        while jobs.len() < JOBS {
            match self.jobs.try_recv() {
                Ok(Job::Together(job)) => jobs.push(job),
                Ok(other) => {
                    self.next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        jobs
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rules::{Action, AlarmCode, AuditEvent};

    use super::*;

    fn listener(number: u128) -> Together {
        let (answer, _) = oneshot::channel();
        Together::Listen {
            wish: Box::new(Wish {
                recording: RecordingId::new(Timestamp::UNIX_EPOCH, number),
                action: Action::Listen,
                purpose: None,
                case: None,
                range_ms: None,
                place: None,
                proof: Proof::Nobody,
            }),
            asker: Asker::new("hanako"),
            answer,
        }
    }

    fn flush() -> Job {
        let (answer, _) = oneshot::channel();
        Job::Register { answer }
    }

    fn standing(number: u128) -> Together {
        let recording = RecordingId::new(Timestamp::UNIX_EPOCH, number);
        let (answer, _) = oneshot::channel();
        Together::Standing { recording, answer }
    }

    fn audit() -> Together {
        let draft = AuditDraft::system(AuditEvent::alarm(AlarmCode::DatabaseUnavailable));
        let (answer, _) = oneshot::channel();
        Together::Audit { draft, answer }
    }

    /// The order of jobs: `l` a listener, `s` one who hears, `a` an entry, `r` somebody else; who are served together in brackets.
    async fn order(jobs: Vec<Job>) -> String {
        let (sender, inbox) = mpsc::channel(2 * JOBS);
        for job in jobs {
            sender.send(job).await.unwrap();
        }
        drop(sender);
        let mut inbox = Inbox::new(inbox);
        let mut order = String::new();
        loop {
            match inbox.recv().await {
                Job::Together(first) => {
                    let together = inbox.with_others(first);
                    let letters = together.iter().map(|job| match job {
                        Together::Listen { .. } => 'l',
                        Together::Standing { .. } => 's',
                        Together::Audit { .. } => 'a',
                    });
                    order.push_str(&format!("[{}]", letters.collect::<String>()));
                }
                Job::Stop => return order,
                _ => order.push('r'),
            }
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await })
            .unwrap()
    }

    #[test]
    fn who_waits_together_shares_a_sync_and_nobody_is_overtaken() {
        let [listen, hear, write] = [listener(1), standing(1), audit()].map(Job::Together);
        let last = Job::Together(listener(2));
        let jobs = vec![listen, hear, write, flush(), last, flush(), flush()];
        assert_eq!(run(order(jobs)), "[lsa]r[l]rr");
    }

    #[test]
    fn no_more_share_one_than_may_wait_at_once() {
        let jobs = (0..=JOBS as u128).map(|number| Job::Together(listener(number)));
        let all = "l".repeat(JOBS);
        assert_eq!(run(order(jobs.collect())), format!("[{all}][l]"));
    }
}
