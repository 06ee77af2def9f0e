//! The kinds of load, one a file.

mod compaction;
mod count;
mod errands;
mod get;
mod ground;
mod kubernetes;
mod lease_expiry;
mod lease_grant;
mod lease_keepalive;
mod lease_revoke;
mod list;
mod mixed;
mod objects;
mod page;
mod put;
mod range_stream;
mod txn_create;
mod txn_delete;
mod txn_update;
mod watch;
mod watch_idle;

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::ScenarioName;
use crate::load::{self, Plan};
use crate::report::RunReport;
pub(crate) use compaction::{BEFORE, WHILE};
pub(crate) use errands::{fill_and_list, write_unread};
use ground::Ground;
use list::Listing;

/// Runs the scenario of this name.
pub(crate) fn run(name: ScenarioName, plan: &Plan) -> Result<RunReport> {
    let ground = Ground::new(&plan.load);
    let (summary, usage) = match name {
        ScenarioName::Put => load::run(put::Put::new(ground), plan),
        ScenarioName::Get => load::run(get::Get::linearizable(ground), plan),
        ScenarioName::GetSerializable => load::run(get::Get::serializable(ground), plan),
        ScenarioName::Page => load::run(page::Page::new(ground), plan),
        ScenarioName::List => load::run(list::List::new(ground, Listing::Newest), plan),
        ScenarioName::ListKeysOnly => load::run(list::List::new(ground, Listing::KeysOnly), plan),
        ScenarioName::ListHistoric => load::run(list::List::new(ground, Listing::Historic), plan),
        ScenarioName::RangeStream => load::run(range_stream::RangeStream::new(ground), plan),
        ScenarioName::Count => load::run(count::Count::new(ground), plan),
        ScenarioName::TxnCreate => load::run(txn_create::TxnCreate::new(ground), plan),
        ScenarioName::TxnUpdate => load::run(txn_update::TxnUpdate::new(ground), plan),
        ScenarioName::TxnDelete => load::run(txn_delete::TxnDelete::new(ground), plan),
        ScenarioName::Watch => load::run(watch::Watch::new(ground), plan),
        ScenarioName::WatchIdle => load::run(watch_idle::WatchIdle::new(ground), plan),
        ScenarioName::LeaseGrant => load::run(lease_grant::LeaseGrant, plan),
        ScenarioName::LeaseKeepalive => load::run(lease_keepalive::LeaseKeepalive, plan),
        ScenarioName::LeaseRevoke => load::run(lease_revoke::LeaseRevoke::new(&plan.load), plan),
        ScenarioName::LeaseExpiry => load::run(lease_expiry::LeaseExpiry::new(ground), plan),
        ScenarioName::Compaction => load::run(compaction::Compaction::new(ground), plan),
        ScenarioName::Kubernetes => load::run(kubernetes::Kubernetes::new(ground), plan),
        ScenarioName::Mixed => load::run(mixed::Mixed::new(ground), plan),
    }?;
    Ok(RunReport::new(label(name), plan, summary, usage))
}

/// The scenario's name as the command line has it.
pub(crate) fn label(name: ScenarioName) -> String {
    name.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}
