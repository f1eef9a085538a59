//! The layers of a crate, as `ARCHITECTURE.md` lists them.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::Modules;

/// For each module in the root its layer, 0 for the uppermost one.
pub(super) struct Table {
    layers: BTreeMap<String, usize>,
}

impl Table {
    /// Finds the table of a package: the block behind the line `<!-- layers of PACKAGE -->`.
    ///
    /// A line that begins with a name is a layer; more names of it follow behind commas. Lines that
    /// are indented explain.
    pub(super) fn find(map: &str, package: &str) -> Option<Self> {
        let (_, behind) = map.split_once(&format!("<!-- layers of {package} -->"))?;
        let block = behind.split("```").nth(1)?;
        // The first line ends what opens the block.
        let lines = block.lines().skip(1).filter(|line| line.starts_with(char::is_alphanumeric));
        let layers = lines.enumerate().flat_map(|(layer, line)| {
            let names = line.split("  ").next().unwrap_or_default();
            let names = names.split(',').map(|name| name.trim().trim_end_matches('/').to_owned());
            names.map(move |name| (name, layer))
        });
        Some(Self { layers: layers.collect() })
    }

    /// Returns one line for each module that uses what is not below it, and for each name that is in
    /// the table or in the crate alone.
    pub(super) fn problems(&self, modules: &Modules) -> Vec<String> {
        let in_crate = modules.top_level();
        let missing = in_crate.iter().filter(|name| !self.layers.contains_key(**name));
        let mut problems: Vec<_> =
            missing.map(|name| format!("`{name}` is in no layer of ARCHITECTURE.md")).collect();
        let unknown = self.layers.keys().filter(|name| !in_crate.contains(name.as_str()));
        problems.extend(unknown.map(|name| format!("ARCHITECTURE.md names `{name}`: no module")));
        let mut upwards = BTreeSet::new();
        for (module, used) in modules.uses().into_iter().enumerate() {
            for used in used {
                let Some((from, to)) = modules.top_of(module).zip(modules.top_of(used)) else {
                    continue;
                };
                let layer = |name: &str| self.layers.get(name);
                if from != to && layer(from) >= layer(to) {
                    let (module, used) = (modules.name(module), modules.name(used));
                    upwards.insert(format!("`{module}` uses `{used}`, which is not below it"));
                }
            }
        }
        problems.extend(upwards);
        problems
    }
}
