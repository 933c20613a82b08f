//! Signed notes: a text, and under it the signatures of named keys.
//!
//! People read them, and so do tools that are not ours. Follows c2sp.org/signed-note with its
//! Ed25519 signatures (type 0x01, RFC 8032). Whoever signs is in [`signing`](crate::SigningKey).

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use rules::{Digest, Fault};
use thiserror::Error;

use crate::secret::sha256;

/// The type of an Ed25519 signature.
pub(crate) const ED25519_TYPE: u8 = 1;
pub(crate) const PUBLIC_BYTES: usize = 32;
const ID_BYTES: usize = 4;
const MAX_NAME_BYTES: usize = 255; // Notes of other logs have names of this length at most.
const MAX_SIGNATURES: usize = 16; // One is ours; the rest are of whoever countersigned.
const MAX_NOTE_BYTES: usize = 1 << 20; // A manifest of ten thousand recordings is shorter.
pub(crate) const SIGNATURE_BEGIN: &str = "\u{2014} ";

/// The name of a key: without spaces, control characters and `+`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// This name with `/` and another one behind it.
    #[must_use]
    pub fn child(&self, name: &str) -> KeyName {
        KeyName(format!("{}/{name}", self.0))
    }

    /// As it stands in notes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = NoteFault;

    fn from_str(text: &str) -> Result<KeyName, NoteFault> {
        let is_foreign = |letter: char| letter.is_whitespace() || letter.is_control();
        if text.is_empty()
            || text.len() > MAX_NAME_BYTES
            || text.contains(|letter| letter == '+' || is_foreign(letter))
        {
            return Err(NoteFault::Name {
                found_bytes: text.len(),
            });
        }
        Ok(KeyName(text.to_owned()))
    }
}

/// The public half of a key that signs, as `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    public: [u8; PUBLIC_BYTES],
}

impl VerifierKey {
    pub(crate) fn new(name: KeyName, public: [u8; PUBLIC_BYTES]) -> VerifierKey {
        VerifierKey {
            id: KeyId::of(&name, &public),
            name,
            public,
        }
    }

    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, name: KeyName) -> VerifierKey {
        VerifierKey::new(name, self.public)
    }

    /// The hash of the key as it is shown.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        Digest(sha256(&[self.to_string().as_bytes()]))
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    fn is_of(&self, signature: &Signature) -> bool {
        self.name == signature.name && self.id == signature.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519_TYPE][..], &self.public].concat();
        write!(out, "{}+{}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteFault;

    fn from_str(text: &str) -> Result<VerifierKey, NoteFault> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteFault::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteFault::Key)?;
        let [ED25519_TYPE, public @ ..] = &bytes[..] else {
            return Err(NoteFault::Key);
        };
        let public = public.try_into().map_err(|_| NoteFault::Key)?;
        let key = VerifierKey::new(name.parse()?, public);
        match key.id.to_string() == id {
            true => Ok(key),
            false => Err(NoteFault::Key),
        }
    }
}

/// The short number of a key, which tells keys of one name apart; it proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId([u8; ID_BYTES]);

impl KeyId {
    fn of(name: &KeyName, public: &[u8; PUBLIC_BYTES]) -> KeyId {
        let [one, two, three, four, ..] =
            sha256(&[name.0.as_bytes(), b"\n", &[ED25519_TYPE], public]);
        KeyId([one, two, three, four])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A text with signatures under it. What it says counts only once [`verify`](SignedNote::verify) named a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

impl SignedNote {
    /// A note with one signature. `text` is what [`check_text`] lets pass.
    pub(crate) fn signed(text: String, key: &VerifierKey, signature: &[u8]) -> SignedNote {
        SignedNote {
            text,
            signatures: vec![Signature {
                name: key.name.clone(),
                id: key.id,
                bytes: signature.to_vec(),
            }],
        }
    }

    /// What is signed, with its last line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Finds the key that signed this text. Signatures of keys that are not asked for are ignored.
    ///
    /// # Errors
    /// [`NoteFault::Unsigned`] if none of these keys signed it, [`NoteFault::Forged`] if a signature
    /// names one of them and is not its own, or names it twice.
    pub fn verify<'keys>(
        &self,
        keys: &'keys [VerifierKey],
    ) -> Result<&'keys VerifierKey, NoteFault> {
        let mut signer = None;
        for key in keys {
            let mut of_key = self.signatures.iter().filter(|found| key.is_of(found));
            let Some(signature) = of_key.next() else {
                continue;
            };
            let public = UnparsedPublicKey::new(&ED25519, &key.public);
            let is_genuine = public
                .verify(self.text.as_bytes(), &signature.bytes)
                .is_ok();
            if !is_genuine || of_key.next().is_some() {
                return Err(NoteFault::Forged { id: key.id.0 });
            }
            signer = signer.or(Some(key));
        }
        signer.ok_or(NoteFault::Unsigned)
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| {
            let bytes = [&signature.id.0[..], &signature.bytes].concat();
            writeln!(
                out,
                "{SIGNATURE_BEGIN}{} {}",
                signature.name,
                STANDARD.encode(bytes)
            )
        })
    }
}

impl FromStr for SignedNote {
    type Err = NoteFault;

