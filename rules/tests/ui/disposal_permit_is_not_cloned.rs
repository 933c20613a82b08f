//! One permit, one disposal.

fn copy(permit: &rules::DisposalPermit) -> rules::DisposalPermit {
    permit.clone()
}

fn main() {}
