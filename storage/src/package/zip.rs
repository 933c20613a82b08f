//! A ZIP archive whose files are encrypted with AES-256, written as a stream.
//!
//! Source: APPNOTE.TXT 6.3.10 (PKWARE) for the archive, "AES Encryption Information" (`WinZip`, AE-2) for its files. Every length is known
//! before its file, so nothing is written twice; AE-2 keeps no checksum of the clear bytes.

use std::{
    io::{self, Write},
    num::NonZeroU32,
};

use aws_lc_rs::{
    cipher::{AES_256, AES_256_KEY_LEN, EncryptingKey, UnboundCipherKey},
    hmac, pbkdf2,
};
use zeroize::Zeroizing;

use super::Passphrase;
use crate::secret::random;

const SALT_BYTES: usize = 16;
const VERIFIER_BYTES: usize = 2;
const TAG_BYTES: usize = 10;
const ROUNDS: NonZeroU32 = NonZeroU32::new(1_000).expect("more than none"); // As the format fixes it; the passphrase has 150 bits.
const BLOCK_BYTES: usize = 16;
const METHOD_AES: u16 = 99;
const VERSION: u16 = 51; // 5.1: the first with AES.
const FLAGS: u16 = 1; // Encrypted.
const EXTRA: [u8; 11] = *b"\x01\x99\x07\x00\x02\x00AE\x03\x00\x00"; // AE-2, 256 bits, stored.
const FIRST_DATE: u16 = 0x21; // 1980-01-01: a neutral one.

/// Writes files one after another.
pub(super) struct ZipWriter<W: Write> {
    out: W,
    passphrase: Passphrase,
    written: u64,
    open: Option<OpenFile>,
    central: Vec<u8>,
    count: u16,
}

/// A file that is being written.
struct OpenFile {
    keystream: Keystream,
    mac: hmac::Context,
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W, passphrase: Passphrase) -> ZipWriter<W> {
        ZipWriter {
            out,
            passphrase,
            written: 0,
            open: None,
            central: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn begin_file(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.end_file()?;
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let overhead = u64::try_from(SALT_BYTES + VERIFIER_BYTES + TAG_BYTES).unwrap_or(0);
        let offset = u32::try_from(self.written).map_err(too_large)?;
        let whole = u32::try_from(bytes).map_err(too_large)?;
        let packed = u32::try_from(bytes + overhead).map_err(too_large)?;
        let common = common_fields(name, packed, whole);
        self.central.extend_from_slice(b"PK\x01\x02");
        self.central.extend_from_slice(&VERSION.to_le_bytes());
        self.central.extend_from_slice(&common);
        // Comment, disk, attributes.
        self.central.extend_from_slice(&[0; 10]);
        self.central.extend_from_slice(&offset.to_le_bytes());
        self.central.extend_from_slice(name.as_bytes());
        self.central.extend_from_slice(&EXTRA);
        self.count = self
            .count
            .checked_add(1)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let local = [b"PK\x03\x04", &common[..], name.as_bytes(), &EXTRA].concat();
        self.put(&local)?;
        self.begin_encryption()
    }

    fn begin_encryption(&mut self) -> io::Result<()> {
        let salt = random::<SALT_BYTES>().map_err(io::Error::other)?;
        let mut keys = Zeroizing::new([0; 2 * AES_256_KEY_LEN + VERIFIER_BYTES]);
        let passphrase = self.passphrase.text().as_bytes();
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA1,
            ROUNDS,
            &salt,
            passphrase,
            &mut *keys,
        );
        let (cipher, rest) = keys.split_at(AES_256_KEY_LEN);
        let (mac, verifier) = rest.split_at(AES_256_KEY_LEN);
        self.put(&salt)?;
        self.put(verifier)?;
        let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, mac);
        self.open = Some(OpenFile {
            keystream: Keystream::new(cipher)?,
            mac: hmac::Context::with_key(&mac),
        });
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.open.as_mut().ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = Zeroizing::new(bytes.to_vec());
        file.keystream.apply(&mut bytes)?;
        file.mac.update(&bytes);
        self.put(&bytes)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.end_file()?;
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let offset = u32::try_from(self.written).map_err(too_large)?;
        let length = u32::try_from(self.central.len()).map_err(too_large)?;
        self.out.write_all(&self.central)?;
        // End of central directory: one disk, no comment.
        self.out.write_all(b"PK\x05\x06\x00\x00\x00\x00")?;
        self.out.write_all(&self.count.to_le_bytes())?;
        self.out.write_all(&self.count.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&offset.to_le_bytes())?;
        self.out.write_all(&[0; 2])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_file(&mut self) -> io::Result<()> {
        let Some(file) = self.open.take() else {
            return Ok(());
        };
        let tag = file.mac.sign();
        self.put(&tag.as_ref()[..TAG_BYTES])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.out.write_all(bytes)
    }
}

/// What local header and central directory say alike, from the version that is needed to the length of the extra field.
fn common_fields(name: &str, packed: u32, whole: u32) -> Vec<u8> {
    let mut fields = Vec::with_capacity(26);
    for short in [VERSION, FLAGS, METHOD_AES, 0, FIRST_DATE] {
        fields.extend_from_slice(&short.to_le_bytes());
    }
    // AE-2 has no CRC.
    for long in [0, packed, whole] {
        fields.extend_from_slice(&long.to_le_bytes());
    }
    let name_bytes = u16::try_from(name.len()).unwrap_or(u16::MAX);
    let extra_bytes = u16::try_from(EXTRA.len()).unwrap_or(u16::MAX);
    fields.extend_from_slice(&name_bytes.to_le_bytes());
    fields.extend_from_slice(&extra_bytes.to_le_bytes());
    fields
}

/// AES-256 in the counter mode of `WinZip`: the counter begins at 1 and its first byte counts first.
struct Keystream {
    key: EncryptingKey,
    counter: u128,
    /// What is left of the last block.
    left: Zeroizing<Vec<u8>>,
}

impl Keystream {
    fn new(key: &[u8]) -> io::Result<Keystream> {
        let key = UnboundCipherKey::new(&AES_256, key).and_then(EncryptingKey::ecb);
        Ok(Keystream {
            key: key.map_err(io::Error::other)?,
            counter: 1,
            left: Zeroizing::new(Vec::new()),
        })
    }

    fn apply(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let missing = bytes.len().saturating_sub(self.left.len());
        let mut blocks = Zeroizing::new(vec![0; missing.next_multiple_of(BLOCK_BYTES)]);
        for block in blocks.chunks_exact_mut(BLOCK_BYTES) {
            block.copy_from_slice(&self.counter.to_le_bytes());
            self.counter += 1;
        }
        if !blocks.is_empty() {
            self.key.encrypt(&mut blocks).map_err(io::Error::other)?;
        }
        self.left.extend_from_slice(&blocks);
        for (byte, key) in bytes.iter_mut().zip(self.left.iter()) {
            *byte ^= key;
        }
        self.left.drain(..bytes.len());
        Ok(())
    }
}
