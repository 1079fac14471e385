//! The server's certificate and the CA that a client is given: good, or wrong in one chosen way.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use time::{Duration, OffsetDateTime};

/// What the server presents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, `127.0.0.1`, `onelogin.test`, two names below it and `onelogin.example`, signed by the CA of [`crate::Simulator::ca_pem`].
    #[default]
    Good,
    /// Signed by that CA, but for another host name.
    WrongHost,
    /// Signed by that CA, for the right names, no longer valid.
    Expired,
    /// Signed by that CA, for the right names, valid for ten days more.
    EndsSoon,
    /// Signed by that CA, for the right names, not valid yet.
    NotYetValid,
    /// For the right names, signed by the key of another certificate of that CA which is no CA itself.
    NoCa,
    /// For the right names, signed by its own key.
    SelfSigned,
    /// For the right names, signed by a CA that `ca_pem` is not, but whose name it has.
    UnknownCa,
    /// As [`Certificate::UnknownCa`], with the CA of `ca_pem` itself and a hundred CAs that nobody knows behind it.
    UnknownCaInACrowd,
    /// As [`Certificate::Good`], with a hundred CAs that nobody knows behind it.
    GoodInACrowd,
    /// Signed by a CA that the CA of `ca_pem` has signed, whose certificate is sent, too.
    Intermediate,
    /// As [`Certificate::Intermediate`], with the CA of `ca_pem` itself behind it.
    IntermediateAndRoot,
    /// Signed by the CA of `ca_pem`, which has no name.
    Nameless,
    /// Signed by the CA of `ca_pem`, which is no root: another CA has signed it.
    TrustedIntermediate,
    /// As [`Certificate::Good`], but the server does not have its key.
    Stolen,
}

/// A server's TLS configuration and the CA certificate for its clients.
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    /// The chain that is presented, then the key.
    pub(crate) server_pem: String,
    pub(crate) config: ServerConfig,
}

pub(crate) fn identity(
    kind: Certificate,
    tls12_only: bool,
) -> Result<Identity, Box<dyn std::error::Error>> {
    let name = match kind {
        Certificate::Nameless => "",
        _ => "onelogin-simulator CA",
    };
    let (root, ca) = match kind {
        Certificate::TrustedIntermediate => {
            let key = KeyPair::generate()?;
            let params = authority_params(name)?;
            let certificate = params.signed_by(&key, &authority("above")?.1)?;
            (certificate, Issuer::new(params, key))
        }
        _ => authority(name)?,
    };
    let key = KeyPair::generate()?;
    let leaf = leaf(kind)?;
    let crowd = || (0..100).map(|number| Ok(authority(&format!("{name} {number}"))?.0));
    let signed_by = |issuer| leaf.signed_by(&key, issuer);
    let chain = match kind {
        Certificate::Good
        | Certificate::WrongHost
        | Certificate::Expired
        | Certificate::EndsSoon
        | Certificate::NotYetValid
        | Certificate::Nameless
        | Certificate::TrustedIntermediate
        | Certificate::Stolen => vec![signed_by(&ca)?],
        Certificate::NoCa => {
            let between_key = KeyPair::generate()?;
            let mut between = leaf.clone();
            between.is_ca = IsCa::ExplicitNoCa;
            between.distinguished_name.push(DnType::CommonName, "no CA");
            let certificate = between.signed_by(&between_key, &ca)?;
            let issuer = Issuer::new(between, between_key);
            vec![signed_by(&issuer)?, certificate]
        }
        Certificate::SelfSigned => vec![leaf.self_signed(&key)?],
        Certificate::UnknownCa => vec![signed_by(&authority(name)?.1)?],
        Certificate::UnknownCaInACrowd => {
            let mut chain = vec![signed_by(&authority(name)?.1)?, root.clone()];
            chain.extend(crowd().collect::<Result<Vec<_>, rcgen::Error>>()?);
            chain
        }
        Certificate::GoodInACrowd => {
            let mut chain = vec![signed_by(&ca)?];
            chain.extend(crowd().collect::<Result<Vec<_>, rcgen::Error>>()?);
            chain
        }
        Certificate::Intermediate | Certificate::IntermediateAndRoot => {
            let between_key = KeyPair::generate()?;
            let between = authority_params("onelogin-simulator intermediate CA")?;
            let certificate = between.signed_by(&between_key, &ca)?;
            let issuer = Issuer::new(between, between_key);
            let mut chain = vec![signed_by(&issuer)?, certificate];
            if kind == Certificate::IntermediateAndRoot {
                chain.push(root.clone());
            }
            chain
        }
    };
    let signs = match kind {
        Certificate::Stolen => &KeyPair::generate()?,
        _ => &key,
    };
    let links = chain.iter().map(rcgen::Certificate::pem);
    let server_pem = links.chain([signs.serialize_pem()]).collect();
    let signs = PrivatePkcs8KeyDer::from(signs.serialize_der());
    // Not checked here: a thief has no key that fits.
    let presented = CertifiedKey::new(
        chain.iter().map(|link| link.der().clone()).collect(),
        any_ecdsa_type(&PrivateKeyDer::Pkcs8(signs))?,
    );
    let versions: &[_] = if tls12_only {
        &[&TLS12]
    } else {
        &[&TLS13, &TLS12]
    };
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(presented)));
    config.enable_secret_extraction = true;
    Ok(Identity {
        ca_pem: root.pem(),
        server_pem,
        config,
    })
}

pub(crate) fn authority(
    name: &str,
) -> Result<(rcgen::Certificate, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = authority_params(name)?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate, Issuer::new(params, key)))
}

fn authority_params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(kind: Certificate) -> Result<CertificateParams, rcgen::Error> {
    let names: &[&str] = match kind {
        Certificate::WrongHost => &["elsewhere.example"],
        _ => &[
            "localhost",
            "127.0.0.1",
            "onelogin.test",
            "ipv4-first.onelogin.test",
            "ipv6-first.onelogin.test",
            "onelogin.example",
        ],
    };
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "onelogin-simulator");
    match kind {
        Certificate::Expired => {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        Certificate::EndsSoon => {
            params.not_after = OffsetDateTime::now_utc() + Duration::hours(10 * 24 + 12);
        }
        Certificate::NotYetValid => {
            params.not_before = date_time_ymd(2090, 1, 1);
            params.not_after = date_time_ymd(2091, 1, 1);
        }
        _ => {}
    }
    Ok(params)
}
