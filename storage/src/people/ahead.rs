//! What belongs to a fact, kept before the fact's entry is written: so no crash between entry and row leaves a fact without its texts, or a person without the first password.
//!
//! Until its fact is recorded nobody reads it. Whoever takes the fact up from the trail takes this up with it, and what no entry speaks of goes.

use rules::{Actor, Fact, RegisterGrant};
use sqlx::{Connection, SqliteConnection};

use super::{Attachments, insert_text, json, passwords::insert_ahead};
use crate::{
    catalogue::{Catalogue, CatalogueFault, insert_passphrase},
    hex, secret,
};

/// That all that belongs to a fact is kept.
#[derive(Debug)]
#[must_use = "what was kept ahead goes again unless its fact is recorded"]
pub struct KeptAhead(());

impl Catalogue {
    /// Keeps what belongs to a fact that the rules allow, before its entry is written.
    ///
    /// `after`: the number of the office's last entry.
    ///
    /// # Errors
    /// [`CatalogueFault`]; then the entry must not be written either.
    pub async fn keep_ahead(
        &mut self,
        grant: &RegisterGrant,
        attachments: Attachments,
        after: u64,
    ) -> Result<KeptAhead, CatalogueFault> {
        let kept = keep(self.connection(), grant, &attachments, after).await;
        kept.map_err(|source| self.fault(source))?;
        Ok(KeptAhead(()))
    }
}

async fn keep(
    connection: &mut SqliteConnection,
    grant: &RegisterGrant,
    attachments: &Attachments,
    after: u64,
) -> Result<(), sqlx::Error> {
    if attachments.is_empty() {
        return Ok(());
    }
    let fact = name_of(&grant.entry().actor, grant.fact())?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Of an attempt whose entry could not be written.
    sqlx::query("DELETE FROM register_texts WHERE ahead = ?")
        .bind(&fact)
        .execute(&mut *transaction)
        .await?;
    for text in &attachments.texts {
        insert_text(&mut transaction, text, Some(&fact)).await?;
    }
    for set in &attachments.passwords {
        insert_ahead(&mut transaction, set, after).await?;
    }
    // Nobody sees it, and the next sweep forgets it, unless its package is recorded.
    if let Some(kept) = &attachments.passphrase {
        insert_passphrase(&mut transaction, kept).await?;
    }
    transaction.commit().await
}

/// The texts of a fact are read from here on.
pub(super) async fn adopt(
    connection: &mut SqliteConnection,
    by: &Actor,
    fact: &Fact,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE register_texts SET ahead = NULL WHERE ahead = ?")
        .bind(name_of(by, fact)?)
        .execute(connection)
        .await
        .map(drop)
}

/// Texts of which no entry speaks.
pub(super) async fn forget_ahead(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM register_texts WHERE ahead IS NOT NULL")
        .execute(connection)
        .await
        .map(drop)
}

/// By what entry and texts find each other.
fn name_of(by: &Actor, fact: &Fact) -> Result<String, sqlx::Error> {
    let (by, fact) = (json(by)?, json(fact)?);
    let parts = [by.as_bytes(), b"\n", fact.as_bytes()];
    Ok(hex::encode(&secret::sha256(&parts)))
}
