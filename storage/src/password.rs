//! Hashes of passwords: argon2id (RFC 9106) with 64 MiB and three passes.
//!
//! One look costs about a third of a second and 64 MiB; whoever calls does it one at a time.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time;
use rules::{NewPassword, PasswordFound};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    hex,
    secret::{self, SecretFault},
};

const MEMORY_KIB: u32 = 64 * 1024; // RFC 9106 section 4, the second recommended option.
const PASSES: u32 = 3; // The same.
const LANES: u32 = 1; // The office has one thread for it.
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16; // RFC 9106 section 3.1.

/// The hash of a password, with what is needed to look at it again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(with = "hex::serde")]
    salt: [u8; SALT_BYTES],
    #[serde(with = "hex::serde")]
    hash: [u8; HASH_BYTES],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("PasswordHash(..)")
    }
}

impl PasswordHash {
    /// Hashes a new password with a fresh salt.
    ///
    /// # Errors
    /// [`PasswordFault`] if memory or randomness give out.
    pub fn new(password: &NewPassword) -> Result<PasswordHash, PasswordFault> {
        PasswordHash::of(password.text())
    }

    /// Hashes the password that this one was found to be of as one is hashed today; `None` where it was.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn renewed(&self, password: &str) -> Result<Option<PasswordHash>, PasswordFault> {
        let is_current = (self.memory_kib, self.passes, self.lanes) == (MEMORY_KIB, PASSES, LANES);
        match is_current {
            true => Ok(None),
            false => PasswordHash::of(password).map(Some),
        }
    }

    fn of(password: &str) -> Result<PasswordHash, PasswordFault> {
        let mut made = PasswordHash {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: secret::random()?,
            hash: [0; HASH_BYTES],
        };
        made.hash = *made.compute(password)?;
        Ok(made)
    }

    /// A hash that no password has: looking at it costs what a real one costs, so that an id that nobody has is told by no clock.
    #[must_use]
    pub fn decoy() -> PasswordHash {
        PasswordHash {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: [0; SALT_BYTES],
            hash: [0; HASH_BYTES],
        }
    }

    /// Looks whether this is the password.
    ///
    /// # Errors
    /// [`PasswordFault`] if memory gives out or the parameters are none.
    pub fn find(&self, password: &str) -> Result<PasswordFound, PasswordFault> {
        let computed = self.compute(password)?;
        match constant_time::verify_slices_are_equal(&*computed, &self.hash) {
            Ok(()) => Ok(PasswordFound::Right),
            Err(_) => Ok(PasswordFound::Wrong),
        }
    }

    fn compute(&self, password: &str) -> Result<Zeroizing<[u8; HASH_BYTES]>, PasswordFault> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES));
        let params = params.map_err(PasswordFault::Argon2)?;
        let mut hash = Zeroizing::new([0; HASH_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &self.salt, &mut *hash)
            .map_err(PasswordFault::Argon2)?;
        Ok(hash)
    }
}

/// Why a password could not be looked at.
#[derive(Debug, Error)]
pub enum PasswordFault {
    /// No memory, or parameters that are none.
    #[error("a password cannot be hashed ({0}); it takes 64 MiB of memory")]
    Argon2(argon2::Error),
    /// No randomness.
    #[error(transparent)]
    Secret(#[from] SecretFault),
}

impl PasswordFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> rules::Fault {
        rules::Fault::Resource
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> NewPassword {
        NewPassword::judge(&"hanako".parse().unwrap(), text).unwrap()
    }

    #[test]
    fn a_password_is_found_by_its_own_text_only_and_survives_being_saved() {
        let hash = PasswordHash::new(&password("kaze-ni-noru-tori")).unwrap();
        let saved = serde_json::to_string(&hash).unwrap();
        let hash: PasswordHash = serde_json::from_str(&saved).unwrap();
        assert!(!saved.contains("kaze"));
        let found = |text: &str| hash.find(text).unwrap();
        assert_eq!(found("kaze-ni-noru-tori"), PasswordFound::Right);
        assert_eq!(found("kaze-ni-noru-tora"), PasswordFound::Wrong);
        let nobodys = PasswordHash::decoy().find("kaze-ni-noru-tori").unwrap();
        assert_eq!(nobodys, PasswordFound::Wrong);
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }

    #[test]
    fn one_that_was_hashed_with_less_is_hashed_anew_and_finds_the_same_password() {
        let mut old = PasswordHash {
            memory_kib: 8 * 1024,
            passes: 1,
            ..PasswordHash::decoy()
        };
        let text = "kaze-ni-noru-tori";
        old.hash = *old.compute(text).unwrap();
        assert_eq!(old.find(text).unwrap(), PasswordFound::Right);
        let renewed = old.renewed(text).unwrap().unwrap();
        assert_eq!(renewed.find(text).unwrap(), PasswordFound::Right);
        assert_eq!(renewed.memory_kib, MEMORY_KIB);
        assert_eq!(renewed.renewed(text).unwrap(), None);
    }

    #[test]
    fn the_parameters_are_those_of_the_policy() {
        let decoy = PasswordHash::decoy();
        assert_eq!(
            (decoy.memory_kib, decoy.passes, decoy.lanes),
            (65_536, 3, 1)
        );
    }
}
