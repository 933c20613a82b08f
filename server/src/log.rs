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
    for work in inbox {
        // A log that cannot be written has nobody left to tell.
        let _ = match work {
            Work::Line(line) => out.write_all(&line),
            Work::Flush(written) => {
                let flushed = out.flush();
                let _ = written.try_send(());
                flushed
            }
        };
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => {
                let _ = writeln!(out, "{count} lines of the log were lost: nobody read them");
            }
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
            for number in 0..WAITING + 100 {
                tracing::info!(number, "a milestone");
            }
        });
        drop((go, log));

        let lines: Vec<String> = written
            .iter()
            .map(|line| String::from_utf8(line).unwrap())
            .collect();
        let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
        let (told, lost) = (count("a milestone"), lines.concat());
        // One line was in the pipe, and the queue was full behind it; or the thread had not begun.
        assert!((WAITING..=WAITING + 1).contains(&told), "{told}");
        assert!(lost.contains(&format!(
            "{} lines of the log were lost",
            WAITING + 100 - told
        )));
    }
}
