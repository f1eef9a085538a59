//! A cursor goes on where it was given, and is refused everywhere else.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use bytes::Bytes;
use meldb_server::Scope;
use serde_json::Value;

use crate::world::World;

/// Where a cursor comes from, what is done to it, and where it is handed in.
#[derive(Arbitrary, Clone, Debug)]
pub struct Paging {
    from: Walk,
    pages: u8,
    harm: Harm,
    to: Walk,
}

/// A walk over some documents, as many at a time.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Walk {
    place: u8,
    limit: u8,
}

#[derive(Arbitrary, Clone, Debug)]
enum Harm {
    None,
    Changed(u8, u8),
    Cut(u8),
    Longer(u8),
    Replaced(Vec<u8>),
}

/// Tenant, collection, and whether it is a report.
const PLACES: [(&str, &str, bool); 6] = [
    ("alpha", "users", false),
    ("alpha", "bots", false),
    ("beta", "users", false),
    ("alpha", "users", true),
    ("alpha", "bots", true),
    ("beta", "users", true),
];
const DOCUMENTS: usize = 7;

struct Pages {
    world: World,
    keys: Vec<String>,
}

thread_local! {
    // Nothing is written here: one store does for all cases.
    static PAGES: Pages = Pages::new();
}

/// Hands a cursor in, and panics unless it is refused, or goes on where it was given.
pub fn check_page(paging: &Paging) {
    PAGES.with(|pages| pages.check(paging));
}

impl Pages {
    fn new() -> Self {
        let world = World::new();
        for (tenant, collection, _) in &PLACES[..3] {
            let tenant = world.store.tenant(*tenant).expect("a name");
            let documents = tenant.collection(*collection).expect("a name");
            for found in documents.list() {
                let id = found.expect("reads work").id().expect("a member").clone();
                documents.delete(&id).commit("seed").expect("deleted");
            }
            for number in 0..DOCUMENTS {
                let id = format!("{collection}-{number}");
                let body = serde_json::json!({"ID": id});
                documents.put(id.as_str(), body).commit("seed").expect("written");
            }
        }
        let key = |(tenant, _, is_report)| {
            let prefix = if is_report { "reporting" } else { "provisioning" };
            let scope: Scope = format!("{prefix}:read").parse().expect("a scope");
            world.key(tenant, scope)
        };
        let keys = PLACES.into_iter().map(key).collect();
        Self { world, keys }
    }

    fn check(&self, paging: &Paging) {
        let (from, to) = (paging.from.place(), paging.to.place());
        let mut cursor = None;
        let mut seen = 0;
        for _ in 0..=paging.pages % 4 {
            let (ids, next) = self.page(&paging.from, cursor.as_deref());
            seen += ids.len();
            let Some(next) = next else { return assert_eq!(seen, DOCUMENTS) };
            cursor = Some(next);
        }
        let own = cursor.expect("at least one page was read");
        let handed = paging.harm.of(own.as_bytes());
        let answer = self.send(&paging.to, Some(&handed));
        let shown = String::from_utf8_lossy(&handed).into_owned();
        if handed != own.as_bytes() || from != to {
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{shown:?} was taken");
            return;
        }
        let (ids, _) = self.read(&paging.to, &answer);
        let (_, collection, _) = PLACES[to];
        let expected =
            (seen..DOCUMENTS).take(paging.to.limit()).map(|n| format!("{collection}-{n}"));
        assert!(ids.iter().cloned().eq(expected), "{ids:?} behind {seen}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    fn page(&self, walk: &Walk, cursor: Option<&str>) -> (Vec<String>, Option<String>) {
        let answer = self.send(walk, cursor.map(str::as_bytes));
        self.read(walk, &answer)
    }

    fn send(&self, walk: &Walk, cursor: Option<&[u8]>) -> Response<Bytes> {
        let (tenant, collection, is_report) = PLACES[walk.place()];
        let limit = walk.limit();
        let cursor: Option<String> =
            cursor.map(|cursor| cursor.iter().map(|byte| format!("%{byte:02x}")).collect());
        let path = match (is_report, cursor) {
            (false, None) => format!("provisioning/tenants/{tenant}/{collection}?limit={limit}"),
            (false, Some(cursor)) => {
                format!("provisioning/tenants/{tenant}/{collection}?limit={limit}&cursor={cursor}")
            }
            (true, None) => {
                format!("reporting/tenants/{tenant}/{collection}?from=0&limit={limit}")
            }
            (true, Some(cursor)) => {
                format!("reporting/tenants/{tenant}/{collection}?limit={limit}&cursor={cursor}")
            }
        };
        let request = Request::get(format!("/api/v1/{path}"))
            .header("host", "localhost")
            .header("authorization", &self.keys[walk.place()])
            .body(Body::empty());
        self.world.send(request.expect("a request"))
    }

    /// Returns the ids of a page, and the cursor of the next one.
    fn read(&self, walk: &Walk, answer: &Response<Bytes>) -> (Vec<String>, Option<String>) {
        let (_, _, is_report) = PLACES[walk.place()];
        let text = String::from_utf8_lossy(answer.body());
        assert_eq!(answer.status(), StatusCode::OK, "{text}");
        let page: Value = serde_json::from_str(&text).expect("JSON");
        let (documents, next) = match is_report {
            true => (&page["data"], page["cursor"]["next"].as_str().map(str::to_owned)),
            false => {
                let link = answer.headers().get("link").map(|link| link.to_str().expect("ASCII"));
                let next = link.and_then(|link| link.split_once("cursor=")?.1.split_once('>'));
                (&page, next.map(|(cursor, _)| cursor.to_owned()))
            }
        };
        let id = |found: &Value| {
            let id = if is_report { &found["ID"] } else { &found["id"] };
            id.as_str().expect("an id").to_owned()
        };
        (documents.as_array().expect("an array").iter().map(id).collect(), next)
    }
}

impl Walk {
    fn place(&self) -> usize {
        usize::from(self.place) % PLACES.len()
    }

    fn limit(&self) -> usize {
        usize::from(self.limit) % DOCUMENTS + 1
    }
}

impl Harm {
    fn of(&self, cursor: &[u8]) -> Vec<u8> {
        let mut cursor = cursor.to_vec();
        match self {
            Self::None => {}
            Self::Changed(at, by) => {
                let at = usize::from(*at) % cursor.len();
                cursor[at] ^= by;
            }
            Self::Cut(to) => cursor.truncate(usize::from(*to)),
            Self::Longer(byte) => cursor.push(*byte),
            Self::Replaced(by) => cursor.clone_from(by),
        }
        cursor
    }
}
