//! Signs the heads of both chains, for the office.
//!
//! Before a head is signed its entries and tiles are durable, and the entries lead through the head
//! that was signed before: a trail that was written anew gets no signature. Start at [`Heads::sign`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rules::Fault;
use thiserror::Error;

use crate::{
    files::{Disk, MODE_SHARED, list_if_there, remove_if_there},
    head::{Head, HeadFault, SignedHead},
    layout::Layout,
    lock::Duty,
    note::{NoteFault, VerifierKey},
    signing::{SigningFault, SigningKey, verifier_keys},
    tiles::{self, Growing, Tiles},
    trail::{AuditFault, Start, Walked, walk},
    tree::Frontier,
};

/// Heads of the clock that are kept of each chain: hourly ones of six weeks.
const KEPT_HEADS: usize = 1024;
/// Heads that somebody asked for. The newest alone: whoever may ask is many, and asks without end.
const KEPT_ASKED: usize = 1;
/// What the names of each end with, behind the size.
const BY_CLOCK: &str = ".note";
const ASKED: &str = ".asked";

/// The heads of an installation, in the hands of the office duty.
pub struct Heads {
    disk: Arc<dyn Disk>,
    layout: Layout,
}

impl Heads {
    /// The heads that lie in this layout.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, layout: &Layout) -> Heads {
        Heads {
            disk,
            layout: layout.clone(),
        }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Signs the head of all durable entries of a chain when its time has come, or gives the last one
    /// again where nothing came after it. It is kept among those of the clock.
    ///
    /// # Errors
    /// [`SignFault::Altered`] if the entries do not lead through the last head,
    /// [`SignFault::Audit`] if one of them is not as it was written.
    pub fn sign(&self, chain: Duty, key: &SigningKey) -> Result<SignedHead, SignFault> {
        let signed = self.sign_newest(chain, key)?;
        self.keep(&signed, BY_CLOCK, KEPT_HEADS)?;
        Ok(signed)
    }

    /// The same for whoever asks. It takes the place of the last that somebody asked for, and pushes out none of the clock's.
    ///
    /// # Errors
    /// As [`Heads::sign`].
    pub fn sign_asked(&self, chain: Duty, key: &SigningKey) -> Result<SignedHead, SignFault> {
        let signed = self.sign_newest(chain, key)?;
        self.keep(&signed, ASKED, KEPT_ASKED)?;
        Ok(signed)
    }

    /// The head stands beside its tiles.
    fn sign_newest(&self, chain: Duty, key: &SigningKey) -> Result<SignedHead, SignFault> {
        let keys = verifier_keys(&*self.disk, &self.layout)?;
        let last = last_head(&*self.disk, &self.layout, chain, &keys)?;
        let (tiles, head) = self.grow(chain, last.as_ref())?;
        if let Some(last) = last.filter(|last| last.head() == head && last.is_signed_by(key)) {
            return Ok(last);
        }
        let signed = SignedHead::sign(head, key)?;
        put_beside_tiles(&*self.disk, &self.layout, &signed)?;
        let folder = tiles::folder(&self.layout, chain);
        tiles.forget_old_edge().map_err(at(&folder))?;
        Ok(signed)
    }

    /// Derives the tiles of all entries behind the last head, durable, and the head that they have.
    fn grow(
        &self,
        chain: Duty,
        last: Option<&SignedHead>,
    ) -> Result<(Growing<'_>, Head), SignFault> {
        let (size, root) = match last.map(SignedHead::head) {
            Some(last) => (last.size, last.root),
            None => (0, Frontier::empty().root()),
        };
        let altered = || SignFault::Altered { chain, size };
        let folder = tiles::folder(&self.layout, chain);
        let tiles = Tiles::new(&*self.disk, &self.layout, chain, size);
        let mut growing = tiles.grow().map_err(at(&folder))?;
        let mut leads_through_last = false;
        let start = Start::Size(size);
        let walked = walk(&*self.disk, &self.layout, chain, start, &mut |seen| {
            let frontier = seen.frontier();
            if frontier.size() == size {
                leads_through_last = frontier.root() == root;
            }
            match seen.leaf() {
                _ if frontier.size() <= size => Ok(()),
                _ if !leads_through_last => Err(altered()),
                Some(leaf) => growing.push(leaf).map_err(at(&folder)),
                None => Ok(()),
            }
        })?;
        if !leads_through_last {
            return Err(altered());
        }
        self.make_durable(&walked)?;
        growing.flush().map_err(at(&folder))?;
        let root = walked.frontier.root();
        let size = walked.end.seq;
        Ok((growing, Head { chain, size, root }))
    }

