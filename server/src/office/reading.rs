//! Reading the trail at the office: who may is judged and written down, and only then is anything shown (K-15).

use rules::{Actor, TrailReading};

use super::{owner::Owner, people::Caller};
use crate::{
    duty::Ending,
    proof::{Asker, Proof},
};

impl Owner {
    /// Lets somebody read of the trail; the entry is durable when it returns.
    ///
    /// # Returns
    /// Who it was allowed to.
    pub(super) async fn let_read(
        &mut self,
        reading: TrailReading,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<Actor, Ending> {
        let proved = self.prove_allowed(reading.action(), proof, asker).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        self.write_down(&caller, reading.event(self.policy))?;
        Ok(caller.petitioner().actor())
    }
}
