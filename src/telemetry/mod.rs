//! The log of the process: lines in etcd's form, written by a thread of their own.

mod format;
mod outputs;

use std::io::IsTerminal;

use anyhow::{Context, Result, anyhow};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::settings::LogSettings;
use format::ZapJson;

/// What libraries have to say below this is for their authors.
const QUIET_LIBRARIES: &str = "h2=info,hyper=info,hyper_util=info,rustls=info,tower=info,mio=info,actix=info";

/// Keeps the log's thread alive; dropping it writes what is still queued.
#[must_use]
pub(crate) struct Telemetry {
    _writer: WorkerGuard,
}

/// Starts the log. Requests never wait for it: lines that the disk is too slow for are dropped.
pub(crate) fn start(settings: &LogSettings) -> Result<Telemetry> {
    let filter = filter(settings)?;
    let (writer, guard) = tracing_appender::non_blocking(outputs::open(&settings.outputs)?);
    let json = settings.json.unwrap_or_else(|| !std::io::stderr().is_terminal());
    let spans = if settings.request_spans {
        FmtSpan::CLOSE
    } else {
        FmtSpan::NONE
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_span_events(spans);
    let started = if json {
        subscriber.event_format(ZapJson).try_init()
    } else {
        subscriber.with_ansi(false).with_target(false).try_init()
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))?;
    Ok(Telemetry { _writer: guard })
}

/// A plain level is for everything but the libraries; anything else is taken as the filter that it is.
fn filter(settings: &LogSettings) -> Result<EnvFilter> {
    let given = &settings.filter;
    let mut directives = match given.contains(['=', ',']) {
        true => given.clone(),
        false => format!("{given},{QUIET_LIBRARIES}"),
    };
    if settings.request_spans {
        directives.push_str(",taffrail::door=debug");
    }
    EnvFilter::try_new(&directives).with_context(|| format!("--log-level {given:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(filter: &str) -> LogSettings {
        LogSettings {
            filter: filter.to_owned(),
            json: None,
            outputs: Vec::new(),
            request_spans: false,
        }
    }

    #[test]
    fn levels_and_filters_are_understood_and_nonsense_is_not() {
        for good in ["info", "debug", "error", "warn,taffrail=debug"] {
            assert!(filter(&settings(good)).is_ok(), "{good}");
        }
        assert!(filter(&settings("taffrail=loud")).is_err());
    }
}
