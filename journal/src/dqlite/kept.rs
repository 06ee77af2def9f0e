//! The statements that a connection keeps prepared, by what they are for.

use std::borrow::Cow;

use super::{insert, select};

/// A statement that is kept. Its text is made only when it is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kept {
    /// One whose text never changes.
    Text(&'static str),
    /// An append of up to so many events.
    Insert(usize),
    /// A look-up of up to so many values.
    Values(usize),
}

impl Kept {
    pub(super) fn text(self) -> Cow<'static, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Insert(places) => Cow::Owned(insert::text(places)),
            Self::Values(places) => Cow::Owned(select::text_of_values(places)),
        }
    }
}
