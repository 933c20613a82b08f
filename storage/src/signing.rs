//! The one key that signs: heads of the trail, certificates, manifests, statements.
//!
//! It lies apart from the sealing keys and only the office duty opens it. Its public history tells
//! who signed when: each key is named by a note that the one before it signed.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::{
    encoding::AsBigEndian,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rules::{Digest, Fault};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    files::{Disk, MODE_SECRET, MODE_SHARED, fresh_name, list_if_there, remove_if_there},
    layout::Layout,
    lock::Duty,
    note::{ED25519_TYPE, KeyName, NoteFault, PUBLIC_BYTES, SignedNote, VerifierKey, check_text},
    secret::{SecretFault, sha256},
};

/// Before the name of a private key in its file.
const PRIVATE_BEGIN: &str = "PRIVATE+KEY+";
const SEED_BYTES: usize = 32;
/// How many digits of the first key's hash name the installation.
const NAME_DIGITS: usize = 8;

/// An Ed25519 key and the name of the installation that signs with it.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.verifier.name())
    }
}

impl SigningKey {
    /// Signs a text in the installation's name. Its first line says what kind of text it is, so that none can be taken for another.
    ///
    /// # Errors
    /// [`NoteFault::Text`] if it does not end with a line feed or holds control characters.
    pub fn sign_note(&self, text: String) -> Result<SignedNote, NoteFault> {
        self.sign(text, &self.verifier)
    }

    /// Signs a head of a chain, in the chain's name.
    ///
    /// # Errors
    /// [`NoteFault::Text`] as for [`sign_note`](SigningKey::sign_note).
    pub(crate) fn sign_head(&self, text: String, chain: Duty) -> Result<SignedNote, NoteFault> {
        self.sign(text, &head_key(&self.verifier, chain))
    }

    /// The public half, in the installation's name.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, text: String, named: &VerifierKey) -> Result<SignedNote, NoteFault> {
        check_text(&text)?;
        let signature = self.pair.sign(text.as_bytes());
        Ok(SignedNote::signed(text, named, signature.as_ref()))
    }

    /// A fresh key for the installation of this name, or for a new one, which is named after it.
    fn generate(name: Option<KeyName>) -> Result<SigningKey, SigningFault> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SecretFault::NoRandomness)?;
        let public = public_of(&pair);
        let name = match name {
            Some(name) => name,
            None => format!(
                "denwaban-{}",
                &Digest(sha256(&[&public])).to_string()[..NAME_DIGITS]
            )
            .parse()?,
        };
        Ok(SigningKey {
            verifier: VerifierKey::new(name, public),
            pair,
        })
    }

    /// As notes write a private key: `PRIVATE+KEY+name+id+base64`.
    fn to_text(&self) -> Result<Zeroizing<String>, SigningFault> {
        let seed = self.pair.seed().map_err(|_| SecretFault::NoRandomness)?;
        let seed = seed.as_be_bytes().map_err(|_| SecretFault::NoRandomness)?;
        let mut key = Zeroizing::new([ED25519_TYPE; 1 + SEED_BYTES]);
        key[1..].copy_from_slice(seed.as_ref());
        let base64 = Zeroizing::new(STANDARD.encode(key.as_slice()));
        let (name, id) = (self.verifier.name(), self.verifier.id());
        Ok(Zeroizing::new(format!(
            "{PRIVATE_BEGIN}{name}+{id}+{}\n",
            *base64
        )))
    }

    fn parse(text: &str) -> Option<SigningKey> {
        let mut parts = text.strip_prefix(PRIVATE_BEGIN)?.trim_end().splitn(3, '+');
        let (name, id, base64) = (parts.next()?, parts.next()?, parts.next()?);
        let key = Zeroizing::new(STANDARD.decode(base64).ok()?);
        let [ED25519_TYPE, seed @ ..] = &key[..] else {
            return None;
        };
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let verifier = VerifierKey::new(name.parse().ok()?, public_of(&pair));
        (verifier.id().to_string() == id).then_some(SigningKey { verifier, pair })
    }

    fn read(disk: &dyn Disk, path: &Path) -> Result<SigningKey, SigningFault> {
        let bytes = Zeroizing::new(disk.read(path).map_err(at(path))?);
        let key = std::str::from_utf8(&bytes).ok().and_then(SigningKey::parse);
        key.ok_or_else(|| SigningFault::Damaged {
            path: path.to_owned(),
        })
    }
}

