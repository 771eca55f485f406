#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubesweep_fuzz::bytes(data));
