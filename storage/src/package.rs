//! Packages: what leaves the city, encrypted as it is written, so that no clear byte of it touches a disk (K-19).
//!
//! Inside lie WAV files with neutral names, a receipt code and a signed [`Manifest`]. To a public key it is a tar archive in
//! [`age`](self::age); under a passphrase it is a ZIP archive with AES-256. Both are read by tools that are not ours.

mod age;
mod kept;
mod manifest;
mod silence;
mod tar;
mod zip;

use std::{fmt, io, io::Write};

use rules::{Digest, HandOverId, Recipient};
use zeroize::Zeroizing;

use self::{age::AgeWriter, tar::TarWriter, zip::ZipWriter};
use crate::secret::{self, SecretFault};

pub use kept::KeptPassphrase;
pub use manifest::{Manifest, ManifestFault, ManifestItem, verify_manifest};
pub use silence::silence;

/// The name of the manifest in a package.
pub const MANIFEST_NAME: &str = "manifest.txt";
/// The name of the receipt code's file in a package.
pub const RECEIPT_NAME: &str = "receipt.txt";
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789"; // None looks like another; 5 bits each.
const GROUP: usize = 5;

/// The passphrase of a package: 30 letters, 150 bits, made by the machine.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A fresh one.
    ///
    /// # Errors
    /// [`SecretFault::NoRandomness`].
    pub fn random() -> Result<Passphrase, SecretFault> {
        const COUNT: usize = 30; // K-19 asks for 128 bits at least.
        random_letters::<COUNT>().map(Passphrase)
    }

    /// As it is typed in.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Passphrase(..)")
    }
}

/// The code that only whoever opened the package can tell: 15 letters, 75 bits.
#[derive(Clone)]
pub struct ReceiptCode(Zeroizing<String>);

impl ReceiptCode {
    /// A fresh one.
    ///
    /// # Errors
    /// [`SecretFault::NoRandomness`].
    pub fn random() -> Result<ReceiptCode, SecretFault> {
        const COUNT: usize = 15; // Nobody guesses it, and it is read out over the telephone.
        random_letters::<COUNT>().map(ReceiptCode)
    }

    /// What was told, however it was grouped.
    #[must_use]
    pub fn told(text: &str) -> ReceiptCode {
        let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        ReceiptCode(Zeroizing::new(grouped(letters.to_lowercase().as_bytes())))
    }

    /// As it lies in the package.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What the register keeps of it.
    #[must_use]
    pub fn digest(&self, hand_over: HandOverId) -> Digest {
        let words = b"denwaban receipt code";
        Digest(secret::sha256(&[
            words,
            &hand_over.to_bytes(),
            self.0.as_bytes(),
        ]))
    }
}

impl fmt::Debug for ReceiptCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ReceiptCode(..)")
    }
}

fn random_letters<const N: usize>() -> Result<Zeroizing<String>, SecretFault> {
    let random = Zeroizing::new(secret::random::<N>()?);
    let letters: Zeroizing<Vec<u8>> = Zeroizing::new(
        random
            .iter()
            .map(|byte| LETTERS[usize::from(byte % 32)])
            .collect(),
    );
    Ok(Zeroizing::new(grouped(&letters)))
}

fn grouped(letters: &[u8]) -> String {
    let groups: Vec<_> = letters.chunks(GROUP).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

/// How a package opens.
#[derive(Clone, Debug)]
pub enum PackageKey {
    /// By the receiver's private key.
    Recipient(Recipient),
    /// By a passphrase.
    Passphrase(Passphrase),
}

/// Writes a package, file by file.
pub struct PackageWriter<W: Write> {
    archive: Archive<W>,
    /// What is still to come of the file that was begun.
    left: u64,
}

enum Archive<W: Write> {
    Age(TarWriter<AgeWriter<W>>),
    Zip(Box<ZipWriter<W>>),
}

impl<W: Write> PackageWriter<W> {
    /// Begins a package.
    ///
    /// `seconds`: when it is made, since 1970.
    ///
    /// # Errors
    /// Those of `out`, and where the system gives no random bytes or the recipient is no point that can be sealed to.
    pub fn begin(out: W, key: PackageKey, seconds: u64) -> io::Result<PackageWriter<W>> {
        let archive = match key {
            PackageKey::Recipient(recipient) => {
                Archive::Age(TarWriter::new(AgeWriter::begin(out, &recipient)?, seconds))
            }
            PackageKey::Passphrase(passphrase) => {
                Archive::Zip(Box::new(ZipWriter::new(out, passphrase)))
            }
        };
        Ok(PackageWriter { archive, left: 0 })
    }

    /// Begins the next file. `bytes`: its whole length.
    ///
    /// # Errors
    /// Those of the writer below; [`io::ErrorKind::FileTooLarge`] beyond 4 GiB of a ZIP archive, or 8 GiB in one file.
    pub fn begin_file(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.is_whole()?;
        self.left = bytes;
        match &mut self.archive {
            Archive::Age(tar) => tar.begin_file(name, bytes),
            Archive::Zip(zip) => zip.begin_file(name, bytes),
        }
    }

    /// Writes on in the file.
    ///
    /// # Errors
    /// Those of the writer below, and where it is more than the length that was said.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let too_long = || io::Error::other("a file of a package is longer than was said");
        self.left = self.left.checked_sub(count).ok_or_else(too_long)?;
        match &mut self.archive {
            Archive::Age(tar) => tar.write(bytes),
            Archive::Zip(zip) => zip.write(bytes),
        }
    }

    /// Ends the package and gives back what it was written into.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn finish(self) -> io::Result<W> {
        self.is_whole()?;
        match self.archive {
            Archive::Age(tar) => tar.finish()?.finish(),
            Archive::Zip(zip) => zip.finish(),
        }
    }

    fn is_whole(&self) -> io::Result<()> {
        match self.left {
            0 => Ok(()),
            _ => Err(io::Error::other(
                "a file of a package is shorter than was said",
            )),
        }
    }
}
