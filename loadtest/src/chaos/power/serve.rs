//! The kernel's questions to the file system, and their answers.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use rustix::fs::{FallocateFlags, OFlags};

use super::disk::Shared;
use super::file::{Change, FileBody};
use super::tree::{Body, FolderBody, Inode, Owner, Tree};

/// How long the kernel may believe what it was told: all changes pass through it.
const BELIEVE: Duration = Duration::from_secs(3600);
/// Blocks that the disk says it has.
const BLOCKS: u64 = 1 << 24;
/// Bytes of a block, as programs are told.
const BLOCK: u32 = 4096;

/// An entry of a folder that is being listed.
type Listed = (u64, FileType, OsString);

/// One mount of a disk.
pub(super) struct Served {
    shared: Arc<Shared>,
    mount: u64,
    /// Folders that are open, as they were when they were opened.
    listings: Mutex<HashMap<u64, Vec<Listed>>>,
    handles: AtomicU64,
}

impl Served {
    pub(super) fn new(shared: Arc<Shared>, mount: u64) -> Self {
        Self {
            shared,
            mount,
            listings: Mutex::default(),
            handles: AtomicU64::new(1),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tree) -> Result<T, Errno>) -> Result<T, Errno> {
        self.shared.with(self.mount, work)
    }

    /// Makes something new and tells what it is.
    fn make(&self, (folder, name): (INodeNo, &OsStr), body: Body, owner: Owner) -> Result<FileAttr, Errno> {
        self.with(|tree| {
            let inode = tree.create(folder.0, name, body, owner)?;
            attributes(tree, inode)
        })
    }

    fn look(&self, folder: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        self.with(|tree| {
            let inode = tree.look_up(folder.0, name)?;
            attributes(tree, inode)
        })
    }

    fn list(&self, folder: INodeNo) -> Result<u64, Errno> {
        let mut listed: Vec<Listed> = [".", ".."]
            .map(|name| (folder.0, FileType::Directory, name.into()))
            .into();
        self.with(|tree| {
            for (name, inode) in &tree.folder(folder.0)?.seen {
                listed.push((*inode, kind(tree.inode(*inode)?), name.clone()));
            }
            Ok(())
        })?;
        let handle = self.handles.fetch_add(1, Ordering::Relaxed);
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        listings.insert(handle, listed);
        Ok(handle)
    }

    fn write(&self, inode: INodeNo, offset: u64, bytes: &[u8], is_synced: bool) -> Result<(), Errno> {
        self.with(|tree| tree.change(inode.0, Change::Write(offset, bytes.to_vec())))?;
        if is_synced {
            self.shared.sync(self.mount, inode.0)?;
        }
        Ok(())
    }

    fn opened(&self, inode: INodeNo) -> Result<(), Errno> {
        self.with(|tree| {
            tree.inode_mut(inode.0)?.open += 1;
            Ok(())
        })
    }
}

fn kind(inode: &Inode) -> FileType {
    match inode.body {
        Body::File(_) => FileType::RegularFile,
        Body::Folder(_) => FileType::Directory,
        Body::Link(_) => FileType::Symlink,
    }
}

