//! Asking the C library what raft does, and being told when it does something else.
#![allow(unsafe_code)]

#[cfg(not(dqlite_static))]
pub(super) use absent::Observer;
#[cfg(dqlite_static)]
pub(super) use present::Observer;

#[cfg(dqlite_static)]
mod present {
    use std::ffi::{c_int, c_void};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr;

    use dqlite_sys as sys;
    use tokio::sync::watch;

    use crate::node::{Leadership, Raft};

    /// What the node tells changes to. It must live as long as the node.
    #[derive(Debug)]
    pub(in crate::node) struct Observer(Box<watch::Sender<Leadership>>);

    impl Observer {
        pub(in crate::node) fn new() -> Self {
            Self(Box::new(watch::Sender::new(Leadership::NONE)))
        }

        /// Lets a node that is not started tell its changes.
        ///
        /// # Safety
        /// The node is alive, not started, and does not outlive this.
        pub(in crate::node) unsafe fn observe(&self, node: *mut sys::DqliteNode) -> c_int {
            let argument = ptr::from_ref(&*self.0).cast_mut().cast::<c_void>();
            // SAFETY: `changed` takes this argument as what it is, and the caller sees to the lifetimes.
            unsafe { sys::taffrail_node_set_raft_changed(node, Some(changed), argument) }
        }

        #[expect(
            clippy::unnecessary_wraps,
            reason = "a library that is not built here tells nothing"
        )]
        pub(in crate::node) fn leadership(&self) -> Option<watch::Receiver<Leadership>> {
            Some(self.0.subscribe())
        }

        /// What the node saw last.
        ///
        /// # Safety
        /// The node is alive.
        #[expect(
            clippy::unnecessary_wraps,
            reason = "a library that is not built here tells nothing"
        )]
        pub(in crate::node) unsafe fn raft(node: *mut sys::DqliteNode) -> Option<Raft> {
            let mut now = sys::TaffrailRaft::default();
            // SAFETY: the node is alive, and the callee fills in `now`.
            unsafe { sys::taffrail_node_raft(node, &raw mut now) };
            Some(Raft::from(&now))
        }
    }

    /// What the node calls on its thread, for every entry of the log too: only who leads is passed on.
    unsafe extern "C" fn changed(argument: *mut c_void, now: *const sys::TaffrailRaft) {
        // SAFETY: `observe` gave this argument, which outlives the node.
        let told = unsafe { &*argument.cast::<watch::Sender<Leadership>>() };
        // SAFETY: the caller gives what it saw, for the time of the call.
        let now = Leadership::from(unsafe { &*now });
        let tell = || {
            told.send_if_modified(|known| {
                let changed = *known != now;
                *known = now;
                changed
            })
        };
        // A panic must not unwind into C; there is nobody to tell it to.
        drop(catch_unwind(AssertUnwindSafe(tell)));
    }
}

#[cfg(not(dqlite_static))]
mod absent {
    use std::ffi::c_int;

    use dqlite_sys as sys;
    use tokio::sync::watch;

    use crate::node::{Leadership, Raft};

    /// A library that was not built here tells nothing.
    #[derive(Debug)]
    pub(in crate::node) struct Observer;

    impl Observer {
        pub(in crate::node) fn new() -> Self {
            Self
        }

        /// Does nothing.
        ///
        /// # Safety
        /// None is needed.
        pub(in crate::node) unsafe fn observe(&self, _node: *mut sys::DqliteNode) -> c_int {
            sys::DQLITE_OK
        }

        pub(in crate::node) fn leadership(&self) -> Option<watch::Receiver<Leadership>> {
            None
        }

        /// Nothing.
        ///
        /// # Safety
        /// None is needed.
        pub(in crate::node) unsafe fn raft(_node: *mut sys::DqliteNode) -> Option<Raft> {
            None
        }
    }
}
