//! A URI by itself: it reads, or names a rule; what it hands out is part of what it was given.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_core::{Host, Uri};

fuzz_target!(|text: &str| {
    let Ok(uri) = Uri::parse(text) else { return };
    assert_eq!(uri.as_str(), text);
    if let Host::Name(name) = uri.host() {
        assert!(text.contains(name));
    }
    for name in ["user", "transport", "maddr", "lr", "phone-context"] {
        if let Some(value) = uri.param(name) {
            assert!(text.contains(value));
        }
    }
    let _ = (
        uri.scheme(),
        uri.user(),
        uri.user_number(),
        uri.port(),
        uri.host().address(),
        uri.has_headers(),
    );
});
