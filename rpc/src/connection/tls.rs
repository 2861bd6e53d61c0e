//! How a connection is encrypted: whom to trust, and what to show. The files are read for every connection, so that
//! certificates may be renewed under a running service.

use std::path::PathBuf;

use crate::Error;

#[derive(Clone, Default)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "such an address is refused"))]
pub(super) struct Tls {
    /// A file with the certificates that are trusted instead of the machine's.
    pub(super) authorities: Option<PathBuf>,
    /// Files with our own certificate and its key: both or none.
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) insecure: bool,
}

#[cfg(feature = "tls")]
impl Tls {
    /// # Errors
    ///
    /// [`Error::Config`] when a file cannot be read, or a certificate has no key.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err(Error::Config(
                "of the TLS options cert and key there is only one".to_owned(),
            ));
        }
        self.files()
            .map(drop)
            .map_err(|error| Error::Config(error.to_string()))
    }

    pub(super) fn client(&self, info: redis::ConnectionInfo) -> redis::RedisResult<redis::Client> {
        // The library panics without one. An error means that the application has chosen one itself.
        let _ = rustls::crypto::ring::default_provider().install_default();
        redis::Client::build_with_tls(info, self.files()?)
    }

    fn files(&self) -> std::io::Result<redis::TlsCertificates> {
        let identity = self.certificate.as_ref().zip(self.key.as_ref());
        let client_tls = identity.map(|(certificate, key)| {
            let (client_cert, client_key) = (read(certificate)?, read(key)?);
            std::io::Result::Ok(redis::ClientTlsConfig {
                client_cert,
                client_key,
            })
        });
        let root_cert = self.authorities.as_ref().map(read).transpose()?;
        Ok(redis::TlsCertificates {
            client_tls: client_tls.transpose()?,
            root_cert,
        })
    }
}

#[cfg(feature = "tls")]
fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    let named =
        |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    std::fs::read(path).map_err(named)
}

#[cfg(not(feature = "tls"))]
impl Tls {
    /// # Errors
    ///
    /// [`Error::Config`] always.
    pub(super) fn check(&self) -> Result<(), Error> {
        Err(Error::Config(
            "the Redis URL asks for TLS, which this build leaves out: it needs the feature `tls` of rpc"
                .to_owned(),
        ))
    }

    pub(super) fn client(&self, _: redis::ConnectionInfo) -> redis::RedisResult<redis::Client> {
        unreachable!("an address with TLS was refused")
    }
}
