//! The two-channel track against a network that delays, reorders, loses and repeats, with seeds that are printed.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::collections::BTreeSet;

use media::{Chunk, Codec, Frame, Side, Track, g711, track::CHUNK_SAMPLES};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const FRAME: u64 = 160;
const TAIL: u64 = 4_000;

/// A network between a telephone and the fork; times in 1/8000 s.
#[derive(Clone, Copy)]
struct Network {
    jitter: u64,
    loss_percent: u64,
    repeat_percent: u64,
}

/// A talking telephone: 20 ms frames whose samples no other frame has.
#[derive(Clone, Copy)]
struct Speech {
    side: Side,
    codec: Codec,
    first_timestamp: u32,
    begins: u64,
    frames: u64,
}

/// What came out of a track.
struct Recording {
    channel: Vec<u8>,
    missing: BTreeSet<u64>,
    track: Track,
}

impl Speech {
    fn frame(&self, index: u64, at: u64) -> Frame {
        let mut payload = [0; 160];
        payload.copy_from_slice(&self.samples(index));
        let rtp_timestamp = self
            .first_timestamp
            .wrapping_add(u32::try_from(index * FRAME).unwrap());
        Frame {
            side: self.side,
            codec: self.codec,
            at,
            rtp_timestamp,
            marker: index == 0,
            len: 160,
            payload,
        }
    }

    /// Sample n of frame i: a number that changes from sample to sample and from frame to frame.
    fn samples(&self, index: u64) -> Vec<u8> {
        (0..FRAME)
            .map(|sample| u8::try_from((index * 37 + sample * 11 + index / 7) % 251).unwrap())
            .collect()
    }

    /// The frames as they arrive, in order of arrival, and which of them got lost.
    fn through(&self, network: Network, random: &mut ChaCha8Rng) -> (Vec<Frame>, BTreeSet<u64>) {
        let (mut arriving, mut lost) = (Vec::new(), BTreeSet::new());
        for index in 0..self.frames {
            let sent = self.begins + index * FRAME;
            if random.next_u64() % 100 < network.loss_percent {
                lost.insert(index);
                continue;
            }
            let copies = 1 + u64::from(random.next_u64() % 100 < network.repeat_percent);
            for _ in 0..copies {
                arriving.push(self.frame(index, sent + random.next_u64() % (network.jitter + 1)));
            }
        }
        arriving.sort_by_key(|frame| frame.at);
        (arriving, lost)
    }
}

/// Plays frames into a track as a recorder does: every 20 ms what has arrived, then every chunk that is ripe.
fn record(frames: &[Frame], codec: Codec, side: Side) -> Recording {
    let mut track = Track::new(codec, codec);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut waiting = frames.iter().peekable();
    let last = frames.last().map_or(0, |frame| frame.at);
    let mut upto = 0;
    while upto < last + FRAME {
        upto += FRAME;
        while let Some(frame) = waiting.next_if(|frame| frame.at <= upto) {
            track.handle_frame(frame);
        }
        while let Some(chunk) = track.poll_chunk(upto) {
            assert_eq!(chunk.samples, CHUNK_SAMPLES);
            chunks.push(chunk);
        }
    }
    while let Some(chunk) = track.finish(last + TAIL) {
        chunks.push(chunk);
    }
    let (mut channel, mut missing) = (Vec::new(), BTreeSet::new());
    for chunk in &chunks {
        assert_eq!(
            chunk.start,
            channel.len() as u64,
            "chunks follow each other without a hole"
        );
        assert_eq!(
            (chunk.carrier.len(), chunk.city.len()),
            (chunk.samples as usize, chunk.samples as usize)
        );
        channel.extend_from_slice(if side == Side::Carrier {
            &chunk.carrier
        } else {
            &chunk.city
        });
        for gap in chunk.gaps.iter().filter(|gap| gap.side == side) {
            assert!(
                gap.start >= chunk.start
                    && gap.start + u64::from(gap.samples) <= chunk.start + u64::from(chunk.samples)
            );
            missing.extend(gap.start..gap.start + u64::from(gap.samples));
        }
        let other: u32 = chunk
            .gaps
            .iter()
            .filter(|gap| gap.side != side)
            .map(|gap| gap.samples)
            .sum();
        assert_eq!(other, chunk.samples, "the silent side is one gap");
    }
    for &position in &missing {
        assert_eq!(
            channel[usize::try_from(position).unwrap()],
            codec.silence(),
            "a gap is silence"
        );
    }
    Recording {
        channel,
        missing,
        track,
    }
}

