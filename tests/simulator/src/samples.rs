//! A small account for the demo and for trying things out.

use crate::{Device, Factor, Simulator, User};

/// Adds twelve users: alice (authenticator), bob (Protect, text message and authenticator), carol (text message),
/// dave (Protect), mallory (suspended), nofactor (no device), erin (e-mail code), frank (call), grace (`YubiKey`),
/// heidi (e-mail link), ivan (Duo) and judy (no device, and any factor may be enrolled).
/// Each code is right any number of times.
pub fn samples(simulator: &Simulator) {
    for (id, name) in [
        (1001, "alice"),
        (1002, "bob"),
        (1003, "carol"),
        (1004, "dave"),
        (1006, "nofactor"),
        (1007, "erin"),
        (1008, "frank"),
        (1009, "grace"),
        (1010, "heidi"),
        (1011, "ivan"),
    ] {
        simulator.add_user(User::new(id, name));
    }
    simulator.add_user(User::new(1005, "mallory").status(2));
    simulator.add_user(User::new(1012, "judy").factors([
        Factor::Protect,
        Factor::Authenticator,
        Factor::Sms,
        Factor::Email,
        Factor::Voice,
        Factor::YubiKey,
        Factor::Duo,
    ]));
    let devices = [
        (
            1001,
            Device::authenticator("501", "Alice's app")
                .code("123456")
                .code("234567")
                .code("345678")
                .default(true),
        ),
        (
            1002,
            Device::protect("502", "Bob's phone")
                .code("222222")
                .default(true),
        ),
        (1002, Device::sms("503", "Bob's number")),
        (
            1002,
            Device::authenticator("504", "Bob's app")
                .code("654321")
                .code("765432"),
        ),
        (1003, Device::sms("505", "Carol's number").default(true)),
        (
            1004,
            Device::protect("506", "Dave's phone")
                .code("444444")
                .default(true),
        ),
        (
            1005,
            Device::authenticator("507", "Mallory's app")
                .code("666666")
                .default(true),
        ),
        (1007, Device::email("508", "Erin's mailbox").default(true)),
        (1008, Device::voice("509", "Frank's phone").default(true)),
        (
            1009,
            Device::yubikey("510", "Grace's key")
                .code("ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd")
                .code("ccccccgrrcekcbdefghijklnrtuvvutrnlkjihgfedcb")
                .default(true),
        ),
        (
            1010,
            Device::magic_link("511", "Heidi's mailbox").default(true),
        ),
        (
            1011,
            Device::duo("512", "Ivan's Duo")
                .code("888888")
                .default(true),
        ),
    ];
    for (user, device) in devices {
        simulator.add_device(user, device);
    }
}
