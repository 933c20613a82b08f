//! An audit chain brought back from a backup: prepared beside the one that is here, and put in its place as a whole.
//!
//! A chain that is here already was begun after the loss (`keys recover` comes before a restore) or is the backup's own, further on.
//! The first is carried over behind the backup's entries, the second stays, and two registers never become one. Start at [`ChainRestore::judge`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{AuditDraft, AuditEntry, AuditEvent, Digest};

use super::{BackupFault, at, copying::copy_missing, tiles};
use crate::{
    files::{Disk, OsDisk, list_if_there},
    heads,
    layout::{Layout, MODE_OWN, MODE_READ, MODE_TAKEN_AWAY},
    lock::Duty,
    trail::{self, AuditFault, AuditTrail, ChainEnd, Seen, Start, entries_gone, walk},
};

/// A copy that is disturbed so often is not made.
const TRIES: usize = 3; // Heads are signed each hour, and months go once in months.

/// Copies a chain with its tiles; these come first, so that their head is no newer than the trail.
///
/// # Errors
/// [`BackupFault::Moving`] if heads are signed or months removed each time; [`BackupFault`].
pub(super) fn back_up(layout: &Layout, copy: &Layout, chain: Duty) -> Result<(), BackupFault> {
    let [from, to] = [layout, copy].map(|layout| trail::folder(layout, chain));
    for _ in 0..TRIES {
        let before = Moved::read(layout, chain)?;
        tiles::back_up(layout, copy, chain)?;
        copy_missing(&OsDisk, &from, &to, MODE_TAKEN_AWAY, |_| true)?;
        if Moved::read(layout, chain)? == before {
            return Ok(());
        }
        tiles::forget(copy, chain)?;
        remove_folder(&to)?;
    }
    Err(BackupFault::Moving { path: from })
}

/// What is another when a head was signed, or a month removed.
#[derive(PartialEq, Eq)]
struct Moved {
    first_file: Option<String>,
    head: Option<Vec<u8>>,
}

impl Moved {
    fn read(layout: &Layout, chain: Duty) -> Result<Moved, BackupFault> {
        let folder = trail::folder(layout, chain);
        let files = list_if_there(&OsDisk, &folder).map_err(at(&folder))?;
        let checkpoint = heads::checkpoint(layout, chain);
        let head = match OsDisk.read(&checkpoint) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.map_err(at(&checkpoint))?),
        };
        Ok(Moved {
            first_file: files.into_iter().next(),
            head,
        })
    }
}

/// How the chain that is here stands to the backup's.
enum Standing {
    /// It leads through the backup's end, and stays.
    Newer,
    /// The backup's leads through its end.
    Older,
    /// It was begun anew.
    Apart(Written),
}

/// What was written here that the backup does not know.
struct Written {
    /// Without what a chain says of itself.
    entries: Vec<AuditEntry>,
    /// The root of the tree in which they stood.
    head: Digest,
}

/// A chain that is to come back.
pub(super) struct ChainRestore<'place> {
    disk: &'place Arc<dyn Disk>,
    layout: &'place Layout,
    backup: &'place Layout,
    chain: Duty,
    prepared: Prepared,
    standing: Standing,
}

impl<'place> ChainRestore<'place> {
    /// Compares the chain that is here with the backup's, and changes nothing.
    ///
    /// # Errors
    /// [`BackupFault::Parted`] if it was begun anew and has a register of its own; [`BackupFault`] if one of them cannot be read.
    pub(super) fn judge(
        disk: &'place Arc<dyn Disk>,
        layout: &'place Layout,
        backup: &'place Layout,
        chain: Duty,
    ) -> Result<ChainRestore<'place>, BackupFault> {
        let prepared = Prepared::of(layout, chain);
        let there = match prepared.is_whole() {
            true => &prepared.layout,
            false => backup,
        };
        let standing = stand(&**disk, layout, there, chain)?;
        Ok(ChainRestore {
            disk,
            layout,
            backup,
            chain,
            prepared,
            standing,
        })
    }

    /// Brings it, and the tiles that lead to it.
    ///
    /// # Returns
    /// What of the tiles stays in the backup, and why.
    ///
    /// # Errors
    /// [`BackupFault`]; restoring again goes on.
    pub(super) fn bring(self, now: Timestamp) -> Result<Vec<BackupFault>, BackupFault> {
        let (disk, layout) = (&**self.disk, self.layout);
        let (backup, chain) = (self.backup, self.chain);
        self.bring_trail(now)?;
        tiles::bring(disk, layout, backup, chain)
    }

    fn bring_trail(self, now: Timestamp) -> Result<(), BackupFault> {
        let disk = &**self.disk;
        if matches!(self.standing, Standing::Newer) {
            return Ok(());
        }
        if !self.prepared.is_whole() {
            self.prepared.copy(disk, self.backup)?;
        }
        if let Standing::Apart(written) = self.standing {
            self.prepared.carry(self.disk, written, now)?;
            // Hashes and heads of the chain that goes would refuse every head of the one that comes.
            tiles::forget(self.layout, self.chain)?;
            remove_folder(&self.layout.heads().join(self.chain.name()))?;
        }
        let place = trail::folder(self.layout, self.chain);
        self.prepared.take_the_place_of(disk, &place)
    }
}

