//! The admin tool; `src/cli.rs` is its inside.

use std::process::ExitCode;

fn main() -> ExitCode {
    pam_onelogin::cli::main()
}
