//! The prompts of a folder, read once and checked against the folder's manifest.
//!
//! Reading never fails as a whole: what cannot be used is left out and reported, and a call that needs it connects without (law 1).

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Cursor, Read as _},
    path::Path,
};

use aws_lc_rs::digest::{SHA256, digest};
use media::Clip;
use serde::Deserialize;

use crate::{
    fault::PromptFault,
    prompt::{Prompt, PromptId},
};

const MANIFEST: &str = "manifest.toml";
const SAMPLE_RATE: u32 = 8000; // What G.711 carries (RFC 3551 section 4.5.14).
const LONGEST_S: u32 = 60; // K-17: a prompt is at most a minute.
const MAX_MANIFEST_BYTES: u64 = 1 << 20; // Some thousand prompts with their texts.
const MAX_WAV_BYTES: u64 = 2 << 20; // A minute is 960,000 bytes; what tools write beside it fits too.
const MAX_PROMPTS: usize = 64; // More than there are ids in more languages than a city speaks.

/// The prompts that can be played, by id.
#[derive(Clone, Debug, Default)]
pub struct Library {
    prompts: BTreeMap<PromptId, Prompt>,
}

impl Library {
    /// Reads `DIR/prompts/manifest.toml` and the files it names.
    ///
    /// What it returns second is every prompt that calls ask for and cannot have, each with its remedy.
    pub fn open(dir: &Path) -> (Library, Vec<PromptFault>) {
        let folder = dir.join("prompts");
        Library::read(|name| {
            read_bounded(
                &folder.join(name),
                if name == MANIFEST {
                    MAX_MANIFEST_BYTES
                } else {
                    MAX_WAV_BYTES
                },
            )
        })
    }

    /// Reads a manifest and the files it names from wherever `read` finds them by name.
    pub fn read(mut read: impl FnMut(&str) -> io::Result<Vec<u8>>) -> (Library, Vec<PromptFault>) {
        let mut library = Library::default();
        let mut faults = Vec::new();
        let lines = match read_manifest(&mut read) {
            Ok(lines) => lines,
            Err(fault) => {
                faults.push(fault);
                Vec::new()
            }
        };
        let has_manifest = faults.is_empty();
        for line in lines {
            match line.load(&mut read) {
                Ok(prompt) if library.prompts.contains_key(&prompt.id) => {
                    faults.push(PromptFault::Twice { id: prompt.id });
                }
                Ok(prompt) => {
                    library.prompts.insert(prompt.id, prompt);
                }
                Err(fault) => faults.push(fault),
            }
        }
        // One fault a prompt: what has one is not also called missing from the manifest.
        for id in PromptId::ALL {
            if has_manifest
                && library.get(id).is_none()
                && !faults.iter().any(|fault| fault.prompt() == Some(id))
            {
                faults.push(PromptFault::NotListed { id });
            }
        }
        (library, faults)
    }

    /// A prompt, if it can be played.
    pub fn get(&self, id: PromptId) -> Option<&Prompt> {
        self.prompts.get(&id)
    }

    /// All that can be played.
    pub fn iter(&self) -> impl Iterator<Item = &Prompt> {
        self.prompts.values()
    }
}

fn read_bounded(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more.
    File::open(path)?
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit_bytes) {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("file is longer than {limit_bytes} bytes"),
        ));
    }
    Ok(bytes)
}

