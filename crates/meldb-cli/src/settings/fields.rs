//! Each setting, with its flag, its environment variable and its key of the file.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use clap::{ArgAction, Args, Command, FromArgMatches as _, ValueEnum};
use meldb::limits;
use meldb_server::Budgets;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Result},
    target::DEFAULT_DIR,
    units,
};

/// What is logged by default: of the tables' own crates, which tell every step, only what is wrong.
const LOG: &str = "info,fjall=warn,lsm_tree=warn,sled=warn";

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// When it is on stable storage: it survives a power cut.
    Synced,
    /// When the operating system has it: it survives the death of the process, not a power cut.
    Buffered,
}

/// What keeps the tables of a store on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// A log-structured merge tree: durable and fast.
    Fjall,
    /// An alternative with known limits.
    Sled,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For reading.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The settings of a server.
///
/// Each field is a flag (`--sync-interval-ms`), an environment variable
/// (`MELDB_SYNC_INTERVAL_MS`) and a key of the file (`sync_interval_ms`); its comment is the help
/// of all three. Sizes and lengths of time may have a unit, such as `64MiB` or `30s`.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The store's directory, made if it is missing
    #[arg(long, env = "MELDB_DIR", value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) dir: PathBuf,

    /// Make a new store where the directory is missing or empty; --create=false refuses that, so that a
    /// path that is mistyped, or that nothing is mounted at, is an error
    #[arg(long, env = "MELDB_CREATE", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) create: bool,

    /// The database of the store, instead of a directory, such as postgres://USER@HOST/NAME, or @FILE
    /// that holds the URL; any number of servers may share one
    #[arg(long, env = "MELDB_STORE", value_name = "URL", hide_env_values = true)]
    pub(crate) store: Option<String>,

    /// The address to listen on; port 0 takes a free one, and :8080 is port 8080 of all addresses
    #[arg(long, env = "MELDB_LISTEN", value_name = "ADDR:PORT", value_parser = units::listen, default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// The engine of a new store; an existing one must have been made with it
    #[arg(long, env = "MELDB_ENGINE", value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,

    /// When a write is acknowledged
    #[arg(long, env = "MELDB_DURABILITY", value_name = "LEVEL", default_value = "synced")]
    pub(crate) durability: Durability,

    /// How often buffered writes are synced in the background, in milliseconds
    #[arg(long, env = "MELDB_SYNC_INTERVAL_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 200)]
    pub(crate) sync_interval_ms: u64,

    /// How much memory recent writes and caches take together once they are full, in bytes
    #[arg(long, env = "MELDB_MEMORY_BYTES", value_name = "BYTES", value_parser = units::size::<u64>,
          default_value_t = meldb::limits::MEMORY_BYTES)]
    pub(crate) memory_bytes: u64,

    /// How much space of the store's file system is kept for deletes, in bytes: while less is free, other
    /// writes are refused; by default 64 MiB, and at most a sixteenth of the file system
    #[arg(long, env = "MELDB_DISK_RESERVE_BYTES", value_name = "BYTES", value_parser = units::size::<u64>)]
    pub(crate) disk_reserve_bytes: Option<u64>,

    /// The longest document after a write, in bytes
    #[arg(long, env = "MELDB_DOCUMENT_BYTES_MAX", value_name = "BYTES", value_parser = units::size::<usize>,
          default_value_t = limits::DOCUMENT_BYTES_MAX)]
    pub(crate) document_bytes_max: usize,

    /// The deepest nesting of objects and arrays
    #[arg(long, env = "MELDB_DEPTH_MAX", value_name = "LEVELS", default_value_t = limits::DEPTH_MAX)]
    pub(crate) depth_max: usize,

    /// The longest member name, in bytes
    #[arg(long, env = "MELDB_MEMBER_NAME_BYTES_MAX", value_name = "BYTES", value_parser = units::size::<usize>,
          default_value_t = limits::MEMBER_NAME_BYTES_MAX)]
    pub(crate) member_name_bytes_max: usize,

    /// The most documents of a tenant that has no quota of its own; without this, any number
    #[arg(long, env = "MELDB_QUOTA_DOCUMENTS", value_name = "COUNT")]
    pub(crate) quota_documents: Option<u64>,

    /// The most bytes of documents of a tenant that has no quota of its own; without this, any number
    #[arg(long, env = "MELDB_QUOTA_BYTES", value_name = "BYTES", value_parser = units::size::<u64>)]
    pub(crate) quota_bytes: Option<u64>,

    /// How long every write is kept of collections that have no setting of their own: days, a length of time
    /// such as 12h, `forever` or `off`; without this, no writes are kept
    #[arg(long, env = "MELDB_HISTORY", value_name = "DAYS", value_parser = units::history_text)]
    pub(crate) history: Option<String>,

    /// The longest request body, in bytes; by default 64 KiB more than a document
    #[arg(long, env = "MELDB_REQUEST_BODY_BYTES_MAX", value_name = "BYTES", value_parser = units::size::<usize>)]
    pub(crate) request_body_bytes_max: Option<usize>,

    /// The longest request target and headers together, in bytes
    #[arg(long, env = "MELDB_HEADER_BYTES_MAX", value_name = "BYTES", value_parser = units::size::<usize>,
          default_value_t = meldb_http::HEADER_BYTES_MAX)]
    pub(crate) header_bytes_max: usize,

    /// Take `?bearer_token=KEY` beside the Authorization header; addresses end up in logs
    #[arg(long, env = "MELDB_QUERY_TOKEN", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = false, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) query_token: bool,

    /// How long a request may take to send its headers, in milliseconds
    #[arg(long, env = "MELDB_HEADER_TIMEOUT_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 10_000)]
    pub(crate) header_timeout_ms: u64,

    /// How long a request may take to send its body, in milliseconds
    #[arg(long, env = "MELDB_BODY_TIMEOUT_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 30_000)]
    pub(crate) body_timeout_ms: u64,

    /// How long a connection may stay open without a request, in milliseconds
    #[arg(long, env = "MELDB_IDLE_TIMEOUT_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 75_000)]
    pub(crate) idle_timeout_ms: u64,

    /// How long a client may leave an answer unread, in milliseconds; one that takes less than 1 KiB
    /// in this time loses the answer
    #[arg(long, env = "MELDB_WRITE_TIMEOUT_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 30_000)]
    pub(crate) write_timeout_ms: u64,

    /// The most connections at one time; more wait. Fewer where the limit on open files is lower
    #[arg(long, env = "MELDB_CONNECTIONS_MAX", value_name = "COUNT", default_value_t = 10_000)]
    pub(crate) connections_max: usize,

    /// The most connections of one peer (an IPv4 address or an IPv6 /64) at one time; more are
    /// closed; by default half of all. Raise it behind a proxy: all its clients are one peer
    #[arg(long, env = "MELDB_CONNECTIONS_PER_PEER_MAX", value_name = "COUNT")]
    pub(crate) connections_per_peer_max: Option<usize>,

    /// The open files that connections leave to the store, listeners and logs; by default half of
    /// the limit and 8, at most 1,280
    #[arg(long, env = "MELDB_DESCRIPTORS_RESERVED", value_name = "COUNT")]
    pub(crate) descriptors_reserved: Option<usize>,

    /// The most requests at one time on one HTTP/2 connection
    #[arg(long, env = "MELDB_STREAMS_MAX", value_name = "COUNT", default_value_t = 128)]
    pub(crate) streams_max: u32,

    /// The most requests of a key at one time, answers that are being sent included; more wait
    #[arg(long, env = "MELDB_REQUESTS_PER_KEY_MAX", value_name = "COUNT",
          default_value_t = Budgets::default().requests_per_key_max)]
    pub(crate) requests_per_key_max: NonZeroUsize,

    /// The most event streams, whole lists and backups of a key at one time; more are refused
    #[arg(long, env = "MELDB_STREAMS_PER_KEY_MAX", value_name = "COUNT",
          default_value_t = Budgets::default().streams_per_key_max)]
    pub(crate) streams_per_key_max: NonZeroUsize,

    /// The most bytes of request bodies and answers of all keys at one time; more wait
    #[arg(long, env = "MELDB_BYTES_IN_FLIGHT_MAX", value_name = "BYTES", value_parser = units::size::<NonZeroUsize>,
          default_value_t = Budgets::default().bytes_max)]
    pub(crate) bytes_in_flight_max: NonZeroUsize,

    /// The same of each key
    #[arg(long, env = "MELDB_BYTES_IN_FLIGHT_PER_KEY_MAX", value_name = "BYTES", value_parser = units::size::<NonZeroUsize>,
          default_value_t = Budgets::default().bytes_per_key_max)]
    pub(crate) bytes_in_flight_per_key_max: NonZeroUsize,

    /// How long a request waits for others of its key before it is refused, in milliseconds
    #[arg(long, env = "MELDB_BUDGET_WAIT_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 2000)]
    pub(crate) budget_wait_ms: u64,

    /// The requests a second without a valid key that a peer (an IPv4 address or an IPv6 /64) may
    /// make in the long run. Raise it behind a proxy: all its clients are one peer
    #[arg(long, env = "MELDB_UNAUTHENTICATED_PER_SECOND", value_name = "COUNT",
          default_value_t = Budgets::default().unauthenticated.per_second)]
    pub(crate) unauthenticated_per_second: NonZeroU32,

    /// The same at once after a rest
    #[arg(long, env = "MELDB_UNAUTHENTICATED_BURST", value_name = "COUNT",
          default_value_t = Budgets::default().unauthenticated.burst)]
    pub(crate) unauthenticated_burst: NonZeroU32,

    /// The requests a second that each key may make in the long run; without this, any number
    #[arg(long, env = "MELDB_RATE_LIMIT_PER_SECOND", value_name = "COUNT")]
    pub(crate) rate_limit_per_second: Option<NonZeroU32>,

    /// The requests that a key may make at once after a rest; by default as many as in a second
    #[arg(long, env = "MELDB_RATE_LIMIT_BURST", value_name = "COUNT")]
    pub(crate) rate_limit_burst: Option<NonZeroU32>,

    /// The origins whose pages may use the interface from a browser, such as https://app.example,
    /// separated by commas; exactly as browsers send them
    #[arg(long, env = "MELDB_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(default)]
    pub(crate) cors_origins: Vec<meldb_http::Origin>,

    /// Compress answers of 1 KiB and more for clients that take it
    #[arg(long, env = "MELDB_COMPRESSION", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) compression: bool,

    /// Show the description of the interface to a person at /docs
    #[arg(long, env = "MELDB_DOCS", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) docs: bool,

    /// A PEM file with the server's certificates, to serve HTTPS; read again when it changes
    #[arg(long, env = "MELDB_TLS_CERTIFICATES", value_name = "FILE")]
    pub(crate) tls_certificates: Option<PathBuf>,

    /// A PEM file with the private key of the certificate
    #[arg(long, env = "MELDB_TLS_PRIVATE_KEY", value_name = "FILE")]
    pub(crate) tls_private_key: Option<PathBuf>,

    /// Serve Prometheus metrics at /metrics on this address, without asking for a key
    #[arg(long, env = "MELDB_METRICS_LISTEN", value_name = "ADDR:PORT", value_parser = units::listen)]
    pub(crate) metrics_listen: Option<String>,

    /// How long requests in flight may take to end after SIGTERM, in milliseconds
    #[arg(long, env = "MELDB_DRAIN_TIMEOUT_MS", value_name = "MS", value_parser = units::milliseconds, default_value_t = 20_000)]
    pub(crate) drain_timeout_ms: u64,

    /// How the log on standard error is written
    #[arg(long, env = "MELDB_LOG_FORMAT", value_name = "FORMAT", default_value = "pretty")]
    pub(crate) log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, also by part, such as
    /// `warn,meldb_server=debug`
    #[arg(long, env = "MELDB_LOG", value_name = "FILTER", default_value = LOG)]
    pub(crate) log: String,

    /// Append a JSON line for every write, every operator's action and every refusal to this file,
    /// and keep them out of the log
    #[arg(long, env = "MELDB_AUDIT_LOG", value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,

    /// Refuse what belongs into the audit log while that cannot be written
    #[arg(long, env = "MELDB_AUDIT_REQUIRED", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) audit_required: bool,

    /// Audit reads as well
    #[arg(long, env = "MELDB_AUDIT_READS", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = false, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) audit_reads: bool,
}

