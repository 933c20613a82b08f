//! Passwords in the database: the one in force, those that may not be taken again, and the next one, whose entry may or may not be durable (K-14).
//!
//! The next one is kept before its entry and comes into force where the trail says so: a crash leaves nobody without the password that the trail speaks of.

use jiff::Timestamp;
use rules::{Account, AuditEntry, Origin, REMEMBERED_PASSWORDS, SecondFactor, StaffId};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{PasswordSet, codes, json, read_json};
use crate::{
    catalogue::{Catalogue, CatalogueFault, parse, time},
    files::Disk,
    layout::Layout,
    lock::Duty,
    password::PasswordHash,
    seal::SealedFields,
    trail::newest_behind,
};

/// A person's account as it is kept.
#[derive(Debug)]
pub struct KeptAccount {
    /// What the rules ask.
    pub account: Account,
    /// The password in force.
    pub hash: PasswordHash,
    /// The sealed secret of the codes.
    pub totp: Option<SealedFields>,
}

/// A password that waits for its entry.
struct NextPassword {
    set: PasswordSet,
    /// The number of the office's last entry before that one.
    after: u64,
}

impl Catalogue {
    /// The account of a person; `None` where nobody has the id, or no password was set.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn account(
        &mut self,
        person: &StaffId,
    ) -> Result<Option<KeptAccount>, CatalogueFault> {
        let found = sqlx::query(
            "SELECT set_at, origin, hash, secret, last_step FROM passwords LEFT JOIN second_factors USING (person)
             WHERE person = ? ORDER BY row DESC LIMIT 1",
        )
        .bind(person.as_str())
        .fetch_optional(self.connection())
        .await;
        found
            .and_then(|row| row.as_ref().map(kept_account).transpose())
            .map_err(|source| self.fault(source))
    }

    /// Keeps the person's own password under another hash; it stays the password that it was.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn rehash(
        &mut self,
        person: &StaffId,
        hash: &PasswordHash,
    ) -> Result<(), CatalogueFault> {
        let result = async {
            sqlx::query("UPDATE passwords SET hash = ? WHERE row = (SELECT MAX(row) FROM passwords WHERE person = ?)")
                .bind(json(hash)?)
                .bind(person.as_str())
                .execute(self.connection())
                .await
        };
        result.await.map(drop).map_err(|source| self.fault(source))
    }

    /// The hashes of the passwords that the person may not take again.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn last_passwords(
        &mut self,
        person: &StaffId,
    ) -> Result<Vec<PasswordHash>, CatalogueFault> {
        let rows = sqlx::query("SELECT hash FROM passwords WHERE person = ? ORDER BY row DESC")
            .bind(person.as_str())
            .fetch_all(self.connection())
            .await;
        rows.and_then(|rows| rows.iter().map(|row| read_json(row, 0)).collect())
            .map_err(|source| self.fault(source))
    }

    /// Keeps a password before the trail says that it is set; it opens nothing by that. One that the person was to get before goes.
    ///
    /// `after`: the number of the office's last entry.
    ///
    /// # Errors
    /// [`CatalogueFault`]; then the entry must not be written.
    pub async fn keep_password(
        &mut self,
        set: &PasswordSet,
        after: u64,
    ) -> Result<(), CatalogueFault> {
        let kept = insert_ahead(self.connection(), set, after).await;
        kept.map_err(|source| self.fault(source))
    }

    /// Puts in force what the trail says is set, forgets the eleventh last password and ends the person's sessions; what the trail
    /// does not know goes. A password that others issue also takes the codes away: whoever lost the telephone has lost the secret.
    /// Doing it twice changes nothing, so it also ends what a crash has cut off.
    ///
    /// # Errors
    /// [`CatalogueFault`] if database or trail cannot be read; then the former passwords are in force.
    pub async fn settle_passwords(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<(), CatalogueFault> {
        for NextPassword { set, after } in self.next_passwords().await? {
            let sets = |entry: &AuditEntry| entry.event.sets_password_of(&set.person);
            let settled = match newest_behind(disk, layout, Duty::Office, after, sets)? {
                Some(entry) => put_in_force(self.connection(), &set, entry.at).await,
                None => forget_ahead(self.connection(), &set.person).await,
            };
            settled.map_err(|source| self.fault(source))?;
        }
        Ok(())
    }

    async fn next_passwords(&mut self) -> Result<Vec<NextPassword>, CatalogueFault> {
        let rows =
            sqlx::query("SELECT person, origin, hash, after FROM passwords_ahead ORDER BY person")
                .fetch_all(self.connection())
                .await;
        rows.and_then(|rows| rows.iter().map(next_password).collect())
            .map_err(|source| self.fault(source))
    }
}

