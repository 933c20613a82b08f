//! An emergency or a decision waives the announcement, nobody else.

fn main() {
    let number = rules::Number::parse("0783331000").unwrap();
    let _ = rules::Notice::waived(&number);
    let _ = rules::Notice::default();
}
