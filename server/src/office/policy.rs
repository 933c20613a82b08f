//! The policy at the office: a file becomes a version, a decision of 要領 6 is kept, and both are shown (K-30, K-31).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use jiff::Timestamp;
use rules::{
    Action, DecisionId, Digest, Fact, Label, Missing, POLICY_VERSION, PolicyFact, PolicyTerms,
    Purpose, Register, Subject,
};
use serde::{Deserialize, Serialize};
use storage::{Attachments, TextKind};

use super::{owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending, Message},
    people::{self, Told},
    said::{Said, Words},
    wording::Wording,
};

/// The longest text of a policy; it travels in one line of at most 64 KiB.
const MOST_BYTES: usize = 32 * 1024;

/// A file of the policy. Nothing else can be written into it: what the rules forbid has no key here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    retention_days: u16,
    purposes: Vec<String>,
    #[serde(default)]
    bases: BTreeSet<Label>,
    #[serde(default)]
    prompts: BTreeMap<Label, Digest>,
    /// For people: each article with its words.
    #[serde(default, rename = "articles")]
    _articles: BTreeMap<String, String>,
}

/// A version, or the decisions beside it, as `policy show` tells them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PolicyView {
    pub(crate) version: u32,
    /// When it was applied; `None` is the version that the program is.
    pub(crate) at: Option<Timestamp>,
    pub(crate) by: Option<rules::StaffId>,
    pub(crate) terms: Option<PolicyTerms>,
    /// Its file, word by word.
    pub(crate) text: Option<Wording>,
    pub(crate) measures: Vec<MeasureView>,
}

/// A decision of 要領 6.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MeasureView {
    pub(crate) at: Timestamp,
    pub(crate) by: Option<rules::StaffId>,
    pub(crate) decision: DecisionId,
    pub(crate) basis: Label,
    /// What was decided, for managers and auditors.
    pub(crate) measure: Option<Wording>,
}

impl Owner {
    /// Makes a file the next version of the policy.
    pub(super) async fn apply_policy(
        &mut self,
        caller: &Caller<'_>,
        text: &str,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let register = self.register().await?;
        let file = read(text)?;
        let purposes: Result<BTreeSet<Purpose>, _> = file
            .purposes
            .iter()
            .map(|purpose| purpose.parse())
            .collect();
        let purposes = purposes.map_err(|refusal| {
            let actor = caller.petitioner().actor();
            // The refusal stands whether or not it can be written down.
            self.audit(people::refused(
                actor,
                Action::ApplyPolicy,
                &refusal,
                self.policy,
            ));
            Answer::Refused(people::message(&refusal))
        })?;
        let terms = PolicyTerms {
            retention_days: file.retention_days,
            purposes,
            prompts: file.prompts,
            bases: file.bases,
        };
        if self.is_in_force(&register, &terms, text).await? {
            let action = Action::ApplyPolicy;
            let judged = register.judge_asker(&caller.petitioner(), action, now);
            judged.map_err(|refusal| self.refuse(caller, action, &refusal.into()))?;
            return Ok(Told::AlreadySo);
        }
        let decision = new_decision(now)?;
        let about = Subject::Decision(decision);
        let (sealed, digest) = self.seal_text(about, TextKind::Policy, text, now)?;
        let fact = Fact::Policy(PolicyFact::Applied {
            decision,
            version: register.policy().version() + 1,
            terms,
            text: digest,
        });
        let attach = |_: &Owner| {
            Ok(Attachments {
                texts: vec![sealed],
                ..Attachments::default()
            })
        };
        let told = self.record(caller, fact, attach, now).await?;
        let register = self.register().await?;
        if self.settle_policy_days(&register).is_err() {
            self.waivers_again = Instant::now();
        }
        Ok(told)
    }

