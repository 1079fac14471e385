//! The server's certificate and the CA that a client is given: good, or wrong in one chosen way.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};

/// What the server presents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and `127.0.0.1`, signed by the CA of [`crate::Simulator::ca_pem`].
    #[default]
    Good,
    /// Signed by that CA, but for another host name.
    WrongHost,
    /// Signed by that CA, for the right names, no longer valid.
    Expired,
    /// Signed by that CA, for the right names, not valid yet.
    NotYetValid,
    /// For the right names, signed by the key of another certificate of that CA which is no CA itself.
    NoCa,
    /// For the right names, signed by its own key.
    SelfSigned,
    /// For the right names, signed by a CA that `ca_pem` is not.
    UnknownCa,
}

/// A server's TLS configuration and the CA certificate for its clients.
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) config: ServerConfig,
}

pub(crate) fn identity(
    kind: Certificate,
    tls12_only: bool,
) -> Result<Identity, Box<dyn std::error::Error>> {
    let (ca_pem, ca) = authority()?;
    let key = KeyPair::generate()?;
    let leaf = leaf(kind)?;
    let chain = match kind {
        Certificate::Good
        | Certificate::WrongHost
        | Certificate::Expired
        | Certificate::NotYetValid => vec![leaf.signed_by(&key, &ca)?],
        Certificate::NoCa => {
            let between_key = KeyPair::generate()?;
            let mut between = leaf.clone();
            between.is_ca = IsCa::ExplicitNoCa;
            between.distinguished_name.push(DnType::CommonName, "no CA");
            let certificate = between.signed_by(&between_key, &ca)?;
            let issuer = Issuer::new(between, between_key);
            vec![leaf.signed_by(&key, &issuer)?, certificate]
        }
        Certificate::SelfSigned => vec![leaf.self_signed(&key)?],
        Certificate::UnknownCa => vec![leaf.signed_by(&key, &authority()?.1)?],
    };
    let versions: &[_] = if tls12_only {
        &[&TLS12]
    } else {
        &[&TLS13, &TLS12]
    };
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(
                chain.iter().map(|link| link.der().clone()).collect(),
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
    Ok(Identity { ca_pem, config })
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "onelogin-simulator CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn leaf(kind: Certificate) -> Result<CertificateParams, rcgen::Error> {
    let names: &[&str] = match kind {
        Certificate::WrongHost => &["elsewhere.example"],
        _ => &["localhost", "127.0.0.1"],
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
        Certificate::NotYetValid => {
            params.not_before = date_time_ymd(2090, 1, 1);
            params.not_after = date_time_ymd(2091, 1, 1);
        }
        _ => {}
    }
    Ok(params)
}
