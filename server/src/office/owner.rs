//! What the office's thread owns, and what it does with it.
//!
//! What cannot be used is told once, tried again, and refuses only the commands that need it. Start at [`Owner::run`].

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use rules::{
    Action, AlarmCode, AuditDraft, AuditEvent, AuditReceipt, DecisionId, Heard, JstDay, Number,
    POLICY_VERSION, Proved, RecordingId, Refusal, Sound,
};
use storage::{
    AuditTrail, Catalogue, Disk, Duty, Keys, Layout, ListedCall, Opener, OsDisk, Restoration,
    Signing, Vault,
};
use tokio::{
    sync::{Notify, mpsc},
    time::MissedTickBehavior,
};

use super::{
    GATHER, Job, LOOK,
    clock::ClockWatch,
    people::{Caller, nothing},
    proving::Throttled,
    reconciling::{FIRST, Round, TrailOfDays},
    reminding::Reminded,
    sweep::{Disposing, FIRST_SWEEP},
    telling::TellingFiles,
    together::Inbox,
    turns::Turns,
};
use crate::{
    config::Config,
    duty::{Answer, Ending, Message},
    export::AudioStep,
    people,
    proof::{Asker, Proof},
};

/// What the office's thread owns. What could not be opened is `None` and tried again.
pub(super) struct Owner {
    pub(super) config: Arc<Config>,
    pub(super) layout: Layout,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) vault: Arc<Vault>,
    pub(super) opener: Opener,
    nudge: Arc<Notify>,
    pub(super) trail: Option<AuditTrail>,
    pub(super) keys: Option<Keys>,
    pub(super) catalogue: Option<Catalogue>,
    /// The day for which keys were last looked after.
    pub(super) day: Option<JstDay>,
    /// When mirrors that have not followed are tried again.
    pub(super) mirrors_again: Instant,
    pub(super) signing: Option<Signing>,
    /// When heads are signed again.
    pub(super) heads_again: Instant,
    /// When the register is compared with the trail again.
    pub(super) register_again: Instant,
    /// When it is looked whether passwords and codes are what the trail says.
    pub(super) accounts_again: Instant,
    /// When the keys are compared with what is held.
    pub(super) holds_again: Instant,
    /// When months of the trail that are decided to go are removed again.
    pub(super) forgetting_again: Instant,
    /// When people are reminded again.
    pub(super) reminders_again: Instant,
    /// When what was decided about notices is compared with its file.
    pub(super) waivers_again: Instant,
    /// What this process has told calls by its files.
    pub(super) telling: TellingFiles,
    /// From when on people are told what waits for them: a command that does the office's duty in its absence is over by then.
    pub(super) tells_from: Instant,
    /// Decisions of the configuration alone that this process has named in the trail.
    pub(super) named: BTreeSet<DecisionId>,
    pub(super) clock: ClockWatch,
    /// When the clock is judged next.
    pub(super) clock_again: Instant,
    /// When what is due is destroyed next.
    pub(super) sweep_again: Instant,
    /// The first is under way.
    pub(super) disposals: VecDeque<Disposing>,
    pub(super) round: Round,
    pub(super) trail_of_days: TrailOfDays,
    /// The version of the policy in the register that was read last.
    pub(super) policy: u32,
    pub(super) throttled: Throttled,
    told: BTreeSet<&'static str>,
    pub(super) reminded: Reminded,
}

