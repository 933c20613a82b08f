//! TLS: who we are, whom we believe, and the files that say so, read anew when they change.
//!
//! One provider (aws-lc-rs), TLS 1.2 and 1.3. A key stands in no log, no message and no `Debug`.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use exchange::Unreachable;
use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};

/// How often it is looked whether a file has changed.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// The files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Our certificate and what stands above it, PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
    /// Whose certificates we believe when we call, PEM; none: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Who must have signed the certificates of peers that call us, PEM; none: they need none.
    pub(crate) client_ca: Option<PathBuf>,
}

/// TLS as connections use it.
pub(super) struct Tls {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// What in the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFault {
    #[error("{} cannot be read: {source}; name a file that the service's user can read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} holds no {expected} in PEM form; write one that begins with -----BEGIN", path.display())]
    Empty {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("{} and {} do not belong together or cannot be used: {why}; write the certificate with its chain and the key it was made for", certificate.display(), key.display())]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        why: rustls::Error,
    },
    #[error("{} holds a certificate that cannot be used: {why}; write certificates of authorities in PEM form", path.display())]
    Authority { path: PathBuf, why: String },
    #[error("TLS cannot be set up: {0}")]
    Provider(rustls::Error),
}

impl TlsFiles {
    /// Reads the files and judges them.
    ///
    /// # Errors
    /// [`TlsFault`], the first there is, with the file and what to do.
    pub(super) fn load(&self) -> Result<Tls, TlsFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(Tls {
            server: Arc::new(self.server(&provider)?),
            client: Arc::new(self.client(&provider)?),
        })
    }

    /// Looks whether the files could be used.
    ///
    /// # Errors
    /// [`TlsFault`], the first there is, with the file and what to do.
    pub(crate) fn check(&self) -> Result<(), TlsFault> {
        self.load().map(drop)
    }

    fn server(&self, provider: &Arc<CryptoProvider>) -> Result<ServerConfig, TlsFault> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsFault::Provider)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
                let verifier = verifier.build().map_err(|fault| TlsFault::Authority {
                    path: path.clone(),
                    why: fault.to_string(),
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (certificates, key) = self.pair()?;
        builder
            .with_single_cert(certificates, key)
            .map_err(|why| self.unpaired(why))
    }

    fn client(&self, provider: &Arc<CryptoProvider>) -> Result<ClientConfig, TlsFault> {
        let roots = match &self.ca {
            Some(path) => authorities(path)?,
            None => system_authorities(),
        };
        let (certificates, key) = self.pair()?;
        ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsFault::Provider)?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, key)
            .map_err(|why| self.unpaired(why))
    }

    fn pair(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsFault> {
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|fault| unreadable(&self.key, "private key", fault))?;
        Ok((certificates(&self.certificate)?, key))
    }

    fn unpaired(&self, why: rustls::Error) -> TlsFault {
        TlsFault::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            why,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        let optional = [&self.ca, &self.client_ca].into_iter().flatten();
        [&self.certificate, &self.key]
            .into_iter()
            .chain(optional)
            .map(PathBuf::as_path)
    }

    /// When each file was last written, and how long it is.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        self.all().map(stamp).collect()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|fault| unreadable(path, "certificate", fault))?;
    if read.is_empty() {
        return Err(unreadable(path, "certificate", pem::Error::NoItemsFound));
    }
    Ok(read)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|fault| TlsFault::Authority {
                path: path.to_owned(),
                why: fault.to_string(),
            })?;
    }
    Ok(roots)
}

/// The system's own, as far as they can be read. Without any no server is believed, and the service takes calls over TLS all the same.
fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The text of the fault is left out where it could hold octets of a file.
fn unreadable(path: &Path, expected: &'static str, fault: pem::Error) -> TlsFault {
    let path = path.to_owned();
    match fault {
        pem::Error::Io(source) => TlsFault::Unreadable { path, source },
        _ => TlsFault::Empty { path, expected },
    }
}

/// The TLS in force, shared with the thread that reads its files anew.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsInForce {
    current: Arc<Mutex<Option<Arc<Tls>>>>,
}

impl TlsInForce {
    /// Reads the files, and begins the thread that looks after them every `look`. Files that cannot be used close TLS, and nothing else,
    /// until they can.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(files: TlsFiles, look: Duration) -> io::Result<TlsInForce> {
        let stamps = files.stamps();
        let loaded = match files.load() {
            Ok(tls) => Some(Arc::new(tls)),
            Err(fault) => {
                tracing::error!("no call can come or go over TLS: {fault}");
                None
            }
        };
        let current = Arc::new(Mutex::new(loaded));
        let watched = Arc::downgrade(&current);
        thread::Builder::new()
            .name("tls-files".to_owned())
            .spawn(move || {
                let mut stamps = stamps;
                loop {
                    thread::park_timeout(look);
                    let Some(current) = watched.upgrade() else {
                        return;
                    };
                    let now = files.stamps();
                    if now != stamps {
                        stamps = now;
                        renew(&files, &current);
                    }
                }
            })?;
        Ok(TlsInForce { current })
    }

    /// What new connections use; none where the files cannot be used.
    pub(super) fn get(&self) -> Option<Arc<Tls>> {
        let current = self.current.lock();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn renew(files: &TlsFiles, current: &Mutex<Option<Arc<Tls>>>) {
    match files.load() {
        Ok(tls) => {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tls));
            tracing::info!(
                "the certificate files were read anew; connections that are open keep theirs"
            );
        }
        // Half of a change may be there: certificate and key are two files.
        Err(fault) => tracing::error!(
            "the certificate files have changed and cannot be used; the earlier ones stay in force: {fault}"
        ),
    }
}

/// What a fault of a connection says of a certificate or a handshake; nothing where it is not TLS's.
pub(super) fn flaw(fault: &io::Error) -> Option<Unreachable> {
    let fault = fault.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = fault else {
        return Some(Unreachable::Handshake);
    };
    Some(match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Unreachable::CertificateDate,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Unreachable::CertificateName
        }
        _ => Unreachable::Certificate,
    })
}

/// The name a server's certificate must carry: the configured one, else the address itself.
pub(super) fn server_name(name: Option<&str>, remote: SocketAddr) -> Option<ServerName<'static>> {
    match name {
        Some(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
        None => Some(ServerName::IpAddress(remote.ip().into())),
    }
}
