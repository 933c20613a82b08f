//! What the audit trail tells of the root: it may know of generations that an old copy of the keys does not.

use rules::{AuditEntry, AuditEvent};

use crate::{files::Disk, layout::Layout, lock::Duty, trail::find_newest};

/// The newest generation that the office wrote down; 0 where it tells of none or cannot be read.
pub(super) fn told_generation(disk: &dyn Disk, layout: &Layout) -> u32 {
    let told = find_newest(disk, layout, Duty::Office, |entry| {
        let entry: AuditEntry = serde_json::from_str(entry).ok()?;
        match entry.event {
            AuditEvent::KeysRotated { generation, .. }
            | AuditEvent::KeysMirrored { generation, .. }
            | AuditEvent::KeysRecovered { generation } => Some(generation),
            _ => None,
        }
    });
    let told = told.ok().flatten();
    told.map_or(0, |told| u32::try_from(told).unwrap_or(0))
}