/// The same key in the name of a chain, which is the origin of its heads.
#[must_use]
pub fn head_key(installation: &VerifierKey, chain: Duty) -> VerifierKey {
    installation.named(installation.name().child(chain.name()))
}

/// The folder of the key that signs, in the hands of the office duty.
#[derive(Debug)]
pub struct Signing {
    key: SigningKey,
    generation: u32,
}

impl Signing {
    /// Opens the key, and finishes a change that was cut off; an installation without one gets its first.
    ///
    /// # Errors
    /// [`SigningFault`] if the key is missing although its history is there, or does not belong to it.
    pub fn open(
        disk: &Arc<dyn Disk>,
        layout: &Layout,
        now: Timestamp,
    ) -> Result<Signing, SigningFault> {
        let (disk, path) = (&**disk, layout.signing_key());
        let history = layout.signing_history();
        disk.make_folder(&layout.signing(), 0o750)
            .and_then(|()| disk.make_folder(&history, 0o750))
            .map_err(at(&history))?;
        let known = verifier_keys(disk, layout)?;
        let fresh = fresh_name(&path);
        let Some(newest) = known.last() else {
            // What lies here was made by a beginning that was cut off before anything was signed.
            remove_if_there(disk, &fresh).map_err(at(&fresh))?;
            let is_there = disk.exists(&path).map_err(at(&path))?;
            let key = match is_there {
                true => SigningKey::read(disk, &path)?,
                false => SigningKey::generate(None)?,
            };
            let first = Signing { key, generation: 1 };
            if !is_there {
                let text = first.key.to_text()?;
                disk.replace(&path, text.as_bytes(), MODE_SECRET)
                    .map_err(at(&path))?;
            }
            first.write_history(disk, layout, &first.key, now)?;
            return Ok(first);
        };
        if disk.exists(&fresh).map_err(at(&fresh))? {
            let is_announced =
                SigningKey::read(disk, &fresh).is_ok_and(|key| key.verifier == *newest);
            match is_announced {
                true => put_in_place(disk, layout)?,
                false => remove_if_there(disk, &fresh).map_err(at(&fresh))?,
            }
        }
        let key = SigningKey::read(disk, &path)?;
        if key.verifier != *newest {
            return Err(SigningFault::OtherKey { path });
        }
        let generation = u32::try_from(known.len()).unwrap_or(u32::MAX);
        Ok(Signing { key, generation })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Which key this is, from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Makes a new key, lets the old one say so, and destroys the old one.
    ///
    /// Cut off at any point, the next [`open`](Signing::open) finds the old key or the new one.
    ///
    /// # Errors
    /// [`SigningFault`] if it cannot be made durable; open it anew then.
    pub fn change(
        &mut self,
        disk: &Arc<dyn Disk>,
        layout: &Layout,
        now: Timestamp,
    ) -> Result<(), SigningFault> {
        let disk = &**disk;
        let next = Signing {
            key: SigningKey::generate(Some(self.key.verifier.name().clone()))?,
            generation: self.generation + 1,
        };
        let fresh = fresh_name(&layout.signing_key());
        remove_if_there(disk, &fresh).map_err(at(&fresh))?;
        let text = next.key.to_text()?;
        let mut file = disk.create(&fresh, MODE_SECRET).map_err(at(&fresh))?;
        file.write(text.as_bytes())
            .and_then(|()| file.sync())
            .and_then(|()| disk.sync_folder(&layout.signing()))
            .map_err(at(&fresh))?;
        next.write_history(disk, layout, &self.key, now)?;
        put_in_place(disk, layout)?;
        *self = next;
        Ok(())
    }

    /// Writes the note that names this key, signed by `signer`.
    fn write_history(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        signer: &SigningKey,
        now: Timestamp,
    ) -> Result<(), SigningFault> {
        let path = layout
            .signing_history()
            .join(format!("{:04}.note", self.generation));
        let note = signer.sign_note(format!(
            "{}{}\nsince {now}\n{}\n",
            history_begin(self.key.verifier.name()),
            self.generation,
            self.key.verifier
        ))?;
        disk.replace(&path, note.to_string().as_bytes(), MODE_SHARED)
            .map_err(at(&path))
    }
}

/// The installation's keys in the order in which they signed, each named by the one before it.
///
/// # Errors
/// [`SigningFault::History`] names the first note that does not follow.
pub fn verifier_keys(disk: &dyn Disk, layout: &Layout) -> Result<Vec<VerifierKey>, SigningFault> {
    let folder = layout.signing_history();
    let mut keys: Vec<VerifierKey> = Vec::new();
    let names = list_if_there(disk, &folder).map_err(at(&folder))?;
    for name in names.iter().filter(|name| name.ends_with(".note")) {
        let path = folder.join(name);
        let bytes = disk.read(&path).map_err(at(&path))?;
        match read_history(&bytes, &keys) {
            Some(key) => keys.push(key),
            None => return Err(SigningFault::History { path }),
        }
    }
    Ok(keys)
}

/// The key that a note of the history names, if the last of `before` signed it, or it is the first and signed itself.
fn read_history(bytes: &[u8], before: &[VerifierKey]) -> Option<VerifierKey> {
    let note: SignedNote = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let mut lines = note.text().lines();
    let (title, _since, key) = (lines.next()?, lines.next()?, lines.next()?);
    let key: VerifierKey = key.parse().ok()?;
    let signer = before.last().unwrap_or(&key);
    let expected = format!("{}{}", history_begin(signer.name()), before.len() + 1);
    let is_next = title == expected && key.name() == signer.name() && lines.next().is_none();
    note.verify(std::slice::from_ref(signer)).ok()?;
    is_next.then_some(key)
}

fn history_begin(installation: &KeyName) -> String {
    format!("{installation} signing key ")
}

/// The announced key takes the old one's place; the old one's bytes go first.
fn put_in_place(disk: &dyn Disk, layout: &Layout) -> Result<(), SigningFault> {
    let path = layout.signing_key();
    if disk.exists(&path).map_err(at(&path))? {
        disk.overwrite(&path).map_err(at(&path))?;
    }
    disk.rename(&fresh_name(&path), &path)
        .and_then(|()| disk.sync_folder(&layout.signing()))
        .map_err(at(&path))
}

fn public_of(pair: &Ed25519KeyPair) -> [u8; PUBLIC_BYTES] {
    pair.public_key()
        .as_ref()
        .try_into()
        .expect("RFC 8032 section 5.1.5: a public key has 32 octets")
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SigningFault {
    let path = path.to_owned();
    move |source| SigningFault::Disk { path, source }
}

/// Why the installation cannot sign, or its history does not hold.
#[derive(Debug, Error)]
pub enum SigningFault {
    /// The disk refused.
    #[error("{} cannot be used ({source}); bring the folder of the signing key back, and check its owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{} holds no signing key, expected PRIVATE+KEY+name+id+base64; bring it back from its backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The key is not the one that the history names last.
    #[error("{} is not the key that the history names last; bring back the one that belongs to it", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// A note of the history does not follow.
    #[error("{} does not name a next key, signed by the one before it; bring the history back from its backup", path.display())]
    History {
        /// The note.
        path: PathBuf,
    },
    /// No randomness.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// A text of ours cannot be signed.
    #[error(transparent)]
    Note(#[from] NoteFault),
}

impl SigningFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            SigningFault::Disk { .. } | SigningFault::Damaged { .. } => Fault::Resource,
            SigningFault::OtherKey { .. } | SigningFault::History { .. } => Fault::Operator,
            SigningFault::Secret(fault) => fault.fault(),
            SigningFault::Note(_) => Fault::Ours,
        }
    }
}
