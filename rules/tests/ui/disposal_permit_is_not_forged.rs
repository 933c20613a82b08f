//! A day is destroyed by the permit for that day.

fn another_day(permit: rules::DisposalPermit, day: rules::JstDay) -> rules::DisposalPermit {
    rules::DisposalPermit { day, ..permit }
}

fn main() {}
