//! The wiring of the chain, back to front: of a member that is alone, and of one of several.

use std::sync::Arc;

use journal::{Identity, Journal};
use tokio::sync::{Semaphore, oneshot, watch};

use super::{Place, Places, Replayed, Settings};
use crate::batch_meter::BatchMeter;
use crate::cluster::{MemberDescription, Progress, Role, Roles};
use crate::compactor::{BeginCompaction, Compactor, CompactorMeter};
use crate::gate::Gate;
use crate::keyspace::{Followers, Keyspace, KeyspaceMeter, Replication};
use crate::leadership::{BATCHES_UNDER_WAY, Leadership, Subordinates};
use crate::lease_actor::{BeginLeases, LeaseActor, LeaseMeter, RunLeases};
use crate::mailbox::Mailbox;
use crate::member::Member;
use crate::membership::Membership;
use crate::read_index::{Confirmer, ReadIndex};
use crate::replicator::{BeginReplication, Replicator};
use crate::report::{ClusterMeters, MailboxMeters, Meters};
use crate::router::Router;
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::store::{Addresses, Store, StoreParts};
use crate::term::{TermParts, TermStarter};
use crate::watch_hub::{HubMeter, WatchHub};
use crate::write_batcher::{BatcherMeters, Tenure, WriteBatcher};
use crate::writer::WritingSide;

/// What both kinds of pipeline are built from.
struct Ground {
    shared: Arc<SharedState>,
    settings: Settings,
    meters: Arc<Meters>,
}

/// The chain of a member that is alone: it leads for life.
pub(super) fn assemble_alone<P: Place>(
    journal: Box<dyn Journal>,
    replayed: Replayed,
    places: &Places<P>,
) -> (Store, Mailbox<WriteBatcher>) {
    let identity = replayed.shared.reader().identity();
    let ground = Ground::new(replayed, identity.member_id, None);
    let followers = ground.start_followers(places);
    let keyspace = ground.start_keyspace(&followers, None, places);
    let (allocator, batcher) =
        ground
            .term_parts(keyspace)
            .start(WritingSide::Own(journal), Tenure::Life, &places.write_path);
    let roles = Roles::alone(allocator);
    let router = ground.start_router(&roles, places);
    let store = ground.build_store(identity, roles, followers.addresses(router, None));
    followers.lease_actor.tell(BeginLeases { store: store.clone() });
    followers.lease_actor.tell(RunLeases);
    followers.compactor.tell(BeginCompaction { store: store.clone() });
    (store, batcher)
}

/// The chain of a member of several: the part between router and keyspace is there while it leads.
pub(super) fn assemble_member<P: Place>(
    membership: Membership,
    description: MemberDescription,
    replayed: Replayed,
    places: &Places<P>,
) -> (Member, watch::Sender<bool>, oneshot::Receiver<()>) {
    let cluster = ClusterMeters::default();
    let ground = Ground::new(replayed, membership.identity.member_id, Some(cluster.clone()));
    let followers = ground.start_followers(places);
    let replicator = ground.start_replicator(&cluster, places);
    let keyspace = ground.start_keyspace(&followers, Some(&replicator), places);
    replicator.tell(BeginReplication {
        keyspace: keyspace.clone(),
    });
    let (role, seen) = watch::channel(Role::Waiting);
    let roles = Roles::new(seen, membership.patience);
    let read_index = ground.start_read_index(&membership, &roles, places);
    let router = ground.start_router(&roles, places);
    let addresses = followers.addresses(router, Some(read_index.clone()));
    let store = ground.build_store(membership.identity, roles, addresses);
    followers.lease_actor.tell(BeginLeases { store: store.clone() });
    followers.compactor.tell(BeginCompaction { store: store.clone() });

    let (parts, place) = (ground.term_parts(keyspace.clone()), places.write_path.clone());
    let start_term: TermStarter = Box::new(move |journal, epoch| {
        parts
            .clone()
            .start_term(journal, epoch, read_index.clone(), &place)
    });
    let leadership = Leadership {
        log: Arc::clone(&membership.log),
        members: Arc::clone(&membership.members),
        promises: Arc::clone(&membership.promises),
        claim_again: Arc::clone(&membership.claim_again),
        shared: ground.shared,
        clock: ground.settings.clock,
        role,
        subordinates: Subordinates {
            keyspace,
            lease_actor: followers.lease_actor,
            compactor: followers.compactor,
        },
        start_term,
        value_cache_bytes: ground.settings.value_cache_bytes,
        meter: cluster.leadership,
        progress: Progress::default(),
        room: Arc::new(Semaphore::new(BATCHES_UNDER_WAY as usize)),
    };
    let (stopping, stops) = watch::channel(false);
    let (done, ended) = oneshot::channel();
    places.peers.spawn(async move {
        leadership.run(stops).await;
        let _gone = done.send(());
    });
    let member = Member {
        store,
        membership,
        replicator,
        description,
    };
    (member, stopping, ended)
}

impl Followers {
    fn addresses(&self, router: Mailbox<Router>, read_index: Option<Mailbox<ReadIndex>>) -> Addresses {
        Addresses {
            router,
            lease_actor: self.lease_actor.clone(),
            watch_hub: self.watch_hub.clone(),
            compactor: self.compactor.clone(),
            read_index,
        }
    }
}

