//! A permit cannot be taken from another: its fields are its own.

fn of_another(permit: rules::ListenPermit, grant: rules::ListenGrant) -> rules::ListenPermit {
    rules::ListenPermit { grant, ..permit }
}

fn main() {}
