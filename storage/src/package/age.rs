//! `age` files to one X25519 recipient, written as a stream.
//!
//! Source: age-encryption.org/v1 (C2SP age): header, "X25519 recipient type", payload.

use std::io::{self, Write};

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral},
    error::Unspecified,
    hmac,
    rand::SystemRandom,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use rules::Recipient;
use zeroize::Zeroizing;

use crate::secret::{SecretKey, hkdf, random};

const VERSION: &str = "age-encryption.org/v1";
const FILE_KEY_BYTES: usize = 16;
const PAYLOAD_NONCE_BYTES: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;
const COUNTER_BYTES: usize = 11;
const LAST: u8 = 1;

/// Encrypts what is written into it. It is whole only after [`finish`](AgeWriter::finish).
pub(super) struct AgeWriter<W: Write> {
    out: W,
    key: LessSafeKey,
    counter: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> AgeWriter<W> {
    /// Writes the header.
    pub(super) fn begin(mut out: W, recipient: &Recipient) -> io::Result<AgeWriter<W>> {
        let file_key = Zeroizing::new(random::<FILE_KEY_BYTES>().map_err(io::Error::other)?);
        let (share, wrapped) = wrap(&file_key, recipient)
            .map_err(|_| io::Error::other("the receiver's public key cannot be encrypted to"))?;
        let header = format!(
            "{VERSION}\n-> X25519 {}\n{}\n---",
            STANDARD_NO_PAD.encode(share),
            STANDARD_NO_PAD.encode(wrapped)
        );
        let mac_key = hkdf(&[], &*file_key, b"header");
        let mac_key = hmac::Key::new(hmac::HMAC_SHA256, mac_key.bytes());
        let mac = hmac::sign(&mac_key, header.as_bytes());
        let nonce = random::<PAYLOAD_NONCE_BYTES>().map_err(io::Error::other)?;
        let payload_key = hkdf(&nonce, &*file_key, b"payload");
        writeln!(out, "{header} {}", STANDARD_NO_PAD.encode(mac))?;
        out.write_all(&nonce)?;
        Ok(AgeWriter {
            out,
            key: chacha(&payload_key).map_err(io::Error::other)?,
            counter: 0,
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
        })
    }

    /// Writes the last chunk and gives back what was written into.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal_chunk(LAST)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal_chunk(&mut self, last: u8) -> io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        nonce[COUNTER_BYTES - 8..COUNTER_BYTES].copy_from_slice(&self.counter.to_be_bytes());
        nonce[COUNTER_BYTES] = last;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut self.chunk)
            .map_err(io::Error::other)?;
        self.out.write_all(&self.chunk)?;
        self.out.write_all(tag.as_ref())?;
        self.counter += 1;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for AgeWriter<W> {
    /// A full chunk waits until more comes: the last one is told apart, and is empty only in an empty file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal_chunk(0)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The file key, wrapped to the recipient, and the ephemeral share that it needs.
fn wrap(
    file_key: &[u8; FILE_KEY_BYTES],
    recipient: &Recipient,
) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let own = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())?;
    let share = own.compute_public_key()?.as_ref().to_vec();
    let theirs = UnparsedPublicKey::new(&X25519, recipient.key());
    let salt = [&share[..], recipient.key()].concat();
    let wrap_key = agree_ephemeral(own, theirs, Unspecified, |shared| {
        Ok(hkdf(&salt, shared, b"age-encryption.org/v1/X25519"))
    })?;
    let mut wrapped = file_key.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    chacha(&wrap_key)?.seal_in_place_append_tag(nonce, Aad::empty(), &mut wrapped)?;
    Ok((share, wrapped))
}

fn chacha(key: &SecretKey) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&CHACHA20_POLY1305, key.bytes()).map(LessSafeKey::new)
}
