//! Draws the milestones of a call as a ladder, in the manner of RFC 3665.

use std::fmt::Write as _;

use jiff::Timestamp;
use media::Side;
use sip_core::Passage;

use crate::trace::{Milestone, TraceEvent};

/// Columns between two parties' lines.
const SPAN: usize = 32;

/// Draws the events of one call; times are seconds since the first.
pub fn draw(events: &[TraceEvent]) -> String {
    let mut text = String::from(
        "seconds  carrier                       denwaban                       department\n",
    );
    let Some(first) = events.first() else {
        return text;
    };
    for event in events {
        let rung = match &event.what {
            Milestone::Message {
                side: Side::Carrier,
                passage,
                line,
            } => {
                let points = match passage {
                    Passage::Sent => Points::Left,
                    Passage::Received => Points::Right,
                };
                format!("|{}|{:SPAN$}|", arrow(line, points), "")
            }
            Milestone::Message {
                side: Side::Department,
                passage,
                line,
            } => {
                let points = match passage {
                    Passage::Sent => Points::Right,
                    Passage::Received => Points::Left,
                };
                format!("|{:SPAN$}|{}|", "", arrow(line, points))
            }
            // Their messages and stages are drawn.
            Milestone::Began | Milestone::Ended(_) => continue,
            Milestone::House(what) => house(what),
            Milestone::Refused(phrase) => house(&format!("refused: {phrase}")),
        };
        let _ = writeln!(text, "{} {rung}", seconds(first.at, event.at));
    }
    text
}

fn house(what: &str) -> String {
    format!("|{:^width$}|", format!("[{what}]"), width = 2 * SPAN + 1)
}

fn seconds(first: Timestamp, at: Timestamp) -> String {
    let ms = at.duration_since(first).as_millis();
    format!("{:04}.{:03}", ms / 1_000, ms % 1_000)
}

/// Where an arrow points.
#[derive(Clone, Copy)]
enum Points {
    Left,
    Right,
}

/// An arrow of `SPAN` columns with its message in the middle.
fn arrow(line: &str, points: Points) -> String {
    let middle = format!(" {line} ");
    let dashes = format!("{middle:-^width$}", width = SPAN - 1);
    match points {
        Points::Left => format!("<{dashes}"),
        Points::Right => format!("{dashes}>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::CallId;

    #[test]
    fn a_ladder_reads_like_an_rfc() {
        let start: Timestamp = "2026-11-20T01:00:00Z".parse().unwrap();
        let call = CallId::new(start, 1);
        let event = |ms: i64, what| TraceEvent {
            at: start + jiff::SignedDuration::from_millis(ms),
            call,
            what,
        };
        let message = |side, passage, line: &str| Milestone::Message {
            side,
            passage,
            line: line.to_owned(),
        };
        let drawn = draw(&[
            event(0, message(Side::Carrier, Passage::Received, "INVITE (sdp)")),
            event(20, Milestone::House("Announcing".into())),
            event(
                8_120,
                message(Side::Department, Passage::Sent, "INVITE (sdp)"),
            ),
            event(
                8_140,
                message(Side::Department, Passage::Received, "180 INVITE"),
            ),
        ]);
        let expected = "\
seconds  carrier                       denwaban                       department
0000.000 |-------- INVITE (sdp) --------->|                                |
0000.020 |                          [Announcing]                           |
0008.120 |                                |-------- INVITE (sdp) --------->|
0008.140 |                                |<--------- 180 INVITE ----------|
";
        assert_eq!(drawn, expected);
    }
}
