//! A SIP message: spans over the octets it came in, typed values on demand.
//!
//! [`Message::parse`] checks what every element needs to trust (start line, Via, From, To, Call-ID, CSeq, Contact, routes, lengths);
//! all else is read when asked for, and unknown headers never break a message. Follows RFC 3261 sections 7, 18.3 and 20.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use crate::{
    fault::{Flaw, ParseFault, Rule},
    framing::{self, Field, Frame},
    header::{CSeq, HeaderName, Method, NameAddr},
    lexis, multipart,
    replaces::Replaces,
    start_line::{Start, read_start},
    uri::Uri,
    via::Via,
};

const MAX_VIAS: usize = 70; // As many as Max-Forwards lets a request travel (RFC 3261 section 8.1.1.6); RFC 4475 has 34.
const MAX_ROUTES: usize = 20; // Requirement T-01; for Route and Record-Route alike.

/// A datagram that is no message to work with.
#[derive(Debug)]
pub struct Refusal {
    fault: ParseFault,
    message: Message,
}

impl Refusal {
    /// The first fault.
    pub fn fault(&self) -> ParseFault {
        self.fault
    }

    /// What could be read, if that is a request with enough to answer 400: Via, From, To, Call-ID and CSeq (RFC 3261 section 8.2.6.2).
    pub(crate) fn into_answerable(self) -> Option<Message> {
        self.is_answerable().then_some(self.message)
    }

    /// Whether a request can be answered by 400; otherwise silence is all that is left.
    pub fn is_answerable(&self) -> bool {
        let message = &self.message;
        matches!(message.start, Start::Request { .. })
            && message.method() != Some(Method::Ack)
            && message.via().is_ok()
            && message.from().is_ok()
            && message.to().is_ok()
            && message
                .value(HeaderName::CallId)
                .is_some_and(|value| !value.is_empty())
            && message
                .value(HeaderName::CSeq)
                .is_some_and(|value| !value.is_empty())
    }
}

/// A SIP request or response. `Debug` shows its shape only, and there is no `Display`.
#[derive(Clone)]
pub struct Message {
    octets: Bytes,
    start: Start,
    fields: Vec<Field>,
    first: FirstOf,
    body: usize,
}

/// Which field is the first of its name.
#[derive(Clone)]
struct FirstOf {
    fields: [u8; HeaderName::Other as usize],
    /// The first field that may stand only once and stands again.
    repeated: Option<u8>,
}

const NONE: u8 = u8::MAX; // Fields are at most 128.

impl Message {
    /// Reads one datagram.
    ///
    /// Octets after Content-Length are ignored (RFC 3261 section 18.3). The octets are kept and never copied.
    ///
    /// # Errors
    /// [`Refusal`] with the first fault and what could be read all the same.
    ///
    /// Source: RFC 3261 sections 7, 8.1.1 and 18.3; RFC 4475 for what must be refused.
    pub fn parse(octets: Bytes) -> Result<Message, Box<Refusal>> {
        if octets.len() > framing::MAX_MESSAGE_BYTES {
            let fault = ParseFault {
                rule: Rule::MessageTooLong,
                offset: 0,
                length: octets.len(),
            };
            let message = Message {
                octets: Bytes::new(),
                start: Start::Unreadable,
                fields: Vec::new(),
                first: FirstOf::none(),
                body: 0,
            };
            return Err(Box::new(Refusal { fault, message }));
        }
        let mut frame = Frame::read(&octets);
        let start = match read_start(&octets, &frame.start) {
            Ok(start) => start,
            Err((start, rule)) => {
                frame.fail(rule, frame.start.clone());
                start
            }
        };
        let first = FirstOf::of(&frame.fields);
        let mut message = Message {
            octets,
            start,
            fields: frame.fields,
            first,
            body: frame.body,
        };
        let mut fault = frame.fault.map(|(rule, place)| ParseFault {
            rule,
            offset: place.start,
            length: place.len(),
        });
        if let Err(found) = message.check() {
            fault.get_or_insert(found);
        }
        match message.body_end() {
            Ok(end) => message.octets.truncate(end),
            Err(found) => {
                fault.get_or_insert(found);
            }
        }
        match fault {
            Some(fault) => Err(Box::new(Refusal { fault, message })),
            None => Ok(message),
        }
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// A request's method.
    pub fn method(&self) -> Option<Method> {
        match &self.start {
            Start::Request { method, .. } => {
                Some(Method::read(&self.octets[method.clone()], &self.octets))
            }
            Start::Response { .. } | Start::Unreadable => None,
        }
    }

    /// A request's URI.
    pub fn request_uri(&self) -> Option<Uri<'_>> {
        match &self.start {
            Start::Request { uri, .. } => Uri::read(&self.octets[uri.clone()]).ok(),
            Start::Response { .. } | Start::Unreadable => None,
        }
    }

