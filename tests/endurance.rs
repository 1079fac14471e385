//! Many logins in one process: memory and descriptors stay as they are, also where the module is unloaded after each.
//! Run by `make test-endurance`.

mod world;

use pam_host::{Answer, Code, Outcome, Place};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use world::{FRESH_CODES, World};

/// What the heap may differ by after nine times as many logins: tables of the C library and of the test's host.
const SLACK_OF_HEAP: u64 = 32 << 10;

/// The same for the pages in memory, which come and go with the heap's holes.
const SLACK_OF_PAGES: u64 = 1 << 20;

/// How often codes are forgotten that were used.
const A_WHILE: Duration = Duration::from_millis(20);

/// What each load of a module that is unloaded again may leave on the heap: values of Rust's standard library that live as
/// long as the module's image, and are never freed. One more reason to stay mapped.
const LEFT_BY_A_LOAD: u64 = 128;

fn assert_flat(outcome: &Outcome, times: u32, slack: u64) {
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log.last());
    assert_eq!(outcome.successes, times);
    let [early, late] = outcome.memory[..] else {
        panic!("{:?}", outcome.memory)
    };
    println!("{times} logins: {early:?}, {late:?}");
    assert!(late.heap <= early.heap + slack, "{early:?} {late:?}");
    assert!(
        late.resident <= early.resident + SLACK_OF_PAGES,
        "{early:?} {late:?}"
    );
    assert_eq!(outcome.first.differences(&outcome.after), [""; 0]);
}

/// So many logins, as over years. Used codes are remembered for ten minutes, which would be those of all logins here.
fn endured(world: &World, times: u32) -> Outcome {
    let case = world
        .ssh()
        .respond(Answer::Count(FRESH_CODES))
        .endure(times);
    let (over, ends) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ends.recv_timeout(A_WHILE) == Err(RecvTimeoutError::Timeout) {
                world.forget_used_codes();
            }
        });
        let outcome = case.run();
        drop(over);
        outcome
    })
}

#[test]
#[ignore = "takes a minute: run by make test-endurance"]
fn r08_ten_thousand_logins_in_one_process_leave_no_memory_and_no_descriptor_behind() {
    let world = World::with_totp();
    let outcome = endured(&world, 10_000);
    assert_flat(&outcome, 10_000, SLACK_OF_HEAP);
}

/// `-z nodelete` keeps the module mapped when a host closes it. Without it, a thread or a destructor that is left behind
/// would crash the host: nothing is.
#[test]
#[ignore = "takes a minute: run by make test-endurance"]
fn r08_a_thousand_times_loaded_and_unloaded_the_module_leaves_nothing_behind() {
    let mut world = World::with_totp();
    let outcome = endured(&world, 1_000);
    assert_flat(&outcome, 1_000, SLACK_OF_HEAP);
    assert!(outcome.mapped, "the module stays");

    let folder = tempfile::tempdir().unwrap();
    let removable = removable(world.place.module(), folder.path());
    world.place = Place::with_module(&removable);
    world.config(&[]);
    let outcome = endured(&world, 1_000);
    assert_flat(&outcome, 1_000, LEFT_BY_A_LOAD * 900);
    assert!(
        !outcome.mapped,
        "this one does not: the test means something"
    );
}

/// A copy of the module without the mark that `-z nodelete` makes: `DF_1_NODELETE` in the entry `DT_FLAGS_1` of the dynamic
/// section (elf(5)).
fn removable(module: &Path, folder: &Path) -> PathBuf {
    const DT_FLAGS_1: u64 = 0x6fff_fffb;
    const DF_1_NODELETE: u64 = 0x8;
    const DF_1_NOW: u64 = 0x1;
    let mut bytes = std::fs::read(module).unwrap();
    let entry = |flags: u64| [DT_FLAGS_1.to_le_bytes(), flags.to_le_bytes()].concat();
    let marked = entry(DF_1_NOW | DF_1_NODELETE);
    let at: Vec<usize> = (0..bytes.len() - 16)
        .step_by(8)
        .filter(|&at| bytes[at..at + 16] == marked)
        .collect();
    assert_eq!(at.len(), 1, "the module has one such entry");
    bytes[at[0]..at[0] + 16].copy_from_slice(&entry(DF_1_NOW));
    let path = folder.join("libpam_onelogin.so");
    std::fs::write(&path, bytes).unwrap();
    path
}
