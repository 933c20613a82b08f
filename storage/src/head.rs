//! A head: how many entries a chain has and the root of their tree, signed.
//!
//! Whoever keeps one outside can show later that the trail was shortened or written anew.
//! Follows c2sp.org/tlog-checkpoint; the note around it is [`SignedNote`].

use base64::{Engine, engine::general_purpose::STANDARD};
use rules::{Digest, Fault};
use thiserror::Error;

use crate::{
    lock::Duty,
    note::{NoteFault, SIGNATURE_BEGIN, SignedNote, VerifierKey},
    signing::{SigningKey, head_key},
};

/// The size and the root of a chain's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub chain: Duty,
    /// Entries.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
}

impl Head {
    /// The root as notes write it.
    #[must_use]
    pub fn root_base64(&self) -> String {
        STANDARD.encode(self.root.0)
    }
}

/// A head and the note in which it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    head: Head,
    note: SignedNote,
}

impl SignedHead {
    pub(crate) fn sign(head: Head, key: &SigningKey) -> Result<SignedHead, NoteFault> {
        let origin = head_key(key.verifier_key(), head.chain);
        let text = format!("{}\n{}\n{}\n", origin.name(), head.size, head.root_base64());
        let note = key.sign_head(text, head.chain)?;
        Ok(SignedHead { head, note })
    }

    /// Reads a file of heads, one after another.
    ///
    /// # Errors
    /// [`HeadFault`] of the first that is none, as for [`read`](SignedHead::read).
    pub fn read_all(
        text: &str,
        installation: &[VerifierKey],
    ) -> Result<Vec<SignedHead>, HeadFault> {
        let mut heads = Vec::new();
        let mut note = String::new();
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            // Between two notes there may be an empty line.
            if !(note.is_empty() && line.trim_end().is_empty()) {
                note.push_str(line);
            }
            let is_signed = line.starts_with(SIGNATURE_BEGIN);
            let goes_on = lines
                .peek()
                .is_some_and(|next| next.starts_with(SIGNATURE_BEGIN));
            if is_signed && !goes_on {
                heads.push(SignedHead::read(&std::mem::take(&mut note), installation)?);
            }
        }
        match note.is_empty() && !heads.is_empty() {
            true => Ok(heads),
            false => Err(NoteFault::Form.into()),
        }
    }

    /// Reads a head that one of the installation's keys signed.
    ///
    /// # Errors
    /// [`HeadFault`] if it is no note, none of `installation` signed it, or it is no head of a chain of theirs.
    pub fn read(text: &str, installation: &[VerifierKey]) -> Result<SignedHead, HeadFault> {
        let note: SignedNote = text.parse()?;
        for chain in [Duty::Calls, Duty::Office] {
            let keys: Vec<VerifierKey> = installation
                .iter()
                .map(|key| head_key(key, chain))
                .collect();
            match note.verify(&keys) {
                Ok(key) => {
                    let head = parse(note.text(), key, chain).ok_or(HeadFault::NoHead)?;
                    return Ok(SignedHead { head, note });
                }
                Err(NoteFault::Unsigned) => {}
                Err(forged) => return Err(forged.into()),
            }
        }
        Err(NoteFault::Unsigned.into())
    }

    pub(crate) fn is_signed_by(&self, key: &SigningKey) -> bool {
        let key = head_key(key.verifier_key(), self.head.chain);
        self.note.verify(&[key]).is_ok()
    }

    /// What is signed.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The note, to be kept outside.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }
}

/// The head that a text tells of. Lines behind the third are extensions, which say nothing here.
fn parse(text: &str, key: &VerifierKey, chain: Duty) -> Option<Head> {
    let mut lines = text.lines();
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let is_decimal = size == "0" || !size.starts_with(['0', '+']);
    if origin != key.name().as_str() || !is_decimal {
        return None;
    }
    Some(Head {
        chain,
        size: size.parse().ok()?,
        root: Digest(STANDARD.decode(root).ok()?.try_into().ok()?),
    })
}

/// Why a text is no head of the installation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeadFault {
    /// No note, or not signed by the installation.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// A signed text of another kind.
    #[error("the note is signed and is no head, expected origin, size and root in three lines")]
    NoHead,
}

impl HeadFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}
