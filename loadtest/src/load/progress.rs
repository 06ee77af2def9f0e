//! What a run looks like while it runs: one line on a terminal, drawn over.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::pace::Window;

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// Cells of the bar.
const CELLS: usize = 24;

/// What clients count as they go.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    /// Notes operations that are done.
    pub(super) fn done(&self, operations: usize) {
        self.done.fetch_add(operations as u64, Ordering::Relaxed);
    }

    /// Notes an operation that failed.
    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The line. Dropping it wipes it away.
pub(super) struct Display {
    progress: Arc<Progress>,
    painter: Option<JoinHandle<()>>,
}

impl Display {
    /// Draws from a thread of its own, if it is wanted and there is a terminal to draw on.
    pub(super) fn start(wanted: bool, progress: &Arc<Progress>, window: Window) -> Self {
        let painter = (wanted && stderr().is_terminal()).then(|| {
            let progress = Arc::clone(progress);
            let begun = Instant::now();
            thread::spawn(move || paint(&progress, begun, window))
        });
        Self {
            progress: Arc::clone(progress),
            painter,
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.progress.over.store(true, Ordering::Relaxed);
        if let Some(painter) = self.painter.take() {
            // It cannot panic, and there would be nothing to be done about it.
            drop(painter.join());
            eprint!("\r\x1b[K");
        }
    }
}

fn paint(progress: &Progress, begun: Instant, window: Window) {
    let mut before = 0;
    while !progress.over.load(Ordering::Relaxed) {
        thread::sleep(EVERY);
        let done = progress.done.load(Ordering::Relaxed);
        let rate = (done - before) as f64 / EVERY.as_secs_f64();
        before = done;
        let failed = progress.failed.load(Ordering::Relaxed);
        eprint!("\r\x1b[K{}", line(begun, Instant::now(), window, (rate, failed)));
        // A line that cannot be drawn is not worth ending a run for.
        drop(stderr().flush());
    }
}

/// The line at one moment: a bar, the phase, the rate of the last interval and failures.
fn line(begun: Instant, now: Instant, window: Window, (rate, failed): (f64, u64)) -> String {
    let total = window.end.duration_since(begun).as_secs_f64();
    let passed = now.duration_since(begun).as_secs_f64();
    let filled = ((passed / total).min(1.0) * CELLS as f64) as usize;
    let phase = match now {
        now if now < window.start => "warming up",
        now if now < window.end => "measuring",
        _ => "last answers",
    };
    let failures = match failed {
        0 => String::new(),
        failed => format!(", {failed} FAILED"),
    };
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(CELLS - filled));
    format!("[{bar}] {passed:.1} of {total:.1} s, {phase}, {rate:.0}/s{failures}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_phase_share_and_failures() {
        let begun = Instant::now();
        let window = Window {
            start: begun + Duration::from_secs(1),
            end: begun + Duration::from_secs(4),
            open_loop: false,
        };
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        assert_eq!(
            line(begun, at(500), window, (1234.0, 0)),
            "[###.....................] 0.5 of 4.0 s, warming up, 1234/s"
        );
        assert!(line(begun, at(2000), window, (0.0, 3)).ends_with("measuring, 0/s, 3 FAILED"));
        assert!(line(begun, at(9000), window, (0.0, 0)).starts_with("[########################]"));
    }

    #[test]
    fn nothing_is_drawn_unless_it_is_wanted() {
        let window = Window {
            start: Instant::now(),
            end: Instant::now() + Duration::from_secs(60),
            open_loop: false,
        };
        let display = Display::start(false, &Arc::default(), window);
        assert!(display.painter.is_none());
    }
}
