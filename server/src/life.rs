//! The service's own life in its audit chain: how it last ended, what it was configured with.

use aws_lc_rs::digest::{SHA256, digest};
use rules::{AuditDraft, AuditEntry, AuditEvent, Digest, LastStop};
use serde::Deserialize;
use storage::{Disk, Layout, OsDisk};

#[derive(Deserialize)]
struct Line {
    entry: AuditEntry,
}

/// How the last run of the calls duty ended, as its chain tells it: the newest start or stop is what counts.
pub(crate) fn last_stop(layout: &Layout) -> LastStop {
    let folder = layout.calls_audit();
    let mut months = OsDisk.list(&folder).unwrap_or_default();
    months.retain(|name| name.ends_with(".jsonl"));
    for month in months.iter().rev() {
        let Ok(bytes) = OsDisk.read(&folder.join(month)) else {
            continue;
        };
        let ends = bytes.split(|byte| *byte == b'\n').rev();
        let events =
            ends.filter_map(|line| Some(serde_json::from_slice::<Line>(line).ok()?.entry.event));
        for event in events {
            match event {
                AuditEvent::ServerStopped { .. } => return LastStop::Clean,
                AuditEvent::ServerStarted { .. } => return LastStop::Crash,
                _ => {}
            }
        }
    }
    LastStop::Never
}

/// The entries of a start.
pub(crate) fn started(last_stop: LastStop, configuration: Digest) -> [AuditDraft; 2] {
    [
        AuditDraft::system(AuditEvent::ServerStarted { last_stop }),
        AuditDraft::system(AuditEvent::ConfigurationLoaded {
            sha256: configuration,
        }),
    ]
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest(sha256)
}
