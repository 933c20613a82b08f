//! Certificates of disposal: what an outsider can check, and nothing that could be guessed from.
//!
//! A certificate is a signed note. Its root stands over one salted leaf for each recording that was destroyed,
//! as RFC 6962 section 2.1 builds it; the salt stays with the city, which can so prove one leaf without the others.

use std::{fmt, fmt::Write, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rules::{DisposalCounts, JstDay, RecordingId, jst_rfc3339};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{
    note::{NoteFault, SignedNote, VerifierKey},
    secret::sha256,
    tree::{Frontier, leaf_hash},
};

const ENDED: &str = "mirrors ended by decision";
const TITLE: &str = "denwaban disposal certificate 1";

/// What was disposed of: a day, or a recording by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All recordings of a day but those that are held.
    Day(JstDay),
    /// One recording before its day, or released after it.
    Recording(RecordingId),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Day(day) => write!(out, "{day}"),
            Subject::Recording(recording) => write!(out, "{recording}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectFault;

    fn from_str(text: &str) -> Result<Subject, SubjectFault> {
        let day = text.parse().map(Subject::Day);
        day.or_else(|_| text.parse().map(Subject::Recording))
            .map_err(|_| SubjectFault)
    }
}

/// A text that names nothing that can be disposed of.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected a day such as 2026-11-24, or the id of a recording")]
pub struct SubjectFault;

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Subject, D::Error> {
        String::deserialize(input)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// What a certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The day that the recordings were of.
    pub day: JstDay,
    /// When they were destroyed for good, mirrors included.
    pub completed_at: Timestamp,
    /// What became of them.
    pub counts: DisposalCounts,
    /// Mirrors that may have held keys of the day when they were ended by decision: nobody saw them destroyed there.
    pub mirrors_ended: u64,
    /// Over the recordings that were destroyed.
    pub merkle_root: [u8; 32],
    /// The office's audit entry that says the same.
    pub audit_seq: u64,
}

impl Certificate {
    /// The text that is signed.
    pub(super) fn to_text(self) -> String {
        let Certificate {
            day,
            completed_at,
            counts,
            mirrors_ended,
            merkle_root,
            audit_seq,
        } = self;
        let mut text = format!("{TITLE}\n");
        let at = jst_rfc3339(completed_at);
        let root = STANDARD.encode(merkle_root);
        for (name, value) in [
            ("day", day.to_string()),
            ("completed", at),
            ("due", counts.due().to_string()),
            ("disposed", counts.disposed().to_string()),
            ("held", counts.held().to_string()),
            ("failed", counts.failed().to_string()),
            ("root", root),
            ("audit", audit_seq.to_string()),
        ] {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {value}");
        }
        if mirrors_ended > 0 {
            let _ = writeln!(text, "{ENDED} {mirrors_ended}");
        }
        text
    }

    fn parse(text: &str) -> Option<Certificate> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let day = value("day")?.parse().ok()?;
        let completed_at = value("completed")?.parse().ok()?;
        let mut count = |name: &str| value(name)?.parse::<u64>().ok();
        let (due, disposed) = (count("due")?, count("disposed")?);
        let (held, failed) = (count("held")?, count("failed")?);
        let root = STANDARD.decode(value("root")?).ok()?;
        let certificate = Certificate {
            day,
            completed_at,
            counts: DisposalCounts::new(due, disposed, held, failed).ok()?,
            merkle_root: root.try_into().ok()?,
            audit_seq: value("audit")?.parse().ok()?,
            mirrors_ended: match lines.next() {
                Some(line) => line.strip_prefix(ENDED)?.trim_start().parse().ok()?,
                None => 0,
            },
        };
        // One spelling only, and nothing behind it.
        (certificate.to_text() == text).then_some(certificate)
    }
}

/// Reads a certificate that one of these keys signed.
///
/// # Errors
/// [`CertificateFault`] for another signer, changed words, or counts that do not add up.
pub fn verify_certificate(
    note: &str,
    keys: &[VerifierKey],
) -> Result<Certificate, CertificateFault> {
    let note: SignedNote = note.parse()?;
    note.verify(keys)?;
    Certificate::parse(note.text()).ok_or(CertificateFault::Form)
}

/// Why a certificate proves nothing.
#[derive(Debug, Error)]
pub enum CertificateFault {
    /// The signature.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// It is signed, and no certificate of disposal whose counts add up.
    #[error(
        "the note is no disposal certificate with due = disposed + held + failed; ask for the one that the city made"
    )]
    Form,
}

/// The root over a leaf for each recording. Source: RFC 6962 section 2.1.
pub(super) fn merkle_root<'all>(
    salt: &[u8; 32],
    recordings: impl Iterator<Item = &'all RecordingId>,
) -> [u8; 32] {
    let mut tree = Frontier::empty();
    for recording in recordings {
        let id = recording.to_bytes();
        let own = sha256(&[salt, &id]);
        tree.push(leaf_hash(&[&own[..], &id].concat()));
    }
    tree.root().0
}
