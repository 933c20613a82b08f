//! How an entry of the spool changes the rows: late, twice or out of order, the outcome is the same.

use jiff::Timestamp;
use rules::{RecordingId, RecordingState};
use sqlx::SqliteConnection;

use crate::{
    rows::{RecoveredRow, Row, SpoolEntry},
    seal::SealedCaller,
};

pub(crate) async fn apply(
    connection: &mut SqliteConnection,
    entry: &SpoolEntry,
) -> Result<(), sqlx::Error> {
    match entry {
        SpoolEntry::Row(row) => apply_row(connection, row).await,
        SpoolEntry::Recovered(row) => apply_recovered(connection, row).await,
        SpoolEntry::Reason {
            emergency,
            at,
            sealed,
        } => {
            sqlx::query("INSERT INTO reasons (emergency, declared_at, sealed) VALUES (?, ?, ?) ON CONFLICT (emergency) DO NOTHING")
                .bind(emergency.to_string())
                .bind(at.as_millisecond())
                .bind(json(sealed)?)
                .execute(connection)
                .await?;
            Ok(())
        }
    }
}

/// A spool file that came back brings no row back that was disposed of.
async fn apply_row(connection: &mut SqliteConnection, row: &Row) -> Result<(), sqlx::Error> {
    let call = &row.call;
    let millisecond = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
    let audio = row.audio.as_ref();
    sqlx::query(
        "INSERT INTO calls (call_id, recording, day, expires_at, state, rank, called, department, started_at,
         answered_at, ended_at, end_cause, emergency, notice_kind, notice, reason, caller_kind, caller,
         chunks, duration_ms, gaps_ms, sha256, bytes)
         SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
         WHERE NOT EXISTS (SELECT 1 FROM calls WHERE recording = ? AND state = 'disposed')
         ON CONFLICT (call_id) DO UPDATE SET recording = excluded.recording, state = excluded.state,
         rank = excluded.rank, called = excluded.called, department = excluded.department,
         started_at = excluded.started_at, answered_at = excluded.answered_at, ended_at = excluded.ended_at,
         end_cause = excluded.end_cause, emergency = excluded.emergency, notice_kind = excluded.notice_kind,
         notice = excluded.notice, reason = excluded.reason,
         caller_kind = COALESCE(excluded.caller_kind, caller_kind), caller = COALESCE(excluded.caller, caller),
         chunks = excluded.chunks, duration_ms = excluded.duration_ms, gaps_ms = excluded.gaps_ms,
         sha256 = excluded.sha256, bytes = excluded.bytes
         WHERE excluded.rank >= calls.rank",
    )
    .bind(call.call_id.to_string())
    .bind(call.recording.map(|id| id.to_string()))
    .bind(call.day().to_string())
    .bind(row.expires_at.as_millisecond())
    .bind(row.state.code())
    .bind(rank(row.state))
    .bind(call.called.e164())
    .bind(&call.department)
    .bind(call.started_at.as_millisecond())
    .bind(millisecond(call.answered_at))
    .bind(millisecond(call.ended_at))
    .bind(call.end_cause.map(|cause| cause.code()))
    .bind(call.emergency.map(|id| id.to_string()))
    .bind(call.notice.as_ref().map(|notice| notice.kind().code()))
    .bind(call.notice.as_ref().map(json).transpose()?)
    .bind(call.unrecorded.map(|reason| reason.code()))
    .bind(row.caller.as_ref().map(SealedCaller::kind))
    .bind(row.caller.as_ref().map(json).transpose()?)
    .bind(audio.map(|audio| count(audio.chunks)))
    .bind(audio.map(|audio| count(audio.duration_ms)))
    .bind(audio.map(|audio| count(audio.gaps_ms)))
    .bind(audio.map(|audio| audio.sha256.to_string()))
    .bind(audio.map(|audio| count(audio.bytes)))
    .bind(call.recording.map(|id| id.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Completes the row of a recording that a crash cut off, or stands in for it.
async fn apply_recovered(
    connection: &mut SqliteConnection,
    row: &RecoveredRow,
) -> Result<(), sqlx::Error> {
    if is_buried(connection, row.recording).await? {
        return Ok(());
    }
    let known = sqlx::query("SELECT 1 FROM calls WHERE recording = ? OR call_id = ?")
        .bind(row.recording.to_string())
        .bind(row.call.map(|id| id.to_string()))
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_none() {
        sqlx::query("INSERT INTO calls (call_id, recording, day, expires_at, state, rank, started_at, notice_kind, notice) VALUES (?, ?, ?, ?, 'open', 0, ?, ?, ?)")
            .bind(row.call.map(|id| id.to_string()))
            .bind(row.recording.to_string())
            .bind(row.day.to_string())
            .bind(row.expires_at.as_millisecond())
            .bind(row.start.map(Timestamp::as_millisecond))
            .bind(row.notice.as_ref().map(|notice| notice.kind().code()))
            .bind(row.notice.as_ref().map(json).transpose()?)
            .execute(&mut *connection)
            .await?;
    }
    let recovery = row.reason.as_ref().map(json).transpose()?;
    sqlx::query(
        "UPDATE calls SET recording = ?, state = ?, rank = ?, recovery = ?, chunks = ?, duration_ms = ?, gaps_ms = ?,
         sha256 = ?, bytes = ? WHERE (recording = ? OR call_id = ?) AND rank <= ?",
    )
    .bind(row.recording.to_string())
    .bind(row.state.code())
    .bind(rank(row.state))
    // The reason is one code, which JSON puts into quotes.
    .bind(recovery.as_deref().map(|text| text.trim_matches('"')))
    .bind(count(row.audio.chunks))
    .bind(count(row.audio.duration_ms))
    .bind(count(row.audio.gaps_ms))
    .bind(row.audio.sha256.to_string())
    .bind(count(row.audio.bytes))
    .bind(row.recording.to_string())
    .bind(row.call.map(|id| id.to_string()))
    .bind(rank(row.state))
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a row was disposed of and must not come back.
async fn is_buried(
    connection: &mut SqliteConnection,
    recording: RecordingId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM calls WHERE recording = ? AND state = 'disposed'")
        .bind(recording.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// A row's state only goes up, so that entries taken in late or twice change nothing back.
fn rank(state: RecordingState) -> i64 {
    match state {
        RecordingState::Open => 0,
        RecordingState::Sealed | RecordingState::Unrecorded => 1,
        RecordingState::Recovered => 2,
        RecordingState::Disposed => 3,
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|fault| sqlx::Error::Encode(Box::new(fault)))
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
