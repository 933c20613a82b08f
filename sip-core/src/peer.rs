//! What an endpoint is told of each peer: how calls with it are kept alive, and who we are to it.

use std::{fmt, time::Duration};

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A neighbour, opaque to this room: the application gives the number, and each message comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId(pub u16);

/// How we speak with one peer. The default is what is right for a peer nothing is known of.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// Session timers of calls with it.
    pub session: SessionSettings,
    /// Reliable provisional answers (RFC 3262).
    pub reliable: Reliable,
    /// Whether a request that is too long for UDP goes over TCP (RFC 3261 section 18.1.1).
    pub switch_over_mtu: bool,
    /// Who we are when it asks.
    pub credentials: Option<Credentials>,
}

impl Default for PeerSettings {
    fn default() -> Self {
        PeerSettings {
            session: SessionSettings::default(),
            reliable: Reliable::Supported,
            switch_over_mtu: false,
            credentials: None,
        }
    }
}

/// Session timers (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// What we offer as Session-Expires; none switches session timers off.
    pub interval: Option<Duration>,
    /// The shortest we take, our Min-SE.
    pub min: Duration,
    /// By what we refresh.
    pub method: RefreshMethod,
}

impl Default for SessionSettings {
    fn default() -> Self {
        SessionSettings {
            interval: Some(Duration::from_secs(1800)), // RFC 4028 section 4 recommends it.
            min: Duration::from_secs(90), // No Min-SE may be shorter (RFC 4028 section 4).
            method: RefreshMethod::Update,
        }
    }
}

/// By what a session is refreshed (RFC 4028 section 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefreshMethod {
    /// UPDATE without a description where the peer allows UPDATE, else a re-INVITE.
    Update,
    /// A re-INVITE with the description that stands.
    Invite,
}

/// How far provisional answers are made reliable (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reliable {
    /// Never.
    Off,
    /// Where the other side asks for it.
    Supported,
    /// Always: the other side must be able to.
    Required,
}

/// A name and a password, for one realm. `Debug` shows nothing of them; they are wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Credentials {
    /// The realm they are for; a challenge of another is not answered.
    pub realm: String,
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}
