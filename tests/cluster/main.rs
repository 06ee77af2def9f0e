//! Bad days of a cluster: real processes that are killed, paused, cut off and given bad disks under load, and after
//! each of it the proof that nothing acknowledged was lost and nobody was told anything that was not so.

mod backups;
mod clocks;
mod disks;
mod failure_domains;
mod killed;
mod leases;
mod membership;
mod old_directories;
mod partitions;
mod paused;
mod slow_network;
mod strangers;
mod support;
mod upgrades;
