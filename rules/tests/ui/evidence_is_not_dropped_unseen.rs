//! Evidence that nobody takes up is a forgotten step.
#![deny(unused_must_use)]

fn forget(played: &rules::Played) {
    rules::Notice::announced(played);
}

fn main() {}
