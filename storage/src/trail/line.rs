//! A line of a month's file: `{"hash":"..","entry":{..}}`.
//!
//! The bytes of the entry are hashed as they stand in the line, so nobody writes them a second time.

use rules::{AuditEntry, AuditEvent, Digest};
use serde::Deserialize;

use crate::tree::Frontier;

use super::ChainEnd;

const BEGIN: &[u8] = b"{\"hash\":\"";
const MIDDLE: &[u8] = b"\",\"entry\":";
const END: &[u8] = b"}";
const HASH_DIGITS: usize = 64;
const HASH_AT: usize = BEGIN.len();
const ENTRY_AT: usize = HASH_AT + HASH_DIGITS + MIDDLE.len();

/// Writes a line with its line feed.
pub(super) fn write(hash: &Digest, entry: &[u8], lines: &mut Vec<u8>) {
    lines.extend_from_slice(BEGIN);
    lines.extend_from_slice(&digits(hash));
    lines.extend_from_slice(MIDDLE);
    lines.extend_from_slice(entry);
    lines.extend_from_slice(END);
    lines.push(b'\n');
}

/// A line that has the form of an entry. Whether it is the right one, its hash says.
pub(crate) struct Line<'bytes> {
    /// The digits of its hash.
    pub(crate) hash: &'bytes [u8],
    /// The entry's bytes.
    pub(crate) entry: &'bytes [u8],
    /// Its number.
    pub(crate) seq: u64,
    event: &'bytes str,
}

impl<'bytes> Line<'bytes> {
    /// Reads a line without its line feed. Of the entry it reads number and kind only, so that an
    /// entry of a newer version can be verified too, and ten million in seconds.
    pub(super) fn parse(line: &'bytes [u8]) -> Option<Line<'bytes>> {
        let hash = line.strip_prefix(BEGIN)?.get(..HASH_DIGITS)?;
        let entry = line.get(ENTRY_AT..)?.strip_suffix(END)?;
        if &line[HASH_AT + HASH_DIGITS..ENTRY_AT] != MIDDLE {
            return None;
        }
        let Numbered { seq, event } = serde_json::from_slice(entry).ok()?;
        // One spelling only, so that a changed letter case is a changed line.
        let is_hash = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        hash.iter().all(is_hash).then_some(Line {
            hash,
            entry,
            seq,
            event: event.event,
        })
    }

    /// Whether this is the hash that stands in the line.
    pub(super) fn has_hash(&self, hash: &Digest) -> bool {
        self.hash == digits(hash)
    }

    /// The end of the chain, as the line itself says it.
    pub(crate) fn end(&self) -> Option<ChainEnd> {
        let hash = std::str::from_utf8(self.hash).ok()?.parse().ok()?;
        Some(ChainEnd {
            seq: self.seq,
            hash,
        })
    }

    /// The whole entry, if it is of this version or an older one.
    pub(crate) fn read(&self) -> Option<AuditEntry> {
        serde_json::from_slice(self.entry).ok()
    }

    /// What came before a month, if this is the entry that says so; `Some(None)` if it contradicts itself.
    pub(super) fn beginning(&self) -> Option<Option<Beginning>> {
        (self.event == "month_begun").then(|| match self.read()?.event {
            AuditEvent::MonthBegun {
                size,
                chain_hash,
                frontier,
            } => Some(Beginning {
                end: ChainEnd {
                    seq: size,
                    hash: chain_hash,
                },
                frontier: Frontier::new(size, frontier)?,
            }),
            _ => None,
        })
    }

    /// Whether the entry tells of a fact of the register.
    pub(crate) fn tells_of_fact(&self) -> bool {
        self.event == "registered"
    }

    /// Whether the entry tells of months that were removed.
    pub(super) fn tells_of_removal(&self) -> bool {
        self.event == "months_removed"
    }
}

/// All that came before a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) end: ChainEnd,
    pub(crate) frontier: Frontier,
}

#[derive(Deserialize)]
struct Numbered<'text> {
    seq: u64,
    #[serde(borrow)]
    event: Kind<'text>,
}

#[derive(Deserialize)]
struct Kind<'text> {
    event: &'text str,
}

fn digits(hash: &Digest) -> [u8; HASH_DIGITS] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; HASH_DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.0) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}
