//! The office duty: keeps the rows, the keys and its own audit chain, and answers who may listen and what is due.
//!
//! One thread owns all three; socket clients send it jobs. Nothing here is awaited by a call (law 1): what cannot be used is
//! told once, tried again, and refuses only the commands that need it. Go on at [`Owner::run`].

mod cases;
mod clock;
mod copies;
mod early;
mod forgetting;
mod hand_over;
mod heads;
mod holds;
mod keys;
mod listed_file;
mod listening;
mod numbers;
mod owner;
mod passwords;
mod people;
mod policy;
mod proving;
mod reading;
mod reconciling;
mod reminding;
mod search;
mod sweep;
mod telling;
mod turns;

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rules::{
    Action, Actor, AuditDraft, CaseId, CopyId, Fact, JstDay, ListenPermit, Proved, Reconciled,
    RecordingId, RecordingState, Register, StaffId, Statement, TrailReading,
};
use storage::{
    AuditTrail, Catalogue, Disk, Duty, Group, Keys, OpenFault, OsDisk, Playback, Signing, Vault,
    verifier_keys,
};
use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot},
};

pub(crate) use self::{
    heads::{TrailDone, TrailRequest},
    keys::{KeysDone, KeysRequest},
    policy::PolicyView,
    reading::Reader,
    reconciling::Comparison,
    search::{Cut, FindWish, RevealWish, Revealed, Search},
    sweep::{DisposeDone, DisposeRequest, Disposed},
};
use self::{listening::Listener, owner::Owner};
use crate::{
    config::Config,
    copies::{CopyAsk, CopyTold},
    duty::{Answer, Ending, Message, Never},
    export::AudioStep,
    hand_over::{HandOverAsk, HandOverTold, PackageWish, Packed, Packing},
    people::{Ask, Told},
    proof::{Asker, Proof},
};

/// How often the office looks at what it could not use, at the spool and at the date.
const LOOK: Duration = Duration::from_secs(1);
/// How long rows gather before they are taken into the catalogue together; one commit serves them all.
const GATHER: Duration = Duration::from_millis(100);
/// Jobs that may wait.
const JOBS: usize = 64;

/// What somebody wants to hear.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) recording: RecordingId,
    /// In which way.
    pub(crate) action: Action,
    /// As it was typed in.
    pub(crate) purpose: Option<String>,
    /// Under which case.
    pub(crate) case: Option<CaseId>,
    /// Which part, in milliseconds; `None` is the whole.
    pub(crate) range_ms: Option<(u64, u64)>,
    /// Where a file of it will lie, if it becomes one.
    pub(crate) place: Option<String>,
    pub(crate) proof: Proof,
}

/// A recording that was opened for somebody.
pub(crate) struct Opened {
    pub(crate) playback: Playback<ListenPermit>,
    /// The number of the audit entry that allowed it.
    pub(crate) granted: u64,
    /// Who it was allowed to.
    pub(crate) actor: Actor,
    /// The copy that it becomes, if it does.
    pub(crate) copy: Option<CopyId>,
}

enum Job {
    Listen(Listener),
    BeginSearch {
        wish: FindWish,
        asker: Asker,
        answer: oneshot::Sender<Answer<Box<Search>>>,
    },
    SearchPage {
        search: Box<Search>,
        answer: oneshot::Sender<(Box<Search>, search::Page)>,
    },
    DaysToReconcile {
        answer: oneshot::Sender<Answer<BTreeSet<JstDay>>>,
    },
    ReconcileDay {
        day: JstDay,
        answer: oneshot::Sender<Answer<Reconciled>>,
    },
    /// Everything was compared.
    Compared {
        comparison: Comparison,
        answer: oneshot::Sender<()>,
    },
    Reveal {
        wish: RevealWish,
        asker: Asker,
        answer: oneshot::Sender<Answer<Revealed>>,
    },
    People {
        ask: Ask,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<Told>>,
    },
    HandOver {
        ask: HandOverAsk,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<HandOverTold>>,
    },
    BeginPackage {
        wish: PackageWish,
        asker: Asker,
        answer: oneshot::Sender<Answer<Box<Packing>>>,
    },
    EndPackage {
        packed: Box<Packed>,
        asker: Asker,
        answer: oneshot::Sender<Answer<()>>,
    },
    Copies {
        ask: CopyAsk,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<CopyTold>>,
    },
    /// Sign a text in the installation's name.
    Sign {
        text: String,
        answer: oneshot::Sender<Option<String>>,
    },
    /// Record what the service saw by itself.
    Track {
        fact: Box<Fact>,
        answer: oneshot::Sender<bool>,
    },
    /// Whether somebody may do what opens no content.
    Prove {
        action: Action,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<Option<Proved>>>,
    },
    /// Record a fact that stands alone, for somebody who was proved before.
    Record {
        proved: Option<Box<Proved>>,
        asker: Asker,
        fact: Box<Fact>,
        answer: oneshot::Sender<Answer<Told>>,
    },
    RestoreAudio {
        step: AudioStep,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<()>>,
    },
    BackUp {
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<()>>,
    },
    /// The register as it stands, to judge anew what goes on.
    Register {
        answer: oneshot::Sender<Option<Arc<Register>>>,
    },
    Standing {
        recording: RecordingId,
        answer: oneshot::Sender<Option<(Arc<Register>, RecordingState)>>,
    },
    Audit {
        draft: AuditDraft,
        answer: oneshot::Sender<bool>,
    },
    Dispose {
        request: DisposeRequest,
        asker: Asker,
        answer: oneshot::Sender<Answer<DisposeDone>>,
    },
    Keys {
        request: KeysRequest,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<KeysDone>>,
    },
    /// Whether somebody may read of the trail; the entry that it is read comes with it.
    LetRead {
        reading: TrailReading,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<Reader>>,
    },
    SignStatement {
        statement: Box<Statement>,
        actor: Actor,
        answer: oneshot::Sender<Answer<String>>,
    },
    Trail {
        request: TrailRequest,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<TrailDone>>,
    },
    Stop,
}

