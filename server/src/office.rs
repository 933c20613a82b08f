//! The office duty: keeps the rows, the keys and its own audit chain, and answers who may listen and what is due.
//!
//! One thread owns all three; socket clients send it jobs. Nothing here is awaited by a call (law 1): what cannot be used is
//! told once, tried again, and refuses only the commands that need it. Start at [`Owner::run`].

use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rules::{
    Action, Actor, AlarmCode, AuditDraft, AuditEvent, JstDay, ListenPermit, ListenRequest, Purpose,
    RecordingId, Refusal, StaffId, StaffMember, may, request_listen,
};
use storage::{
    AuditTrail, Catalogue, Disk, DisposeFault, DisposedDay, Duty, Group, Keys, Layout, ListedCall,
    OpenFault, Opener, OsDisk, Playback, Vault,
};
use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot},
};

use crate::{
    config::Config,
    duty::{Answer, Message},
    people,
};

/// How often the office looks at what it could not use, at the spool and at the date.
const LOOK: Duration = Duration::from_secs(1);
/// Jobs that may wait.
const JOBS: usize = 32;

/// What somebody wants to hear.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) recording: RecordingId,
    /// As it was typed in.
    pub(crate) purpose: Option<String>,
    pub(crate) person: Option<StaffId>,
}

/// A recording that was opened for somebody.
pub(crate) struct Opened {
    pub(crate) playback: Playback,
    /// The number of the audit entry that allowed it.
    pub(crate) granted: u64,
    /// Who it was allowed to.
    pub(crate) actor: Actor,
}

enum Job {
    Listen {
        wish: Wish,
        unix_user: String,
        answer: oneshot::Sender<Answer<Opened>>,
    },
    Audit {
        draft: AuditDraft,
        answer: oneshot::Sender<bool>,
    },
    Dispose {
        person: Option<StaffId>,
        unix_user: String,
        answer: oneshot::Sender<Answer<Vec<DisposedDay>>>,
    },
    Stop,
}

/// The office as other threads see it.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    jobs: mpsc::Sender<Job>,
}

