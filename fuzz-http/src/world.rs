//! A store with two tenants, and the router over it.

use axum::http::{Request, Response};
use axum::{Router, body::Body};
use bytes::Bytes;
use http_body_util::BodyExt;
use meldb::{JsonText, Store, TenantId};
use meldb_server::{Keys, NewKey, Scope, Settings, router};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// When everything happens, in epoch milliseconds.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
/// What stands in every document of the other tenant.
pub(crate) const SECRET: &str = "secret-of-beta";

pub(crate) struct World {
    pub(crate) store: Store,
    keys: Keys,
    app: Router,
    runtime: Runtime,
}

impl World {
    /// Makes `alpha` with its own document, `users/ada`, `users/bob` and `bots/hal`, and `beta` with
    /// its own and `users/ada`.
    pub(crate) fn new() -> Self {
        let store = Store::builder().clock(|| NOW_MS).in_memory().expect("a store");
        let secret = format!(r#"{{"name":"{SECRET}"}}"#);
        let ada =
            r#"{"name":"Ada","price":1.50,"tags":["a"],"versions":{"current":{"model":"m1"}}}"#;
        for (tenant, text) in [("alpha", ada), ("beta", &*secret)] {
            let tenant = store.tenant(tenant).expect("a name");
            tenant.document().put(JsonText(text)).commit("seed").expect("written");
            let users = tenant.collection("users").expect("a name");
            users.put("ada", JsonText(text)).commit("seed").expect("written");
        }
        let alpha = store.tenant("alpha").expect("a name");
        for (collection, id) in [("users", "bob"), ("bots", "hal")] {
            let documents = alpha.collection(collection).expect("a name");
            documents.put(id, JsonText(ada)).commit("seed").expect("written");
        }
        let (keys, app) = (Keys::new(&store), router(store.clone(), Settings::default()));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { store, keys, app, runtime }
    }

    /// Returns a new key as it stands in a request.
    pub(crate) fn key(&self, tenant: &str, scope: Scope) -> String {
        let tenant = TenantId::parse(tenant).expect("a name");
        let key = NewKey::new(tenant, "fuzz".parse().expect("a name"), vec![scope]);
        let (_, secret) = self.keys.create(key).expect("a key");
        format!("Bearer {}", secret.expose())
    }

    /// Sends a request, and returns the whole answer, which must not be the server's failure.
    pub(crate) fn send(&self, request: Request<Body>) -> Response<Bytes> {
        let shown = format!("{} {}", request.method(), request.uri());
        let answer = self.runtime.block_on(async {
            let answer = self.app.clone().oneshot(request).await.expect("infallible");
            let (parts, body) = answer.into_parts();
            Response::from_parts(parts, body.collect().await.expect("a body").to_bytes())
        });
        let text = String::from_utf8_lossy(answer.body());
        assert!(answer.status().as_u16() < 500, "{shown}: {} {text}", answer.status());
        if answer.status().as_u16() >= 400 && !text.is_empty() {
            let error: serde_json::Value = serde_json::from_str(&text).expect("an error as JSON");
            assert!(error["code"].is_string() && error["message"].is_string(), "{shown}: {text}");
        }
        answer
    }
}
