//! Which crate may name which: the shape of the program, checked where it could bend.

use crate::metadata::Metadata;

/// Crates that must be out of reach of a crate, however far down.
const NEVER: &[(&str, &[&str])] = &[
    (
        "taffrail-model",
        &[
            "tokio",
            "tonic",
            "actix",
            "actix-rt",
            "rusqlite",
            "prost",
            "taffrail-journal",
        ],
    ),
    // It reaches tokio by way of the dqlite crate, whose client it makes blocking calls of.
    (
        "taffrail-journal",
        &["actix", "actix-rt", "tonic", "prost", "taffrail-actors"],
    ),
    (
        "taffrail-dqlite",
        &[
            "taffrail",
            "taffrail-model",
            "taffrail-journal",
            "taffrail-actors",
            "taffrail-proto",
            "actix",
            "tonic",
            "prost",
        ],
    ),
    (
        "taffrail-actors",
        &["tonic", "prost", "taffrail-proto", "taffrail"],
    ),
    (
        "taffrail-proto",
        &["taffrail-model", "taffrail-journal", "taffrail-actors", "actix"],
    ),
    (
        "dqlite-sys",
        &[
            "taffrail",
            "taffrail-model",
            "taffrail-journal",
            "taffrail-actors",
            "taffrail-proto",
            "tokio",
        ],
    ),
    (
        "taffrail-loadtest",
        &[
            "taffrail",
            "taffrail-model",
            "taffrail-journal",
            "taffrail-actors",
        ],
    ),
];

/// Crates that a crate must not name itself, though what it builds on may.
const NOT_DIRECTLY: &[(&str, &[&str])] = &[
    ("taffrail-actors", &["rusqlite"]),
    (
        "taffrail",
        &["rusqlite", "actix", "actix-rt", "crossbeam-channel"],
    ),
];

fn breaches(metadata: &Metadata, rules: &[(&str, &[&str])], directly: bool) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, forbidden) in rules {
        let needed = metadata.needed_by(name, directly);
        let reached = forbidden.iter().filter(|forbidden| needed.contains(**forbidden));
        breaches.extend(reached.map(|reached| format!("{name} must not need {reached}")));
    }
    breaches
}

#[test]
fn the_crates_point_one_way() {
    let metadata = Metadata::load();
    assert!(
        metadata.needed_by("taffrail-actors", true).contains("actix"),
        "what is needed is not seen"
    );
    assert!(
        metadata.needed_by("taffrail", false).contains("rusqlite"),
        "what is needed is not seen"
    );
    assert_eq!(breaches(&metadata, NEVER, false), Vec::<String>::new());
    assert_eq!(breaches(&metadata, NOT_DIRECTLY, true), Vec::<String>::new());
}

#[test]
fn the_load_harness_sees_what_any_client_sees() {
    let needed = Metadata::load().needed_by("taffrail-loadtest", true);
    let ours: Vec<_> = needed
        .iter()
        .filter(|name| name.starts_with("taffrail"))
        .collect();
    assert_eq!(ours, ["taffrail-proto"]);
}
