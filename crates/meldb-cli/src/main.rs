//! The `meldb` program; all of it is in the library beside it, where tests can reach it.

/// A server's work is many short-lived allocations that one thread makes and another frees, which
/// the C library's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    meldb_cli::main()
}