/// Where the speech begins in the channel, found by its first received frame.
fn offset_of(recording: &Recording, speech: &Speech, first: u64) -> u64 {
    let samples = speech.samples(first);
    let at = recording
        .channel
        .windows(samples.len())
        .position(|window| window == samples)
        .expect("the first frame is there");
    at as u64 - first * FRAME
}

/// Every frame stands whole at one offset, except those that were lost, which are marked, and nothing else is.
fn assert_whole(recording: &Recording, speech: &Speech, lost: &BTreeSet<u64>) -> u64 {
    let first = (0..speech.frames)
        .find(|index| !lost.contains(index))
        .unwrap();
    let offset = offset_of(recording, speech, first);
    let mut expected_missing: BTreeSet<u64> = (0..recording.channel.len() as u64).collect();
    for index in (0..speech.frames).filter(|index| !lost.contains(index)) {
        let start = offset + index * FRAME;
        let range = usize::try_from(start).unwrap()..usize::try_from(start + FRAME).unwrap();
        assert_eq!(
            recording.channel[range],
            speech.samples(index),
            "frame {index}"
        );
        (start..start + FRAME).for_each(|position| assert!(expected_missing.remove(&position)));
    }
    assert_eq!(
        recording.missing, expected_missing,
        "gaps are exactly what was not received"
    );
    assert_eq!(recording.track.statistics(speech.side).late, 0);
    offset
}

#[test]
fn jitter_under_100_ms_loses_no_sample_and_moves_none() {
    // Up to five packets overtake each other; nothing is lost.
    for seed in 0..150 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let side = if seed % 2 == 0 {
            Side::Carrier
        } else {
            Side::Department
        };
        let codec = if seed % 3 == 0 {
            Codec::Pcma
        } else {
            Codec::Pcmu
        };
        let begins = random.next_u64() % 5_000;
        let speech = Speech {
            side,
            codec,
            first_timestamp: random.next_u32(),
            begins,
            frames: 150,
        };
        let network = Network {
            jitter: random.next_u64() % 800,
            loss_percent: 0,
            repeat_percent: 3,
        };
        let (frames, lost) = speech.through(network, &mut random);
        let recording = record(&frames, codec, side);
        let offset = assert_whole(&recording, &speech, &lost);
        assert!(
            offset.abs_diff(begins) <= network.jitter,
            "laid at {offset}, sent at {begins}"
        );
        assert_eq!(recording.track.statistics(side).anchored_anew, 0);
    }
}

#[test]
fn loss_leaves_exactly_its_own_gaps() {
    for seed in 0..150 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(1_000 + seed);
        // The clock of the sender wraps in the middle of its speech.
        let first_timestamp = u32::MAX - random.next_u32() % 20_000;
        let speech = Speech {
            side: Side::Carrier,
            codec: Codec::Pcmu,
            first_timestamp,
            begins: 3_000,
            frames: 200,
        };
        let network = Network {
            jitter: 480,
            loss_percent: 5,
            repeat_percent: 2,
        };
        let (frames, lost) = speech.through(network, &mut random);
        let recording = record(&frames, Codec::Pcmu, Side::Carrier);
        assert_whole(&recording, &speech, &lost);
    }
}

#[test]
fn the_fastest_of_the_first_packets_tells_where_the_speech_began() {
    // The first packet is 80 ms late, all others come at once.
    let speech = Speech {
        side: Side::Carrier,
        codec: Codec::Pcmu,
        first_timestamp: 77,
        begins: 2_000,
        frames: 60,
    };
    let mut frames: Vec<Frame> = (0..60)
        .map(|index| speech.frame(index, 2_000 + index * FRAME))
        .collect();
    frames[0].at += 640;
    frames.sort_by_key(|frame| frame.at);
    let recording = record(&frames, Codec::Pcmu, Side::Carrier);
    assert_eq!(assert_whole(&recording, &speech, &BTreeSet::new()), 2_000);
}

