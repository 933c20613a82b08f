//! What we send on a secure leg.

use rtc_srtp::context::Context;

use super::{Index, context, header, replace};
use crate::{
    rtp::{HEADER_BYTES, Header},
    sdp::CryptoKey,
};

pub(super) struct Outbound {
    context: Option<Context>,
    index: Index,
    ssrc: u32,
}

impl Outbound {
    pub(super) fn new(key: &CryptoKey) -> Outbound {
        Outbound {
            context: context(key),
            index: Index::default(),
            ssrc: 0,
        }
    }

    /// Whether the numbers of the present stream have wrapped, so that its roll-over counter is not zero.
    pub(super) fn has_wrapped(&self) -> bool {
        self.index.rollover != 0
    }

    pub(super) fn seal_rtp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let Header { sequence, ssrc, .. } = Header::read(buffer.get(..len)?).ok()?;
        let header = header(sequence, ssrc, HEADER_BYTES);
        let context = self.context.as_mut()?;
        let sealed = context
            .encrypt_rtp_with_header(&buffer[..len], &header)
            .ok()?;
        if self.ssrc != ssrc {
            (self.ssrc, self.index) = (ssrc, Index::default());
        }
        self.index.see(sequence);
        replace(buffer, &sealed)
    }

    pub(super) fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let sealed = self
            .context
            .as_mut()?
            .encrypt_rtcp(buffer.get(..len)?)
            .ok()?;
        replace(buffer, &sealed)
    }
}
