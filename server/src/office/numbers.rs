//! The numbers' notices at the office (law 2): decided, confirmed, withdrawn, and handed to whoever carries calls. Start at [`Owner::ask_number`].

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rules::{
    Action, AlarmCode, AlarmSubject, AuditDraft, AuditEvent, Authority, DecisionId, Fact, Missing,
    Number, NumberPolicy, Register, RegisterFault, Subject, WaiverFact, WaiverTerms,
};
use storage::TextKind;

use super::{
    cases::random_id,
    owner::Owner,
    people::{Caller, nothing, with},
};
use crate::{
    duty::{Answer, Ending, Message},
    numbers::{DecisionView, NumberAsk, NumberView, WishedWaiver},
    people::{self, Told},
    wording::Wording,
};

/// How often what lapsed is told of, and the files for calls are compared with the register.
const EACH: Duration = Duration::from_secs(3_600);
/// How soon what could not be done is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Whether whoever lists decisions may read their words.
#[derive(Clone, Copy)]
enum Showing {
    Whole,
    Hidden,
}

impl Owner {
    pub(super) async fn ask_number(
        &mut self,
        caller: &Caller<'_>,
        ask: NumberAsk,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        match ask {
            NumberAsk::Decide(wish) => self.decide_waiver(caller, wish, now).await,
            NumberAsk::Confirm { decision, review } => {
                let register = self.register().await?;
                let (number, text) = self.words_of(&register, decision).await?;
                let about = Subject::Decision(decision);
                let (sealed, text) = self.seal_text(about, TextKind::Waiver, text.as_str(), now)?;
                let review = review.unwrap_or_else(|| WaiverTerms::latest_review(now));
                let fact = WaiverFact::Confirmed {
                    decision,
                    terms: self.terms(number, review),
                    text,
                };
                let texts = with(vec![sealed]);
                let told = self.record(caller, Fact::Waiver(fact), texts, now).await?;
                self.tell_calls_now(told).await
            }
            NumberAsk::Withdraw { decision } => {
                let register = self.register().await?;
                let number = self.number_of(&register, decision)?;
                let unit = self.config.unit_of(Some(&number)).clone();
                let fact = Fact::Waiver(WaiverFact::Withdrawn {
                    decision,
                    number,
                    unit,
                });
                let told = self.record(caller, fact, nothing, now).await?;
                self.tell_calls_now(told).await
            }
            NumberAsk::List => self.list_numbers(caller, now).await,
        }
    }

    async fn decide_waiver(
        &mut self,
        caller: &Caller<'_>,
        wish: WishedWaiver,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let action = Action::DecideWaiver;
        let text = self
            .demand(caller, action, Missing::Basis, wish.text, now)
            .await?;
        let number = self.own_number(&wish.number)?;
        let decision = DecisionId::new(now, random_id()?);
        let about = Subject::Decision(decision);
        let (sealed, text) = self.seal_text(about, TextKind::Waiver, text.text(), now)?;
        let fact = WaiverFact::Decided {
            decision,
            basis: wish.basis,
            terms: self.terms(number, wish.review),
            text,
        };
        let texts = with(vec![sealed]);
        let told = self.record(caller, Fact::Waiver(fact), texts, now).await?;
        match self.tell_calls_now(told).await? {
            Told::Done => Ok(Told::Decided { decision }),
            other => Ok(other),
        }
    }

    fn terms(&self, number: Number, review: rules::JstDay) -> WaiverTerms {
        let unit = self.config.unit_of(Some(&number)).clone();
        WaiverTerms {
            number,
            unit,
            review,
        }
    }

    /// A number of the city, as the configuration lists it.
    fn own_number(&self, text: &str) -> Result<Number, Ending> {
        self.config.own_number(text).ok_or_else(|| {
            Answer::Usage(Message::new(
                "設定ファイルの [[number]] にある市の番号を指定してください。",
                "this is no [[number]] of the configuration; name the city's own",
            ))
        })
    }

    /// Which number a decision is about, in the register or in the configuration.
    fn number_of(&self, register: &Register, decision: DecisionId) -> Result<Number, Ending> {
        if let Some(waiver) = register.waivers().get(decision) {
            return Ok(waiver.terms().number.clone());
        }
        let numbers = self.config.numbers.iter();
        let mut configured = numbers.filter_map(|number| number.decision.as_ref());
        let found = configured.find(|configured| configured.id() == decision);
        let number = found.map(|configured| configured.number().clone());
        number.ok_or_else(|| people::not_recorded(&RegisterFault::NoSuchWaiver(decision)))
    }

    /// The number and the words of a decision.
    async fn words_of(
        &mut self,
        register: &Register,
        decision: DecisionId,
    ) -> Result<(Number, Wording), Ending> {
        let number = self.number_of(register, decision)?;
        let numbers = self.config.numbers.iter();
        let mut configured = numbers.filter_map(|number| number.decision.as_ref());
        let reference = configured
            .find(|configured| configured.id() == decision)
            .map(|configured| configured.reference().to_owned());
        let about = Subject::Decision(decision);
        let text = match reference {
            Some(reference) => Some(Wording::from(reference)),
            None => self.text_of(about, TextKind::Waiver).await?,
        };
        let text = text.ok_or_else(|| {
            Answer::Unavailable(Message::new(
                "決定の内容を開けません。改めて numbers decide で決定してください。",
                "the words of this decision cannot be opened; decide anew with numbers decide",
            ))
        })?;
        Ok((number, text))
    }

