//! Objects: what has a key of its own, and what that key is bound to.

use std::{fmt, str::FromStr};

use rules::{CallId, ConfirmationId, EmergencyId, RecordingId, StaffId, Subject};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    group::Group,
    hex,
    people::TextKind,
    secret::{self, PrivateHalf, SealedKey, SecretFault, SecretKey},
};

/// Something sealed under a fresh key, which is itself sealed to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    /// A segment of a recording.
    Segment {
        recording: RecordingId,
        /// Its place in the recording, from 0.
        segment: u32,
    },
    /// The caller's number in the row of a call.
    Caller { call: CallId },
    /// The reason of an emergency.
    Reason { emergency: EmergencyId },
    /// Why somebody says that the clock is right.
    Confirmation { confirmation: ConfirmationId },
    /// A text of the register, about one subject and of one kind.
    Text { of: NameHash },
    /// The secret of a person's codes.
    Totp { person: NameHash },
}

/// Sixteen bytes of the SHA-256 of what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameHash([u8; 16]);

impl NameHash {
    fn of(parts: &[&str]) -> NameHash {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let hash = secret::sha256(&parts);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        NameHash(bytes)
    }
}

impl fmt::Display for NameHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for NameHash {
    type Err = ObjectFault;

    fn from_str(text: &str) -> Result<NameHash, ObjectFault> {
        hex::decode_array(text).map(NameHash).ok_or(ObjectFault)
    }
}

impl Object {
    pub(crate) fn text_of(subject: &Subject, kind: TextKind) -> Object {
        Object::text_about(&subject.to_string(), kind.code())
    }

    /// The same of a row.
    pub(crate) fn text_about(subject: &str, kind: &str) -> Object {
        // No id holds a colon.
        let of = NameHash::of(&[subject, ":", kind]);
        Object::Text { of }
    }

    pub(crate) fn totp_of(person: &StaffId) -> Object {
        let person = NameHash::of(&[person.as_str()]);
        Object::Totp { person }
    }

    /// The words that its key is sealed with; it opens for the same words only.
    pub(crate) fn info(self) -> Vec<u8> {
        match self {
            Object::Segment { segment, .. } => [
                &b"denwaban KREC1 segment key"[..],
                &self.id(),
                &segment.to_be_bytes(),
            ]
            .concat(),
            Object::Caller { .. } => [&b"denwaban row key"[..], &self.id()].concat(),
            Object::Reason { .. } => [&b"denwaban reason key"[..], &self.id()].concat(),
            Object::Confirmation { .. } => [&b"denwaban confirmation key"[..], &self.id()].concat(),
            Object::Text { .. } => [&b"denwaban text key"[..], &self.id()].concat(),
            Object::Totp { .. } => [&b"denwaban totp key"[..], &self.id()].concat(),
        }
    }

    /// The id that its bytes are authenticated with.
    pub(crate) fn id(self) -> [u8; 16] {
        match self {
            Object::Segment { recording, .. } => recording.to_bytes(),
            Object::Caller { call } => call.to_bytes(),
            Object::Reason { emergency } => emergency.to_bytes(),
            Object::Confirmation { confirmation } => confirmation.to_bytes(),
            Object::Text { of: hash } | Object::Totp { person: hash } => hash.0,
        }
    }
}

/// The name in the key store.
impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Segment { recording, segment } => {
                write!(out, "segment-{recording}-{segment:03}")
            }
            Object::Caller { call } => write!(out, "caller-{call}"),
            Object::Reason { emergency } => write!(out, "reason-{emergency}"),
            Object::Confirmation { confirmation } => write!(out, "confirmation-{confirmation}"),
            Object::Text { of } => write!(out, "text-{of}"),
            Object::Totp { person } => write!(out, "totp-{person}"),
        }
    }
}

impl FromStr for Object {
    type Err = ObjectFault;

    fn from_str(text: &str) -> Result<Object, ObjectFault> {
        let (kind, name) = text.split_once('-').ok_or(ObjectFault)?;
        let object = match kind {
            "segment" => name.split_once('-').and_then(|(recording, segment)| {
                Some(Object::Segment {
                    recording: recording.parse().ok()?,
                    segment: segment.parse().ok()?,
                })
            }),
            "caller" => name.parse().ok().map(|call| Object::Caller { call }),
            "reason" => name
                .parse()
                .ok()
                .map(|emergency| Object::Reason { emergency }),
            "confirmation" => name
                .parse()
                .ok()
                .map(|confirmation| Object::Confirmation { confirmation }),
            "text" => name.parse().ok().map(|of| Object::Text { of }),
            "totp" => name.parse().ok().map(|person| Object::Totp { person }),
            _ => None,
        };
        object.ok_or(ObjectFault)
    }
}

/// A text that names no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no object has this name, expected segment-ID-NNN, caller-ID, reason-ID, confirmation-ID, text-HASH or totp-HASH"
)]
pub(crate) struct ObjectFault;

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Object, D::Error> {
        String::deserialize(input)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// An object's key, sealed to one generation of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedTo {
    pub(crate) group: Group,
    pub(crate) generation: u32,
    #[serde(with = "hex::serde")]
    encapsulated: [u8; SealedKey::ENCAPSULATED_BYTES],
    #[serde(with = "hex::serde")]
    key: [u8; SealedKey::SEALED_BYTES],
}

impl SealedTo {
    pub(crate) fn new(group: Group, generation: u32, sealed: &SealedKey) -> SealedTo {
        SealedTo {
            group,
            generation,
            encapsulated: sealed.encapsulated,
            key: sealed.sealed,
        }
    }

    pub(crate) fn open(
        &self,
        object: Object,
        private: &PrivateHalf,
    ) -> Result<SecretKey, SecretFault> {
        let sealed = SealedKey {
            encapsulated: self.encapsulated,
            sealed: self.key,
        };
        sealed.open(&object.info(), private)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_object_reads_back_what_it_prints() {
        let at = Timestamp::UNIX_EPOCH;
        let recording = RecordingId::new(at, 7);
        for object in [
            Object::Segment {
                recording,
                segment: 12,
            },
            Object::Segment {
                recording,
                segment: 1000,
            },
            Object::Caller {
                call: CallId::new(at, 8),
            },
            Object::Reason {
                emergency: EmergencyId::new(at, 9),
            },
            Object::text_of(&Subject::Person("hanako".parse().unwrap()), TextKind::Name),
            Object::totp_of(&"hanako".parse().unwrap()),
        ] {
            assert_eq!(object.to_string().parse(), Ok(object));
        }
        for text in ["", "segment", "segment-x-0", "caller-", "chat-1"] {
            assert_eq!(text.parse::<Object>(), Err(ObjectFault), "{text}");
        }
    }
}
