//! One-time codes in the database: what is in force, and what was offered and waits for a code that confirms it (K-14).
//!
//! A secret is in use for years and sealed to a month of the register, whose key may be forgotten: the office seals it anew to each month.

use jiff::Timestamp;
use rules::{CodeConfirmation, CodeOffer, JstMonth, StaffId};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{json, read_json};
use crate::{
    catalogue::{Catalogue, CatalogueFault, parse, time},
    group::Group,
    open::Opener,
    seal::{SealedFields, Sealer},
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
            sqlx::query("INSERT INTO offered_codes (person, secret, offered_at) VALUES (?, ?, ?) ON CONFLICT (person) DO UPDATE SET secret = excluded.secret, offered_at = excluded.offered_at")
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

    /// Puts what was offered in force, in place of former codes. The confirmation is moved into it.
    ///
    /// # Errors
    /// [`CatalogueFault`]; then the former are in force.
    pub async fn confirm_totp(
        &mut self,
        confirmation: CodeConfirmation,
    ) -> Result<(), CatalogueFault> {
        let confirmed = confirm(self.connection(), &confirmation).await;
        confirmed.map_err(|source| self.fault(source))
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
                .bind(step_number(step))
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

async fn confirm(
    connection: &mut SqliteConnection,
    confirmation: &CodeConfirmation,
) -> Result<(), sqlx::Error> {
    let person = confirmation.person().as_str();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("INSERT INTO second_factors (person, secret, last_step) SELECT person, secret, ? FROM offered_codes WHERE person = ? ON CONFLICT (person) DO UPDATE SET secret = excluded.secret, last_step = excluded.last_step")
        .bind(step_number(confirmation.step()))
        .bind(person)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM offered_codes WHERE person = ?")
        .bind(person)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

fn step_number(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
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
