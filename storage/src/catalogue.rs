//! The catalogue: a row for each call, in SQLite, written by the office duty alone.
//!
//! WAL, `synchronous = FULL`, `secure_delete`; what the spool holds is taken in with one commit
//! for all of it. Nothing here waits for a call, and no call waits for it.

mod burial;
mod carry;
mod counting;
mod passphrases;
mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rules::{EmergencyId, Fault, JstDay, RecordingId, Register};
use sqlx::{
    AssertSqlSafe, Connection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use thiserror::Error;

pub use self::search::{FoundCall, SearchPlace};
pub(crate) use self::{
    burial::{DayRows, Extent},
    passphrases::insert_passphrase,
};
use crate::{
    apply::apply,
    backup::Restoration,
    files::{Disk, MODE_SECRET, OsDisk, give_to_owner},
    layout::Layout,
    listing::{ListedCall, Listing},
    people::RegisterMismatch,
    seal::{SealedCaller, SealedFields},
    spool::{self, SpoolFault},
    trail::AuditFault,
};

const MIGRATIONS: [&str; 9] = [
    include_str!("../migrations/sqlite/0001-calls.sql"),
    include_str!("../migrations/sqlite/0002-people.sql"),
    include_str!("../migrations/sqlite/0003-register.sql"),
    include_str!("../migrations/sqlite/0004-day-counts.sql"),
    include_str!("../migrations/sqlite/0005-passphrases.sql"),
    include_str!("../migrations/sqlite/0006-ahead.sql"),
    include_str!("../migrations/sqlite/0007-offered-codes.sql"),
    include_str!("../migrations/sqlite/0008-confirmed-codes.sql"),
    include_str!("../migrations/sqlite/0009-passwords-ahead.sql"),
];
const PAGE_ROWS: i64 = 500;

/// The rows of all calls.
pub struct Catalogue {
    path: PathBuf,
    connection: SqliteConnection,
    register: RegisterState,
    log: LogState,
    /// The spool's newest file and how long it was when all of it was taken in.
    newest: Option<(String, u64)>,
}

/// Whether the write-ahead log may have images of passphrases that were forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogState {
    /// Nobody has cut it since the last one was forgotten, or since the database was opened.
    Uncut,
    /// It has none.
    Cut,
}

/// Whether the register of this connection may be believed.
pub(crate) enum RegisterState {
    /// Nobody has looked what the trail says since the database was opened.
    Unread,
    /// It was compared, and what holds after its facts is kept; each new fact is taken in.
    Compared(Arc<Register>),
}

/// Which files of the spool go once they are taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// Those that are followed by another; the newest may still be written.
    Followed,
    All,
}

/// What was taken in from the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Entries.
    pub entries: u64,
    /// Lines that were not as they were written, and are left out.
    pub damaged: u64,
}

impl Catalogue {
    /// Opens the catalogue for writing, makes it if it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// [`CatalogueFault`] if it cannot be used, or was written by a newer denwaban.
    pub async fn open(layout: &Layout) -> Result<Catalogue, CatalogueFault> {
        if_restored(layout)?;
        Catalogue::open_while_restoring(layout).await
    }