    /// Whether the version in force says this, word by word; one whose text does not open is another.
    async fn is_in_force(
        &mut self,
        register: &Register,
        terms: &PolicyTerms,
        text: &str,
    ) -> Result<bool, Ending> {
        let policy = register.policy();
        let Some(applied) = policy.of_version(policy.version()) else {
            return Ok(false);
        };
        let about = Subject::Decision(applied.decision);
        let known = self.text_of(about, TextKind::Policy).await?;
        Ok(applied.terms == *terms && known.as_ref().map(Wording::as_str) == Some(text.trim()))
    }

    /// Keeps what the manager decided where the rules say nothing.
    pub(super) async fn decide_measure(
        &mut self,
        caller: &Caller<'_>,
        basis: Said<Label>,
        measure: Said<Words>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let action = Action::DecideMeasure;
        let basis = self
            .demand(caller, action, Missing::Basis, basis, now)
            .await?;
        let measure = self
            .demand(caller, action, Missing::Particulars, measure, now)
            .await?;
        let decision = new_decision(now)?;
        let about = Subject::Decision(decision);
        let (sealed, measure) = self.seal_text(about, TextKind::Measure, measure.text(), now)?;
        let fact = Fact::Policy(PolicyFact::MeasureDecided {
            decision,
            basis,
            measure,
        });
        let attach = |_: &Owner| {
            Ok(Attachments {
                texts: vec![sealed],
                ..Attachments::default()
            })
        };
        self.record(caller, fact, attach, now).await
    }

    /// Shows a version, the one in force unless another is asked for.
    pub(super) async fn show_policy(
        &mut self,
        caller: &Caller<'_>,
        version: Option<u32>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let register = self.register().await?;
        self.show(caller, &register, Action::SeePolicy, now)?;
        let version = version.unwrap_or_else(|| register.policy().version());
        let mut view = view(&register, version).ok_or_else(|| no_such(version))?;
        if let Some(applied) = register.policy().of_version(version) {
            let about = Subject::Decision(applied.decision);
            view.text = self.text_of(about, TextKind::Policy).await?;
        }
        for measure in &mut view.measures {
            let about = Subject::Decision(measure.decision);
            let words = self.decision_text(&register, caller, about, TextKind::Measure, now);
            measure.measure = words.await?;
        }
        Ok(Told::Policy(Box::new(view)))
    }
}

fn view(register: &Register, version: u32) -> Option<PolicyView> {
    let applied = register.policy().of_version(version);
    if applied.is_none() && version != POLICY_VERSION {
        return None;
    }
    let measures = register.policy().measures().iter();
    Some(PolicyView {
        version,
        at: applied.map(|applied| applied.at),
        by: applied.and_then(|applied| applied.by.clone()),
        terms: applied.map(|applied| applied.terms.clone()),
        text: None,
        measures: measures
            .map(|measure| MeasureView {
                at: measure.at,
                by: measure.by.clone(),
                decision: measure.decision,
                basis: measure.basis.clone(),
                measure: None,
            })
            .collect(),
    })
}

fn read(text: &str) -> Result<PolicyFile, Ending> {
    let unusable = |why: String| {
        let ja = "方針のファイルを読めません。要領が認めないことは書けません。";
        Answer::Usage(Message::new(
            ja,
            format!("the policy cannot be read: {why}; what the rules forbid has no key"),
        ))
    };
    if text.len() > MOST_BYTES {
        let found = text.len();
        return Err(unusable(format!(
            "it has {found} bytes, expected {MOST_BYTES} at most"
        )));
    }
    toml::from_str(text).map_err(|fault| unusable(fault.to_string()))
}

fn new_decision(now: Timestamp) -> Result<DecisionId, Ending> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|fault| {
        Answer::Unavailable(Message::new("乱数を得られません。", fault.to_string()))
    })?;
    Ok(DecisionId::new(now, u128::from_be_bytes(random)))
}

fn no_such(version: u32) -> Ending {
    Answer::Failed(Message::not_found(
        format!("方針の第{version}版はありません。"),
        format!("there is no version {version} of the policy"),
    ))
}
