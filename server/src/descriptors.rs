//! The kernel's limit of open files, and how many media ports fit under it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{config::PortRange, wire};

/// Files that are open besides media and SIP connections: listeners, database, keys, audit, spool, runtimes, clients.
const OTHER_FILES: u64 = 256;
/// A call has two pairs, that is four sockets, and one segment file.
const FILES_PER_TWO_PAIRS: u64 = 5;

/// Raises the soft limit of open files to the hard one.
///
/// # Errors
/// The system's own.
pub(crate) fn raise() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(())
}

/// The pairs of media ports that fit under the hard limit of open files.
pub(crate) fn largest_pairs() -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).maximum else {
        return usize::MAX;
    };
    let connections = u64::try_from(wire::MOST_CONNECTIONS).unwrap_or(u64::MAX);
    let others = OTHER_FILES.saturating_add(connections);
    let calls = limit.saturating_sub(others) / FILES_PER_TWO_PAIRS;
    usize::try_from(calls)
        .unwrap_or(usize::MAX)
        .saturating_mul(2)
}

/// What to say when a range has more ports than this host can open; `None` when it fits.
pub(crate) fn shortage(ranges: &[PortRange]) -> Option<String> {
    let largest = largest_pairs();
    let pairs: usize = ranges.iter().map(PortRange::pairs).sum();
    if pairs <= largest {
        return None;
    }
    // Each range gives way by the same share.
    let fitting = ranges.iter().map(|range| {
        let span = (range.pairs() * 2).saturating_mul(largest) / pairs;
        let span = u16::try_from(span - span % 2).unwrap_or(u16::MAX);
        PortRange {
            last: range.first.saturating_add(span).saturating_sub(1),
            ..*range
        }
    });
    let fitting = text_of(&fitting.collect::<Vec<_>>());
    let ports = text_of(ranges);
    Some(format!(
        "音声ポートの範囲 {ports} は、このホストで開けるファイル数に収まりません。収まる最大は {fitting} です / the range {ports} does not fit \
         under this host's limit of open files; the largest that would is {fitting}"
    ))
}

/// Ranges as people read them.
pub(crate) fn text_of(ranges: &[PortRange]) -> String {
    let texts: Vec<String> = ranges.iter().map(PortRange::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_two_calls_fits_and_one_of_all_ports_says_what_would() {
        let small = PortRange::parse("127.0.0.1:20000-20007").unwrap();
        assert_eq!(shortage(&[small]), None);
        if largest_pairs() < 32_000 {
            let all = PortRange::parse("127.0.0.1:1024-65535").unwrap();
            assert!(shortage(&[all]).unwrap().contains("127.0.0.1:1024-"));
        }
    }
}
