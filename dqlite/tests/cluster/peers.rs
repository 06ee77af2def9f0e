//! Members of a cluster on the loopback address, over TLS, each with a listener of its own.

use std::path::Path;
use std::time::Duration;

use dqlite::client::leader::{Finder, Patience};
use dqlite::client::{Client, Error, Options as ClientOptions};
use dqlite::dial::Dialer;
use dqlite::membership::{Membership, Origin, Settings, Standing, StartError};
use dqlite::proxy::serve;
use dqlite::store::DataDirectory;
use dqlite::tls::Tls;
use dqlite::wire::{Member, Role, Server};
use tempfile::{TempDir, tempdir};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::certificates::{Authority, Identity, settings};
use crate::wait::{PATIENCE, until};

/// Enough for a loaded machine, and far from what is usual.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);

/// A place for a node: its folder, its address and its certificate, which outlive the node.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    pub(crate) tls: Tls,
    /// Holds the port until a node begins to listen there.
    listener: Option<TcpListener>,
}

impl Place {
    pub(crate) async fn new(authority: &Authority) -> Self {
        Self::with(&authority.issue(), authority).await
    }

    pub(crate) async fn with(identity: &Identity, authority: &Authority) -> Self {
        // RUST_LOG=dqlite=debug tells what a test does.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_test_writer();
        let _second_of_this_process = log.try_init();
        let folder = tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = Tls::load(settings(folder.path(), identity, &authority.certificate())).unwrap();
        Self {
            address: listener.local_addr().unwrap().to_string(),
            folder,
            tls,
            listener: Some(listener),
        }
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn settings(&self, origin: Origin) -> Settings {
        let mut settings = Settings::new(&self.address, origin, Dialer::tls(self.tls.clone()));
        settings.node.network_latency = LATENCY;
        settings
    }

    /// Starts a node here.
    pub(crate) async fn start(&mut self, settings: Settings) -> Result<Peer, StartError> {
        let directory = DataDirectory::open(self.data())?;
        let membership = Membership::start(directory, settings).await?;
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => TcpListener::bind(&self.address).await.unwrap(),
        };
        let serving = serve(listener, Some(self.tls.clone()), membership.socket().clone());
        Ok(Peer {
            serving: tokio::spawn(serving),
            membership,
        })
    }

    pub(crate) async fn bootstrap(&mut self) -> Peer {
        let settings = self.settings(Origin::Bootstrap { others: Vec::new() });
        self.start(settings).await.unwrap()
    }

    pub(crate) async fn join(&mut self, peers: &[&Peer]) -> Peer {
        let members = peers
            .iter()
            .map(|peer| peer.membership.server().address.clone())
            .collect();
        let settings = self.settings(Origin::Join { members });
        self.start(settings).await.unwrap()
    }

    /// Starts a node again that was here before.
    pub(crate) async fn resume(&mut self) -> Peer {
        let settings = self.settings(Origin::Nowhere);
        self.start(settings).await.unwrap()
    }
}

/// A running member.
pub(crate) struct Peer {
    pub(crate) membership: Membership,
    serving: JoinHandle<()>,
}

impl Peer {
    pub(crate) fn id(&self) -> u64 {
        self.membership.server().id
    }

    /// Stops without giving anything away, and waits until the port is free.
    pub(crate) async fn stop(self) {
        self.membership.stop().await.unwrap();
        self.serving.await.unwrap();
    }

    pub(crate) async fn members(&self) -> Vec<Member> {
        self.membership.members(PATIENCE).await.unwrap()
    }

    /// How many members have each role: voters, standbys, spares.
    pub(crate) async fn roles(&self) -> [usize; 3] {
        let members = self.members().await;
        let count = |role| members.iter().filter(|member| member.role == role).count();
        [Role::Voter, Role::Standby, Role::Spare].map(count)
    }

    pub(crate) async fn until_roles(&self, roles: [usize; 3]) {
        until("the roles", async || (self.roles().await == roles).then_some(())).await;
    }

