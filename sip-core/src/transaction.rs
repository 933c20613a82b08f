//! The four transactions: pure machines that say what to do and never send.
//!
//! Follows RFC 3261 section 17 as corrected by RFC 6026; over a reliable transport nothing is repeated and nothing absorbed.

pub(crate) mod client;
pub(crate) mod invite_client;
pub(crate) mod invite_server;
pub(crate) mod server;

/// What a timer of a transaction asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send the last message again.
    Repeat,
    /// Tell the user that no answer came; the transaction is over.
    GiveUp,
    /// The transaction is over.
    Over,
}