    /// The same for whoever restores it.
    pub(crate) async fn open_while_restoring(layout: &Layout) -> Result<Catalogue, CatalogueFault> {
        let path = layout.catalogue();
        make_file(&path).map_err(|source| CatalogueFault::Disk {
            path: path.clone(),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .busy_timeout(Duration::from_secs(5));
        let mut catalogue = Catalogue::connect(path, options).await?;
        catalogue.migrate().await?;
        Ok(catalogue)
    }

    /// Opens the catalogue for reading, beside a writer or without one.
    ///
    /// # Errors
    /// [`CatalogueFault`] if it is missing or cannot be used.
    pub async fn open_read_only(layout: &Layout) -> Result<Catalogue, CatalogueFault> {
        if_restored(layout)?;
        let path = layout.catalogue();
        let wal = path.with_file_name("catalogue.db-wal");
        // Without a write-ahead log nobody writes, and a reader that may not make one must say so.
        let is_alone = !wal.exists();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .immutable(is_alone)
            .busy_timeout(Duration::from_secs(5));
        let mut catalogue = Catalogue::connect(path, options).await?;
        let found = catalogue.version().await?;
        match found == MIGRATIONS.len() {
            true => Ok(catalogue),
            false => Err(CatalogueFault::Version {
                path: catalogue.path,
                found,
            }),
        }
    }

    /// Takes in what the spool holds, each line exactly once, and removes files that are followed
    /// by another.
    ///
    /// # Errors
    /// [`CatalogueFault`]; what was not taken in waits on in the spool.
    pub async fn take_in(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<TakenIn, CatalogueFault> {
        self.take_in_files(disk, layout, Removal::Followed).await
    }

    /// Takes in what the spool holds and leaves no file of it: a disposal must find its rows here,
    /// and nowhere else. Whoever writes the newest file notices that it is gone and begins another.
    pub(crate) async fn empty_spool(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<TakenIn, CatalogueFault> {
        self.take_in_files(disk, layout, Removal::All).await
    }

    async fn take_in_files(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
        removal: Removal,
    ) -> Result<TakenIn, CatalogueFault> {
        let folder = layout.spool();
        let files = spool::files(disk, &folder)?;
        let mut taken_in = TakenIn::default();
        let count = files.len();
        for (index, name) in files.into_iter().enumerate() {
            let name = match removal == Removal::All && !spool::is_leaving(&name) {
                true => spool::take_away(disk, &folder, &name)?,
                false => name,
            };
            let path = folder.join(&name);
            let at = |source| SpoolFault::Disk {
                path: path.clone(),
                source,
            };
            let own_name = spool::own_name(&name);
            let length = disk.len(&path).map_err(at)?;
            let known = self.newest.as_ref();
            if known.is_none_or(|(file, known)| file != own_name || *known != length) {
                let bytes = disk.read(&path).map_err(at)?;
                let taken = self
                    .take_in_file(own_name, &bytes)
                    .await
                    .map_err(|source| self.fault(source))?;
                taken_in.entries += taken.entries;
                taken_in.damaged += taken.damaged;
                self.newest = Some((own_name.to_owned(), bytes.len() as u64));
            }
            if spool::is_leaving(&name) || index + 1 < count {
                disk.unlink(&path).map_err(at)?;
            }
        }
        if removal == Removal::All && count > 0 {
            disk.sync_folder(&folder)
                .map_err(|source| SpoolFault::Disk {
                    path: folder,
                    source,
                })?;
        }
        Ok(taken_in)
    }

    /// Lists calls, newest last.
    ///
    /// `unrecorded`: with calls that have no recording. `limit`: only so many of the newest.
    pub async fn list(
        &mut self,
        unrecorded: bool,
        limit: Option<u32>,
    ) -> Result<Listing<'_>, CatalogueFault> {
        let begin = match limit {
            None => 0,
            Some(limit) => {
                let first = sqlx::query(
                    "SELECT MIN(row) FROM (SELECT row FROM calls WHERE ? OR recording IS NOT NULL ORDER BY row DESC LIMIT ?)",
                )
                .bind(unrecorded)
                .bind(i64::from(limit))
                .fetch_one(&mut self.connection)
                .await
                .and_then(|row| row.try_get::<Option<i64>, _>(0));
                // No rows at all, or none wanted: begin behind the last.
                first
                    .map_err(|source| self.fault(source))?
                    .unwrap_or(i64::MAX)
            }
        };
        Ok(Listing {
            catalogue: self,
            unrecorded,
            next: begin,
        })
    }

    /// The row of one recording.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn find(
        &mut self,
        recording: RecordingId,
    ) -> Result<Option<ListedCall>, CatalogueFault> {
        let found = self.find_each(&BTreeSet::from([recording])).await?;
        Ok(found.into_values().next())
    }

    /// The calls of several recordings: those that there are.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn find_each(
        &mut self,
        recordings: &BTreeSet<RecordingId>,
    ) -> Result<BTreeMap<RecordingId, ListedCall>, CatalogueFault> {
        let read = sqlx::query(
            "SELECT * FROM calls WHERE recording IN (SELECT value FROM json_each(?)) ORDER BY row",
        )
        .bind(serde_json::json!(recordings).to_string())
        .fetch_all(&mut self.connection)
        .await;
        let rows = read.map_err(|source| self.fault(source))?;
        let calls = rows.iter().map(ListedCall::read);
        let calls: Vec<ListedCall> = calls
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))?;
        // Of two rows of one recording the newer one counts.
        let named = calls.into_iter();
        Ok(named
            .filter_map(|call| Some((call.recording?, call)))
            .collect())
    }

    /// The sealed caller of one recording, to be opened by permit.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn caller(
        &mut self,
        recording: RecordingId,
    ) -> Result<Option<SealedCaller>, CatalogueFault> {
        let found =
            sqlx::query("SELECT caller FROM calls WHERE recording = ? AND caller IS NOT NULL")
                .bind(recording.to_string())
                .fetch_optional(&mut self.connection)
                .await
                .and_then(|row| row.map(|row| row.try_get::<String, _>(0)).transpose());
        let found = found.map_err(|source| self.fault(source))?;
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The sealed reason of each emergency.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn reasons(&mut self) -> Result<Vec<(EmergencyId, SealedFields)>, CatalogueFault> {
        let rows = sqlx::query("SELECT emergency, sealed FROM reasons ORDER BY declared_at")
            .fetch_all(&mut self.connection)
            .await;
        let read = |row: &SqliteRow| {
            let sealed: &str = row.try_get(1)?;
            let sealed = serde_json::from_str(sealed);
            let sealed = sealed.map_err(|fault| sqlx::Error::Decode(Box::new(fault)))?;
            Ok((parse(row.try_get(0)?, "emergency")?, sealed))
        };
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(|source| self.fault(source))
    }

    /// How many recordings each day still has.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the database cannot be read.
    pub async fn recordings_by_day(&mut self) -> Result<BTreeMap<JstDay, u64>, CatalogueFault> {
        let rows = sqlx::query(
            "SELECT day, COUNT(DISTINCT recording) FROM calls WHERE recording IS NOT NULL AND state <> 'disposed' GROUP BY day",
        )
        .fetch_all(&mut self.connection)
        .await;
        let rows = rows.map_err(|source| self.fault(source))?;
        let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
            let count: i64 = row.try_get(1)?;
            Ok((parse(row.try_get(0)?, "day")?, count.unsigned_abs()))
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))
    }

    /// Ends the connection in order, so that the write-ahead log is merged and removed.
    ///
    /// # Errors
    /// [`CatalogueFault`] if the last checkpoint was refused; nothing is lost by it.
    pub async fn close(self) -> Result<(), CatalogueFault> {
        let path = self.path;
        self.connection
            .close()
            .await
            .map_err(|source| CatalogueFault::Database { path, source })
    }

    async fn connect(
        path: PathBuf,
        options: SqliteConnectOptions,
    ) -> Result<Catalogue, CatalogueFault> {
        match SqliteConnection::connect_with(&options).await {
            Ok(connection) => Ok(Catalogue {
                path,
                connection,
                register: RegisterState::Unread,
                log: LogState::Uncut,
                newest: None,
            }),
            Err(source) => Err(CatalogueFault::Database { path, source }),
        }
    }

    async fn migrate(&mut self) -> Result<(), CatalogueFault> {
        let found = self.version().await?;
        if found > MIGRATIONS.len() {
            return Err(CatalogueFault::Version {
                path: self.path.clone(),
                found,
            });
        }
        for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
            let migrated = self.migrate_once(index, migration).await;
            migrated.map_err(|source| self.fault(source))?;
        }
        Ok(())
    }

    async fn migrate_once(
        &mut self,
        index: usize,
        migration: &'static str,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(migration).execute(&mut *transaction).await?;
        // A pragma takes no bound parameters; the number is ours.
        let version = AssertSqlSafe(format!("PRAGMA user_version = {}", index + 1));
        sqlx::raw_sql(version).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    async fn version(&mut self) -> Result<usize, CatalogueFault> {
        let version = sqlx::query("PRAGMA user_version")
            .fetch_one(&mut self.connection)
            .await
            .and_then(|row| row.try_get::<i64, _>(0));
        let version = version.map_err(|source| self.fault(source))?;
        Ok(usize::try_from(version).unwrap_or(usize::MAX))
    }

    async fn take_in_file(&mut self, name: &str, bytes: &[u8]) -> Result<TakenIn, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let taken = sqlx::query("SELECT lines FROM spool_taken WHERE file = ?")
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await?;
        let taken: i64 = taken.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        let mut taken_in = TakenIn::default();
        for entry in spool::entries(bytes, usize::try_from(taken).unwrap_or(usize::MAX)) {
            match entry {
                Some(entry) => {
                    apply(&mut transaction, &entry).await?;
                    taken_in.entries += 1;
                }
                None => taken_in.damaged += 1,
            }
        }
        let lines = taken_in.entries + taken_in.damaged;
        if lines == 0 {
            return transaction.rollback().await.map(|()| taken_in);
        }
        sqlx::query("INSERT INTO spool_taken (file, lines) VALUES (?, ?) ON CONFLICT (file) DO UPDATE SET lines = excluded.lines")
            .bind(name)
            .bind(taken.saturating_add_unsigned(lines))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(taken_in)
    }

    pub(crate) async fn page(
        &mut self,
        begin: i64,
        unrecorded: bool,
    ) -> Result<(Vec<ListedCall>, i64), sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM calls WHERE row >= ? AND (? OR recording IS NOT NULL) ORDER BY row LIMIT ?")
            .bind(begin)
            .bind(unrecorded)
            .bind(PAGE_ROWS)
            .fetch_all(&mut self.connection)
            .await?;
        let next = match rows.last() {
            Some(last) => last.try_get::<i64, _>("row")?.saturating_add(1),
            None => begin,
        };
        let calls = rows
            .iter()
            .map(ListedCall::read)
            .collect::<Result<_, _>>()?;
        Ok((calls, next))
    }

    pub(crate) fn register_state(&mut self) -> &mut RegisterState {
        &mut self.register
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Does one thing to one row.
    pub(crate) async fn execute(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), CatalogueFault> {
        let done = query.execute(&mut self.connection).await;
        done.map(drop).map_err(|source| self.fault(source))
    }

    pub(crate) fn fault(&self, source: sqlx::Error) -> CatalogueFault {
        CatalogueFault::Database {
            path: self.path.clone(),
            source,
        }
    }
}

