//! The torture messages at the level of one message: ours against the table, and three readers beside each other.

use std::fmt::Write as _;

use conformance::{
    readers::{self, Reading},
    vectors::{self, Level, Parser},
};
use expect_test::expect_file;
use sip_core::Message;

#[test]
fn each_message_is_read_or_refused_as_its_document_wants() {
    let vectors = vectors::all();
    let outcomes: Vec<_> = vectors
        .iter()
        .map(|vector| {
            let ours = match Message::parse(vector.octets.clone()) {
                Ok(_) => "accept",
                Err(_) => "reject",
            };
            let is_allowed = match vector.parser {
                Parser::Either => true,
                Parser::Accept => ours == "accept",
                Parser::Reject => ours == "reject",
            };
            (vector, ours.to_owned(), is_allowed)
        })
        .collect();
    assert_eq!(
        vectors::surprises(Level::Message, &outcomes),
        Vec::<String>::new()
    );
}

#[test]
fn three_readers_make_of_each_message_what_the_table_says() {
    // A reader that panics is a row of the table, not noise on the screen.
    std::panic::set_hook(Box::new(|_| {}));
    let mut table = String::from("message | denwaban | rsip 0.4.0 | rsipstack 0.7.14\n");
    for vector in vectors::all() {
        let ours = readers::denwaban(&vector.octets);
        let said = match (&ours, Message::parse(vector.octets.clone())) {
            (_, Err(refusal)) => format!("refuses: {}", refusal.fault().rule),
            (Reading::Read(_), Ok(_)) => "reads".to_owned(),
            (Reading::Refused | Reading::Fell, Ok(_)) => "panics".to_owned(),
        };
        let (rsip, rsipstack) = (
            readers::rsip(&vector.octets),
            readers::rsipstack(&vector.octets),
        );
        writeln!(
            table,
            "{} | {said} | {} | {}",
            vector.name,
            rsip.beside(&ours),
            rsipstack.beside(&ours)
        )
        .unwrap();
    }
    assert!(
        !table.contains("| panics |"),
        "a message made our reader panic:\n{table}"
    );
    expect_file!["../readers.txt"].assert_eq(&table);
}
