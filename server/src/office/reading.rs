//! Reading the trail at the office: who may is judged and written down, and only then is anything shown (K-15).

use std::collections::BTreeMap;

use jiff::Timestamp;
use rules::{Action, Actor, AuditDraft, Digest, RecordingId, Refusal, Subject, TrailReading};
use storage::TextKind;

use super::{owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending},
    people,
    proof::{Asker, Proof},
};

/// Somebody who may read of the trail, as it is written down.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Who it was allowed to.
    pub(crate) actor: Actor,
    /// The number of the entry that allowed it.
    pub(crate) granted: u64,
    /// Why a caller's number was seen, by the hash in the trail, for whoever reads such words.
    pub(crate) reasons: BTreeMap<Digest, String>,
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
        let sighted = match &reading {
            TrailReading::Sightings { recording } => Some(*recording),
            _ => None,
        };
        let draft = AuditDraft {
            actor: actor.clone(),
            event: reading.event(self.policy),
        };
        let receipt = self
            .audit(draft)
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        let reasons = match sighted {
            Some(recording) => self.reasons_of(recording, &caller).await?,
            None => BTreeMap::new(),
        };
        Ok(Reader {
            actor,
            granted: receipt.seq(),
            reasons,
        })
    }

    async fn reasons_of(
        &mut self,
        recording: RecordingId,
        caller: &Caller<'_>,
    ) -> Result<BTreeMap<Digest, String>, Ending> {
        // Whoever is nobody by name reads no sealed words, and waits for no database.
        if caller.proved.is_none() {
            return Ok(BTreeMap::new());
        }
        let (register, now) = (self.register().await?, Timestamp::now());
        let reads = register.judge(&caller.petitioner(), Action::ReadDecisions, None, now);
        if reads.is_err() {
            return Ok(BTreeMap::new());
        }
        let about = Subject::Recording(recording);
        self.words_about(&about, TextKind::Reason).await
    }
}
