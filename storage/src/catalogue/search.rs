//! What a search reads: the rows that number and time let pass, page by page. Whether somebody may see them is asked elsewhere.

use rules::Sought;
use sqlx::{AssertSqlSafe, Row as _, sqlite::SqliteRow};

use super::{Catalogue, CatalogueFault, PAGE_ROWS};
use crate::{listing::ListedCall, seal::SealedCaller};

/// A place in a search: behind the last row that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchPlace(i64);

/// A recorded call that a search met.
#[derive(Clone, Debug)]
pub struct FoundCall {
    /// As lists show it.
    pub call: ListedCall,
    /// Who called, sealed.
    pub caller: Option<SealedCaller>,
}

/// Living recordings of a called number and a time. A recovered one whose start nobody knows is of any time.
const SOUGHT: &str = "recording IS NOT NULL AND state <> 'disposed' AND (?1 IS NULL OR called = ?1)
     AND IFNULL(started_at, ?2) >= ?2 AND IFNULL(started_at, ?2) < ?3 AND (NOT ?4 OR caller_kind = 'number')";

impl Catalogue {
    /// The next rows of a search in the order in which they were written, and the place behind them; none are the end.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn search(
        &mut self,
        sought: &Sought,
        place: SearchPlace,
    ) -> Result<(Vec<FoundCall>, SearchPlace), CatalogueFault> {
        let text = AssertSqlSafe(format!(
            "SELECT * FROM calls WHERE {SOUGHT} AND row > ?5 ORDER BY row LIMIT ?6"
        ));
        let rows = bind(sqlx::query(text), sought)
            .bind(place.0)
            .bind(PAGE_ROWS)
            .fetch_all(&mut self.connection)
            .await;
        let page = rows.and_then(|rows| {
            let last = rows.last().map(|row| row.try_get("row")).transpose()?;
            let calls = rows.iter().map(found).collect::<Result<_, _>>()?;
            Ok((calls, last.map_or(place, SearchPlace)))
        });
        page.map_err(|source| self.fault(source))
    }
}

fn found(row: &SqliteRow) -> Result<FoundCall, sqlx::Error> {
    let caller: Option<String> = row.try_get("caller")?;
    Ok(FoundCall {
        call: ListedCall::read(row)?,
        // What is no sealed number opens for nobody.
        caller: caller.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Binds what is sought but for the caller, whose number no column holds.
fn bind<'q>(query: Query<'q>, sought: &Sought) -> Query<'q> {
    query
        .bind(
            sought
                .called
                .as_ref()
                .map(|number| number.e164().to_owned()),
        )
        .bind(sought.from.map_or(i64::MIN, |from| from.as_millisecond()))
        .bind(
            sought
                .until
                .map_or(i64::MAX, |until| until.as_millisecond()),
        )
        .bind(sought.caller.is_some())
}