fn if_restored(layout: &Layout) -> Result<(), CatalogueFault> {
    match Restoration::keeps_rows(&OsDisk, layout) {
        true => Err(CatalogueFault::BeingRestored {
            path: layout.catalogue(),
        }),
        false => Ok(()),
    }
}

/// Makes the file if it is missing, for the office alone; its log takes over both owner and mode.
fn make_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE_SECRET)
        .open(path)?;
    give_to_owner(&file, path)?;
    // The group could read those of former versions.
    file.set_permissions(Permissions::from_mode(MODE_SECRET))
}

pub(crate) fn time(millisecond: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_millisecond(millisecond).map_err(|fault| sqlx::Error::Decode(Box::new(fault)))
}

pub(crate) fn parse<T: std::str::FromStr>(text: &str, column: &str) -> Result<T, sqlx::Error> {
    let fault = || sqlx::Error::Decode(format!("column {column} holds no {column}").into());
    text.parse().map_err(|_| fault())
}

/// Why the catalogue cannot be used.
#[derive(Debug, Error)]
pub enum CatalogueFault {
    /// SQLite refused.
    #[error("catalogue {} cannot be used ({source}); check the disk and the file's owner, rows wait in the spool", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: sqlx::Error,
    },
    /// The file cannot be made.
    #[error("catalogue {} cannot be used ({source}); check the disk and the folder's owner, rows wait in the spool", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has tables that this program does not know, or none yet.
    #[error("catalogue {} has version {found}, expected {}; use the denwaban that wrote it, or start the office duty, which brings it up to date", path.display(), MIGRATIONS.len())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
    },
    /// A reader keeps the write-ahead log from being cut.
    #[error("the write-ahead log of catalogue {} is in use and still holds what was removed; end long lists and dispose again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A restore was cut off, so that rows may be there that have no key any more.
    #[error("a restore into {} is not at its end; stop denwaban and restore --from the backup again as root, rows wait in the spool", path.display())]
    BeingRestored {
        /// The file.
        path: PathBuf,
    },
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolFault),
    /// The trail with which the register is compared cannot be read, or is not whole.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// Register and trail contradict each other.
    #[error(transparent)]
    Register(#[from] RegisterMismatch),
}

impl CatalogueFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            CatalogueFault::Database { .. }
            | CatalogueFault::Disk { .. }
            | CatalogueFault::Busy { .. } => Fault::Resource,
            CatalogueFault::Version { .. } | CatalogueFault::BeingRestored { .. } => {
                Fault::Operator
            }
            CatalogueFault::Spool(fault) => fault.fault(),
            CatalogueFault::Audit(fault) => fault.fault(),
            CatalogueFault::Register(mismatch) => mismatch.fault(),
        }
    }
}