/// The office's thread.
#[derive(Debug)]
pub(crate) struct Office {
    desk: Desk,
    nudge: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Office {
    /// Makes the keys that the coming days need, and begins the thread. Whoever does it holds the office's lock.
    ///
    /// # Errors
    /// The system gives no thread or runtime.
    pub(crate) fn begin(config: &Arc<Config>, vault: &Arc<Vault>) -> io::Result<Office> {
        let (jobs, inbox) = mpsc::channel(JOBS);
        let nudge = Arc::new(Notify::new());
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut owner = Owner::new(config, vault, Arc::clone(&nudge));
        // Before the first call, so that there is a key to seal it to.
        owner.look_after_keys(Timestamp::now());
        let thread = thread::Builder::new()
            .name("office".to_owned())
            .spawn(move || runtime.block_on(owner.run(inbox)))?;
        Ok(Office {
            desk: Desk { jobs },
            nudge,
            thread,
        })
    }

    /// Told when the spool has something new.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Where jobs are handed in.
    pub(crate) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Takes in what the spool holds, closes the database and ends the thread.
    pub(crate) fn stop(self) {
        // A thread that has ended already needs no telling.
        let _ = self.desk.jobs.blocking_send(Job::Stop);
        let _ = self.thread.join();
    }
}

impl Desk {
    /// Asks to hear a recording. The audit entry is durable when the answer comes.
    pub(crate) fn listen(&self, wish: Wish, unix_user: &str) -> Answer<Opened> {
        let unix_user = unix_user.to_owned();
        self.ask(|answer| Job::Listen {
            wish,
            unix_user,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Writes an entry; `false` if it is not durable.
    pub(crate) fn audit(&self, draft: AuditDraft) -> bool {
        self.ask(|answer| Job::Audit { draft, answer })
            .unwrap_or(false)
    }

    /// Destroys what is due.
    pub(crate) fn dispose(
        &self,
        person: Option<StaffId>,
        unix_user: &str,
    ) -> Answer<Vec<DisposedDay>> {
        let unix_user = unix_user.to_owned();
        self.ask(|answer| Job::Dispose {
            person,
            unix_user,
            answer,
        })
        .unwrap_or_else(ended)
    }

    fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.jobs.blocking_send(job(answer)).ok()?;
        answered.blocking_recv().ok()
    }
}

fn ended<T>() -> Answer<T> {
    Answer::Unavailable(Message::new(
        "事務の係が終了しています。",
        "the office's thread has ended; start denwaban again",
    ))
}

/// Makes everything that a new folder needs: folders, root, key store, keys, catalogue, audit chain.
///
/// # Errors
/// The first thing that could not be made, as a sentence.
pub(crate) fn found(config: &Config, now: Timestamp) -> Result<(), String> {
    let layout = config.layout();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    layout
        .make_folders(&OsDisk)
        .map_err(|fault| fault.to_string())?;
    let _held = storage::Lock::acquire(&layout, Duty::Office).map_err(|fault| fault.to_string())?;
    let is_founded = disk
        .exists(&layout.key_store())
        .map_err(|fault| fault.to_string())?;
    let keys = if is_founded {
        Keys::open(Arc::clone(&disk), &layout)
    } else {
        Keys::create(Arc::clone(&disk), &layout)
    };
    let mut keys = keys.map_err(|fault| fault.to_string())?;
    let before: BTreeSet<Group> = keys.groups().collect();
    keys.make_ahead(now).map_err(|fault| fault.to_string())?;
    let drafts = keys_made(&before, &keys, config);
    let mut trail =
        AuditTrail::open(disk, &layout, Duty::Office).map_err(|fault| fault.to_string())?;
    // Nothing is done by these receipts: the entries tell of keys that are there.
    trail
        .append_all(drafts, now)
        .map_err(|fault| fault.to_string())?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| fault.to_string())?;
    runtime
        .block_on(async { Catalogue::open(&layout).await?.close().await })
        .map_err(|fault| fault.to_string())
}

fn keys_made(before: &BTreeSet<Group>, keys: &Keys, config: &Config) -> Vec<AuditDraft> {
    keys.groups()
        .filter(|group| !before.contains(group))
        .filter_map(|group| match group {
            Group::Day(day) => Some(AuditDraft::system(AuditEvent::KeysMade {
                day,
                expires_at: config.retention.expiry(day),
            })),
            Group::Register(_) => None,
        })
        .collect()
}

/// What the office's thread owns. What could not be opened is `None` and tried again.
struct Owner {
    config: Arc<Config>,
    layout: Layout,
    disk: Arc<dyn Disk>,
    vault: Arc<Vault>,
    opener: Opener,
    nudge: Arc<Notify>,
    trail: Option<AuditTrail>,
    keys: Option<Keys>,
    catalogue: Option<Catalogue>,
    /// The day for which keys were last looked after.
    day: Option<JstDay>,
    told: BTreeSet<&'static str>,
}

impl Owner {
    fn new(config: &Arc<Config>, vault: &Arc<Vault>, nudge: Arc<Notify>) -> Owner {
        let layout = config.layout();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        Owner {
            config: Arc::clone(config),
            opener: Opener::new(Arc::clone(&disk), &layout),
            layout,
            disk,
            vault: Arc::clone(vault),
            nudge,
            trail: None,
            keys: None,
            catalogue: None,
            day: None,
            told: BTreeSet::new(),
        }
    }

    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut look = tokio::time::interval(LOOK);
        let nudge = Arc::clone(&self.nudge);
        loop {
            let job = tokio::select! {
                job = jobs.recv() => Some(job.unwrap_or(Job::Stop)),
                () = nudge.notified() => None,
                _ = look.tick() => {
                    self.look_after_keys(Timestamp::now());
                    None
                }
            };
            match job {
                None => self.take_in().await,
                // Whoever asked may be gone; what was done is done.
                Some(Job::Listen {
                    wish,
                    unix_user,
                    answer,
                }) => drop(answer.send(self.listen(&wish, &unix_user).await)),
                Some(Job::Audit { draft, answer }) => {
                    let _ = answer.send(self.audit(draft).is_some());
                }
                Some(Job::Dispose {
                    person,
                    unix_user,
                    answer,
                }) => drop(answer.send(self.dispose(person.as_ref(), &unix_user).await)),
                Some(Job::Stop) => break,
            }
        }
        self.take_in().await;
        if let Some(catalogue) = self.catalogue.take()
            && let Err(fault) = catalogue.close().await
        {
            tracing::warn!(%fault, "the catalogue was not closed in order; nothing is lost");
        }
    }

