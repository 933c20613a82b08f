//! What one flush of all open segments costs: `cargo run -p denwaban-storage --example flush DIR`.
//!
//! For some numbers of open files, each given a chunk (6.5 KB) before every flush: one
//! `fdatasync` a file, one after the other; the same from four threads; one `syncfs` for all.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and is over when it fails"
)]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const ROUNDS: usize = 20;
const CHUNK: [u8; 6500] = [0x5a; 6500];
const THREADS: usize = 4;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = Path::new(&folder).join("flush-measurement");
    fs::create_dir_all(&folder).unwrap();
    println!("files | fdatasync each | fdatasync, {THREADS} threads | syncfs | (p50 / max, ms)");
    for count in [1, 10, 50, 130, 200, 500] {
        let one_by_one = measure(&folder, count, |files| {
            files.iter().for_each(|file| file.sync_data().unwrap());
        });
        let threads = measure(&folder, count, |files| {
            thread::scope(|scope| {
                for part in files.chunks(files.len().div_ceil(THREADS)) {
                    scope.spawn(|| part.iter().for_each(|file| file.sync_data().unwrap()));
                }
            });
        });
        let all = measure(&folder, count, |_| {
            rustix::fs::syncfs(File::open(&folder).unwrap()).unwrap();
        });
        println!("{count} | {one_by_one} | {threads} | {all}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn measure(folder: &Path, count: usize, flush: impl Fn(&[File])) -> String {
    let open = |number: usize| {
        let path = folder.join(number.to_string());
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
    };
    let mut files: Vec<File> = (0..count).map(open).collect();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            files
                .iter_mut()
                .for_each(|file| file.write_all(&CHUNK).unwrap());
            let begin = Instant::now();
            flush(&files);
            begin.elapsed()
        })
        .collect();
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    format!(
        "{:.1} / {:.1}",
        milliseconds(times[ROUNDS / 2]),
        milliseconds(times[ROUNDS - 1])
    )
}
