//! The monthly statement as the public gets it: a signed note, which anybody reads and verifies without any configuration.

use std::fmt::Write;

use rules::{Cell, JstMonth, Statement};
use thiserror::Error;

use crate::{
    note::{NoteFault, SignedNote, VerifierKey},
    signing::SigningKey,
};

const TITLE: &str = "denwaban monthly statement 1";
const SUPPRESSED: &str = "suppressed"; // Under 5.
const AT_LEAST: &str = "at-least"; // A sum with a suppressed part.

/// Signs a statement in the installation's name.
///
/// # Errors
/// [`NoteFault`] if its text cannot be signed.
pub fn sign_statement(statement: &Statement, key: &SigningKey) -> Result<SignedNote, NoteFault> {
    let mut text = format!("{TITLE}\nmonth {}\n", statement.month);
    // Writing into a String cannot fail.
    let _ = writeln!(text, "days {}", statement.days());
    for (name, cell) in statement.lines() {
        let _ = match cell {
            Cell::Count(count) => writeln!(text, "{name} {count}"),
            Cell::Suppressed => writeln!(text, "{name} {SUPPRESSED}"),
            Cell::AtLeast(count) => writeln!(text, "{name} {AT_LEAST} {count}"),
        };
    }
    let _ = writeln!(text, "audit {}", statement.audit_seq);
    key.sign_note(text)
}

/// A statement whose signature was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Of which month.
    pub month: JstMonth,
    /// Each further line: its name, and what it counts.
    pub lines: Vec<(String, Cell)>,
}

/// Reads a statement that one of these keys signed.
///
/// # Errors
/// [`StatementFault`] for another signer, changed words, or a note that is no statement.
pub fn verify_statement(note: &str, keys: &[VerifierKey]) -> Result<Published, StatementFault> {
    let note: SignedNote = note.parse()?;
    note.verify(keys)?;
    parse(note.text()).ok_or(StatementFault::Form)
}

fn parse(text: &str) -> Option<Published> {
    let mut lines = text.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let month = lines.next()?.strip_prefix("month ")?.parse().ok()?;
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let sum = name
            .strip_suffix(AT_LEAST)
            .and_then(|name| name.strip_suffix(' '));
        let cell = match (value, sum) {
            (SUPPRESSED, _) => Cell::Suppressed,
            (count, Some(_)) => Cell::AtLeast(count.parse().ok()?),
            (count, None) => Cell::Count(count.parse().ok()?),
        };
        Some((sum.unwrap_or(name).to_owned(), cell))
    };
    let lines = lines.map(line).collect::<Option<_>>()?;
    Some(Published { month, lines })
}

/// Why a statement proves nothing.
#[derive(Debug, Error)]
pub enum StatementFault {
    /// The signature.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// It is signed, and no statement.
    #[error("the note is no monthly statement; ask for the one that the city published")]
    Form,
}
