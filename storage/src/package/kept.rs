//! The passphrase of a package until it is shown: encrypted under keys of all its recordings, so that it opens no longer than each of them lives (K-23).
//!
//! A recording that is held beyond its day, or destroyed before it, takes the passphrase along without anybody looking for it.

use std::collections::BTreeMap;

use rules::{HandOverId, JstDay, RecordingId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Passphrase;
use crate::{
    hex,
    open::{OpenFault, Opener},
    secret::{self, SecretFault, SecretKey},
    vault::Vault,
};

const SALT_BYTES: usize = 16;
const LABEL: &[u8] = b"denwaban package passphrase";
/// The key is made of a fresh salt and encrypts one message, so its nonce may be a constant.
const NONCE: [u8; 12] = [0; 12];

/// A passphrase that nobody has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPassphrase {
    /// Whose package it opens.
    pub hand_over: HandOverId,
    #[serde(with = "hex::serde")]
    salt: [u8; SALT_BYTES],
    #[serde(with = "hex::serde")]
    encrypted: Vec<u8>,
}

impl Opener {
    /// Keeps a passphrase for as long as every recording of its package lives.
    ///
    /// `recordings`: all that are in the package, each with the day of its call.
    ///
    /// # Errors
    /// [`OpenFault`] if a recording's file or key is gone by now.
    pub fn keep_passphrase(
        &self,
        vault: &Vault,
        hand_over: HandOverId,
        recordings: &BTreeMap<RecordingId, JstDay>,
        passphrase: &Passphrase,
    ) -> Result<KeptPassphrase, OpenFault> {
        let salt = secret::random()?;
        let key = self.passphrase_key(vault, &salt, recordings)?;
        // Encryption happens in place, so these bytes are never left in the clear.
        let mut encrypted = passphrase.text().as_bytes().to_vec();
        key.encrypt(NONCE, &hand_over.to_bytes(), &mut encrypted)?;
        Ok(KeptPassphrase {
            hand_over,
            salt,
            encrypted,
        })
    }

    /// Opens it, for whoever it is shown to.
    ///
    /// It asks for no limit, as audio does (`Kept`), and needs none: that every recording of the package is retained at this instant is a
    /// condition of the fact which comes before it (`show_passphrase`), it is done once and at once, and what it gives opens nothing here.
    ///
    /// # Errors
    /// [`OpenFault`] if a recording's file or key is gone, or these are not the package's recordings.
    pub fn open_passphrase(
        &self,
        vault: &Vault,
        kept: &KeptPassphrase,
        recordings: &BTreeMap<RecordingId, JstDay>,
    ) -> Result<Passphrase, OpenFault> {
        let key = self.passphrase_key(vault, &kept.salt, recordings)?;
        let text = key.decrypt(NONCE, &kept.hand_over.to_bytes(), &kept.encrypted)?;
        let text = String::from_utf8(text).map_err(|_| SecretFault::DoesNotOpen)?;
        Ok(Passphrase(Zeroizing::new(text)))
    }

    /// Source: RFC 5869 section 2; the secret is one key of each recording, in the order of their ids.
    fn passphrase_key(
        &self,
        vault: &Vault,
        salt: &[u8; SALT_BYTES],
        recordings: &BTreeMap<RecordingId, JstDay>,
    ) -> Result<SecretKey, OpenFault> {
        let mut secrets = Zeroizing::new(Vec::with_capacity(recordings.len() * 32));
        for key in self.first_keys(vault, recordings)? {
            secrets.extend_from_slice(key.expand(LABEL).bytes());
        }
        Ok(secret::hkdf(salt, &secrets, LABEL))
    }
}
