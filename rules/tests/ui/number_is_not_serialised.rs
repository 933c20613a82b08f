//! A citizen's number is sealed; nothing writes it in clear by deriving.

fn write<T: serde::Serialize>() {}

fn main() {
    write::<rules::Number>();
    write::<rules::Caller>();
}
