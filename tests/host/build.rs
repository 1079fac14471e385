//! Compiles the small C pieces that the cases load: the shim or the quiet library (`LD_PRELOAD`) and the helper PAM module.

use std::path::PathBuf;
use std::process::Command;
use std::{env, process};

fn main() {
    let output = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    compile("shim.c", &output.join("shim.so"), "PAM_HOST_SHIM");
    compile("quiet.c", &output.join("quiet.so"), "PAM_HOST_QUIET");
    compile(
        "helper.c",
        &output.join("pam_host_helper.so"),
        "PAM_HOST_HELPER",
    );
}

fn compile(source: &str, shared: &PathBuf, variable: &str) {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args([
            "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o",
        ])
        .arg(shared)
        .args([source, "-ldl", "-pthread"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("{compiler:?} could not compile tests/host/{source}: a C compiler is needed");
        process::exit(1);
    }
    println!("cargo::rerun-if-changed={source}");
    println!("cargo::rerun-if-env-changed=CC");
    println!("cargo::rustc-env={variable}={}", shared.display());
}
