//! The street door: parse, run, exit code.

fn main() -> std::process::ExitCode {
    telecine::cli::main()
}