    pub(crate) async fn until_standing(&self, fits: impl Fn(&Standing) -> bool) {
        let mut standing = self.membership.standing();
        let reached = standing.wait_for(|standing| fits(standing));
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(
            reached.is_ok(),
            "stands at {:?}",
            self.membership.standing().borrow()
        );
    }

    /// Waits until the node's own configuration has it in this role.
    pub(crate) async fn until_configured(&self, role: Role) {
        let server = self.membership.server();
        let connector = self.membership.connector();
        let connected = Client::connect(&*connector, &server.address, ClientOptions::default()).await;
        let mut client = connected.unwrap();
        until("the role", async || {
            let members = client.cluster().await.unwrap();
            let own = members.iter().find(|member| member.id == server.id);
            own.is_some_and(|own| own.role == role).then_some(())
        })
        .await;
    }

    /// A leader of this node's knowledge that fits.
    pub(crate) async fn until_leader(&self, fits: impl Fn(&Server) -> bool) -> Server {
        let mut leader = self.membership.leader();
        let known = leader.wait_for(|leader| leader.as_ref().is_some_and(&fits));
        let known = tokio::time::timeout(PATIENCE, known)
            .await
            .expect("a leader in time");
        known.unwrap().clone().unwrap()
    }

    /// A client of the leader, with the database open.
    pub(crate) async fn client(&self) -> Client {
        let members = self.membership.known_members().await.unwrap();
        let mut finder = Finder::new(
            self.membership.connector(),
            ClientOptions::default(),
            Patience {
                least_rest: Duration::from_millis(10),
                most_rest: Duration::from_millis(10),
                ..Patience::default()
            },
        );
        until("an open database", async || {
            let mut led = finder.find(&members, PATIENCE).await.unwrap();
            led.client.open("db").await.ok().map(|()| led.client)
        })
        .await
    }

    /// Writes a text, to whoever leads, until it is certainly there.
    pub(crate) async fn write(&self, text: &str) {
        let create = "CREATE TABLE IF NOT EXISTS t (v TEXT) STRICT";
        let insert = "INSERT INTO t SELECT ? WHERE NOT EXISTS (SELECT 1 FROM t WHERE v = ?)";
        let parameters = [text.into(), text.into()];
        until("a write", async || {
            let mut client = self.client().await;
            let created = client.execute_sql(create, &[]).await;
            if let Err(Error::Sqlite { .. }) = created {
                panic!("{created:?}");
            }
            created.ok()?;
            client.execute_sql(insert, &parameters).await.ok().map(drop)
        })
        .await;
    }

    /// Whether this node's own copy of the database has a text, committed.
    pub(crate) async fn holds(&self, text: &str) -> bool {
        let address = &self.membership.server().address;
        let connector = self.membership.connector();
        let client = Client::connect(&*connector, address, ClientOptions::default()).await;
        let files = client.unwrap().dump("db", 1 << 30).await.unwrap_or_default();
        files.iter().any(|file| {
            file.content
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }

    pub(crate) async fn until_holds(&self, text: &str) {
        until("the replica", async || self.holds(text).await.then_some(())).await;
    }
}

/// Three voters.
pub(crate) struct Three {
    pub(crate) authority: Authority,
    pub(crate) places: Vec<Place>,
    pub(crate) peers: Vec<Peer>,
}

impl Three {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new("ours");
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(Place::new(&authority).await);
        }
        let first = places[0].bootstrap().await;
        let second = places[1].join(&[&first]).await;
        let third = places[2].join(&[&first]).await;
        first.until_roles([3, 0, 0]).await;
        Self {
            authority,
            places,
            peers: vec![first, second, third],
        }
    }

    /// Takes a peer out, with its place.
    pub(crate) fn take(&mut self, id: u64) -> (Place, Peer) {
        let at = self
            .peers
            .iter()
            .position(|peer| peer.id() == id)
            .expect("such a peer");
        (self.places.remove(at), self.peers.remove(at))
    }
}

/// Removes everything that raft wrote.
pub(crate) fn lose_log(data: &Path) {
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["metadata", "open", "snapshot", "0"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            std::fs::remove_file(path).unwrap();
        }
    }
}
