//! A package leaves with the receipt of its own entry.

fn another(granted: rules::HandOverPermit) -> rules::HandOverPermit {
    rules::HandOverPermit { left: Vec::new(), ..granted }
}

fn main() {}
