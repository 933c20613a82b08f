//! A person is proved, never named alone.

fn name(person: rules::StaffId) -> rules::Proved {
    rules::Proved { person }
}

fn main() {}
