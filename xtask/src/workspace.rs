//! Where the workspace is.

use std::path::{Path, PathBuf};

/// Returns the directory of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("the package lies in the workspace").to_owned()
}
