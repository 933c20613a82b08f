//! One notice, one recording.

fn copy(notice: &rules::Notice) -> rules::Notice {
    notice.clone()
}

fn main() {}
