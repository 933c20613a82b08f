//! A receipt says that an entry is on disk; its maker is the trail's.

fn forge(entry: rules::AuditEntry) -> rules::AuditReceipt {
    rules::AuditReceipt { entry, hash: [0; 32] }
}

fn main() {}
