//! What whoever sent a REFER is told of how it goes (RFC 3515 section 2.4).

use bytes::Bytes;
use sip_core::{DialogId, InDialog, SentId};

use crate::{house::House, now::Now, route::phrase};

/// What a NOTIFY says of the subscription that a REFER made (RFC 3515 section 2.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// More will follow.
    Active,
    /// This was the last one.
    Terminated,
}

/// The last NOTIFY of a subscription, until it has been answered.
///
/// A BYE that overtook it, or was read in one go with it, would end the dialog before whoever asked knows how the transfer went.
#[derive(Debug)]
pub(super) struct LastWord {
    sent: SentId,
    goodbye: Goodbye,
}

/// Whether a BYE waits.
#[derive(Debug)]
enum Goodbye {
    /// The dialog goes on.
    NotDue,
    /// It is sent with this reason.
    Due(Option<String>),
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
        let sent = self.endpoint.request(now.at, dialog, request);
        match subscription {
            // Its answer changes nothing.
            Subscription::Active => {}
            Subscription::Terminated => {
                let goodbye = Goodbye::NotDue;
                let last_word = LastWord { sent, goodbye };
                self.last_words.insert(dialog, last_word);
            }
        }
    }

    /// Lets a BYE wait for the answer to the dialog's last NOTIFY; false where none is under way.
    pub(super) fn puts_off_goodbye(&mut self, dialog: DialogId, reason: Option<&str>) -> bool {
        let last_word = self.last_words.get_mut(&dialog);
        last_word.is_some_and(|last_word| {
            last_word.goodbye = Goodbye::Due(reason.map(str::to_owned));
            true
        })
    }

    /// A last NOTIFY has its answer, or nobody gives one: the BYE that waited for it goes. False for any other request.
    pub(crate) fn last_word_answered(&mut self, now: Now, dialog: DialogId, sent: SentId) -> bool {
        let is_it = |last_word: &LastWord| last_word.sent == sent;
        if !self.last_words.get(&dialog).is_some_and(is_it) {
            return false;
        }
        self.say_goodbye(now, dialog);
        true
    }

    /// Sends every BYE that waits, and lets none wait longer.
    pub(crate) fn say_goodbyes(&mut self, now: Now) {
        while let Some((dialog, _)) = self.last_words.first_key_value() {
            let dialog = *dialog;
            self.say_goodbye(now, dialog);
        }
    }

    fn say_goodbye(&mut self, now: Now, dialog: DialogId) {
        let last_word = self.last_words.remove(&dialog);
        match last_word.map(|last_word| last_word.goodbye) {
            Some(Goodbye::Due(reason)) => self.end(now, dialog, 480, reason.as_deref()),
            Some(Goodbye::NotDue) | None => {}
        }
    }
}
