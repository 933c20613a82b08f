//! One permit, one reading.

fn copy(permit: &rules::ItemPermit) -> rules::ItemPermit {
    permit.clone()
}

fn main() {}
