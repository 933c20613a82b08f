//! A KREC1 file as a disk may give it back: what can be read of it without a key is whole, and reading it again says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use storage::segment;

fuzz_target!(|file: &[u8]| {
    let Ok(found) = segment::inspect(file) else {
        return;
    };
    let whole = usize::try_from(found.whole_bytes).expect("a part of a file that fits");
    assert!(whole <= file.len(), "more is whole than was read");
    assert_eq!(
        found.is_complete,
        found.cut.is_none() && whole == file.len()
    );

    let again = segment::inspect(&file[..whole]).expect("what was whole once is whole again");
    assert_eq!(
        (again.chunks, again.samples, again.whole_bytes, again.sha256),
        (found.chunks, found.samples, found.whole_bytes, found.sha256)
    );
    assert_eq!(segment::file_hash(&file[..whole]), found.sha256);
    for gap in &found.gaps {
        let end = gap.start.checked_add(u64::from(gap.samples));
        assert!(
            end.is_some_and(|end| end <= found.samples),
            "a gap lies outside of the recording"
        );
    }
});
