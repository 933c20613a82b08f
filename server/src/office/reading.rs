//! Reading the trail at the office: who may is judged and written down, and only then is anything shown (K-15).

use rules::{Actor, AuditDraft, Refusal, TrailReading};

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
            event: reading.event(self.policy),
        };
        let receipt = self
            .audit(draft)
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        Ok(Reader {
            actor,
            granted: receipt.seq(),
        })
    }
}
