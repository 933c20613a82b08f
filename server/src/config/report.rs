//! The printed form of a configuration's faults.

use std::{io, path::Path};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

use super::reader::ConfigFault;
use crate::wording;

/// Why a configuration cannot be used: every fault of the file, or that it cannot be read.
#[derive(Debug)]
pub(crate) struct ConfigReport {
    file: String,
    text: String,
    faults: Vec<ConfigFault>,
    unreadable: Option<String>,
}

impl ConfigReport {
    pub(super) fn faulty(file: &Path, text: &str, faults: Vec<ConfigFault>) -> ConfigReport {
        ConfigReport {
            file: wording::lines(&file.display().to_string()),
            text: veiled(text),
            faults,
            unreadable: None,
        }
    }

    pub(super) fn unreadable(file: &Path, fault: &io::Error) -> ConfigReport {
        let file = wording::lines(&file.display().to_string());
        ConfigReport {
            file,
            text: String::new(),
            faults: Vec::new(),
            unreadable: Some(fault.to_string()),
        }
    }

    /// The whole report as text; `colour` for a terminal.
    pub(crate) fn render(&self, colour: bool) -> String {
        if let Some(why) = &self.unreadable {
            return format!(
                "設定ファイルを読めません。\nthe configuration {} cannot be read: {why}\n\
                 expected a file that `denwaban init --dir DIR` wrote; name it with --config DIR/denwaban.toml\n",
                self.file
            );
        }
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(110)
            .with_context_lines(1);
        let count = self.faults.len();
        let mut text = format!(
            "設定ファイルに {count} 件の誤りがあります。 / {count} faults in {}\n",
            self.file
        );
        for fault in &self.faults {
            let view = FaultView {
                fault,
                source: NamedSource::new(&self.file, self.text.clone()),
            };
            // Rendering writes into a String, which cannot fail; a report that could not be drawn still counts above.
            let _ = handler.render_report(&mut text, &view);
        }
        text
    }
}

/// The text without what steers a terminal, of the same length, so that each place stays where it is.
fn veiled(text: &str) -> String {
    let veil = |letter: char| match letter {
        '\n' | '\r' | '\t' => String::from(letter),
        _ if rules::steers(letter) => "?".repeat(letter.len_utf8()),
        _ => String::from(letter),
    };
    text.chars().map(veil).collect()
}

#[derive(Debug)]
struct FaultView<'f> {
    fault: &'f ConfigFault,
    source: NamedSource<String>,
}

impl std::fmt::Display for FaultView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: found {}, expected {}",
            wording::lines(&self.fault.place),
            wording::lines(&self.fault.found),
            self.fault.expected
        )
    }
}

impl std::error::Error for FaultView<'_> {}

impl Diagnostic for FaultView<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.fault.remedy))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.fault.span.clone();
        let length = span.len().max(1);
        Some(Box::new(std::iter::once(LabeledSpan::new(
            Some("here".to_owned()),
            span.start,
            length,
        ))))
    }
}
