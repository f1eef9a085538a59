//! The settings as a file that could be read back, for `--print-config`.

use clap::{Args, Command};
use toml::Table;

use super::Settings;
use crate::failure::{Failure, Result};

/// Returns the settings as TOML, each key behind its help.
pub(crate) fn to_toml(settings: &Settings) -> Result<String> {
    let table = Table::try_from(settings)
        .map_err(|error| Failure::usage(format!("the settings cannot be written: {error}")))?;
    let known = Settings::augment_args(Command::new("settings"));
    let mut text = String::new();
    for argument in known.get_arguments() {
        let key = argument.get_id().as_str();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        match table.get(key) {
            Some(value) => text.push_str(&format!("{key} = {value}\n\n")),
            None => text.push_str(&format!("# {key} =\n\n")),
        }
    }
    Ok(text.trim_end().to_owned())
}
