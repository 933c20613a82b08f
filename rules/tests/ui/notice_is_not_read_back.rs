//! What a file says is data, never evidence.

fn read<T: serde::de::DeserializeOwned>() {}

fn main() {
    read::<rules::Notice>();
    read::<rules::Emergency>();
}
