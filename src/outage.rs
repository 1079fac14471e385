//! When `failmode = "safe"` lets in (rule R19): the one table of what can keep a login from OneLogin, and of the logins for
//! which that counts. Pure. The only place that can make a [`SafePlace`] or an [`Outage`].
//!
//! An outage is what the network reports. What a local user can cause is no outage: such a user can use up the ports, descriptors
//! and resolver of this host, stop their own process, and block each service on this host.

use crate::config::{Config, FailMode};
use crate::user::{Proof, Uids};
use std::net::IpAddr;

listed! {
    /// What kept one attempt from OneLogin.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Miss {
        /// ECONNREFUSED.
        Refused,
        /// ENETUNREACH, EHOSTUNREACH.
        NoRoute,
        /// No answer within `connect_timeout`.
        Silence,
        /// OneLogin, or the proxy, answered 502, 503 or 504.
        Gateway,
        /// A gateway answered that it could not serve the request itself.
        GatewayBusy,
        /// The system has no IPv6: EAFNOSUPPORT, or EADDRNOTAVAIL behind a bound port.
        NoIpv6,
        /// The name server gave no answer for now.
        NameServer,
        /// No answer in this login: the addresses are those that worked before.
        StoredAddress,
        /// No port could be bound before the address was dialled.
        NoPort,
        /// The address is of this host.
        ThisHost,
        /// An address was not dialled, or had less than half of its time: a look-up took long, or the login is over.
        Hurry,
        /// Any other error.
        Other,
    }
}

/// What a [`Miss`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The network says it.
    Outage,
    /// Nothing: another address decides.
    Nothing,
    /// It may be made on this host.
    Local,
}

impl Miss {
    /// The table: what it says, and why, for the log.
    #[must_use]
    pub fn weight(self) -> (Weight, &'static str) {
        use Weight::{Local, Nothing, Outage};
        match self {
            Self::Refused => (Outage, "refused"),
            Self::NoRoute => (Outage, "no route"),
            Self::Silence => (Outage, "no answer in time"),
            Self::Gateway => (Outage, "502, 503 or 504"),
            Self::GatewayBusy => (Local, "the gateway could not serve the request itself"),
            Self::NoIpv6 => (Nothing, "this system has no IPv6"),
            Self::NameServer => (Local, "the name server gave no answer"),
            Self::StoredAddress => (
                Local,
                "no name server answered, so a stored address was used",
            ),
            Self::NoPort => (Local, "no local port was free"),
            Self::ThisHost => (Local, "the address belongs to this host"),
            Self::Hurry => (Local, "there was no time to try every address"),
            Self::Other => (Local, "an error on this host"),
        }
    }

    /// What attempts at several addresses say together: one that may be made on this host decides.
    #[must_use]
    pub fn sum(misses: &[Self]) -> Self {
        let first = |weight| misses.iter().find(|miss| miss.weight().0 == weight);
        let decisive = first(Weight::Local).or_else(|| first(Weight::Outage));
        decisive.or(misses.first()).copied().unwrap_or(Self::Other)
    }

    /// Whether the network says it.
    #[must_use]
    pub fn is_outage(self) -> bool {
        self.weight().0 == Weight::Outage
    }
}

/// A login to which `failmode = "safe"` applies.
#[derive(Clone, Copy, Debug)]
pub struct SafePlace(());

/// An outage of OneLogin in such a login: it was seen twice. One of the proofs that let a user in (rule R1).
#[derive(Debug)]
pub struct Outage(());

/// What is known of a login.
pub struct Here<'a> {
    /// Whose process it is.
    pub uids: Uids,
    /// Whether something before us has proven the user.
    pub proof: Proof,
    /// `SSH_CONNECTION` of the PAM environment.
    pub ssh_connection: Option<&'a str>,
    /// Whether an address belongs to this host.
    pub is_of_this_host: &'a dyn Fn(IpAddr) -> bool,
    /// Whether this process has the network of PID 1; `None` if that is unknown.
    pub has_the_hosts_network: &'a dyn Fn() -> Option<bool>,
}

