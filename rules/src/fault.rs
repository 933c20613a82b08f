//! Whose fault a fault is.

/// Whose fault something is; `server` matches on it once and decides what to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The other side of a connection sent what it must not send.
    Peer,
    /// A person or the configuration asked for what cannot be.
    Operator,
    /// A disk, a socket, a device or memory gave out.
    Resource,
    /// This program is wrong.
    Ours,
}
