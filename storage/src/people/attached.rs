//! What is kept together with a fact: sealed texts, first passwords, a package's passphrase.

use rules::{Origin, Renewal, StaffId, Subject};

use crate::{package::KeptPassphrase, password::PasswordHash, seal::SealedFields};

/// What is sealed beside the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// The person's name.
    Name,
    /// On what a deputy's appointment or a request rests.
    Basis,
    /// Who asks.
    Requester,
    /// The document in which that stands.
    Document,
    /// Why something was done or decided.
    Reason,
    /// To whom a package goes under a request.
    Addressee,
    /// Who took a package.
    Receiver,
    /// On what something is handed over.
    Medium,
    /// In what a person was trained.
    Course,
    /// Where a copy lies.
    Place,
    /// A version of the policy, word by word.
    Policy,
    /// A measure where the rules say nothing.
    Measure,
    /// By what other means callers of a number are told, or which law excuses it.
    Waiver,
}

impl TextKind {
    pub(crate) fn code(self) -> &'static str {
        match self {
            TextKind::Name => "name",
            TextKind::Basis => "basis",
            TextKind::Requester => "requester",
            TextKind::Document => "document",
            TextKind::Reason => "reason",
            TextKind::Addressee => "addressee",
            TextKind::Receiver => "receiver",
            TextKind::Medium => "medium",
            TextKind::Course => "course",
            TextKind::Place => "place",
            TextKind::Policy => "policy",
            TextKind::Measure => "measure",
            TextKind::Waiver => "waiver",
        }
    }
}

/// A text of the register, sealed to its month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedText {
    /// About whom or what.
    pub about: Subject,
    /// What it is.
    pub kind: TextKind,
    /// The text.
    pub sealed: SealedFields,
}

/// A password that is set.
#[derive(Debug)]
pub struct PasswordSet {
    pub(super) person: StaffId,
    pub(super) origin: Origin,
    pub(super) hash: PasswordHash,
}

impl PasswordSet {
    /// By the person, who knew the old one.
    pub fn renewed(renewal: Renewal, hash: PasswordHash) -> PasswordSet {
        PasswordSet {
            person: renewal.into_person(),
            origin: Origin::Own,
            hash,
        }
    }

    /// By one of the two first persons, each from a file of the own.
    #[must_use]
    pub fn founders(person: StaffId, hash: PasswordHash) -> PasswordSet {
        PasswordSet {
            person,
            origin: Origin::Own,
            hash,
        }
    }

    /// By somebody else; it opens nothing but its own change.
    #[must_use]
    pub fn issued(person: StaffId, hash: PasswordHash) -> PasswordSet {
        PasswordSet {
            person,
            origin: Origin::Issued,
            hash,
        }
    }
}

/// What is recorded together with a fact, or not at all.
#[derive(Debug, Default)]
pub struct Attachments {
    /// Names, bases, reasons.
    pub texts: Vec<SealedText>,
    /// First passwords.
    pub passwords: Vec<PasswordSet>,
    /// What opens the package that was made.
    pub passphrase: Option<KeptPassphrase>,
}

impl Attachments {
    /// One text.
    #[must_use]
    pub fn of(text: SealedText) -> Attachments {
        Attachments {
            texts: vec![text],
            ..Attachments::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.passwords.is_empty() && self.passphrase.is_none()
    }
}
