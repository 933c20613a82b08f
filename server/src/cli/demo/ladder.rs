//! The call as a ladder in text: what went between the carrier, denwaban and the department, with the time of each.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Collects the steps of one call while they happen.
pub(super) struct Ladder {
    begun: Instant,
    steps: Mutex<Vec<(u128, Step)>>,
}

/// One line of the ladder; the carrier stands left, the department right, denwaban between them.
pub(super) enum Step {
    FromCarrier(String),
    ToCarrier(String),
    ToDepartment(String),
    FromDepartment(String),
    /// Something heard or done that is no message.
    Heard(String),
}

const SIDE: usize = 30;

impl Ladder {
    pub(super) fn new() -> Ladder {
        Ladder {
            begun: Instant::now(),
            steps: Mutex::default(),
        }
    }

    pub(super) fn add(&self, step: Step) {
        self.steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((self.begun.elapsed().as_millis(), step));
    }

    /// The whole ladder, one line a step.
    pub(super) fn render(&self) -> String {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!(
            "      秒   carrier{:SIDE$}denwaban{:SIDE$}department\n",
            "", ""
        );
        for (at_ms, step) in steps.iter() {
            let (carrier, department) = match step {
                Step::FromCarrier(line) => (arrow(line, true), String::new()),
                Step::ToCarrier(line) => (arrow(line, false), String::new()),
                Step::ToDepartment(line) => (" ".repeat(SIDE + 5), arrow(line, true)),
                Step::FromDepartment(line) => (" ".repeat(SIDE + 5), arrow(line, false)),
                Step::Heard(line) => (format!("   · {line}"), String::new()),
            };
            let seconds = format!("{}.{:03}", at_ms / 1000, at_ms % 1000);
            text.push_str(
                format!(
                    "{seconds:>8}     │{carrier}{}{department}",
                    if department.is_empty() { "" } else { "  │" }
                )
                .trim_end(),
            );
            text.push('\n');
        }
        text
    }
}

fn arrow(line: &str, rightward: bool) -> String {
    let shaft = "─".repeat((SIDE + 3).saturating_sub(line.chars().count() + 1));
    if rightward {
        format!("{line} {shaft}▶")
    } else {
        format!("◀{shaft} {line}")
    }
}