    /// Whether a request is of the version we speak; another gets 505 (RFC 3261 section 21.5.6).
    pub(crate) fn is_version_2_0(&self) -> bool {
        match self.start {
            Start::Request { is_2_0, .. } => is_2_0,
            Start::Response { .. } => true,
            Start::Unreadable => false,
        }
    }

    /// A response's status, 100..=699.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } | Start::Unreadable => None,
        }
    }

    /// A response's phrase; octets that are no UTF-8 become U+FFFD.
    pub fn phrase(&self) -> Option<Cow<'_, str>> {
        match &self.start {
            Start::Response { phrase, .. } => {
                Some(String::from_utf8_lossy(&self.octets[phrase.clone()]))
            }
            Start::Request { .. } | Start::Unreadable => None,
        }
    }

    /// The first header of a name, as it stands: trimmed, folds and all.
    pub fn value(&self, name: HeaderName) -> Option<&[u8]> {
        let field = self.fields.get(self.first.index(name)?)?;
        Some(&self.octets[field.value_range()])
    }

    /// All headers of a name, in order.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        let from = self.first.index(name).unwrap_or(self.fields.len());
        let fields = self.fields[from..]
            .iter()
            .filter(move |field| field.name == name);
        fields.map(|field| &self.octets[field.value_range()])
    }

    /// The elements of all headers of a name that is a comma list (RFC 3261 section 7.3.1).
    pub fn elements(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(lexis::elements)
    }

    /// The first header of a name as text: unfolded, octets that are no UTF-8 become U+FFFD.
    pub fn text(&self, name: HeaderName) -> Option<Cow<'_, str>> {
        self.value(name).map(text_of)
    }

    /// All headers of a name we have no [`HeaderName`] for, as text; case does not matter.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let is_named = move |field: &&Field| {
            self.octets[field.name_range()].eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields
            .iter()
            .filter(is_named)
            .map(|field| text_of(&self.octets[field.value_range()]))
    }

    /// All headers as they stand: names and values.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| {
            (
                &self.octets[field.name_range()],
                &self.octets[field.value_range()],
            )
        })
    }

    /// How many headers there are.
    pub fn header_count(&self) -> usize {
        self.fields.len()
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// A fault, if it is missing or none.
    pub fn via(&self) -> Result<Via<'_>, ParseFault> {
        let value = self.required(HeaderName::Via)?;
        let top = lexis::elements(value).next().unwrap_or(value);
        Via::read(top).map_err(|flaw| self.fault_of(flaw))
    }

    /// All Via, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, ParseFault>> {
        self.elements(HeaderName::Via)
            .map(|element| Via::read(element).map_err(|flaw| self.fault_of(flaw)))
    }

    /// From.
    ///
    /// # Errors
    /// A fault, if it is missing or none.
    pub fn from(&self) -> Result<NameAddr<'_>, ParseFault> {
        NameAddr::read(self.required(HeaderName::From)?).map_err(|flaw| self.fault_of(flaw))
    }

    /// To.
    ///
    /// # Errors
    /// A fault, if it is missing or none.
    pub fn to(&self) -> Result<NameAddr<'_>, ParseFault> {
        NameAddr::read(self.required(HeaderName::To)?).map_err(|flaw| self.fault_of(flaw))
    }

    /// The addresses of all headers of a name: Contact, Route, Record-Route, P-Asserted-Identity, Diversion.
    pub fn addresses(
        &self,
        name: HeaderName,
    ) -> impl Iterator<Item = Result<NameAddr<'_>, ParseFault>> {
        self.elements(name)
            .map(|element| NameAddr::read(element).map_err(|flaw| self.fault_of(flaw)))
    }

    /// The first Contact; none for `*`.
    pub fn contact(&self) -> Option<NameAddr<'_>> {
        self.addresses(HeaderName::Contact).next()?.ok()
    }

    /// Refer-To: whom a REFER wants called (RFC 3515 section 2.1); none where it is missing, broken, or there are several.
    pub fn refer_to(&self) -> Option<NameAddr<'_>> {
        let mut values = self.values(HeaderName::ReferTo);
        let value = values.next().filter(|_| values.next().is_none())?;
        NameAddr::read(value).ok()
    }

    /// Replaces: the dialog that this call is to take the place of (RFC 3891 section 6.1).
    ///
    /// None without it; `Some(None)` where it names no dialog or stands twice, which is answered 400 (section 3).
    pub fn replaces(&self) -> Option<Option<Replaces>> {
        let mut values = self.values(HeaderName::Replaces);
        let value = values.next()?;
        let is_only = values.next().is_none();
        Some(Replaces::read(value).filter(|_| is_only))
    }

    /// The Call-ID, empty if there is none.
    pub fn call_id(&self) -> &[u8] {
        self.value(HeaderName::CallId).unwrap_or_default()
    }

    /// CSeq.
    ///
    /// # Errors
    /// A fault, if it is missing or none.
    pub fn cseq(&self) -> Result<CSeq, ParseFault> {
        CSeq::read(self.required(HeaderName::CSeq)?, &self.octets)
            .map_err(|flaw| self.fault_of(flaw))
    }

    /// Max-Forwards, where there is one.
    pub fn max_forwards(&self) -> Option<u8> {
        let value = lexis::number(self.value(HeaderName::MaxForwards)?, u64::from(u8::MAX))?;
        u8::try_from(value).ok()
    }

    /// The type of the body, `application/sdp`, without parameters and in small letters.
    pub fn content_type(&self) -> Option<String> {
        self.value(HeaderName::ContentType)
            .map(multipart::media_type)
    }

    /// The body, empty if there is none; it shares the datagram's memory.
    pub fn body(&self) -> Bytes {
        self.octets.slice(self.body.min(self.octets.len())..)
    }

    /// The session description: the body, or the first part of a body of several that is one.
    ///
    /// Source: RFC 5621 section 3.1.
    pub fn sdp(&self) -> Option<Bytes> {
        let body = self.body();
        let content_type = self.value(HeaderName::ContentType)?;
        multipart::find_sdp(&body, content_type).map(|range| body.slice(range))
    }

    /// Whether there is a session description.
    pub fn has_sdp(&self) -> bool {
        self.sdp().is_some()
    }

    /// The whole message, without octets after its end.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    fn required(&self, name: HeaderName) -> Result<&[u8], ParseFault> {
        self.value(name).ok_or(ParseFault {
            rule: Rule::Missing(name),
            offset: self.body,
            length: 0,
        })
    }

    fn fault_of(&self, flaw: Flaw<'_>) -> ParseFault {
        let offset = (flaw.place.as_ptr() as usize).saturating_sub(self.octets.as_ptr() as usize);
        ParseFault {
            rule: flaw.rule,
            offset,
            length: flaw.place.len(),
        }
    }

    /// What every element relies on (RFC 3261 section 16.3 step 1, RFC 4475 sections 3.1.2 and 3.3).
    fn check(&self) -> Result<(), ParseFault> {
        if let Some(field) = self
            .first
            .repeated
            .and_then(|index| self.fields.get(usize::from(index)))
        {
            let again = &self.octets[field.value_range()];
            return Err(self.fault_of(Flaw {
                rule: Rule::Repeated(field.name),
                place: again,
            }));
        }
        self.via()?;
        if self.elements(HeaderName::Via).nth(MAX_VIAS).is_some() {
            return Err(self.whole(Rule::TooManyVias));
        }
        self.from()?;
        self.to()?;
        let call_id = self.required(HeaderName::CallId)?;
        if call_id.is_empty() || call_id.iter().any(|octet| lexis::is_space(*octet)) {
            return Err(self.fault_of(Flaw {
                rule: Rule::CallId,
                place: call_id,
            }));
        }
        let cseq = self.required(HeaderName::CSeq)?;
        let (_, cseq_method) = CSeq::split(cseq).map_err(|flaw| self.fault_of(flaw))?;
        if let Start::Request { method, .. } = &self.start
            && &self.octets[method.clone()] != cseq_method
        {
            return Err(self.fault_of(Flaw {
                rule: Rule::CSeqMethod,
                place: cseq,
            }));
        }
        if let Some(value) = self.value(HeaderName::MaxForwards)
            && self.max_forwards().is_none()
        {
            return Err(self.fault_of(Flaw {
                rule: Rule::MaxForwards,
                place: value,
            }));
        }
        self.check_addresses()
    }

    fn check_addresses(&self) -> Result<(), ParseFault> {
        for element in self.elements(HeaderName::Contact) {
            if element != b"*" {
                NameAddr::read(element).map_err(|flaw| self.fault_of(flaw))?;
            }
        }
        for name in [HeaderName::Route, HeaderName::RecordRoute] {
            for (index, address) in self.addresses(name).enumerate() {
                if index == MAX_ROUTES {
                    return Err(self.whole(Rule::TooManyRoutes));
                }
                address?;
            }
        }
        Ok(())
    }

    fn whole(&self, rule: Rule) -> ParseFault {
        ParseFault {
            rule,
            offset: 0,
            length: self.body,
        }
    }

    /// Where the body ends by Content-Length, or by the datagram's end without one (RFC 3261 section 18.3).
    fn body_end(&self) -> Result<usize, ParseFault> {
        let mut end = None;
        for value in self.values(HeaderName::ContentLength) {
            let flaw = |rule| self.fault_of(Flaw { rule, place: value });
            let length = lexis::number(value, u64::MAX).ok_or(flaw(Rule::ContentLength))?;
            let length = usize::try_from(length).map_err(|_| flaw(Rule::BodyMissing))?;
            if length > self.octets.len() - self.body {
                return Err(flaw(Rule::BodyMissing));
            }
            if end.is_some_and(|earlier| earlier != self.body + length) {
                return Err(flaw(Rule::ContentLength));
            }
            end = Some(self.body + length);
        }
        Ok(end.unwrap_or(self.octets.len()))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shape = f.debug_struct("Message");
        match &self.start {
            Start::Request { .. } => shape.field("method", &self.method()),
            Start::Response { status, .. } => shape.field("status", status),
            Start::Unreadable => shape.field("start", &"unreadable"),
        };
        shape
            .field("headers", &self.fields.len())
            .field("body_bytes", &(self.octets.len().saturating_sub(self.body)))
            .finish()
    }
}

