//! What a disposal asks of the rows: which days are due, what they have, and rows down to tombstones.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rules::{CallId, JstDay, RecordingId};
use sqlx::{AssertSqlSafe, Connection, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Catalogue, CatalogueFault, parse, time};
use crate::seal::{SealedCaller, SealedFields};

impl Catalogue {
    /// Days with rows that are due, and when they expired.
    pub(crate) async fn due_days(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<(JstDay, Timestamp)>, CatalogueFault> {
        let rows = sqlx::query(
            "SELECT day, MAX(expires_at) FROM calls WHERE expires_at <= ? AND state <> 'disposed' GROUP BY day",
        )
        .bind(now.as_millisecond())
        .fetch_all(&mut self.connection)
        .await;
        let rows = rows.map_err(|source| self.fault(source))?;
        let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
            Ok((parse(row.try_get(0)?, "day")?, time(row.try_get(1)?)?))
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))
    }

    /// What rows a day has.
    pub(crate) async fn rows_of(&mut self, day: JstDay) -> Result<DayRows, CatalogueFault> {
        let rows = sqlx::query("SELECT recording, state = 'disposed' FROM calls WHERE day = ?")
            .bind(day.to_string())
            .fetch_all(&mut self.connection)
            .await;
        let rows = rows.map_err(|source| self.fault(source))?;
        let mut day_rows = DayRows::default();
        for row in &rows {
            let read = day_rows.add(row);
            read.map_err(|source| self.fault(source))?;
        }
        Ok(day_rows)
    }

    /// The callers of a day that are sealed, each with its call.
    pub(crate) async fn callers_of(
        &mut self,
        day: JstDay,
    ) -> Result<Vec<(CallId, SealedFields)>, CatalogueFault> {
        let rows = sqlx::query("SELECT call_id, caller FROM calls WHERE day = ? AND call_id IS NOT NULL AND caller IS NOT NULL")
            .bind(day.to_string())
            .fetch_all(&mut self.connection)
            .await;
        let rows = rows.map_err(|source| self.fault(source))?;
        let mut callers = Vec::new();
        for row in &rows {
            let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
                let text: String = row.try_get(1)?;
                Ok((parse(row.try_get(0)?, "call_id")?, text))
            };
            let (call, text) = read(row).map_err(|source| self.fault(source))?;
            // What is no sealed number opens for nobody.
            if let Ok(SealedCaller::Number(fields)) = serde_json::from_str(&text) {
                callers.push((call, fields));
            }
        }
        Ok(callers)
    }

    /// Takes the rows of a day down to tombstones, and those without a recording away.
    ///
    /// `kept`: rows that stay.
    pub(crate) async fn bury(
        &mut self,
        day: JstDay,
        kept: &BTreeSet<RecordingId>,
    ) -> Result<(), CatalogueFault> {
        let _ = self.bury_part(day, kept, usize::MAX).await?;
        Ok(())
    }

    /// The same with at most so many rows of each kind.
    ///
    /// # Returns
    /// [`Extent::All`] once no row of the day is left and no log has its image.
    pub(crate) async fn bury_part(
        &mut self,
        day: JstDay,
        kept: &BTreeSet<RecordingId>,
        most: usize,
    ) -> Result<Extent, CatalogueFault> {
        let buried = self.bury_rows(day, kept, most).await;
        let buried = buried.map_err(|source| self.fault(source))?;
        if buried == Extent::All {
            self.cut_log().await?;
        }
        Ok(buried)
    }

    /// Gives recordings that have a file and no row their tombstones.
    pub(crate) async fn bury_strays(
        &mut self,
        day: JstDay,
        expires_at: Timestamp,
        strays: &[RecordingId],
    ) -> Result<(), CatalogueFault> {
        let buried = async {
            let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
            for stray in strays {
                insert_tombstone(&mut transaction, *stray, day, expires_at).await?;
            }
            transaction.commit().await
        };
        buried.await.map_err(|source| self.fault(source))
    }

    /// Takes the row of one recording down to its tombstone; one without a row gets it too.
    pub(crate) async fn bury_one(
        &mut self,
        recording: RecordingId,
        day: JstDay,
        expires_at: Timestamp,
    ) -> Result<(), CatalogueFault> {
        let buried = sqlx::query(AssertSqlSafe(format!("{TOMBSTONE} WHERE recording = ?")))
            .bind(recording.to_string())
            .execute(&mut self.connection)
            .await;
        let buried = buried.map_err(|source| self.fault(source))?;
        if buried.rows_affected() == 0 {
            let stray = insert_tombstone(&mut self.connection, recording, day, expires_at).await;
            stray.map_err(|source| self.fault(source))?;
        }
        self.cut_log().await
    }

    /// Deleted rows are zeros in the file; the log, which has their images, is cut to nothing.
    pub(super) async fn cut_log(&mut self) -> Result<(), CatalogueFault> {
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.connection)
            .await
            .and_then(|row| row.try_get::<i64, _>(0));
        match checkpoint.map_err(|source| self.fault(source))? {
            0 => Ok(()),
            _ => Err(CatalogueFault::Busy {
                path: self.path.clone(),
            }),
        }
    }

    async fn bury_rows(
        &mut self,
        day: JstDay,
        kept: &BTreeSet<RecordingId>,
        most: usize,
    ) -> Result<Extent, sqlx::Error> {
        let day_text = day.to_string();
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let removed = sqlx::query("DELETE FROM calls WHERE row IN (SELECT row FROM calls WHERE day = ? AND recording IS NULL LIMIT ?)")
            .bind(&day_text)
            .bind(limit)
            .execute(&mut *transaction)
            .await?;
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        let buried = sqlx::query(AssertSqlSafe(format!(
            "{TOMBSTONE} WHERE row IN (SELECT row FROM calls WHERE day = ? AND recording IS NOT NULL AND state <> 'disposed'
                 AND recording NOT IN (SELECT value FROM json_each(?)) LIMIT ?)"
        )))
        .bind(&day_text)
        .bind(serde_json::to_string(&kept).map_err(|fault| sqlx::Error::Encode(Box::new(fault)))?)
        .bind(limit)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let counts = [removed.rows_affected(), buried.rows_affected()];
        let is_all = counts.iter().all(|count| *count < most as u64);
        Ok(match is_all {
            true => Extent::All,
            false => Extent::Part,
        })
    }
}

