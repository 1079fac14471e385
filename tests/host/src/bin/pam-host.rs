//! A scripted PAM application: one JSON script on standard input, one report on standard output.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pam_host::host::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pam-host: {error}");
            ExitCode::FAILURE
        }
    }
}
