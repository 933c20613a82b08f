//! One entry in the trail, one permit.

fn twice(grant: rules::ListenGrant, first: rules::AuditReceipt, second: rules::AuditReceipt, now: jiff::Timestamp) {
    let _ = rules::ListenPermit::issue(grant, first, now);
    let _ = rules::ListenPermit::issue(grant, second, now);
}

fn main() {}