fn kept_account(row: &SqliteRow) -> Result<KeptAccount, sqlx::Error> {
    let totp: Option<String> = row.try_get(3)?;
    let last_step: Option<i64> = row.try_get(4)?;
    let second = match totp {
        None => SecondFactor::None,
        Some(_) => SecondFactor::Totp {
            last_step: last_step.and_then(|step| u64::try_from(step).ok()),
        },
    };
    let account = Account {
        set_at: time(row.try_get(0)?)?,
        origin: origin(row.try_get(1)?),
        second,
    };
    Ok(KeptAccount {
        account,
        hash: read_json(row, 2)?,
        totp: totp.map(|_| read_json(row, 3)).transpose()?,
    })
}

fn next_password(row: &SqliteRow) -> Result<NextPassword, sqlx::Error> {
    let set = PasswordSet {
        person: parse(row.try_get(0)?, "person")?,
        origin: origin(row.try_get(1)?),
        hash: read_json(row, 2)?,
    };
    let after = row.try_get::<i64, _>(3)?.unsigned_abs();
    Ok(NextPassword { set, after })
}

const OWN: &str = "own";
const ISSUED: &str = "issued";

fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Own => OWN,
        Origin::Issued => ISSUED,
    }
}

/// Whatever else stands there opens nothing.
fn origin(word: &str) -> Origin {
    match word {
        OWN => Origin::Own,
        _ => Origin::Issued,
    }
}

pub(super) async fn insert_ahead(
    connection: &mut SqliteConnection,
    set: &PasswordSet,
    after: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO passwords_ahead (person, origin, hash, after) VALUES (?, ?, ?, ?)",
    )
    .bind(set.person.as_str())
    .bind(word(set.origin))
    .bind(json(&set.hash)?)
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .execute(connection)
    .await
    .map(drop)
}

async fn put_in_force(
    connection: &mut SqliteConnection,
    set: &PasswordSet,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    insert_password(&mut transaction, set, at).await?;
    forget_ahead(&mut transaction, &set.person).await?;
    transaction.commit().await
}

async fn forget_ahead(
    connection: &mut SqliteConnection,
    person: &StaffId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM passwords_ahead WHERE person = ?")
        .bind(person.as_str())
        .execute(connection)
        .await
        .map(drop)
}

async fn insert_password(
    connection: &mut SqliteConnection,
    set: &PasswordSet,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    let person = set.person.as_str();
    sqlx::query("INSERT INTO passwords (person, set_at, origin, hash) VALUES (?, ?, ?, ?)")
        .bind(person)
        .bind(at.as_millisecond())
        .bind(word(set.origin))
        .bind(json(&set.hash)?)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM passwords WHERE person = ? AND row NOT IN (SELECT row FROM passwords WHERE person = ? ORDER BY row DESC LIMIT ?)")
        .bind(person)
        .bind(person)
        .bind(i64::try_from(REMEMBERED_PASSWORDS).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    if set.origin == Origin::Issued {
        codes::forget(&mut *connection, person).await?;
    }
    sqlx::query("DELETE FROM login_sessions WHERE person = ?")
        .bind(person)
        .execute(&mut *connection)
        .await?;
    Ok(())
}
