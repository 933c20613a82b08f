//! The files of a chain, a month each, read line by line.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::files::{Disk, list_if_there};

use super::{
    AuditFault, at,
    line::{Beginning, Line},
};

const ENDING: &str = ".jsonl";
const BLOCK_BYTES: usize = 1 << 20;
pub(super) const MAX_LINE_BYTES: usize = 1 << 20; // No entry is nearly as long; a file without line feeds must not fill the memory.

pub(super) fn file_name(month: &str) -> String {
    format!("{month}{ENDING}")
}

/// The months that have a file, in order.
pub(super) fn months(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, AuditFault> {
    // Sorted, as a disk lists them.
    let names = list_if_there(disk, folder).map_err(at(folder))?;
    let months = names.iter().filter_map(|name| name.strip_suffix(ENDING));
    Ok(months.map(str::to_owned).collect())
}

/// A month's file, read from its first line on.
pub(super) struct Lines<'disk> {
    disk: &'disk dyn Disk,
    path: PathBuf,
    /// What was read and not yet given out, from `begin` on.
    block: Vec<u8>,
    begin: usize,
    /// How much of the file was read.
    read_bytes: u64,
}

/// What stands next in a file.
pub(super) enum Next<'block> {
    /// A line, without its line feed.
    Line(&'block [u8]),
    /// So many bytes, which no line feed ends.
    Cut(u64),
    /// Nothing.
    End,
}

impl<'disk> Lines<'disk> {
    pub(super) fn open(disk: &'disk dyn Disk, path: PathBuf) -> Lines<'disk> {
        Lines {
            disk,
            path,
            block: Vec::new(),
            begin: 0,
            read_bytes: 0,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one line.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let mut searched = self.begin;
        let end = loop {
            if let Some(found) = memchr::memchr(b'\n', &self.block[searched..]) {
                break searched + found;
            }
            searched = self.block.len() - self.begin;
            let is_too_long = searched > MAX_LINE_BYTES;
            if is_too_long || !self.read_on()? {
                return Ok(match self.block.len() - self.begin {
                    0 => Next::End,
                    cut => Next::Cut(cut as u64),
                });
            }
        };
        let line = &self.block[self.begin..end];
        self.begin = end + 1;
        Ok(Next::Line(line))
    }

    /// Reads a block more, behind what is left of the one before.
    fn read_on(&mut self) -> io::Result<bool> {
        self.block.drain(..self.begin);
        self.begin = 0;
        let more = self
            .disk
            .read_part(&self.path, self.read_bytes, BLOCK_BYTES)?;
        self.read_bytes += more.len() as u64;
        self.block.extend_from_slice(&more);
        Ok(!more.is_empty())
    }
}

/// What a file's first line says of all before it, if it says so.
pub(super) fn beginning_of(disk: &dyn Disk, path: &Path) -> Result<Option<Beginning>, AuditFault> {
    let mut lines = Lines::open(disk, path.to_owned());
    match lines.next().map_err(at(path))? {
        Next::Line(line) => Ok(Line::parse(line).and_then(|line| line.beginning().flatten())),
        Next::Cut(_) | Next::End => Ok(None),
    }
}
