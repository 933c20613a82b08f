//! Rows on their way into a backup and back.

use std::path::Path;

use rules::JstDay;
use sqlx::Row as _;

use super::{Catalogue, CatalogueFault, parse};

impl Catalogue {
    /// Copies the whole database into a new file, beside a writer, and counts its calls.
    pub(crate) async fn copy_to(&mut self, path: &Path) -> Result<u64, CatalogueFault> {
        let copied = sqlx::query("VACUUM INTO ?")
            .bind(path.to_string_lossy().into_owned())
            .execute(&mut self.connection)
            .await;
        copied.map_err(|source| self.fault(source))?;
        self.count().await
    }

    /// How many calls have a row.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn count(&mut self) -> Result<u64, CatalogueFault> {
        let count = sqlx::query("SELECT COUNT(*) FROM calls")
            .fetch_one(&mut self.connection)
            .await
            .and_then(|row| row.try_get::<i64, _>(0));
        let count = count.map_err(|source| self.fault(source))?;
        Ok(count.unsigned_abs())
    }

    /// Takes calls and reasons over that are not known here, from a database of the same version.
    ///
    /// A tombstone here counts as known.
    pub(crate) async fn take_over(&mut self, from: &Path) -> Result<u64, CatalogueFault> {
        let taken = self.take_over_attached(from).await;
        taken.map_err(|source| self.fault(source))
    }

    async fn take_over_attached(&mut self, from: &Path) -> Result<u64, sqlx::Error> {
        sqlx::query("ATTACH ? AS other")
            .bind(from.to_string_lossy().into_owned())
            .execute(&mut self.connection)
            .await?;
        let calls = sqlx::query(
            "INSERT INTO calls (call_id, recording, day, expires_at, state, rank, called, department, started_at,
             answered_at, ended_at, end_cause, emergency, notice_kind, notice, reason, caller_kind, caller,
             chunks, duration_ms, gaps_ms, sha256, bytes, recovery)
             SELECT call_id, recording, day, expires_at, state, rank, called, department, started_at,
             answered_at, ended_at, end_cause, emergency, notice_kind, notice, reason, caller_kind, caller,
             chunks, duration_ms, gaps_ms, sha256, bytes, recovery FROM other.calls AS old
             WHERE NOT EXISTS (SELECT 1 FROM calls WHERE calls.recording = old.recording)
             AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.call_id = old.call_id) ORDER BY old.row",
        )
        .execute(&mut self.connection)
        .await;
        let reasons = sqlx::query(
            "INSERT INTO reasons SELECT * FROM other.reasons WHERE true ON CONFLICT (emergency) DO NOTHING",
        )
        .execute(&mut self.connection)
        .await;
        // Let go of the file whatever came of it.
        sqlx::query("DETACH other")
            .execute(&mut self.connection)
            .await?;
        reasons?;
        Ok(calls?.rows_affected())
    }

    /// The days that have rows.
    pub(crate) async fn days(&mut self) -> Result<Vec<JstDay>, CatalogueFault> {
        let rows = sqlx::query("SELECT DISTINCT day FROM calls")
            .fetch_all(&mut self.connection)
            .await;
        let rows = rows.map_err(|source| self.fault(source))?;
        rows.iter()
            .map(|row| parse(row.try_get(0)?, "day"))
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))
    }
}