fn attributes(tree: &Tree, number: u64) -> Result<FileAttr, Errno> {
    let inode = tree.inode(number)?;
    let (size, filled) = match &inode.body {
        Body::File(file) => (file.seen.size(), file.seen.filled()),
        Body::Folder(_) => (u64::from(BLOCK), u64::from(BLOCK)),
        Body::Link(target) => (target.as_os_str().len() as u64, 0),
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: filled / 512,
        atime: inode.changed,
        mtime: inode.changed,
        ctime: inode.changed,
        crtime: inode.changed,
        kind: kind(inode),
        perm: inode.owner.mode,
        nlink: tree.names_of(number).max(1),
        uid: inode.owner.user,
        gid: inode.owner.group,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn owner(request: &Request, mode: u32) -> Owner {
    let mode = u16::try_from(mode & 0o7777).unwrap_or_default();
    Owner {
        mode,
        user: request.uid(),
        group: request.gid(),
    }
}

/// Whether a write is to be durable before it is answered.
fn is_synced(flags: OpenFlags, write: WriteFlags) -> bool {
    let dsync = OFlags::DSYNC.bits().cast_signed();
    flags.0 & dsync != 0 && !write.contains(WriteFlags::FUSE_WRITE_CACHE)
}

/// The changes that a call of fallocate is.
fn allocation(tree: &Tree, inode: u64, range: (u64, u64), mode: i32) -> Result<Vec<Change>, Errno> {
    let (offset, length) = range;
    let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
    let (zero, keep) = (FallocateFlags::ZERO_RANGE, FallocateFlags::KEEP_SIZE);
    if !(zero | keep | FallocateFlags::PUNCH_HOLE).contains(flags) {
        return Err(Errno::EOPNOTSUPP);
    }
    let grown = offset.saturating_add(length);
    let mut changes = Vec::new();
    if grown > tree.file(inode)?.seen.size() && !flags.contains(keep) {
        changes.push(Change::Resize(grown));
    }
    if flags.intersects(zero | FallocateFlags::PUNCH_HOLE) {
        changes.push(Change::Zero(offset, length));
    }
    Ok(changes)
}

fn answer(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn enter(reply: ReplyEntry, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attributes) => reply.entry(&BELIEVE, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Asynchronous direct writes, as dqlite's, are to be so here, too.
        let wanted = InitFlags::FUSE_ASYNC_DIO;
        config
            .add_capabilities(wanted)
            .map_err(|missing| io::Error::other(format!("the kernel's FUSE lacks {missing:?}")))
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        enter(reply, self.look(parent, name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|tree| attributes(tree, ino.0)) {
            Ok(attributes) => reply.attr(&BELIEVE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let outcome = self.with(|tree| {
            if let Some(size) = size {
                tree.change(ino.0, Change::Resize(size))?;
            }
            let inode = tree.inode_mut(ino.0)?;
            let owner = &mut inode.owner;
            owner.mode = mode.map_or(owner.mode, |mode| {
                u16::try_from(mode & 0o7777).unwrap_or_default()
            });
            owner.user = uid.unwrap_or(owner.user);
            owner.group = gid.unwrap_or(owner.group);
            inode.changed = match mtime {
                Some(TimeOrNow::SpecificTime(time)) => time,
                Some(TimeOrNow::Now) => SystemTime::now(),
                None => inode.changed,
            };
            attributes(tree, ino.0)
        });
        match outcome {
            Ok(attributes) => reply.attr(&BELIEVE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.with(|tree| match &tree.inode(ino.0)?.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        });
        match target {
            Ok(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let body = Body::Folder(FolderBody::default());
        enter(
            reply,
            self.make((parent, name), body, owner(request, mode & !umask)),
        );
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let body = Body::Link(target.to_owned());
        enter(reply, self.make((parent, name), body, owner(request, 0o777)));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.with(|tree| {
            tree.link(ino.0, parent.0, name)?;
            attributes(tree, ino.0)
        });
        enter(reply, linked);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.with(|tree| tree.remove(parent.0, name, false)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.with(|tree| tree.remove(parent.0, name, true)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self.with(|tree| tree.rename((parent.0, name), (newparent.0, newname), flags));
        answer(reply, renamed);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let body = Body::File(FileBody::default());
        let made = self.make((parent, name), body, owner(request, mode & !umask));
        let opened = made.and_then(|attributes| self.opened(attributes.ino).map(|()| attributes));
        match opened {
            Ok(attributes) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&BELIEVE, &attributes, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.opened(ino) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let released = self.with(|tree| {
            let open = &mut tree.inode_mut(ino.0)?.open;
            *open = open.saturating_sub(1);
            Ok(())
        });
        answer(reply, released);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.with(|tree| Ok(tree.file(ino.0)?.seen.read(offset, u64::from(size)))) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match Self::write(self, ino, offset, data, is_synced(flags, write_flags)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocated = self.with(|tree| {
            let changes = allocation(tree, ino.0, (offset, length), mode)?;
            changes
                .into_iter()
                .try_for_each(|change| tree.change(ino.0, change))
        });
        answer(reply, allocated);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.shared.sync(self.mount, ino.0));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.shared.sync(self.mount, ino.0));
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(ino) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = listings.get(&fh.0).map_or(&[][..], Vec::as_slice);
        for (next, (inode, kind, name)) in (1..)
            .zip(listed)
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            if reply.add(INodeNo(*inode), next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}
