//! What can be wrong with a prompt: each fault names the file and the remedy.

use std::io;

use media::Fault;

use crate::prompt::PromptId;

/// A prompt that cannot be played, and what to do about it. Calls that need it go on without it.
#[derive(Debug, thiserror::Error)]
pub enum PromptFault {
    /// The manifest is not there or cannot be read.
    #[error(
        "prompts/manifest.toml cannot be read ({source}); write the shipped prompts anew with `denwaban init`"
    )]
    ManifestUnreadable {
        /// What the system says.
        source: io::Error,
    },
    /// The manifest is not what it should be.
    #[error(
        "prompts/manifest.toml line {line}: {message}; correct the line, or write the shipped prompts anew with `denwaban init`"
    )]
    Manifest {
        /// Where, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The manifest lists a prompt that no call asks for.
    #[error(
        "prompts/manifest.toml lists {id}, expected recording-notice, busy, no-answer, closed or congestion; correct the id or take it out"
    )]
    UnknownId {
        /// The beginning of what it says.
        id: String,
    },
    /// The manifest lists a prompt twice.
    #[error("prompts/manifest.toml lists {id} twice; take one of them out, the first is played")]
    Twice {
        /// Which.
        id: PromptId,
    },
    /// The manifest does not list a prompt that calls ask for.
    #[error(
        "prompts/manifest.toml does not list {id}; add it with its SHA-256, or write the shipped prompts anew with `denwaban init`"
    )]
    NotListed {
        /// Which.
        id: PromptId,
    },
    /// There is no such file.
    #[error(
        "prompt {id}.wav is missing; put the file into the folder prompts, or write the shipped prompts anew with `denwaban init`"
    )]
    Missing {
        /// Which.
        id: PromptId,
    },
    /// The file cannot be read.
    #[error("prompt {id}.wav cannot be read ({source}); look at its owner, mode and length")]
    Unreadable {
        /// Which.
        id: PromptId,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not the one that the manifest means.
    #[error(
        "prompt {id}.wav has SHA-256 {found}, expected the one in prompts/manifest.toml; put the right file back, or write its SHA-256 there if the prompt was changed on purpose"
    )]
    Damaged {
        /// Which.
        id: PromptId,
        /// The file's.
        found: String,
    },
    /// The file is no WAV.
    #[error(
        "prompt {id}.wav is no readable WAV file ({message}); convert it with `sox IN -r 8000 -c 1 -b 16 {id}.wav` and write its SHA-256 into prompts/manifest.toml"
    )]
    NotWav {
        /// Which.
        id: PromptId,
        /// What the reader says.
        message: String,
    },
    /// The file is a WAV in another form.
    #[error("prompt {id}.wav is {sample_rate} Hz, {channels} channels, {bits} bit{}, expected 8000 Hz, 1 channel, 16 bit integers; convert it with `sox IN -r 8000 -c 1 -b 16 {id}.wav` and write its SHA-256 into prompts/manifest.toml", if *is_integer { "" } else { " floating point" })]
    Format {
        /// Which.
        id: PromptId,
        /// In Hz.
        sample_rate: u32,
        /// Count.
        channels: u16,
        /// Per sample.
        bits: u16,
        /// Whether samples are integers.
        is_integer: bool,
    },
    /// The file is empty or longer than a minute.
    #[error(
        "prompt {id}.wav lasts {found_ms} ms, expected more than 0 and at most 60000; shorten it and write its SHA-256 into prompts/manifest.toml"
    )]
    Length {
        /// Which.
        id: PromptId,
        /// Its length.
        found_ms: u64,
    },
}

impl PromptFault {
    /// The operator's, but for what the system does not let us read.
    pub fn fault(&self) -> Fault {
        match self {
            PromptFault::ManifestUnreadable { .. } | PromptFault::Unreadable { .. } => {
                Fault::Resource
            }
            PromptFault::Manifest { .. }
            | PromptFault::UnknownId { .. }
            | PromptFault::Twice { .. }
            | PromptFault::NotListed { .. }
            | PromptFault::Missing { .. }
            | PromptFault::Damaged { .. }
            | PromptFault::NotWav { .. }
            | PromptFault::Format { .. }
            | PromptFault::Length { .. } => Fault::Operator,
        }
    }

    /// The prompt that cannot be played, where it is one alone.
    pub fn prompt(&self) -> Option<PromptId> {
        match self {
            PromptFault::ManifestUnreadable { .. }
            | PromptFault::Manifest { .. }
            | PromptFault::UnknownId { .. } => None,
            PromptFault::Twice { id }
            | PromptFault::NotListed { id }
            | PromptFault::Missing { id }
            | PromptFault::Unreadable { id, .. }
            | PromptFault::Damaged { id, .. }
            | PromptFault::NotWav { id, .. }
            | PromptFault::Format { id, .. }
            | PromptFault::Length { id, .. } => Some(*id),
        }
    }
}
