//! The fuzz target `dates`; without a fuzzer it plays the inputs it is given.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz_targets::dates::check(input));

#[cfg(not(feature = "libfuzzer"))]
fn main() -> std::process::ExitCode {
    fuzz_targets::play(fuzz_targets::dates::check)
}
