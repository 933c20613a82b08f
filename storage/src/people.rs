//! People in the catalogue's database: the register's facts, passwords, codes, wrong attempts and login sessions.
//!
//! Facts are recorded against a [`RegisterPermit`], so that none is there that the trail does not know. What holds is computed by `rules` each time, once
//! the register was compared with the trail (`compared`).

mod ahead;
mod attached;
mod carried;
mod codes;
mod compared;
mod passwords;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use rules::{Attempts, LoginSession, Recorded, RegisterPermit, StaffId, Subject};
use sqlx::{Connection, Row as _, SqliteConnection, sqlite::SqliteRow};

pub(crate) use self::carried::CarriedText;
pub use self::{
    ahead::KeptAhead,
    attached::{Attachments, PasswordSet, SealedText, TextKind},
    codes::OfferedCodes,
    compared::{Compared, RegisterMismatch},
    passwords::KeptAccount,
};
use crate::{
    catalogue::{Catalogue, CatalogueFault, RegisterState, parse, time},
    hex, secret,
};

/// What wrong attempts are counted by: id and source, hashed, because what is typed in as an id may be a password.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptKey(String);

impl AttemptKey {
    /// `source`: where the attempt comes from, such as a Unix user.
    #[must_use]
    pub fn of(id: &StaffId, source: &str) -> AttemptKey {
        let hash = secret::sha256(&[id.as_str().as_bytes(), &[0], source.as_bytes()]);
        AttemptKey(hex::encode(&hash))
    }
}

/// What a person holds who has logged in; the database has its hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash(String);

impl TokenHash {
    /// Of the token's text.
    #[must_use]
    pub fn of(token: &str) -> TokenHash {
        TokenHash(hex::encode(&secret::sha256(&[token.as_bytes()])))
    }
}

const ATTEMPTS_KEPT: SignedDuration = SignedDuration::from_hours(24); // Far longer than the longest delay.
const MOST_ATTEMPTS: i64 = 10_000; // Ids that nobody has are counted too; the oldest go first.

impl Catalogue {
    /// Records a fact, and the texts that were kept ahead of it; passwords follow by [`Catalogue::settle_passwords`]. The permit is moved into the record.
    ///
    /// # Errors
    /// [`CatalogueFault`]; then nothing of it is recorded.
    pub async fn record(
        &mut self,
        permit: RegisterPermit,
        _ahead: KeptAhead,
    ) -> Result<(), CatalogueFault> {
        let recorded = permit.record();
        let kept = record(self.connection(), permit.audit_seq(), &recorded).await;
        kept.map_err(|source| self.fault(source))?;
        if let RegisterState::Compared(register) = self.register_state() {
            // Whoever still judges by the one before keeps it.
            Arc::make_mut(register).handle_recorded(recorded);
        }
        Ok(())
    }