listed! {
    /// Why `failmode = "safe"` does not apply to a login.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NotSafe {
        /// It is not set.
        Secure,
        /// Nothing has proven the user.
        Unproven,
        /// The process, or a part of it, is not root's: the user could stop it or take its descriptors.
        NotRoot,
        /// The login does not come by ssh.
        NotSsh,
        /// The client is in none of the networks of `failmode_from`.
        OtherNetwork,
        /// The client is on this host.
        ThisHost,
        /// The process has a network of its own, or that cannot be determined.
        OwnNetwork,
        /// The user has offline codes, and is asked for one.
        OfflineCodes,
    }
}

impl NotSafe {
    /// For the log.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Secure => "failmode is secure",
            Self::Unproven => "no first factor was verified before this module",
            Self::NotRoot => "the process has a user id other than 0",
            Self::NotSsh => "the login is not over ssh",
            Self::OtherNetwork => "the client address is not in failmode_from",
            Self::ThisHost => "the client is on this host",
            Self::OwnNetwork => "the service runs in another network namespace than PID 1",
            Self::OfflineCodes => "the user has offline codes",
        }
    }
}

impl SafePlace {
    /// Whether an outage would let in here.
    ///
    /// # Errors
    /// [`NotSafe`] says why not.
    pub fn check(config: &Config, here: &Here<'_>) -> Result<Self, NotSafe> {
        let Uids {
            real,
            effective,
            saved,
        } = here.uids;
        if config.failmode != FailMode::Safe {
            Err(NotSafe::Secure)
        } else if here.proof != Proof::Proven {
            Err(NotSafe::Unproven)
        } else if [real, effective, saved] != [0; 3] {
            Err(NotSafe::NotRoot)
        } else {
            let connection = here.ssh_connection.ok_or(NotSafe::NotSsh)?;
            let client = connection.split(' ').next().unwrap_or_default();
            // What is not an address, such as UNKNOWN, is in no network.
            let client: IpAddr = client.parse().map_err(|_| NotSafe::OtherNetwork)?;
            let client = client.to_canonical();
            let networks = &config.failmode_from;
            if !networks.iter().any(|network| network.contains(&client)) {
                Err(NotSafe::OtherNetwork)
            } else if (here.has_the_hosts_network)() != Some(true) {
                // Before the next question, which is about the addresses of this network.
                Err(NotSafe::OwnNetwork)
            } else if client.is_loopback() || (here.is_of_this_host)(client) {
                Err(NotSafe::ThisHost)
            } else {
                Ok(Self(()))
            }
        }
    }
}

