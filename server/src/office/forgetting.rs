//! The oldest months of the audit trail at the office: planned, decided, removed (諮問書 7(1)). Start at [`Owner::forget_months`].
//!
//! The decision is a fact of the register. Files that have not followed it are removed by the next look, or by the same command.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{
    Action, Actor, AuditDraft, AuditEvent, Chain, DecisionId, Fact, Forgetting, JstMonth, Missing,
    Subject, TrailTerm,
};
use storage::{
    AuditTrail, Duty, Heads, Lock, OldMonth, OldMonths, Removal, TextKind, announce_removal,
    plan_removal, unlink_months,
};

use super::{
    cases::random_id,
    owner::Owner,
    people::{Caller, with},
};
use crate::{
    calls,
    duty::{Answer, Conversation, DUTY_PATIENCE, Ending, Message},
    forgetting::{ForgetAsk, ForgetStep, Forgotten, Incomplete, MonthState, MonthView},
    people::Told,
    said::Words,
};

/// How often what has not followed a decision is tried again.
const EACH: Duration = Duration::from_secs(3_600);
const CHAINS: [Chain; 2] = [Chain::Calls, Chain::Office];

impl Owner {
    /// Shows what would go, or decides that it does and removes it.
    pub(super) async fn forget_months(
        &mut self,
        caller: &Caller<'_>,
        ask: ForgetAsk,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let action = Action::ForgetMonths;
        let decision = match ask.step {
            ForgetStep::Plan => None,
            ForgetStep::Remove { decision } => {
                let decision = self
                    .demand(caller, action, Missing::Decision, decision, now)
                    .await?;
                Some(decision)
            }
        };
        let register = self.register().await?;
        let judged = register.judge_forgetting(&caller.petitioner(), ask.through, now);
        judged.map_err(|refusal| self.refuse(caller, action, &refusal.into()))?;
        let decided = register.forgotten().map(|known| known.through);
        let through = decided.map_or(ask.through, |known| known.max(ask.through));
        let planned = self.old_months(through, now)?;
        let Some(decision) = &decision else {
            let view = |(chain, month)| shown(chain, month, MonthState::Planned);
            return Ok(Told::Forgotten(Forgotten {
                months: planned.into_iter().map(view).collect(),
                incomplete: Vec::new(),
            }));
        };
        self.decide_months(caller, ask.through, decision, now)
            .await?;
        let register = self.register().await?;
        let incomplete = register.forgotten().map_or_else(Vec::new, |forgetting| {
            self.remove_months(forgetting, &caller.petitioner().actor())
        });
        let view = |(chain, month)| {
            let is_left = incomplete.iter().any(|left| left.chain == chain);
            let state = match is_left {
                true => MonthState::Incomplete,
                false => MonthState::Removed,
            };
            shown(chain, month, state)
        };
        let months = planned.into_iter().map(view).collect();
        Ok(Told::Forgotten(Forgotten { months, incomplete }))
    }

    /// Records the decision, unless the clock by which the term is over is not believed.
    async fn decide_months(
        &mut self,
        caller: &Caller<'_>,
        through: JstMonth,
        decision: &Words,
        now: Timestamp,
    ) -> Result<(), Ending> {
        self.look_at_clock();
        let checked = self.clock.clock().check();
        checked.map_err(|refusal| self.refuse(caller, Action::ForgetMonths, &refusal.into()))?;
        let id = DecisionId::new(now, random_id()?);
        let about = Subject::Decision(id);
        let (sealed, text) = self.seal_text(about, TextKind::Reason, decision.text(), now)?;
        let fact = Fact::MonthsForgotten {
            through,
            decision: id,
            text,
        };
        self.record(caller, fact, with(vec![sealed]), now)
            .await
            .map(drop)
    }

    /// What is there of the months up to this one, the oldest of each chain first.
    fn old_months(
        &self,
        through: JstMonth,
        now: Timestamp,
    ) -> Result<Vec<(Chain, OldMonth)>, Ending> {
        let mut found = Vec::new();
        for chain in CHAINS {
            let planned = plan_removal(months(chain, through), &*self.disk, &self.layout, now);
            let planned = planned.map_err(|fault| {
                Answer::Failed(Message::new(
                    "この月までの証跡は削除できません。何も変えていません。",
                    fault.to_string(),
                ))
            })?;
            found.extend(planned.into_iter().map(|month| (chain, month)));
        }
        Ok(found)
    }