    /// The newest text of a kind about somebody or something.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn sealed_text(
        &mut self,
        about: Subject,
        kind: TextKind,
    ) -> Result<Option<SealedText>, CatalogueFault> {
        let found = sqlx::query("SELECT sealed FROM register_texts WHERE about = ? AND kind = ? AND ahead IS NULL ORDER BY row DESC LIMIT 1")
            .bind(about.to_string())
            .bind(kind.code())
            .fetch_optional(self.connection())
            .await;
        let sealed = found.and_then(|row| row.map(|row| read_json(&row, 0)).transpose());
        let sealed = sealed.map_err(|source| self.fault(source))?;
        Ok(sealed.map(|sealed| SealedText {
            about,
            kind,
            sealed,
        }))
    }

    /// Every text of a kind about somebody or something, the oldest first.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn sealed_texts(
        &mut self,
        about: &Subject,
        kind: TextKind,
    ) -> Result<Vec<SealedText>, CatalogueFault> {
        let rows = sqlx::query("SELECT sealed FROM register_texts WHERE about = ? AND kind = ? AND ahead IS NULL ORDER BY row")
            .bind(about.to_string())
            .bind(kind.code())
            .fetch_all(self.connection())
            .await;
        let text = |row: &SqliteRow| {
            Ok(SealedText {
                about: about.clone(),
                kind,
                sealed: read_json(row, 0)?,
            })
        };
        rows.and_then(|rows| rows.iter().map(text).collect())
            .map_err(|source| self.fault(source))
    }

    /// Keeps a text whose digest the trail holds.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn keep_text(&mut self, text: &SealedText) -> Result<(), CatalogueFault> {
        let kept = insert_text(self.connection(), text, None).await;
        kept.map_err(|source| self.fault(source))
    }

    /// Wrong attempts in a row.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read; then nobody is let in.
    pub async fn attempts(&mut self, key: &AttemptKey) -> Result<Attempts, CatalogueFault> {
        let found = sqlx::query("SELECT failures, last_at FROM attempts WHERE key = ?")
            .bind(&key.0)
            .fetch_optional(self.connection())
            .await;
        let read = |row: SqliteRow| -> Result<Attempts, sqlx::Error> {
            Ok(Attempts {
                failures: u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(u32::MAX),
                last_at: Some(time(row.try_get(1)?)?),
            })
        };
        found
            .and_then(|row| row.map(read).transpose())
            .map(Option::unwrap_or_default)
            .map_err(|source| self.fault(source))
    }

    /// Keeps wrong attempts; none in a row are forgotten.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written; then nobody is let in.
    pub async fn keep_attempts(
        &mut self,
        key: &AttemptKey,
        attempts: Attempts,
        now: Timestamp,
    ) -> Result<(), CatalogueFault> {
        let result = keep_attempts(self.connection(), key, attempts, now).await;
        result.map_err(|source| self.fault(source))
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn begin_session(
        &mut self,
        token: &TokenHash,
        session: &LoginSession,
    ) -> Result<(), CatalogueFault> {
        self.execute(
            sqlx::query(
                "INSERT INTO login_sessions (token, person, began_at, seen_at) VALUES (?, ?, ?, ?)",
            )
            .bind(token.0.clone())
            .bind(session.person.as_str().to_owned())
            .bind(session.began_at.as_millisecond())
            .bind(session.seen_at.as_millisecond()),
        )
        .await
    }

    /// The session that a token stands for.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn session(
        &mut self,
        token: &TokenHash,
    ) -> Result<Option<LoginSession>, CatalogueFault> {
        let found = self.sessions(&BTreeSet::from([token.clone()])).await?;
        Ok(found.into_values().next())
    }

    /// The sessions that several tokens stand for: those that there are.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn sessions(
        &mut self,
        tokens: &BTreeSet<TokenHash>,
    ) -> Result<BTreeMap<TokenHash, LoginSession>, CatalogueFault> {
        let texts: Vec<&str> = tokens.iter().map(|token| token.0.as_str()).collect();
        let read = sqlx::query(
            "SELECT person, began_at, seen_at, token FROM login_sessions
             WHERE token IN (SELECT value FROM json_each(?))",
        )
        .bind(serde_json::json!(texts).to_string())
        .fetch_all(self.connection())
        .await;
        let session = |row: &SqliteRow| -> Result<(TokenHash, LoginSession), sqlx::Error> {
            let session = LoginSession {
                person: parse(row.try_get(0)?, "person")?,
                began_at: time(row.try_get(1)?)?,
                seen_at: time(row.try_get(2)?)?,
            };
            Ok((TokenHash(row.try_get(3)?), session))
        };
        read.and_then(|rows| rows.iter().map(session).collect())
            .map_err(|source| self.fault(source))
    }

    /// Keeps that a session was used.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn use_session(
        &mut self,
        token: &TokenHash,
        now: Timestamp,
    ) -> Result<(), CatalogueFault> {
        self.execute(
            sqlx::query("UPDATE login_sessions SET seen_at = ? WHERE token = ?")
                .bind(now.as_millisecond())
                .bind(token.0.clone()),
        )
        .await
    }

    /// Ends a session; one that is not there has ended.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written; then it goes on until its time is over.
    pub async fn end_session(&mut self, token: &TokenHash) -> Result<(), CatalogueFault> {
        self.execute(
            sqlx::query("DELETE FROM login_sessions WHERE token = ?").bind(token.0.clone()),
        )
        .await
    }
}

fn recorded(row: &SqliteRow) -> Result<Recorded, sqlx::Error> {
    let at = Timestamp::from_nanosecond(i128::from(row.try_get::<i64, _>(0)?));
    Ok(Recorded {
        at: at.map_err(|fault| sqlx::Error::Decode(Box::new(fault)))?,
        by: read_json(row, 1)?,
        fact: read_json(row, 2)?,
    })
}

async fn record(
    connection: &mut SqliteConnection,
    seq: u64,
    recorded: &Recorded,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    insert_fact(&mut transaction, seq, recorded).await?;
    ahead::adopt(&mut transaction, &recorded.by, &recorded.fact).await?;
    transaction.commit().await
}

async fn insert_text(
    connection: &mut SqliteConnection,
    text: &SealedText,
    ahead: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO register_texts (about, kind, sealed, ahead) VALUES (?, ?, ?, ?)")
        .bind(text.about.to_string())
        .bind(text.kind.code())
        .bind(json(&text.sealed)?)
        .bind(ahead)
        .execute(connection)
        .await?;
    Ok(())
}

/// `seq`: the number of the entry that says so.
async fn insert_fact(
    connection: &mut SqliteConnection,
    seq: u64,
    Recorded { at, by, fact }: &Recorded,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO register (at, audit_seq, actor, fact) VALUES (?, ?, ?, ?)")
        .bind(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
        .bind(i64::try_from(seq).unwrap_or(i64::MAX))
        .bind(json(by)?)
        .bind(json(fact)?)
        .execute(connection)
        .await
        .map(drop)
}

async fn keep_attempts(
    connection: &mut SqliteConnection,
    key: &AttemptKey,
    attempts: Attempts,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let oldest = now.saturating_sub(ATTEMPTS_KEPT).unwrap_or(now);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("DELETE FROM attempts WHERE key = ? OR last_at < ? OR key IN (SELECT key FROM attempts ORDER BY last_at DESC LIMIT -1 OFFSET ?)")
        .bind(&key.0)
        .bind(oldest.as_millisecond())
        .bind(MOST_ATTEMPTS)
        .execute(&mut *transaction)
        .await?;
    if let Some(last_at) = attempts.last_at {
        sqlx::query("INSERT INTO attempts (key, failures, last_at) VALUES (?, ?, ?)")
            .bind(&key.0)
            .bind(i64::from(attempts.failures))
            .bind(last_at.as_millisecond())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|fault| sqlx::Error::Encode(Box::new(fault)))
}

fn read_json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: usize,
) -> Result<T, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|fault| sqlx::Error::Decode(Box::new(fault)))
}