impl Settings {
    /// Returns the defaults with what the environment says.
    pub(crate) fn from_environment() -> Result<Self> {
        let command = Self::augment_args(Command::new("settings")).no_binary_name(true);
        let matches = command.try_get_matches_from([""; 0]);
        let settings = matches.and_then(|matches| Self::from_arg_matches(&matches));
        settings.map_err(|error| Failure::usage(error.to_string()))
    }

    /// Checks what the types do not say.
    pub(super) fn check(self) -> Result<Self> {
        if self.tls_certificates.is_some() != self.tls_private_key.is_some() {
            return Err(Failure::usage("TLS needs both tls_certificates and tls_private_key"));
        }
        if self.rate_limit_burst.is_some() && self.rate_limit_per_second.is_none() {
            return Err(Failure::usage("rate_limit_burst needs rate_limit_per_second"));
        }
        if let Some(Err(message)) = self.history.as_deref().map(units::history) {
            return Err(Failure::usage(format!("history: {message}")));
        }
        let counts = [
            ("connections_max", self.connections_max as u64),
            ("connections_per_peer_max", self.connections_per_peer_max.unwrap_or(1) as u64),
            ("streams_max", u64::from(self.streams_max)),
            ("header_bytes_max", self.header_bytes_max as u64),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("sync_interval_ms", self.sync_interval_ms),
        ];
        match counts.iter().find(|(_, value)| *value == 0) {
            None => Ok(self),
            Some((name, _)) => Err(Failure::usage(format!("{name} must be at least 1"))),
        }
    }
}
