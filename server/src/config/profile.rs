//! Trunk profiles: what a carrier's interface asks for, as data. They differ in nothing else.
//!
//! A profile is a file with the keys of a `[[peer]]`; what the peer writes itself wins. Each file says what of it is known and what is
//! to be checked with the carrier.

use std::sync::LazyLock;

use toml::de::DeTable;

/// The profiles by name.
const TEXTS: [(&str, &str); 6] = [
    ("kddi", include_str!("profiles/kddi.toml")),
    (
        "ntt-hikari-office",
        include_str!("profiles/ntt-hikari-office.toml"),
    ),
    (
        "ntt-number-gate",
        include_str!("profiles/ntt-number-gate.toml"),
    ),
    ("softbank", include_str!("profiles/softbank.toml")),
    ("ttc-jj-90-24", include_str!("profiles/ttc-jj-90-24.toml")),
    ("ttc-jj-90-30", include_str!("profiles/ttc-jj-90-30.toml")),
];

static TABLES: LazyLock<Vec<(&str, DeTable<'static>)>> = LazyLock::new(|| {
    let read = |(name, text): &(&'static str, &'static str)| {
        let table = DeTable::parse(text).expect("a test reads each of them");
        (*name, table.into_inner())
    };
    TEXTS.iter().map(read).collect()
});

/// The profile of this name.
pub(super) fn find(name: &str) -> Option<&'static DeTable<'static>> {
    TABLES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, table)| table)
}

/// The names there are.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name)
}
