//! The settings as the store and the server take them.

use std::time::Duration;

use meldb_server::{
    Audit, Budgets, Metrics, RateLimit, ServerSettings, Settings as RouterSettings, TlsFiles,
};

use super::fields::{Durability, Engine, Settings};
use crate::units;

impl Settings {
    /// Returns the options to open the store with.
    pub(crate) fn store(&self) -> meldb::Builder {
        let limits = meldb::Limits {
            document_bytes_max: self.document_bytes_max,
            depth_max: self.depth_max,
            member_name_bytes_max: self.member_name_bytes_max,
        };
        let builder = meldb::Store::builder()
            .durability(match self.durability {
                Durability::Synced => meldb::Durability::Synced,
                Durability::Buffered => meldb::Durability::Buffered,
            })
            .sync_interval(Duration::from_millis(self.sync_interval_ms))
            .memory_bytes(self.memory_bytes)
            .limits(limits)
            .quota(meldb::Quota { documents: self.quota_documents, bytes: self.quota_bytes });
        let history = self.history.as_deref().and_then(|text| units::history(text).ok());
        let builder = match history {
            None => builder,
            Some(history) => builder.history(history),
        };
        let builder = match self.disk_reserve_bytes {
            None => builder,
            Some(bytes) => builder.disk_reserve_bytes(bytes),
        };
        match self.engine {
            None => builder,
            Some(Engine::Fjall) => builder.engine(meldb::EngineKind::Fjall),
            Some(Engine::Sled) => builder.engine(meldb::EngineKind::Sled),
        }
    }

    /// Returns the settings of the routes, which count in `metrics` and tell `audit`.
    pub(crate) fn router(&self, metrics: Metrics, audit: Audit) -> RouterSettings {
        RouterSettings {
            http: meldb_http::Settings {
                request_body_bytes_max: self.request_body_bytes_max,
                body_timeout: Duration::from_millis(self.body_timeout_ms),
                header_bytes_max: self.header_bytes_max,
                query_token: self.query_token,
                cors_origins: self.cors_origins.clone(),
                compression: self.compression,
                docs: self.docs,
            },
            rate_limit: self.rate_limit_per_second.map(|per_second| RateLimit {
                per_second,
                burst: self.rate_limit_burst.unwrap_or(per_second),
            }),
            budgets: Budgets {
                requests_per_key_max: self.requests_per_key_max,
                streams_per_key_max: self.streams_per_key_max,
                bytes_per_key_max: self.bytes_in_flight_per_key_max,
                bytes_max: self.bytes_in_flight_max,
                wait: Duration::from_millis(self.budget_wait_ms),
                unauthenticated: RateLimit {
                    per_second: self.unauthenticated_per_second,
                    burst: self.unauthenticated_burst,
                },
            },
            audit,
            metrics,
        }
    }

    /// Returns the settings of the connections, which are counted in `metrics`.
    pub(crate) fn server(&self, metrics: Metrics) -> ServerSettings {
        ServerSettings {
            header_timeout: Duration::from_millis(self.header_timeout_ms),
            idle_timeout: Duration::from_millis(self.idle_timeout_ms),
            write_timeout: Duration::from_millis(self.write_timeout_ms),
            connections_max: self.connections_max,
            connections_per_peer_max: self.connections_per_peer_max,
            descriptors_reserved: self.descriptors_reserved,
            streams_max: self.streams_max,
            drain_timeout: Duration::from_millis(self.drain_timeout_ms),
            tls: self
                .tls_certificates
                .as_ref()
                .zip(self.tls_private_key.as_ref())
                .map(|(certificates, private_key)| TlsFiles::new(certificates, private_key)),
            metrics,
        }
    }
}
