#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onelogin_fuzz::tape::tape(data));
