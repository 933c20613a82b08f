//! A grant comes from a judged request.

fn for_another(grant: rules::ListenGrant, heard: rules::Heard) -> rules::ListenGrant {
    rules::ListenGrant { heard, ..grant }
}

fn main() {}