    fn from_str(note: &str) -> Result<SignedNote, NoteFault> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteFault::Form);
        }
        // The last empty line parts text and signatures; a text may hold others.
        let at = note.rfind("\n\n").ok_or(NoteFault::Form)?;
        let (text, rest) = (&note[..=at], &note[at + 2..]);
        check_text(text)?;
        let lines = rest.strip_suffix('\n').ok_or(NoteFault::Form)?;
        let signatures: Vec<Signature> = lines
            .split('\n')
            .take(MAX_SIGNATURES + 1)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        match signatures.len() {
            1..=MAX_SIGNATURES => Ok(SignedNote {
                text: text.to_owned(),
                signatures,
            }),
            _ => Err(NoteFault::Form),
        }
    }
}

impl FromStr for Signature {
    type Err = NoteFault;

    fn from_str(line: &str) -> Result<Signature, NoteFault> {
        let rest = line.strip_prefix(SIGNATURE_BEGIN).ok_or(NoteFault::Form)?;
        let (name, bytes) = rest.split_once(' ').ok_or(NoteFault::Form)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| NoteFault::Form)?;
        let (id, bytes) = bytes.split_first_chunk().ok_or(NoteFault::Form)?;
        if bytes.is_empty() {
            return Err(NoteFault::Form);
        }
        Ok(Signature {
            name: name.parse()?,
            id: KeyId(*id),
            bytes: bytes.to_vec(),
        })
    }
}

/// Lets a text pass that can be signed: whole lines, without control characters.
pub(crate) fn check_text(text: &str) -> Result<(), NoteFault> {
    let has_control = text.contains(|letter: char| letter != '\n' && letter < ' ');
    match text.ends_with('\n') && !has_control {
        true => Ok(()),
        false => Err(NoteFault::Text),
    }
}

/// What is wrong with a note or a key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoteFault {
    /// Not the form of a signed note.
    #[error(
        "it is no signed note: expected a text, an empty line, and lines that begin with an em dash"
    )]
    Form,
    /// A text that cannot be signed.
    #[error(
        "the text of a note is whole lines without control characters; end it with a line feed"
    )]
    Text,
    /// A name that a key cannot have.
    #[error("a key's name has 1 to 255 octets without spaces and +, found {found_bytes} octets")]
    Name {
        /// Its length.
        found_bytes: usize,
    },
    /// Not the form of a key.
    #[error(
        "it is no Ed25519 key of notes, expected name+id+base64 with the id that belongs to it"
    )]
    Key,
    /// None of the keys signed it.
    #[error(
        "none of the given keys signed this note; give the keys of the installation that it names"
    )]
    Unsigned,
    /// A signature that names a key and is not its own.
    #[error("the signature of key {:08x} does not belong to this text; the note was changed", u32::from_be_bytes(*id))]
    Forged {
        /// The key.
        id: [u8; 4],
    },
}

impl NoteFault {
    /// Whose fault it is: that of whoever hands the note or the text in.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            NoteFault::Text => Fault::Ours,
            NoteFault::Form
            | NoteFault::Name { .. }
            | NoteFault::Key
            | NoteFault::Unsigned
            | NoteFault::Forged { .. } => Fault::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of c2sp.org/signed-note's form in Go's documentation of notes.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key() -> VerifierKey {
        VKEY.parse().unwrap()
    }

    #[test]
    fn a_note_of_another_implementation_verifies_and_reads_back() {
        let note: SignedNote = NOTE.parse().unwrap();
        assert_eq!(note.verify(&[key()]), Ok(&key()));
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(key().to_string(), VKEY);
    }

    #[test]
    fn a_changed_text_is_forged_and_an_unknown_key_has_signed_nothing() {
        let changed: SignedNote = NOTE.replace("the answer", "an answer").parse().unwrap();
        let id = 0xc74f_20a3_u32.to_be_bytes();
        assert_eq!(changed.verify(&[key()]), Err(NoteFault::Forged { id }));
        let other = key().named("other".parse().unwrap());
        let note: SignedNote = NOTE.parse().unwrap();
        assert_eq!(note.verify(&[other]), Err(NoteFault::Unsigned));
        assert_eq!(note.verify(&[]), Err(NoteFault::Unsigned));
    }

    #[test]
    fn a_key_that_signs_twice_is_refused() {
        let line = NOTE.lines().last().unwrap();
        let twice: SignedNote = format!("{NOTE}{line}\n").parse().unwrap();
        let id = 0xc74f_20a3_u32.to_be_bytes();
        assert_eq!(twice.verify(&[key()]), Err(NoteFault::Forged { id }));
    }

    #[test]
    fn what_is_no_note_or_no_key_is_refused() {
        let many = NOTE.to_owned() + &"\u{2014} n AAAAAAA=\n".repeat(MAX_SIGNATURES);
        for text in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n- name AAAAAAA=\n",
            "text\n\n\u{2014} name AAAA\n",
            "te\txt\n\n\u{2014} name AAAAAAA=\n",
            &NOTE[..NOTE.len() - 1],
            &many,
        ] {
            assert!(text.parse::<SignedNote>().is_err(), "{text:?}");
        }
        for text in [
            "",
            "name",
            "name+00000000",
            &VKEY.replace("c74f20a3", "c74f20a4"),
            &VKEY.replace("+AR", "+BR"),
            &VKEY.replace("Peter", "Peter "),
        ] {
            assert!(text.parse::<VerifierKey>().is_err(), "{text:?}");
        }
    }
}
