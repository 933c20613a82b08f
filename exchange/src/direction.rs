//! Which way a call goes, seen from the city.

/// Which way a call goes. Only inbound calls are ever recorded (K-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// A carrier brings a citizen's call to one of the city's numbers.
    Inbound,
    /// The PBX calls somebody outside.
    Outbound,
    /// The PBX calls one of the city's own numbers, as for a consultation.
    Internal,
}

impl Direction {
    /// As lists and ladders show it.
    pub fn code(self) -> &'static str {
        match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::Internal => "internal",
        }
    }
}
