//! The `Sealer`: public halves, and nothing else. It is all that calls and the recorder ever have,
//! so that whoever takes their memory opens no closed recording.

use std::{io, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use rules::{
    CallId, Caller, ConfirmationId, Digest, EmergencyId, Fault, JstDay, JstMonth, StaffId, Subject,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    files::Disk,
    group::Group,
    hex,
    layout::Layout,
    object::{Object, SealedTo},
    people::{SealedText, TextKind},
    secret::{self, SealedKey, SecretFault, SecretKey},
    totp::TotpSecret,
};

/// Seals to the public halves that the office has made ahead.
#[derive(Clone)]
pub struct Sealer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

/// The public half of a group, of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicHalf {
    pub(crate) group: Group,
    pub(crate) generation: u32,
    pub(crate) bytes: [u8; 32],
}

impl Sealer {
    /// Seals to what lies in the layout's folder of public halves. Nothing is read yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, layout: &Layout) -> Sealer {
        Sealer {
            disk,
            folder: layout.public_halves(),
        }
    }

    /// The public half of a day; read each time, because a day may get a new generation.
    ///
    /// # Errors
    /// [`SealFault`] if it is missing or damaged. The call then connects unrecorded.
    pub fn day(&self, day: JstDay) -> Result<PublicHalf, SealFault> {
        self.half(Group::Day(day))
    }

    /// Seals a caller's number to the day of the call; an anonymous caller has nothing to seal.
    ///
    /// # Errors
    /// [`SealFault`] if the day's public half cannot be used.
    pub fn seal_caller(
        &self,
        call: CallId,
        day: JstDay,
        caller: &Caller,
    ) -> Result<SealedCaller, SealFault> {
        let Caller::Known(number) = caller else {
            return Ok(SealedCaller::Anonymous);
        };
        let half = self.day(day)?;
        let object = Object::Caller { call };
        let fields = seal_fields(&half, object, number.e164().as_bytes())?;
        Ok(SealedCaller::Number(fields))
    }

    /// Seals the reason of an emergency to the month's register; the audit entry holds the digest.
    ///
    /// # Errors
    /// [`SealFault`] if the month's public half cannot be used.
    pub fn seal_reason(
        &self,
        emergency: EmergencyId,
        at: Timestamp,
        reason: &str,
    ) -> Result<(SealedFields, Digest), SealFault> {
        self.seal_register(Object::Reason { emergency }, at, reason)
    }

    /// Seals why somebody says that the clock is right, to the month's register; the audit entry holds the digest.
    ///
    /// # Errors
    /// [`SealFault`] if the month's public half cannot be used.
    pub fn seal_confirmation(
        &self,
        confirmation: ConfirmationId,
        at: Timestamp,
        reason: &str,
    ) -> Result<(SealedFields, Digest), SealFault> {
        self.seal_register(Object::Confirmation { confirmation }, at, reason)
    }

    fn seal_register(
        &self,
        object: Object,
        at: Timestamp,
        reason: &str,
    ) -> Result<(SealedFields, Digest), SealFault> {
        let half = self.half(Group::Register(JstMonth::of(at)))?;
        let (salted, digest) = salt_reason(reason)?;
        Ok((seal_fields(&half, object, &salted)?, digest))
    }

    /// Seals a text to the month's register; an audit entry may hold the digest.
    ///
    /// # Errors
    /// [`SealFault`] if the month's public half cannot be used.
    pub fn seal_text(
        &self,
        about: Subject,
        kind: TextKind,
        at: Timestamp,
        text: &str,
    ) -> Result<(SealedText, Digest), SealFault> {
        let half = self.half(Group::Register(JstMonth::of(at)))?;
        let (salted, digest) = salt_reason(text)?;
        let sealed = seal_fields(&half, Object::text_of(&about, kind), &salted)?;
        let text = SealedText {
            about,
            kind,
            sealed,
        };
        Ok((text, digest))
    }

    /// Seals the secret of a person's codes to the month's register.
    ///
    /// # Errors
    /// [`SealFault`] if the month's public half cannot be used.
    pub fn seal_totp(
        &self,
        person: &StaffId,
        at: Timestamp,
        secret: &TotpSecret,
    ) -> Result<SealedFields, SealFault> {
        let half = self.half(Group::Register(JstMonth::of(at)))?;
        let fields = seal_fields(&half, Object::totp_of(person), secret.bytes())?;
        Ok(fields)
    }

    fn half(&self, group: Group) -> Result<PublicHalf, SealFault> {
        let path = self.folder.join(group.to_string());
        let bytes = self
            .disk
            .read(&path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => SealFault::Missing { group },
                _ => SealFault::Disk {
                    path: path.clone(),
                    source,
                },
            })?;
        PublicHalf::from_file(&bytes, group).ok_or(SealFault::Damaged { path })
    }
}

