//! The script language: one command a line, words split by blanks, `\0` for a zero byte.

use std::iter::Peekable;
use std::str::SplitWhitespace;

use bytes::Bytes;
use model::{
    Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, LeaseId, Operation, Put, RangeQuery,
    Revision, SortOrder, SortTarget, Txn,
};

/// The words of a line that are still to be read.
pub struct Words<'a>(Peekable<SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    pub fn new(line: &'a str) -> Self {
        Self(line.split_whitespace().peekable())
    }

    pub fn word(&mut self) -> &'a str {
        self.0.next().expect("another word")
    }

    pub fn number(&mut self) -> i64 {
        self.word().parse().expect("a number")
    }

    /// The next word, unless it ends the operation or is an option.
    fn argument(&mut self) -> Option<&'a str> {
        self.0.next_if(|word| !ends_operation(word) && !is_option(word))
    }

    fn option(&mut self) -> Option<(&'a str, &'a str)> {
        let word = self.0.next_if(|word| !ends_operation(word))?;
        Some(word.split_once('=').unwrap_or((word, "")))
    }

    fn accept(&mut self, wanted: &str) -> bool {
        self.0.next_if(|word| *word == wanted).is_some()
    }
}

fn ends_operation(word: &str) -> bool {
    matches!(word, ";" | "then" | "else" | "end")
}

fn is_option(word: &str) -> bool {
    word.contains('=') || matches!(word, "prev" | "ignore_value" | "ignore_lease" | "count" | "keys")
}

pub fn bytes(word: &str) -> Bytes {
    Bytes::from(word.replace("\\0", "\0").replace("''", "").into_bytes())
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn key_range(words: &mut Words<'_>) -> KeyRange {
    let key = bytes(words.word());
    KeyRange::new(key, words.argument().map(bytes).unwrap_or_default())
}

pub fn put(words: &mut Words<'_>) -> Put {
    let mut put = Put {
        key: bytes(words.word()),
        ..Put::default()
    };
    put.value = words.argument().map(bytes).unwrap_or_default();
    while let Some((name, value)) = words.option() {
        match name {
            "lease" => put.lease = LeaseId(number(value)),
            "prev" => put.prev_kv = true,
            "ignore_value" => put.ignore_value = true,
            "ignore_lease" => put.ignore_lease = true,
            other => panic!("unknown option of put: {other}"),
        }
    }
    put
}

pub fn delete(words: &mut Words<'_>) -> DeleteRange {
    let range = key_range(words);
    let prev_kv = words.option().is_some_and(|(name, _)| name == "prev");
    DeleteRange { range, prev_kv }
}

pub fn range(words: &mut Words<'_>) -> RangeQuery {
    let mut query = RangeQuery::new(key_range(words));
    while let Some((name, value)) = words.option() {
        match name {
            "rev" => query.revision = Revision(number(value)),
            "limit" => query.limit = number(value),
            "order" => query.sort_order = order(value),
            "by" => query.sort_target = target(value),
            "keys" => query.keys_only = true,
            "count" => query.count_only = true,
            "min_mod" => query.min_mod_revision = Revision(number(value)),
            "max_mod" => query.max_mod_revision = Revision(number(value)),
            "min_create" => query.min_create_revision = Revision(number(value)),
            "max_create" => query.max_create_revision = Revision(number(value)),
            other => panic!("unknown option of range: {other}"),
        }
    }
    query
}

fn order(name: &str) -> SortOrder {
    match name {
        "asc" => SortOrder::Ascending,
        "desc" => SortOrder::Descending,
        other => panic!("unknown order: {other}"),
    }
}

fn target(name: &str) -> SortTarget {
    match name {
        "key" => SortTarget::Key,
        "version" => SortTarget::Version,
        "create" => SortTarget::CreateRevision,
        "mod" => SortTarget::ModRevision,
        "value" => SortTarget::Value,
        other => panic!("unknown target: {other}"),
    }
}

/// `txn if COND , COND then OP ; OP else OP end`, each part optional; OP may be a `txn` again.
pub fn txn(words: &mut Words<'_>) -> Txn {
    let mut txn = Txn::default();
    if words.accept("if") {
        loop {
            txn.compare.push(compare(words));
            if !words.accept(",") {
                break;
            }
        }
    }
    if words.accept("then") {
        txn.success = branch(words);
    }
    if words.accept("else") {
        txn.failure = branch(words);
    }
    assert!(words.accept("end"), "a txn ends with the word end");
    txn
}

fn branch(words: &mut Words<'_>) -> Vec<Operation> {
    let mut operations = vec![operation(words)];
    while words.accept(";") {
        operations.push(operation(words));
    }
    operations
}

fn operation(words: &mut Words<'_>) -> Operation {
    match words.word() {
        "put" => Operation::Put(put(words)),
        "delete" => Operation::DeleteRange(delete(words)),
        "range" => Operation::Range(range(words)),
        "txn" => Operation::Txn(txn(words)),
        "missing" => Operation::Missing,
        other => panic!("unknown operation: {other}"),
    }
}

/// `TARGET KEY[..END] RELATION WANTED`.
fn compare(words: &mut Words<'_>) -> Compare {
    let target = words.word();
    let key = words.word();
    let (key, end) = key.split_once("..").unwrap_or((key, ""));
    let relation = words.word();
    let wanted = words.word();
    Compare {
        range: KeyRange::new(bytes(key), bytes(end)),
        target: compare_target(target, wanted),
        result: compare_result(relation),
    }
}

fn compare_target(name: &str, wanted: &str) -> CompareTarget {
    match name {
        "version" => CompareTarget::Version(number(wanted)),
        "create" => CompareTarget::CreateRevision(number(wanted)),
        "mod" => CompareTarget::ModRevision(number(wanted)),
        "lease" => CompareTarget::Lease(number(wanted)),
        "value" => CompareTarget::Value(bytes(wanted)),
        "unknown" => CompareTarget::Unknown,
        other => panic!("unknown target: {other}"),
    }
}

fn compare_result(relation: &str) -> CompareResult {
    match relation {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        "?" => CompareResult::Unknown,
        other => panic!("unknown relation: {other}"),
    }
}
