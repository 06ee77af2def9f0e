//! Which of dqlite's faults the library that is linked is known to be free of.

/// A fault of dqlite 1.18.7 that the build from sources mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// A connection that opens a database with more than 8,158 frames (32 MiB) in its write-ahead log aborts the process.
    WalIndex,
    /// A message to another node, so a snapshot or what it lacks of the log, may not be longer than 500 MiB.
    LongMessages,
    /// A node that cannot be made leaves freed memory in SQLite's list of file systems, where any connection may meet it.
    FailedCreate,
    /// Rows are sent 4 KiB at a time, which costs five sixths of the throughput of a scan.
    RowBatches,
    /// TCP connections wait to fill packets, which costs up to 40 ms a commit.
    NoDelay,
    /// A transaction of a leader that comes to be checkpointed is in the main file before it is replicated, even if
    /// that then fails.
    EarlyCheckpoint,
    /// A dump or snapshot of a database that has become smaller since the last checkpoint writes beyond its memory.
    ShrunkDump,
    /// A leader that is stopped while its disk is behind, and the others have committed without it, aborts the process.
    CanceledAppend,
    /// All frames of the write-ahead log are copied at once, after 1,000 of them, while the node answers nobody.
    ShortCheckpoints,
    /// All of a database is written after 1,024 transactions, however small they are.
    SparingSnapshots,
    /// A follower goes through its whole write-ahead log for each transaction it applies: up to 1,000 frames, a
    /// millisecond of CPU.
    BareApply,
    /// A follower applies what the leader has committed, and makes checkpoints, before it answers that it has stored what
    /// comes next.
    PromptAnswers,
    /// Checksums are made octet by octet, at 400 MB a second: of every page that is written, and of snapshots.
    QuickChecksums,
    /// Every line that is kept for a crash, 50 in a write, asks the kernel which thread it is of.
    KnownThreads,
    /// A write to the disk that the file system would not make without noting something down, on ext4 nearly each, is
    /// left to a thread that waits for it.
    LoopWrites,
    /// Each write to the disk waits until its blocks are marked as written, which may take twice as long as itself.
    WrittenSegments,
    /// A statement is handed to a thread of the pool, however brief it is.
    BriefStatements,
    /// A leader makes its checkpoints before it answers.
    LateCheckpoints,
    /// A node serves nobody for 40 ms whenever a segment of its log is full, 8 MiB.
    QuickCloses,
    /// Snapshots take the processor from writes.
    ModestSnapshots,
    /// A transaction moves mappings of memory, and every processor is interrupted for each.
    FewerMappings,
}

impl Mend {
    /// Every one.
    pub const ALL: [Self; 21] = [
        Self::WalIndex,
        Self::LongMessages,
        Self::FailedCreate,
        Self::RowBatches,
        Self::NoDelay,
        Self::EarlyCheckpoint,
        Self::ShrunkDump,
        Self::CanceledAppend,
        Self::ShortCheckpoints,
        Self::SparingSnapshots,
        Self::BareApply,
        Self::PromptAnswers,
        Self::QuickChecksums,
        Self::KnownThreads,
        Self::LoopWrites,
        Self::WrittenSegments,
        Self::BriefStatements,
        Self::LateCheckpoints,
        Self::QuickCloses,
        Self::ModestSnapshots,
        Self::FewerMappings,
    ];
}

/// Whether the library that is linked is known not to have the fault. Nothing is known of a system's library.
#[must_use]
pub const fn mended(mend: Mend) -> bool {
    match mend {
        Mend::WalIndex => cfg!(dqlite_mend = "wal-index"),
        Mend::LongMessages => cfg!(dqlite_mend = "long-messages"),
        Mend::FailedCreate => cfg!(dqlite_mend = "failed-create"),
        Mend::RowBatches => cfg!(dqlite_mend = "row-batches"),
        Mend::NoDelay => cfg!(dqlite_mend = "no-delay"),
        Mend::EarlyCheckpoint => cfg!(dqlite_mend = "early-checkpoint"),
        Mend::ShrunkDump => cfg!(dqlite_mend = "shrunk-dump"),
        Mend::CanceledAppend => cfg!(dqlite_mend = "canceled-append"),
        Mend::ShortCheckpoints => cfg!(dqlite_mend = "short-checkpoints"),
        Mend::SparingSnapshots => cfg!(dqlite_mend = "sparing-snapshots"),
        Mend::BareApply => cfg!(dqlite_mend = "bare-apply"),
        Mend::PromptAnswers => cfg!(dqlite_mend = "prompt-answers"),
        Mend::QuickChecksums => cfg!(dqlite_mend = "quick-checksums"),
        Mend::KnownThreads => cfg!(dqlite_mend = "known-threads"),
        Mend::LoopWrites => cfg!(dqlite_mend = "loop-writes"),
        Mend::WrittenSegments => cfg!(dqlite_mend = "written-segments"),
        Mend::BriefStatements => cfg!(dqlite_mend = "brief-statements"),
        Mend::LateCheckpoints => cfg!(dqlite_mend = "late-checkpoints"),
        Mend::QuickCloses => cfg!(dqlite_mend = "quick-closes"),
        Mend::ModestSnapshots => cfg!(dqlite_mend = "modest-snapshots"),
        Mend::FewerMappings => cfg!(dqlite_mend = "fewer-mappings"),
    }
}
