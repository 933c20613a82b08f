//! Seeing a caller's number needs the receipt of its own entry.

fn of_another(permit: rules::RevealPermit, recording: rules::RecordingId) -> rules::RevealPermit {
    rules::RevealPermit { recording, ..permit }
}

fn main() {}