    async fn list_numbers(&mut self, caller: &Caller<'_>, now: Timestamp) -> Result<Told, Ending> {
        let register = self.register().await?;
        let petitioner = caller.petitioner();
        let reads = register.judge(&petitioner, Action::ReadWaivers, None, now);
        let (action, showing) = match reads {
            Ok(()) => (Action::ReadWaivers, Showing::Whole),
            Err(_) => (Action::ListWaivers, Showing::Hidden),
        };
        self.show(caller, &register, action, now)?;
        let notices = register.waivers().notices();
        let config = std::sync::Arc::clone(&self.config);
        let mut views = Vec::new();
        for policy in &config.numbers {
            let unit = config.unit_of(Some(&policy.number));
            let telling = notices.telling(policy, now);
            let decisions = self
                .decisions_about(&register, policy, showing, now)
                .await?;
            let view = |decision| NumberView::of(policy, unit, telling, decision);
            if decisions.is_empty() {
                views.push(view(None));
            }
            views.extend(decisions.into_iter().map(|decision| view(Some(decision))));
        }
        Ok(Told::Numbers(views))
    }

    /// The decisions about a number, the newest first, and that of the configuration where the register does not have it.
    async fn decisions_about(
        &mut self,
        register: &Register,
        policy: &NumberPolicy,
        showing: Showing,
        now: Timestamp,
    ) -> Result<Vec<DecisionView>, Ending> {
        let mut views = Vec::new();
        for (id, waiver) in register.waivers().iter() {
            if waiver.terms().number == policy.number {
                let text = match showing {
                    Showing::Whole => {
                        self.text_of(Subject::Decision(id), TextKind::Waiver)
                            .await?
                    }
                    Showing::Hidden => None,
                };
                views.push(DecisionView::of(id, waiver, text, now));
            }
        }
        views.reverse();
        if let Some(configured) = &policy.decision
            && let Authority::Configuration { unix_user } = configured.authority()
            && register.waivers().get(configured.id()).is_none()
        {
            let state = register.waivers().state_of(configured, now);
            let view = DecisionView::configured(configured, unix_user, state);
            views.push(match showing {
                Showing::Whole => view,
                Showing::Hidden => DecisionView { text: None, ..view },
            });
        }
        Ok(views)
    }

    /// Hands on what was decided a moment ago: when this is answered, the next call goes by it. The decision stands whatever comes of that.
    async fn tell_calls_now(&mut self, told: Told) -> Result<Told, Ending> {
        let register = self.register().await?;
        match self.settle_notices(&register) {
            Ok(()) => Ok(told),
            Err(why) => {
                self.waivers_again = Instant::now() + RETRY;
                Err(Answer::Unavailable(Message::new(
                    "決定は記録しましたが、通話にまだ反映していません。次の点検で続きを行います。",
                    format!(
                        "it is decided and recorded, calls do not go by it yet and the next look goes on: {why}"
                    ),
                )))
            }
        }
    }

    /// Does what a crash may have left between a decision and its file, names what only the configuration says, and tells what lapsed.
    pub(super) async fn look_after_waivers(&mut self) {
        if Instant::now() < self.waivers_again {
            return;
        }
        let tells = Instant::now() >= self.tells_from;
        self.waivers_again = match tells {
            true => Instant::now() + EACH,
            false => self.tells_from,
        };
        let Ok(register) = self.register().await else {
            self.waivers_again = Instant::now() + RETRY;
            return;
        };
        let settled = self.settle_notices(&register);
        if settled.is_err() || self.settle_policy_days(&register).is_err() {
            self.waivers_again = Instant::now() + RETRY;
        }
        if tells {
            self.tell_of_waivers(&register);
        }
    }

    fn tell_of_waivers(&mut self, register: &Register) {
        self.name_unconfirmed(register);
        let lapsed = register.waivers().lapsed(Timestamp::now());
        let lapsed = lapsed.map(|(id, _)| {
            let why = format!(
                "decision {id} is past its review and its number announces; see numbers list, confirm it, decide anew or withdraw it"
            );
            (AlarmSubject::Decision(id), why)
        });
        self.remind_of_each(AlarmCode::WaiverLapsed, lapsed.collect());
    }

    /// Once a start for each.
    fn name_unconfirmed(&mut self, register: &Register) {
        let config = std::sync::Arc::clone(&self.config);
        for configured in register.waivers().unconfirmed(&config.numbers) {
            if self.named.insert(configured.id()) {
                let event = AuditEvent::WaiverUnconfirmed {
                    decision: configured.id(),
                    number: configured.number().clone(),
                };
                self.audit(AuditDraft::system(event));
            }
        }
    }
}
