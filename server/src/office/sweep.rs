//! Disposal as the office does it: by itself every hour, and what people ask of it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{Action, Actor, AlarmCode, CopyId, JstDay, RecordingId, Register};
use serde::{Deserialize, Serialize};
use storage::{
    AuditTrail, Disposal, DisposeFault, DisposedDay, Duty, EarlyDisposal, EarlyStep, Pending,
    PlannedDay, Signing, Step, Subject,
};
use tokio::sync::oneshot;

use super::{early::flush_calls, owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending, Message},
    people,
    proof::{Asker, Proof},
    said::{Said, Words},
};

/// A start has other things to do first, and a command that does the office's duty in its absence is over by then.
pub(super) const FIRST_SWEEP: Duration = Duration::from_secs(60);
/// Days expire at midnight; an hour later nothing of them is left.
const SWEEP: Duration = Duration::from_secs(3_600);

/// What is asked of a disposal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisposeRequest {
    /// What is due at a time, or now.
    Plan { at: Option<Timestamp> },
    /// To destroy what is due.
    Due {
        proof: Proof,
        /// Why the clock is right, where somebody says that it is.
        confirm_clock: Option<Said<Words>>,
    },
    /// To destroy one recording before its day.
    One {
        proof: Proof,
        recording: RecordingId,
        /// As it was typed in, where it was.
        decision: Option<String>,
    },
    /// The manager has seen a certificate.
    Acknowledge { proof: Proof, subject: Subject },
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisposeDone {
    Planned(Vec<Planned>),
    Disposed(Vec<Disposed>),
    /// One recording is gone; why its certificate waits, where it does.
    DisposedOne {
        recording: RecordingId,
        pending: Vec<String>,
    },
    Acknowledged,
}

/// A day that is due.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Planned {
    pub(crate) day: JstDay,
    pub(crate) expires_at: Timestamp,
    pub(crate) due: u64,
    pub(crate) held: u64,
    pub(crate) failed: u64,
}

/// A day that was disposed of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Disposed {
    pub(crate) day: JstDay,
    pub(crate) due: u64,
    pub(crate) disposed: u64,
    pub(crate) held: u64,
    pub(crate) failed: u64,
    /// Why it is not complete.
    pub(crate) pending: Vec<String>,
}

impl Owner {
    /// Destroys what is due, unasked.
    pub(super) async fn sweep(&mut self) {
        if Instant::now() < self.sweep_again {
            return;
        }
        self.sweep_again = Instant::now() + SWEEP;
        let Some(judged) = self.look_at_clock() else {
            return;
        };
        if self.clock.clock().check().is_err() {
            return;
        }
        self.begin_disposal(Actor::System, judged, Whose::Sweep)
            .await;
    }

    /// Does what somebody asked of a disposal. Whoever has what is due destroyed is answered when the last piece of it is done.
    pub(super) async fn dispose_asked(
        &mut self,
        request: &DisposeRequest,
        asker: &Asker,
        answer: oneshot::Sender<Answer<DisposeDone>>,
    ) {
        // Whoever asked may be gone; what was done is done.
        match self.judge_disposal(request, asker).await {
            Ok(Outcome::Done(done)) => drop(answer.send(Answer::Done(done))),
            Ok(Outcome::Begins { actor, judged }) => {
                let whose = Whose::Asked(answer);
                self.begin_disposal(actor, judged, whose).await;
            }
            Ok(Outcome::BeginsOne(early)) => {
                self.disposals.push_back(Disposing::One(early, answer));
            }
            Err(ending) => drop(answer.send(ending.without())),
        }
    }

    async fn judge_disposal(
        &mut self,
        request: &DisposeRequest,
        asker: &Asker,
    ) -> Result<Outcome, Ending> {
        let (proof, action) = match request {
            DisposeRequest::Plan { .. } => (&Proof::Nobody, Action::PlanDisposal),
            DisposeRequest::Due {
                proof,
                confirm_clock: Some(_),
            } => (proof, Action::ConfirmClock),
            DisposeRequest::Due { proof, .. } => (proof, Action::Dispose),
            DisposeRequest::One { proof, .. } => (proof, Action::DisposeOne),
            DisposeRequest::Acknowledge { proof, .. } => (proof, Action::AcknowledgeDisposal),
        };
        let now = Timestamp::now();
        let proved = self.prove(proof, asker, now).await?;
        let proved = proved.as_ref();
        let caller = Caller { proved, asker };
        // One recording is judged with its case.
        if !matches!(request, DisposeRequest::One { .. }) {
            self.allow(&caller, action, now).await?;
        }
        let done = match request {
            DisposeRequest::Due { confirm_clock, .. } => {
                return self.due_asked(&caller, confirm_clock.clone(), now).await;
            }
            DisposeRequest::Acknowledge { subject, .. } => {
                self.acknowledge(&caller, *subject).await?
            }
            DisposeRequest::Plan { at } => self.plan(*at).await?,
            DisposeRequest::One {
                recording,
                decision,
                ..
            } => {
                let early = self.dispose_early(&caller, *recording, decision.as_deref(), now);
                return Ok(Outcome::BeginsOne(Box::new(early.await?)));
            }
        };
        Ok(Outcome::Done(done))
    }

