//! What the two people of the demonstration say, spoken by `Open JTalk`: see `server/demo/generate.sh`.

use std::io;

/// PCMU at 8 kHz, one byte a sample.
pub(super) struct Speech {
    pub(super) department_greeting: Vec<u8>,
    pub(super) citizen_question: Vec<u8>,
    pub(super) department_answer: Vec<u8>,
    pub(super) citizen_thanks: Vec<u8>,
}

impl Speech {
    pub(super) fn load() -> io::Result<Speech> {
        Ok(Speech {
            department_greeting: pcmu(include_bytes!("../../../demo/department-greeting.wav"))?,
            citizen_question: pcmu(include_bytes!("../../../demo/citizen-question.wav"))?,
            department_answer: pcmu(include_bytes!("../../../demo/department-answer.wav"))?,
            citizen_thanks: pcmu(include_bytes!("../../../demo/citizen-thanks.wav"))?,
        })
    }
}

fn pcmu(wav: &[u8]) -> io::Result<Vec<u8>> {
    let samples = hound::WavReader::new(wav)
        .map_err(io::Error::other)?
        .into_samples::<i16>();
    let linear = samples
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    Ok(media::Clip::from_linear(&linear)
        .encoded(media::Codec::Pcmu)
        .to_vec())
}
