//! The few primitives everything sealed here stands on: a fresh key per object, sealed to a group's
//! public half, and AES-256-GCM under keys that are used for one message or one file.
//!
//! Sealing is HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//! No type here shows key bytes in `Debug`, and all of them are erased when dropped: a key stays in one place of the heap,
//! because whatever is moved leaves its bytes behind.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf, rand,
};
use rules::{Digest, Fault};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes that AES-256-GCM adds.
pub(crate) const TAG_BYTES: usize = 16;

/// 32 secret bytes.
#[derive(Clone)]
pub(crate) struct SecretKey(Box<[u8; 32]>);

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    pub(crate) fn random() -> Result<SecretKey, SecretFault> {
        let mut key = SecretKey::blank();
        rand::fill(&mut *key.0).map_err(|_| SecretFault::NoRandomness)?;
        Ok(key)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Result<SecretKey, SecretFault> {
        let mut key = SecretKey::blank();
        if bytes.len() != key.0.len() {
            return Err(SecretFault::DoesNotOpen);
        }
        key.0.copy_from_slice(bytes);
        Ok(key)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// One key derived from this one. Source: RFC 5869 section 2.3 with L = 32, which is one HMAC.
    pub(crate) fn expand(&self, label: &[u8]) -> SecretKey {
        let pseudorandom = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*self.0);
        SecretKey::expanded(&pseudorandom, label)
    }

    fn expanded(pseudorandom: &hkdf::Prk, label: &[u8]) -> SecretKey {
        let mut key = SecretKey::blank();
        let expanded = pseudorandom
            .expand(&[label], hkdf::HKDF_SHA256)
            .and_then(|output| output.fill(&mut *key.0));
        expanded.expect("32 bytes are one block of SHA-256");
        key
    }

    fn blank() -> SecretKey {
        SecretKey(Box::new([0; 32]))
    }

    /// Encrypts in place and appends the tag.
    pub(crate) fn encrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        clear: &[u8],
        bytes: &mut Vec<u8>,
    ) -> Result<(), SecretFault> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self
            .aes()?
            .seal_in_place_append_tag(nonce, Aad::from(clear), bytes);
        sealed.map_err(|_| SecretFault::TooLong)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made.
    pub(crate) fn decrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        clear: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SecretFault> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mut bytes = sealed.to_vec();
        let opened = self
            .aes()?
            .open_in_place(nonce, Aad::from(clear), &mut bytes);
        let length = opened.map_err(|_| SecretFault::DoesNotOpen)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    fn aes(&self) -> Result<LessSafeKey, SecretFault> {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0).map_err(|_| SecretFault::TooLong)?;
        Ok(LessSafeKey::new(key))
    }
}

/// The key of one object, sealed to a group's public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedKey {
    /// The encapsulated secret: the sender's fresh public X25519 half.
    pub(crate) encapsulated: [u8; SealedKey::ENCAPSULATED_BYTES],
    pub(crate) sealed: [u8; SealedKey::SEALED_BYTES],
}

impl SealedKey {
    pub(crate) const ENCAPSULATED_BYTES: usize = 32;
    pub(crate) const SEALED_BYTES: usize = 32 + TAG_BYTES;

    /// Seals a key. `info` says what the key is for; it opens only for the same words.
    pub(crate) fn seal(
        key: &SecretKey,
        info: &[u8],
        public: &[u8; 32],
    ) -> Result<SealedKey, SecretFault> {
        let public = HpkePublicKey(public.to_vec());
        let sealed = DH_KEM_X25519_HKDF_SHA256_AES_256.seal(info, &[], key.bytes(), &public);
        let (encapsulated, sealed) = sealed.map_err(|_| SecretFault::PublicHalfUnusable)?;
        Ok(SealedKey {
            encapsulated: encapsulated
                .0
                .try_into()
                .map_err(|_| SecretFault::PublicHalfUnusable)?,
            sealed: sealed
                .try_into()
                .map_err(|_| SecretFault::PublicHalfUnusable)?,
        })
    }

