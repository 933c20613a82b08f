//! What a reconciliation reads of the rows, and what it keeps of a day.

use rules::{DayCounts, JstDay, KeptCall, RowTells};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Catalogue, CatalogueFault, parse, time};

impl Catalogue {
    /// The days that have rows which are no tombstones, the oldest first.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn living_days(&mut self) -> Result<Vec<JstDay>, CatalogueFault> {
        let rows =
            sqlx::query("SELECT DISTINCT day FROM calls WHERE state <> 'disposed' ORDER BY day")
                .fetch_all(&mut self.connection)
                .await;
        let days = rows.and_then(|rows| {
            let day = |row: &SqliteRow| parse(row.try_get(0)?, "day");
            rows.iter().map(day).collect()
        });
        days.map_err(|source| self.fault(source))
    }

    /// The calls of a day, tombstones included.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn kept_calls(&mut self, day: JstDay) -> Result<Vec<KeptCall>, CatalogueFault> {
        let rows = sqlx::query(
            "SELECT call_id, recording, state, answered_at, notice_kind, reason, bytes,
             COALESCE(bytes, chunks, duration_ms, gaps_ms, sha256, recovery) IS NOT NULL AS tells_of_sound
             FROM calls WHERE day = ? ORDER BY row",
        )
        .bind(day.to_string())
        .fetch_all(&mut self.connection)
        .await;
        let calls = rows.and_then(|rows| rows.iter().map(kept_call).collect());
        calls.map_err(|source| self.fault(source))
    }

    /// What a day counted when it had ended; `None` before.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn day_counts(&mut self, day: JstDay) -> Result<Option<DayCounts>, CatalogueFault> {
        let found = sqlx::query("SELECT counts FROM day_counts WHERE day = ?")
            .bind(day.to_string())
            .fetch_optional(&mut self.connection)
            .await
            .and_then(|row| row.map(|row| row.try_get::<String, _>(0)).transpose());
        let found = found.map_err(|source| self.fault(source))?;
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps what a day counted, once: rows that go later change nothing of it. The trail must have it already.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be written.
    pub async fn keep_day_counts(
        &mut self,
        day: JstDay,
        counts: &DayCounts,
    ) -> Result<(), CatalogueFault> {
        let text = serde_json::to_string(counts)
            .map_err(|fault| self.fault(sqlx::Error::Encode(Box::new(fault))))?;
        self.execute(
            sqlx::query(
                "INSERT INTO day_counts (day, counts) VALUES (?, ?) ON CONFLICT (day) DO NOTHING",
            )
            .bind(day.to_string())
            .bind(text),
        )
        .await
    }
}

fn kept_call(row: &SqliteRow) -> Result<KeptCall, sqlx::Error> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    Ok(KeptCall {
        call: text("call_id")?
            .map(|text| parse(&text, "call_id"))
            .transpose()?,
        recording: text("recording")?
            .map(|text| parse(&text, "recording"))
            .transpose()?,
        state: parse(row.try_get("state")?, "state")?,
        answered_at: row
            .try_get::<Option<i64>, _>("answered_at")?
            .map(time)
            .transpose()?,
        notice: text("notice_kind")?
            .map(|text| parse(&text, "notice_kind"))
            .transpose()?,
        unrecorded: text("reason")?
            .map(|text| parse(&text, "reason"))
            .transpose()?,
        bytes: row
            .try_get::<Option<i64>, _>("bytes")?
            .map(i64::unsigned_abs),
        tells: match row.try_get("tells_of_sound")? {
            true => RowTells::Sound,
            false => RowTells::NoSound,
        },
    })
}
