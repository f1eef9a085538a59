//! The `meldb` program; all of it is in the library beside it, where tests can reach it.

/// A server allocates on one thread what it frees on another, at which the system's allocator is
/// slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    meldb_cli::main()
}
