//! Whose certificates are trusted: those of the system's bundle, or of `ca_file`. A login needs one certificate of a bundle
//! with about 150, so only those are decoded whole that the server's chain names as issuers.
//!
//! The readers of rustls-pki-types and rustls-webpki would replace most of this file, and cost about 9 million instructions a
//! login (144 certificates of Debian 12, counted by callgrind), twice as many as a whole warm login costs now. Nothing is
//! trusted because of what is read here by hand: see [`Verifier`].

use crate::api::unix_seconds;
use crate::trust::{MAX_BUNDLE, Privacy, Trusted, system_bundle};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// The certificates of one file in PEM form; what stands between them is passed over.
///
/// Each block is found and looked at before a connection is made. Its text is decoded as far as the
/// name in it, and whole when it is used, or when a server is not trusted: a block that is no base64
/// behind its name is an error only then.
#[derive(Debug)]
pub(super) struct Bundle {
    name: String,
    file: File,
    entries: Vec<Entry>,
}

/// A block of the file.
#[derive(Debug)]
struct Entry {
    /// Who issued the certificate, where that can be read: of a root, it is the root itself.
    issuer: Option<Vec<u8>>,
    /// Where its text stands.
    place: Range<usize>,
}

impl Bundle {
    /// Opens `ca_file`, or the system's bundle where there is none.
    pub(super) fn open(ca_file: Option<&Path>, trusted: Trusted) -> Result<Self, String> {
        let (path, file) = match ca_file {
            Some(path) => (
                path.to_owned(),
                trusted.open(path, Privacy::Public, MAX_BUNDLE),
            ),
            None => system_bundle()
                .map(|(path, file)| (path, Ok(file)))
                .map_err(|error| error.to_string())?,
        };
        let name = path.display().to_string();
        let file = file.map_err(|error| format!("{name}: {error}"))?;
        let mut bundle = Self {
            name,
            file,
            entries: Vec::new(),
        };
        bundle.entries = bundle.index()?;
        if bundle.entries.is_empty() {
            return Err(bundle.fault(&"contains no certificate in PEM form"));
        }
        Ok(bundle)
    }

    fn index(&self) -> Result<Vec<Entry>, String> {
        let mut text = Vec::with_capacity(USUAL_BUNDLE);
        let mut file = (&self.file).take(MAX_BUNDLE);
        file.read_to_end(&mut text)
            .map_err(|error| self.fault(&error))?;
        let (mut entries, mut reader) = (Vec::new(), Reader::default());
        let mut begin = None;
        for line in lines_with_dashes(&text) {
            let trimmed = text.get(line.clone()).unwrap_or_default().trim_ascii();
            match (begin, trimmed) {
                (None, b"-----BEGIN CERTIFICATE-----") => begin = Some(line.end),
                (Some(start), b"-----END CERTIFICATE-----") => {
                    let place = start..line.start;
                    let block = text.get(place.clone()).unwrap_or_default();
                    let issuer = reader.issuer(block).map_err(|NoBase64| self.no_base64())?;
                    entries.push(Entry { issuer, place });
                    begin = None;
                }
                _ => {}
            }
        }
        match begin {
            None => Ok(entries),
            Some(_) => Err(self.fault(&"contains a certificate without an END line")),
        }
    }

    /// The roots that these entries are.
    fn roots(&self, wanted: impl Fn(&Entry) -> bool) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let mut text = Vec::new();
        for Entry { place, .. } in self.entries.iter().filter(|entry| wanted(entry)) {
            text.resize(place.len(), 0);
            let start = u64::try_from(place.start).unwrap_or(u64::MAX);
            self.file
                .read_exact_at(&mut text, start)
                .map_err(|error| self.fault(&error))?;
            let base64 = lines(&text).collect::<Vec<_>>().concat();
            let der = STANDARD.decode(base64).map_err(|_| self.no_base64())?;
            // What is no certificate that could sign another is no root, and no reason to refuse the rest.
            let _ = roots.add(der.into());
        }
        Ok(roots)
    }

    fn no_base64(&self) -> String {
        self.fault(&"contains a certificate that is not base64")
    }

    fn fault(&self, text: &dyn std::fmt::Display) -> String {
        format!("{}: {text}", self.name)
    }
}

