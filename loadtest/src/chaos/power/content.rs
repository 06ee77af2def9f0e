//! The bytes of a file, with room for holes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that are kept in one piece.
const BLOCK: usize = 4096;
/// Bytes that a disk writes whole or not at all.
pub(super) const SECTOR: u64 = 512;

/// Where an offset lies: its block, and the place in it.
fn place(offset: u64) -> (u64, usize) {
    let within = usize::try_from(offset % BLOCK as u64).expect("less than a block");
    (offset / BLOCK as u64, within)
}

/// Bytes of a file. What was never written reads as zeros. A copy shares its blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    size: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

impl Content {
    /// Length in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are not holes.
    pub(super) fn filled(&self) -> u64 {
        (self.blocks.len() * BLOCK) as u64
    }

    /// The bytes from an offset on, up to the end.
    pub(super) fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let end = offset.saturating_add(length).min(self.size);
        let mut bytes =
            Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).expect("fits in memory"));
        let mut at = offset;
        while at < end {
            let (number, from) = place(at);
            let piece = (BLOCK - from).min(usize::try_from(end - at).unwrap_or(BLOCK));
            match self.blocks.get(&number) {
                Some(block) => bytes.extend_from_slice(&block[from..from + piece]),
                None => bytes.resize(bytes.len() + piece, 0),
            }
            at += piece as u64;
        }
        bytes
    }

    /// Writes, and makes the file longer if need be.
    pub(super) fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut at = offset;
        while !bytes.is_empty() {
            let (number, from) = place(at);
            let (piece, rest) = bytes.split_at(bytes.len().min(BLOCK - from));
            let block = self.blocks.entry(number).or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[from..from + piece.len()].copy_from_slice(piece);
            at += piece.len() as u64;
            bytes = rest;
        }
        self.size = self.size.max(at);
    }

    /// Makes bytes zeros, and not the file longer.
    pub(super) fn zero(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length).min(self.size);
        let mut at = offset;
        while at < end {
            let (number, from) = place(at);
            let piece = (BLOCK - from).min(usize::try_from(end - at).unwrap_or(BLOCK));
            if piece == BLOCK {
                self.blocks.remove(&number);
            } else if let Some(block) = self.blocks.get_mut(&number) {
                Arc::make_mut(block)[from..from + piece].fill(0);
            }
            at += piece as u64;
        }
    }

    /// Cuts the file, or makes it longer by a hole.
    pub(super) fn resize(&mut self, size: u64) {
        if size < self.size {
            let (number, within) = place(size);
            self.blocks.split_off(&(number + u64::from(within > 0)));
            if let Some(block) = self.blocks.get_mut(&number) {
                Arc::make_mut(block)[within..].fill(0);
            }
        }
        self.size = size;
    }

    /// Takes one sector from another state of the same file.
    pub(super) fn take_sector(&mut self, other: &Self, sector: u64) {
        let bytes = other.read(sector * SECTOR, SECTOR);
        self.write(sector * SECTOR, &bytes);
    }

    /// Writes everything that is not a hole into an empty file.
    pub(super) fn save(&self, file: &File) -> io::Result<()> {
        for (number, block) in &self.blocks {
            file.write_all_at(&block[..], number * BLOCK as u64)?;
        }
        file.set_len(self.size)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Zero(u64, u64),
        Resize(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let far = || 0..20_000_u64;
        prop_oneof![
            (far(), vec(any::<u8>(), 0..9000)).prop_map(|(offset, bytes)| Step::Write(offset, bytes)),
            (far(), far()).prop_map(|(offset, length)| Step::Zero(offset, length)),
            far().prop_map(Step::Resize),
        ]
    }

    /// The same on plain bytes.
    fn plainly(plain: &mut Vec<u8>, step: &Step) {
        match step {
            Step::Write(_, bytes) if bytes.is_empty() => {}
            Step::Write(offset, bytes) => {
                let from = usize::try_from(*offset).unwrap();
                plain.resize(plain.len().max(from + bytes.len()), 0);
                plain[from..from + bytes.len()].copy_from_slice(bytes);
            }
            Step::Zero(offset, length) => {
                let end = usize::try_from(offset + length).unwrap().min(plain.len());
                let from = usize::try_from(*offset).unwrap().min(end);
                plain[from..end].fill(0);
            }
            Step::Resize(size) => plain.resize(usize::try_from(*size).unwrap(), 0),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_plain_bytes_would_be(steps in vec(step(), 1..12), offset in 0..20_000_u64, length in 0..20_000_u64) {
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for step in &steps {
                plainly(&mut plain, step);
                match step {
                    Step::Write(offset, bytes) => content.write(*offset, bytes),
                    Step::Zero(offset, length) => content.zero(*offset, *length),
                    Step::Resize(size) => content.resize(*size),
                }
                prop_assert_eq!(content.read(0, u64::MAX), plain.clone());
            }
            let from = usize::try_from(offset).unwrap().min(plain.len());
            let end = usize::try_from(offset + length).unwrap().min(plain.len());
            prop_assert_eq!(content.read(offset, length), &plain[from..end.max(from)]);
        }
    }
}