#[test]
fn a_pause_that_timestamps_count_is_a_gap_of_its_exact_length() {
    // Silence suppression, or keypad events that never entered: 1.25 s.
    let speech = Speech {
        side: Side::Department,
        codec: Codec::Pcma,
        first_timestamp: 5,
        begins: 100,
        frames: 200,
    };
    let lost: BTreeSet<u64> = (50..112).chain(112..113).collect();
    let frames: Vec<Frame> = (0..200)
        .filter(|index| !lost.contains(index))
        .map(|index| speech.frame(index, 100 + index * FRAME + index % 3 * 40))
        .collect();
    let recording = record(&frames, Codec::Pcma, Side::Department);
    assert_whole(&recording, &speech, &lost);
}

#[test]
fn a_pause_that_timestamps_do_not_count_is_a_gap_too() {
    // The peer holds for two seconds and goes on with the next timestamp.
    let speech = Speech {
        side: Side::Carrier,
        codec: Codec::Pcmu,
        first_timestamp: 5,
        begins: 0,
        frames: 100,
    };
    let frames: Vec<Frame> = (0..100)
        .map(|index| speech.frame(index, index * FRAME + if index < 50 { 0 } else { 16_000 }))
        .collect();
    let recording = record(&frames, Codec::Pcmu, Side::Carrier);
    let hole: Vec<u64> = recording
        .missing
        .iter()
        .copied()
        .filter(|&at| at < 50 * FRAME + 16_000)
        .collect();
    assert_eq!(
        hole,
        (50 * FRAME..50 * FRAME + 16_000).collect::<Vec<u64>>()
    );
    assert_eq!(recording.track.statistics(Side::Carrier).anchored_anew, 1);
    assert_eq!(recording.track.statistics(Side::Carrier).kept, 100);
}

#[test]
fn a_stream_that_begins_anew_goes_on_where_it_arrives() {
    // Another SSRC: its clock has nothing to do with the first one's, forwards or backwards.
    for jump in [0x9000_0000_u32, 0x1000_0000, 50_000] {
        for marker in [true, false] {
            let speech = Speech {
                side: Side::Carrier,
                codec: Codec::Pcmu,
                first_timestamp: 0x2000_0000,
                begins: 0,
                frames: 100,
            };
            let mut frames: Vec<Frame> = (0..100)
                .map(|index| speech.frame(index, index * FRAME))
                .collect();
            for frame in &mut frames[50..] {
                frame.rtp_timestamp = frame.rtp_timestamp.wrapping_sub(jump);
            }
            frames[50].marker = marker;
            let recording = record(&frames, Codec::Pcmu, Side::Carrier);
            let statistics = recording.track.statistics(Side::Carrier);
            assert_eq!(statistics.anchored_anew, 1, "jump {jump:#x}");
            // Without the marker one frame is needed to see it.
            assert!(
                statistics.late <= 1 - u64::from(marker),
                "jump {jump:#x}: {statistics:?}"
            );
            assert_eq!(statistics.kept + statistics.late, 100);
            let expected: Vec<u8> = (52..100).flat_map(|index| speech.samples(index)).collect();
            assert_eq!(recording.channel[52 * 160..100 * 160], expected);
        }
    }
}

#[test]
fn a_clock_that_runs_wrong_by_100_ppm_for_an_hour_costs_no_speech() {
    for (name, numerator) in [("slow", 10_001_u64), ("fast", 9_999)] {
        let speech = Speech {
            side: Side::Carrier,
            codec: Codec::Pcmu,
            first_timestamp: 9,
            begins: 0,
            frames: 180_000,
        };
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut track = Track::new(Codec::Pcmu, Codec::Pcmu);
        let (mut missing, mut kept) = (0_u64, Vec::new());
        let mut count = |chunk: Chunk| {
            missing += chunk
                .gaps
                .iter()
                .filter(|gap| gap.side == Side::Carrier)
                .map(|gap| u64::from(gap.samples))
                .sum::<u64>();
            kept.extend(chunk.carrier);
        };
        for index in 0..speech.frames {
            let at = index * FRAME * numerator / 10_000 + random.next_u64() % 240;
            track.handle_frame(&speech.frame(index, at));
            while let Some(chunk) = track.poll_chunk(at.saturating_sub(240)) {
                count(chunk);
            }
        }
        let statistics = track.statistics(Side::Carrier);
        assert_eq!(
            (statistics.late, statistics.beyond, statistics.duplicates),
            (0, 0, 0),
            "{name}"
        );
        assert_eq!(statistics.kept, speech.frames, "{name}");
        assert!(
            statistics.anchored_anew <= 8,
            "{name}: {}",
            statistics.anchored_anew
        );
        while let Some(chunk) = track.finish(0) {
            count(chunk);
        }
        assert_eq!(
            kept.len() as u64 - missing,
            speech.frames * FRAME,
            "{name}: every sample is there"
        );
    }
}

