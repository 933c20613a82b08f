//! One entry, one act.

fn copy(receipt: &rules::AuditReceipt) -> rules::AuditReceipt {
    receipt.clone()
}

fn main() {}
