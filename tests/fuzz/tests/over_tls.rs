//! The target `replies` again, with nothing in place of anything: the built module in the real
//! libpam, and over TLS the reply of an input instead of OneLogin's to a code.

#[path = "../../world/mod.rs"]
mod world;

use onelogin_fuzz::mutate::{Chance, SEED, mutate};
use onelogin_fuzz::parts::{DEVICE, USER, status_and_body};
use onelogin_fuzz::reading::{Asked, Version, is_acceptance};
use onelogin_fuzz::{corpus, parts};
use onelogin_simulator::{Action, Device, Fault, Match, User};
use pam_host::{Call, Code};
use std::collections::BTreeMap;
use world::{NAME, TOTP_CODE, World};

/// Inputs beside the corpus, a version.
const CASES: usize = 60;

#[test]
fn r06_over_tls_nothing_but_an_acceptance_of_the_code_lets_in() {
    let corpus = corpus("replies");
    let mut chance = Chance::new(SEED);
    let mut ends: BTreeMap<bool, usize> = BTreeMap::new();
    for (version, path, further) in [
        (Version::V2, Match::code(), ""),
        (Version::V1, Match::v1_code(), "onelogin.api_version = 1"),
    ] {
        let world = world(further);
        let asked = Asked {
            version,
            user: USER.to_owned(),
            device: DEVICE.to_owned(),
            verification: None,
            code: true,
        };
        for case in 0..corpus.len() + CASES {
            let input = match corpus.get(case) {
                Some(input) => input.clone(),
                None => mutate(&mut chance, &corpus),
            };
            parts::replies(&input);
            let (status, body) = status_and_body(&input);
            if !(200..=599).contains(&status) {
                continue;
            }
            world.onelogin.clear_faults();
            world.onelogin.clear_requests();
            // Each input meets a host that remembers nothing.
            let _ = std::fs::remove_dir_all(world.place.state_path());
            let reply = [head(status, body.len()).as_bytes(), body].concat();
            world.fault(Fault::new(path.clone(), Action::Raw(reply)));
            let twice = [Call::Authenticate, Call::Authenticate];
            let outcome = world.ssh().calls(twice).answers([TOTP_CODE; 2]).run();
            let codes: Vec<Code> = outcome
                .runs
                .iter()
                .flatten()
                .map(|call| call.code)
                .collect();
            let what = format!("{version:?} {}", String::from_utf8_lossy(&input));
            let truth = is_acceptance(&asked, status, body);
            let is_plain = serde_json::from_slice::<serde_json::Value>(body).is_ok();
            assert!(
                truth || !codes.contains(&Code::SUCCESS),
                "R6: {what}: {:?}",
                outcome.log
            );
            assert!(!truth || !is_plain || codes[0] == Code::SUCCESS, "{what}");
            assert!(!codes.contains(&Code::IGNORE), "R1: {what}");
            // A second run sends nothing: a denial is remembered (R14), and a used code, too (R18).
            assert_eq!(world.onelogin.codes(), 1, "R16: {what}");
            assert_ne!(codes[1], Code::SUCCESS, "R18: {what}");
            *ends.entry(codes[0] == Code::SUCCESS).or_default() += 1;
        }
    }
    println!("let in: {ends:?}");
    assert!(
        ends.values().all(|&count| count >= 4) && ends.len() == 2,
        "{ends:?}"
    );
}

/// A user with an authenticator of the ids that replies must speak of, and one try.
fn world(further: &str) -> World {
    let world = World::with([], &["factors.prompts = 1", further]);
    world.onelogin.remove_user(world::ID);
    let id = USER.parse().unwrap();
    world.onelogin.add_user(User::new(id, NAME));
    world
        .onelogin
        .add_device(id, Device::authenticator(DEVICE, "App"));
    world
}

fn head(status: u16, length: usize) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}
