//! Where the lines of a message are: one pass over the octets, spans only.
//!
//! Limits are checked before anything is allocated. Follows RFC 3261 sections 7 and 7.3.1 (folding).

use std::ops::Range;

use memchr::memchr;

use crate::{fault::Rule, header::HeaderName, lexis};

/// The longest message that is read.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 * 1024; // Requirement T-01: more than any UDP datagram holds.

/// The longest header, its folded lines together.
pub(crate) const MAX_LINE_BYTES: usize = 8 * 1024; // Requirement T-01.

/// The most headers.
const MAX_HEADERS: usize = 128; // Requirement T-01; a rich INVITE has about 30.

/// One header: its name, where the name and the value stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: HeaderName,
    name_span: (u32, u32),
    value_span: (u32, u32),
}

impl Field {
    pub(crate) fn name_range(&self) -> Range<usize> {
        range(self.name_span)
    }

    pub(crate) fn value_range(&self) -> Range<usize> {
        range(self.value_span)
    }
}

fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}

fn span(range: &Range<usize>) -> (u32, u32) {
    let offset = |at: usize| u32::try_from(at).expect("messages are at most 64 KiB");
    (offset(range.start), offset(range.end))
}

/// The lines of one message.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The start line, without its CRLF.
    pub(crate) start: Range<usize>,
    pub(crate) fields: Vec<Field>,
    /// Where the body begins.
    pub(crate) body: usize,
    /// The first fault; the fields before it (and those after it that could be read) are there all the same.
    pub(crate) fault: Option<(Rule, Range<usize>)>,
}

impl Frame {
    /// Finds the lines of a message of at most [`MAX_MESSAGE_BYTES`]; [`empty_lines`] before the start line are skipped.
    pub(crate) fn read(octets: &[u8]) -> Frame {
        let leading = empty_lines(octets);
        let mut frame = Frame {
            start: leading..leading,
            fields: Vec::new(),
            body: octets.len(),
            fault: None,
        };
        let Some((start, mut at)) = frame.line(octets, leading) else {
            frame.fail(Rule::Unfinished, leading..octets.len());
            return frame;
        };
        frame.start = start;
        if frame.start.len() > MAX_LINE_BYTES {
            frame.fail(Rule::LineTooLong, frame.start.clone());
        }
        frame.fields.reserve_exact(20); // Fits the usual INVITE; never more than MAX_HEADERS.
        loop {
            let Some((line, next)) = frame.line(octets, at) else {
                frame.fail(Rule::Unfinished, at..octets.len());
                return frame;
            };
            at = next;
            if line.is_empty() {
                frame.body = at;
                return frame;
            }
            if matches!(octets[line.start], b' ' | b'\t') {
                frame.fold(octets, &line);
                continue;
            }
            if frame.fields.len() == MAX_HEADERS {
                frame.fail(Rule::TooManyHeaders, line.start..octets.len());
                return frame;
            }
            frame.field(octets, line);
        }
    }

    /// The line at `at` and where the next one begins.
    fn line(&mut self, octets: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
        let newline = at + memchr(b'\n', &octets[at..])?;
        let end = match octets[at..newline].last() {
            Some(b'\r') => newline - 1,
            Some(_) | None => {
                self.fail(Rule::LineEnding, at..newline + 1);
                newline
            }
        };
        Some((at..end, newline + 1))
    }

    fn field(&mut self, octets: &[u8], line: Range<usize>) {
        if line.len() > MAX_LINE_BYTES {
            self.fail(Rule::LineTooLong, line);
            return;
        }
        let text = &octets[line.clone()];
        // Names are short: a loop finds their end before a vector search has begun.
        let is_name = |octet: &&u8| lexis::is_token_octet(**octet);
        let length = text.iter().take_while(is_name).count();
        let (name, rest) = text.split_at(length);
        let Some(value) = lexis::trim_start(rest).strip_prefix(b":") else {
            self.fail(Rule::HeaderName, line);
            return;
        };
        if name.is_empty() {
            self.fail(Rule::HeaderName, line);
            return;
        }
        let name_span = line.start..line.start + length;
        let value = trimmed(octets, line.end - value.len()..line.end);
        self.fields.push(Field {
            name: HeaderName::read(name),
            name_span: span(&name_span),
            value_span: span(&value),
        });
    }

