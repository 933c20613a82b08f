//! Reads the folder of prompts that the settings name.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use announcements::{Library, PromptFault};
use rules::{Digest, PolicyDifference, Register};

use crate::config::Config;

/// A minute of 16-bit sound at 8 kHz is less than 1 MB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads manifest and prompts; what cannot be used is told apart and stops nothing.
pub(crate) fn open(folder: &Path) -> (Library, Vec<PromptFault>) {
    Library::read(|name| {
        let mut bytes = Vec::new();
        let length = File::open(folder.join(name))?
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        let fits = u64::try_from(length).is_ok_and(|length| length <= MAX_FILE_BYTES);
        if fits {
            Ok(bytes)
        } else {
            Err(io::Error::other("it is larger than 4 MiB"))
        }
    })
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
