//! The admin tool `pam-onelogin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pam_onelogin_tool::main()
}
