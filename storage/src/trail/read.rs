//! The entries of a chain, for whoever wants to read them.

use std::str::from_utf8;

use rules::{AuditEntry, JstMonth};

use crate::{files::Disk, layout::Layout, lock::Duty};

use super::{
    AuditFault, Seen, Start, folder,
    month::{beginning_of, file_name, months},
    walk,
};

/// Shows hash and entry of each line from number `first` on, as they stand there, up to the first that is not as it was written.
///
/// # Errors
/// [`AuditFault::Disk`], or [`AuditFault::Broken`] behind the last good entry.
pub fn read_entries(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    first: u64,
    show: &mut dyn FnMut(&str, &str),
) -> Result<(), AuditFault> {
    let start = Start::Size(first.saturating_sub(1));
    read_from(disk, layout, chain, (start, first), show)
}

/// Shows the same from the first entry of a month on.
///
/// # Errors
/// As [`read_entries`].
pub fn read_months(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    since: JstMonth,
    show: &mut dyn FnMut(&str, &str),
) -> Result<(), AuditFault> {
    read_from(disk, layout, chain, (Start::Month(since), 1), show)
}

fn read_from(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    (start, first): (Start, u64),
    show: &mut dyn FnMut(&str, &str),
) -> Result<(), AuditFault> {
    let walked = walk(disk, layout, chain, start, &mut |seen| {
        if let Seen::Entry { line, .. } = seen
            && line.seq >= first
            && let (Ok(hash), Ok(entry)) = (from_utf8(line.hash), from_utf8(line.entry))
        {
            show(hash, entry);
        }
        Ok::<(), AuditFault>(())
    })?;
    walked.first_bad.map_or(Ok(()), |bad| Err(bad.into()))
}

/// How many entries came before the first month that is there.
pub(crate) fn entries_gone(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
) -> Result<u64, AuditFault> {
    let folder = folder(layout, chain);
    let Some(first) = months(disk, &folder)?.into_iter().next() else {
        return Ok(0);
    };
    let begun = beginning_of(disk, &folder.join(file_name(&first)))?;
    Ok(begun.map_or(0, |begun| begun.end.seq))
}

/// The decisions to remove months, in order.
pub(super) fn removals(disk: &dyn Disk, layout: &Layout) -> Result<Vec<AuditEntry>, AuditFault> {
    let mut found = Vec::new();
    walk(disk, layout, Duty::Office, Start::First, &mut |seen| {
        if let Seen::Entry { line, .. } = seen
            && line.tells_of_removal()
        {
            found.extend(line.read());
        }
        Ok::<(), AuditFault>(())
    })?;
    Ok(found)
}
