//! Requests inside a dialog that mean nothing to us (INFO, MESSAGE, methods nobody here knows): they cross, and so do their answers.

use sip_core::{
    DialogId, Event, HeaderName, Headers, InDialog, Message, Method, RequestId, SentId,
};

use crate::{call::Call, house::House, now::Now, route::phrase};

/// A request that was passed on and waits for its answer.
#[derive(Debug)]
pub(super) struct Crossing {
    sent: SentId,
    request: RequestId,
    /// Who waits for its answer.
    from: DialogId,
    /// Whose answer it waits for; that one may be leaving by the time it comes.
    to: DialogId,
}

impl Crossing {
    /// Its dialog ends before it is answered.
    fn end(self, house: &mut House, now: Now) {
        let endpoint = &mut house.endpoint;
        endpoint.respond(now.at, self.request, 487, phrase(487), Vec::new(), None);
    }
}

/// What becomes of a request that is not refused.
enum Reception {
    /// It crosses; its answer will.
    Crosses,
    /// It ends here, well (200).
    Taken,
}

/// Requests that may be on their way through a call at once.
const MOST_CROSSINGS: usize = 16; // Law 5; keys that are sent by INFO come one after the other.

/// What a request says about its own body crosses with it; everything else of it stays behind (T-16).
const CROSSING_HEADERS: [&str; 2] = ["Info-Package", "Content-Disposition"];

impl Call {
    /// A request that neither changes the session nor ends it.
    pub(super) fn requested(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) {
        let received = match message.method() {
            Some(Method::Options) => Ok(Reception::Taken),
            // Whoever may send it does not come here.
            Some(Method::Refer) => Err(403),
            Some(Method::Notify) => Err(481),
            Some(Method::Subscribe) => return house.subscribed(now, dialog, request, message),
            Some(_) | None => self.pass_request(house, now, dialog, request, message),
        };
        match received {
            Ok(Reception::Crosses) => {}
            Ok(Reception::Taken) => house.answer_plainly(now, request, 200),
            Err(status) => house.answer_plainly(now, request, status),
        }
    }

    /// Passes a request to the other leg.
    ///
    /// # Errors
    /// The status that refuses it: nobody is there, too many wait, or it has no name that can be passed on.
    fn pass_request(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) -> Result<Reception, u16> {
        // Whoever is leaving by a transfer has nobody to talk to.
        let from = self.end_of(dialog).ok_or(480_u16)?;
        let Some(to) = self.joined_leg(from.other()) else {
            // Nobody is there to take it. A key that is pressed during the notice means nothing.
            return match message.method() {
                Some(Method::Info) => Ok(Reception::Taken),
                Some(_) | None => Err(480),
            };
        };
        if self.crossings.len() >= MOST_CROSSINGS {
            return Err(503);
        }
        let method = message.method().ok_or(400_u16)?;
        let name = String::from_utf8(method.as_bytes().to_vec()).map_err(|_| 400_u16)?;
        let sent = house.endpoint.request(
            now.at,
            to,
            InDialog {
                method: name,
                headers: crossing_headers(message),
                body: content(message),
            },
        );
        self.crossings.push(Crossing {
            sent,
            request,
            from: dialog,
            to,
        });
        Ok(Reception::Crosses)
    }

    /// The answer to a request that was passed on.
    pub(super) fn request_answered(
        &mut self,
        house: &mut House,
        now: Now,
        sent: SentId,
        status: u16,
        message: Option<&Message>,
    ) {
        let mut crossings = self.crossings.iter();
        let Some(index) = crossings.position(|crossing| crossing.sent == sent) else {
            return;
        };
        let Crossing { request, to, .. } = self.crossings.swap_remove(index);
        // Nobody answered in time: by then nobody waits for 408 (RFC 4320 section 4.2).
        let passed = if status == 408 { 504 } else { status };
        let body = message.and_then(content);
        let mut headers = message.map(crossing_headers).unwrap_or_default();
        headers.extend(body.iter().map(|(kind, _)| ("Content-Type", kind.clone())));
        let body = body.map(|(_, body)| body);
        let endpoint = &mut house.endpoint;
        endpoint.respond(now.at, request, passed, phrase(passed), headers, body);
        if status == 481 {
            self.dialog_gone(house, now, to);
        }
    }

    /// The call ends: whoever still waits for an answer gets it (RFC 3261 section 15.1.2). Offers that wait the endpoint answers itself.
    pub(crate) fn answer_what_waits(&mut self, house: &mut House, now: Now) {
        for crossing in std::mem::take(&mut self.crossings) {
            crossing.end(house, now);
        }
    }

    /// One party leaves while the call goes on: what it has asked is answered.
    pub(super) fn answer_whoever_leaves(&mut self, house: &mut House, now: Now, leaves: DialogId) {
        let asked = |crossing: &mut Crossing| crossing.from == leaves;
        for crossing in self.crossings.extract_if(.., asked) {
            crossing.end(house, now);
        }
    }

    /// Handles what belongs to such requests; gives back what does not.
    pub(super) fn handle_requests(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        event: Event,
    ) -> Option<Event> {
        match event {
            Event::Requested {
                request, message, ..
            } => self.requested(house, now, dialog, request, &message),
            Event::Answered {
                sent,
                status,
                message,
                ..
            } => self.request_answered(house, now, sent, status, message.as_ref()),
            other => return Some(other),
        }
        None
    }
}

fn crossing_headers(message: &Message) -> Headers {
    let value = |name: &'static str| {
        let value = message.named(name).next()?.into_owned();
        Some((name, value))
    };
    CROSSING_HEADERS.into_iter().filter_map(value).collect()
}

fn content(message: &Message) -> Option<(String, bytes::Bytes)> {
    let body = message.body();
    let kind = message.text(HeaderName::ContentType)?;
    (!body.is_empty()).then(|| (kind.into_owned(), body))
}
