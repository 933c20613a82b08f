//! Passphrases that wait to be shown. What may no longer be shown leaves no byte, neither in the rows nor in the log.

use std::collections::BTreeSet;

use rules::HandOverId;
use sqlx::{Row as _, SqliteConnection};

use super::{Catalogue, CatalogueFault, LogState};
use crate::package::KeptPassphrase;

impl Catalogue {
    /// The passphrase of a package, as long as it is kept.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn kept_passphrase(
        &mut self,
        hand_over: HandOverId,
    ) -> Result<Option<KeptPassphrase>, CatalogueFault> {
        let found = sqlx::query("SELECT kept FROM passphrases WHERE hand_over = ?")
            .bind(hand_over.to_string())
            .fetch_optional(&mut self.connection)
            .await
            .and_then(|row| row.map(|row| row.try_get::<String, _>(0)).transpose());
        let found = found.map_err(|source| self.fault(source))?;
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Forgets every passphrase but those of some hand-overs, and cuts the log that may have them.
    ///
    /// While somebody reads the database its log cannot be cut; the next call does it. Where nothing was forgotten nothing is cut.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written; then they are still there.
    pub async fn keep_passphrases_of(
        &mut self,
        hand_overs: &BTreeSet<HandOverId>,
    ) -> Result<(), CatalogueFault> {
        let kept = serde_json::to_string(hand_overs)
            .map_err(|fault| self.fault(sqlx::Error::Encode(Box::new(fault))))?;
        let forgotten = sqlx::query(
            "DELETE FROM passphrases WHERE hand_over NOT IN (SELECT value FROM json_each(?))",
        )
        .bind(kept)
        .execute(&mut self.connection)
        .await;
        if forgotten
            .map_err(|source| self.fault(source))?
            .rows_affected()
            > 0
        {
            self.log = LogState::Uncut;
        }
        if self.log == LogState::Cut {
            return Ok(());
        }
        match self.cut_log().await {
            Ok(()) => {
                self.log = LogState::Cut;
                Ok(())
            }
            Err(CatalogueFault::Busy { .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

pub(crate) async fn insert_passphrase(
    connection: &mut SqliteConnection,
    kept: &KeptPassphrase,
) -> Result<(), sqlx::Error> {
    let text = serde_json::to_string(kept).map_err(|fault| sqlx::Error::Encode(Box::new(fault)))?;
    sqlx::query("INSERT OR REPLACE INTO passphrases (hand_over, kept) VALUES (?, ?)")
        .bind(kept.hand_over.to_string())
        .bind(text)
        .execute(connection)
        .await
        .map(drop)
}
