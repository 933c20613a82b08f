//! A prompt: speech, what it says, and the hash that proves which speech it was.

use std::{fmt, str::FromStr};

use media::Clip;

/// The prompts that calls ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PromptId {
    /// The call is recorded.
    RecordingNotice,
    /// Every target of the department is busy.
    Busy,
    /// No target answered.
    NoAnswer,
    /// The city takes no calls at this hour.
    Closed,
    /// No line or channel is left.
    Congestion,
}

impl PromptId {
    /// All of them.
    pub const ALL: [PromptId; 5] = [
        PromptId::RecordingNotice,
        PromptId::Busy,
        PromptId::NoAnswer,
        PromptId::Closed,
        PromptId::Congestion,
    ];

    /// The id that the manifest and the records write; the file is this and `.wav`.
    pub fn as_str(self) -> &'static str {
        match self {
            PromptId::RecordingNotice => "recording-notice",
            PromptId::Busy => "busy",
            PromptId::NoAnswer => "no-answer",
            PromptId::Closed => "closed",
            PromptId::Congestion => "congestion",
        }
    }

    /// The name of its file.
    pub fn file_name(self) -> String {
        format!("{}.wav", self.as_str())
    }
}

impl fmt::Display for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PromptId {
    type Err = UnknownPrompt;

    fn from_str(text: &str) -> Result<PromptId, UnknownPrompt> {
        PromptId::ALL
            .into_iter()
            .find(|id| id.as_str() == text)
            .ok_or(UnknownPrompt)
    }
}

/// An id that no call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prompt id is unknown, expected recording-notice, busy, no-answer, closed or congestion")]
pub struct UnknownPrompt;

/// A prompt that can be played.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Which.
    pub id: PromptId,
    /// Goes up by one when the text changes.
    pub version: u32,
    /// As in BCP 47: `ja`.
    pub language: String,
    /// What it says.
    pub text: String,
    /// Of its WAV file.
    pub sha256: [u8; 32],
    /// The speech.
    pub clip: Clip,
}
