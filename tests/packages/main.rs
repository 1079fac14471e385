//! The packages in clean systems: installed, configured, used, upgraded, removed. `make test-packages` runs these.
//!
//! A clean system is a folder, unpacked for each test, in the mount namespace of tests/private-etc.sh; it shares the
//! network with the simulator. Logins go through its own libpam, with its own sudo.

mod authselect;
mod boot;
mod debian;
mod programs;
mod repository;
mod rpm;
mod selinux;
mod system;
