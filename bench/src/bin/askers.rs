//! How many leaves to hear the office gives in a second while many ask at once: session, register, row, entry, sync and the recording opened.
//!
//! Start `denwaban run` over an installation with a sealed recording, `denwaban login`, then give its socket, the session's file and the recording.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;

/// 何人もが同時に聴こうとするとき、毎秒いくつの許可が出るか / grants a second for many who ask at once
#[derive(Debug, Parser)]
struct Arguments {
    /// 事務の係のソケット / the office's socket
    socket: PathBuf,
    /// `denwaban login` が残したファイル / the file that `denwaban login` left
    session: PathBuf,
    /// 録音 / a sealed recording
    recording: String,
    /// 目的 / the purpose
    #[arg(long, default_value = "ANALYSIS_INQUIRY")]
    purpose: String,
    /// 同時に聴こうとする人数 / who ask at once
    #[arg(long, default_value_t = 64)]
    askers: usize,
    /// 秒 / for how long, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// What the asks of one came to.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    granted: u64,
    refused: u64,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let Asked { granted, refused } = measure(&arguments)?;
    let Arguments {
        askers, seconds, ..
    } = arguments;
    let rate = granted / seconds.max(1);
    writeln!(
        io::stdout(),
        "{askers} askers, {seconds} s: {rate} grants a second, {refused} refused"
    )
}

fn measure(arguments: &Arguments) -> io::Result<Asked> {
    let session = fs::read_to_string(&arguments.session)?;
    let request = json!({ "play": {
        "recording": arguments.recording,
        "purpose": arguments.purpose,
        "case": null,
        "range_ms": [0, 1],
        "proof": { "session": session.trim() },
    }});
    let line = format!("{request}\n");
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    thread::scope(|scope| {
        let askers: Vec<_> = (0..arguments.askers)
            .map(|_| scope.spawn(|| ask_until(&arguments.socket, &line, until)))
            .collect();
        askers.into_iter().try_fold(Asked::default(), |sum, asker| {
            let asked = asker
                .join()
                .map_err(|_| io::Error::other("an asker died"))??;
            Ok(Asked {
                granted: sum.granted + asked.granted,
                refused: sum.refused + asked.refused,
            })
        })
    })
}

/// Asks, hears a millisecond to its end, and asks again.
fn ask_until(socket: &Path, line: &str, until: Instant) -> io::Result<Asked> {
    let mut asked = Asked::default();
    while Instant::now() < until {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(line.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut answer = String::new();
        reader.read_line(&mut answer)?;
        reader.read_to_end(&mut Vec::new())?;
        match answer.contains("done") {
            true => asked.granted += 1,
            false => asked.refused += 1,
        }
    }
    Ok(asked)
}