fn read_manifest(
    read: &mut impl FnMut(&str) -> io::Result<Vec<u8>>,
) -> Result<Vec<Line>, PromptFault> {
    let bytes = read(MANIFEST).map_err(|source| PromptFault::ManifestUnreadable { source })?;
    let text = String::from_utf8(bytes).map_err(|_| PromptFault::Manifest {
        line: 1,
        message: "it is not UTF-8".to_owned(),
    })?;
    let manifest: Manifest = toml::from_str(&text).map_err(|fault| {
        let before = &text.as_bytes()[..fault.span().map_or(0, |span| span.start).min(text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        PromptFault::Manifest {
            line,
            message: fault.message().to_owned(),
        }
    })?;
    if manifest.prompt.len() > MAX_PROMPTS {
        return Err(PromptFault::Manifest {
            line: 1,
            message: format!("it lists more than {MAX_PROMPTS} prompts"),
        });
    }
    Ok(manifest.prompt)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    prompt: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    version: u32,
    language: String,
    text: String,
    sha256: String,
}

impl Line {
    fn load(
        self,
        read: &mut impl FnMut(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Prompt, PromptFault> {
        let Line {
            id,
            version,
            language,
            text,
            sha256,
        } = self;
        let Ok(id) = id.parse::<PromptId>() else {
            return Err(PromptFault::UnknownId {
                id: id.escape_debug().take(64).collect(),
            });
        };
        let bytes = read(&id.file_name()).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => PromptFault::Missing { id },
            _ => PromptFault::Unreadable { id, source },
        })?;
        let found =
            <[u8; 32]>::try_from(digest(&SHA256, &bytes).as_ref()).expect("SHA-256 has 32 bytes");
        if !sha256.eq_ignore_ascii_case(&hex(&found)) {
            return Err(PromptFault::Damaged {
                id,
                found: hex(&found),
            });
        }
        let clip = Clip::from_linear(&decode(id, &bytes)?);
        Ok(Prompt {
            id,
            version,
            language,
            text,
            sha256: found,
            clip,
        })
    }
}

/// Reads a WAV of 8 kHz, 16 bit, mono, of 1 sample to 60 s.
fn decode(id: PromptId, bytes: &[u8]) -> Result<Vec<i16>, PromptFault> {
    let not_wav = |fault: hound::Error| PromptFault::NotWav {
        id,
        message: fault.to_string(),
    };
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(not_wav)?;
    let hound::WavSpec {
        channels,
        sample_rate,
        bits_per_sample,
        sample_format,
    } = reader.spec();
    let is_integer = sample_format == hound::SampleFormat::Int;
    if (channels, sample_rate, bits_per_sample, is_integer) != (1, SAMPLE_RATE, 16, true) {
        return Err(PromptFault::Format {
            id,
            sample_rate,
            channels,
            bits: bits_per_sample,
            is_integer,
        });
    }
    let samples = reader.duration();
    if !(1..=LONGEST_S * SAMPLE_RATE).contains(&samples) {
        return Err(PromptFault::Length {
            id,
            found_ms: u64::from(samples) * 1000 / u64::from(SAMPLE_RATE),
        });
    }
    reader
        .samples::<i16>()
        .collect::<Result<_, _>>()
        .map_err(not_wav)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::shipped::embedded;

    /// A folder in memory: the shipped prompts, of which a test spoils one.
    struct Folder(BTreeMap<String, Vec<u8>>);

    impl Folder {
        fn shipped() -> Folder {
            Folder(
                embedded()
                    .iter()
                    .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                    .collect(),
            )
        }

        fn read(&self) -> (Library, Vec<PromptFault>) {
            Library::read(|name| {
                self.0
                    .get(name)
                    .cloned()
                    .ok_or_else(|| io::ErrorKind::NotFound.into())
            })
        }

        /// Puts a file in place of a prompt and its hash into the manifest, as a city would.
        fn replace(&mut self, id: PromptId, bytes: Vec<u8>) {
            let old = hex(digest(&SHA256, &self.0[&id.file_name()]).as_ref());
            let new = hex(digest(&SHA256, &bytes).as_ref());
            let manifest = String::from_utf8(self.0[MANIFEST].clone())
                .unwrap()
                .replace(&old, &new);
            self.0.insert(MANIFEST.to_owned(), manifest.into_bytes());
            self.0.insert(id.file_name(), bytes);
        }

        /// The one fault, of the prompt that was spoiled, while all others load.
        fn only_fault(&self, spoiled: PromptId) -> PromptFault {
            let (library, mut faults) = self.read();
            for id in PromptId::ALL {
                assert_eq!(library.get(id).is_some(), id != spoiled, "{id}");
            }
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(faults[0].prompt(), Some(spoiled));
            faults.remove(0)
        }
    }

    fn wav(sample_rate: u32, channels: u16, bits: u16, samples: u32) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for _ in 0..samples * u32::from(channels) {
            writer.write_sample(1_i16).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn the_shipped_prompts_all_load_and_say_what_their_texts_say() {
        let folder = Folder::shipped();
        let (library, faults) = folder.read();
        assert!(faults.is_empty(), "{faults:?}");
        for id in PromptId::ALL {
            let prompt = library.get(id).unwrap();
            let text = String::from_utf8(folder.0[&format!("{id}.txt")].clone()).unwrap();
            assert_eq!(prompt.text, text.trim_end());
            assert_eq!(prompt.language, "ja");
            assert!(prompt.clip.samples() > 5 * 8000);
        }
        let notice = &library.get(PromptId::RecordingNotice).unwrap().text;
        assert_eq!(
            notice,
            "お電話ありがとうございます。この通話は、市民サービスの向上のため、録音させていただきます。"
        );
        assert_eq!(library.iter().count(), 5);
    }

    #[test]
    fn a_damaged_file_is_a_fault_and_the_others_still_load() {
        for id in PromptId::ALL {
            let mut folder = Folder::shipped();
            let file = folder.0.get_mut(&id.file_name()).unwrap();
            let last = file.len() - 1;
            file[last] ^= 1;
            assert!(matches!(folder.only_fault(id), PromptFault::Damaged { .. }));
        }
    }

    #[test]
    fn a_missing_file_is_a_fault_and_the_others_still_load() {
        let mut folder = Folder::shipped();
        folder.0.remove("busy.wav");
        let fault = folder.only_fault(PromptId::Busy);
        assert!(matches!(fault, PromptFault::Missing { .. }));
        assert!(
            fault.to_string().contains("busy.wav") && fault.to_string().contains("denwaban init")
        );
    }

    #[test]
    fn a_file_that_may_not_be_read_is_no_missing_file() {
        let folder = Folder::shipped();
        let (_, faults) = Library::read(|name| match name {
            "closed.wav" => Err(io::ErrorKind::PermissionDenied.into()),
            name => Ok(folder.0[name].clone()),
        });
        assert!(
            matches!(
                faults[..],
                [PromptFault::Unreadable {
                    id: PromptId::Closed,
                    ..
                }]
            ),
            "{faults:?}"
        );
    }

    #[test]
    fn a_wav_in_another_form_is_named_with_its_conversion() {
        for (bytes, found) in [
            (wav(44_100, 2, 16, 100), "44100 Hz, 2 channels, 16 bit,"),
            (wav(16_000, 1, 16, 100), "16000 Hz, 1 channels"),
            (wav(8_000, 2, 16, 100), "8000 Hz, 2 channels"),
            (wav(8_000, 1, 24, 100), "24 bit"),
        ] {
            let mut folder = Folder::shipped();
            folder.replace(PromptId::NoAnswer, bytes);
            let message = folder.only_fault(PromptId::NoAnswer).to_string();
            assert!(
                message.contains(found) && message.contains("sox"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_prompt_lasts_more_than_nothing_and_at_most_a_minute() {
        for (samples, is_fine) in [(0, false), (1, true), (480_000, true), (480_001, false)] {
            let mut folder = Folder::shipped();
            folder.replace(PromptId::Congestion, wav(8_000, 1, 16, samples));
            if is_fine {
                let (library, faults) = folder.read();
                assert!(faults.is_empty());
                assert_eq!(
                    library.get(PromptId::Congestion).unwrap().clip.samples(),
                    u64::from(samples)
                );
            } else {
                assert!(matches!(
                    folder.only_fault(PromptId::Congestion),
                    PromptFault::Length { .. }
                ));
            }
        }
    }

    #[test]
    fn whatever_bytes_stand_in_a_wav_are_a_fault_or_a_clip_and_never_a_panic() {
        let sound = wav(8_000, 1, 16, 400);
        for cut in 0..sound.len() {
            let _ = decode(PromptId::Busy, &sound[..cut]).is_ok();
        }
        for place in 0..44 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut spoiled = sound.clone();
                spoiled[place] = value;
                if let Ok(samples) = decode(PromptId::Busy, &spoiled) {
                    assert!(samples.len() <= 400);
                }
            }
        }
        assert!(matches!(
            decode(PromptId::Busy, b"GIF89a"),
            Err(PromptFault::NotWav { .. })
        ));
    }

    #[test]
    fn a_manifest_that_cannot_be_used_is_one_fault_with_its_line() {
        let mut folder = Folder::shipped();
        folder.0.remove(MANIFEST);
        assert!(matches!(
            folder.read().1[..],
            [PromptFault::ManifestUnreadable { .. }]
        ));
        folder.0.insert(
            MANIFEST.to_owned(),
            b"# one\n\n[[prompt]]\nid = 3\n".to_vec(),
        );
        let (library, faults) = folder.read();
        assert!(
            matches!(faults[..], [PromptFault::Manifest { line: 4, .. }]),
            "{faults:?}"
        );
        assert!(library.get(PromptId::Busy).is_none());
        folder.0.insert(MANIFEST.to_owned(), vec![0xff, 0xfe]);
        assert!(matches!(
            folder.read().1[..],
            [PromptFault::Manifest { line: 1, .. }]
        ));
        folder.0.insert(MANIFEST.to_owned(), Vec::new());
        assert_eq!(
            folder.read().1.len(),
            5,
            "each prompt that calls ask for is named"
        );
    }

    #[test]
    fn a_manifest_with_a_stranger_a_twin_or_a_hole_keeps_the_rest() {
        let mut folder = Folder::shipped();
        let mut manifest = String::from_utf8(folder.0[MANIFEST].clone()).unwrap();
        let first = manifest[manifest.find("[[prompt]]").unwrap()..]
            .split("\n\n")
            .next()
            .unwrap()
            .to_owned();
        write!(
            manifest,
            "\n{first}\n\n{}",
            first.replace("recording-notice", "../../etc/passwd\\u0007")
        )
        .unwrap();
        folder.0.insert(
            MANIFEST.to_owned(),
            manifest
                .replace("id = \"closed\"", "id = \"shut\"")
                .into_bytes(),
        );
        let (library, faults) = folder.read();
        let shown: Vec<_> = faults
            .iter()
            .map(|fault| fault.to_string().split(';').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            shown,
            [
                "prompts/manifest.toml lists shut, expected recording-notice, busy, no-answer, closed or congestion",
                "prompts/manifest.toml lists recording-notice twice",
                "prompts/manifest.toml lists ../../etc/passwd\\u{7}, expected recording-notice, busy, no-answer, closed or congestion",
                "prompts/manifest.toml does not list closed",
            ]
        );
        assert_eq!(library.iter().count(), 4);
    }
}
