//! Calls as lists show them.

use jiff::Timestamp;
use rules::{CallId, JstDay, RecordingId, RecordingState};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, sqlite::SqliteRow};

use crate::catalogue::{Catalogue, CatalogueFault, parse, time};

/// Calls, page by page, so that 600,000 of them need no more memory than 500.
pub struct Listing<'catalogue> {
    pub(crate) catalogue: &'catalogue mut Catalogue,
    pub(crate) unrecorded: bool,
    pub(crate) next: i64,
}

impl Listing<'_> {
    /// The next page; an empty one is the end.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn page(&mut self) -> Result<Vec<ListedCall>, CatalogueFault> {
        match self.catalogue.page(self.next, self.unrecorded).await {
            Ok((calls, next)) => {
                self.next = next;
                Ok(calls)
            }
            Err(source) => Err(self.catalogue.fault(source)),
        }
    }
}

/// A call as lists show it. Of a disposed one everything is `None` that may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedCall {
    /// The recording; `None` for a call without one.
    pub recording: Option<RecordingId>,
    /// Our id of the call.
    pub call: Option<CallId>,
    /// The day that it belongs to.
    pub day: JstDay,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Where the recording stands.
    pub state: RecordingState,
    /// The city's own number, in E.164.
    pub called: Option<String>,
    /// The department.
    pub department: Option<String>,
    /// `number` or `anonymous`.
    pub caller: Option<String>,
    /// When the call came.
    pub started_at: Option<Timestamp>,
    /// When a department answered.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Length of the recording.
    pub duration_ms: Option<u64>,
    /// Gaps of both channels together.
    pub gaps_ms: Option<u64>,
    /// `announced`, `emergency` or `decision`.
    pub notice: Option<String>,
    /// Why there is no recording.
    pub reason: Option<String>,
    /// Why the recording has no end of its own.
    pub recovery: Option<String>,
    /// Whole chunks.
    pub chunks: Option<u64>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: Option<String>,
    /// Length of the file.
    pub bytes: Option<u64>,
}

impl ListedCall {
    pub(crate) fn read(row: &SqliteRow) -> Result<ListedCall, sqlx::Error> {
        let id = |column| row.try_get::<Option<String>, _>(column);
        let instant = |column| row.try_get::<Option<i64>, _>(column)?.map(time).transpose();
        let count = |column| -> Result<Option<u64>, sqlx::Error> {
            Ok(row
                .try_get::<Option<i64>, _>(column)?
                .and_then(|count| u64::try_from(count).ok()))
        };
        Ok(ListedCall {
            recording: id("recording")?
                .map(|text| parse(&text, "recording"))
                .transpose()?,
            call: id("call_id")?
                .map(|text| parse(&text, "call_id"))
                .transpose()?,
            day: parse(row.try_get("day")?, "day")?,
            expires_at: time(row.try_get("expires_at")?)?,
            state: parse(row.try_get("state")?, "state")?,
            called: row.try_get("called")?,
            department: row.try_get("department")?,
            caller: row.try_get("caller_kind")?,
            started_at: instant("started_at")?,
            answered_at: instant("answered_at")?,
            ended_at: instant("ended_at")?,
            duration_ms: count("duration_ms")?,
            gaps_ms: count("gaps_ms")?,
            notice: row.try_get("notice_kind")?,
            reason: row.try_get("reason")?,
            recovery: row.try_get("recovery")?,
            chunks: count("chunks")?,
            sha256: row.try_get("sha256")?,
            bytes: count("bytes")?,
        })
    }
}
