//! The prompts that come with the program. They are in the binary for one reader only: `init`, which writes them to a folder.
//!
//! Calls play what the folder holds, so that a city can look at it, hear it and replace it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../prompts/ja/", $name)).as_slice())),*]
    };
}

static FILES: &[(&str, &[u8])] = files![
    "manifest.toml",
    "recording-notice.wav",
    "recording-notice.txt",
    "busy.wav",
    "busy.txt",
    "no-answer.wav",
    "no-answer.txt",
    "closed.wav",
    "closed.txt",
    "congestion.wav",
    "congestion.txt",
    "CREDITS.md",
];

/// The shipped files, each with its name: manifest, speech, texts, credits.
pub fn embedded() -> &'static [(&'static str, &'static [u8])] {
    FILES
}

/// Writes the shipped files to `DIR/prompts`. A file that exists stays as it is: it may be the city's own.
///
/// # Errors
/// What the system says about the first file that cannot be written.
pub fn write_embedded(dir: &Path) -> io::Result<()> {
    let folder = dir.join("prompts");
    fs::create_dir_all(&folder)?;
    for (name, bytes) in FILES {
        match OpenOptions::new().write(true).create_new(true).open(folder.join(name)) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
