//! The Unix socket in a store's directory: the HTTP API for operators of the machine.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use meldb_server::{App, Listener, Operator, Peer, Server, ServerError};
use tokio::net::{UnixListener, UnixStream};

/// A socket that only its owner can open; its file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct OperatorSocket {
    listener: Operators,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that stays behind is recognised as stale, because nobody listens.
        let _ = fs::remove_file(&self.0);
    }
}

impl OperatorSocket {
    /// Listens at `path`, in place of what an earlier process left there; the caller holds the
    /// directory's lock.
    ///
    /// The socket is made in a directory of its own that nobody else may enter, and moved to its
    /// place once its mode is 0600: there is no moment at which another user could connect.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let workshop = path.with_extension("new");
        let fresh = workshop.join("s");
        match fs::remove_dir_all(&workshop) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&workshop)?;
        let bound = UnixListener::bind(&fresh).and_then(|listener| {
            fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
            fs::rename(&fresh, path)?;
            Ok(Self { listener: Operators(listener), file: SocketFile(path.to_owned()) })
        });
        fs::remove_dir_all(&workshop)?;
        bound
    }

    /// Serves `app` until `shutdown` is done, and drains as the server itself does.
    pub(crate) async fn run(
        self,
        server: Server,
        app: impl App,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let Self { listener, file } = self;
        let served = server.run(listener, app, shutdown).await;
        drop(file);
        served.map(drop)
    }
}

/// Takes connections of root and of the user that the server runs as, and of nobody else.
#[derive(Debug)]
struct Operators(UnixListener);

impl Listener for Operators {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        loop {
            let (stream, _) = self.0.accept().await?;
            let credentials = stream.peer_cred()?;
            let operator = Operator { user_id: credentials.uid(), process_id: credentials.pid() };
            if [0, rustix::process::geteuid().as_raw()].contains(&operator.user_id) {
                return Ok((stream, Peer::operator_of(operator)));
            }
            tracing::warn!(uid = operator.user_id, "another user came to the operators' socket");
        }
    }
}
