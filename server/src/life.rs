//! The service's own life in its audit chain: how it last ended, what it was configured with.

use aws_lc_rs::digest::{SHA256, digest};
use rules::{AuditDraft, AuditEntry, AuditEvent, Digest, LastStop};
use storage::{Duty, Layout, OsDisk, find_newest};

/// How the last run of the calls duty ended, as its chain tells it: the newest start or stop is what counts.
pub(crate) fn last_stop(layout: &Layout) -> LastStop {
    let stop = |entry: &str| {
        let entry: AuditEntry = serde_json::from_str(entry).ok()?;
        match entry.event {
            AuditEvent::ServerStopped { .. } => Some(LastStop::Clean),
            AuditEvent::ServerStarted { .. } => Some(LastStop::Crash),
            _ => None,
        }
    };
    // Where the chain cannot be read nobody knows.
    let found = find_newest(&OsDisk, layout, Duty::Calls, stop)
        .ok()
        .flatten();
    found.unwrap_or(LastStop::Never)
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
