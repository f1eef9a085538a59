//! The settings file, and which of its keys count.

use std::path::Path;

use clap::{ArgMatches, Args, Command, parser::ValueSource};
use serde::Deserialize;
use toml::{Table, Value};

use super::fields::Settings;
use crate::{
    failure::{Failure, Result},
    units,
};

/// Returns the settings: what flags and the environment say, then the file, then the defaults.
///
/// `given` are the settings as clap has filled them and `matches` says where it took each from.
pub(crate) fn resolve(
    given: Settings,
    matches: &ArgMatches,
    file: Option<&Path>,
) -> Result<Settings> {
    let Some(path) = file else { return given.check() };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::io(format_args!("read the settings in {}", path.display()), &error)
            .hint("name the file with --config, or leave it out")
    })?;
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: {}", path.display(), error.to_string().trim_end()))
            .hint("`meldb serve --print-config` shows every key with its meaning")
    };
    let file: Table = toml::from_str(&text).map_err(|error| wrong(&error))?;
    check_keys(&file).map_err(|message| wrong(&message))?;
    let mut settings = Table::try_from(&given).map_err(|error| wrong(&error))?;
    for (key, value) in file {
        let value = in_units(&key, value).map_err(|message| wrong(&message))?;
        let source = matches.value_source(&key);
        if matches!(source, None | Some(ValueSource::DefaultValue)) {
            settings.insert(key, value);
        }
    }
    Settings::deserialize(Value::Table(settings)).map_err(|error| wrong(&error))?.check()
}

/// Returns a value that was written with its unit as the number that it is.
fn in_units(key: &str, value: Value) -> Result<Value, String> {
    let Value::String(text) = &value else { return Ok(value) };
    let known = Settings::augment_args(Command::new("settings"));
    let argument = known.get_arguments().find(|argument| argument.get_id() == key);
    let unit = argument.and_then(|argument| argument.get_value_names()?.first().cloned());
    let number = match unit.as_deref() {
        Some("BYTES") => units::size::<u64>(text),
        Some("MS") => units::milliseconds(text),
        Some("ADDR:PORT") => return Ok(Value::String(refused(key, units::listen(text))?)),
        _ => return Ok(value),
    };
    let number = i64::try_from(refused(key, number)?);
    number.map(Value::Integer).map_err(|_| format!("{key}: {text} is too much"))
}

fn refused<T>(key: &str, read: Result<T, String>) -> Result<T, String> {
    read.map_err(|message| format!("{key}: {message}"))
}

/// Returns the first key that is no setting, as the message that says so.
fn check_keys(file: &Table) -> Result<(), String> {
    let known = Settings::augment_args(Command::new("settings"));
    let names: Vec<_> = known.get_arguments().map(|argument| argument.get_id().as_str()).collect();
    match file.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!("{key} is not a setting; there are {}", names.join(", "))),
    }
}
