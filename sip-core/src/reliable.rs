//! Reliable provisional answers: their order on both sides, and what a PRACK names.
//!
//! It sends nothing; the endpoint repeats what is unacknowledged and writes the PRACK. Follows RFC 3262.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::lexis;

/// The most provisional answers that wait for the PRACK of the one before; a further one replaces the last.
const MAX_WAITING: usize = 8; // Law 5; an application tells of ringing and progress, not more.

/// The most reliable answers of one callee that are acknowledged; each costs a transaction.
const MAX_HEARD: u32 = 64; // Law 5; a callee that rings says so once a minute (RFC 3261 section 13.3.1.1).

/// What a PRACK acknowledges (RFC 3262 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RAck {
    pub(crate) rseq: u32,
    pub(crate) cseq: u32,
}

impl RAck {
    /// Reads `776656 1 INVITE`; only an INVITE has reliable answers.
    pub(crate) fn read(value: &[u8]) -> Option<RAck> {
        let mut parts = value
            .split(|octet| lexis::is_space(*octet))
            .filter(|part| !part.is_empty());
        let mut number = || u32::try_from(lexis::number(parts.next()?, u64::from(u32::MAX))?).ok();
        let (rseq, cseq) = (number()?, number()?);
        (parts.next() == Some(b"INVITE") && parts.next().is_none()).then_some(RAck { rseq, cseq })
    }
}

/// Reads an RSeq: 1 to 2^32-1 (RFC 3262 section 7.1).
pub(crate) fn read_rseq(value: &[u8]) -> Option<u32> {
    let number = lexis::number(lexis::trim(value), u64::from(u32::MAX))?;
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// A provisional answer of ours that waits for its PRACK.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    pub(crate) named: RAck,
    pub(crate) has_description: bool,
    /// What is repeated; empty once it needs no repetition.
    pub(crate) answer: Bytes,
    pub(crate) interval: Duration,
}

/// The reliable answers to one INVITE of the peer's: one is unacknowledged, the next ones wait (RFC 3262 section 3).
#[derive(Debug)]
pub(crate) struct ReliableAnswers<Waiting> {
    next: u32,
    unacknowledged: Option<Unacknowledged>,
    waiting: VecDeque<Waiting>,
}

impl<Waiting> ReliableAnswers<Waiting> {
    /// Begins; `first` is the first RSeq, which RFC 3262 section 3 wants between 1 and 2^31-1.
    pub(crate) fn new(first: u32) -> Self {
        ReliableAnswers {
            next: (first & 0x7fff_ffff).max(1),
            unacknowledged: None,
            waiting: VecDeque::new(),
        }
    }

    /// The answer that waits for its PRACK.
    pub(crate) fn unacknowledged(&mut self) -> Option<&mut Unacknowledged> {
        self.unacknowledged.as_mut()
    }

    /// Whether a 2xx has to wait: an unacknowledged answer holds a description (RFC 3262 section 3).
    pub(crate) fn holds_2xx(&self) -> bool {
        self.unacknowledged
            .as_ref()
            .is_some_and(|answer| answer.has_description && !answer.answer.is_empty())
    }

    /// The RSeq for an answer that may go out now; none if one is unacknowledged.
    pub(crate) fn may_send(&self) -> Option<u32> {
        self.unacknowledged.is_none().then_some(self.next)
    }

    /// An answer went out under the RSeq of [`may_send`](Self::may_send).
    pub(crate) fn sent(&mut self, cseq: u32, answer: Bytes, has_description: bool, t1: Duration) {
        let rseq = self.next;
        self.next = rseq.wrapping_add(1).max(1);
        self.unacknowledged = Some(Unacknowledged {
            named: RAck { rseq, cseq },
            has_description,
            answer,
            interval: t1,
        });
    }

    /// Keeps an answer until the one before is acknowledged.
    pub(crate) fn wait(&mut self, answer: Waiting) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_back();
        }
        self.waiting.push_back(answer);
    }

    /// A PRACK came; whether it names what is unacknowledged.
    pub(crate) fn acknowledge(&mut self, named: RAck) -> bool {
        let is_named = self
            .unacknowledged
            .as_ref()
            .is_some_and(|answer| answer.named == named);
        if is_named {
            self.unacknowledged = None;
        }
        is_named
    }

    /// The next answer that waited.
    pub(crate) fn take_waiting(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// A final answer goes out: nothing is repeated or sent any more, and a PRACK is still known (RFC 3262 section 3).
    pub(crate) fn finish(&mut self) {
        self.waiting.clear();
        if let Some(answer) = &mut self.unacknowledged {
            answer.answer = Bytes::new();
        }
    }

    /// No PRACK came in time.
    pub(crate) fn give_up(&mut self) {
        self.waiting.clear();
        self.unacknowledged = None;
    }
}

