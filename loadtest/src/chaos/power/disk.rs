//! A disk in a room: mounted, cut off, and mounted again with what is left.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use fuser::{BackgroundSession, Config, Errno, Session, SessionACL};

use super::serve::Served;
use super::tree::{Body, ROOT, Tree};
use super::{Loss, Power};
use crate::chaos::nodes::Room;

/// How long a sync takes.
const SYNC: Duration = Duration::from_millis(2);
/// How long a disk that lies keeps things in its cache.
pub(super) const LIE: Duration = Duration::from_millis(500);
/// Threads that answer the kernel: as many things may be written and synced at a time.
const THREADS: usize = 6;

/// A disk and its plug.
#[derive(Debug)]
struct Plugged {
    tree: Tree,
    /// Which mount is being served. What an earlier one still does is void.
    mount: u64,
    /// Nothing happens any more: calls wait for the end of the mount.
    off: bool,
    /// Syncs that were promised and are to be done later, in order.
    promised: VecDeque<(Instant, u64, u64)>,
}

/// What the mounts of a disk share.
#[derive(Debug)]
pub(super) struct Shared {
    plugged: Mutex<Plugged>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Plugged> {
        self.plugged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the tree on behalf of a mount, unless its power went.
    pub(super) fn with<T>(
        &self,
        mount: u64,
        work: impl FnOnce(&mut Tree) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut plugged = self.lock();
        while plugged.off && plugged.mount == mount {
            plugged = self.changed.wait(plugged).unwrap_or_else(PoisonError::into_inner);
        }
        if plugged.mount != mount {
            return Err(Errno::EIO);
        }
        plugged.keep_promises();
        work(&mut plugged.tree)
    }

    /// Makes durable what was done to an inode until now. Takes as long as a disk does; if the power goes meanwhile,
    /// nothing was synced.
    pub(super) fn sync(&self, mount: u64, inode: u64) -> Result<(), Errno> {
        let mark = self.with(mount, |tree| Ok(tree.sequence))?;
        if self.promise(inode, mark) || self.with(mount, |tree| Ok(tree.is_synced(inode)))? {
            return Ok(());
        }
        std::thread::sleep(SYNC);
        self.with(mount, |tree| tree.sync(inode, mark))
    }

    /// Whether this disk leaves it at a promise.
    fn promise(&self, inode: u64, mark: u64) -> bool {
        let mut plugged = self.lock();
        let lies = plugged.tree.power == Power::Lie;
        if lies {
            plugged.promised.push_back((Instant::now() + LIE, inode, mark));
        }
        lies
    }
}

impl Plugged {
    fn keep_promises(&mut self) {
        let now = Instant::now();
        while self.promised.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, inode, mark)) = self.promised.pop_front() {
                // It may be gone, and then there is nothing to sync.
                let _gone = self.tree.sync(inode, mark).is_err();
            }
        }
    }
}

/// A disk in a room, at a path that is a folder outside.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    room: Arc<Room>,
    path: PathBuf,
    session: Option<BackgroundSession>,
    rng: Rng,
}

impl Disk {
    /// Mounts an empty disk at a path in a room. What it loses is chosen by the seed.
    ///
    /// # Errors
    ///
    /// If the system has no FUSE, or does not let it be mounted.
    pub fn mount(room: &Arc<Room>, path: &Path, power: Power, seed: u64) -> Result<Self> {
        let plugged = Plugged {
            tree: Tree::new(power),
            mount: 0,
            off: true,
            promised: VecDeque::new(),
        };
        let shared = Shared {
            plugged: Mutex::new(plugged),
            changed: Condvar::new(),
        };
        let mut disk = Self {
            shared: Arc::new(shared),
            room: Arc::clone(room),
            path: path.to_owned(),
            session: None,
            rng: Rng::with_seed(seed),
        };
        disk.plug()?;
        Ok(disk)
    }

    /// The disk as a path of this process, which is outside the room.
    #[must_use]
    pub fn seen_from_outside(&self) -> PathBuf {
        self.room.seen_from_outside(&self.path)
    }

    /// The power goes: nothing reaches the disk any more, and whoever asks it for anything waits until it is unplugged.
    /// Those who use it are to be killed now.
    pub fn cut(&self) {
        let mut plugged = self.shared.lock();
        plugged.keep_promises();
        plugged.off = true;
    }

    /// Ends the mount of a disk whose power went, and tells what was lost.
    ///
    /// # Errors
    ///
    /// If the system does not end it.
    pub fn unplug(&mut self) -> Result<Loss> {
        self.cut();
        // By force: the connection ends at once, whoever waits for an answer.
        self.room
            .run(&["umount", "--force", "--lazy", &self.path.display().to_string()])?;
        let loss = {
            let mut plugged = self.shared.lock();
            plugged.mount += 1;
            plugged.promised.clear();
            plugged.tree.lose_power(&mut self.rng)
        };
        self.shared.changed.notify_all();
        if let Some(session) = self.session.take() {
            session.join().context("the file system's threads failed")?;
        }
        Ok(loss)
    }

    /// Mounts a disk that was unplugged, with what is left on it.
    ///
    /// # Errors
    ///
    /// If the system does not let it be mounted.
    pub fn plug(&mut self) -> Result<()> {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device
            .context("power losses need FUSE: cannot open /dev/fuse (as root, with the kernel's fuse)")?;
        let options = "fd=0,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions";
        let path = self.path.display().to_string();
        let words = [
            "mount",
            "-i",
            "-t",
            "fuse",
            "-o",
            options,
            "taffrail-power",
            &path,
        ];
        self.room.run_with_input(&words, device.try_clone()?)?;
        let mount = {
            let mut plugged = self.shared.lock();
            plugged.off = false;
            plugged.mount
        };
        let mut config = Config::default();
        config.n_threads = Some(THREADS);
        let served = Served::new(Arc::clone(&self.shared), mount);
        let session = Session::from_fd(served, OwnedFd::from(device), SessionACL::All, config)?;
        self.session = Some(session.spawn()?);
        Ok(())
    }

    /// Writes everything that programs see on it into a folder.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        save(&self.shared.lock().tree, ROOT, folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.session.is_some() {
            // What is lost does not matter any more, and the room goes, too.
            drop(self.unplug());
        }
    }
}

fn save(tree: &Tree, inode: u64, path: &Path) -> Result<()> {
    match tree.inode(inode).map(|inode| &inode.body) {
        Ok(Body::Folder(folder)) => {
            std::fs::create_dir_all(path)?;
            for (name, inode) in &folder.seen {
                save(tree, *inode, &path.join(name))?;
            }
        }
        Ok(Body::File(file)) => file.seen.save(&File::create(path)?)?,
        Ok(Body::Link(target)) => std::os::unix::fs::symlink(target, path)?,
        Err(_) => {}
    }
    Ok(())
}