    /// Tells once that something cannot be used, and once that it can be again.
    fn note<T, E: std::fmt::Display>(
        &mut self,
        code: AlarmCode,
        outcome: Result<T, E>,
    ) -> Option<T> {
        match outcome {
            Ok(value) => {
                if self.told.remove(code.code()) {
                    tracing::info!(code = code.code(), "usable again");
                }
                Some(value)
            }
            Err(fault) => {
                if self.told.insert(code.code()) {
                    tracing::error!(%fault, code = code.code(), "calls go on; commands that need it are refused");
                }
                None
            }
        }
    }

    /// Makes pairs ahead; on a new day the root is rotated as well, so that old copies of the store open nothing.
    fn look_after_keys(&mut self, now: Timestamp) {
        let today = JstDay::of(now);
        if self.day == Some(today) && self.keys.is_some() {
            return;
        }
        let Some(mut keys) = self.open_keys() else {
            return;
        };
        let before: BTreeSet<Group> = keys.groups().collect();
        let is_new_day = self.day.is_some_and(|day| day != today);
        let made = keys.make_ahead(now).and_then(|()| {
            if is_new_day {
                keys.destroy(&BTreeSet::new())
            } else {
                Ok(())
            }
        });
        let mut drafts = keys_made(&before, &keys, &self.config);
        if made.is_ok() && is_new_day {
            let wrapped = u64::try_from(keys.groups().count()).unwrap_or(u64::MAX);
            let generation = u64::from(keys.root_generation());
            drafts.push(AuditDraft::system(AuditEvent::KeysRotated {
                day: today,
                generation,
                wrapped,
            }));
        }
        if self.note(AlarmCode::KeyUnavailable, made).is_some() {
            self.keys = Some(keys);
            self.day = Some(today);
        }
        for draft in drafts {
            self.audit(draft);
        }
    }

    fn open_keys(&mut self) -> Option<Keys> {
        if let Some(keys) = self.keys.take() {
            return Some(keys);
        }
        let opened = Keys::open(Arc::clone(&self.disk), &self.layout);
        self.note(AlarmCode::KeyUnavailable, opened)
    }

    async fn open_catalogue(&mut self) -> Option<Catalogue> {
        if let Some(catalogue) = self.catalogue.take() {
            return Some(catalogue);
        }
        let opened = Catalogue::open(&self.layout).await;
        self.note(AlarmCode::DatabaseUnavailable, opened)
    }

    /// Takes the spool in. A catalogue that fails is closed and opened anew next time; the spool keeps what it has.
    async fn take_in(&mut self) {
        let Some(mut catalogue) = self.open_catalogue().await else {
            return;
        };
        let taken = catalogue.take_in(&*self.disk, &self.layout).await;
        if let Some(taken) = self.note(AlarmCode::DatabaseUnavailable, taken) {
            if taken.damaged > 0 {
                tracing::error!(
                    lines = taken.damaged,
                    "lines of the spool were damaged and are left out"
                );
            }
            self.catalogue = Some(catalogue);
        }
    }

    /// Writes an entry of the office's chain.
    fn audit(&mut self, draft: AuditDraft) -> Option<rules::AuditReceipt> {
        let trail = match self.trail.take() {
            Some(trail) => Ok(trail),
            None => AuditTrail::open(Arc::clone(&self.disk), &self.layout, Duty::Office),
        };
        let mut trail = self.note(AlarmCode::AuditUnavailable, trail)?;
        let appended = trail.append(draft, Timestamp::now());
        let receipt = self.note(AlarmCode::AuditUnavailable, appended)?;
        self.trail = Some(trail);
        Some(receipt)
    }

