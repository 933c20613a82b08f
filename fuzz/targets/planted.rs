//! A planted crash: eight bytes that chance alone never finds, one comparison after the other.
//!
//! libFuzzer finds them within seconds when it sees coverage, and never otherwise. `fuzz/run` wants this crash first;
//! without it a green run of the other targets would say nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let is = |index: usize, byte: u8| datagram.get(index) == Some(&byte);
    let is_found = is(0, b'd')
        && is(1, b'e')
        && is(2, b'n')
        && is(3, b'w')
        && is(4, b'a')
        && is(5, b'b')
        && is(6, b'a')
        && is(7, b'n');
    assert!(!is_found, "the planted crash");
});
