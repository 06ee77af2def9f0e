//! Tests of the real binary, from outside, as its clients and operators meet it.

mod crash;
mod data_directory;
mod everyday;
mod full_disk;
mod http_pages;
mod keepalive;
mod limits;
mod many_connections;
mod many_watches;
mod operator_commands;
mod ready;
mod reconnecting;
mod shutdown;
mod slow_reader;
mod support;
mod tls;
mod unix_socket;