    /// Adds a folded line to the header before it.
    fn fold(&mut self, octets: &[u8], line: &Range<usize>) {
        let Some(last) = self.fields.last_mut() else {
            self.fail(Rule::HeaderName, line.clone());
            return;
        };
        // White space counts too: a header of nothing else would be walked through again for each of its lines.
        let header = last.name_range().start..line.end;
        if header.len() > MAX_LINE_BYTES {
            self.fail(Rule::LineTooLong, header);
            return;
        }
        let part = trimmed(octets, line.clone());
        if part.is_empty() {
            return;
        }
        let value = last.value_range();
        let start = if value.is_empty() {
            part.start
        } else {
            value.start
        };
        last.value_span = span(&(start..part.end));
    }

    pub(crate) fn fail(&mut self, rule: Rule, place: Range<usize>) {
        self.fault.get_or_insert((rule, place));
    }
}

/// How many octets stand before the start line: a sender may begin with empty lines (RFC 3261 section 7.5).
pub(crate) fn empty_lines(octets: &[u8]) -> usize {
    octets
        .iter()
        .take_while(|octet| matches!(octet, b'\r' | b'\n'))
        .count()
}

/// The range without white space at its ends.
fn trimmed(octets: &[u8], range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while start < end && lexis::is_space(octets[start]) {
        start += 1;
    }
    while start < end && lexis::is_space(octets[end - 1]) {
        end -= 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<&str> {
        let frame = Frame::read(text.as_bytes());
        assert!(frame.fault.is_none(), "{:?}", frame.fault);
        frame
            .fields
            .iter()
            .map(|field| &text[field.value_range()])
            .collect()
    }

    #[test]
    fn a_folded_header_is_one_header() {
        let text = "\r\n\r\nX\r\nTo :\r\n sip:a@b\r\n\t;tag=1\r\ns :\r\nA: b\r\n\r\nbody";
        assert_eq!(values(text), ["sip:a@b\r\n\t;tag=1", "", "b"]);
    }

    #[test]
    fn a_line_without_name_or_end_is_a_fault_and_the_rest_is_read() {
        let frame = Frame::read(b"X\r\nno colon\r\nTo: a\r\n\r\n");
        assert_eq!(frame.fault, Some((Rule::HeaderName, 3..11)));
        assert_eq!(frame.fields.len(), 1);
        assert_eq!(
            Frame::read(b"X\r\nTo: a\n\r\n").fault,
            Some((Rule::LineEnding, 3..9))
        );
        assert_eq!(
            Frame::read(b"X\r\nTo: a\r\n").fault,
            Some((Rule::Unfinished, 10..10))
        );
        assert_eq!(Frame::read(b"").fault, Some((Rule::Unfinished, 0..0)));
    }

    #[test]
    fn the_hundred_and_twenty_ninth_header_is_refused() {
        let head = |count| format!("X\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert_eq!(Frame::read(head(128).as_bytes()).fault, None);
        let frame = Frame::read(head(129).as_bytes());
        assert_eq!(
            frame.fault.map(|(rule, _)| rule),
            Some(Rule::TooManyHeaders)
        );
    }

    #[test]
    fn folds_of_nothing_but_white_space_are_part_of_their_header() {
        let text = format!("X\r\nA: b\r\n{}C: d\r\n\r\n", " \t \r\n".repeat(3_000));
        let frame = Frame::read(text.as_bytes());
        assert_eq!(
            frame.fault.map(|(rule, _)| rule),
            Some(Rule::LineTooLong),
            "else one datagram costs its length squared"
        );
        assert_eq!(
            values("X\r\nA: b\r\n \r\n c\r\n \r\n\r\n"),
            ["b\r\n \r\n c"]
        );
        assert_eq!(values("X\r\nA:\r\n \r\n c\r\n\r\n"), ["c"]);
    }

    #[test]
    fn a_header_over_eight_kibibytes_is_refused_folded_or_not() {
        let long = format!("X\r\nA: {}\r\n\r\n", "b".repeat(8 * 1024));
        assert_eq!(
            Frame::read(long.as_bytes()).fault.map(|(rule, _)| rule),
            Some(Rule::LineTooLong)
        );
        let folded = format!(
            "X\r\nA: b{}\r\n\r\n",
            format!("\r\n {}", "b".repeat(1022)).repeat(9)
        );
        assert_eq!(
            Frame::read(folded.as_bytes()).fault.map(|(rule, _)| rule),
            Some(Rule::LineTooLong)
        );
    }
}
