//! Listening at the office: whoever waits is judged one by one, written down together, and hears one by one. One sync serves all.

use jiff::Timestamp;
use rules::{
    Action, AuditDraft, AuditEvent, AuditReceipt, CopyFact, CopyId, Destruction, Fact, ListenGrant,
    ListenPermit, ListenRequest, Purpose, Refusal,
};
use storage::{Kept, OpenFault};
use tokio::sync::{mpsc, oneshot};

use super::{JOBS, Job, Opened, Wish, export_cause, owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending, Message},
    people,
    proof::Asker,
    voice,
};

/// Somebody who waits for leave to hear.
pub(super) struct Listener {
    pub(super) wish: Wish,
    pub(super) asker: Asker,
    pub(super) answer: oneshot::Sender<Answer<Opened>>,
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

    /// A listener, and those who wait directly behind.
    pub(super) fn more_listeners(&mut self, first: Listener) -> Vec<Listener> {
        let mut listeners = vec![first];
        while listeners.len() < JOBS {
            match self.jobs.try_recv() {
                Ok(Job::Listen(listener)) => listeners.push(listener),
                Ok(other) => {
                    self.next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        listeners
    }
}

/// What a wish was judged to be; its entry is not durable yet.
struct Judged {
    grant: ListenGrant,
    kept: Kept,
    copy: Option<CopyId>,
}

impl Owner {
    /// Judges wishes, writes down what is granted, and only then opens the recordings.
    pub(super) async fn listen_all(&mut self, listeners: Vec<Listener>) {
        self.take_in().await;
        let now = Timestamp::now();
        let mut granted = Vec::new();
        for listener in listeners {
            match self.judge_wish(&listener.wish, &listener.asker, now).await {
                Ok(judged) => granted.push((listener, judged)),
                // Whoever asked may be gone; what was done is done.
                Err(ending) => drop(listener.answer.send(ending.without())),
            }
        }
        let entries = granted.iter().map(|(_, judged)| judged.grant.entry());
        let drafts: Vec<AuditDraft> = entries.cloned().collect();
        if drafts.is_empty() {
            return;
        }
        let Some(receipts) = self.audit_all(drafts) else {
            for (listener, _) in granted {
                let message = people::message(&Refusal::audit_unavailable());
                let _ = listener.answer.send(Answer::Unavailable(message));
            }
            return;
        };
        for ((listener, judged), receipt) in granted.into_iter().zip(receipts) {
            let opened = self.open(&listener.wish, judged, receipt, now).await;
            let _ = listener.answer.send(Answer::of(opened));
        }
    }

    /// Judges a wish; a copy that it becomes is entered.
    async fn judge_wish(
        &mut self,
        wish: &Wish,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Judged, Ending> {
        let proved = self.prove(&wish.proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let register = self.register().await?;
        let purpose = wish
            .purpose
            .as_ref()
            .map(|text| text.parse::<Purpose>())
            .transpose();
        let Some(call) = self.find(wish.recording).await? else {
            let judged = purpose.and_then(|purpose| {
                let petitioner = caller.petitioner();
                register.judge_unknown_recording(&petitioner, wish.action, purpose, wish.case, now)
            });
            return Err(self.unknown(&caller, wish.action, wish.recording, judged));
        };
        let mut request = ListenRequest {
            petitioner: caller.petitioner(),
            action: wish.action,
            heard: self.heard(wish.recording, &call),
            purpose: None,
            case: wish.case,
            range_ms: wish.range_ms,
        };
        let judged = purpose.and_then(|purpose| {
            request.purpose = purpose;
            request.judge(&register, now)
        });
        let grant = judged.map_err(|refusal| {
            // The refusal stands whether or not it can be written down.
            self.audit(request.refused(&register, &refusal));
            Answer::Refused(people::message(&refusal))
        })?;
        let copy = self.enter_copy(&caller, wish, call.expires_at, now).await?;
        let kept = Kept::from(&call);
        Ok(Judged { grant, kept, copy })
    }

    async fn open(
        &mut self,
        wish: &Wish,
        Judged { grant, kept, copy }: Judged,
        receipt: AuditReceipt,
        now: Timestamp,
    ) -> Result<Opened, Ending> {
        let granted = receipt.seq();
        let actor = grant.entry().actor.clone();
        let opened = ListenPermit::issue(grant, receipt, now)
            .map_err(OpenFault::from)
            .and_then(|permit| self.vault.open(permit, kept, &self.opener, now));
        match opened {
            Ok(playback) => Ok(Opened {
                playback,
                granted,
                actor,
                copy,
            }),
            Err(fault) => {
                let event = wish.not_heard(granted, &fault);
                self.audit(AuditDraft { actor, event });
                if let Some(copy) = copy {
                    let how = Destruction::Removed;
                    self.track(Fact::Copy(CopyFact::Destroyed { copy, how }))
                        .await;
                }
                Err(not_opened(&fault))
            }
        }
    }
}

impl Wish {
    /// The entry of what was granted and then could not be opened.
    fn not_heard(&self, granted: u64, fault: &OpenFault) -> AuditEvent {
        let recording = self.recording;
        if self.action == Action::Listen {
            let cut = match fault {
                OpenFault::Refused(refusal) => Some(refusal.code()),
                _ => None,
            };
            return AuditEvent::PlaybackEnded {
                recording,
                granted,
                range_ms: (0, 0),
                cut,
            };
        }
        AuditEvent::ExportFailed {
            recording,
            granted,
            cause: export_cause(fault),
            range_ms: Some((0, 0)),
        }
    }
}

fn not_opened(fault: &OpenFault) -> Ending {
    match fault {
        OpenFault::Awaited { .. } => Answer::Unavailable(Message::new(
            "この録音の音声は、バックアップからの復元を待っています。",
            fault.to_string(),
        )),
        OpenFault::Key(_) => Answer::Unavailable(Message::new(
            "鍵を使えないため、録音を開けません。",
            fault.to_string(),
        )),
        _ => voice::broken_off(fault, "録音を開けません。"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proof::Proof;

    fn listener(number: u128) -> Listener {
        let (answer, _) = oneshot::channel();
        Listener {
            wish: Wish {
                recording: rules::RecordingId::new(Timestamp::UNIX_EPOCH, number),
                action: Action::Listen,
                purpose: None,
                case: None,
                range_ms: None,
                place: None,
                proof: Proof::Nobody,
            },
            asker: Asker::new("hanako"),
            answer,
        }
    }

    fn flush() -> Job {
        let (answer, _) = oneshot::channel();
        Job::Register { answer }
    }

    /// The order of jobs: `l` a listener, `r` somebody else, listeners who are served together in brackets.
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
                Job::Listen(first) => {
                    let together = inbox.more_listeners(first).len();
                    order.push_str(&format!("[{}]", "l".repeat(together)));
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
    fn listeners_who_wait_together_share_a_sync_and_nobody_is_overtaken() {
        let listen = |number| Job::Listen(listener(number));
        let jobs = vec![listen(1), listen(2), flush(), listen(3), flush(), flush()];
        assert_eq!(run(order(jobs)), "[ll]r[l]rr");
    }

    #[test]
    fn no_more_share_one_than_may_wait_at_once() {
        let jobs = (0..=JOBS as u128).map(|number| Job::Listen(listener(number)));
        let all = "l".repeat(JOBS);
        assert_eq!(run(order(jobs.collect())), format!("[{all}][l]"));
    }
}