/// How much of a long task is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Part,
    All,
}

/// What a tombstone keeps is what stands in no assignment here.
const TOMBSTONE: &str =
    "UPDATE calls SET state = 'disposed', rank = 3, call_id = NULL, called = NULL, department = NULL,
     started_at = NULL, answered_at = NULL, ended_at = NULL, end_cause = NULL, emergency = NULL,
     notice_kind = NULL, notice = NULL, reason = NULL, caller_kind = NULL, caller = NULL, chunks = NULL,
     duration_ms = NULL, gaps_ms = NULL, sha256 = NULL, bytes = NULL, recovery = NULL";

async fn insert_tombstone(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    day: JstDay,
    expires_at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO calls (recording, day, expires_at, state, rank) VALUES (?, ?, ?, 'disposed', 3)")
        .bind(recording.to_string())
        .bind(day.to_string())
        .bind(expires_at.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// The rows of a day, as a disposal counts them.
#[derive(Debug, Default)]
pub(crate) struct DayRows {
    /// Its recordings, tombstones included.
    pub(crate) recordings: BTreeSet<RecordingId>,
    /// Those that are no tombstones.
    pub(crate) living: BTreeSet<RecordingId>,
    /// Calls without a recording.
    pub(crate) unrecorded: u64,
}

impl DayRows {
    fn add(&mut self, row: &SqliteRow) -> Result<(), sqlx::Error> {
        let Some(recording) = row.try_get::<Option<String>, _>(0)? else {
            self.unrecorded += 1;
            return Ok(());
        };
        let recording = parse(&recording, "recording")?;
        self.recordings.insert(recording);
        if !row.try_get::<bool, _>(1)? {
            self.living.insert(recording);
        }
        Ok(())
    }
}
