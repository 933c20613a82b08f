//! How a message is named in ladders: what it is, never what it says.

use crate::{header::Method, message::Message};

/// A message's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label {
    status: Option<u16>,
    method: &'static str,
    has_sdp: bool,
}

impl Label {
    /// The name of a message that came in.
    pub(super) fn of(message: &Message) -> Label {
        let method = match message.method() {
            Some(method) => method.name(),
            None => message.cseq().map_or("other", |cseq| cseq.method.name()),
        };
        Label {
            status: message.status(),
            method,
            has_sdp: message.has_sdp(),
        }
    }

    pub(super) fn request(method: &'static str, has_sdp: bool) -> Label {
        Label {
            status: None,
            method,
            has_sdp,
        }
    }

    pub(super) fn answer(status: u16, request: &Message, has_sdp: bool) -> Label {
        Label {
            status: Some(status),
            method: request.method().as_ref().map_or("other", Method::name),
            has_sdp,
        }
    }

    /// `INVITE (sdp)`, `200 INVITE (sdp) again`.
    pub(super) fn line(self, again: Again) -> String {
        let mut line = match self.status {
            Some(status) => format!("{status} {}", self.method),
            None => self.method.to_owned(),
        };
        if self.has_sdp {
            line.push_str(" (sdp)");
        }
        match again {
            Again::First => {}
            Again::Repeated => line.push_str(" again"),
        }
        line
    }
}

/// Whether a message goes or comes for the first time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Again {
    First,
    Repeated,
}
