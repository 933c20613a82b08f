//! What whoever sent a REFER is told of how it goes (RFC 3515 section 2.4).

use bytes::Bytes;
use sip_core::{DialogId, HeaderName, InDialog, Message, RequestId, SentId};

use crate::{house::House, now::Now, route::phrase};

/// What a NOTIFY says of the subscription that a REFER made (RFC 3515 section 2.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// More will follow.
    Active,
    /// This was the last one.
    Terminated,
    /// This was the last one: the subscriber wanted no more.
    GivenUp,
}

/// The subscription that a REFER made, in its dialog; there is one at a time.
#[derive(Debug)]
pub(super) struct Referral {
    /// `CSeq` of the REFER: its id (RFC 3515 section 2.4.6).
    id: u32,
    /// What it was told last.
    status: u16,
    stands: Stands,
}

/// How far a subscription has come.
///
/// A BYE that overtook the last NOTIFY, or was read in one go with it, would end the dialog before whoever asked knows how the
/// transfer went.
#[derive(Debug)]
enum Stands {
    Open,
    /// The last NOTIFY waits for its answer; the dialog goes on.
    LastWord(SentId),
    /// The last NOTIFY waits for its answer, and a BYE with this reason for that.
    Goodbye(SentId, Option<String>),
}

impl House {
    /// A REFER is accepted: whoever sent it is told how it goes from here on. `id`: of its subscription; none where it wants none.
    ///
    /// Source: RFC 3515 section 2.4.4, RFC 4488 section 4.
    pub(crate) fn accept_referral(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        id: Option<u32>,
    ) {
        let headers = match id {
            Some(_) => Vec::new(),
            None => vec![("Refer-Sub", "false".to_owned())],
        };
        let endpoint = &mut self.endpoint;
        endpoint.respond(now.at, request, 202, phrase(202), headers, None);
        if let Some(id) = id {
            let (status, stands) = (100, Stands::Open);
            let referral = Referral { id, status, stands };
            self.referrals.insert(dialog, referral);
        }
    }

    /// Tells whoever asked for a transfer how it goes; the body is the status line. Whoever has unsubscribed is told nothing.
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
            Subscription::GivenUp => "terminated;reason=timeout",
        };
        let Some(referral) = self.referrals.get_mut(&dialog) else {
            return;
        };
        match referral.stands {
            Stands::Open => {}
            Stands::LastWord(_) | Stands::Goodbye(..) => return,
        }
        referral.status = status;
        let line = format!("SIP/2.0 {status} {}\r\n", phrase(status));
        let request = InDialog {
            method: "NOTIFY".to_owned(),
            headers: vec![
                ("Event", format!("refer;id={}", referral.id)),
                ("Subscription-State", state.to_owned()),
            ],
            body: Some(("message/sipfrag;version=2.0".to_owned(), Bytes::from(line))),
        };
        let sent = self.endpoint.request(now.at, dialog, request);
        match subscription {
            // Its answer changes nothing.
            Subscription::Active => {}
            Subscription::Terminated | Subscription::GivenUp => {
                referral.stands = Stands::LastWord(sent);
            }
        }
    }

    /// A SUBSCRIBE to the outcome of a REFER: it renews or ends what there is, and begins nothing (RFC 3515 section 2.4.4).
    ///
    /// A NOTIFY of how the transfer stands follows its 200 (RFC 6665 section 4.2.1.2).
    pub(crate) fn subscribed(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) {
        let referral = self.referrals.get(&dialog).filter(|referral| {
            let is_meant = event_id(message).is_none_or(|id| id == referral.id.to_string());
            is_meant && matches!(referral.stands, Stands::Open)
        });
        let Some(status) = referral.map(|referral| referral.status) else {
            return self.answer_plainly(now, request, 481);
        };
        let expires = message.text(HeaderName::Expires);
        let (subscription, expires) = match expires.is_some_and(|expires| expires.trim() == "0") {
            true => (Subscription::GivenUp, "0"),
            false => (Subscription::Active, "180"),
        };
        let headers = vec![("Expires", expires.to_owned())];
        let endpoint = &mut self.endpoint;
        endpoint.respond(now.at, request, 200, phrase(200), headers, None);
        self.notify(now, dialog, status, subscription);
    }

    /// Lets a BYE wait for the answer to the dialog's last NOTIFY; false where none is under way.
    pub(super) fn puts_off_goodbye(&mut self, dialog: DialogId, reason: Option<&str>) -> bool {
        let Some(referral) = self.referrals.get_mut(&dialog) else {
            return false;
        };
        match referral.stands {
            Stands::Open => false,
            Stands::LastWord(sent) | Stands::Goodbye(sent, _) => {
                referral.stands = Stands::Goodbye(sent, reason.map(str::to_owned));
                true
            }
        }
    }

    /// A last NOTIFY has its answer, or nobody gives one: the BYE that waited for it goes. False for any other request.
    pub(crate) fn last_word_answered(&mut self, now: Now, dialog: DialogId, sent: SentId) -> bool {
        let stands = self.referrals.get(&dialog).map(|referral| &referral.stands);
        match stands {
            Some(Stands::LastWord(last) | Stands::Goodbye(last, _)) if *last == sent => {
                self.say_goodbye(now, dialog);
                true
            }
            Some(Stands::Open | Stands::LastWord(_) | Stands::Goodbye(..)) | None => false,
        }
    }

    /// Sends every BYE that waits, and lets none wait longer.
    pub(crate) fn say_goodbyes(&mut self, now: Now) {
        while let Some((dialog, _)) = self.referrals.first_key_value() {
            let dialog = *dialog;
            self.say_goodbye(now, dialog);
        }
    }

    fn say_goodbye(&mut self, now: Now, dialog: DialogId) {
        match self
            .referrals
            .remove(&dialog)
            .map(|referral| referral.stands)
        {
            Some(Stands::Goodbye(_, reason)) => self.end(now, dialog, 480, reason.as_deref()),
            Some(Stands::Open | Stands::LastWord(_)) | None => {}
        }
    }
}

/// The id in the Event of a SUBSCRIBE.
fn event_id(message: &Message) -> Option<String> {
    let event = message.text(HeaderName::Event)?;
    let mut params = event.split(';').skip(1);
    params.find_map(|param| Some(param.trim().strip_prefix("id=")?.trim().to_owned()))
}
