//! One permit, one search.

fn copy(permit: &rules::FindPermit) -> rules::FindPermit {
    permit.clone()
}

fn main() {}
