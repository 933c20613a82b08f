//! The manifest of a package: what was handed over to whom, by which decision, and until when; a signed note that an outsider checks.

use std::{collections::BTreeSet, fmt::Write};

use jiff::Timestamp;
use rules::{Digest, HandOverId, Purpose, RecordingId, StaffId, Stretch, jst_rfc3339};
use thiserror::Error;

use crate::note::{NoteFault, SignedNote, VerifierKey};

const TITLE: &str = "denwaban hand-over manifest 1";

/// What a manifest says. Texts hold no line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which hand-over.
    pub hand_over: HandOverId,
    /// What the recordings may be used for, and nothing else.
    pub purpose: Purpose,
    /// `contract ID` or `request ID`.
    pub under: String,
    /// 管理所管課.
    pub giver: String,
    /// Who receives.
    pub receiver: String,
    /// 媒体.
    pub medium: String,
    /// Who asked for it.
    pub requested_by: StaffId,
    /// Who decided.
    pub decided_by: StaffId,
    /// When.
    pub decided_at: Timestamp,
    /// Who packaged.
    pub packaged_by: StaffId,
    /// When.
    pub packaged_at: Timestamp,
    /// When everything must be destroyed.
    pub destroy_by: Timestamp,
    /// The files.
    pub items: Vec<ManifestItem>,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestItem {
    /// Its name, which tells nothing.
    pub name: String,
    /// The recording.
    pub recording: RecordingId,
    /// Of the file.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
    /// What was silenced of it, by the decision that the manifest names.
    pub masked: BTreeSet<Stretch>,
}

impl Manifest {
    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\n");
        let [decided_at, packaged_at, destroy_by] =
            [self.decided_at, self.packaged_at, self.destroy_by].map(jst_rfc3339);
        for (name, value) in [
            ("hand-over", self.hand_over.to_string()),
            ("purpose", self.purpose.to_string()),
            ("under", self.under.clone()),
            ("giver", self.giver.clone()),
            ("receiver", self.receiver.clone()),
            ("medium", self.medium.clone()),
            ("requested-by", self.requested_by.to_string()),
            ("decided-by", self.decided_by.to_string()),
            ("decided", decided_at),
            ("packaged-by", self.packaged_by.to_string()),
            ("packaged", packaged_at),
            ("destroy-by", destroy_by),
            ("items", self.items.len().to_string()),
        ] {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {value}");
        }
        for item in &self.items {
            let ManifestItem {
                name,
                recording,
                sha256,
                bytes,
                masked,
            } = item;
            let _ = write!(text, "{name} {recording} {sha256} {bytes}");
            for stretch in masked {
                let _ = write!(text, " {stretch}");
            }
            text.push('\n');
        }
        text
    }

    fn parse(text: &str) -> Option<Manifest> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let manifest = Manifest {
            hand_over: value("hand-over")?.parse().ok()?,
            purpose: value("purpose")?.parse().ok()?,
            under: value("under")?.to_owned(),
            giver: value("giver")?.to_owned(),
            receiver: value("receiver")?.to_owned(),
            medium: value("medium")?.to_owned(),
            requested_by: value("requested-by")?.parse().ok()?,
            decided_by: value("decided-by")?.parse().ok()?,
            decided_at: value("decided")?.parse().ok()?,
            packaged_by: value("packaged-by")?.parse().ok()?,
            packaged_at: value("packaged")?.parse().ok()?,
            destroy_by: value("destroy-by")?.parse().ok()?,
            items: Vec::new(),
        };
        value("items")?.parse::<usize>().ok()?;
        let items = lines.map(parse_item).collect::<Option<_>>()?;
        let manifest = Manifest { items, ..manifest };
        // One spelling only, and nothing behind it.
        (manifest.to_text() == text).then_some(manifest)
    }
}

fn parse_item(line: &str) -> Option<ManifestItem> {
    let mut words = line.split(' ');
    let item = ManifestItem {
        name: words.next()?.to_owned(),
        recording: words.next()?.parse().ok()?,
        sha256: words.next()?.parse().ok()?,
        bytes: words.next()?.parse().ok()?,
        masked: words.map(|word| word.parse().ok()).collect::<Option<_>>()?,
    };
    // A name leads to a file beside the manifest and nowhere else.
    let is_plain = item
        .name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    (is_plain && !item.name.starts_with('.')).then_some(item)
}

/// Reads a manifest that one of these keys signed.
///
/// # Errors
/// [`ManifestFault`] for another signer, changed words, or a note that is no manifest.
pub fn verify_manifest(note: &str, keys: &[VerifierKey]) -> Result<Manifest, ManifestFault> {
    let note: SignedNote = note.parse()?;
    note.verify(keys)?;
    Manifest::parse(note.text()).ok_or(ManifestFault::Form)
}

/// Why a manifest proves nothing.
#[derive(Debug, Error)]
pub enum ManifestFault {
    /// The signature.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// It is signed, and no manifest of a hand-over.
    #[error("the note is no manifest of a hand-over; take the manifest.txt of the package")]
    Form,
}
