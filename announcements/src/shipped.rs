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
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(folder.join(name))
        {
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

#[cfg(test)]
mod tests {
    use media::Codec;

    use super::*;
    use crate::{library::Library, prompt::PromptId};

    #[test]
    fn what_init_writes_loads_and_what_the_city_wrote_stays() {
        let dir = tempfile::tempdir().unwrap();
        write_embedded(dir.path()).unwrap();
        let (library, faults) = Library::open(dir.path());
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(library.iter().count(), PromptId::ALL.len());

        let busy = dir.path().join("prompts/busy.wav");
        fs::write(&busy, b"the city's own").unwrap();
        write_embedded(dir.path()).unwrap();
        assert_eq!(fs::read(&busy).unwrap(), b"the city's own");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        write_embedded(dir.path()).unwrap();
        let busy = OpenOptions::new()
            .write(true)
            .open(dir.path().join("prompts/busy.wav"))
            .unwrap();
        busy.set_len(1 << 40).unwrap();
        let (_, faults) = Library::open(dir.path());
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].to_string().contains("busy.wav cannot be read"),
            "{}",
            faults[0]
        );
    }

    #[test]
    fn speech_begins_within_40_ms_and_stands_at_the_level_of_a_telephone() {
        let (library, _) = Library::read(|name| {
            Ok(FILES
                .iter()
                .find(|(shipped, _)| *shipped == name)
                .expect("the manifest lists shipped files")
                .1
                .to_vec())
        });
        for prompt in library.iter() {
            let samples: Vec<f64> = prompt
                .clip
                .encoded(Codec::Pcmu)
                .iter()
                .map(|byte| f64::from(Codec::Pcmu.decode(*byte)))
                .collect();
            let first = samples
                .iter()
                .position(|sample| sample.abs() > 64.0)
                .unwrap();
            assert!(
                (80..=320).contains(&first),
                "{}: {first} samples before the first sound",
                prompt.id
            );
            let mean = samples.iter().map(|sample| sample * sample).sum::<f64>()
                / f64::from(u32::try_from(samples.len()).unwrap());
            // A sine of 0 dBm0 has an RMS of 22,747 / 1.414 (ITU-T G.711, mu-law).
            let level = 20.0 * (mean.sqrt() / (22_747.0 / 2.0_f64.sqrt())).log10();
            assert!(
                (-16.0..=-14.0).contains(&level),
                "{}: {level:.1} dBm0",
                prompt.id
            );
            assert!(
                samples.iter().all(|sample| sample.abs() < 32_000.0),
                "{} is clipped",
                prompt.id
            );
        }
    }
}
