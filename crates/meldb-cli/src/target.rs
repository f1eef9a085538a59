//! Where a command works: the flags, the environment, and what they open.

use std::{env, fs, io, path::PathBuf};

use clap::Args;
use meldb::Store;

use crate::{
    backend::{Backend, Remote},
    client::{Client, ClientOptions},
    directory::{self, Missing},
    failure::{Code, Failure, Result},
    output,
};

/// The directory of a store when none is named.
pub(crate) const DEFAULT_DIR: &str = "meldb-data";

/// The flags that say where a command works.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where")]
pub(crate) struct TargetArgs {
    /// Work on the store in this directory, through its server if one runs on it
    /// [env: MELDB_DIR; default: meldb-data]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Work on the store in this database, such as postgres://USER@HOST/NAME, or @FILE that holds the
    /// URL [env: MELDB_STORE]
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    store: Option<String>,

    /// Work on a server [env: MELDB_URL]
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "store"])]
    url: Option<String>,

    /// The key for the server: @FILE, or - for the first line of standard input; given as it is,
    /// `ps` shows it to everybody on the machine [env: MELDB_KEY]
    #[arg(long, value_name = "KEY", value_parser = KeyArgument::read)]
    key: Option<KeyArgument>,

    /// Trust the certificates of this PEM file beside the system's
    #[arg(long, value_name = "FILE", env = "MELDB_CA_FILE")]
    ca_file: Option<PathBuf>,
}

/// A key, as the command line gives it.
#[derive(Clone, Debug)]
enum KeyArgument {
    /// The key, or the file that has it.
    Text(String),
    /// The key, from standard input.
    Input(String),
}

impl KeyArgument {
    /// Reads standard input for `-`: before anything else does, so that a document may follow.
    fn read(text: &str) -> Result<Self, String> {
        if text != "-" {
            return Ok(Self::Text(text.to_owned()));
        }
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        read.map_err(|error| format!("standard input cannot be read: {error}"))?;
        if line.starts_with('\u{feff}') {
            return Err(
                "standard input begins with a byte order mark; give the key without one".into()
            );
        }
        Ok(Self::Input(line.trim().to_owned()))
    }
}

enum Target {
    Directory(PathBuf),
    Database(String),
    Server(String),
}

/// The flags of a command that works on a store itself, and not on a server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where")]
pub(crate) struct StoreArgs {
    /// The directory of the store
    #[arg(long, value_name = "DIR", env = "MELDB_DIR", default_value = DEFAULT_DIR)]
    pub(crate) dir: PathBuf,

    /// The database of the store, instead of a directory: its URL, or @FILE that holds it
    #[arg(long, value_name = "URL", env = "MELDB_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
}

impl StoreArgs {
    /// Opens it, through its server if it is a directory that one runs on.
    pub(crate) async fn open(&self, missing: Missing) -> Result<Backend> {
        match &self.store {
            Some(url) => Ok(Backend::over(open_database(Store::builder(), url)?)),
            None => directory::open(&self.dir, missing).await,
        }
    }

    /// Opens it in this process, to read it.
    pub(crate) fn open_here(&self) -> Result<Store> {
        match &self.store {
            Some(url) => open_database(Store::builder(), url),
            None if directory::is_store(&self.dir)? => Ok(directory::open_to_read(&self.dir)?),
            None => Err(directory::no_store(&self.dir)),
        }
    }
}

/// Opens the store in a database.
#[cfg(feature = "postgres")]
pub(crate) fn open_database(builder: meldb::Builder, url: &str) -> Result<Store> {
    Ok(builder.postgres(&database_url(url)?)?)
}

/// Returns the URL that `text` is, or that is in the file that it names as `@FILE`.
#[cfg(feature = "postgres")]
pub(crate) fn database_url(text: &str) -> Result<String> {
    let Some(path) = text.strip_prefix('@') else {
        if let Some((scheme, _)) = text.split_once("://")
            && !["postgres", "postgresql"].contains(&scheme)
        {
            let message = format!("a store cannot be in a database of {scheme}://");
            return Err(Failure::usage(message)
                .hint("write postgres://USER@HOST/NAME, or give a directory with --dir"));
        }
        if may_hold_password(text) && is_on_the_command_line(text) {
            output::warn(
                "warning: the database's password is on the command line, where `ps` shows it to everybody \
                 on this machine; give the URL as MELDB_STORE or as @FILE",
            );
        }
        return Ok(text.to_owned());
    };
    read_line_of(path, "the database's URL")
}

/// Returns whether a database's URL must not be shown as it is.
#[cfg(feature = "postgres")]
pub(crate) fn may_hold_password(url: &str) -> bool {
    !url.starts_with('@') && meldb::engine::postgres::may_hold_password(url)
}

/// Returns whether a database's URL must not be shown as it is.
#[cfg(not(feature = "postgres"))]
pub(crate) fn may_hold_password(url: &str) -> bool {
    !url.starts_with('@')
}

/// Returns whether an argument of this process holds `secret`.
#[cfg(feature = "postgres")]
fn is_on_the_command_line(secret: &str) -> bool {
    env::args_os().any(|argument| argument.to_string_lossy().contains(secret))
}

/// Returns the text of a file without the white space around it.
fn read_line_of(path: &str, what: &str) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with('\u{feff}') => {
            let message = format!("{path} begins with a byte order mark, so {what} cannot be read");
            Err(Failure::usage(message).hint("save the file as UTF-8 without one"))
        }
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Failure::io(format_args!("read {what} from {path}"), &error)),
    }
}