    pub(crate) fn open(
        &self,
        info: &[u8],
        private: &PrivateHalf,
    ) -> Result<SecretKey, SecretFault> {
        let encapsulated = EncapsulatedSecret(self.encapsulated.to_vec());
        let suite = DH_KEM_X25519_HKDF_SHA256_AES_256;
        let opened = suite.open(&encapsulated, info, &[], &self.sealed, &private.0);
        let mut opened = opened.map_err(|_| SecretFault::DoesNotOpen)?;
        let key = SecretKey::from_slice(&opened);
        opened.zeroize();
        key
    }
}

/// The private half of a group's key pair.
pub(crate) struct PrivateHalf(HpkePrivateKey);

impl fmt::Debug for PrivateHalf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PrivateHalf(..)")
    }
}

impl PrivateHalf {
    /// A fresh pair: the private half and its public one.
    pub(crate) fn generate() -> Result<(PrivateHalf, [u8; 32]), SecretFault> {
        let pair = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair();
        let (public, private) = pair.map_err(|_| SecretFault::NoRandomness)?;
        let public = public
            .0
            .try_into()
            .map_err(|_| SecretFault::PublicHalfUnusable)?;
        Ok((PrivateHalf(private), public))
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> PrivateHalf {
        PrivateHalf(HpkePrivateKey::from(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.secret_bytes()
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], SecretFault> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SecretFault::NoRandomness)?;
    Ok(bytes)
}

/// HKDF-SHA256 (RFC 5869) of which 32 bytes are asked; an empty salt is one of zeros.
pub(crate) fn hkdf(salt: &[u8], secret: &[u8], info: &[u8]) -> SecretKey {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, salt);
    SecretKey::expanded(&salt.extract(secret), info)
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    digest_bytes(context)
}

/// The SHA-256 of a text or file that is handed out or listed.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> Digest {
    Digest(sha256(&[bytes]))
}

pub(crate) fn digest_bytes(context: digest::Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Why a key or what it seals cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SecretFault {
    /// Wrong key, other words, or changed bytes: the cipher does not say which.
    #[error("the sealed bytes do not open: the key is another one, or they were changed")]
    DoesNotOpen,
    /// The public half is no point that can be sealed to.
    #[error("the group's public half cannot be sealed to; let the office write it again")]
    PublicHalfUnusable,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes; check getrandom(2) and seccomp filters")]
    NoRandomness,
    /// More bytes than one message may have.
    #[error("more bytes than AES-256-GCM seals under one nonce")]
    TooLong,
}

impl SecretFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            SecretFault::DoesNotOpen | SecretFault::NoRandomness => Fault::Resource,
            SecretFault::PublicHalfUnusable => Fault::Operator,
            SecretFault::TooLong => Fault::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_for_its_words_and_its_private_half_only() {
        let (private, public) = PrivateHalf::generate().unwrap();
        let (other, _) = PrivateHalf::generate().unwrap();
        let key = SecretKey::random().unwrap();
        let sealed = SealedKey::seal(&key, b"this", &public).unwrap();

        assert_eq!(sealed.open(b"this", &private).unwrap().bytes(), key.bytes());
        assert_eq!(
            sealed.open(b"that", &private).unwrap_err(),
            SecretFault::DoesNotOpen
        );
        assert_eq!(
            sealed.open(b"this", &other).unwrap_err(),
            SecretFault::DoesNotOpen
        );
    }

    #[test]
    fn expanding_follows_rfc_5869() {
        // RFC 5869 test case 3: PRK, empty info; the first 32 bytes of OKM.
        let prk =
            crate::hex::decode("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
                .unwrap();
        let okm = SecretKey::from_slice(&prk).unwrap().expand(b"");
        assert_eq!(
            crate::hex::encode(okm.bytes()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SecretKey(Box::new([0x5a; 32]));
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
        assert_eq!(
            format!("{:?}", PrivateHalf::from_bytes(vec![0x5a; 32])),
            "PrivateHalf(..)"
        );
    }
}
