//! Link options of the module.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A host closes its modules with dlclose; code that is still needed then (a thread-local
    // destructor, an atexit handler) would crash it. The module stays mapped instead.
    println!("cargo:rustc-link-arg-cdylib=-Wl,-z,nodelete");
    // Each symbol must be found when the module is loaded, not in the middle of a login.
    println!("cargo:rustc-link-arg-cdylib=-Wl,-z,now");
    println!("cargo:rustc-link-arg-cdylib=-Wl,-z,relro");
}
