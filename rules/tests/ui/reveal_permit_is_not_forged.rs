//! Seeing a caller's number needs the receipt of its own entry.

fn of_another(permit: rules::RevealPermit, grant: rules::RevealGrant) -> rules::RevealPermit {
    rules::RevealPermit { grant, ..permit }
}

fn main() {}
