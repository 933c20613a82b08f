//! Reading the trail at the office: who may is judged and written down, and only then is anything shown (K-15).

use std::collections::BTreeMap;

use jiff::Timestamp;
use rules::{
    Action, Actor, AuditDraft, AuditEntry, Digest, Refusal, Register, Subject, TrailReading,
};
use storage::TextKind;

use super::{owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending},
    people,
    proof::{Asker, Proof},
    wording::Wording,
};

/// Somebody who may read of the trail, as it is written down.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Who it was allowed to.
    pub(crate) actor: Actor,
    /// The number of the entry that allowed it.
    pub(crate) granted: u64,
    /// What lies sealed behind what is read, by the hash in the trail, for whoever reads such words.
    pub(crate) words: BTreeMap<Digest, Wording>,
}

impl Reader {
    /// Why that was done which an entry tells of.
    ///
    /// `entry`: as it stands; one that a newer version wrote says nothing here.
    pub(crate) fn reason_of(&self, entry: &str) -> Option<Wording> {
        if self.words.is_empty() {
            return None;
        }
        let entry: AuditEntry = serde_json::from_str(entry).ok()?;
        self.words.get(&entry.event.reason()?).cloned()
    }
}

impl Owner {
    /// Lets somebody read of the trail; the entry is durable when it returns.
    pub(super) async fn let_read(
        &mut self,
        reading: TrailReading,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<Reader, Ending> {
        let proved = self.prove_allowed(reading.action(), proof, asker).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let actor = caller.petitioner().actor();
        let draft = AuditDraft {
            actor: actor.clone(),
            event: reading.clone().event(self.policy),
        };
        let receipt = self
            .audit(draft)
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        Ok(Reader {
            actor,
            granted: receipt.seq(),
            words: self.words_behind(&reading, &caller).await?,
        })
    }

    /// What lies sealed behind what is read, as far as it opens.
    async fn words_behind(
        &mut self,
        reading: &TrailReading,
        caller: &Caller<'_>,
    ) -> Result<BTreeMap<Digest, Wording>, Ending> {
        // Whoever is nobody by name reads no sealed words, and waits for no database.
        if caller.proved.is_none() {
            return Ok(BTreeMap::new());
        }
        let (register, now) = (self.register().await?, Timestamp::now());
        let reads = register.judge(&caller.petitioner(), Action::ReadDecisions, None, now);
        match (reads, reading) {
            (Ok(()), TrailReading::Sightings { recording }) => {
                let about = Subject::Recording(*recording);
                self.words_about(&about, TextKind::Reason).await
            }
            (Ok(()), TrailReading::Entries { .. }) => self.words_of_entries(&register).await,
            (Err(_), _)
            | (
                Ok(()),
                TrailReading::Export
                | TrailReading::Hearings { .. }
                | TrailReading::Supervision { .. },
            ) => Ok(BTreeMap::new()),
        }
    }

    /// Why months of the trail went, mirrors were ended, emergencies were declared and the clock was confirmed.
    async fn words_of_entries(
        &mut self,
        register: &Register,
    ) -> Result<BTreeMap<Digest, Wording>, Ending> {
        let mut words = BTreeMap::new();
        for forgetting in register.forgettings() {
            let about = Subject::Decision(forgetting.decision);
            words.extend(self.words_about(&about, TextKind::Reason).await?);
        }
        for end in register.mirror_ends() {
            let about = Subject::Decision(end.decision);
            words.extend(self.words_about(&about, TextKind::Reason).await?);
        }
        let reasons = self
            .rows(async |catalogue| catalogue.reasons().await)
            .await?;
        let declared = reasons
            .iter()
            .map(|(emergency, sealed)| self.opener.open_reason(*emergency, sealed));
        let confirmed = self
            .clock
            .confirmations()
            .map(|(confirmation, sealed)| self.opener.open_confirmation(confirmation, sealed));
        let opened = declared.chain(confirmed).filter_map(Result::ok);
        words.extend(opened.map(|(hash, text)| (hash, text.into())));
        Ok(words)
    }
}