impl Ground {
    fn new(replayed: Replayed, member_id: u64, cluster: Option<ClusterMeters>) -> Self {
        let Replayed {
            shared,
            settings,
            in_use,
        } = replayed;
        let meters = Arc::new(Meters {
            mailboxes: MailboxMeters::new(),
            gate: Gate::new(settings.max_in_flight, settings.max_in_flight_bytes),
            batches: Arc::new(BatchMeter::default()),
            keyspace: Arc::new(KeyspaceMeter::default()),
            hub: Arc::new(HubMeter::default()),
            leases: Arc::new(LeaseMeter::default()),
            compactions: Arc::new(CompactorMeter::default()),
            space: Arc::new(Space::new(settings.quota_bytes, in_use, member_id)),
            cluster,
        });
        Self {
            shared,
            settings,
            meters,
        }
    }

    fn start_followers<P: Place>(&self, places: &Places<P>) -> Followers {
        Followers {
            watch_hub: self.start_watch_hub(places),
            lease_actor: self.start_lease_actor(places),
            compactor: self.start_compactor(places),
        }
    }

    fn start_watch_hub<P: Place>(&self, places: &Places<P>) -> Mailbox<WatchHub> {
        let mailbox = &self.meters.mailboxes.watch_hub;
        let (shared, interval) = (Arc::clone(&self.shared), self.settings.watch_progress_interval);
        let (hub, meter) = (Arc::clone(&self.meters.hub), Arc::clone(mailbox));
        let address = places
            .watch_hub
            .start(move || WatchHub::new(shared, interval, hub, meter));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn start_lease_actor<P: Place>(&self, places: &Places<P>) -> Mailbox<LeaseActor> {
        let mailbox = &self.meters.mailboxes.lease_actor;
        let (shared, clock) = (Arc::clone(&self.shared), self.settings.clock.clone());
        let (leases, meter) = (Arc::clone(&self.meters.leases), Arc::clone(mailbox));
        let address = places
            .timers
            .start(move || LeaseActor::new(shared, clock, leases, meter));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn start_compactor<P: Place>(&self, places: &Places<P>) -> Mailbox<Compactor> {
        let mailbox = &self.meters.mailboxes.compactor;
        let (shared, space) = (Arc::clone(&self.shared), Arc::clone(&self.meters.space));
        let auto = self.settings.auto_compaction.clone();
        let (compactions, meter) = (Arc::clone(&self.meters.compactions), Arc::clone(mailbox));
        let address = places
            .timers
            .start(move || Compactor::new(shared, space, auto, compactions, meter));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn start_replicator<P: Place>(&self, cluster: &ClusterMeters, places: &Places<P>) -> Mailbox<Replicator> {
        let mailbox = &self.meters.mailboxes.replicator;
        let (shared, clock) = (Arc::clone(&self.shared), self.settings.clock.clone());
        let (replication, meter) = (Arc::clone(&cluster.replicator), Arc::clone(mailbox));
        let address = places
            .write_path
            .start(move || Replicator::new(shared, clock, replication, meter));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn start_read_index<P: Place>(
        &self,
        membership: &Membership,
        roles: &Roles,
        places: &Places<P>,
    ) -> Mailbox<ReadIndex> {
        let mailbox = &self.meters.mailboxes.read_index;
        let confirmer = Confirmer {
            shared: Arc::clone(&self.shared),
            roles: roles.clone(),
            members: Arc::clone(&membership.members),
            promises: Arc::clone(&membership.promises),
        };
        let meter = Arc::clone(mailbox);
        let address = places.peers.start(move || ReadIndex::new(confirmer, meter));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn start_keyspace<P: Place>(
        &self,
        followers: &Followers,
        replicator: Option<&Mailbox<Replicator>>,
        places: &Places<P>,
    ) -> Mailbox<Keyspace> {
        let mailbox = &self.meters.mailboxes.keyspace;
        let replication = replicator.map(|replicator| Replication {
            replicator: replicator.clone(),
            clock: self.settings.clock.clone(),
            counted: None,
        });
        let (shared, cache) = (Arc::clone(&self.shared), self.settings.value_cache_bytes);
        let (meter, told) = (Arc::clone(&self.meters.keyspace), followers.clone());
        let address = places
            .write_path
            .start(move || Keyspace::new(shared, cache, meter, told, replication));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn term_parts(&self, keyspace: Mailbox<Keyspace>) -> TermParts {
        let mailboxes = &self.meters.mailboxes;
        TermParts {
            shared: Arc::clone(&self.shared),
            limits: self.settings.limits,
            allocator_meter: Arc::clone(&mailboxes.revision_allocator),
            keyspace_meter: Arc::clone(&self.meters.keyspace),
            batcher_meters: BatcherMeters {
                mailbox: Arc::clone(&mailboxes.write_batcher),
                batches: Arc::clone(&self.meters.batches),
            },
            keyspace,
        }
    }

    fn start_router<P: Place>(&self, roles: &Roles, places: &Places<P>) -> Mailbox<Router> {
        let mailbox = &self.meters.mailboxes.router;
        let (space, shared) = (Arc::clone(&self.meters.space), Arc::clone(&self.shared));
        let (routes, clock, meter) = (roles.clone(), self.settings.clock.clone(), Arc::clone(mailbox));
        let address = places
            .write_path
            .start(move || Router::new(space, shared, routes, clock, meter));
        Mailbox::new(address, Arc::clone(mailbox))
    }

    fn build_store(&self, identity: Identity, roles: Roles, addresses: Addresses) -> Store {
        let parts = StoreParts {
            shared: Arc::clone(&self.shared),
            identity,
            roles,
            limits: self.settings.limits,
            clock: self.settings.clock.clone(),
            meters: Arc::clone(&self.meters),
        };
        Store::new(parts, addresses)
    }
}
