//! Filters that are made to cost much are refused, or cost little: time and memory, asked of the process itself.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    abuse_memory::growth_of,
    process::{ALPHA, Fixture, LOOK, PATIENCE, client::Client, print_line},
};

/// The longest body that all clients send at once: of longer ones the measure would be that of any long body.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Returns filters that are too much, each with what is said about it.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let many = |count: usize| vec!["a = 1"; count].join(" and ");
    let list = |count: usize| format!("a in {}", json!((0..count).collect::<Vec<_>>()));
    let nested = |levels: usize| {
        (0..levels).fold(json!({"field": "a", "op": "exists"}), |inner, level| {
        json!({["and", "or"][level % 2]: [inner, {"field": "b", "op": "missing"}]})
    })
    };
    vec![
        ("101 conditions", json!(many(101)), "more than 100 conditions"),
        ("6,000 conditions", json!(many(6_000)), "more than"),
        ("100,000 conditions", json!(many(100_000)), "longer than"),
        ("a list of 1,001", json!(list(1_001)), "more than 1000 values"),
        ("a list of 10,000", json!(list(10_000)), "more than 1000 values"),
        ("a list of 100,000", json!(list(100_000)), "longer than"),
        ("60,000 brackets", json!("(".repeat(60_000)), "levels of brackets"),
        ("100,000 brackets", json!("(".repeat(100_000)), "longer than"),
        (
            "a path of 30,000 names",
            json!(format!("{} = 1", vec!["a"; 30_000].join("."))),
            "a path has",
        ),
        ("a value of 60,000 levels", json!(format!("a = {}", "[".repeat(60_000))), ""),
        ("17 levels of brackets", nested(18), "more than 16 levels"),
        ("500 levels in JSON", nested(250), ""),
        (
            "101 conditions in JSON",
            json!({"and": vec![json!({"field": "a", "op": "exists"}); 101]}),
            "more than 100",
        ),
        ("no condition in JSON", json!({"and": []}), ""),
    ]
}

#[test]
fn filters_that_are_too_much_are_refused_in_bounded_time_and_memory() {
    let fixture = Fixture::new();
    let mut server = fixture.serve(&["--durability", "buffered"]);
    let refused = refused();
    // A connection whose body was too long is closed.
    let (address, key) = (server.address, &fixture.key);
    let connect = || Client::connect(address, key).expect("a connection");
    let growth = growth_of(&mut server, key, |_| {
        for (name, filter, said) in &refused {
            let ask = json!({"where": filter}).to_string();
            let merge = json!({"where": filter, "patch": {"a": 1}}).to_string();
            for (path, body) in [("users:query", &ask), ("users:merge", &merge)] {
                if body.len() > BODY_BYTES_MAX {
                    continue;
                }
                let began = Instant::now();
                let answer = connect().send("POST", &format!("{ALPHA}/{path}"), body.as_bytes());
                let answer = answer.expect("an answer");
                let (text, taken) = (answer.text(), began.elapsed());
                let is_too_long = ask.len() > 128 << 10;
                assert!(matches!(answer.status, 400 | 413), "{name}: {}: {text}", answer.status);
                assert!(is_too_long || text.contains(said), "{name}: {text}");
                assert!(text.len() < 1000, "{name} is answered with {} bytes", text.len());
                assert!(taken < PATIENCE, "{name} took {taken:?}");
            }
        }
        // In an address there is less room.
        let long = "a%3D1%20and%20".repeat(2_000);
        let paths = [format!("users?where={long}"), format!("users:count?where={long}")];
        for path in paths {
            let answer = connect().send("GET", &format!("{ALPHA}/{path}"), b"").expect("an answer");
            assert_eq!(answer.status, 431, "{}", answer.text());
        }
        let several = format!("users?limit=1&{}", "where=a%3D1&".repeat(1_000));
        let answer = connect().send("GET", &format!("{ALPHA}/{several}"), b"").expect("an answer");
        assert_eq!(answer.status, 400, "{}", answer.text());
    });
    for (name, filter, _) in &refused {
        let ask = json!({"where": filter}).to_string();
        let merge = json!({"where": filter, "patch": {"a": 1}}).to_string();
        for (path, body) in [("users:query", &ask), ("users:merge", &merge)] {
            if body.len() > BODY_BYTES_MAX {
                let answer = connect().send("POST", &format!("{ALPHA}/{path}"), body.as_bytes());
                let status = answer.expect("an answer").status;
                assert!(matches!(status, 400 | 413), "{name}: {status}");
            }
        }
    }
    print_line(format_args!("filters that are too much: {} KiB more at the peak", growth >> 10));
}

