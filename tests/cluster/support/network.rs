//! A network of our own: each member in a network namespace, all of them on one bridge with the test, which runs in
//! a namespace, too. Everything is gone with the processes. Needs root, or user namespaces.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::getuid;

/// Set where the test runs in its own network.
const INSIDE: &str = "TAFFRAIL_TEST_IN_OWN_NETWORK";

/// Runs the test of this name in a network of its own: the body is run by another process, of which this one waits.
pub(crate) fn in_own_network(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        return runtime.expect("a runtime").block_on(body);
    }
    let mut command = Command::new("unshare");
    if !getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--net", "--kill-child"])
        .arg(std::env::current_exe().expect("a test"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{command:?} failed: {}",
        output.status
    );
}

/// The members' places in the network.
pub(crate) struct Network {
    /// Processes that hold the namespaces.
    holders: Vec<Child>,
}

impl Network {
    /// Places for some members.
    pub(crate) fn new(members: usize) -> Self {
        assert!(std::env::var_os(INSIDE).is_some(), "the network must be our own");
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "hub", "type", "bridge"]);
        run("ip", &["address", "add", "10.77.0.254/24", "dev", "hub"]);
        run("ip", &["link", "set", "hub", "up"]);
        let mut network = Self { holders: Vec::new() };
        for _ in 0..members {
            network.add();
        }
        network
    }

    fn add(&mut self) {
        let number = self.holders.len() + 1;
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .spawn();
        self.holders.push(holder.expect("a namespace"));
        let pid = self.holders[number - 1].id().to_string();
        wait_for_namespace(&pid);
        let cable = format!("member{number}");
        run(
            "ip",
            &[
                "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ],
        );
        run("ip", &["link", "set", &cable, "master", "hub", "up"]);
        self.inside(number - 1, &["ip", "link", "set", "lo", "up"]);
        self.inside(
            number - 1,
            &[
                "ip",
                "address",
                "add",
                &format!("10.77.0.{number}/24"),
                "dev",
                "eth0",
            ],
        );
        self.inside(number - 1, &["ip", "link", "set", "eth0", "up"]);
    }

    fn entrance(&self, member: usize) -> Vec<String> {
        let namespace = format!("--net=/proc/{}/ns/net", self.holders[member].id());
        vec!["nsenter".to_owned(), namespace]
    }

    fn inside(&self, member: usize, command: &[&str]) {
        let entrance = self.entrance(member);
        let arguments: Vec<&str> = entrance[1..]
            .iter()
            .map(String::as_str)
            .chain(command.iter().copied())
            .collect();
        run("nsenter", &arguments);
    }

    /// Each member's address, and what starts a process there.
    pub(crate) fn places(&self) -> Vec<(String, Vec<String>)> {
        let place = |member| (format!("10.77.0.{}", member + 1), self.entrance(member));
        (0..self.holders.len()).map(place).collect()
    }

    /// Lets nothing through any more between a member and some others, without a word to either.
    pub(crate) fn cut(&self, member: usize, from: &[usize]) {
        let addresses: Vec<_> = from
            .iter()
            .map(|other| format!("10.77.0.{}", other + 1))
            .collect();
        let addresses = addresses.join(", ");
        self.filter(
            member,
            &format!("ip saddr {{ {addresses} }} drop"),
            &format!("ip daddr {{ {addresses} }} drop"),
        );
    }

    /// Loses some packets of every hundred between a member and the other members, each way.
    pub(crate) fn lose(&self, member: usize, percent: u32) {
        let rule = format!("numgen random mod 100 < {percent} drop");
        self.filter(
            member,
            &format!("ip saddr != 10.77.0.254 {rule}"),
            &format!("ip daddr != 10.77.0.254 {rule}"),
        );
    }

    /// Lets everything through again.
    pub(crate) fn heal(&self, member: usize) {
        self.inside(member, &["nft", "flush", "ruleset"]);
    }

    fn filter(&self, member: usize, incoming: &str, outgoing: &str) {
        let chain = |name: &str, rule: &str| {
            format!(
                "chain {name} {{\ntype filter hook {name} priority 0; policy accept;\nmeta oifname != \"lo\" {rule}\n}}\n"
            )
        };
        let incoming = chain("input", incoming).replace("oifname", "iifname");
        let rules = format!(
            "table inet partition {{\n{incoming}{}}}\n",
            chain("output", outgoing)
        );
        let entrance = self.entrance(member);
        let mut filter = Command::new("nsenter");
        filter
            .args(&entrance[1..])
            .args(["nft", "-f", "-"])
            .stdin(Stdio::piped());
        let mut filter = filter.spawn().expect("nft: `make deps` installs it");
        let mut input = filter.stdin.take().expect("it is piped");
        input.write_all(rules.as_bytes()).expect("it is read");
        drop(input);
        assert!(filter.wait().expect("it ends").success(), "{rules}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            let _already_gone = holder.kill();
            let _already_waited = holder.wait();
        }
    }
}

/// A process is in its new namespace a moment after it was started.
fn wait_for_namespace(pid: &str) {
    let begun = Instant::now();
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    while namespace(pid).is_none() || namespace(pid) == namespace("self") {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "no network namespace: this needs root"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: `make deps` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}
