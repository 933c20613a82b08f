//! One-time codes in the database: what is in force, and what was offered and waits for a code that confirms it (K-14).
//!
//! A secret is in use for years and sealed to a month of the register, whose key may be forgotten: the office seals it anew to each month.

use jiff::Timestamp;
use rules::{AuditEntry, AuditEvent, CodeConfirmation, CodeOffer, JstMonth, StaffId};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{json, read_json};
use crate::{
    catalogue::{Catalogue, CatalogueFault, parse, time},
    files::Disk,
    group::Group,
    layout::Layout,
    lock::Duty,
    open::Opener,
    seal::{SealedFields, Sealer},
    trail::newest_behind,
};

/// Codes that wait to be confirmed.
#[derive(Debug)]
pub struct OfferedCodes {
    /// What the rules ask.
    pub offer: CodeOffer,
    /// The sealed secret.
    pub secret: SealedFields,
}

impl Catalogue {
    /// Offers a person codes, in place of any that were offered before. Those in force stay so.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn offer_totp(
        &mut self,
        person: &StaffId,
        secret: &SealedFields,
        offer: CodeOffer,
    ) -> Result<(), CatalogueFault> {
        let secret = json(secret).map_err(|source| self.fault(source))?;
        self.execute(
            sqlx::query("INSERT INTO offered_codes (person, secret, offered_at) VALUES (?, ?, ?) ON CONFLICT (person) DO UPDATE SET secret = excluded.secret, offered_at = excluded.offered_at, confirmed_step = NULL, confirmed_after = NULL")
                .bind(person.as_str().to_owned())
                .bind(secret)
                .bind(offer.offered_at().as_millisecond()),
        )
        .await
    }

    /// What was offered to a person and is not confirmed.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn offered_totp(
        &mut self,
        person: &StaffId,
    ) -> Result<Option<OfferedCodes>, CatalogueFault> {
        let found = sqlx::query("SELECT secret, offered_at FROM offered_codes WHERE person = ?")
            .bind(person.as_str())
            .fetch_optional(self.connection())
            .await;
        let read = |row: SqliteRow| -> Result<OfferedCodes, sqlx::Error> {
            Ok(OfferedCodes {
                offer: CodeOffer::new(time(row.try_get(1)?)?),
                secret: read_json(&row, 0)?,
            })
        };
        found
            .and_then(|row| row.map(read).transpose())
            .map_err(|source| self.fault(source))
    }

    /// Takes away what was offered and can be confirmed no more.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn forget_stale_codes(&mut self, now: Timestamp) -> Result<(), CatalogueFault> {
        let oldest = CodeOffer::oldest_open(now);
        self.execute(
            sqlx::query("DELETE FROM offered_codes WHERE (offered_at <= ? OR offered_at > ?) AND confirmed_step IS NULL")
                .bind(oldest.as_millisecond())
                .bind(now.as_millisecond()),
        )
        .await
    }

    /// Keeps that a code has confirmed what was offered, before the trail says so. The confirmation is moved into it; nothing is in force by it.
    ///
    /// `after`: the number of the office's last entry.
    ///
    /// # Errors
    /// [`CatalogueFault`]; then nothing is confirmed.
    pub async fn keep_confirmation(
        &mut self,
        confirmation: CodeConfirmation,
        after: u64,
    ) -> Result<(), CatalogueFault> {
        self.execute(
            sqlx::query(
                "UPDATE offered_codes SET confirmed_step = ?, confirmed_after = ? WHERE person = ?",
            )
            .bind(number(confirmation.step()))
            .bind(number(after))
            .bind(confirmation.person().as_str().to_owned()),
        )
        .await
    }

    /// Puts what was confirmed in force where the trail says so, in place of former codes; what the trail does not know waits
    /// for a code again. Doing it twice changes nothing, so it also ends what a crash has cut off.
    ///
    /// # Errors
    /// [`CatalogueFault`] if database or trail cannot be read; then the former codes are in force.
    pub async fn settle_codes(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<(), CatalogueFault> {
        for (person, after) in self.kept_confirmations().await? {
            let enrols = |entry: &AuditEntry| {
                entry.event == AuditEvent::TotpEnrolled && entry.actor.person() == Some(&person)
            };
            let settled = match newest_behind(disk, layout, Duty::Office, after, enrols)? {
                Some(_) => put_in_force(self.connection(), &person).await,
                None => drop_confirmation(self.connection(), &person).await,
            };
            settled.map_err(|source| self.fault(source))?;
        }
        Ok(())
    }

    async fn kept_confirmations(&mut self) -> Result<Vec<(StaffId, u64)>, CatalogueFault> {
        let rows = sqlx::query("SELECT person, confirmed_after FROM offered_codes WHERE confirmed_step IS NOT NULL ORDER BY person")
            .fetch_all(self.connection())
            .await;
        let read = |row: &SqliteRow| -> Result<(StaffId, u64), sqlx::Error> {
            let after: i64 = row.try_get(1)?;
            Ok((
                parse(row.try_get(0)?, "person")?,
                u64::try_from(after).unwrap_or(0),
            ))
        };
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(|source| self.fault(source))
    }

    /// Keeps the step whose code was used; none is used twice.
    ///
    /// # Errors
    /// [`CatalogueFault`]; then the code must not count.
    pub async fn use_totp_step(
        &mut self,
        person: &StaffId,
        step: u64,
    ) -> Result<(), CatalogueFault> {
        self.execute(
            sqlx::query("UPDATE second_factors SET last_step = ? WHERE person = ?")
                .bind(number(step))
                .bind(person.as_str().to_owned()),
        )
        .await
    }

    /// Seals anew to this month what is sealed to another one. The step that was used stays used.
    ///
    /// # Returns
    /// Whose secret could not be opened or sealed; it lies as it did.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be used.
    pub async fn reseal_totp(
        &mut self,
        opener: &Opener,
        sealer: &Sealer,
        now: Timestamp,
    ) -> Result<Vec<StaffId>, CatalogueFault> {
        let month = Group::Register(JstMonth::of(now));
        let mut left = Vec::new();
        for (person, sealed) in self.totp_secrets().await? {
            if sealed.group() == month {
                continue;
            }
            let secret = opener.open_totp(&person, &sealed).ok();
            let anew = secret.and_then(|secret| sealer.seal_totp(&person, now, &secret).ok());
            match anew {
                Some(anew) => self.replace_totp(&person, &anew).await?,
                None => left.push(person),
            }
        }
        Ok(left)
    }

    async fn totp_secrets(&mut self) -> Result<Vec<(StaffId, SealedFields)>, CatalogueFault> {
        let rows = sqlx::query("SELECT person, secret FROM second_factors ORDER BY person")
            .fetch_all(self.connection())
            .await;
        let read = |row: &SqliteRow| -> Result<(StaffId, SealedFields), sqlx::Error> {
            Ok((parse(row.try_get(0)?, "person")?, read_json(row, 1)?))
        };
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(|source| self.fault(source))
    }

    async fn replace_totp(
        &mut self,
        person: &StaffId,
        secret: &SealedFields,
    ) -> Result<(), CatalogueFault> {
        let secret = json(secret).map_err(|source| self.fault(source))?;
        self.execute(
            sqlx::query("UPDATE second_factors SET secret = ? WHERE person = ?")
                .bind(secret)
                .bind(person.as_str().to_owned()),
        )
        .await
    }
}

async fn put_in_force(
    connection: &mut SqliteConnection,
    person: &StaffId,
) -> Result<(), sqlx::Error> {
    let person = person.as_str();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("INSERT INTO second_factors (person, secret, last_step) SELECT person, secret, confirmed_step FROM offered_codes WHERE person = ? ON CONFLICT (person) DO UPDATE SET secret = excluded.secret, last_step = excluded.last_step")
        .bind(person)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM offered_codes WHERE person = ?")
        .bind(person)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn drop_confirmation(
    connection: &mut SqliteConnection,
    person: &StaffId,
) -> Result<(), sqlx::Error> {
    let dropped = sqlx::query(
        "UPDATE offered_codes SET confirmed_step = NULL, confirmed_after = NULL WHERE person = ?",
    )
    .bind(person.as_str())
    .execute(connection)
    .await;
    dropped.map(drop)
}

/// SQLite's integers have a sign.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Takes away what a person has and what was offered.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    person: &str,
) -> Result<(), sqlx::Error> {
    for table in [
        "DELETE FROM second_factors WHERE person = ?",
        "DELETE FROM offered_codes WHERE person = ?",
    ] {
        sqlx::query(table)
            .bind(person)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
