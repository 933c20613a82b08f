//! A permit's end is fixed when it is made.

fn prolong(permit: rules::ListenPermit, lapses_at: jiff::Timestamp) -> rules::ListenPermit {
    rules::ListenPermit { lapses_at, ..permit }
}

fn main() {}