impl Outage {
    /// What two attempts in a row, a second or two apart and each by a connection of its own, came to.
    #[must_use]
    pub fn seen_twice(_: SafePlace, first: Option<Miss>, second: Option<Miss>) -> Option<Self> {
        let is_outage = |miss: Option<Miss>| miss.is_some_and(Miss::is_outage);
        (is_outage(first) && is_outage(second)).then_some(Self(()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An outage, for tests of what comes of it.
    pub(crate) fn outage() -> Outage {
        Outage(())
    }

    const ROOT: Uids = Uids {
        real: 0,
        effective: 0,
        saved: 0,
    };

    fn config(lines: &str) -> Config {
        let text = format!(
            "{lines}\n[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n"
        );
        crate::config::parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    const SAFE: &str =
        "failmode = \"safe\"\nfailmode_from = [\"10.20.0.0/16\", \"2001:db8::/32\", \"0.0.0.0/1\"]";

    fn place<'a>(change: impl FnOnce(&mut Here<'a>)) -> Option<NotSafe> {
        let mut here = Here {
            uids: ROOT,
            proof: Proof::Proven,
            ssh_connection: Some("10.20.0.7 5 10.20.0.1 22"),
            is_of_this_host: &|address| address.to_string() == "10.20.0.1",
            has_the_hosts_network: &|| Some(true),
        };
        change(&mut here);
        SafePlace::check(&config(SAFE), &here).err()
    }

    #[test]
    fn r19_safe_applies_to_proven_ssh_logins_of_root_processes_from_the_networks_that_are_named() {
        fn from(connection: Option<&str>) -> Option<NotSafe> {
            place(|here| here.ssh_connection = connection)
        }
        assert_eq!(place(|_| ()), None);
        assert_eq!(from(Some("2001:db8::7 5 ::1 22")), None);
        assert_eq!(from(Some("::ffff:10.20.0.7 5 x 22")), None);
        assert_eq!(from(None), Some(NotSafe::NotSsh));
        let unproven = place(|here| here.proof = Proof::Unproven);
        assert_eq!(unproven, Some(NotSafe::Unproven));
        for [real, effective, saved] in [[1000, 0, 0], [0, 1000, 0], [0, 0, 1000], [1000; 3]] {
            let uids = Uids {
                real,
                effective,
                saved,
            };
            let why = place(|here| here.uids = uids);
            assert_eq!(why, Some(NotSafe::NotRoot), "{uids:?}");
        }
        for (client, why) in [
            ("192.0.2.7", NotSafe::OtherNetwork),
            ("2001:db9::1", NotSafe::OtherNetwork),
            ("UNKNOWN", NotSafe::OtherNetwork),
            ("", NotSafe::OtherNetwork),
            ("127.0.0.1", NotSafe::ThisHost),
            ("127.9.9.9", NotSafe::ThisHost),
            ("::ffff:127.0.0.1", NotSafe::ThisHost),
            ("10.20.0.1", NotSafe::ThisHost),
            ("::ffff:10.20.0.1", NotSafe::ThisHost),
        ] {
            let connection = format!("{client} 5 10.20.0.1 22");
            assert_eq!(from(Some(&connection)), Some(why), "{client}");
        }
        for network in [Some(false), None] {
            let tell = move || network;
            let why = place(|here| here.has_the_hosts_network = &tell);
            assert_eq!(why, Some(NotSafe::OwnNetwork), "{network:?}");
        }
    }

    #[test]
    fn r19_without_failmode_safe_it_applies_nowhere() {
        let here = Here {
            uids: ROOT,
            proof: Proof::Proven,
            ssh_connection: Some("10.20.0.7 5 10.20.0.1 22"),
            is_of_this_host: &|_| false,
            has_the_hosts_network: &|| Some(true),
        };
        let secure = config("failmode_from = [\"10.20.0.0/16\"]");
        assert_eq!(
            SafePlace::check(&secure, &here).err(),
            Some(NotSafe::Secure)
        );
    }

    #[test]
    fn r19_only_what_the_network_says_twice_is_an_outage() {
        let place = SafePlace(());
        let outages: Vec<_> = Miss::all().filter(|miss| miss.is_outage()).collect();
        assert_eq!(
            outages,
            [Miss::Refused, Miss::NoRoute, Miss::Silence, Miss::Gateway]
        );
        for first in Miss::all().map(Some).chain([None]) {
            for second in Miss::all().map(Some).chain([None]) {
                let is_outage =
                    |miss: Option<Miss>| miss.is_some_and(|miss| outages.contains(&miss));
                let proven = Outage::seen_twice(place, first, second).is_some();
                assert_eq!(
                    proven,
                    is_outage(first) && is_outage(second),
                    "{first:?} {second:?}"
                );
            }
        }
    }

    #[test]
    fn r19_one_address_that_this_host_may_have_spoilt_decides_for_all() {
        assert_eq!(Miss::sum(&[Miss::Refused, Miss::Silence]), Miss::Refused);
        assert_eq!(Miss::sum(&[Miss::NoIpv6, Miss::NoRoute]), Miss::NoRoute);
        // Nothing was dialled at all.
        assert_eq!(Miss::sum(&[Miss::NoIpv6]).weight().0, Weight::Nothing);
        assert_eq!(Miss::sum(&[]).weight().0, Weight::Local);
        for local in Miss::all().filter(|miss| miss.weight().0 == Weight::Local) {
            for outage in Miss::all().filter(|miss| miss.is_outage()) {
                assert_eq!(Miss::sum(&[outage, local]), local);
                assert_eq!(Miss::sum(&[local, outage, Miss::NoIpv6]), local);
            }
        }
    }

    #[test]
    fn each_reason_is_said_in_words_of_its_own() {
        let mut words: Vec<_> = Miss::all().map(|miss| miss.weight().1).collect();
        words.extend(NotSafe::all().map(NotSafe::why));
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
    }
}
