//! `meldb version`: what this program is, and which stores it opens.

use serde_json::json;

use crate::{failure::Result, output::Output};

/// Every kind of store, and whether this build opens it.
const ENGINES: [(&str, bool); 3] =
    [("fjall", true), ("sled", cfg!(feature = "sled")), ("postgres", cfg!(feature = "postgres"))];

/// Prints the version, the engines that are built in, and the format on disk.
pub(crate) fn run(output: Output) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let engines: Vec<_> =
        ENGINES.iter().filter(|(_, is_built_in)| *is_built_in).map(|(name, _)| *name).collect();
    let format = meldb::FORMAT_VERSION;
    if output.json {
        let facts = json!({"version": version, "format": format, "engines": engines});
        return output.line(facts.to_string());
    }
    output.line(format!("meldb {version}\nformat {format}\nengines {}", engines.join(", ")))
}
