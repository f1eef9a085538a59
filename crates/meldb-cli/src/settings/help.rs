//! How the settings are shown by `meldb serve --help`: in groups, and few of them by `-h`.

use clap::Arg;

/// The settings by what they are about; one that is in no group is under the heading of all settings.
const GROUPS: [(&str, &[&str]); 6] = [
    (
        "Store",
        &[
            "dir",
            "create",
            "store",
            "engine",
            "durability",
            "sync_interval_ms",
            "memory_bytes",
            "disk_reserve_bytes",
            "history",
        ],
    ),
    (
        "Listening",
        &[
            "listen",
            "tls_certificates",
            "tls_private_key",
            "metrics_listen",
            "docs",
            "compression",
            "cors_origins",
            "query_token",
        ],
    ),
    (
        "Documents and tenants",
        &[
            "document_bytes_max",
            "depth_max",
            "member_name_bytes_max",
            "quota_documents",
            "quota_bytes",
        ],
    ),
    (
        "Clients",
        &[
            "request_body_bytes_max",
            "header_bytes_max",
            "connections_max",
            "connections_per_peer_max",
            "descriptors_reserved",
            "streams_max",
            "requests_per_key_max",
            "streams_per_key_max",
            "bytes_in_flight_max",
            "bytes_in_flight_per_key_max",
            "budget_wait_ms",
            "unauthenticated_per_second",
            "unauthenticated_burst",
            "rate_limit_per_second",
            "rate_limit_burst",
        ],
    ),
    (
        "Time-outs",
        &[
            "header_timeout_ms",
            "body_timeout_ms",
            "idle_timeout_ms",
            "write_timeout_ms",
            "drain_timeout_ms",
        ],
    ),
    ("Log and audit", &["log", "log_format", "audit_log", "audit_required", "audit_reads"]),
];
/// The settings that `-h` shows.
const SHORT: [&str; 10] = [
    "dir",
    "store",
    "durability",
    "history",
    "listen",
    "tls_certificates",
    "tls_private_key",
    "metrics_listen",
    "log",
    "audit_log",
];

/// Returns the argument of a setting under the heading of its group; any other one as it is.
pub(crate) fn in_group(argument: Arg) -> Arg {
    let id = argument.get_id().as_str();
    let group = GROUPS.iter().find(|(_, ids)| ids.contains(&id));
    let is_short = SHORT.contains(&id);
    match group {
        Some((heading, _)) => argument.help_heading(*heading).hide_short_help(!is_short),
        None => argument,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn what_the_groups_name_are_settings() {
        let known = Settings::augment_args(Command::new("settings"));
        let ids: Vec<_> =
            known.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        let named = GROUPS.iter().flat_map(|(_, ids)| *ids);
        for id in named.clone().chain(&SHORT) {
            assert!(ids.contains(id), "{id} is no setting");
        }
        for id in SHORT {
            assert!(named.clone().any(|named| *named == id), "{id} is in no group");
        }
    }
}
