//! A CA for the certificates of a gateway and of its hosts.

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::certificate::authority;

/// A CA.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate to be issued.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its common name.
    pub host: &'a str,
    /// Its other names and addresses.
    pub also: &'a [&'a str],
    /// When it ends, in hours from now; it began the day before, or before its end.
    pub hours: i64,
    /// Its serial number.
    pub serial: u64,
    /// Its key.
    pub key: KeyKind<'a>,
    /// What it is for.
    pub usage: Usage,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// For clients.
    Client,
    /// For servers.
    Server,
    /// For both, as that of a gateway is.
    Both,
}

/// The key of a certificate.
#[derive(Clone, Copy, Debug)]
pub enum KeyKind<'a> {
    /// ECDSA with P-256.
    P256,
    /// ECDSA with P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// This key, in PEM form.
    Given(&'a str),
}

/// A certificate and its key, each in PEM form.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl<'a> Wanted<'a> {
    /// For this host, for 30 days, with serial number 1.
    #[must_use]
    pub fn of(host: &'a str) -> Self {
        Self {
            host,
            also: &[],
            hours: 30 * 24,
            serial: 1,
            key: KeyKind::P256,
            usage: Usage::Client,
        }
    }
}

impl Authority {
    /// A CA of this name.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let (certificate, issuer) = authority(name).expect("a CA can be made");
        Self {
            pem: certificate.pem(),
            issuer,
        }
    }

    /// The certificate of the CA in PEM form.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate.
    ///
    /// # Panics
    /// When the key is not one.
    #[must_use]
    pub fn issue(&self, wanted: Wanted<'_>) -> Issued {
        let key = match wanted.key {
            KeyKind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            KeyKind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
            KeyKind::Given(pem) => KeyPair::from_pem(pem),
        }
        .expect("a key");
        let names = [&[wanted.host], wanted.also].concat();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, wanted.host);
        let ends = OffsetDateTime::now_utc() + Duration::hours(wanted.hours);
        params.not_after = ends;
        params.not_before = ends.min(OffsetDateTime::now_utc()) - Duration::days(1);
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match wanted.usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
        };
        let certificate = params.signed_by(&key, &self.issuer);
        Issued {
            cert: certificate.expect("a certificate can be made").pem(),
            key: key.serialize_pem(),
        }
    }
}
