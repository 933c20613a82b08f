//! Texts of the register on their way back from a backup: of what the register and its trail say today, and none besides.
//!
//! An entry holds the SHA-256 of its text and salt, so a text is known by itself; a name has no such digest and goes with its person. Why a caller's
//! number was looked at goes with the recording.

use std::collections::BTreeSet;

use rules::{Digest, Register, StaffId};
use sqlx::{Connection, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{TextKind, json, read_json};
use crate::{
    catalogue::{Catalogue, CatalogueFault},
    keys::{KeyFault, Living},
    object::Object,
    seal::SealedFields,
};

/// A text as a backup has it.
#[derive(Debug)]
pub(crate) struct CarriedText {
    about: String,
    kind: String,
    sealed: SealedFields,
}

/// A text that a living key opens.
#[derive(Debug)]
pub(crate) struct LivingText {
    text: CarriedText,
    /// Of the text and its salt.
    digest: Digest,
}

impl CarriedText {
    /// The texts that a key of today opens.
    ///
    /// # Errors
    /// [`KeyFault`] where that cannot be told, because the root or the store cannot be read.
    pub(crate) fn living(
        texts: Vec<CarriedText>,
        keys: &Living,
    ) -> Result<Vec<LivingText>, KeyFault> {
        let mut living = Vec::new();
        for text in texts {
            let object = Object::text_about(&text.about, &text.kind);
            if let Some(digest) = keys.digest_of(object, &text.sealed)? {
                living.push(LivingText { text, digest });
            }
        }
        Ok(living)
    }
}

impl Catalogue {
    /// Every text, the oldest first. Whether its fact was recorded does not matter: today's trail says.
    pub(crate) async fn texts(&mut self) -> Result<Vec<CarriedText>, CatalogueFault> {
        let rows = sqlx::query("SELECT about, kind, sealed FROM register_texts ORDER BY row")
            .fetch_all(self.connection())
            .await;
        let read = |row: &SqliteRow| {
            Ok(CarriedText {
                about: row.try_get(0)?,
                kind: row.try_get(1)?,
                sealed: read_json(row, 2)?,
            })
        };
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(|source| self.fault(source))
    }

    /// Takes texts up that are not here and belong to what is.
    ///
    /// `register`: as compared with today's trail. Whatever has no key is a tombstone by now.
    pub(crate) async fn take_up_texts(
        &mut self,
        texts: &[LivingText],
        register: &Register,
    ) -> Result<(), CatalogueFault> {
        let taken = take_up(self.connection(), texts, register).await;
        taken.map_err(|source| self.fault(source))
    }
}

async fn take_up(
    connection: &mut SqliteConnection,
    texts: &[LivingText],
    register: &Register,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let digests = digests(&mut transaction).await?;
    let own = own_texts(&mut transaction).await?;
    for LivingText { text, digest } in texts {
        if own.contains(&(text.about.clone(), text.kind.clone())) {
            continue;
        }
        let belongs = digests.contains(&digest.to_string())
            || text.is_name_in(register)
            || is_of_living_recording(&mut transaction, text).await?;
        if belongs {
            insert(&mut transaction, text).await?;
        }
    }
    transaction.commit().await
}

impl CarriedText {
    fn is_name_in(&self, register: &Register) -> bool {
        let person = self.about.parse::<StaffId>();
        let is_known = person.is_ok_and(|person| register.person(&person).is_some());
        is_known && self.kind == TextKind::Name.code()
    }
}

/// What has the form of a digest in the facts; those of their texts are among them.
async fn digests(connection: &mut SqliteConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT DISTINCT part.atom FROM register, json_tree(register.fact) AS part
         WHERE part.type = 'text' AND length(part.atom) = 64",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// About what, and of which kind, texts are here.
async fn own_texts(
    connection: &mut SqliteConnection,
) -> Result<BTreeSet<(String, String)>, sqlx::Error> {
    let rows = sqlx::query("SELECT DISTINCT about, kind FROM register_texts")
        .fetch_all(connection)
        .await?;
    let read = |row: &SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(read).collect()
}

/// No two ids of different things are the same.
async fn is_of_living_recording(
    connection: &mut SqliteConnection,
    text: &CarriedText,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM calls WHERE recording = ? AND state <> 'disposed'")
        .bind(&text.about)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

async fn insert(connection: &mut SqliteConnection, text: &CarriedText) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO register_texts (about, kind, sealed) VALUES (?, ?, ?)")
        .bind(&text.about)
        .bind(&text.kind)
        .bind(json(&text.sealed)?)
        .execute(connection)
        .await
        .map(drop)
}