    async fn plan(&mut self, at: Option<Timestamp>) -> Result<DisposeDone, Ending> {
        let at = at.unwrap_or_else(Timestamp::now);
        let register = self.register().await.ok();
        let decided = register.as_deref().map(Register::holds);
        let planned = self
            .with_office(async |office| storage::plan_due(office, decided, at).await)
            .await;
        let days = planned.map_err(NotDone::ending)?;
        Ok(DisposeDone::Planned(days.iter().map(planned_day).collect()))
    }

    async fn due_asked(
        &mut self,
        caller: &Caller<'_>,
        confirm_clock: Option<Said<Words>>,
        now: Timestamp,
    ) -> Result<Outcome, Ending> {
        let judged = self.look_at_clock().ok_or_else(|| {
            Answer::Unavailable(Message::new(
                "時計を読めないため、廃棄できません。",
                "the clock cannot be judged, so nothing is destroyed by it; the log says why",
            ))
        })?;
        let confirms = confirm_clock.is_some();
        if let Some(reason) = confirm_clock {
            self.confirm_clock(caller, reason, now).await?;
        }
        let checked = self.clock.clock().check();
        checked.map_err(|refusal| self.refuse(caller, Action::Dispose, &refusal.into()))?;
        // Whoever may only say that the clock is right has done so: what is due is the office's own to destroy.
        let actor = match confirms && !self.may_dispose(caller, now).await? {
            true => Actor::System,
            false => caller.petitioner().actor(),
        };
        Ok(Outcome::Begins { actor, judged })
    }

    async fn may_dispose(&mut self, caller: &Caller<'_>, now: Timestamp) -> Result<bool, Ending> {
        let register = self.register().await?;
        let judged = register.judge(&caller.petitioner(), Action::Dispose, None, now);
        Ok(judged.is_ok())
    }

    async fn acknowledge(
        &mut self,
        caller: &Caller<'_>,
        subject: Subject,
    ) -> Result<DisposeDone, Ending> {
        let by = caller.proved()?;
        let actor = caller.petitioner().actor();
        let acknowledged = self
            .with_office(async |office| {
                storage::acknowledge(office, &actor, by, subject, Timestamp::now())
            })
            .await;
        acknowledged.map_err(NotDone::ending)?;
        Ok(DisposeDone::Acknowledged)
    }

    /// Orders a disposal of what is due; it begins when the one before is over.
    ///
    /// `judged`: the wall clock by which the rule allows it.
    async fn begin_disposal(&mut self, actor: Actor, judged: Timestamp, whose: Whose) {
        // What was decided to be held is held before its day goes; a day of which something cannot be held waits.
        self.holds_again = Instant::now();
        self.look_after_holds().await;
        if self.count_expired_days(judged).await.is_err() {
            tracing::warn!(
                "a day that is due was not counted before; the monthly statement lacks what is destroyed of it"
            );
        }
        self.disposals.push_back(Disposing::Due {
            judged,
            whose,
            stage: Stage::Days(Disposal::new(actor, judged)),
        });
    }

    /// Does the next piece of the disposal that is under way: first what is due in the vault, then the copies outside of it,
    /// which others may make slow or unreachable.
    pub(super) async fn go_on_disposing(&mut self) {
        let next = match self.disposals.pop_front() {
            None => return,
            Some(Disposing::One(early, answer)) => self.dispose_early_piece(*early, answer).await,
            Some(Disposing::Due {
                judged,
                whose,
                stage,
            }) => self.dispose_due_piece(judged, whose, stage).await,
        };
        if let Some(further) = next {
            self.disposals.push_front(further);
        }
    }

