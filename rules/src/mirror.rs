//! 鍵の写しの終了: which mirrors of the keys were ended by decision (K-23).
//!
//! Which mirrors there are is the key store's to know. One that nobody reaches any more may hold keys still, so no disposal counts as complete
//! beside it until somebody answers for it; what is certified then says so.

use jiff::Timestamp;

use crate::{
    digest::Digest,
    ids::{DecisionId, JstDay},
};

/// A mirror that nobody waits for any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorEnd {
    /// Its folder, as the configuration named it.
    pub mirror: String,
    /// The day of the decision.
    pub on: JstDay,
    /// The decision under which its text lies sealed.
    pub decision: DecisionId,
    /// The salted hash of that text.
    pub text: Digest,
}

/// All that were ended, the oldest decision first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MirrorEnds(Vec<MirrorEnd>);

impl MirrorEnds {
    pub(crate) fn decisions(&self) -> &[MirrorEnd] {
        &self.0
    }

    /// A mirror that was set up anew since can be ended once more.
    pub(crate) fn handle_decision(
        &mut self,
        at: Timestamp,
        mirror: String,
        decision: DecisionId,
        text: Digest,
    ) {
        self.0.push(MirrorEnd {
            mirror,
            on: JstDay::of(at),
            decision,
            text,
        });
    }
}
