//! Whoever changes a password knew the old one.

fn name(person: rules::StaffId) -> rules::Renewal {
    rules::Renewal { person }
}

fn main() {}