    /// Judges a wish, writes it down, and only then opens the recording.
    async fn listen(&mut self, wish: &Wish, unix_user: &str) -> Answer<Opened> {
        self.take_in().await;
        let call = match self.find(wish.recording).await {
            Answer::Done(call) => call,
            other => return other.without(),
        };
        let now = Timestamp::now();
        let purpose = wish
            .purpose
            .as_ref()
            .map(|text| text.parse::<Purpose>())
            .transpose();
        let person = match wish
            .person
            .as_ref()
            .map(|id| people::find(&self.config.folders.staff, id))
            .transpose()
        {
            Ok(person) => person,
            Err(people::Unknown::Person(_)) => None,
            Err(unknown @ people::Unknown::File(_)) => return unknown.into_answer(),
        };
        let mut request = ListenRequest {
            person: person.as_ref(),
            unix_user,
            recording: wish.recording,
            state: call.state,
            expires_at: call.expires_at,
            purpose: None,
            range_ms: None,
        };
        let judged = purpose.and_then(|purpose| {
            request.purpose = purpose;
            request_listen(&request, now)
        });
        let grant = match judged {
            Ok(grant) => grant,
            Err(refusal) => {
                // The refusal stands whether or not it can be written down.
                self.audit(request.refused(&refusal));
                return Answer::Refused(self.explain(&refusal, wish, person.as_ref()));
            }
        };
        let Some(receipt) = self.audit(grant.entry().clone()) else {
            return Answer::Unavailable(people::message(&Refusal::audit_unavailable()));
        };
        let granted = receipt.seq();
        let actor = grant.entry().actor.clone();
        let opened = ListenPermit::issue(grant, receipt, now)
            .map_err(OpenFault::from)
            .and_then(|permit| self.vault.open(permit, call.day, &self.opener, now));
        match opened {
            Ok(playback) => Answer::Done(Opened {
                playback,
                granted,
                actor,
            }),
            Err(fault) => {
                let cause = export_cause(&fault);
                self.audit(AuditDraft {
                    actor,
                    event: AuditEvent::ExportFailed {
                        recording: wish.recording,
                        granted,
                        cause,
                    },
                });
                not_opened(&fault)
            }
        }
    }

    /// A refusal for want of a person also says what to write where.
    fn explain(&self, refusal: &Refusal, wish: &Wish, person: Option<&StaffMember>) -> Message {
        match person {
            None if refusal.code() == rules::RefusalCode::PersonUnknown => {
                people::missing(&self.config.folders.staff, wish.person.as_ref())
            }
            _ => people::message(refusal),
        }
    }

    async fn find(&mut self, recording: RecordingId) -> Answer<ListedCall> {
        let unavailable = || {
            Answer::Unavailable(Message::new(
                "データベースを使えません。",
                "the catalogue cannot be used; see the log and `denwaban check`",
            ))
        };
        let Some(mut catalogue) = self.open_catalogue().await else {
            return unavailable();
        };
        let found = catalogue.find(recording).await;
        match self.note(AlarmCode::DatabaseUnavailable, found) {
            Some(Some(call)) => {
                self.catalogue = Some(catalogue);
                Answer::Done(call)
            }
            Some(None) => {
                self.catalogue = Some(catalogue);
                let ja = format!(
                    "録音 {recording} はありません。`denwaban recordings list` で確かめてください。"
                );
                Answer::Failed(Message::new(
                    ja,
                    format!("there is no recording {recording}; see `denwaban recordings list`"),
                ))
            }
            None => unavailable(),
        }
    }