/// Bytes to allocate for a system bundle, which is read in one go.
const USUAL_BUNDLE: usize = 256 << 10;

/// The lines that can begin or end a block.
fn lines_with_dashes(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let dash = at + memchr(b'-', text.get(at..)?)?;
        let mut before = text.get(..dash)?.iter();
        let start = before
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        let length = memchr(b'\n', text.get(dash..)?);
        at = length.map_or(text.len(), |length| dash + length);
        Some(start..at)
    })
}

/// The lines of a block, each of which has an end.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr(b'\n', text).unwrap_or(text.len());
        let (line, behind) = text.split_at_checked(end)?;
        text = behind.split_first()?.1;
        Some(line.trim_ascii())
    })
}

/// Looks for the name in a block. It keeps its buffers from one block to the next.
#[derive(Default)]
struct Reader {
    base64: Vec<u8>,
    der: Vec<u8>,
}

impl Reader {
    /// The name, if there is a readable one. Only as many lines as needed are decoded.
    fn issuer(&mut self, block: &[u8]) -> Result<Option<Vec<u8>>, NoBase64> {
        self.der.clear();
        let mut lines = lines(block).peekable();
        while let Some(line) = lines.next() {
            self.base64.extend_from_slice(line);
            let is_enough = self.base64.len() % 4 == 0 && self.base64.len() >= LEAST;
            if is_enough || lines.peek().is_none() {
                let decoded = STANDARD.decode_vec(&self.base64, &mut self.der);
                self.base64.clear();
                decoded.map_err(|_| NoBase64)?;
                if let Some(issuer) = issuer(&self.der) {
                    return Ok(Some(issuer.to_owned()));
                }
            }
        }
        Ok(None)
    }
}

/// Base64 letters to decode at a time: most issuer names end within them.
const LEAST: usize = 192;

/// A text is no base64.
struct NoBase64;

/// The name of a certificate's issuer, as it is written in it: names are the same if their bytes are, here as in the
/// check of a chain. The certificate may be cut off behind it.
fn issuer(der: &[u8]) -> Option<&[u8]> {
    issuer_and_rest(der).map(|(issuer, _)| issuer)
}

const SEQUENCE: u8 = 0x30;

/// The name of the issuer, and what is behind it.
fn issuer_and_rest(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const VERSION: u8 = 0xa0;
    const SERIAL: u8 = 0x02;
    let (_, inside) = opened(der, SEQUENCE)?;
    let (_, inside) = opened(inside, SEQUENCE)?;
    let inside = element(inside, VERSION).map_or(inside, |(_, rest)| rest);
    let (_, inside) = element(inside, SERIAL)?;
    let (_algorithm, inside) = element(inside, SEQUENCE)?;
    element(inside, SEQUENCE)
}

/// When a certificate ends, in seconds since 1970; `None` if that cannot be read.
pub(super) fn ends_at(der: &[u8]) -> Option<u64> {
    /// Two digits for the year (RFC 5280, section 4.1.2.5.1).
    const UTC_TIME: u8 = 0x17;
    /// Four digits for the year.
    const GENERALIZED_TIME: u8 = 0x18;
    let either = |der| {
        element(der, UTC_TIME)
            .map(|(time, rest)| (time, rest, 2))
            .or_else(|| element(der, GENERALIZED_TIME).map(|(time, rest)| (time, rest, 4)))
    };
    let (_, behind) = issuer_and_rest(der)?;
    let (validity, _) = element(behind, SEQUENCE)?;
    let (_begins, validity, _) = either(validity)?;
    let (ends, _, digits) = either(validity)?;
    let ends = std::str::from_utf8(ends)
        .ok()
        .filter(|text| text.is_ascii())?;
    let (year, rest) = ends.split_at_checked(digits)?;
    let century = match digits {
        2 if year < "50" => "20",
        2 => "19",
        _ => "",
    };
    let part = |at: usize| rest.get(at..at + 2);
    let (month, day, hour) = (part(0)?, part(2)?, part(4)?);
    let (minute, second) = (part(6)?, part(8)?);
    unix_seconds(&format!(
        "{century}{year}-{month}-{day}T{hour}:{minute}:{second}Z"
    ))
}