    async fn dispose_early_piece(
        &mut self,
        early: EarlyDisposal,
        answer: oneshot::Sender<Answer<DisposeDone>>,
    ) -> Option<Disposing> {
        let recording = early.recording();
        let register = match self.register().await {
            Ok(register) => register,
            Err(ending) => {
                // Whoever asked may be gone; what was begun is gone on with when it is asked for again.
                let _ = answer.send(ending.without());
                return None;
            }
        };
        let (layout, decided) = (self.layout.clone(), register.holds());
        let step = self
            .with_office(async |office| early.step(office, decided, || flush_calls(&layout)).await)
            .await;
        let done = match step {
            Ok(EarlyStep::Further(early)) => {
                return Some(Disposing::One(early, answer));
            }
            Ok(EarlyStep::Done(pending)) => Ok(DisposeDone::DisposedOne {
                recording,
                pending: pending.iter().map(waits_for).collect(),
            }),
            Err(fault) => Err(fault.ending()),
        };
        // Whoever asked may be gone; what was done is done.
        let _ = answer.send(Answer::of(done));
        None
    }

    async fn dispose_due_piece(
        &mut self,
        judged: Timestamp,
        whose: Whose,
        stage: Stage,
    ) -> Option<Disposing> {
        let stage = match stage {
            Stage::Days(disposal) => self.dispose_piece(disposal, judged).await,
            Stage::Copies { mut left, days } => match left.pop_front() {
                Some(copy) => {
                    self.remove_due_copy(copy, judged).await;
                    Stage::Copies { left, days }
                }
                None => {
                    whose.tell(days);
                    return None;
                }
            },
        };
        Some(Disposing::Due {
            judged,
            whose,
            stage,
        })
    }

    async fn dispose_piece(&mut self, disposal: Disposal, judged: Timestamp) -> Stage {
        // What it is decided to hold is asked anew before each piece.
        let register = self.register().await.ok();
        let decided = register.as_deref().map(Register::holds);
        let step = self
            .with_office(async |office| disposal.step(office, decided).await)
            .await;
        let days = match step {
            Ok(Step::Further(disposal)) => return Stage::Days(disposal),
            Ok(Step::Done(days)) => Ok(days),
            Err(NotDone::Unusable(message)) => Err(message),
            Err(NotDone::Fault(fault)) => Err(Message::new(
                "廃棄を最後まで行えませんでした。次の実行で続きを行います。",
                fault.to_string(),
            )),
        };
        if let Ok(days) = &days {
            let is_waiting = days.iter().any(|day| !day.pending.is_empty());
            let waits = "a day is past its expiry and its disposal is not complete";
            self.remind(
                AlarmCode::DisposalOverdue,
                is_waiting.then(|| waits.to_owned()),
            );
        }
        self.forget_passphrases(judged).await;
        let left = self.due_copies(judged).await.unwrap_or_else(|_| {
            tracing::warn!("copies outside the vault cannot be looked at; the next sweep does");
            VecDeque::new()
        });
        Stage::Copies { left, days }
    }

    /// Opens everything that a disposal works on. What fails is opened anew next time, and the disposal goes on forward.
    pub(super) async fn with_office<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut storage::Office<'_>) -> Result<T, DisposeFault>,
    ) -> Result<T, NotDone> {
        self.take_in().await;
        if self.signing.is_none() {
            match self.open_signing() {
                Ok(signing) => self.signing = Some(signing),
                Err(fault) => tracing::error!(%fault, "no certificate can be signed"),
            }
        }
        let register = self.register().await.ok();
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
            return Err(NotDone::Unusable(Message::new(
                ja,
                "keys, catalogue or audit trail cannot be used; see the log and `denwaban check`",
            )));
        };
        let vault = Arc::clone(&self.vault);
        let mut office = storage::Office {
            keys: &mut keys,
            vault: &vault,
            catalogue: &mut catalogue,
            trail: &mut trail,
            signing: self.signing.as_ref().map(Signing::key),
            mirror_ends: register.as_deref().map(Register::mirror_ends),
        };
        let done = act(&mut office).await.map_err(NotDone::Fault)?;
        (self.keys, self.catalogue, self.trail) = (Some(keys), Some(catalogue), Some(trail));
        Ok(done)
    }
}

/// What a request about disposals comes to.
enum Outcome {
    Done(DisposeDone),
    /// What is due is destroyed, piece by piece.
    Begins {
        actor: Actor,
        judged: Timestamp,
    },
    /// One recording is.
    BeginsOne(Box<EarlyDisposal>),
}

/// A disposal under way, or waiting for the one before it.
pub(super) enum Disposing {
    Due {
        /// The wall clock by which the rule allows it.
        judged: Timestamp,
        whose: Whose,
        stage: Stage,
    },
    One(Box<EarlyDisposal>, oneshot::Sender<Answer<DisposeDone>>),
}

/// Who is told what came of a disposal.
pub(super) enum Whose {
    Sweep,
    Asked(oneshot::Sender<Answer<DisposeDone>>),
}

