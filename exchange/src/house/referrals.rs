//! What whoever sent a REFER is told of how it goes (RFC 3515 section 2.4).

use bytes::Bytes;
use sip_core::{DialogId, InDialog};

use crate::{house::House, now::Now, route::phrase};

/// What a NOTIFY says of the subscription that a REFER made (RFC 3515 section 2.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// More will follow.
    Active,
    /// This was the last one.
    Terminated,
}

impl House {
    /// Tells whoever asked for a transfer how it goes; the body is the status line.
    pub(crate) fn notify(
        &mut self,
        now: Now,
        dialog: DialogId,
        status: u16,
        subscription: Subscription,
    ) {
        let state = match subscription {
            Subscription::Active => "active;expires=180",
            Subscription::Terminated => "terminated;reason=noresource",
        };
        let line = format!("SIP/2.0 {status} {}\r\n", phrase(status));
        let request = InDialog {
            method: "NOTIFY".to_owned(),
            headers: vec![
                ("Event", "refer".to_owned()),
                ("Subscription-State", state.to_owned()),
            ],
            body: Some(("message/sipfrag;version=2.0".to_owned(), Bytes::from(line))),
        };
        // Its answer changes nothing.
        let _ = self.endpoint.request(now.at, dialog, request);
    }
}