/// The reliable answers heard from one callee (RFC 3262 section 4).
#[derive(Debug, Default)]
pub(crate) struct HeardAnswers {
    last: Option<u32>,
    count: u32,
}

/// Where a reliable answer stands in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first, or the one after the last: PRACK it.
    Next,
    /// A repetition, one whose predecessor is missing, or one too many: it is not acknowledged and not processed.
    Out,
}

impl HeardAnswers {
    pub(crate) fn hear(&mut self, rseq: u32) -> Order {
        match self.last {
            Some(last) if last.checked_add(1) != Some(rseq) => Order::Out,
            Some(_) if self.count == MAX_HEARD => Order::Out,
            Some(_) | None => {
                self.last = Some(rseq);
                self.count += 1;
                Order::Next
            }
        }
    }
}

#[cfg(test)]
mod tests {
    // PRACKs that come late, twice, or for something else.
    use super::*;

    const T1: Duration = Duration::from_millis(500);

    #[test]
    fn an_rack_is_two_numbers_and_invite() {
        let named = RAck {
            rseq: 776_656,
            cseq: 1,
        };
        assert_eq!(RAck::read(b"776656  1\t INVITE"), Some(named));
        for text in [
            "",
            "1",
            "1 1",
            "1 1 PRACK",
            "1 1 INVITE x",
            "x 1 INVITE",
            "4294967296 1 INVITE",
        ] {
            assert_eq!(RAck::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_rseq(b" 7 "), Some(7));
        assert_eq!((read_rseq(b"0"), read_rseq(b"4294967296")), (None, None));
    }

    #[test]
    fn one_answer_is_outstanding_and_the_next_waits_for_its_prack() {
        let mut answers = ReliableAnswers::new(7);
        assert_eq!(answers.may_send(), Some(7));
        answers.sent(1, Bytes::from_static(b"183"), true, T1);
        assert_eq!(answers.may_send(), None);
        assert!(answers.holds_2xx());
        answers.wait("180");
        for (rseq, cseq) in [(7, 2), (8, 1), (6, 1)] {
            assert!(!answers.acknowledge(RAck { rseq, cseq }));
        }
        assert!(answers.acknowledge(RAck { rseq: 7, cseq: 1 }));
        assert!(!answers.acknowledge(RAck { rseq: 7, cseq: 1 }), "once");
        assert_eq!(answers.take_waiting(), Some("180"));
        assert_eq!(answers.may_send(), Some(8));
    }

    #[test]
    fn a_final_answer_stops_the_repetition_but_not_the_prack() {
        let mut answers = ReliableAnswers::new(u32::MAX);
        assert_eq!(answers.may_send(), Some(0x7fff_ffff));
        answers.sent(1, Bytes::from_static(b"180"), false, T1);
        assert!(!answers.holds_2xx(), "it tells no description");
        answers.wait("183");
        answers.finish();
        assert_eq!(answers.take_waiting(), None);
        assert!(answers.acknowledge(RAck {
            rseq: 0x7fff_ffff,
            cseq: 1
        }));
    }

    #[test]
    fn what_waits_is_bounded_and_the_last_word_counts() {
        let mut answers = ReliableAnswers::new(1);
        for number in 0..20 {
            answers.wait(number);
        }
        let waiting: Vec<i32> = std::iter::from_fn(|| answers.take_waiting()).collect();
        assert_eq!(waiting, [0, 1, 2, 3, 4, 5, 6, 19]);
    }

    #[test]
    fn each_answer_is_acknowledged_once_and_in_order() {
        let mut heard = HeardAnswers::default();
        let orders = [5, 5, 7, 6, 7, 6].map(|rseq| heard.hear(rseq));
        assert_eq!(
            orders,
            [
                Order::Next,
                Order::Out,
                Order::Out,
                Order::Next,
                Order::Next,
                Order::Out
            ]
        );
    }

    #[test]
    fn a_callee_that_never_stops_telling_is_not_acknowledged_for_ever() {
        let mut heard = HeardAnswers::default();
        let taken = (1..=1000).filter(|rseq| heard.hear(*rseq) == Order::Next);
        assert_eq!(taken.count(), 64);
    }
}