impl Owner {
    pub(super) fn new(config: &Arc<Config>, vault: &Arc<Vault>, nudge: Arc<Notify>) -> Owner {
        let layout = config.layout();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let clock = ClockWatch::begin(&layout);
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
            mirrors_again: Instant::now(),
            signing: None,
            heads_again: Instant::now(),
            register_again: Instant::now(),
            accounts_again: Instant::now(),
            holds_again: Instant::now(),
            forgetting_again: Instant::now(),
            reminders_again: Instant::now() + FIRST,
            waivers_again: Instant::now(),
            telling: TellingFiles::default(),
            tells_from: Instant::now() + FIRST,
            named: BTreeSet::new(),
            clock,
            clock_again: Instant::now(),
            sweep_again: Instant::now() + FIRST_SWEEP,
            disposals: VecDeque::new(),
            round: Round::new(),
            trail_of_days: TrailOfDays::default(),
            policy: POLICY_VERSION,
            throttled: Throttled::default(),
            told: BTreeSet::new(),
            reminded: Reminded::default(),
        }
    }

    pub(super) async fn run(mut self, jobs: mpsc::Receiver<Job>) {
        let mut jobs = Inbox::new(jobs);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let nudge = Arc::clone(&self.nudge);
        let mut turns = Turns::default();
        loop {
            if turns.is_long_jobs() {
                self.go_on_disposing().await;
            }
            // Whoever asks for something has all rows taken in first; then, or at the next look, the gathering is given up.
            let gathered = async {
                nudge.notified().await;
                tokio::time::sleep(GATHER).await;
            };
            let job = tokio::select! {
                biased;
                _ = look.tick() => {
                    if Instant::now() >= self.clock_again {
                        self.look_at_clock();
                    }
                    self.look_after_keys(Timestamp::now());
                    self.look_after_heads();
                    self.look_after_register().await;
                    self.look_after_reconciliation().await;
                    self.look_after_accounts().await;
                    self.look_after_holds().await;
                    self.look_after_told();
                    self.look_after_waivers().await;
                    self.look_after_forgetting().await;
                    self.look_after_reminders().await;
                    None
                }
                job = jobs.recv() => {
                    turns.serve();
                    Some(job)
                }
                () = gathered => None,
                () = std::future::ready(()), if !self.disposals.is_empty() => {
                    turns.nobody_waits();
                    continue;
                }
            };
            if job.is_none() {
                self.sweep().await;
            }
            match job {
                None => self.take_in().await,
                Some(Job::Together(first)) => {
                    let together = jobs.with_others(first);
                    self.serve_together(together).await;
                }
                // Whoever asked may be gone; what was done is done.
                Some(Job::BeginSearch {
                    wish,
                    asker,
                    answer,
                }) => drop(answer.send(Answer::of(self.begin_search(&wish, &asker).await))),
                Some(Job::SearchPage { mut search, answer }) => {
                    let page = self.search_page(&mut search).await;
                    let _ = answer.send((search, page));
                }
                Some(Job::DaysToReconcile { answer }) => {
                    let _ = answer.send(Answer::of(self.days_to_reconcile().await));
                }
                Some(Job::ReconcileDay { day, answer }) => {
                    let _ = answer.send(Answer::of(self.reconcile_day(day).await));
                }
                Some(Job::Compared { comparison, answer }) => {
                    self.tell_of_reconciliation(&comparison);
                    let _ = answer.send(());
                }
                Some(Job::Reveal {
                    wish,
                    asker,
                    answer,
                }) => drop(answer.send(Answer::of(self.reveal(&wish, &asker).await))),
                Some(Job::People {
                    ask,
                    proof,
                    asker,
                    answer,
                }) => drop(answer.send(self.attend_people(ask, &proof, &asker).await)),
                Some(Job::HandOver {
                    ask,
                    proof,
                    asker,
                    answer,
                }) => {
                    let told = self.attend_hand_over(ask, &proof, &asker).await;
                    let _ = answer.send(Answer::of(told));
                }
                Some(Job::BeginPackage {
                    wish,
                    asker,
                    answer,
                }) => drop(answer.send(Answer::of(self.begin_package(wish, &asker).await))),
                Some(Job::EndPackage {
                    packed,
                    asker,
                    answer,
                }) => drop(answer.send(Answer::of(self.end_package(*packed, &asker).await))),
                Some(Job::Copies {
                    ask,
                    proof,
                    asker,
                    answer,
                }) => drop(answer.send(Answer::of(self.attend_copies(ask, &proof, &asker).await))),
                Some(Job::Sign { text, answer }) => drop(answer.send(self.sign_text(text))),
                Some(Job::Track { fact, answer }) => drop(answer.send(self.track(*fact).await)),
                Some(Job::Prove {
                    action,
                    proof,
                    asker,
                    answer,
                }) => {
                    let proved = self.prove_allowed(action, &proof, &asker).await;
                    let _ = answer.send(Answer::of(proved));
                }
                Some(Job::Record {
                    proved,
                    asker,
                    fact,
                    answer,
                }) => {
                    let caller = Caller {
                        proved: proved.as_deref(),
                        asker: &asker,
                    };
                    let now = Timestamp::now();
                    let told = self.record(&caller, *fact, nothing, now).await;
                    let _ = answer.send(Answer::of(told));
                }
                Some(Job::RestoreAudio {
                    step,
                    proof,
                    asker,
                    answer,
                }) => {
                    let told = self.restore_audio(step, &proof, &asker).await;
                    drop(answer.send(Answer::of(told)));
                }
                Some(Job::BackUp {
                    proof,
                    asker,
                    answer,
                }) => drop(answer.send(Answer::of(self.back_up(&proof, &asker).await))),
                Some(Job::Register { answer }) => {
                    let _ = answer.send(self.register().await.ok());
                }
                Some(Job::Dispose {
                    request,
                    asker,
                    answer,
                }) => self.dispose_asked(&request, &asker, answer).await,
                Some(Job::Keys {
                    request,
                    proof,
                    asker,
                    answer,
                }) => {
                    let done = self.keys_asked(&request, &proof, &asker).await;
                    drop(answer.send(Answer::of(done)));
                }
                Some(Job::LetRead {
                    reading,
                    proof,
                    asker,
                    answer,
                }) => {
                    let reader = self.let_read(reading, &proof, &asker).await;
                    drop(answer.send(Answer::of(reader)));
                }
                Some(Job::SignStatement {
                    statement,
                    actor,
                    answer,
                }) => {
                    let done = self.sign_statement(&statement, actor).await;
                    drop(answer.send(Answer::of(done)));
                }
                Some(Job::Trail {
                    request,
                    proof,
                    asker,
                    answer,
                }) => {
                    let done = self.trail_asked(&request, &proof, &asker).await;
                    drop(answer.send(Answer::of(done)));
                }
                Some(Job::Stop) => break,
            }
        }
        self.take_in().await;
        self.register_again = Instant::now();
        self.look_after_register().await;
        self.sign_all();
        if let Some(catalogue) = self.catalogue.take()
            && let Err(fault) = catalogue.close().await
        {
            tracing::warn!(%fault, "the catalogue was not closed in order; nothing is lost");
        }
    }

    /// Whether this was told already, and not taken back.
    pub(super) fn is_told(&self, code: AlarmCode) -> bool {
        self.told.contains(code.code())
    }

    /// Tells once that something cannot be used, and once that it can be again.
    pub(super) fn note<T, E: std::fmt::Display>(
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

    pub(super) async fn open_catalogue(&mut self) -> Option<Catalogue> {
        if let Some(catalogue) = self.catalogue.take() {
            return Some(catalogue);
        }
        let opened = Catalogue::open(&self.layout).await;
        self.note(AlarmCode::DatabaseUnavailable, opened)
    }

    /// Takes the spool in. A catalogue that fails is closed and opened anew next time; the spool keeps what it has.
    pub(super) async fn take_in(&mut self) {
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
    pub(super) fn audit(&mut self, draft: AuditDraft) -> Option<AuditReceipt> {
        self.audit_all(vec![draft])?.pop()
    }

    /// Writes entries of the office's chain; one sync makes all of them durable, or none is.
    pub(super) fn audit_all(&mut self, drafts: Vec<AuditDraft>) -> Option<Vec<AuditReceipt>> {
        let trail = match self.trail.take() {
            Some(trail) => Ok(trail),
            None => AuditTrail::open(Arc::clone(&self.disk), &self.layout, Duty::Office),
        };
        let mut trail = self.note(AlarmCode::AuditUnavailable, trail)?;
        let appended = trail.append_all(drafts, Timestamp::now());
        let receipts = self.note(AlarmCode::AuditUnavailable, appended)?;
        self.trail = Some(trail);
        Some(receipts)
    }

    /// The number of the last entry of the office's chain.
    pub(super) fn last_entry(&mut self) -> Result<u64, Ending> {
        let trail = match self.trail.take() {
            Some(trail) => Ok(trail),
            None => AuditTrail::open(Arc::clone(&self.disk), &self.layout, Duty::Office),
        };
        let trail = self.note(AlarmCode::AuditUnavailable, trail);
        let trail = trail
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        let seq = trail.end().seq;
        self.trail = Some(trail);
        Ok(seq)
    }

    /// Those of the recordings that there are, as far as a right depends on them.
    pub(super) async fn heard_of(
        &mut self,
        recordings: BTreeSet<RecordingId>,
    ) -> Result<Vec<Heard>, Ending> {
        if !recordings.is_empty() {
            self.take_in().await;
        }
        let found = self
            .rows(async |catalogue| catalogue.find_each(&recordings).await)
            .await?;
        let heard = found.iter();
        Ok(heard
            .map(|(recording, call)| self.heard(*recording, call))
            .collect())
    }

    /// The recording, as far as a right depends on it.
    pub(super) fn heard(&self, recording: RecordingId, call: &ListedCall) -> Heard {
        let called = call.called.as_deref();
        let called = called.and_then(|text| Number::parse(text).ok());
        Heard {
            recording,
            state: call.state,
            expires_at: call.expires_at,
            unit: self.config.unit_of(called.as_ref()).clone(),
            called,
            // What cannot be told is told when it is opened.
            sound: match self.vault.awaits(call.day, recording) {
                Ok(true) => Sound::Awaited,
                Ok(false) | Err(_) => Sound::Here,
            },
        }
    }

    /// Whether a person may do what opens no content, for whoever cannot look itself.
    ///
    /// # Returns
    /// Who was proved.
    pub(super) async fn prove_allowed(
        &mut self,
        action: Action,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<Option<Proved>, Ending> {
        let now = Timestamp::now();
        let proved = self.prove(proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        self.allow(&caller, action, now).await?;
        Ok(proved)
    }

    /// Writes down that audio is brought back, or given up, which permits it.
    async fn restore_audio(
        &mut self,
        step: AudioStep,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<(), Ending> {
        let proved = self.prove_allowed(Action::Restore, proof, asker).await?;
        let restoration = Restoration::read(&*self.disk, &self.layout).map_err(|fault| {
            Answer::Unavailable(Message::new("復元の進みを読めません。", fault.to_string()))
        })?;
        let awaited = restoration.map_or(0, |restoration| restoration.days().len());
        let days = u64::try_from(awaited).unwrap_or(u64::MAX);
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let event = match step {
            AudioStep::Bring => AuditEvent::AudioRestored { days },
            AudioStep::GiveUp => AuditEvent::AudioGivenUp { days },
        };
        self.write_down(&caller, event)
    }

    /// Writes down what is there to be copied out, which permits it.
    async fn back_up(&mut self, proof: &Proof, asker: &Asker) -> Result<(), Ending> {
        let proved = self.prove_allowed(Action::BackUp, proof, asker).await?;
        self.take_in().await;
        let rows = self.rows(async |catalogue| catalogue.count().await).await?;
        let files = self.vault.count_closed();
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        self.write_down(&caller, AuditEvent::BackedUp { rows, files })
    }

    /// Whether somebody may do what records no fact and opens no content. The refusal is written down.
    pub(super) async fn allow(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        now: Timestamp,
    ) -> Result<(), Ending> {
        // It says which policy is in force, whoever asks.
        let register = self.register().await;
        let register = match caller.proved {
            // Whoever is nobody by name is in no register, and needs no database.
            None => Arc::default(),
            Some(_) => register?,
        };
        let judged = register.judge(&caller.petitioner(), action, None, now);
        judged.map_err(|fault| self.refuse(caller, action, &fault))
    }

    pub(super) async fn find(
        &mut self,
        recording: RecordingId,
    ) -> Result<Option<ListedCall>, Ending> {
        self.rows(async |catalogue| catalogue.find(recording).await)
            .await
    }

    /// What somebody is told who asks for a recording that there is not: first whether there is a right to any.
    pub(super) fn unknown(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        recording: RecordingId,
        judged: Result<(), Refusal>,
    ) -> Ending {
        match judged {
            Err(refusal) => self.refuse(caller, action, &refusal.into()),
            Ok(()) => no_recording(recording),
        }
    }
}

pub(super) fn no_recording(recording: RecordingId) -> Ending {
    Answer::Failed(Message::not_found(
        format!("録音 {recording} はありません。`denwaban recordings list` で確かめてください。"),
        format!("there is no recording {recording}; see `denwaban recordings list`"),
    ))
}
