//! A fact is recorded with the receipt of its own entry.

fn another(permit: rules::RegisterPermit, fact: rules::Fact) -> rules::RegisterPermit {
    rules::RegisterPermit { fact, ..permit }
}

fn main() {}
