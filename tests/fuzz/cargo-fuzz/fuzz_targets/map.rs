#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onelogin_fuzz::parts::map(data));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, room: usize, seed: u32| {
    onelogin_fuzz::mutate::within(data, size, room, seed, libfuzzer_sys::fuzzer_mutate)
});
