//! Mixed traffic: 30 % updates, 50 % gets, 10 % pages, 10 % creations and deletions in turn, with 10 watchers.

use anyhow::Result;
use bytes::Bytes;

use super::get::{Get, Getter};
use super::ground::Ground;
use super::page::{Page, Pager};
use super::txn_create::Creator;
use super::txn_delete::delete;
use super::txn_update::Updater;
use super::watch::Followers;
use crate::client::{CallError, Connection, Route};
use crate::keys::Random;
use crate::load::{Outcome, Scenario, Worker};

/// The first so many clients also watch.
const WATCHERS: usize = 10;

/// The scenario.
pub(crate) struct Mixed {
    get: Get,
    page: Page,
    ground: Ground,
    revisions: Vec<i64>,
    watches: Followers,
}

impl Mixed {
    /// Works on the ground's keys and creates others beside them.
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            get: Get::linearizable(ground.clone()),
            page: Page::new(ground.clone()),
            ground,
            revisions: Vec::new(),
            watches: Followers::default(),
        }
    }
}

impl Scenario for Mixed {
    type Worker = Mixer;

    async fn prepare(&mut self, connection: &Connection) -> Result<()> {
        self.revisions = self.ground.prepare_known(connection).await?;
        Ok(())
    }

    async fn worker(&self, index: usize, connections: &[Connection]) -> Result<Mixer> {
        if index < WATCHERS {
            self.watches.follow(&connections[0], &self.ground.range()).await?;
        }
        Ok(Mixer {
            update: Updater::new(&self.ground, &self.revisions, index, &connections[0])?,
            get: self.get.worker(index, connections).await?,
            page: self.page.worker(index, connections).await?,
            create: Creator::new(&self.ground, index, &connections[0])?,
            delete: connections[0].route("/etcdserverpb.KV/Txn")?,
            created: None,
            watches: self.watches.clone(),
            random: self.ground.random(index + self.ground.load.clients),
        })
    }
}

/// One client.
pub(crate) struct Mixer {
    update: Updater,
    get: Getter,
    page: Pager,
    create: Creator,
    delete: Route,
    /// The object that this client has created and not yet deleted.
    created: Option<(Bytes, i64)>,
    watches: Followers,
    random: Random,
}

impl Worker for Mixer {
    async fn step(&mut self) -> Result<Outcome, CallError> {
        self.watches.are_there()?;
        match self.random.below(100) {
            0..30 => self.update.step().await,
            30..80 => self.get.step().await,
            80..90 => self.page.step().await,
            _ => self.create_or_delete().await,
        }
    }
}

impl Mixer {
    async fn create_or_delete(&mut self) -> Result<Outcome, CallError> {
        match self.created.take() {
            None => {
                self.created = Some(self.create.create().await?);
                Ok(Outcome::Done("create"))
            }
            Some((key, revision)) => {
                delete(&mut self.delete, &key, revision).await?;
                Ok(Outcome::Done("delete"))
            }
        }
    }
}
