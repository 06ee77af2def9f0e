//! The kinds of load, one a file.

mod count;
mod get;
mod ground;
mod lease_grant;
mod lease_keepalive;
mod lease_revoke;
mod list;
mod mixed;
mod page;
mod put;
mod txn_create;
mod txn_delete;
mod txn_update;
mod watch;

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::ScenarioName;
use crate::load::{self, Plan};
use crate::report::RunReport;
use ground::Ground;

/// Runs the scenario of this name.
pub(crate) fn run(name: ScenarioName, plan: &Plan) -> Result<RunReport> {
    let ground = Ground::new(&plan.load);
    let (summary, usage) = match name {
        ScenarioName::Put => load::run(put::Put::new(ground), plan),
        ScenarioName::Get => load::run(get::Get::linearizable(ground), plan),
        ScenarioName::GetSerializable => load::run(get::Get::serializable(ground), plan),
        ScenarioName::Page => load::run(page::Page::new(ground), plan),
        ScenarioName::List => load::run(list::List::new(ground), plan),
        ScenarioName::Count => load::run(count::Count::new(ground), plan),
        ScenarioName::TxnCreate => load::run(txn_create::TxnCreate::new(ground), plan),
        ScenarioName::TxnUpdate => load::run(txn_update::TxnUpdate::new(ground), plan),
        ScenarioName::TxnDelete => load::run(txn_delete::TxnDelete::new(ground), plan),
        ScenarioName::Watch => load::run(watch::Watch::new(ground), plan),
        ScenarioName::LeaseGrant => load::run(lease_grant::LeaseGrant, plan),
        ScenarioName::LeaseKeepalive => load::run(lease_keepalive::LeaseKeepalive, plan),
        ScenarioName::LeaseRevoke => load::run(lease_revoke::LeaseRevoke::new(&plan.load), plan),
        ScenarioName::Mixed => load::run(mixed::Mixed::new(ground), plan),
    }?;
    Ok(RunReport::new(label(name), plan, summary, usage))
}

/// The scenario's name as the command line has it.
pub(crate) fn label(name: ScenarioName) -> String {
    name.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}