/// What is in the element that stands first, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, behind) = opened(der, tag)?;
    behind.split_at_checked(length)
}

/// The length of the element that stands first, and all that is behind this length.
fn opened(der: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk()?;
    if first != tag {
        return None;
    }
    // In X.690 8.1.3 the length is in one byte, or the number of bytes is that it takes.
    let Some(count) = length.checked_sub(0x80) else {
        return Some((length.into(), rest));
    };
    let (length, rest) = rest.split_at_checked(count.into())?;
    let length = length.iter().try_fold(0_usize, |sum, &byte| {
        Some(sum.checked_mul(256)? | usize::from(byte))
    })?;
    Some((length, rest))
}

/// Checks a server's certificate as rustls does by itself, with the roots of a [`Bundle`].
#[derive(Debug)]
pub(super) struct Verifier {
    bundle: Bundle,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn new(bundle: Bundle, provider: Arc<CryptoProvider>) -> Self {
        Self { bundle, provider }
    }

    /// The check by rustls, with these entries as roots.
    fn verify(
        &self,
        wanted: impl Fn(&Entry) -> bool,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = self.bundle.roots(wanted).map_err(Error::General)?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            // There is no root.
            .map_err(|_| CertificateError::UnknownIssuer)?
            .verify_server_cert(end_entity, intermediates, server_name, &[], now)
    }
}

impl ServerCertVerifier for Verifier {
    /// A root that no certificate of the chain names as its issuer cannot verify the chain. Names are only a hint: a chain is refused
    /// only after a check with the whole bundle, so neither trust nor the error message depends on names.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let issuers: Vec<&[u8]> = chain
            .filter_map(|certificate| issuer(certificate))
            .collect();
        let is_named = |entry: &Entry| {
            let is_named = |issuer: &Vec<u8>| issuers.contains(&issuer.as_slice());
            entry.issuer.as_ref().is_none_or(is_named)
        };
        self.verify(is_named, end_entity, intermediates, server_name, now)
            .or_else(|_| self.verify(|_| true, end_entity, intermediates, server_name, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of DER with a short length.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let inside = parts.concat();
        let mut all = vec![tag, u8::try_from(inside.len()).unwrap()];
        all.extend(inside);
        all
    }

    /// What stands in a certificate as far as its end.
    fn certificate(ends: &[u8]) -> Vec<u8> {
        let begins = der(0x17, &[b"260101000000Z"]);
        let validity = der(SEQUENCE, &[&begins, ends]);
        let inside = der(
            SEQUENCE,
            &[
                &der(0x02, &[&[1]]),
                &der(SEQUENCE, &[]),
                &der(SEQUENCE, &[]),
                &validity,
            ],
        );
        der(SEQUENCE, &[&inside])
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        let day = 24 * 3600;
        for (tag, text, expected) in [
            (0x17, "700102000000Z", Some(day)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x18, "20500101000000Z", Some(2_524_608_000)),
            (0x18, "19700102000000Z", Some(day)),
            // Not a time, another type, and before 1970.
            (0x17, "709902000000Z", None),
            (0x17, "7001", None),
            (0x17, "", None),
            (0x17, "ééééééé", None),
            (0x18, "700102000000Z", None),
            (0x04, "700102000000Z", None),
            (0x17, "500101000000Z", None),
        ] {
            let certificate = certificate(&der(tag, &[text.as_bytes()]));
            assert_eq!(ends_at(&certificate), expected, "{text}");
            for length in 0..certificate.len() {
                let _ = ends_at(&certificate[..length]);
            }
        }
        assert_eq!(ends_at(&[]), None);
    }
}