    /// Destroys what is due: keys, bytes, rows down to tombstones.
    async fn dispose(
        &mut self,
        person: Option<&StaffId>,
        unix_user: &str,
    ) -> Answer<Vec<DisposedDay>> {
        let named = match person
            .map(|id| people::find(&self.config.folders.staff, id))
            .transpose()
        {
            Ok(named) => named,
            Err(unknown) => return unknown.into_answer(),
        };
        let actor = people::actor(unix_user, named.as_ref());
        if let Err(refusal) = may(named.as_ref(), Action::Dispose) {
            let event = AuditEvent::ActionRefused {
                action: Action::Dispose,
                code: refusal.code(),
                policy: rules::POLICY_VERSION,
            };
            self.audit(AuditDraft { actor, event });
            return Answer::Refused(people::message(&refusal));
        }
        self.take_in().await;
        let keys = self.open_keys();
        let catalogue = self.open_catalogue().await;
        let trail = match self.trail.take() {
            Some(trail) => Ok(trail),
            None => AuditTrail::open(Arc::clone(&self.disk), &self.layout, Duty::Office),
        };
        let trail = self.note(AlarmCode::AuditUnavailable, trail);
        let (Some(mut keys), Some(mut catalogue), Some(mut trail)) = (keys, catalogue, trail)
        else {
            let ja = "鍵・データベース・証跡のいずれかを使えないため、廃棄できません。";
            return Answer::Unavailable(Message::new(
                ja,
                "keys, catalogue or audit trail cannot be used; see the log and `denwaban check`",
            ));
        };
        let vault = Arc::clone(&self.vault);
        let mut office = storage::Office {
            keys: &mut keys,
            vault: &vault,
            catalogue: &mut catalogue,
            trail: &mut trail,
        };
        match storage::dispose_due(&mut office, &actor, Timestamp::now()).await {
            Ok(disposed) => {
                (self.keys, self.catalogue, self.trail) =
                    (Some(keys), Some(catalogue), Some(trail));
                Answer::Done(disposed)
            }
            // Everything is opened anew next time, and the disposal goes on forward.
            Err(fault) => not_disposed(&fault),
        }
    }
}

fn not_opened(fault: &OpenFault) -> Answer<Opened> {
    match fault {
        OpenFault::Refused(refusal) => Answer::Refused(people::message(refusal)),
        OpenFault::Expired => Answer::Refused(Message::coded(
            "DISPOSED",
            "要領第5条第6項により、保存期間を過ぎた録音は確認できません。",
            fault.to_string(),
        )),
        OpenFault::Key(_) => Answer::Unavailable(Message::new(
            "鍵を使えないため、録音を開けません。",
            fault.to_string(),
        )),
        OpenFault::NoFile { .. }
        | OpenFault::OtherRecording
        | OpenFault::NoSegment
        | OpenFault::Segment(_)
        | OpenFault::Vault(_)
        | OpenFault::Secret(_) => {
            Answer::Failed(Message::new("録音を開けません。", fault.to_string()))
        }
    }
}

/// Why an export did not come to its end, for the audit entry.
pub(crate) fn export_cause(fault: &OpenFault) -> rules::ExportCause {
    match fault {
        OpenFault::Refused(_) | OpenFault::Expired => rules::ExportCause::PermitLapsed,
        OpenFault::Key(_) => rules::ExportCause::KeyUnavailable,
        OpenFault::NoFile { .. }
        | OpenFault::OtherRecording
        | OpenFault::NoSegment
        | OpenFault::Segment(_)
        | OpenFault::Vault(_)
        | OpenFault::Secret(_) => rules::ExportCause::RecordingDamaged,
    }
}

fn not_disposed(fault: &DisposeFault) -> Answer<Vec<DisposedDay>> {
    match fault {
        DisposeFault::Refused(refusal) => Answer::Refused(people::message(refusal)),
        DisposeFault::Counts => {
            Answer::Failed(Message::new("廃棄の件数が合いません。", fault.to_string()))
        }
        DisposeFault::Key(_)
        | DisposeFault::Vault(_)
        | DisposeFault::Catalogue(_)
        | DisposeFault::Audit(_) => Answer::Unavailable(Message::new(
            "廃棄を最後まで行えませんでした。次の実行で続きを行います。",
            fault.to_string(),
        )),
    }
}
