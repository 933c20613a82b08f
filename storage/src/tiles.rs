//! The tiles of a chain's tree: its hashes, 256 to a file, without one entry.
//!
//! They stay when entries go, so that an old head can still be checked. The office writes them from
//! the entries. Follows c2sp.org/tlog-tiles; [`heads`](crate::heads) says when.

use std::{
    io,
    path::{Path, PathBuf},
};

use rules::Digest;

use crate::{
    files::{Disk, MODE_SHARED, fresh_name, remove_if_there},
    layout::{Layout, MODE_READ},
    lock::Duty,
    tree::{Frontier, perfect_root},
};

/// Each level of tiles holds this many levels of the tree.
const HEIGHT: u32 = 8;
const WIDTH: u64 = 1 << HEIGHT;
const HASH_BYTES: usize = 32;
const MAX_TILE_BYTES: usize = (1 << HEIGHT) * HASH_BYTES;

/// The tiles of a chain, for a tree of a known size.
pub(crate) struct Tiles<'disk> {
    disk: &'disk dyn Disk,
    folder: PathBuf,
    size: u64,
}

/// The place of a tile: its level, its number in the level, and how many hashes it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    level: u32,
    index: u64,
    width: u64,
}

/// The folder of a chain's tiles: `checkpoint` and `tile/`, as readers of such logs expect them.
pub(crate) fn folder(layout: &Layout, chain: Duty) -> PathBuf {
    layout.tiles().join(chain.name())
}

impl<'disk> Tiles<'disk> {
    /// `size`: of the tree whose tiles are durable.
    pub(crate) fn new(
        disk: &'disk dyn Disk,
        layout: &Layout,
        chain: Duty,
        size: u64,
    ) -> Tiles<'disk> {
        Tiles {
            disk,
            folder: folder(layout, chain),
            size,
        }
    }

    /// The perfect subtrees of the first `size` leaves.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::InvalidData`] where a tile is too short or the tree is smaller.
    pub(crate) fn frontier_at(&self, size: u64) -> io::Result<Frontier> {
        if size > self.size {
            return Err(too_short());
        }
        let mut begin = 0;
        let mut roots = Vec::new();
        for bit in (0..u64::BITS).rev().filter(|bit| size >> bit & 1 == 1) {
            roots.push(self.perfect_root(begin, bit)?);
            begin += 1 << bit;
        }
        Frontier::new(size, roots).ok_or_else(too_short)
    }

    /// The root of the perfect subtree of 2^`bit` leaves that begins with leaf `begin`.
    fn perfect_root(&self, begin: u64, bit: u32) -> io::Result<Digest> {
        let level = bit / HEIGHT;
        let count = 1 << (bit % HEIGHT);
        let first = begin >> (level * HEIGHT);
        let hashes = self.read(level, first / WIDTH)?;
        let at = usize::try_from(first % WIDTH).map_err(io::Error::other)?;
        let hashes = hashes.get(at..at + count).ok_or_else(too_short)?;
        Ok(perfect_root(hashes))
    }

    /// The hashes of a tile of this tree.
    fn read(&self, level: u32, index: u64) -> io::Result<Vec<Digest>> {
        let width = entries(self.size, level)
            .saturating_sub(index * WIDTH)
            .min(WIDTH);
        let place = Place {
            level,
            index,
            width,
        };
        let path = place.path(&self.folder);
        let bytes = self.disk.read_short(&path, MAX_TILE_BYTES)?;
        let hashes: Vec<Digest> = bytes
            .chunks_exact(HASH_BYTES)
            .map(|hash| Digest(hash.try_into().expect("chunks of this length")))
            .collect();
        match hashes.len() as u64 == width && bytes.len() == hashes.len() * HASH_BYTES {
            true => Ok(hashes),
            false => Err(too_short()),
        }
    }

    /// Copies each tile that is what the one above it says, from the right edge down, and makes them durable. Whoever asks has compared the
    /// [frontier](Tiles::frontier_at) of the whole tree, and with it the edge.
    ///
    /// # Returns
    /// The tiles that are not, or cannot be read; what is below them stays with them.
    ///
    /// # Errors
    /// The disk's, or as for [`frontier_at`](Tiles::frontier_at) where the edge cannot be read.
    pub(crate) fn copy_proven(&self, to: &Path) -> io::Result<Vec<PathBuf>> {
        let mut unproven = Vec::new();
        let mut proven = Vec::new();
        for place in self.edge() {
            proven.push((place, self.read(place.level, place.index)?));
        }
        while let Some((place, hashes)) = proven.pop() {
            place.write(self.disk, to, &hashes)?;
            let Some(level) = place.level.checked_sub(1) else {
                continue;
            };
            for (index, root) in (place.index * WIDTH..).zip(&hashes) {
                let below = Place {
                    level,
                    index,
                    width: WIDTH,
                };
                match self.read(level, index) {
                    Ok(hashes) if perfect_root(&hashes) == *root => proven.push((below, hashes)),
                    Ok(_) | Err(_) => unproven.push(below.path(&self.folder)),
                }
            }
        }
        self.disk.sync_all(to)?;
        Ok(unproven)
    }

    /// Where the tiles of the right edge lie.
    pub(crate) fn edge_paths(&self) -> Vec<PathBuf> {
        let edge = self.edge();
        edge.map(|place| place.path(&self.folder)).collect()
    }

    /// The last tile of each level, where it is not full.
    fn edge(&self) -> impl Iterator<Item = Place> {
        let size = self.size;
        let levels = (0..).take_while(move |level| entries(size, *level) > 0);
        levels
            .map(move |level| edge(size, level))
            .filter(|place| place.width > 0)
    }

    /// Begins to add leaves behind the last one.
    ///
    /// # Errors
    /// As for [`frontier_at`](Tiles::frontier_at).
    pub(crate) fn grow(self) -> io::Result<Growing<'disk>> {
        let mut edges = Vec::new();
        for level in (0..).take_while(|level| entries(self.size, *level) > 0) {
            let count = entries(self.size, level);
            edges.push(match count % WIDTH {
                0 => Vec::new(),
                _ => self.read(level, count / WIDTH)?,
            });
        }
        Ok(Growing {
            size: self.size,
            tiles: self,
            edges,
        })
    }
}

