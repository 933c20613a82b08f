//! Sealing: 400 ms of both parties encrypted, chained and written to a file, as the recorder does it for each call.

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use rules::{CallId, DecisionId, Notice, Number, NumberDecision, RecordingId, RetentionPolicy};
use storage::{Chunk, Codec, Disk, Keys, Layout, Opening, OsDisk, RecordingWriter, Sealer, Vault};
use tempfile::TempDir;

criterion_group!(benches, seal);
criterion_main!(benches);

/// Samples of a channel in a chunk: 400 ms at 8 kHz.
const SAMPLES: u32 = 3_200;
/// Chunks of one recording before the next is begun: a call of two minutes.
const CHUNKS: u64 = 300;

fn seal(criterion: &mut Criterion) {
    let house = House::new();
    let (carrier, city) = ([0x55; SAMPLES as usize], [0xD5; SAMPLES as usize]);
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Bytes(2 * u64::from(SAMPLES) * CHUNKS));
    group.sample_size(30);
    group.bench_function("two minutes of a call, chunk by chunk", |bencher| {
        bencher.iter_batched(
            || house.recording(),
            |mut recording| {
                for index in 0..CHUNKS {
                    let chunk = Chunk {
                        start: index * u64::from(SAMPLES),
                        samples: SAMPLES,
                        carrier: &carrier,
                        city: &city,
                        gaps: &[],
                    };
                    recording.append(&chunk).expect("the disk has room");
                }
                black_box(recording.finish().expect("the disk has room"))
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("a recording begun", |bencher| {
        bencher.iter(|| black_box(house.recording().samples()));
    });
    group.finish();
}

/// A vault with today's keys.
struct House {
    vault: Arc<Vault>,
    sealer: Sealer,
    now: Timestamp,
    count: std::cell::Cell<u128>,
    _folder: TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let now = Timestamp::now();
        layout
            .make_folders(&OsDisk)
            .expect("the folders can be made");
        let mut keys = Keys::create(Arc::clone(&disk), &layout, now).expect("keys can be made");
        keys.make_ahead(now).expect("public halves can be made");
        let vault = Arc::new(Vault::new(
            Arc::clone(&disk),
            &layout,
            RetentionPolicy::default(),
        ));
        let sealer = Sealer::new(disk, &layout);
        Self {
            vault,
            sealer,
            now,
            count: std::cell::Cell::new(0),
            _folder: folder,
        }
    }

    fn recording(&self) -> RecordingWriter {
        let number = Number::parse("0783331000").expect("a number");
        let decision = NumberDecision::by_configuration(
            DecisionId::new(self.now, 1),
            number.clone(),
            "bench",
            "2026-04-01".parse().expect("a date"),
            "bench",
        );
        let notice = Notice::waived_by_decision(&decision.expect("a decision"), &number, self.now)
            .expect("the same number");
        self.count.set(self.count.get() + 1);
        let opening = Opening {
            recording: RecordingId::new(self.now, self.count.get()),
            call: CallId::new(self.now, self.count.get()),
            call_started: self.now,
            segment: 0,
            start: self.now,
            carrier: Codec::Pcmu,
            city: Codec::Pcmu,
        };
        RecordingWriter::create(notice, &self.vault, &self.sealer, &opening)
            .expect("the vault is ready")
    }
}
