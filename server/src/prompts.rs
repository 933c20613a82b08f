//! Reads the folder of prompts that the settings name.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use announcements::{Library, PromptFault};
use rules::{Digest, Label};
use rustix::fs::OFlags;
use storage::Duty;

use crate::{
    calls,
    config::Config,
    duty::{Answer, Conversation, DUTY_PATIENCE},
};

/// A minute of 16-bit sound at 8 kHz is less than 1 MB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads manifest and prompts; what cannot be used is told apart and stops nothing.
pub(crate) fn open(folder: &Path) -> (Library, Vec<PromptFault>) {
    Library::read(|name| read(&folder.join(name)))
}

/// A link leads where whoever keeps the folder wants it; a pipe would keep us waiting.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut bytes = Vec::new();
    let length = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    match u64::try_from(length).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        true => Ok(bytes),
        false => Err(io::Error::other("it is larger than 4 MiB")),
    }
}

/// Prompts by name, each with the hash of its sound.
pub(crate) type Sounds = BTreeMap<Label, Digest>;

/// The prompts of a library.
pub(crate) fn sounds(library: &Library) -> Sounds {
    let prompts = library.iter().filter_map(|prompt| {
        let id = prompt.id.as_str().parse().ok()?;
        Some((id, Digest(prompt.sha256)))
    });
    prompts.collect()
}

/// What lies in the folder, for the next start.
pub(crate) fn on_disk(config: &Config) -> Sounds {
    sounds(&open(&config.folders.prompts).0)
}

/// What is played: what whoever carries calls loaded at its start; where nobody does, what lies in the folder.
///
/// # Errors
/// Whoever carries calls does not say.
pub(crate) fn played(config: &Config) -> io::Result<Sounds> {
    let request = calls::Request::Prompts;
    let Some(conversation) = Conversation::ask(&config.layout(), Duty::Calls, &request)? else {
        return Ok(on_disk(config));
    };
    match conversation.within(DUTY_PATIENCE)?.answer::<Sounds>()? {
        Answer::Done(loaded) => Ok(loaded),
        _ => Err(io::Error::other("whoever carries calls does not say")),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_in_place_of_a_prompt_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("manifest.toml");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o660), 0).unwrap();
        let (library, faults) = open(folder.path());
        assert_eq!(library.iter().count(), 0);
        assert!(!faults.is_empty());
    }
}
