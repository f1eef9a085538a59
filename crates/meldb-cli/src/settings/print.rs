//! The settings as a file that could be read back, for `--print-config`.

use clap::{Args, Command};
use toml::Table;

use super::fields::Settings;
use crate::{
    failure::{Failure, Result},
    target,
};

/// Returns the settings as TOML, each key behind its help. A password is left out, with its URL.
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
        let hidden = match key {
            "store" => settings.store.as_deref().is_some_and(target::may_hold_password),
            _ => false,
        };
        match table.get(key) {
            Some(_) if hidden => text.push_str(&format!(
                "# It is set, and holds a password: give it as MELDB_STORE or in a file.\n\
                 # {key} = \"@FILE\"\n\n"
            )),
            Some(value) => text.push_str(&format!("{key} = {value}\n\n")),
            None => text.push_str(&format!("# {key} =\n\n")),
        }
    }
    Ok(text.trim_end().to_owned())
}