/// Returns filters that are within the limits, and ask for as much as these allow.
fn allowed() -> Vec<(&'static str, String)> {
    let any = |tests: Vec<String>| format!("({})", tests.join(" or "));
    let numbered =
        |count: usize, test: &dyn Fn(usize) -> String| any((0..count).map(test).collect());
    let list = |from: usize| json!((from..from + 60).collect::<Vec<_>>());
    vec![
        ("100 fields that are missing", numbered(100, &|n| format!("f{n} = {n}"))),
        ("100 lists", numbered(100, &|n| format!("n in {}", list(1_000_000 + 60 * n)))),
        ("100 looks into an array", numbered(100, &|n| format!("tags has \"t{n}\""))),
        ("a prefix of 60,000 characters", format!("text ^= \"{}\"", "x".repeat(60_000))),
        ("100 prefixes", numbered(100, &|n| format!("text ^= \"{}{n}\"", "x".repeat(600)))),
        ("a number of 60,000 digits", format!("n = {}", "9".repeat(60_000))),
        ("what would be a regular expression", "text ^= \"(x+)+$\"".to_owned()),
        ("a path of 64 names", format!("{} = 1", vec!["deep"; 64].join("."))),
        ("100 deep paths", numbered(100, &|n| format!("{}.f{n} = 1", vec!["deep"; 60].join(".")))),
    ]
}

#[test]
fn the_most_that_a_filter_may_ask_costs_bounded_time_and_memory() {
    const DOCUMENTS: usize = 40;
    let fixture = Fixture::new();
    let mut server = fixture.serve(&["--durability", "buffered"]);
    let mut client = Client::connect(server.address, &fixture.key).expect("a connection");
    let deep = (0..60).fold(json!(0), |inner, _| json!({"deep": inner}));
    let mut document = json!({
        "text": "x".repeat(4_000), "n": 0, "tags": (0..1_000).map(|n| format!("tag-{n}")).collect::<Vec<_>>(),
    });
    document["deep"] = deep["deep"].clone();
    let operation =
        |number: usize| json!({"op": "put", "path": format!("jobs/j{number}"), "data": document});
    let batch =
        json!({"operations": (0..DOCUMENTS).map(operation).collect::<Vec<_>>()}).to_string();
    let answer = client.send("POST", &format!("{ALPHA}:batch"), batch.as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bytes = document.to_string().len() * DOCUMENTS;
    let (allowed, longest) = (allowed(), Mutex::new(BTreeMap::<_, Duration>::new()));
    let growth = growth_of(&mut server, &fixture.key, |client| {
        for (name, filter) in &allowed {
            let ask = json!({"where": filter, "limit": 1}).to_string();
            let (answer, taken) = loop {
                let began = Instant::now();
                let answer = client.send("POST", &format!("{ALPHA}/jobs:query"), ask.as_bytes());
                let answer = answer.expect("an answer");
                if answer.status != 429 {
                    break (answer, began.elapsed());
                }
                // The key has as much in flight as it may: the others' answers.
                thread::sleep(LOOK);
            };
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert!(taken < PATIENCE, "{name} took {taken:?} for {} KiB", bytes >> 10);
            let mut longest = longest.lock().expect("not poisoned");
            let longest = longest.entry(*name).or_default();
            *longest = taken.max(*longest);
        }
    });
    for (name, taken) in longest.into_inner().expect("not poisoned") {
        print_line(format_args!("{name}: {taken:?} for {} KiB", bytes >> 10));
    }
    print_line(format_args!(
        "the most that a filter may ask: {} KiB more at the peak",
        growth >> 10
    ));
}