#[test]
fn frames_that_come_after_their_chunk_are_dropped_and_counted() {
    let speech = Speech {
        side: Side::Carrier,
        codec: Codec::Pcmu,
        first_timestamp: 9,
        begins: 0,
        frames: 100,
    };
    let mut frames: Vec<Frame> = (0..100)
        .map(|index| speech.frame(index, index * FRAME))
        .collect();
    frames[10].at += 8_000;
    frames.sort_by_key(|frame| frame.at);
    let recording = record(&frames, Codec::Pcmu, Side::Carrier);
    assert_eq!(recording.track.statistics(Side::Carrier).late, 1);
    assert_eq!(
        recording
            .missing
            .iter()
            .copied()
            .filter(|&at| at < 16_000)
            .collect::<Vec<u64>>(),
        (1_600..1_760).collect::<Vec<u64>>()
    );
}

#[test]
fn a_side_that_never_speaks_is_one_gap_and_the_last_chunk_is_short() {
    let mut track = Track::new(Codec::Pcmu, Codec::Pcma);
    assert!(track.poll_chunk(3_200 + 959).is_none());
    let chunk = track.poll_chunk(3_200 + 960).unwrap();
    assert_eq!(
        (chunk.start, chunk.samples, chunk.gaps.len()),
        (0, 3_200, 2)
    );
    assert_eq!(
        (chunk.carrier, chunk.city),
        (vec![0xFF; 3_200], vec![0xD5; 3_200])
    );
    let last = track.finish(3_300).unwrap();
    assert_eq!((last.start, last.samples), (3_200, 100));
    assert!(track.finish(3_300).is_none());
}

#[test]
fn a_side_that_changes_its_codec_is_converted_into_the_channels() {
    let speech = Speech {
        side: Side::Carrier,
        codec: Codec::Pcma,
        first_timestamp: 9,
        begins: 0,
        frames: 1,
    };
    let mut track = Track::new(Codec::Pcmu, Codec::Pcmu);
    track.handle_frame(&speech.frame(0, 0));
    let chunk = track.finish(160).unwrap();
    let mut expected = speech.samples(0);
    g711::convert(&mut expected, Codec::Pcma, Codec::Pcmu);
    assert_eq!(chunk.carrier, expected);
}

#[test]
fn a_sender_that_races_is_bounded_and_counted() {
    let speech = Speech {
        side: Side::Carrier,
        codec: Codec::Pcmu,
        first_timestamp: 9,
        begins: 0,
        frames: 5_000,
    };
    let mut track = Track::new(Codec::Pcmu, Codec::Pcmu);
    // A hundred seconds of speech within one.
    for index in 0..5_000 {
        track.handle_frame(&speech.frame(index, index * 8_000 / 5_000));
    }
    let statistics = track.statistics(Side::Carrier);
    assert_eq!(statistics.kept, 500);
    assert_eq!(statistics.beyond, 4_500);
}

#[test]
fn any_order_of_any_frames_is_survived() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut track = Track::new(Codec::Pcmu, Codec::Pcma);
        let (mut upto, mut expected_start) = (0_u64, 0);
        for _ in 0..300 {
            let draw = random.next_u32();
            upto += u64::from(draw % 700);
            let frame = Frame {
                side: if draw & 1 == 0 {
                    Side::Carrier
                } else {
                    Side::Department
                },
                codec: if draw & 2 == 0 {
                    Codec::Pcmu
                } else {
                    Codec::Pcma
                },
                at: if draw % 50 == 0 {
                    random.next_u64()
                } else {
                    upto
                },
                rtp_timestamp: if draw & 8 == 0 {
                    random.next_u32()
                } else {
                    u32::try_from(upto).unwrap()
                },
                marker: draw & 16 == 0,
                len: u8::try_from(draw >> 24).unwrap(),
                payload: [7; 160],
            };
            track.handle_frame(&frame);
            while let Some(chunk) = track.poll_chunk(upto) {
                assert_eq!(chunk.start, expected_start);
                assert_eq!(chunk.carrier.len(), chunk.city.len());
                expected_start += u64::from(chunk.samples);
            }
        }
        let chunks = std::iter::from_fn(|| track.finish(upto)).count();
        assert!(chunks <= 30, "{chunks} chunks wait");
    }
}
