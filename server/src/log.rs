//! The way of log lines to standard error: a bounded queue and a thread, because a pipe that nobody reads makes its writer wait, and
//! whoever carries calls waits for nothing behind it (law 1).

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait: what a thousand calls say while their reader pauses.
const WAITING: usize = 8_192;
/// How long the first line waits for others: one call of the kernel writes all of them, and whoever carries calls wakes nobody.
const GATHER: Duration = Duration::from_millis(20);
/// How long the end of the process waits for its last lines.
const LAST_LINES: Duration = Duration::from_millis(200);

enum Work {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The log as everybody sees it who writes to it. Lines that find no place are lost and counted.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    work: SyncSender<Work>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Begins the log's thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(out: impl Write + Send + 'static) -> io::Result<Log> {
        let (work, inbox) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(out, &inbox, &counter))?;
        Ok(Log { work, lost })
    }

    /// Waits a little until what was logged is written.
    pub(crate) fn flush(&self) {
        let (written, is_written) = sync_channel(1);
        if self.work.try_send(Work::Flush(written)).is_ok() {
            // Whoever does not read the log loses its end.
            let _ = is_written.recv_timeout(LAST_LINES);
        }
    }
}

fn write(mut out: impl Write, inbox: &Receiver<Work>, lost: &AtomicU64) {
    let mut lines = Vec::new();
    while let Ok(first) = inbox.recv() {
        thread::sleep(GATHER);
        let mut flushes = Vec::new();
        for work in std::iter::once(first).chain(inbox.try_iter().take(WAITING)) {
            match work {
                Work::Line(line) => lines.extend_from_slice(&line),
                Work::Flush(written) => flushes.push(written),
            }
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let told = format!("{count} lines of the log were lost: nobody read them\n");
            lines.extend_from_slice(told.as_bytes());
        }
        // A log that cannot be written has nobody left to tell.
        let _ = out.write_all(&lines).and_then(|()| out.flush());
        lines.clear();
        for written in flushes {
            let _ = written.try_send(());
        }
    }
}

/// One line on its way.
pub(crate) struct Line<'log>(&'log Log);

impl Write for Line<'_> {
    /// The subscriber writes each line whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.work.try_send(Work::Line(bytes.to_vec())).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'log> MakeWriter<'log> for Log {
    type Writer = Line<'log>;

    fn make_writer(&'log self) -> Line<'log> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const TOLD: usize = 4 * WAITING;

    /// A pipe that nobody reads until it is let go.
    struct Pipe {
        go: Receiver<()>,
        out: std::sync::mpsc::Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            let _ = self.out.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_makes_nobody_wait_and_says_what_was_lost() {
        let (go, gone) = channel();
        let (out, written) = channel();
        let log = Log::begin(Pipe { go: gone, out }).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();

        tracing::subscriber::with_default(subscriber, || {
            for number in 0..TOLD {
                tracing::info!(number, "a milestone");
            }
        });
        drop((go, log));

        let text = String::from_utf8(written.iter().flatten().collect()).unwrap();
        let written = text.matches("a milestone").count();
        let lost = text
            .lines()
            .filter_map(|line| line.split_once(" lines of the log were lost"));
        let lost: usize = lost.map(|(count, _)| count.parse::<usize>().unwrap()).sum();
        // Those that were on their way when the pipe stood still, and a queue full of others.
        assert!((WAITING..=2 * WAITING + 2).contains(&written), "{written}");
        assert_eq!(written + lost, TOLD);
    }
}
