//! What is recorded was judged.

fn another(grant: rules::RegisterGrant, fact: rules::Fact) -> rules::RegisterGrant {
    rules::RegisterGrant { fact, ..grant }
}

fn main() {}
