//! Reaching a database: its URL, TLS, the pool, and the first statements of each connection.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
    error::SqlState,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{PostgresEngine, database::Database, failure, patience::Patience, rows, statements};
use crate::{
    engine::{EngineError, EngineErrorKind},
    types::{Error, Result},
};

/// The version of the tables that this crate reads and writes.
pub(super) const FORMAT: i32 = 2;
/// Its value until a bulk load has finished.
pub(super) const BULK_LOADING: i32 = 0;
/// The most connections of one process.
const CONNECTIONS_MAX: usize = 16;
/// The same to a coordinator: each tenant is committed apart, and a connection waits for a worker and its disk.
const CONNECTIONS_DISTRIBUTED_MAX: usize = 64;
/// How long a connection may take to be made, and a call may wait for a free one.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may be silent before the system asks whether the other side is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A database, as a URL names it.
pub(super) struct Address {
    config: Config,
    /// A file of certificates to trust beside the system's.
    root_certificates: Option<PathBuf>,
    patience: Patience,
}

impl Address {
    /// Reads a URL such as `postgres://user:password@host/database?sslrootcert=ca.pem`.
    ///
    /// Without `sslmode`, and with `prefer`, a connection that leaves this machine must be encrypted:
    /// whoever sits between could otherwise switch encryption off by answering that there is none.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (url, own) = without_own_parameters(url);
        let patience = own.statement_timeout.map_or(Ok(Patience::default()), Patience::parse)?;
        // IMPORTANT: the client's own words may hold the URL, and the URL a password.
        let mut config: Config = url.parse().map_err(|_| Error::InvalidOption {
            option: "postgres",
            reason:
                "a store in a database has a URL such as postgres://USER:PASSWORD@HOST/DATABASE"
                    .to_owned(),
        })?;
        config
            .connect_timeout(CONNECT_PATIENCE)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE / 2)
            .keepalives_retries(3)
            .tcp_user_timeout(KEEPALIVE);
        if config.get_ssl_mode() == SslMode::Prefer && !is_local(&config) {
            config.ssl_mode(SslMode::Require);
        }
        if config.get_application_name().is_none() {
            config.application_name("meldb");
        }
        Ok(Self { config, root_certificates: own.root_certificates, patience })
    }

    /// Returns the address without password, to be shown.
    pub(super) fn shown(&self) -> PathBuf {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.to_string_lossy().into_owned(),
            None => "localhost".to_owned(),
        };
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        format!("postgres://{host}/{database}").into()
    }

    /// Returns connections to the database.
    pub(super) fn connect(&self) -> Result<Database> {
        if self.config.get_ssl_mode() == SslMode::Disable && !is_local(&self.config) {
            tracing::warn!(
                database = %self.shown().display(),
                "passwords and documents cross the network in the clear: the URL has sslmode=disable"
            );
        }
        let tls = self.tls()?;
        let recycling_method = RecyclingMethod::Fast;
        let manager =
            Manager::from_config(self.config.clone(), tls, ManagerConfig { recycling_method });
        let patience = Some(CONNECT_PATIENCE);
        let limits = statements::limits(self.patience.statement(), self.patience.lock());
        Database::new(self.patience, || {
            Pool::builder(manager)
                .max_size(CONNECTIONS_MAX)
                .runtime(Runtime::Tokio1)
                .timeouts(Timeouts { wait: patience, create: patience, recycle: patience })
                .post_create(Hook::async_fn(move |client, _| {
                    let limits = limits.clone();
                    Box::pin(async move {
                        client.batch_execute(&limits).await.map_err(HookError::Backend)?;
                        for how in [statements::PLANNING, statements::PLAN_ONCE] {
                            match client.batch_execute(how).await {
                                // Another system of the same protocol plans in its own way.
                                Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                                }
                                asked => asked.map_err(HookError::Backend)?,
                            }
                        }
                        client
                            .batch_execute(statements::SYNCHRONOUS)
                            .await
                            .map_err(HookError::Backend)
                    })
                }))
                .build()
                .map_err(|error| self.unusable(&error.to_string()))
        })
    }

    /// Refuses tables of a version that this crate does not read.
    pub(super) fn check_format(&self, found: i32) -> Result<()> {
        if [FORMAT, BULK_LOADING].contains(&found) {
            return Ok(());
        }
        let (dir, supported) = (self.shown(), FORMAT.unsigned_abs());
        Err(Error::UnsupportedFormat { dir, found: found.unsigned_abs(), supported })
    }

    fn unusable(&self, reason: &str) -> Error {
        Error::NotAStore { dir: self.shown(), reason: reason.to_owned() }
    }

    /// Returns how connections are encrypted; the certificate of the server is always checked.
    fn tls(&self) -> Result<MakeRustlsConnect> {
        let mut roots = RootCertStore::empty();
        if self.config.get_ssl_mode() != SslMode::Disable {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if let Some(path) = &self.root_certificates {
                let failed = |error: &dyn std::fmt::Display| Error::InvalidOption {
                    option: "sslrootcert",
                    reason: format!("{} cannot be read: {error}", path.display()),
                };
                let file = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
                for certificate in file {
                    let certificate = certificate.map_err(|error| failed(&error))?;
                    roots.add(certificate).map_err(|error| failed(&error))?;
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable(&error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// Returns a URL of a database in a form that can be shown: host and name.
///
/// # Errors
/// [`Error::InvalidOption`] if it is none.
pub fn without_password(url: &str) -> Result<String> {
    Address::parse(url).map(|address| address.shown().to_string_lossy().into_owned())
}

/// Returns whether a URL of a database holds a password, or is none that can be read.
pub fn may_hold_password(url: &str) -> bool {
    Address::parse(url).map_or(true, |address| address.config.get_password().is_some())
}

/// Returns whether all that a URL leads to is this machine: a Unix socket, or a loopback address.
fn is_local(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => {
            let name = name.trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost")
                || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(is_here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// The parameters of a URL that the client does not know.
#[derive(Default)]
struct OwnParameters<'u> {
    root_certificates: Option<PathBuf>,
    statement_timeout: Option<&'u str>,
}

/// Takes the parameters out of a URL that the client does not know.
fn without_own_parameters(url: &str) -> (String, OwnParameters<'_>) {
    let mut own = OwnParameters::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), own) };
    let mut rest = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslrootcert", path)) => own.root_certificates = Some(PathBuf::from(path)),
            Some(("statement_timeout", time)) => own.statement_timeout = Some(time),
            _ => rest.push(parameter),
        }
    }
    match rest.is_empty() {
        true => (base.to_owned(), own),
        false => (format!("{base}?{}", rest.join("&")), own),
    }
}

impl PostgresEngine {
    /// Opens the store in a database whose tables [`migrate`](super::migrate) has made.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the URL is none; [`Error::Unavailable`] if the database cannot be
    /// reached, which may pass, and [`Error::Refused`] if it lets nobody in;
    /// [`Error::NotAStore`] and [`Error::UnsupportedFormat`] say what to do about its tables.
    pub fn open(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        let (engine, format) = Self::connect(&address)?;
        if format == BULK_LOADING {
            return Err(address.unusable(
                "what was to fill it, a restore or a copy, has not come to its end; run it again",
            ));
        }
        address.check_format(format).map(|()| engine)
    }

    /// Returns the engine of a database, and the version of its tables.
    pub(super) fn connect(address: &Address) -> Result<(Self, i32)> {
        let database = address.connect()?;
        let connections = database.connections();
        let (format, fsync) = database
            .run(async move {
                let connection = connections.get().await?;
                let format = match connection.query_opt(statements::FORMAT, &[]).await {
                    Err(error) if failure::is_about_schema(&error) => None,
                    format => format?,
                };
                let fsync = connection.query_one(statements::FSYNC, &[]).await;
                Ok((format, fsync.and_then(|columns| columns.try_get::<_, String>(0)).ok()))
            })
            .map_err(failure::Failure::into_error)?;
        let Some(format) = format else {
            return Err(
                address.unusable("its tables are missing; run `meldb migrate URL` to make them")
            );
        };
        if fsync.as_deref() == Some("off") {
            let cause = EngineError::new(EngineErrorKind::Refused, "fsync is off");
            tracing::warn!(%cause, "the database does not sync: a power cut can take back writes");
        }
        let distributed = rows::column(&format, 1)?;
        if distributed {
            database.resize(CONNECTIONS_DISTRIBUTED_MAX);
            for (worker, settings) in workers(&database) {
                tracing::warn!(
                    worker,
                    settings,
                    "the worker does not sync every commit: a power cut can take back writes"
                );
            }
        }
        let breaker = distributed.then(Arc::default);
        Ok((Self { database, distributed, breaker }, rows::column(&format, 0)?))
    }
}

/// Returns the workers of a coordinator that do not sync every commit, with their `fsync` and
/// `synchronous_commit`. What a coordinator's connections are set to does not reach them.
fn workers(database: &Database) -> Vec<(String, String)> {
    let workers = match database.query(statements::WORKERS, Arc::default()) {
        Ok(workers) => workers,
        Err(failure) => {
            tracing::debug!(%failure, "the workers' settings are not known");
            return Vec::new();
        }
    };
    let of_worker = |columns: &tokio_postgres::Row| -> Option<(String, String)> {
        Some((columns.try_get(0).ok()?, columns.try_get(1).ok()?))
    };
    let workers = workers.iter().filter_map(of_worker);
    workers.filter(|(_, settings)| does_not_sync(settings)).collect()
}

/// Returns whether a worker with these settings, `fsync` and `synchronous_commit`, may lose a commit.
fn does_not_sync(settings: &str) -> bool {
    settings.split(' ').any(|setting| setting == "off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("postgres://ada:secret@db.example/store?sslrootcert=ca.pem");
        let address = address.expect("a URL");
        assert_eq!(address.shown().to_str(), Some("postgres://db.example/store"));
        assert_eq!(address.root_certificates.as_deref(), Some("ca.pem".as_ref()));
        for wrong in ["postgres://ada:secret@db:port/x", "postgres://ada:secret@db/x?secret=1"] {
            let error = Address::parse(wrong).err().expect("no URL").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_connection_to_another_machine_is_encrypted_unless_it_is_told_not_to_be() {
        for (url, mode) in [
            ("postgres://u@db.example/d", SslMode::Require),
            ("postgres://u@db.example/d?sslmode=prefer", SslMode::Require),
            ("postgres://u@10.0.0.1/d", SslMode::Require),
            ("postgres://u@localhost,db.example/d", SslMode::Require),
            ("postgres://u@localhost/d?hostaddr=10.0.0.1", SslMode::Require),
            ("postgres://u@db.example/d?sslmode=disable", SslMode::Disable),
            ("postgres://u@localhost/d", SslMode::Prefer),
            ("postgres://u@127.0.0.1/d", SslMode::Prefer),
            ("postgres://u@[::1]/d", SslMode::Prefer),
            ("postgres://u@%2Frun%2Fpostgresql/d", SslMode::Prefer),
            ("postgres://u@localhost/d?sslmode=require", SslMode::Require),
        ] {
            let address = Address::parse(url).expect("a URL");
            assert_eq!(address.config.get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_password_is_found_wherever_the_url_has_it() {
        for (url, expected) in [
            ("postgres://ada:secret@db/x", true),
            ("postgres://ada@db/x?password=secret", true),
            ("host=db user=ada password=secret", true),
            ("postgres://ada:secret@db:port/x", true),
            ("postgres://ada@db/x", false),
            ("postgres://ada@%2Frun%2Fpostgresql/x", false),
        ] {
            assert_eq!(may_hold_password(url), expected, "{url}");
        }
    }

    #[test]
    fn a_worker_that_may_lose_a_commit_is_found() {
        for (settings, expected) in
            [("on on", false), ("on local", false), ("off on", true), ("on off", true)]
        {
            assert_eq!(does_not_sync(settings), expected, "{settings}");
        }
    }

    #[test]
    fn parameters_that_are_not_our_own_stay() {
        let url = "postgres://h/d?a=1&sslrootcert=x&b=2&statement_timeout=250";
        let (rest, own) = without_own_parameters(url);
        assert_eq!(rest, "postgres://h/d?a=1&b=2");
        assert_eq!(own.root_certificates, Some("x".into()));
        assert_eq!(own.statement_timeout, Some("250"));
        for wrong in ["0", "49", "600001", "2s", ""] {
            let url = format!("postgres://h/d?statement_timeout={wrong}");
            assert!(matches!(Address::parse(&url), Err(Error::InvalidOption { .. })), "{wrong}");
        }
    }
}