/// Says that this program was built without databases.
#[cfg(not(feature = "postgres"))]
pub(crate) fn open_database(_: meldb::Builder, _: &str) -> Result<Store> {
    Err(meldb::Error::EngineUnavailable { engine: "postgres".to_owned() }.into())
}

/// Returns the URL of a database without its password, to be shown.
pub(crate) fn shown(url: &str) -> String {
    if url.starts_with('@') {
        return url.to_owned();
    }
    #[cfg(feature = "postgres")]
    if let Ok(shown) = meldb::engine::postgres::without_password(url) {
        return shown;
    }
    url.split('@').next_back().unwrap_or_default().to_owned()
}

impl TargetArgs {
    /// Returns the directory or server, from the flags first and the environment then.
    fn target(&self) -> Result<Target> {
        match (&self.dir, &self.store, &self.url) {
            (Some(dir), _, _) => return Ok(Target::Directory(dir.clone())),
            (None, Some(url), _) => return Ok(Target::Database(url.clone())),
            (None, None, Some(url)) => return Ok(Target::Server(url.clone())),
            (None, None, None) => {}
        }
        match (variable("MELDB_DIR")?, variable("MELDB_STORE")?, variable("MELDB_URL")?) {
            (Some(dir), None, None) => Ok(Target::Directory(dir.into())),
            (None, Some(url), None) => Ok(Target::Database(url)),
            (None, None, Some(url)) => Ok(Target::Server(url)),
            (None, None, None) => Ok(Target::Directory(DEFAULT_DIR.into())),
            (dir, store, url) => {
                let set = [
                    dir.map(|_| "MELDB_DIR"),
                    store.map(|_| "MELDB_STORE"),
                    url.map(|_| "MELDB_URL"),
                ];
                let set: Vec<_> = set.into_iter().flatten().collect();
                let all = if set.len() == 2 { "both" } else { "all" };
                Err(Failure::usage(format!("{} are {all} set", set.join(" and ")))
                    .hint("unset all but one, or choose with --dir, --store or --url"))
            }
        }
    }

    /// Returns the name of the target, for progress records and summaries.
    pub(crate) fn name(&self) -> Result<String> {
        Ok(match self.target()? {
            Target::Directory(dir) => {
                std::path::absolute(&dir).unwrap_or(dir).to_string_lossy().into_owned()
            }
            Target::Database(url) => shown(&url),
            Target::Server(url) => url,
        })
    }

    /// Opens the target.
    pub(crate) async fn open(&self, missing: Missing) -> Result<Backend> {
        match self.target()? {
            Target::Directory(dir) => directory::open(&dir, missing).await,
            Target::Database(url) => Ok(Backend::over(open_database(Store::builder(), &url)?)),
            Target::Server(url) => Ok(Backend::Remote(self.remote(url)?)),
        }
    }

    /// Returns the server: the one that is named, or the one that has the directory open. Opens nothing itself.
    pub(crate) async fn server(&self) -> Result<Remote> {
        match self.target()? {
            Target::Directory(dir) => {
                let server = Remote::connect(&directory::socket_path(&dir)).await?;
                server.ok_or_else(|| {
                    let message = format!("no server runs on {}", dir.display());
                    Failure::new(Code::Unavailable, message)
                        .hint("start one with `meldb serve`, or name one with --url")
                })
            }
            Target::Database(_) => Err(Failure::usage("a database does not say who serves it")
                .hint("name a server with --url")),
            Target::Server(url) => self.remote(url),
        }
    }

    fn remote(&self, url: String) -> Result<Remote> {
        let options =
            ClientOptions { url, key: self.key()?, ca_file: self.ca_file.clone(), socket: None };
        Ok(Remote::new(Client::new(options)?))
    }

    /// Returns who is stamped on a write, or `None` to leave it to the server.
    pub(crate) fn actor(&self, named: Option<&str>) -> Result<Option<String>> {
        match (named, self.target()?) {
            (Some(actor), _) => Ok(Some(actor.to_owned())),
            (None, Target::Server(_)) => Ok(None),
            (None, Target::Directory(_) | Target::Database(_)) => Ok(Some(user())),
        }
    }

    fn key(&self) -> Result<Option<String>> {
        let key = match &self.key {
            Some(KeyArgument::Input(key)) => return Ok(Some(key.clone())),
            Some(KeyArgument::Text(text)) => text.clone(),
            None => match variable("MELDB_KEY")? {
                Some(key) => key,
                None => return Ok(None),
            },
        };
        if let Some(path) = key.strip_prefix('@') {
            return read_line_of(path, "the key").map(Some);
        }
        if self.key.is_some() {
            output::warn(
                "warning: the key is on the command line, where `ps` shows it to everybody on this machine; \
                 give it as MELDB_KEY, --key @FILE or --key -",
            );
        }
        Ok(Some(key))
    }
}

/// Returns an environment variable; one that is empty counts as not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not UTF-8"))),
    }
}

/// Returns the name of the user at the keyboard: as the environment says, and otherwise the operating
/// system.
fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(user_of_process)
}

/// Returns the name of the user that the process runs as, or its number where that has no name.
fn user_of_process() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(id.as_str())).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid-{id}"))
}
