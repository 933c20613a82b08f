//! A grant comes from a judged request.

fn for_another(grant: rules::ListenGrant, recording: rules::RecordingId) -> rules::ListenGrant {
    rules::ListenGrant { recording, ..grant }
}

fn main() {}
