//! Words that lie sealed to a month of the register, each with the salted hash by which the trail knows it.

use rules::{ConfirmationId, Digest, EmergencyId};

use super::{OpenFault, Opener};
use crate::{
    object::Object,
    people::SealedText,
    seal::{SALT_BYTES, SealedFields},
    secret::{self, SecretFault},
};

impl Opener {
    /// Opens a text of the register, for whoever may see it.
    ///
    /// # Errors
    /// [`OpenFault`] if the month's key is gone or does not fit.
    pub fn open_text(&self, text: &SealedText) -> Result<String, OpenFault> {
        self.open_hashed_text(text).map(|(_, text)| text)
    }

    /// The same, with the salted hash by which the trail knows it.
    ///
    /// # Errors
    /// As [`Self::open_text`].
    pub fn open_hashed_text(&self, text: &SealedText) -> Result<(Digest, String), OpenFault> {
        self.open_salted(Object::text_of(&text.about, text.kind), &text.sealed)
    }

    /// Opens why an emergency was declared, with the salted hash by which the trail knows it.
    ///
    /// # Errors
    /// As [`Self::open_text`].
    pub fn open_reason(
        &self,
        emergency: EmergencyId,
        sealed: &SealedFields,
    ) -> Result<(Digest, String), OpenFault> {
        self.open_salted(Object::Reason { emergency }, sealed)
    }

    /// Opens why somebody said that the clock is right, with the salted hash by which the trail knows it.
    ///
    /// # Errors
    /// As [`Self::open_text`].
    pub fn open_confirmation(
        &self,
        confirmation: ConfirmationId,
        sealed: &SealedFields,
    ) -> Result<(Digest, String), OpenFault> {
        self.open_salted(Object::Confirmation { confirmation }, sealed)
    }

    fn open_salted(
        &self,
        object: Object,
        sealed: &SealedFields,
    ) -> Result<(Digest, String), OpenFault> {
        let salted = self.open_fields(object, sealed)?;
        let text = salted
            .get(SALT_BYTES..)
            .and_then(|text| String::from_utf8(text.to_vec()).ok());
        let text = text.ok_or(OpenFault::Secret(SecretFault::DoesNotOpen))?;
        Ok((Digest(secret::sha256(&[&salted])), text))
    }
}
