//! Any text is read or refused, and what was read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_rpc::json;

fuzz_target!(|text: &str| {
    if let Ok(value) = json::read(text) {
        let written = json::write(&value);
        assert!(json::read(&written).is_ok(), "{written}");
    }
});
