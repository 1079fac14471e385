//! A small account for the demo and for trying things out.

use crate::{Device, Simulator, User};

/// Adds six users: alice (authenticator), bob (Protect, text message and authenticator), carol (text message),
/// dave (Protect), mallory (suspended) and nofactor (no device). Each code is right any number of times.
pub fn samples(simulator: &Simulator) {
    for (id, name) in [
        (1001, "alice"),
        (1002, "bob"),
        (1003, "carol"),
        (1004, "dave"),
        (1006, "nofactor"),
    ] {
        simulator.add_user(User::new(id, name));
    }
    simulator.add_user(User::new(1005, "mallory").status(2));
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
    ];
    for (user, device) in devices {
        simulator.add_device(user, device);
    }
}
