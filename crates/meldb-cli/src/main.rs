//! The `meldb` program; all of it is in the library beside it, where tests can reach it.

fn main() -> std::process::ExitCode {
    meldb_cli::main()
}