    /// Nothing is signed that a power cut, or the writer itself after a failed sync, would take away.
    fn make_durable(&self, walked: &Walked) -> Result<(), SignFault> {
        // A line that is being written at this moment comes with the next head.
        if let Some(bad) = walked.bad_before_its_end() {
            return Err(AuditFault::from(bad.clone()).into());
        }
        for path in &walked.files {
            self.disk.sync_file(path).map_err(at(path))?;
        }
        if let Some(path) = walked.files.last() {
            let bytes = self.disk.len(path).map_err(at(path))?;
            if bytes < walked.last_file_bytes {
                return Err(AuditFault::Altered { path: path.clone() }.into());
            }
        }
        Ok(())
    }

    /// It stands once more among as many of its kind as are kept; one that stands there is not written again.
    fn keep(&self, signed: &SignedHead, kind: &str, most: usize) -> Result<(), SignFault> {
        let Head { chain, size, .. } = signed.head();
        let folder = self.layout.heads().join(chain.name());
        self.disk.make_folder(&folder, 0o750).map_err(at(&folder))?;
        let own = format!("{size:020}{kind}");
        let path = folder.join(&own);
        let text = signed.note().to_string();
        if !self.says(&path, &text) {
            self.disk
                .replace(&path, text.as_bytes(), MODE_SHARED)
                .map_err(at(&path))?;
        }
        let mut kept = list_if_there(&*self.disk, &folder).map_err(at(&folder))?;
        kept.retain(|name| name.ends_with(kind) && *name != own);
        let too_many = (kept.len() + 1).saturating_sub(most);
        for name in &kept[..too_many] {
            let path = folder.join(name);
            remove_if_there(&*self.disk, &path).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Whether a file holds this text.
    fn says(&self, path: &Path, text: &str) -> bool {
        let known = self.disk.read(path);
        known.is_ok_and(|bytes| bytes == text.as_bytes())
    }
}

/// The last head of a chain that one of these keys signed; its tiles are durable.
///
/// # Errors
/// [`SignFault`] if what is there cannot be read, or is no head of this chain.
pub(crate) fn last_head(
    disk: &dyn Disk,
    layout: &Layout,
    chain: Duty,
    keys: &[VerifierKey],
) -> Result<Option<SignedHead>, SignFault> {
    let path = checkpoint(layout, chain);
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(at(&path)(fault)),
    };
    let read = SignedHead::read(&String::from_utf8_lossy(&bytes), keys);
    match read {
        Ok(head) if head.head().chain == chain => Ok(Some(head)),
        Ok(_) => Err(SignFault::LastHead {
            path,
            source: HeadFault::NoHead,
        }),
        Err(source) => Err(SignFault::LastHead { path, source }),
    }
}

/// Names a head as that of the tiles, which are durable.
///
/// # Errors
/// [`SignFault::Disk`].
pub(crate) fn put_beside_tiles(
    disk: &dyn Disk,
    layout: &Layout,
    signed: &SignedHead,
) -> Result<(), SignFault> {
    let path = checkpoint(layout, signed.head().chain);
    let text = signed.note().to_string();
    disk.replace(&path, text.as_bytes(), MODE_SHARED)
        .map_err(at(&path))
}

/// Where the head of a chain's tiles lies.
pub(crate) fn checkpoint(layout: &Layout, chain: Duty) -> PathBuf {
    tiles::folder(layout, chain).join("checkpoint")
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SignFault {
    let path = path.to_owned();
    move |source| SignFault::Disk { path, source }
}

/// Why no head is signed.
#[derive(Debug, Error)]
pub enum SignFault {
    /// The entries are not those whose head was signed.
    #[error("the first {size} entries of chain {} are not those whose head was signed; keep the folder as evidence and run audit verify with a head that is kept outside", chain.name())]
    Altered {
        /// Whose chain.
        chain: Duty,
        /// The size of the head.
        size: u64,
    },
    /// The trail cannot be read, or is not whole.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// Tiles or heads cannot be read or written.
    #[error("{} cannot be used ({source}); check free space, the disk and the folder's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The last head is none.
    #[error("{} is no head of this installation ({source}); bring it back from data/office/heads", path.display())]
    LastHead {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeadFault,
    },
    /// No key.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// A text of ours cannot be signed.
    #[error(transparent)]
    Note(#[from] NoteFault),
}

impl SignFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            SignFault::Altered { .. } | SignFault::LastHead { .. } => Fault::Operator,
            SignFault::Disk { .. } => Fault::Resource,
            SignFault::Audit(fault) => fault.fault(),
            SignFault::Signing(fault) => fault.fault(),
            SignFault::Note(_) => Fault::Ours,
        }
    }
}