pub(super) enum Stage {
    Days(Disposal),
    Copies {
        left: VecDeque<CopyId>,
        days: Result<Vec<DisposedDay>, Message>,
    },
}

impl Whose {
    fn tell(self, days: Result<Vec<DisposedDay>, Message>) {
        match (self, days) {
            (Whose::Sweep, Ok(days)) => days.iter().for_each(tell),
            (Whose::Sweep, Err(message)) => tracing::warn!("disposal waits: {}", message.en),
            (Whose::Asked(answer), days) => {
                let done = days.map(|days| days.iter().map(disposed).collect());
                let done = done.map(DisposeDone::Disposed).map_err(Answer::Unavailable);
                // Whoever asked may be gone; what was done is done.
                let _ = answer.send(Answer::of(done));
            }
        }
    }
}

pub(super) enum NotDone {
    Unusable(Message),
    Fault(DisposeFault),
}

impl NotDone {
    pub(super) fn ending(self) -> Ending {
        match self {
            NotDone::Unusable(message) => Answer::Unavailable(message),
            NotDone::Fault(fault) => not_disposed(&fault),
        }
    }
}

fn tell(day: &DisposedDay) {
    let (day, counts, pending) = (day.day, day.counts, &day.pending);
    if pending.is_empty() {
        let (disposed, held) = (counts.disposed(), counts.held());
        tracing::info!(%day, disposed, held, "disposed of");
        return;
    }
    let pending = pending.iter().map(waits_for).collect::<Vec<_>>().join("; ");
    tracing::warn!(%day, pending, "the disposal is not complete");
}

fn planned_day(day: &PlannedDay) -> Planned {
    Planned {
        day: day.day,
        expires_at: day.expires_at,
        due: day.due,
        held: day.held,
        failed: day.failed,
    }
}

fn disposed(day: &DisposedDay) -> Disposed {
    Disposed {
        day: day.day,
        due: day.counts.due(),
        disposed: day.counts.disposed(),
        held: day.counts.held(),
        failed: day.counts.failed(),
        pending: day.pending.iter().map(waits_for).collect(),
    }
}

fn waits_for(pending: &Pending) -> String {
    match pending {
        Pending::Mirror(folder) => folder.display().to_string(),
        Pending::Bytes(count) => format!("{count} 件の音声ファイル / bytes of {count} recordings"),
        Pending::Signature => "署名の鍵 / the signing key".to_owned(),
        Pending::Disk(fault) => fault.clone(),
        Pending::Holds(count) => format!(
            "保全が鍵にない録音 {count} 件（この日は何も廃棄していません）/ {count} recordings whose holds are not in the keys; nothing of the day is destroyed"
        ),
        Pending::MirrorEnds => "職員の登録を読めず、終了した鍵の写しが分かりません（鍵は破棄しました。証明書はまだありません）/ the register cannot be read, so nobody can say which mirrors were ended; the keys are destroyed, the certificate waits".to_owned(),
        Pending::Register => "職員の登録を読めず、何が保全されているか分かりません（この日は何も廃棄していません）/ the register cannot be read, so nobody can say what is held; nothing of the day is destroyed".to_owned(),
        Pending::Unknown(count) => format!(
            "どの行も鍵も知らない録音 {count} 件のファイル（reconcile を参照）/ files of {count} recordings that no row and no key knows; they are left alone, see reconcile"
        ),
    }
}

fn not_disposed(fault: &DisposeFault) -> Ending {
    match fault {
        DisposeFault::Refused(refusal) => Answer::Refused(people::message(refusal)),
        DisposeFault::Counts => {
            Answer::Failed(Message::new("廃棄の件数が合いません。", fault.to_string()))
        }
        DisposeFault::NoCertificate { .. }
        | DisposeFault::NoRecording { .. }
        | DisposeFault::HeldMeanwhile { .. }
        | DisposeFault::StillOpen { .. } => {
            Answer::Failed(Message::new("対象がありません。", fault.to_string()))
        }
        DisposeFault::Awaited { .. } => Answer::Unavailable(Message::new(
            "この日の音声はバックアップからの復元を待っています。`denwaban restore --audio` が終わってから行ってください。",
            fault.to_string(),
        )),
        DisposeFault::Key(_)
        | DisposeFault::Vault(_)
        | DisposeFault::Catalogue(_)
        | DisposeFault::Audit(_)
        | DisposeFault::Record(_)
        | DisposeFault::NotFlushed(_)
        | DisposeFault::Note(_) => Answer::Unavailable(Message::new(
            "廃棄を最後まで行えませんでした。次の実行で続きを行います。",
            fault.to_string(),
        )),
    }
}
