//! What is added to dqlite: raft's state, to be read from any thread, and told of when it changes.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::edit::{Change, Edit};

/// Files that are added.
const FILES: &[(&str, &str)] = &[
    ("include/taffrail.h", include_str!("../mends/taffrail.h")),
    ("src/observer.h", include_str!("../mends/observer.h")),
    ("src/observer.c", include_str!("../mends/observer.c")),
];

/// Where the node is made to use them.
const EDITS: &[Edit] = &[
    Edit {
        file: "src/server.h",
        expected: "#include \"logger.h\"\n",
        change: Change::Before("#include \"observer.h\"\n"),
    },
    Edit {
        file: "src/server.h",
        expected: "\tchar errmsg[DQLITE_ERRMSG_BUF_SIZE]; /* Last error occurred */\n",
        change: Change::Before("\tstruct observer observer;\n"),
    },
    Edit {
        file: "src/server.c",
        expected: "\tmemset(d->errmsg, 0, sizeof d->errmsg);\n",
        change: Change::Before("\tobserver__init(&d->observer, &d->raft);\n"),
    },
    // A change of state is shown before anybody hears of its consequences.
    Edit {
        file: "src/server.c",
        expected: "\tif (old_state == RAFT_LEADER && new_state != RAFT_LEADER) {\n",
        change: Change::Before("\tobserver__look(&d->observer);\n"),
    },
    Edit {
        file: "src/server.c",
        expected: "\td->raft.data = d;\n",
        change: Change::Before("\tobserver__start(&d->observer, &d->loop);\n"),
    },
    Edit {
        file: "src/server.c",
        expected: "\traft_uv_close(&s->raft_io);\n",
        change: Change::Before("\tobserver__close(&s->observer);\n"),
    },
];

/// Adds the observer to the copy of the sources.
pub fn add(source: &Path) -> Result<()> {
    for (name, text) in FILES {
        let path = source.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let added = EDITS.iter().try_for_each(|edit| edit.apply(source));
    added.map_err(|reason| format!("the observer: {reason}"))
}