/// The office as other threads see it.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    jobs: mpsc::Sender<Job>,
    config: Arc<Config>,
}

/// The office's thread.
#[derive(Debug)]
pub(crate) struct Office {
    desk: Desk,
    /// Ends when the keys were looked after.
    has_keys: Receiver<Never>,
    thread: JoinHandle<()>,
}

impl Office {
    /// Begins the thread, which looks after the keys that the coming days need before it takes the first job. Whoever begins it
    /// holds the office's lock.
    ///
    /// `nudge`: told when the spool has something new.
    ///
    /// # Errors
    /// The system gives no thread or runtime.
    pub(crate) fn begin(
        config: &Arc<Config>,
        vault: &Arc<Vault>,
        nudge: Arc<Notify>,
    ) -> io::Result<Office> {
        let (jobs, inbox) = mpsc::channel(JOBS);
        let (ready, has_keys) = std::sync::mpsc::channel();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut owner = Owner::new(config, vault, nudge);
        let thread = thread::Builder::new()
            .name("office".to_owned())
            .spawn(move || {
                // Before this process writes its first entry, which would hide how long nobody wrote.
                owner.look_at_clock();
                owner.look_after_keys(Timestamp::now());
                drop(ready);
                runtime.block_on(owner.run(inbox));
            })?;
        Ok(Office {
            desk: Desk {
                jobs,
                config: Arc::clone(config),
            },
            has_keys,
            thread,
        })
    }

    /// Waits until it has looked after the keys, at most for `patience`.
    pub(crate) fn wait_for_keys(&self, patience: Duration) {
        if self.has_keys.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the keys are not looked after yet; calls go on");
        }
    }

    /// Where jobs are handed in.
    pub(crate) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Whether its thread has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
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
    pub(crate) fn listen(&self, wish: Wish, asker: Asker) -> Answer<Opened> {
        self.ask(|answer| {
            Job::Listen(Listener {
                wish,
                asker,
                answer,
            })
        })
        .unwrap_or_else(ended)
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
        self.ask(|answer| Job::Standing { recording, answer })
            .flatten()
    }

    /// Writes an entry; `false` if it is not durable.
    pub(crate) fn audit(&self, draft: AuditDraft) -> bool {
        self.ask(|answer| Job::Audit { draft, answer })
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
        Keys::create(Arc::clone(&disk), &layout, now)
    };
    let mut keys = keys.map_err(|fault| fault.to_string())?;
    let before: BTreeSet<Group> = keys.groups().collect();
    keys.make_ahead(now).map_err(|fault| fault.to_string())?;
    let vault = Vault::new(Arc::clone(&disk), &layout, config.retention);
    let mut drafts = keys::keys_made(&before, &keys, &vault);
    let is_unnamed = verifier_keys(&*disk, &layout)
        .map_err(|fault| fault.to_string())?
        .is_empty();
    let signing = Signing::open(&disk, &layout, now).map_err(|fault| fault.to_string())?;
    if is_unnamed {
        drafts.push(AuditDraft::system(heads::made(&signing)));
    }
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

/// Why an export did not come to its end, for the audit entry.
pub(crate) fn export_cause(fault: &OpenFault) -> rules::ExportCause {
    match fault {
        OpenFault::Refused(_) | OpenFault::Expired => rules::ExportCause::PermitLapsed,
        OpenFault::Key(_) => rules::ExportCause::KeyUnavailable,
        OpenFault::NoFile { .. }
        | OpenFault::NotWhole { .. }
        | OpenFault::Awaited { .. }
        | OpenFault::OtherRecording
        | OpenFault::NoSegment
        | OpenFault::Segment(_)
        | OpenFault::Vault(_)
        | OpenFault::Secret(_)
        | OpenFault::Mask(_) => rules::ExportCause::RecordingDamaged,
    }
}
