//! A chain from its end: what was written last, without reading what came before.

use std::path::PathBuf;

use jiff::Timestamp;
use rules::AuditEntry;
use serde::Deserialize;

use crate::{files::Disk, layout::Layout, lock::Duty};

use super::{
    AuditFault, at, folder,
    line::Line,
    month::{MAX_LINE_BYTES, file_name, months},
};

/// Several entries at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Shows the entries of a chain, as they stand there, from the newest on, until one of them is what is looked for. A last line
/// that is cut off counts for nothing, as everywhere.
///
/// # Errors
/// [`AuditFault::Disk`].
pub fn find_newest<T>(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    mut find: impl FnMut(&str) -> Option<T>,
) -> Result<Option<T>, AuditFault> {
    let folder = folder(layout, chain);
    for month in months(disk, &folder)?.iter().rev() {
        let mut lines = Backwards::open(disk, folder.join(file_name(month)))?;
        while let Some(line) = lines.next()? {
            let entry = Line::parse(&line).and_then(|line| str::from_utf8(line.entry).ok());
            if let Some(found) = entry.and_then(&mut find) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The newest entry of which something holds, behind number `after`.
///
/// # Errors
/// [`AuditFault::Disk`].
pub(crate) fn newest_behind(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    after: u64,
    is_sought: impl Fn(&AuditEntry) -> bool,
) -> Result<Option<AuditEntry>, AuditFault> {
    let found = find_newest(disk, layout, chain, |text| {
        let entry: AuditEntry = serde_json::from_str(text).ok()?;
        match entry.seq > after {
            true => is_sought(&entry).then_some(Some(entry)),
            false => Some(None),
        }
    });
    found.map(Option::flatten)
}

#[derive(Deserialize)]
struct Dated {
    at: Timestamp,
}

/// The time of the newest entry of a chain; `None` where there is none that can be read.
///
/// # Errors
/// [`AuditFault::Disk`].
pub fn last_entry_at(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
) -> Result<Option<Timestamp>, AuditFault> {
    // Of any version: the time is all that is asked.
    let dated = |entry: &str| serde_json::from_str::<Dated>(entry).ok();
    let found = find_newest(disk, layout, chain, dated)?;
    Ok(found.map(|entry| entry.at))
}

/// A file's lines from its last on.
struct Backwards<'disk> {
    disk: &'disk dyn Disk,
    path: PathBuf,
    /// What was not read yet, from the file's beginning.
    left_bytes: u64,
    /// What was read behind that and not given out; no line feed ends it.
    read: Vec<u8>,
}

impl<'disk> Backwards<'disk> {
    /// At the last line feed.
    fn open(disk: &'disk dyn Disk, path: PathBuf) -> Result<Backwards<'disk>, AuditFault> {
        let left_bytes = disk.len(&path).map_err(at(&path))?;
        let mut lines = Backwards {
            disk,
            path,
            left_bytes,
            read: Vec::new(),
        };
        // What stands behind it is no line.
        let _ = lines.next()?;
        Ok(lines)
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, AuditFault> {
        loop {
            if let Some(feed) = self.read.iter().rposition(|octet| *octet == b'\n') {
                let line = self.read.split_off(feed + 1);
                self.read.truncate(feed);
                return Ok(Some(line));
            }
            if self.left_bytes == 0 || self.read.len() > MAX_LINE_BYTES {
                let first = std::mem::take(&mut self.read);
                self.left_bytes = 0;
                return Ok((!first.is_empty()).then_some(first));
            }
            self.read_block()?;
        }
    }

    fn read_block(&mut self) -> Result<(), AuditFault> {
        let length =
            usize::try_from(self.left_bytes).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let from = self.left_bytes - length as u64;
        let block = self.disk.read_part(&self.path, from, length);
        let mut block = block.map_err(at(&self.path))?;
        block.append(&mut self.read);
        (self.read, self.left_bytes) = (block, from);
        Ok(())
    }
}
