//! What the two sides of a dialog can do: methods by Allow, extensions by Supported.
//!
//! Follows RFC 3261 sections 20.5 and 20.37, RFC 3262 section 4 and RFC 4028 section 7.

use crate::{
    header::{HeaderName, Method},
    message::Message,
    peer::{PeerSettings, Reliable},
};

/// An extension this endpoint knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    /// Reliable provisional answers (RFC 3262).
    Reliable,
    /// Session timers (RFC 4028).
    Timer,
    /// Replacing a dialog (RFC 3891); the application does it.
    Replaces,
    /// A REFER of whose outcome nobody is told (RFC 4488); the application does it.
    NoReferSub,
}

const EXTENSIONS: [Extension; 4] = [
    Extension::Reliable,
    Extension::Timer,
    Extension::Replaces,
    Extension::NoReferSub,
];

impl Extension {
    /// Its option tag.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Extension::Reliable => "100rel",
            Extension::Timer => "timer",
            Extension::Replaces => "replaces",
            Extension::NoReferSub => "norefersub",
        }
    }

    /// Whether we offer it to a peer.
    pub(crate) fn is_on(self, settings: &PeerSettings) -> bool {
        match self {
            Extension::Reliable => settings.reliable != Reliable::Off,
            Extension::Timer => settings.session.interval.is_some(),
            Extension::Replaces | Extension::NoReferSub => true,
        }
    }
}

/// The value of our Supported towards a peer.
pub(crate) fn supported(settings: &PeerSettings) -> String {
    let tags: Vec<&str> = EXTENSIONS
        .into_iter()
        .filter(|extension| extension.is_on(settings))
        .map(Extension::tag)
        .collect();
    tags.join(", ")
}

/// The option tags of Require that we do not offer this peer (RFC 3261 section 8.2.2.3).
pub(crate) fn unsupported(request: &Message, settings: &PeerSettings) -> Vec<String> {
    let is_known = |tag: &[u8]| {
        EXTENSIONS.iter().any(|extension| {
            extension.is_on(settings) && tag.eq_ignore_ascii_case(extension.tag().as_bytes())
        })
    };
    request
        .elements(HeaderName::Require)
        .filter(|tag| !tag.is_empty() && !is_known(tag))
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect()
}

/// Whether a message has an option tag in Require.
pub(crate) fn requires(message: &Message, extension: Extension) -> bool {
    message
        .elements(HeaderName::Require)
        .any(|tag| tag.eq_ignore_ascii_case(extension.tag().as_bytes()))
}

/// Whether the sender of a message can do it: by Supported, or because it requires it.
pub(crate) fn supports(message: &Message, extension: Extension) -> bool {
    message
        .elements(HeaderName::Supported)
        .any(|tag| tag.eq_ignore_ascii_case(extension.tag().as_bytes()))
        || requires(message, extension)
}

/// What the other side said it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abilities {
    methods: u16,
}

impl Abilities {
    /// Takes what a first message says; without Allow only what RFC 3261 itself defines is expected.
    pub(crate) fn of(message: &Message) -> Abilities {
        let mut abilities = Abilities { methods: BASE };
        abilities.hear(message);
        abilities
    }

    /// Takes what a later message says; what it does not say stands.
    pub(crate) fn hear(&mut self, message: &Message) {
        if message.value(HeaderName::Allow).is_some() {
            self.methods = message
                .elements(HeaderName::Allow)
                .map(|token| bit(&Method::read(token, message.octets())))
                .fold(0, |methods, bit| methods | bit);
        }
    }

    /// Takes that a method was answered by 405 or 501.
    pub(crate) fn forget(&mut self, method: &Method) {
        self.methods &= !bit(method);
    }

    /// Whether the other side said that it takes a method; of one we do not know it cannot have.
    pub(crate) fn allows(self, method: &Method) -> bool {
        self.methods & bit(method) != 0
    }
}

/// INVITE, ACK, BYE, CANCEL and OPTIONS.
const BASE: u16 = 0b1_1111;

fn bit(method: &Method) -> u16 {
    match method {
        Method::Invite => 1,
        Method::Ack => 1 << 1,
        Method::Bye => 1 << 2,
        Method::Cancel => 1 << 3,
        Method::Options => 1 << 4,
        Method::Register => 1 << 5,
        Method::Prack => 1 << 6,
        Method::Update => 1 << 7,
        Method::Info => 1 << 8,
        Method::Refer => 1 << 9,
        Method::Notify => 1 << 10,
        Method::Subscribe => 1 << 11,
        Method::Message => 1 << 12,
        Method::Publish => 1 << 13,
        Method::Other(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(more: &str) -> Message {
        let text = format!(
            "INVITE sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{more}\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    #[test]
    fn a_peer_without_allow_is_expected_to_know_the_base_only() {
        let abilities = Abilities::of(&message(""));
        assert!(abilities.allows(&Method::Options) && !abilities.allows(&Method::Update));
    }

    #[test]
    fn what_a_later_message_does_not_say_stands() {
        let mut abilities =
            Abilities::of(&message("Allow: INVITE, UPDATE\r\nAllow: X-NEW, INFO\r\n"));
        abilities.hear(&message(""));
        assert!(abilities.allows(&Method::Update) && abilities.allows(&Method::Info));
        assert!(!abilities.allows(&Method::Bye));
        abilities.forget(&Method::Update);
        assert!(!abilities.allows(&Method::Update) && abilities.allows(&Method::Info));
        abilities.hear(&message("Allow: BYE\r\n"));
        assert!(abilities.allows(&Method::Bye) && !abilities.allows(&Method::Info));
    }

    #[test]
    fn who_requires_an_extension_supports_it() {
        let able = |more: &str| supports(&message(more), Extension::Reliable);
        assert!(able("k: foo, 100REL\r\n") && able("Require: 100rel\r\n"));
        assert!(!able("") && !able("Supported: timer\r\n"));
    }

    #[test]
    fn an_extension_that_is_off_for_a_peer_is_neither_offered_nor_taken() {
        let mut settings = PeerSettings::default();
        assert_eq!(supported(&settings), "100rel, timer, replaces, norefersub");
        settings.reliable = Reliable::Off;
        settings.session.interval = None;
        assert_eq!(supported(&settings), "replaces, norefersub");
        let request = message("Require: 100rel, Replaces, foo\r\nRequire: timer\r\n");
        assert_eq!(unsupported(&request, &settings), ["100rel", "foo", "timer"]);
        assert!(requires(&request, Extension::Reliable));
    }
}
