//! Faults of dqlite that are mended in the build's own copy of the sources.
//!
//! A mend looks for exact text and refuses a source that has neither that text nor the mend of upstream. Each has a
//! test that fails without it: `DQLITE_WITHOUT_MEND`, names with commas between, leaves it out, to show that.

use std::env;
use std::path::Path;

use crate::Result;
use crate::edit::{Change, Edit};

/// What is wrong with the sources, and what is put right.
struct Mend {
    name: &'static str,
    edit: Edit,
    /// Whether the file shows that the release does not have the fault.
    sound: fn(&str) -> bool,
}

/// A mend that changes several places has an entry for each.
const MENDS: &[Mend] = &[
    // A new connection while the write-ahead log has more than 8,158 frames (32 MiB) fails an assertion.
    Mend {
        name: "wal-index",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\t/* If an allocation is required, then it must be aligned with the\n",
            change: Change::Before(include_str!("../mends/wal-index.c")),
        },
        sound: |file| !file.contains("PRE(region_index == f->mappedShmRegions.len);"),
    },
    // Messages between nodes of more than 500 MiB are refused; 1.18.6 had no limit.
    Mend {
        name: "long-messages",
        edit: Edit {
            file: "src/raft/uv_recv.c",
            expected: "#define MAX_PAYLOAD_LEN (500 * 1024 * 1024) /* 500 MiB */\n",
            change: Change::Instead(include_str!("../mends/long-messages.c")),
        },
        sound: |file| !file.contains("MAX_PAYLOAD_LEN"),
    },
    // A node that cannot be made leaves its VFS, which is freed, in SQLite's list.
    Mend {
        name: "failed-create",
        edit: Edit {
            file: "src/server.c",
            expected: "\treturn rv;\n}\n\nvoid dqlite__close(struct dqlite_node *d)\n",
            change: Change::Before(include_str!("../mends/failed-create.c")),
        },
        sound: |file| file.matches("sqlite3_vfs_unregister").count() > 1,
    },
    // Rows are sent 4 KiB at a time.
    Mend {
        name: "row-batches",
        edit: Edit {
            file: "src/query.c",
            expected: "\t\tif (buffer__offset(buffer) >= buffer->page_size) {\n",
            change: Change::Instead(include_str!("../mends/row-batches.c")),
        },
        sound: |_| false,
    },
    // TCP connections wait to fill packets.
    Mend {
        name: "no-delay",
        edit: Edit {
            file: "src/lib/transport.c",
            expected: "\t\t\t*stream = (struct uv_stream_s *)tcp;\n",
            change: Change::Before(include_str!("../mends/no-delay.c")),
        },
        sound: |file| file.contains("uv_tcp_nodelay"),
    },
    // SQLite checkpoints a transaction before it is replicated, and it may never be.
    Mend {
        name: "early-checkpoint",
        edit: Edit {
            file: "src/db.c",
            expected: "\t*out = conn;\n\treturn SQLITE_OK;\n",
            change: Change::Before(include_str!("../mends/early-checkpoint.c")),
        },
        sound: |file| file.contains("sqlite3_wal_autocheckpoint"),
    },
    // A dump or snapshot of a database that has become smaller writes beyond its list of pages.
    Mend {
        name: "shrunk-dump",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\tfor (unsigned i = 0; i < f->database->n_pages; i++) {\n\t\tpages[i] = f->database->pages[i];\n",
            change: Change::Instead(include_str!("../mends/shrunk-dump.c")),
        },
        sound: |_| false,
    },
    // A leader that stops while its own write is pending truncates what the others have committed.
    Mend {
        name: "canceled-append",
        edit: Edit {
            file: "src/raft/replication.c",
            expected: "\tif (status != 0) {\n\t\tif (index <= logLastIndex(r->log)) {\n\t\t\tlogTruncate(r->log, index);\n\t\t}\n",
            change: Change::Instead(include_str!("../mends/canceled-append.c")),
        },
        sound: |_| false,
    },
    // A write in some hundreds waits for a checkpoint of 4 MiB, on all nodes at once.
    Mend {
        name: "short-checkpoints",
        edit: Edit {
            file: "src/config.c",
            expected: "#define DEFAULT_CHECKPOINT_THRESHOLD 1000\n",
            change: Change::Instead(include_str!("../mends/short-checkpoints.c")),
        },
        sound: |file| !file.contains("#define DEFAULT_CHECKPOINT_THRESHOLD 1000"),
    },
    // A snapshot of the whole database follows on 1,024 transactions, however small they are.
    Mend {
        name: "sparing-snapshots",
        edit: Edit {
            file: "src/raft.h",
            expected: "\t\tuint64_t reserved[7];\n\t} snapshot;\n",
            change: Change::Instead(include_str!("../mends/sparing-snapshots-fields.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "sparing-snapshots",
        edit: Edit {
            file: "src/raft/raft.c",
            expected: "\tr->snapshot.put.data = NULL;\n",
            change: Change::Before(include_str!("../mends/sparing-snapshots-begin.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "sparing-snapshots",
        edit: Edit {
            file: "src/raft/replication.c",
            expected: "\treq = (struct raft_apply *)getRequest(r, index, RAFT_COMMAND);\n",
            change: Change::Before(include_str!("../mends/sparing-snapshots-applied.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "sparing-snapshots",
        edit: Edit {
            file: "src/raft/replication.c",
            expected: "\treturn true;\n}\n\n/*\n * When taking a snapshot, ownership",
            change: Change::Before(include_str!("../mends/sparing-snapshots-due.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "sparing-snapshots",
        edit: Edit {
            file: "src/raft/replication.c",
            expected: "\tlogSnapshot(r->log, snapshot->index, trailingSize(r, snapshot));\n",
            change: Change::Before(include_str!("../mends/sparing-snapshots-written.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "sparing-snapshots",
        edit: Edit {
            file: "src/raft/snapshot.c",
            expected: "\trv = r->fsm->restore(r->fsm, &snapshot->bufs[0]);\n",
            change: Change::Before(include_str!("../mends/sparing-snapshots-restored.c")),
        },
        sound: |_| false,
    },
    // A follower reads up to a thousand frames of its write-ahead log for each transaction it applies.
    Mend {
        name: "bare-apply",
        edit: Edit {
            file: "src/vfs.c",
            expected: "static int vfsOpenHook(sqlite3 *db,\n",
            change: Change::Before(include_str!("../mends/bare-apply-flag.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "bare-apply",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\trv = sqlite3_exec(db, \"PRAGMA synchronous=OFF\", NULL, NULL, pzErrMsg);\n",
            change: Change::Instead(include_str!("../mends/bare-apply-hook.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "bare-apply",
        edit: Edit {
            file: "src/fsm.c",
            expected: "\t\trv = db__open(db, &conn);\n\t\tif (rv != 0) {\n\t\t\ttracef(\"open follower failed %d\", rv);\n",
            change: Change::Instead(include_str!("../mends/bare-apply-open.c")),
        },
        sound: |_| false,
    },
    // A follower applies what is committed before it says that it has stored what is not.
    Mend {
        name: "prompt-answers",
        edit: Edit {
            file: "src/raft/replication.c",
            expected: "\tif (args->leader_commit > r->commit_index &&\n\t    r->last_stored >= r->commit_index) {\n\t\tr->commit_index = min(args->leader_commit, r->last_stored);\n\t\trv = replicationApply(r);\n\t\tif (rv != 0) {\n\t\t\tgoto out;\n",
            change: Change::Before(include_str!("../mends/prompt-answers-first.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "prompt-answers",
        edit: Edit {
            file: "src/raft/replication.c",
            expected: "\tresult.rejected = 0;\n\nrespond:\n",
            change: Change::Instead(include_str!("../mends/prompt-answers-once.c")),
        },
        sound: |_| false,
    },
    // Checksums are made octet by octet.
    Mend {
        name: "quick-checksums",
        edit: Edit {
            file: "src/raft/byte.c",
            expected: "unsigned byteCrc32(const void *buf, const size_t size, const unsigned init)\n",
            change: Change::Before(include_str!("../mends/quick-checksums-tables.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "quick-checksums",
        edit: Edit {
            file: "src/raft/byte.c",
            expected: "\twhile (count--) {\n\t\tcrc = (crc << 8) ^ byteCrcTable",
            change: Change::Before(include_str!("../mends/quick-checksums-loop.c")),
        },
        sound: |_| false,
    },
    // The kernel is asked for the thread some fifty times in each write.
    Mend {
        name: "known-threads",
        edit: Edit {
            file: "src/tracing.c",
            expected: "\treturn (pid_t)syscall(SYS_gettid);\n",
            change: Change::Instead(include_str!("../mends/known-threads.c")),
        },
        sound: |file| file.contains("_Thread_local pid_t"),
    },
    // Each append to the log waits until its blocks are marked as written.
    Mend {
        name: "written-segments",
        edit: Edit {
            file: "src/raft/uv_prepare.c",
            expected: "\tuv_file fd;  /* File descriptor of prepared file */\n",
            change: Change::Before(include_str!("../mends/written-segments-field.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "written-segments",
        edit: Edit {
            file: "src/raft/uv_prepare.c",
            expected: "static void uvPrepareWorkCb(uv_work_t *work)\n",
            change: Change::Before(include_str!("../mends/written-segments-zeros.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "written-segments",
        edit: Edit {
            file: "src/raft/uv_prepare.c",
            expected: "\trv = UvFsSyncDir(uv->dir, segment->errmsg);\n",
            change: Change::Before(include_str!("../mends/written-segments-prepare.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "written-segments",
        edit: Edit {
            file: "src/raft/uv_prepare.c",
            expected: "\tsprintf(segment->filename, UV__OPEN_TEMPLATE, segment->counter);\n",
            change: Change::Before(include_str!("../mends/written-segments-start.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "written-segments",
        edit: Edit {
            file: "src/raft/uv_prepare.c",
            expected: "\t/* If we are already creating a segment, let's just wait. */\n",
            change: Change::Before(include_str!("../mends/written-segments-await.c")),
        },
        sound: |_| false,
    },
    // The log is written by a thread that waits for the disk.
    Mend {
        name: "loop-writes",
        edit: Edit {
            file: "src/raft/uv_writer.c",
            expected: "\t\treq->iocb.aio_resfd = (uint32_t)w->event_fd;\n\t\treq->iocb.aio_rw_flags |= RWF_NOWAIT;\n",
            change: Change::Instead(include_str!("../mends/loop-writes.c")),
        },
        sound: |_| false,
    },
    // Each statement is executed by a thread of the pool, however brief it is.
    Mend {
        name: "brief-statements",
        edit: Edit {
            file: "src/gateway.c",
            expected: "static void handle_exec_work_cb(struct exec *exec)\n",
            change: Change::Before(include_str!("../mends/brief-statements-known.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "brief-statements",
        edit: Edit {
            file: "src/gateway.c",
            expected: "\tint rv = g->raft->io->async_work(g->raft->io, &g->work, exec_work_done);\n",
            change: Change::Before(include_str!("../mends/brief-statements.c")),
        },
        sound: |_| false,
    },
    // Nobody is served for 40 ms whenever a segment of the log is full.
    Mend {
        name: "quick-closes",
        edit: Edit {
            file: "src/raft/uv_writer.c",
            expected: "static void uvWriterCleanUpAndFireCloseCb(struct UvWriter *w)\n",
            change: Change::Before(include_str!("../mends/quick-closes-later.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "quick-closes",
        edit: Edit {
            file: "src/raft/uv_writer.c",
            expected: "\tUvOsIoDestroy(w->ctx);\n\n\tif (w->close_cb != NULL) {\n",
            change: Change::Instead(include_str!("../mends/quick-closes.c")),
        },
        sound: |_| false,
    },
    // A write in some fifty is answered only after a checkpoint.
    Mend {
        name: "late-checkpoints",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\t/* While holding the lock, check if a checkpoint should be attempted */\n\tbool checkpoint = f->database->wal.n_frames >= f->vfs->config->checkpoint_threshold;\n",
            change: Change::Instead(include_str!("../mends/late-checkpoints-due.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "late-checkpoints",
        edit: Edit {
            file: "src/vfs.c",
            expected: "int VfsCheckpoint(sqlite3 *conn)\n",
            change: Change::Before(include_str!("../mends/late-checkpoints-function.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "late-checkpoints",
        edit: Edit {
            file: "src/leader.c",
            expected: "static const char* exec_state_name(int state) {\n",
            change: Change::Before(include_str!("../mends/late-checkpoints-declared.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "late-checkpoints",
        edit: Edit {
            file: "src/leader.c",
            expected: "\t\t\t\treq = exec_dequeue(db);\n",
            change: Change::Instead(include_str!("../mends/late-checkpoints-answered.c")),
        },
        sound: |_| false,
    },
    // Writes wait for the processor while a snapshot is compressed.
    Mend {
        name: "modest-snapshots",
        edit: Edit {
            file: "src/raft/uv_snapshot.c",
            expected: "#include \"../lib/assert.h\"\n",
            change: Change::Before(include_str!("../mends/modest-snapshots-headers.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "modest-snapshots",
        edit: Edit {
            file: "src/raft/uv_snapshot.c",
            expected: "/* Finish the put request, releasing all associated memory and invoking its\n",
            change: Change::Before(include_str!("../mends/modest-snapshots-thread.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "modest-snapshots",
        edit: Edit {
            file: "src/raft/uv_snapshot.c",
            expected: "\t\t\t   uvSnapshotPutWorkCb, uvSnapshotPutAfterWorkCb);\n",
            change: Change::Instead(include_str!("../mends/modest-snapshots-start.c")),
        },
        sound: |_| false,
    },
    // A transaction maps its index of the write-ahead log four times, and moves it twice.
    Mend {
        name: "fewer-mappings",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\tint fd;     /* Read-only */\n",
            change: Change::Before(include_str!("../mends/fewer-mappings-field.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "fewer-mappings",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\t\tvoid *new_region =\n\t\t    mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE,\n\t\t\t f->database->shm.fd,\n\t\t\t regionIndex * VFS__WAL_INDEX_REGION_SIZE);\n\t\tif (new_region == MAP_FAILED) {\n\t\t\t/* This should never happen. Also, this means that we\n\t\t\t * might leave the connection in a weird state. */\n\t\t\treturn SQLITE_NOMEM;\n\t\t}\n\t\tvoid *remapped = mremap(new_region, map_size, map_size,\n\t\t\t\t\tMREMAP_MAYMOVE | MREMAP_FIXED, region);\n\t\tdqlite_assert(remapped == region);\n",
            change: Change::Instead(include_str!("../mends/fewer-mappings-redirect.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "fewer-mappings",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\tvoid *first_region_shared = mmap(NULL, map_size, PROT_READ | PROT_WRITE,\n\t\t\t\t\t MAP_SHARED, f->database->shm.fd, 0);\n\tdqlite_assert(first_region_shared != MAP_FAILED);\n",
            change: Change::Instead(include_str!("../mends/fewer-mappings-first.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "fewer-mappings",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\tvoid *remapped =\n\t    mremap(first_region_shared, map_size, map_size,\n\t\t   MREMAP_MAYMOVE | MREMAP_FIXED, f->mappedShmRegions.ptr[0]);\n",
            change: Change::Instead(include_str!("../mends/fewer-mappings-shared.c")),
        },
        sound: |_| false,
    },
    Mend {
        name: "fewer-mappings",
        edit: Edit {
            file: "src/vfs.c",
            expected: "\tint rv = close(s->fd);\n",
            change: Change::Before(include_str!("../mends/fewer-mappings-close.c")),
        },
        sound: |_| false,
    },
];

/// Lets the crate ask which mends there are, whichever library it is built with.
pub fn declare() {
    let names: Vec<_> = MENDS.iter().map(|mend| format!("{:?}", mend.name)).collect();
    println!(
        "cargo::rustc-check-cfg=cfg(dqlite_mend, values({}))",
        names.join(", ")
    );
}

/// Changes the copy of the sources.
pub fn apply(source: &Path) -> Result<()> {
    let without = left_out()?;
    for mend in MENDS.iter().filter(|mend| !without.contains(&mend.name)) {
        mend.apply(source)?;
        println!("cargo::rustc-cfg=dqlite_mend={:?}", mend.name);
    }
    Ok(())
}

/// The mends that the build is told to leave out.
fn left_out() -> Result<Vec<&'static str>> {
    println!("cargo::rerun-if-env-changed=DQLITE_WITHOUT_MEND");
    let names = env::var("DQLITE_WITHOUT_MEND").unwrap_or_default();
    let known = |name: &str| {
        let mend = MENDS.iter().find(|mend| mend.name == name);
        mend.map(|mend| mend.name)
            .ok_or_else(|| format!("DQLITE_WITHOUT_MEND: there is no mend {name:?}"))
    };
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(known)
        .collect()
}

impl Mend {
    fn apply(&self, source: &Path) -> Result<()> {
        if (self.sound)(&self.edit.read(source)?) {
            println!(
                "cargo::warning=dqlite does not need the mend {} any more",
                self.name
            );
            return Ok(());
        }
        let applied = self.edit.apply(source);
        applied.map_err(|reason| format!("the mend {}: {reason}", self.name))
    }
}
