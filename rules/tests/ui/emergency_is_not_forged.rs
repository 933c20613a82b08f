//! An emergency is declared, with its reason and its end.

fn prolong(emergency: rules::Emergency, expires: jiff::Timestamp) -> rules::Emergency {
    rules::Emergency { expires, ..emergency }
}

fn main() {}
