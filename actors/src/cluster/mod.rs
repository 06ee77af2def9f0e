//! Several members: what they say to each other, and how one reaches another.
//!
//! One member leads and writes the log; the others forward what changes the store to it and follow its stream
//! of committed batches. What is said is in `messages`; how it travels is behind [`Peer`].

mod feed;
mod image;
mod members;
mod messages;
mod peers;
mod promises;
mod roles;

pub use feed::{Feeder, Following, NotFed};
pub use image::{Image, ImageWriter};
pub use members::Members;
pub use messages::{
    Ask, AskOutcome, Claim, Epoch, Followed, MemberDescription, Progress, Promised, Standing, Told,
};
pub use peers::{Peer, PeerAnswer, PeerError};
pub use promises::Promises;
pub use roles::Patience;

pub(crate) use members::{NotGranted, majority_grants};
pub(crate) use roles::{Office, Role, Roles};
