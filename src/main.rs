//! The program: arguments in, exit code out. Everything happens in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    clicksieve::cli::main(std::env::args_os(), Box::new(std::io::stdin()), &mut std::io::stdout(), &mut std::io::stderr())
}
