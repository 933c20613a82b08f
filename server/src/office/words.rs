//! The texts of the register at the office: what an act must say or may say, sealed and opened again (K-15).

use std::sync::Arc;

use jiff::Timestamp;
use rules::{Action, Missing, Subject, Unsaid};
use storage::{SealedText, Sealer, TextKind};

use super::{
    owner::Owner,
    people::{Caller, no_key},
};
use crate::{duty::Ending, said::Said, wording::Wording};

impl Owner {
    /// What an act must say.
    ///
    /// # Errors
    /// It says nothing, or what no record holds: refused as `missing`, which is written down.
    pub(super) async fn demand<T>(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        missing: Missing,
        said: Said<T>,
        now: Timestamp,
    ) -> Result<T, Ending> {
        match said.demand() {
            Ok(said) => Ok(said),
            Err(unsaid) => Err(self.unsaid(caller, action, (missing, unsaid), now).await?),
        }
    }

    /// What an act may say.
    ///
    /// # Errors
    /// It says what no record holds: refused as `missing`, which is written down.
    pub(super) async fn permit_said<T>(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        missing: Missing,
        said: Said<T>,
        now: Timestamp,
    ) -> Result<Option<T>, Ending> {
        match said.unless_unsaid() {
            Ok(said) => Ok(said),
            Err(unsaid) => Err(self.unsaid(caller, action, (missing, unsaid), now).await?),
        }
    }

    async fn unsaid(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        what: (Missing, Unsaid),
        now: Timestamp,
    ) -> Result<Ending, Ending> {
        let register = self.register().await?;
        let refusal = register.refuse_without(&caller.petitioner(), action, what, now);
        Ok(self.refuse(caller, action, &refusal.into()))
    }

    /// The newest text of a kind about somebody or something, where there is one that opens.
    pub(super) async fn text_of(
        &mut self,
        about: Subject,
        kind: TextKind,
    ) -> Result<Option<Wording>, Ending> {
        let sealed = self
            .rows(async |catalogue| catalogue.sealed_text(about, kind).await)
            .await?;
        let opened = sealed.and_then(|sealed| self.opener.open_text(&sealed).ok());
        Ok(opened.map(Wording::from))
    }

    pub(super) fn seal_text(
        &self,
        about: Subject,
        kind: TextKind,
        text: &str,
        now: Timestamp,
    ) -> Result<(SealedText, rules::Digest), Ending> {
        Sealer::new(Arc::clone(&self.disk), &self.layout)
            .seal_text(about, kind, now, text.trim())
            .map_err(|fault| no_key(&fault))
    }
}
