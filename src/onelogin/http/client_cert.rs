//! The certificate by which a gateway knows this host.

use super::roots::ends_at;
use crate::config::ClientCertificate;
use crate::trust::{Privacy, Trusted};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use std::path::Path;
use zeroize::Zeroize as _;

/// The longest file with a certificate or a key, in bytes.
const MAX: u64 = 64 << 10;

/// A certificate with its key.
pub(super) struct Identity {
    /// For the handshake.
    pub(super) certified: SingleCertAndKey,
    /// When the certificate ends, in seconds since 1970, where that can be read.
    pub(super) ends: Option<u64>,
}

impl Identity {
    /// Reads both files; they may be one.
    ///
    /// # Errors
    /// What is wrong with a file, with its path.
    pub(super) fn read(files: &ClientCertificate, trusted: Trusted) -> Result<Self, String> {
        let (cert, key) = (&files.cert, &files.key);
        let key_text = read(key, Privacy::Secret, trusted)?;
        // A file with both is read once: between two reads, a renewed one could take its place.
        let separate = if cert == key {
            None
        } else {
            Some(read(cert, Privacy::Public, trusted)?)
        };
        let cert_text = separate.as_ref().unwrap_or(&key_text);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert_text)
            .collect::<Result<_, _>>()
            .map_err(|error| fault(cert, &format!("is not PEM text: {error}")))?;
        let Some(own) = chain.first() else {
            return Err(fault(cert, "contains no certificate in PEM form"));
        };
        let ends = ends_at(own);
        let mut der = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| {
            fault(
                key,
                "contains no private key in PEM form without a passphrase",
            )
        })?;
        let signing = any_supported_type(&der);
        der.zeroize();
        let signing = signing.map_err(|_| {
            fault(
                key,
                "contains a key of an unknown kind; use EC (P-256, P-384), Ed25519 or RSA (2048 bits or more)",
            )
        })?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            // Where the kind of key does not tell its public half, the gateway judges.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => {
                let text = format!("is not the key of the certificate in {}", cert.display());
                return Err(fault(key, &text));
            }
        }
        Ok(Self {
            certified: certified.into(),
            ends,
        })
    }
}

fn read(
    path: &Path,
    privacy: Privacy,
    trusted: Trusted,
) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let bytes = trusted.read(path, privacy, MAX);
    bytes.map_err(|error| fault(path, &error.to_string()))
}

fn fault(path: &Path, text: &str) -> String {
    format!("{}: {text}", path.display())
}
