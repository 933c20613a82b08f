//! What a command line that cannot be read is answered with: a Japanese sentence above clap's own text, or one object for programs.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Exit, Form, Terminal};
use crate::duty::Message;

/// A longer value is not repeated whole.
const MOST_REPEATED: usize = 80;

/// Tells what clap says. Help goes to standard output and is no fault; clap decides which it is.
pub(super) fn tell(mut told: clap::Error, out: &mut Terminal) -> Exit {
    if !told.use_stderr() {
        // A closed pipe needs no word.
        let _ = told.print();
        return Exit::Done;
    }
    if out.form == Form::Text && told.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        let _ = told.print();
        return Exit::Usage;
    }
    if let Some(ContextValue::String(value)) = told.get(ContextKind::InvalidValue)
        && value.chars().count() > MOST_REPEATED
    {
        let beginning: String = value.chars().take(MOST_REPEATED).collect();
        let shortened = ContextValue::String(beginning + "...");
        told.insert(ContextKind::InvalidValue, shortened);
    }
    let ja = japanese(&told);
    let en = told.render().to_string();
    match out.form {
        Form::Text => out.complain(&format!("{ja}\n{en}")),
        Form::Json => out.message(&Message::new(ja, en.trim_end())),
    }
    Exit::Usage
}

fn japanese(told: &clap::Error) -> String {
    let named = |kind| match told.get(kind) {
        Some(ContextValue::String(name)) => name.clone(),
        Some(ContextValue::Strings(names)) => names.join("、"),
        _ => String::new(),
    };
    let argument = named(ContextKind::InvalidArg);
    let what = match told.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("{argument} の値を読めません。")
        }
        ErrorKind::MissingRequiredArgument => format!("{argument} を指定してください。"),
        ErrorKind::UnknownArgument => format!("{argument} という指定はありません。"),
        ErrorKind::InvalidSubcommand => {
            let name = named(ContextKind::InvalidSubcommand);
            format!("{name} という命令はありません。")
        }
        ErrorKind::ArgumentConflict => format!("{argument} は、ほかの指定と同時には使えません。"),
        _ if argument.is_empty() => String::new(),
        _ => format!("{argument} の指定が違います。"),
    };
    format!("使い方が違います。{what}--help を見てください。")
}
