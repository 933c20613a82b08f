//! Nobody is proved by a file.

fn read<T: serde::de::DeserializeOwned>() {}

fn main() {
    read::<rules::Proved>();
    read::<rules::Renewal>();
    read::<rules::RegisterPermit>();
}
