//! What a person at a terminal is told when a server starts.

use meldb_server::Keys;

use super::{Service, place};
use crate::{failure::Result, settings::Durability, units::shell_quoted};

impl Service {
    /// Returns where the store is, what a write survives, where the documentation is, and how the
    /// first key is made if there is none. It reads one key of the store.
    pub(crate) fn introduction(&self) -> Result<String> {
        let place = place(&self.settings);
        let mut lines = vec![
            format!("store       {place} ({})", self.store.engine_name()),
            format!("durability  {}", promise(self.settings.durability)),
        ];
        if self.settings.docs {
            lines.push(format!("docs        {}/docs", self.url()));
        }
        if Keys::new(&self.store).is_empty()? {
            let target = if self.settings.store.is_some() { "store" } else { "dir" };
            lines.push(format!(
                "first key   meldb keys create --{target} {} --tenant acme --name me --scope 'provisioning:*'",
                shell_quoted(&place)
            ));
        }
        Ok(lines.join("\n"))
    }
}

/// Returns what a write survives that has returned.
fn promise(durability: Durability) -> &'static str {
    match durability {
        Durability::Synced => "synced: what is acknowledged survives a power cut",
        Durability::Buffered => "buffered: a power cut may take back the last writes",
    }
}