    /// Goes on with what was decided and has not followed.
    pub(super) async fn look_after_forgetting(&mut self) {
        if Instant::now() < self.forgetting_again {
            return;
        }
        self.forgetting_again = Instant::now() + EACH;
        let Ok(register) = self.register().await else {
            return;
        };
        let Some(forgetting) = register.forgotten() else {
            return;
        };
        if self.clock.clock().check().is_err() {
            return;
        }
        for Incomplete { chain, why } in self.remove_months(forgetting, &Actor::System) {
            let chain = Duty::from(chain).name();
            tracing::warn!(
                chain,
                why,
                "months of the trail that are to go are still there"
            );
        }
    }

    /// Removes the months of either chain; gives those that could not follow.
    fn remove_months(&mut self, forgetting: &Forgetting, actor: &Actor) -> Vec<Incomplete> {
        let now = Timestamp::now();
        let mut incomplete = Vec::new();
        for chain in CHAINS {
            if let Err(why) = self.remove_months_of(chain, forgetting, actor, now) {
                incomplete.push(Incomplete { chain, why });
            }
        }
        incomplete
    }

    fn remove_months_of(
        &mut self,
        chain: Chain,
        forgetting: &Forgetting,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), String> {
        let removal = Removal {
            months: months(chain, forgetting.through),
            decision: forgetting.text,
            actor: actor.clone(),
        };
        let Some(announced) = self.announce(&removal, now)? else {
            return Ok(());
        };
        match chain {
            Chain::Calls => self.have_calls_unlink(announced, now)?,
            Chain::Office => unlink_months(announced, &*self.disk, &self.layout, now)
                .map_err(|fault| fault.to_string())?,
        }
        let event = AuditEvent::MonthsGone {
            chain,
            through: announced.through,
        };
        let actor = actor.clone();
        match self.audit(AuditDraft { actor, event }) {
            Some(_) => Ok(()),
            None => Err("they are gone, and the trail cannot say so".to_owned()),
        }
    }

    /// Makes tiles and entry durable, before any file may go.
    fn announce(&mut self, removal: &Removal, now: Timestamp) -> Result<Option<OldMonths>, String> {
        let signing = match self.signing.take() {
            Some(signing) => signing,
            None => self.open_signing().map_err(|fault| fault.to_string())?,
        };
        let trail = match self.trail.take() {
            Some(trail) => Ok(trail),
            None => AuditTrail::open(Arc::clone(&self.disk), &self.layout, Duty::Office),
        };
        let mut trail = trail.map_err(|fault| fault.to_string())?;
        let heads = Heads::new(Arc::clone(&self.disk), &self.layout);
        let announced = announce_removal(removal, &heads, signing.key(), &mut trail, now);
        self.signing = Some(signing);
        // A trail that failed is opened anew.
        self.trail = announced.is_ok().then_some(trail);
        announced.map_err(|fault| fault.to_string())
    }

    /// Whoever writes the calls' chain removes its files; where nobody does, the office does it under their lock.
    fn have_calls_unlink(&self, months: OldMonths, now: Timestamp) -> Result<(), String> {
        let through = months.through;
        let request = calls::Request::ForgetMonths { through };
        let asked = Conversation::ask(&self.layout, Duty::Calls, &request)
            .and_then(|asked| asked.map(|asked| asked.within(DUTY_PATIENCE)).transpose());
        let unreachable = |why: String| format!("whoever carries calls was not reached: {why}");
        match asked.map_err(|fault| unreachable(fault.to_string()))? {
            Some(mut conversation) => match conversation.answer::<bool>() {
                Ok(Answer::Done(true)) => Ok(()),
                Ok(_) => {
                    Err("whoever carries calls could not remove them; its log says why".to_owned())
                }
                Err(fault) => Err(unreachable(fault.to_string())),
            },
            None => {
                let held = Lock::acquire(&self.layout, Duty::Calls);
                let _held = held.map_err(|fault| unreachable(fault.to_string()))?;
                unlink_months(months, &*self.disk, &self.layout, now)
                    .map_err(|fault| fault.to_string())
            }
        }
    }
}

fn months(chain: Chain, through: JstMonth) -> OldMonths {
    OldMonths {
        chain: chain.into(),
        through,
        term: TrailTerm::default(),
    }
}

fn shown(chain: Chain, month: OldMonth, state: MonthState) -> MonthView {
    MonthView {
        chain,
        month: month.month,
        entries: month.entries,
        bytes: month.bytes,
        state,
    }
}
