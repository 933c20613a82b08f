//! Where roots live: a provider makes, uses and destroys generations, and never gives one away.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::fault::{KeyFault, at};
use crate::{
    files::{Disk, MODE_SECRET, list_if_there},
    secret::{self, SecretKey},
};

/// Keeps the generations of a root. No call gives one away, so that a module which keeps its keys inside can do it too.
///
/// Every call may be the last before a power cut, and is then made again from the front.
pub trait RootProvider: Send + Sync {
    /// Makes a generation durable. One of the same number is replaced: nothing durable was wrapped under it.
    ///
    /// # Errors
    /// [`KeyFault`]; the generation may be there or not.
    fn generate(&self, generation: u32) -> Result<(), KeyFault>;

    /// Wraps a secret. `words` say what it is; it comes back for the same words only.
    ///
    /// # Errors
    /// [`KeyFault`] if the generation is missing or damaged.
    fn wrap(&self, generation: u32, words: &[u8], clear: &[u8]) -> Result<Wrapped, KeyFault>;

    /// Gives a wrapped secret back.
    ///
    /// # Errors
    /// [`KeyFault::DoesNotUnwrap`] for another generation, other words or changed bytes.
    fn unwrap(
        &self,
        generation: u32,
        words: &[u8],
        wrapped: &Wrapped,
    ) -> Result<Zeroizing<Vec<u8>>, KeyFault>;

    /// Destroys every generation but `kept`, and what unfinished attempts left. Safe to repeat.
    ///
    /// # Errors
    /// [`KeyFault`]; what is left of the others is destroyed by the next call.
    fn destroy(&self, kept: u32) -> Result<(), KeyFault>;
}

/// A secret under a root: AES-256-GCM or what the provider has in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// As the provider chose it.
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Roots as files in a folder of their own, `NNNN.root`; in service on another volume, in no backup.
pub struct FolderRoots {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl FolderRoots {
    /// What `keys status` calls this provider.
    pub const NAME: &'static str = "folder";

    /// The roots of a folder. Nothing is read yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, folder: &Path) -> FolderRoots {
        FolderRoots {
            disk,
            folder: folder.to_owned(),
        }
    }

    fn path(&self, generation: u32) -> PathBuf {
        self.folder.join(format!("{generation:04}.root"))
    }

    fn read(&self, generation: u32) -> Result<SecretKey, KeyFault> {
        let path = self.path(generation);
        let bytes = self
            .disk
            .read(&path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => KeyFault::RootMissing { path: path.clone() },
                _ => KeyFault::Disk {
                    path: path.clone(),
                    source,
                },
            })?;
        let bytes = Zeroizing::new(bytes);
        let key = bytes
            .get(12..44)
            .ok_or_else(|| KeyFault::RootDamaged { path: path.clone() })?;
        let key = SecretKey::from_slice(key)?;
        match *bytes == *root_bytes(generation, &key) {
            true => Ok(key),
            false => Err(KeyFault::RootDamaged { path }),
        }
    }
}

impl RootProvider for FolderRoots {
    fn generate(&self, generation: u32) -> Result<(), KeyFault> {
        let key = SecretKey::random()?;
        let path = self.path(generation);
        if self.disk.exists(&path).map_err(at(&path))? {
            self.disk.overwrite(&path).map_err(at(&path))?;
        }
        self.disk
            .replace(&path, &root_bytes(generation, &key), MODE_SECRET)
            .map_err(at(&path))
    }

    fn wrap(&self, generation: u32, words: &[u8], clear: &[u8]) -> Result<Wrapped, KeyFault> {
        let key = self.read(generation)?;
        let nonce = secret::random()?;
        // Wrapping happens in place; room for the tag, so that no copy is left behind.
        let mut bytes = Vec::with_capacity(clear.len() + secret::TAG_BYTES);
        bytes.extend_from_slice(clear);
        key.encrypt(nonce, words, &mut bytes)?;
        Ok(Wrapped { nonce, bytes })
    }

    fn unwrap(
        &self,
        generation: u32,
        words: &[u8],
        wrapped: &Wrapped,
    ) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let opened = self
            .read(generation)?
            .decrypt(wrapped.nonce, words, &wrapped.bytes);
        opened
            .map(Zeroizing::new)
            .map_err(|_| KeyFault::DoesNotUnwrap { root: generation })
    }

    fn destroy(&self, kept: u32) -> Result<(), KeyFault> {
        let names = list_if_there(&*self.disk, &self.folder).map_err(at(&self.folder))?;
        let kept = self.path(kept);
        let roots = names.iter().filter(|name| is_of_roots(name));
        let paths = roots.map(|name| self.folder.join(name));
        let forgotten: Vec<PathBuf> = paths.filter(|path| *path != kept).collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        for path in &forgotten {
            self.disk.overwrite(path).map_err(at(path))?;
            self.disk.unlink(path).map_err(at(path))?;
        }
        self.disk
            .sync_folder(&self.folder)
            .map_err(at(&self.folder))
    }
}

/// A mirror's folder holds its key store too, which is not a root's to destroy.
fn is_of_roots(name: &str) -> bool {
    name.ends_with(".root") || name.ends_with(".root.new")
}

const ROOT_MAGIC: &[u8; 8] = b"DENWROOT";

/// Magic, generation, key, and 8 bytes of their SHA-256, so that damage is told from another key.
fn root_bytes(generation: u32, key: &SecretKey) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(52));
    bytes.extend_from_slice(ROOT_MAGIC);
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes.extend_from_slice(key.bytes());
    let check = secret::sha256(&[&bytes]);
    bytes.extend_from_slice(&check[..8]);
    bytes
}
