//! What callers hear from the city itself: spoken prompts and the ringback tone.
//!
//! A line of code here knows prompts, their text, language and hash, and tones; it never knows calls, SIP or sockets.
//! [`Library`] reads a folder of prompts with its manifest; a prompt that cannot be used is a [`PromptFault`] and never stops the others.
#![warn(missing_docs)]

mod fault;
mod library;
mod prompt;
pub mod shipped;
pub mod tones;

pub use crate::{
    fault::PromptFault,
    library::Library,
    prompt::{Prompt, PromptId},
    shipped::{embedded, write_embedded},
};
