//! A small account for the demo and for trying things out.

use crate::{Device, Factor, Simulator, User};

/// Id, user name, what the user has in words, and the devices.
type Sample = (u64, &'static str, &'static str, Vec<Device>);

/// Adds twelve users, of whom [`sample_users`] tells; each factor has one. Each code is right any number of times.
pub fn samples(simulator: &Simulator) {
    for (id, name, _, devices) in table() {
        let user = User::new(id, name);
        simulator.add_user(match name {
            "mallory" => user.status(2),
            "judy" => {
                let all = Factor::ALL.iter();
                user.factors(all.filter(|&f| *f != Factor::MagicLink).cloned())
            }
            _ => user,
        });
        for device in devices {
            simulator.add_device(id, device);
        }
    }
}

/// The sample users for people: a line for each.
pub fn sample_users() -> String {
    let lines = table().map(|(_, name, what, _)| format!("{name:<14} {what}"));
    lines.join("\n")
}

fn table() -> [Sample; 12] {
    let yubikey = [
        "ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd",
        "ccccccgrrcekcbdefghijklnrtuvvutrnlkjihgfedcb",
    ];
    [
        (
            1001,
            "alice",
            "authenticator 123456, 234567, 345678",
            vec![
                Device::authenticator("501", "Alice's app")
                    .codes(["123456", "234567", "345678"])
                    .default(true),
            ],
        ),
        (
            1002,
            "bob",
            "Protect push or 222222, text message, authenticator 654321, 765432",
            vec![
                Device::protect("502", "Bob's phone")
                    .code("222222")
                    .default(true),
                Device::sms("503", "Bob's number"),
                Device::authenticator("504", "Bob's app").codes(["654321", "765432"]),
            ],
        ),
        (
            1003,
            "carol",
            "text message",
            vec![Device::sms("505", "Carol's number").default(true)],
        ),
        (
            1004,
            "dave",
            "Protect push or 444444",
            vec![
                Device::protect("506", "Dave's phone")
                    .code("444444")
                    .default(true),
            ],
        ),
        (
            1005,
            "mallory",
            "suspended; authenticator 666666",
            vec![
                Device::authenticator("507", "Mallory's app")
                    .code("666666")
                    .default(true),
            ],
        ),
        (1006, "nofactor", "no device", vec![]),
        (
            1007,
            "erin",
            "code by e-mail",
            vec![Device::email("508", "Erin's mailbox").default(true)],
        ),
        (
            1008,
            "frank",
            "call",
            vec![Device::voice("509", "Frank's phone").default(true)],
        ),
        (
            1009,
            "grace",
            "YubiKey ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd, ccccccgrrcekcbdefghijklnrtuvvutrnlkjihgfedcb",
            vec![
                Device::yubikey("510", "Grace's key")
                    .codes(yubikey)
                    .default(true),
            ],
        ),
        (
            1010,
            "heidi",
            "link by e-mail",
            vec![Device::magic_link("511", "Heidi's mailbox").default(true)],
        ),
        (
            1011,
            "ivan",
            "Duo 888888",
            vec![
                Device::duo("512", "Ivan's Duo")
                    .code("888888")
                    .default(true),
            ],
        ),
        (
            1012,
            "judy",
            "no device; any factor may be enrolled",
            vec![],
        ),
    ]
}