/// A reason before its salt: 16 random bytes, then the text; and the SHA-256 of both.
fn salt_reason(reason: &str) -> Result<(Zeroizing<Vec<u8>>, Digest), SecretFault> {
    let salt: [u8; SALT_BYTES] = secret::random()?;
    let salted = Zeroizing::new([&salt[..], reason.as_bytes()].concat());
    let digest = Digest(secret::sha256(&[&salted]));
    Ok((salted, digest))
}

/// Without it, a short reason could be guessed from its digest.
pub(crate) const SALT_BYTES: usize = 16;

#[derive(Serialize, Deserialize)]
struct PublicFile {
    group: Group,
    generation: u32,
    public: String,
    /// SHA-256 over group, generation and public half: a flipped bit must not make recordings that
    /// nobody can open.
    check: String,
}

impl PublicHalf {
    /// The group it belongs to.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    pub(crate) fn to_file(&self) -> Vec<u8> {
        let file = PublicFile {
            group: self.group,
            generation: self.generation,
            public: hex::encode(&self.bytes),
            check: hex::encode(&self.check()),
        };
        let mut text = serde_json::to_vec(&file).expect("four texts and a number are JSON");
        text.push(b'\n');
        text
    }

    fn from_file(bytes: &[u8], group: Group) -> Option<PublicHalf> {
        let file: PublicFile = serde_json::from_slice(bytes).ok()?;
        let bytes = hex::decode_array(&file.public)?;
        let half = PublicHalf {
            group: file.group,
            generation: file.generation,
            bytes,
        };
        let is_whole = hex::decode_array(&file.check)? == half.check() && half.group == group;
        is_whole.then_some(half)
    }

    fn check(&self) -> [u8; 32] {
        let group = self.group.to_string();
        secret::sha256(&[
            group.as_bytes(),
            &self.generation.to_be_bytes(),
            &self.bytes,
        ])
    }
}

/// A few bytes under a fresh key of their own, which is sealed to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFields {
    #[serde(flatten)]
    sealed_to: SealedTo,
    #[serde(with = "hex::serde")]
    bytes: Vec<u8>,
}

impl SealedFields {
    /// The group whose private half opens them, unless the key store has a further key.
    #[must_use]
    pub fn group(&self) -> Group {
        self.sealed_to.group
    }

    /// The first sealed key, which stands here for good.
    pub(crate) fn sealed_to(&self) -> &SealedTo {
        &self.sealed_to
    }

    pub(crate) fn open(
        &self,
        object: Object,
        key: &SecretKey,
    ) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
        key.decrypt(FIELDS_NONCE, &object.id(), &self.bytes)
            .map(Zeroizing::new)
    }
}

fn seal_fields(
    half: &PublicHalf,
    object: Object,
    clear: &[u8],
) -> Result<SealedFields, SecretFault> {
    let key = SecretKey::random()?;
    let sealed = SealedKey::seal(&key, &object.info(), &half.bytes)?;
    // Encryption happens in place, so these bytes are never left in the clear.
    let mut bytes = clear.to_vec();
    key.encrypt(FIELDS_NONCE, &object.id(), &mut bytes)?;
    Ok(SealedFields {
        sealed_to: SealedTo::new(half.group, half.generation, &sealed),
        bytes,
    })
}

/// The key is fresh and seals one message, so its nonce may be a constant.
const FIELDS_NONCE: [u8; 12] = [0; 12];

/// Who called, as a row keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealedCaller {
    /// The caller withheld the number, or it could not be read.
    Anonymous,
    /// The number, which opens only by permit.
    Number(SealedFields),
    /// There was a number, but no public half to seal it to; it is not kept.
    NotKept,
}

impl SealedCaller {
    /// The word in lists.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            SealedCaller::Anonymous => "anonymous",
            SealedCaller::Number(_) | SealedCaller::NotKept => "number",
        }
    }
}

/// Why something could not be sealed.
#[derive(Debug, Error)]
pub enum SealFault {
    /// The office has not made it.
    #[error(
        "the public half of {group} is missing; start the office duty, which makes a week of them ahead"
    )]
    Missing {
        /// Whose public half it is.
        group: Group,
    },
    /// The file is not what was written.
    #[error("the public half in {} is damaged; remove the file and start the office duty, which writes it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the public half in {} cannot be read ({source}); check the disk and the file's owner", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cipher refused.
    #[error(transparent)]
    Secret(#[from] SecretFault),
}

impl SealFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            SealFault::Missing { .. } | SealFault::Damaged { .. } | SealFault::Disk { .. } => {
                Fault::Resource
            }
            SealFault::Secret(fault) => fault.fault(),
        }
    }
}
