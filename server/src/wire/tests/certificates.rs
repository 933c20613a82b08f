//! Authorities and certificates that live as long as a test.

use std::{fs, net::IpAddr, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

use crate::wire::TlsFiles;

/// Somebody who signs.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Authority {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate whose subject is its issuer for self-signed.
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "an authority of this test");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap());
        Authority(issuer.unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for an address or a name, and its key, both as PEM.
    pub(super) fn sign(&self, name: &str) -> (String, String) {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names = vec![match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into().unwrap()),
        }];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a certificate of its own, its key, and the authority's certificate into a folder.
    pub(super) fn issue(&self, folder: &Path, name: &str) -> TlsFiles {
        let (certificate, key) = self.sign(name);
        let place = |file: &str, text: &str| {
            let path = folder.join(file);
            fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            certificate: place("certificate.pem", &certificate),
            key: place("key.pem", &key),
            ca: Some(place("ca.pem", &self.pem())),
            client_ca: None,
        }
    }
}