impl FirstOf {
    fn none() -> FirstOf {
        FirstOf {
            fields: [NONE; HeaderName::Other as usize],
            repeated: None,
        }
    }

    fn of(fields: &[Field]) -> FirstOf {
        let mut first = FirstOf::none();
        for (field, index) in fields.iter().zip(0..NONE) {
            match first.fields.get_mut(field.name as usize) {
                Some(slot) if *slot == NONE => *slot = index,
                Some(_) if is_single(field.name) => {
                    first.repeated.get_or_insert(index);
                }
                Some(_) | None => {}
            }
        }
        first
    }

    fn index(&self, name: HeaderName) -> Option<usize> {
        let index = *self.fields.get(name as usize)?;
        (index != NONE).then_some(usize::from(index))
    }
}

/// Whether two of a header contradict each other (RFC 4475 section 3.3.8); lengths are compared instead.
fn is_single(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::From
            | HeaderName::To
            | HeaderName::CallId
            | HeaderName::CSeq
            | HeaderName::MaxForwards
            | HeaderName::ContentType
    )
}

fn text_of(value: &[u8]) -> Cow<'_, str> {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return String::from_utf8_lossy(value);
    }
    let mut unfolded = Vec::with_capacity(value.len());
    push_unfolded(&mut unfolded, value);
    Cow::Owned(String::from_utf8_lossy(&unfolded).into_owned())
}

/// Writes a value with each fold as one space (RFC 3261 section 7.3.1); no CR or LF is left.
pub(crate) fn push_unfolded(out: &mut Vec<u8>, value: &[u8]) {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        out.extend_from_slice(value);
        return;
    }
    let lines = value
        .split(|octet| matches!(octet, b'\r' | b'\n'))
        .map(lexis::trim)
        .filter(|line| !line.is_empty());
    for (index, line) in lines.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
