//! `denwaban dispose --due`: destroys keys and bytes of every day whose retention is over.

use std::sync::Arc;

use clap::Args;

use super::{Exit, Person, Place, Terminal, recordings::with_office};
use crate::export::{Disposed, Request};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    person: Person,
}

/// What is destroyed. Nothing but what is due: a day's expiry is fixed when it begins.
#[derive(Debug, Args)]
#[group(required = true)]
struct What {
    /// 期限の来た日のすべて / every day that is due
    #[arg(long)]
    due: bool,
}

pub(super) fn dispose(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    debug_assert!(arguments.what.due, "clap requires it");
    let config = Arc::new(arguments.place.load(out)?);
    let request = Request::Dispose {
        person: arguments.person.person.clone(),
    };
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    let days: Vec<Disposed> = out.settle(answer)?;
    if days.is_empty() {
        return out.line("期限の来た録音はありません / nothing is due");
    }
    for day in days {
        out.line(&format!(
            "廃棄しました / disposed: {} 対象/due={} 廃棄/disposed={}",
            day.day, day.due, day.disposed
        ))?;
    }
    Ok(())
}
