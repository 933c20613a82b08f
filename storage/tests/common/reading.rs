//! Readings over months: a leave that only day and hold end, people who may at any time, and chance that can be told again.

use jiff::Timestamp;
use rules::{Actor, Fact, Heard, JstDay, Permit, Recorded, RecordingId, Refusal, Register, Sound};
use storage::{Channel, ListedCall, OpenFault, Playback};

use super::*;

/// A leave that never lapses, so that nothing but day and hold ends a reading.
#[derive(Clone, Copy)]
pub struct Leave {
    pub recording: RecordingId,
    pub held_until: Option<Timestamp>,
}

impl Permit for Leave {
    fn recording(&self) -> RecordingId {
        self.recording
    }

    fn check(&self, _now: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    fn judge_anew(
        &self,
        _register: &Register,
        _state: RecordingState,
        _now: Timestamp,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    fn held_until(&self) -> Option<Timestamp> {
        self.held_until
    }
}

/// Hears the three chunks of a recording as they were spoken.
///
/// # Errors
/// As the playback.
pub fn hears(playing: &mut Playback<Leave>, at: Timestamp) -> Result<(), OpenFault> {
    let audio = playing.read(0, 0..9_600, at)?;
    assert_eq!(*audio.carrier, voice(Channel::Carrier, 0, 9_600));
    Ok(())
}

/// A recording as its row tells of it.
pub fn heard(recording: RecordingId, call: &ListedCall) -> Heard {
    Heard {
        recording,
        state: call.state,
        expires_at: call.expires_at,
        called: None,
        unit: "広聴課".parse().unwrap(),
        sound: Sound::Here,
    }
}

/// The city's people, designated and trained on that day.
pub fn register_of(at: Timestamp) -> Register {
    let day = Some(JstDay::of(at));
    let mut founded = founded();
    if let Fact::Founded { taken_in, .. } = &mut founded {
        for person in taken_in {
            (person.designated_on, person.trained_on) = (day, day);
        }
    }
    let version = rules::POLICY_VERSION;
    let facts = [founded, Fact::Acknowledged { version }];
    let by = Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some("sato".parse().unwrap()),
    };
    Register::of(facts.map(|fact| Recorded {
        at,
        by: by.clone(),
        fact,
    }))
}

/// A small generator, so that what was drawn can be told again by its seed. Source: Knuth, MMIX.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}
