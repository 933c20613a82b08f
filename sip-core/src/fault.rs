//! Whose fault something is.

/// The side that has to change something before the same thing can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The other end of the wire sent something wrong.
    Peer,
    /// The configuration is wrong.
    Operator,
    /// Something ran out.
    Resource,
    /// This code is wrong.
    Ours,
}
