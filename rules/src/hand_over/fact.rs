//! What is recorded of a hand-over, step by step, and what is asked for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Masks;
use crate::{
    access::Action,
    case::Verdict,
    digest::Digest,
    hold::Holds,
    ids::{CaseId, ContractId, CopyId, HandOverId, RecordingId, VendorId},
    particular::Particular,
    purpose::Purpose,
    recipient::Recipient,
};

/// What is recorded of a hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum HandOverFact {
    /// Somebody of the unit asks for it.
    Requested {
        /// Which.
        hand_over: HandOverId,
        /// What is asked for.
        #[serde(flatten)]
        wish: Wished,
    },
    /// 管理責任者の決定.
    Decided {
        /// Which.
        hand_over: HandOverId,
        /// Yes or no.
        verdict: Verdict,
        /// The salted hash of the reason.
        reason: Digest,
        /// What the package silences.
        #[serde(default, skip_serializing_if = "Masks::is_empty")]
        masks: Masks,
    },
    /// The package's first byte leaves next.
    PackageBegun {
        /// Which.
        hand_over: HandOverId,
        /// The copy that it is.
        copy: CopyId,
        /// How it is encrypted.
        form: PackageForm,
        /// When it must be gone.
        destroy_by: Timestamp,
        /// The salted hash of where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Digest>,
    },
    /// It was not made and nothing of it left, or the service removed it before it was given.
    PackageAbandoned {
        /// Which.
        hand_over: HandOverId,
        /// The copy that it was.
        copy: CopyId,
    },
    /// It is whole.
    Packaged {
        /// Which.
        hand_over: HandOverId,
        /// The copy that it is.
        copy: CopyId,
        /// What it is.
        #[serde(flatten)]
        contents: Contents,
    },
    /// Its passphrase was shown, for the first and last time.
    PassphraseShown {
        /// Which.
        hand_over: HandOverId,
    },
    /// 渡した.
    Given {
        /// Which.
        hand_over: HandOverId,
        /// The salted hash of the name of whoever took it.
        receiver: Digest,
    },
    /// 受け取った: the receiver told the code that lies in the package.
    Received {
        /// Which.
        hand_over: HandOverId,
        /// The hash of the code that was told.
        code: Digest,
    },
    /// The medium came back.
    Returned {
        /// Which.
        hand_over: HandOverId,
    },
    /// 廃棄証明.
    Destroyed {
        /// Which.
        hand_over: HandOverId,
        /// The SHA-256 of the certificate.
        certificate: Digest,
    },
    /// Nothing is left to be done.
    Closed {
        /// Which.
        hand_over: HandOverId,
    },
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wished {
    /// To whom.
    pub to: Destination,
    /// What for.
    pub purpose: Purpose,
    /// 媒体.
    pub medium: Particular,
    /// Which recordings.
    pub items: BTreeSet<RecordingId>,
}

/// To whom recordings are handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Destination {
    /// 委託事業者, under a contract.
    Contract {
        /// Who.
        vendor: VendorId,
        /// Under which.
        contract: ContractId,
    },
    /// Whoever an approved request names.
    Request {
        /// Which request.
        case: CaseId,
        /// The salted hash of the receiver's name.
        receiver: Digest,
        /// The receiver's public key, where there is one.
        recipient: Option<Recipient>,
    },
}

impl Destination {
    /// The request under which it is.
    pub fn case(&self) -> Option<CaseId> {
        match self {
            Destination::Contract { .. } => None,
            Destination::Request { case, .. } => Some(*case),
        }
    }

    /// Whether both name one receiver: a contractor, a request, or a key.
    pub(super) fn shares_receiver(&self, other: &Destination) -> bool {
        match (self, other) {
            (Destination::Contract { vendor, .. }, Destination::Contract { vendor: other, .. }) => {
                vendor == other
            }
            (
                Destination::Request {
                    case, recipient, ..
                },
                Destination::Request {
                    case: other_case,
                    recipient: other_recipient,
                    ..
                },
            ) => case == other_case || (recipient.is_some() && recipient == other_recipient),
            (Destination::Contract { .. }, Destination::Request { .. })
            | (Destination::Request { .. }, Destination::Contract { .. }) => false,
        }
    }

    /// Until when its request holds a recording beyond its day (K-21).
    pub(crate) fn held_until(&self, holds: &Holds, recording: RecordingId) -> Option<Timestamp> {
        holds.end_for(self.case()?, recording)
    }
}

/// How a package is encrypted (K-19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageForm {
    /// `age`, to the receiver's public key.
    Age,
    /// AES-256 in a ZIP file, under a machine-made passphrase.
    Zip,
}

/// What a whole package is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Of the file.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
    /// The hash of the code that lies in it.
    pub code: Digest,
    /// The SHA-256 of each WAV file in it.
    pub items: BTreeMap<RecordingId, Digest>,
}

impl HandOverFact {
    /// Which hand-over.
    pub fn hand_over(&self) -> HandOverId {
        match self {
            HandOverFact::Requested { hand_over, .. }
            | HandOverFact::Decided { hand_over, .. }
            | HandOverFact::PackageBegun { hand_over, .. }
            | HandOverFact::PackageAbandoned { hand_over, .. }
            | HandOverFact::Packaged { hand_over, .. }
            | HandOverFact::PassphraseShown { hand_over }
            | HandOverFact::Given { hand_over, .. }
            | HandOverFact::Received { hand_over, .. }
            | HandOverFact::Returned { hand_over }
            | HandOverFact::Destroyed { hand_over, .. }
            | HandOverFact::Closed { hand_over } => *hand_over,
        }
    }

    /// What it is to bring it about.
    pub fn action(&self) -> Action {
        match self {
            HandOverFact::Requested { .. } => Action::RequestHandOver,
            HandOverFact::Decided { .. } => Action::DecideHandOver,
            HandOverFact::PackageBegun { .. } | HandOverFact::Packaged { .. } => Action::Package,
            HandOverFact::PackageAbandoned { .. } => Action::AbandonPackage,
            HandOverFact::PassphraseShown { .. } => Action::ShowPassphrase,
            HandOverFact::Given { .. } => Action::GiveHandOver,
            HandOverFact::Received { .. } => Action::ReceiveHandOver,
            HandOverFact::Returned { .. } | HandOverFact::Destroyed { .. } => Action::EndHandOver,
            HandOverFact::Closed { .. } => Action::CloseHandOver,
        }
    }
}
