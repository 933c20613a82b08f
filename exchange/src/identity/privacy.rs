//! What a caller wants to be kept to itself.
//!
//! Follows RFC 3323 section 4.2, RFC 3325 section 9.3 (`id`), RFC 7044 section 10.1 (`history`).

use sip_core::{HeaderName, Message};

use crate::identity::uri_text::is_token;

/// The values of Privacy, in their order. Empty: nothing was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Privacy {
    asked: Vec<Asked>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Header,
    Session,
    User,
    None,
    Critical,
    Id,
    History,
    /// Everything: what Remote-Party-ID called so before the standard, and some gateways still write.
    Full,
    /// A token that we do not know.
    Unknown(String),
}

/// Seven values are defined; nobody asks for one twice.
const MAX_ASKED: usize = 8;

const NAMES: [(&str, Asked); 8] = [
    ("header", Asked::Header),
    ("session", Asked::Session),
    ("user", Asked::User),
    ("none", Asked::None),
    ("critical", Asked::Critical),
    ("id", Asked::Id),
    ("history", Asked::History),
    ("full", Asked::Full),
];

impl Privacy {
    /// Reads all Privacy headers of a message.
    pub(crate) fn read(message: &Message) -> Privacy {
        let mut asked = Vec::new();
        for value in message.values(HeaderName::Privacy) {
            let text = String::from_utf8_lossy(value);
            // The standard's sign is the semicolon; some write a comma.
            for token in text.split([';', ',']).map(str::trim) {
                let known = NAMES
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(token));
                match known {
                    Some((_, known)) => asked.push(known.clone()),
                    None if is_token(token) => asked.push(Asked::Unknown(token.to_owned())),
                    None => {}
                }
            }
        }
        asked.truncate(MAX_ASKED);
        Privacy { asked }
    }

    /// What asks for no more than that the number is not shown.
    pub(crate) fn id() -> Privacy {
        Privacy {
            asked: vec![Asked::Id],
        }
    }

    /// Whether the caller is not to be named to people, or to peers that are not trusted.
    ///
    /// `none` stands alone and wins (RFC 3323 section 4.2). `header` and `session` ask for what a back-to-back user agent always does;
    /// whoever asks for the first wants no trace of itself, so its name goes too.
    pub(crate) fn hides_caller(&self) -> bool {
        !self.asked.contains(&Asked::None)
            && self
                .asked
                .iter()
                .any(|asked| matches!(asked, Asked::Id | Asked::User | Asked::Header | Asked::Full))
    }

    /// Whether something is asked for that we cannot give and must not do without (RFC 3323 section 5: 500).
    pub(crate) fn is_beyond_us(&self) -> bool {
        self.asked.contains(&Asked::Critical)
            && self
                .asked
                .iter()
                .any(|asked| matches!(asked, Asked::Unknown(_)))
    }

    /// The header's value; none where nothing was said.
    pub(crate) fn value(&self) -> Option<String> {
        let names: Vec<&str> = self.asked.iter().map(name).collect();
        (!names.is_empty()).then(|| names.join(";"))
    }
}

fn name(asked: &Asked) -> &str {
    match asked {
        Asked::Unknown(token) => token,
        known => NAMES
            .iter()
            .find(|(_, asked)| asked == known)
            .map_or("", |(name, _)| name),
    }
}
