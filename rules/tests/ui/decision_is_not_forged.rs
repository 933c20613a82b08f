//! A decision of a manager comes out of the register; `by_configuration` makes the other.

fn confirm(decision: rules::NumberDecision, authority: rules::Authority) -> rules::NumberDecision {
    rules::NumberDecision { authority, ..decision }
}

fn main() {}