fn stand(
    disk: &dyn Disk,
    here: &Layout,
    there: &Layout,
    chain: Duty,
) -> Result<Standing, BackupFault> {
    let end_there = end_of(disk, there, chain)?;
    let is_longer = entries_gone(disk, here, chain)? > end_there.seq;
    if is_longer || leads_through(disk, here, chain, end_there)? {
        return Ok(Standing::Newer);
    }
    let end_here = end_of(disk, here, chain)?;
    if leads_through(disk, there, chain, end_here)? {
        return Ok(Standing::Older);
    }
    written(disk, here, chain).map(Standing::Apart)
}

/// The last entry that is as it was written.
fn end_of(disk: &dyn Disk, layout: &Layout, chain: Duty) -> Result<ChainEnd, AuditFault> {
    let newest = Start::Size(u64::MAX);
    let walked = walk(disk, layout, chain, newest, &mut |_| {
        Ok::<(), AuditFault>(())
    })?;
    Ok(walked.end)
}

fn leads_through(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    end: ChainEnd,
) -> Result<bool, AuditFault> {
    let mut is_met = false;
    let walked = walk(disk, layout, chain, Start::Size(end.seq), &mut |seen| {
        if let Seen::Entry { line, .. } = seen {
            is_met |= line.end() == Some(end);
        }
        Ok::<(), AuditFault>(())
    })?;
    Ok(is_met || walked.before == end)
}

/// All entries of a chain that was begun anew.
fn written(disk: &dyn Disk, layout: &Layout, chain: Duty) -> Result<Written, BackupFault> {
    let mut entries = Vec::new();
    let parted = || BackupFault::Parted {
        path: trail::folder(layout, chain),
    };
    let walked = walk(disk, layout, chain, Start::First, &mut |seen| {
        let Seen::Entry { line, .. } = seen else {
            return Ok(());
        };
        if line.tells_of_fact() {
            return Err(parted());
        }
        let entry = line.read().ok_or_else(parted)?;
        match entry.event {
            AuditEvent::MonthBegun { .. } | AuditEvent::TrailCut { .. } => {}
            _ => entries.push(entry),
        }
        Ok(())
    })?;
    match walked.bad_before_its_end() {
        Some(bad) => Err(AuditFault::from(bad.clone()).into()),
        None => Ok(Written {
            entries,
            head: walked.frontier.root(),
        }),
    }
}

/// A chain on its way, in a folder beside the place where it belongs.
struct Prepared {
    folder: PathBuf,
    /// In which it lies where the other one lies in its own.
    layout: Layout,
    chain: Duty,
}

impl Prepared {
    fn of(layout: &Layout, chain: Duty) -> Prepared {
        let folder = chain.folder(layout).join("restoring-trail");
        Prepared {
            layout: Layout::new(&folder, folder.join("root-is-in-no-backup")),
            folder,
            chain,
        }
    }

    /// Where what stood in its place is put.
    fn former(&self) -> impl Iterator<Item = PathBuf> {
        (0..).map(|number| self.folder.join(format!("former-{number}")))
    }

    /// Whether all of it is there: only then anything went out of its place.
    fn is_whole(&self) -> bool {
        self.former().next().is_some_and(|former| former.exists())
    }

    fn copy(&self, disk: &dyn Disk, backup: &Layout) -> Result<(), BackupFault> {
        remove_folder(&self.folder)?;
        let mode = match self.chain {
            Duty::Calls => MODE_READ,
            Duty::Office => MODE_OWN,
        };
        let [from, to] = [backup, &self.layout].map(|layout| trail::folder(layout, self.chain));
        copy_missing(disk, &from, &to, mode, |_| true).map(drop)
    }

    /// Writes once more what was written since the loss, each entry with its own time.
    fn carry(
        &self,
        disk: &Arc<dyn Disk>,
        Written { entries, head }: Written,
        now: Timestamp,
    ) -> Result<(), BackupFault> {
        let mut trail = AuditTrail::open(Arc::clone(disk), &self.layout, self.chain)?;
        let carried = entries.len() as u64;
        for AuditEntry {
            at, actor, event, ..
        } in entries
        {
            let _ = trail.append(AuditDraft { actor, event }, at)?;
        }
        let event = AuditEvent::TrailRestored { carried, head };
        let _ = trail.append(AuditDraft::system(event), now)?;
        Ok(())
    }

    /// What stands there is kept until this stands there.
    fn take_the_place_of(&self, disk: &dyn Disk, place: &Path) -> Result<(), BackupFault> {
        let former = self.former().find(|former| !former.exists());
        if let Some(former) = former.filter(|_| place.exists()) {
            disk.rename(place, &former).map_err(at(place))?;
            disk.sync_folder(&self.folder).map_err(at(&self.folder))?;
        }
        let prepared = trail::folder(&self.layout, self.chain);
        disk.rename(&prepared, place).map_err(at(place))?;
        if let Some(folder) = place.parent() {
            disk.sync_folder(folder).map_err(at(folder))?;
        }
        remove_folder(&self.folder)
    }
}

pub(super) fn remove_folder(folder: &Path) -> Result<(), BackupFault> {
    match fs::remove_dir_all(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(at(folder)(fault)),
        _ => Ok(()),
    }
}
