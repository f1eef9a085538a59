//! The checks on small crates.

use super::{
    modules::Modules,
    problems_of,
    table::Table,
    tokens::{Token, tokens},
};

fn modules(files: &[(&str, &str)]) -> Modules {
    Modules::of(files.iter().map(|(path, text)| {
        let path = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        (path, tokens(text))
    }))
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    problems_of("p", &modules(files), None)
}

const ROOT: (&str, &str) = ("", "mod a; mod b; mod c;");

#[test]
fn a_planted_cycle_is_found() {
    let files = [
        ROOT,
        ("a", "use crate::b::B; pub struct A(B);"),
        ("b", "use super::c; pub struct B(c::C);"),
        ("c", "pub struct C; fn f() { crate::a::A; }"),
    ];
    assert_eq!(problems(&files), ["p: a cycle of a, b, c"]);
    let open = [ROOT, files[1], files[2], ("c", "pub struct C;")];
    assert_eq!(problems(&open), [""; 0]);
}

#[test]
fn a_name_is_used_where_it_is_defined() {
    // `b` only hands on what its children define.
    let child = "use crate::a::A; pub struct Two(A);";
    let files = [
        ROOT,
        ("a", "use crate::b::{self, One}; pub struct A(One);"),
        ("b", "mod one; mod two; pub use one::One; pub(crate) use two::Two;"),
        ("b::one", "pub struct One;"),
        ("b::two", child),
        ("c", "pub struct C;"),
    ];
    assert_eq!(problems(&files), [""; 0]);
    let mut closed = files;
    closed[1].1 = "use crate::b; pub struct A(b::Two);";
    assert_eq!(problems(&closed), ["p: a cycle of a, b::two"]);
}

#[test]
fn a_parent_with_code_may_be_in_a_cycle_with_its_child() {
    let files = [
        ("", "mod a;"),
        ("a", "mod child; pub struct A(child::Child);"),
        ("a::child", "use super::A; pub struct Child(Box<A>);"),
    ];
    assert_eq!(problems(&files), ["p: a cycle of a, a::child"]);
}

#[test]
fn a_crate_of_the_name_of_a_module_is_another_one() {
    let files = [
        ("", "mod a;"),
        ("a", "mod serde; use ::serde::Serialize; struct A(::serde::B, serde::C);"),
        ("a::serde", "use super::A; pub struct C;"),
    ];
    assert_eq!(problems(&files), ["p: a cycle of a, a::serde"]);
    let other = [files[0], ("a", "mod serde; use ::serde::Serialize; struct A;"), files[2]];
    assert_eq!(problems(&other), [""; 0]);
}

#[test]
fn tests_comments_and_texts_do_not_count() {
    let files = [
        ROOT,
        ("a", "use crate::b::B; pub struct A(B);"),
        (
            "b",
            "// use crate::a::A;
            pub struct B; const TEXT: &str = \"crate::a::A\"; const RAW: &str = r#\"crate::a::A\"#;
            #[cfg(test)] use crate::a::A;
            #[cfg(test)] mod tests { use crate::a::A; }
            fn f<'a>(c: char) { c == '\\''; c == '\"'; }",
        ),
        ("c", "mod inside { pub struct I(super::C); } pub struct C;"),
    ];
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn a_layer_uses_only_those_below_it() {
    let map = "<!-- layers of p -->\n\n```\na/     upper\n  a1   more of it\nb, c   lower\n```\n";
    let table = Table::find(map, "p").expect("a table");
    assert!(Table::find(map, "q").is_none());
    let found = |files: &[(&str, &str)]| problems_of("p", &modules(files), Some(&table));
    let (a, b) = (("a", "use crate::b::B; pub struct A(B);"), ("b", "pub struct B;"));
    assert_eq!(found(&[ROOT, a, b, ("c", "pub struct C;")]), [""; 0]);
    assert_eq!(
        found(&[ROOT, a, b, ("c", "pub struct C(crate::b::B, crate::a::A);")]),
        ["p: `c` uses `a`, which is not below it", "p: `c` uses `b`, which is not below it"]
    );
    assert_eq!(
        found(&[ROOT, a, b, ("d", "pub struct D;")]),
        ["p: `d` is in no layer of ARCHITECTURE.md", "p: ARCHITECTURE.md names `c`: no module"]
    );
}

#[test]
fn literals_end_where_they_end() {
    let words = |text: &str| {
        let words = tokens(text).into_iter().filter_map(|token| match token {
            Token::Word(word) => Some(word),
            _ => None,
        });
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        words(r##"a "b \" b" c r#"d " d"# e b'f' g '\'' h 'i' j"##),
        ["a", "c", "e", "g", "h", "j"]
    );
    assert_eq!(words("fn f<'a>(b: &'a str) { r }"), ["fn", "f", "a", "b", "a", "str", "r"]);
}
