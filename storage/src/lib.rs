//! Rows, sealed recordings, keys and the audit trail: what is kept, and how it is forgotten.
//!
//! A line of code here knows rows, sealed bytes, keys and files; it never knows SIP, RTP, HTTP or
//! *whether* something is allowed: that is what the permits of `rules` say.
//! Start at [`Layout`] for where things lie, at [`RecordingWriter`] for how a call is kept, at
//! [`Vault::open`] for how it is heard, and at [`dispose_due`] for how it is destroyed.

mod apply;
mod backup;
mod catalogue;
mod dispose;
mod emergency_file;
mod files;
mod group;
mod head;
mod header;
mod heads;
mod hex;
mod keys;
mod layout;
mod listing;
mod lock;
mod memory_disk;
mod note;
mod notice_file;
mod object;
mod open;
mod package;
mod password;
mod people;
mod reconcile;
mod recover;
mod rows;
mod seal;
mod secret;
pub mod segment;
mod signing;
mod spool;
mod statement;
mod tiles;
mod told;
mod totp;
mod trail;
mod tree;
mod vault;
mod writer;

pub use backup::{AudioRestore, BackupFault, Carried, Restoration, Restored, back_up, restore};
pub use catalogue::{Catalogue, CatalogueFault, FoundCall, SearchPlace, TakenIn};
pub use dispose::{
    Certificate, CertificateFault, Disposal, DisposalRecord, DisposalStage, DisposeFault,
    DisposedDay, EarlyDisposal, EarlyStep, Office, Pending, PlannedDay, RecordFault, Step, Subject,
    acknowledge, concerns, dispose_due, dispose_one, hold, plan_due, release, verify_certificate,
};
pub use emergency_file::{EmergencyFileFault, load_emergency, save_emergency};
pub use files::{Disk, DiskFile, MODE_SECRET, MODE_SHARED, OsDisk};
pub use group::Group;
pub use head::{Head, HeadFault, SignedHead};
pub use header::Header;
pub use heads::{Heads, SignFault};
pub use keys::{
    DAYS_AHEAD, Edition, FolderRoots, GroupStatus, KeyFault, KeyStatus, Keys, RootProvider,
    Standing, Wrapped,
};
pub use layout::Layout;
pub use listing::{ListedCall, Listing};
pub use lock::{Duty, Lock, LockFault};
pub use memory_disk::{Faults, MemoryDisk};
pub use note::{KeyName, NoteFault, SignedNote, VerifierKey};
pub use notice_file::{
    NoticeFileFault, keep_policy_days, load_known_notices, load_notices, save_known_notices,
};
pub use open::{Audio, Comparison, Kept, OpenFault, Opener, Playback, PlayedSegment};
pub use package::{
    KeptPassphrase, MANIFEST_NAME, Manifest, ManifestFault, ManifestItem, PackageKey,
    PackageWriter, Passphrase, RECEIPT_NAME, ReceiptCode, silence, verify_manifest,
};
pub use password::{PasswordFault, PasswordHash};
pub use people::{
    Attachments, AttemptKey, Compared, KeptAccount, KeptAhead, OfferedCodes, PasswordSet,
    RegisterMismatch, SealedText, TextKind, TokenHash,
};
pub use reconcile::{ReconcileFault, days_to_reconcile, reconcile_day};
pub use recover::Recovered;
pub use rows::{AudioFacts, RecoveredRow, Row, SpoolEntry};
pub use seal::{PublicHalf, SealFault, SealedCaller, SealedFields, Sealer};
pub use secret::{SecretFault, sha256_of};
pub use segment::{Channel, Codec, Gap};
pub use signing::{Signing, SigningFault, SigningKey, head_key, verifier_keys};
pub use spool::{Spool, SpoolFault};
pub use statement::{Published, StatementFault, sign_statement, verify_statement};
pub use told::{FoundFile, Told, settle_told, tells};
pub use totp::TotpSecret;
pub use trail::{
    Anchored, AuditFault, AuditTrail, BrokenReason, ChainEnd, ChainReport, FirstBad, OldMonth,
    OldMonths, Removal, RemovalFault, SignedHere, announce_removal, find_newest, last_entry_at,
    plan_removal, read_entries, read_months, remove_months, unlink_months, verify,
};
pub use vault::{SegmentFile, Vault, VaultFault};
pub use writer::{
    Chunk, CutSegment, GapTotal, Opening, RecordingWriter, SealedSegment, WriteFault,
};
