//! Reads the folder of prompts that the settings name.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use announcements::{Library, PromptFault};
use rules::{Digest, PolicyDifference, Register};
use rustix::fs::OFlags;

use crate::config::Config;

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

/// Where the prompts and N of the configuration differ from the policy in force (K-31). Calls go on as the configuration says.
pub(crate) fn differences(config: &Config, register: &Register) -> Vec<PolicyDifference> {
    let (library, _) = open(&config.folders.prompts);
    let played = library.iter().filter_map(|prompt| {
        let id = prompt.id.as_str().parse().ok()?;
        Some((id, Digest(prompt.sha256)))
    });
    let policy = register.policy();
    policy.differences(config.retention.days(), &played.collect())
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
