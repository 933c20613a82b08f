//! One permit, one playback.

fn copy(permit: &rules::ListenPermit) -> rules::ListenPermit {
    permit.clone()
}

fn main() {}
