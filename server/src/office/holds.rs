//! Holds at the office (K-21): asked for, decided, let go, and the keys made to say the same.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rules::{
    Action, Actor, AlarmCode, AlarmSubject, Fact, HoldFact, HoldId, HoldTerms, Missing, Register,
    Subject,
};
use storage::TextKind;

use super::{
    cases::random_id,
    owner::Owner,
    people::{Caller, nothing, with},
    sweep::NotDone,
};
use crate::{
    cases::{HoldAsk, HoldView, WishedHold},
    duty::{Answer, Ending, Message},
    people::Told,
};

/// How often the keys are compared with what was decided, and overdue holds are told of.
const EACH: Duration = Duration::from_secs(3_600);
/// How soon what could not be done is tried again.
const RETRY: Duration = Duration::from_secs(60);

impl Owner {
    pub(super) async fn ask_hold(
        &mut self,
        caller: &Caller<'_>,
        ask: HoldAsk,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        match ask {
            HoldAsk::Request(wish) => self.request_hold(caller, wish, now).await,
            HoldAsk::Decide {
                hold,
                verdict,
                reason,
            } => {
                let about = Subject::Hold(hold);
                let what = (Action::DecideHold, Missing::Reason);
                let reason = (TextKind::Reason, reason);
                let sealed = self.seal_said(caller, what, &about, reason, now).await?;
                let (text, reason) = sealed.unzip();
                let fact = HoldFact::Decided {
                    hold,
                    verdict,
                    reason,
                };
                let texts = with(text.into_iter().collect());
                let told = self.record(caller, Fact::Hold(fact), texts, now).await?;
                self.settle_now(caller, told).await
            }
            HoldAsk::Release { hold } => {
                let fact = Fact::Hold(HoldFact::Released { hold });
                let told = self.record(caller, fact, nothing, now).await?;
                self.settle_now(caller, told).await
            }
            HoldAsk::List => self.list_holds(caller, now).await,
        }
    }

    async fn request_hold(
        &mut self,
        caller: &Caller<'_>,
        wish: WishedHold,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let action = Action::RequestHold;
        let case = self
            .demand(caller, action, Missing::Decision, wish.case, now)
            .await?;
        let ground = self
            .demand(caller, action, Missing::Basis, wish.ground, now)
            .await?;
        let hold = HoldId::new(now, random_id()?);
        let until = wish.until.unwrap_or_else(|| HoldTerms::usual_end(now));
        let usual_review = || HoldTerms::usual_review(now, until);
        let terms = HoldTerms {
            case,
            ground,
            recordings: wish.recordings.into_iter().collect(),
            review: wish.review.unwrap_or_else(usual_review),
            until,
        };
        let fact = Fact::Hold(HoldFact::Requested { hold, terms });
        match self.record(caller, fact, nothing, now).await? {
            Told::Done => Ok(Told::HoldRequested { hold }),
            Told::AskedBefore(Subject::Hold(hold)) => Ok(Told::HoldRequested { hold }),
            other => Ok(other),
        }
    }

    async fn list_holds(&mut self, caller: &Caller<'_>, now: Timestamp) -> Result<Told, Ending> {
        let register = self.register().await?;
        self.show(caller, &register, Action::ListHolds, now)?;
        let mut views = Vec::new();
        for (id, hold) in register.holds_shown_to(caller.person()?) {
            let reason = self.text_of(Subject::Hold(id), TextKind::Reason).await?;
            views.push(HoldView::of(id, hold, reason, now));
        }
        Ok(Told::Holds(views))
    }

    /// Brings the keys to what was decided a moment ago. The decision stands whatever comes of that; the next look goes on.
    async fn settle_now(&mut self, caller: &Caller<'_>, told: Told) -> Result<Told, Ending> {
        let register = self.register().await?;
        match self
            .settle_holds(&register, &caller.petitioner().actor())
            .await
        {
            Ok(()) => Ok(told),
            Err(why) => Err(Answer::Unavailable(Message::new(
                "決定は記録しましたが、鍵の処理が終わっていません。次の点検で続きを行います。",
                format!(
                    "it is decided and recorded, the keys are not settled yet and the next look goes on: {why}"
                ),
            ))),
        }
    }

    /// Does what a crash may have left between a decision and the keys, and tells of holds that wait for a person. A disposal asks by itself
    /// what is decided: no day of which the keys do not hold that is begun.
    pub(super) async fn look_after_holds(&mut self) {
        if Instant::now() < self.holds_again {
            return;
        }
        self.holds_again = Instant::now() + EACH;
        let Ok(register) = self.register().await else {
            self.holds_again = Instant::now() + RETRY;
            return;
        };
        if self.settle_holds(&register, &Actor::System).await.is_err() {
            self.holds_again = Instant::now() + RETRY;
        }
        let now = Timestamp::now();
        let overdue = register.holds().iter().filter_map(|(id, hold)| {
            let what = hold.overdue(now)?.code();
            let why =
                format!("hold {id} is past its {what}; see holds list, decide anew or let it go");
            Some((AlarmSubject::Hold(id), why))
        });
        self.remind_of_each(AlarmCode::HoldOverdue, overdue.collect());
    }

    /// Seals to cases what they hold, and takes out of them what they let go: what is overdue is disposed of with that.
    pub(super) async fn settle_holds(
        &mut self,
        register: &Register,
        actor: &Actor,
    ) -> Result<(), String> {
        if register.holds().iter().next().is_none() {
            return Ok(());
        }
        let now = Timestamp::now();
        let settled = self
            .with_office(async |office| {
                let holds = register.holds();
                let mut faults = Vec::new();
                for permit in &holds.settle(&office.held()).hold {
                    let held = storage::hold(office, permit).await;
                    faults.extend(held.err().map(|fault| fault.to_string()));
                }
                // What is let go may depend on what is held by now.
                for permit in holds.settle(&office.held()).release {
                    let released = storage::release(office, actor, permit, now).await;
                    faults.extend(released.err().map(|fault| fault.to_string()));
                }
                Ok(faults)
            })
            .await;
        let outcome = match settled {
            Ok(faults) if faults.is_empty() => Ok(()),
            Ok(faults) => Err(faults.join("; ")),
            Err(NotDone::Unusable(message)) => Err(message.en),
            Err(NotDone::Fault(fault)) => Err(fault.to_string()),
        };
        self.remind(AlarmCode::HoldNotSettled, outcome.clone().err());
        outcome
    }
}
