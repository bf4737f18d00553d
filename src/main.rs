//! The entry point.

fn main() -> std::process::ExitCode {
    telecine::cli::main()
}