/// Tiles to which leaves are added. Nothing is durable, and the old tiles are all there, until
/// [`flush`](Growing::flush).
pub(crate) struct Growing<'disk> {
    /// As they were.
    tiles: Tiles<'disk>,
    size: u64,
    /// The hashes of the last tile of each level, as far as it is not full.
    edges: Vec<Vec<Digest>>,
}

impl Growing<'_> {
    /// Adds a leaf; tiles that it fills are written.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn push(&mut self, leaf: Digest) -> io::Result<()> {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.edges.len() == level {
                self.edges.push(Vec::new());
            }
            self.edges[level].push(hash);
            if (self.edges[level].len() as u64) < WIDTH {
                break;
            }
            let full = std::mem::take(&mut self.edges[level]);
            hash = perfect_root(&full);
            let level = u32::try_from(level).map_err(io::Error::other)?;
            let index = entries(self.size, level) / WIDTH - 1;
            self.write(level, index, &full)?;
        }
        Ok(())
    }

    /// Writes the tiles that are not full, and makes all durable.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.tiles.disk.make_folder(&self.tiles.folder, MODE_READ)?;
        if self.size == self.tiles.size {
            return Ok(());
        }
        for (level, hashes) in (0..).zip(&self.edges) {
            if !hashes.is_empty() {
                self.write(level, entries(self.size, level) / WIDTH, hashes)?;
            }
        }
        self.tiles.disk.sync_all(&self.tiles.folder)
    }

    /// Removes the tiles of the old right edge that wider ones have taken the place of. It is done
    /// when nobody needs them to go on after a crash.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn forget_old_edge(&self) -> io::Result<()> {
        let (disk, old) = (self.tiles.disk, self.tiles.size);
        for level in (0..).take_while(|level| entries(old, *level) > 0) {
            let (was, is) = (edge(old, level), edge(self.size, level));
            if was.width > 0 && was != is {
                let path = was.path(&self.tiles.folder);
                remove_if_there(disk, &path)?;
                if was.index != is.index
                    && let Some(folder) = path.parent()
                {
                    // What a crash left in it stays, and harms nobody.
                    let _ = disk.remove_folder(folder);
                }
            }
        }
        Ok(())
    }

    fn write(&self, level: u32, index: u64, hashes: &[Digest]) -> io::Result<()> {
        let place = Place {
            level,
            index,
            width: hashes.len() as u64,
        };
        place.write(self.tiles.disk, &self.tiles.folder, hashes)
    }
}

impl Place {
    fn write(self, disk: &dyn Disk, folder: &Path, hashes: &[Digest]) -> io::Result<()> {
        let path = self.path(folder);
        if let Some(folder) = path.parent() {
            disk.make_folder(folder, MODE_READ)?;
        }
        let fresh = fresh_name(&path);
        remove_if_there(disk, &fresh)?;
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        disk.create(&fresh, MODE_SHARED)?.write(&bytes)?;
        disk.rename(&fresh, &path)
    }

    /// `tile/LEVEL/INDEX`, and `.p/WIDTH` where it is not full. Of the index three digits stand in
    /// each part, `x` before all but the last.
    fn path(&self, folder: &Path) -> PathBuf {
        let mut path = folder.join("tile").join(self.level.to_string());
        let digits = format!("{:03}", self.index);
        // Padded to whole groups, so that the first one has three digits too.
        let digits = format!("{}{digits}", "0".repeat((3 - digits.len() % 3) % 3));
        let groups = digits.len() / 3;
        for group in 0..groups - 1 {
            path.push(format!("x{}", &digits[group * 3..group * 3 + 3]));
        }
        let last = &digits[(groups - 1) * 3..];
        match self.width {
            WIDTH => path.join(last),
            partial => path.join(format!("{last}.p")).join(partial.to_string()),
        }
    }
}

/// The last tile of a level, as far as it is not full.
fn edge(size: u64, level: u32) -> Place {
    let count = entries(size, level);
    Place {
        level,
        index: count / WIDTH,
        width: count % WIDTH,
    }
}

/// How many hashes a level of tiles has in a tree of this size.
fn entries(size: u64, level: u32) -> u64 {
    size.checked_shr(level * HEIGHT).unwrap_or(0)
}

fn too_short() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the tiles hold fewer hashes than their checkpoint says",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_tile_is_that_of_the_specification() {
        // Examples of c2sp.org/tlog-tiles.
        let path = |index, width| {
            let place = Place {
                level: 0,
                index,
                width,
            };
            place.path(Path::new("")).display().to_string()
        };
        assert_eq!(path(1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(0, 256), "tile/0/000");
        assert_eq!(path(273, 112), "tile/0/273.p/112");
        assert_eq!(path(1000, 1), "tile/0/x001/000.p/1");
    }
}
