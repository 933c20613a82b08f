//! One proof, one request.

fn copy(proved: &rules::Proved) -> rules::Proved {
    proved.clone()
}

fn main() {}
