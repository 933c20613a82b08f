//! Rows, sealed recordings, keys and the audit trail: what is kept, and how it is forgotten.
//!
//! A line of code here knows rows, sealed bytes, keys and files; it never knows SIP, RTP, HTTP or
//! *whether* something is allowed: that is what the permits of `rules` say.
//! Start at [`Layout`] for where things lie, at [`RecordingWriter`] for how a call is kept, at
//! [`Vault::open`] for how it is heard, and at [`dispose`] for how it is destroyed.

mod audit;
mod files;
mod group;
mod hex;
mod keys;
mod layout;
mod lock;
mod memory_disk;
mod seal;
mod secret;
pub mod segment;
mod vault;
mod writer;

pub use audit::{AuditFault, AuditTrail, BrokenReason, Head, verify};
pub use files::{Disk, DiskFile, MODE_SECRET, MODE_SHARED, OsDisk};
pub use group::{Group, RegisterMonth};
pub use keys::{DAYS_AHEAD, KeyFault, Keys};
pub use layout::Layout;
pub use lock::{Duty, Lock, LockFault};
pub use memory_disk::{Faults, MemoryDisk};
pub use seal::{PublicHalf, SealFault, SealedCaller, SealedFields, Sealer};
pub use secret::SecretFault;
pub use segment::{Channel, Codec, Gap};
pub use vault::{SegmentFile, Vault, VaultFault};
pub use writer::{
    Chunk, CutSegment, GapTotal, Opening, RecordingWriter, SealedSegment, WriteFault,
};
