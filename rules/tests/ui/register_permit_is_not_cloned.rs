//! One permit, one fact.

fn copy(permit: &rules::RegisterPermit) -> rules::RegisterPermit {
    permit.clone()
}

fn main() {}
