//! Questions to a collection: filters, orders, fields, counts, and the collections of a tenant.

use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};

use crate::support::{ALPHA, World, assert_error, json_of, request};

/// Jobs of three kinds, in a tenant whose other collections are left as they are.
fn fill(world: &World) {
    let alpha = world.store.tenant("alpha").expect("a name");
    let jobs = alpha.collection("jobs").expect("a name");
    for number in 0..30 {
        let kind = ["red", "green", "blue"][number % 3];
        let value = json!({"kind": kind, "n": number, "at": {"city": "Oslo", "zip": number}});
        jobs.put(format!("j{number:02}"), value).commit("seed").expect("written");
    }
}

fn path(of: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    format!("{ALPHA}/{of}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn next(response: &Response<Bytes>) -> Option<String> {
    let link = response.headers().get("link")?.to_str().expect("text");
    let target = link.strip_suffix(">; rel=\"next\"").and_then(|link| link.strip_prefix('<'));
    Some(target.expect("a link").to_owned())
}

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("an array").iter();
    list.map(|element| element["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_filtered_sorted_and_cut_down_page_by_page() {
    let world = World::new();
    fill(&world);
    let key = world.key(&["provisioning:jobs.read"]);
    let first = path(
        "jobs",
        &[
            ("where", "kind = \"red\""),
            ("where", "n >= 6"),
            ("sort", "-n"),
            ("fields", "n,at.city"),
            ("limit", "3"),
            ("revisions", "true"),
        ],
    );
    let (mut seen, mut uri) = (Vec::new(), Some(first));
    while let Some(asked) = uri {
        let response = world.send(request("GET", &asked, &key, "")).await;
        assert_eq!(response.status(), 200, "{asked}: {:?}", response.body());
        let plan = "access=collection, sort=memory, examined=30";
        assert_eq!(response.headers()["meldb-plan"], plan);
        let page = json_of(&response);
        for element in page.as_array().expect("an array") {
            assert_eq!(element["data"].as_object().expect("an object").len(), 2, "{element}");
            assert_eq!(element["data"]["at"], json!({"city": "Oslo"}));
            assert!(element["revision"].is_u64());
        }
        seen.extend(ids(&page));
        uri = next(&response);
    }
    assert_eq!(seen, ["j27", "j24", "j21", "j18", "j15", "j12", "j09", "j06"]);
}

#[tokio::test]
async fn without_a_limit_all_that_pass_are_streamed() {
    let world = World::new();
    fill(&world);
    let key = world.key(&["provisioning:jobs.read"]);
    for (filter, count) in [("kind = \"blue\"", 10), ("n < 0", 0), ("$id >= \"j25\"", 5)] {
        let response =
            world.send(request("GET", &path("jobs", &[("where", filter)]), &key, "")).await;
        assert_eq!(json_of(&response).as_array().map(Vec::len), Some(count), "{filter}");
    }
    let response = world.send(request("GET", &path("jobs", &[("sort", "-$id")]), &key, "")).await;
    assert_eq!(response.headers()["meldb-plan"], "access=collection, sort=id");
    assert_eq!(ids(&json_of(&response))[..2], ["j29", "j28"]);
    let head = world.send(request("HEAD", &path("jobs", &[("where", "n = 1")]), &key, "")).await;
    assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
}

#[tokio::test]
async fn a_count_tells_how_many_and_whether_that_is_all() {
    let world = World::new();
    fill(&world);
    let key = world.key(&["provisioning:jobs.read"]);
    for (parameters, count) in [(&[][..], 30), (&[("where", "kind in [\"red\",\"blue\"]")], 20)] {
        let response = world.send(request("GET", &path("jobs:count", parameters), &key, "")).await;
        assert_eq!(json_of(&response), json!({"count": count, "complete": true}));
        assert_eq!(response.headers()["meldb-plan"], "access=collection, sort=id, examined=30");
    }
    let empty = world
        .send(request("GET", &path("nothing:count", &[]), &world.key(&["provisioning:*"]), ""))
        .await;
    assert_eq!(json_of(&empty)["count"], 0);
}

#[tokio::test]
async fn what_is_no_question_is_refused_with_its_place() {
    let world = World::new();
    fill(&world);
    let key = world.key(&["provisioning:jobs.read"]);
    for (parameters, said) in [
        (
            &[("where", "kind = red")][..],
            "red is no JSON value; a text has quotes: \\\"red\\\", at line 1, column 8",
        ),
        (&[("where", "a = 1"), ("where", "b")], "expected one of"),
        (&[("sort", "-n")], "`sort` needs `limit`"),
        (
            &[("sort", "-n,,m"), ("limit", "1")],
            "the sort order is not valid: expected the name of a field",
        ),
        (&[("fields", "$id")], "$id is always told"),
        (&[("where", "n = 1"), ("after", "j01")], "`after` is for plain lists"),
        (
            &[("where", "n = 1"), ("cursor", "AAAA"), ("limit", "1")],
            "`cursor` is not one of this question",
        ),
        (&[("where", "n = 1"), ("cursor", "AAAA")], "`cursor` needs `limit`"),
        (&[("sort", "n"), ("sort", "m"), ("limit", "1")], "`sort` is given twice"),
    ] {
        let response = world.send(request("GET", &path("jobs", parameters), &key, "")).await;
        assert_error(&response, 400, "BadRequest");
        let text = String::from_utf8_lossy(response.body());
        assert!(text.contains(said), "{parameters:?}: {text}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_question_only() {
    let world = World::new();
    fill(&world);
    let key = world.key(&["provisioning:*"]);
    let asked = path("jobs", &[("where", "n > 3"), ("limit", "2")]);
    let response = world.send(request("GET", &asked, &key, "")).await;
    let link = next(&response).expect("there are more");
    assert_eq!(world.send(request("GET", &link, &key, "")).await.status(), 200);
    let cursor = link.split("cursor=").nth(1).expect("a cursor");
    for parameters in [
        vec![("where", "n > 4")],
        vec![("where", "n > 3"), ("sort", "n")],
        vec![("fields", "n")],
        vec![],
    ] {
        let other =
            format!("{}&limit=2&cursor={cursor}", path("jobs", &parameters)).replace("?&", "?");
        assert_error(&world.send(request("GET", &other, &key, "")).await, 400, "BadRequest");
    }
}

#[tokio::test]
async fn a_key_is_told_of_the_collections_that_it_may_read() {
    let world = World::new();
    fill(&world);
    let everything = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/-/collections");
    let listed = json_of(&world.send(request("GET", &uri, &everything, "")).await);
    let names = |listed: &Value| -> Vec<String> {
        let listed = listed.as_array().expect("an array").iter();
        listed.map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(names(&listed).is_sorted() && names(&listed).len() > 1, "{listed}");
    let jobs = listed.as_array().expect("an array").iter().find(|entry| entry["name"] == "jobs");
    let jobs = jobs.expect("it has documents");
    assert_eq!(jobs["documents"], 30);
    assert!(jobs["bytes"].as_u64() > Some(30 * 60), "{jobs}");

    let some = world.key(&["provisioning:jobs.read", "provisioning:users.write"]);
    let listed = json_of(&world.send(request("GET", &uri, &some, "")).await);
    assert_eq!(names(&listed), ["jobs"]);
    let none = world.key(&["changes:read"]);
    assert_error(&world.send(request("GET", &uri, &none, "")).await, 403, "PermissionDenied");

    let (mut seen, mut next_uri) = (Vec::new(), Some(format!("{uri}?limit=1")));
    while let Some(uri) = next_uri {
        let response = world.send(request("GET", &uri, &everything, "")).await;
        seen.extend(names(&json_of(&response)));
        next_uri = next(&response);
    }
    let all = names(&json_of(&world.send(request("GET", &uri, &everything, "")).await));
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_question_may_be_sent_as_a_body() {
    let world = World::new();
    fill(&world);
    let key = world.key(&["provisioning:jobs.read"]);
    let uri = format!("{ALPHA}/jobs:query");
    let filter = json!({"and": [
        {"field": "kind", "op": "=", "value": "red"},
        {"field": ["at", "zip"], "op": "<", "value": 20},
    ]});
    for filter in [filter, json!("kind = \"red\" and at.zip < 20")] {
        let asked = json!({"where": filter, "sort": "-n", "fields": "n", "limit": 5});
        let (mut seen, mut next_uri) = (Vec::new(), Some(uri.clone()));
        while let Some(uri) = next_uri {
            let response = world.send(request("POST", &uri, &key, &asked.to_string())).await;
            assert_eq!(response.status(), 200, "{:?}", response.body());
            seen.extend(ids(&json_of(&response)));
            next_uri = next(&response);
        }
        assert_eq!(seen, ["j18", "j15", "j12", "j09", "j06", "j03", "j00"]);
    }
    // No digit of a number is lost on the way.
    let exact = r#"{"where":{"field":"n","op":"=","value":3.0000000000000000000001}}"#;
    assert_eq!(json_of(&world.send(request("POST", &uri, &key, exact)).await), json!([]));
    for (body, said) in [
        ("", "empty"),
        ("[]", "not a JSON object"),
        (r#"{"where":"kind = red"}"#, "at line 1, column 8"),
        (r#"{"where":{"field":"kind"}}"#, "`field` and `op`"),
        (r#"{"where":3}"#, "`where` must be a filter"),
        (r#"{"wher":"kind = 1"}"#, "unknown field `wher`"),
        (r#"{"limit":0}"#, "`limit` must be"),
    ] {
        let response = world.send(request("POST", &uri, &key, body)).await;
        assert_error(&response, 400, "BadRequest");
        let text = String::from_utf8_lossy(response.body());
        assert!(text.contains(said), "{body}: {text}");
    }
    let write = world.key(&["provisioning:jobs.write"]);
    assert_error(&world.send(request("POST", &uri, &write, "{}")).await, 403, "PermissionDenied");
}
