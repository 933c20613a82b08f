//! Readiness of many sockets, level-triggered: one `recv` for each packet, none to learn that there is no more.

use std::{io, mem::MaybeUninit, os::fd::AsFd, time::Duration};

use rustix::{
    event::{Timespec, epoll},
    fd::OwnedFd,
};

/// Packets looked at before the clock is read again.
const EVENT_COUNT: usize = 256;

/// An epoll instance; each socket has a number of the caller's choice.
pub struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    /// Makes an empty set.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Watches a socket for packets to read.
    ///
    /// # Errors
    /// When the kernel refuses, such as for a socket added twice.
    pub fn add(&self, socket: impl AsFd, number: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            epoll::EventData::new_u64(number),
            epoll::EventFlags::IN,
        )?)
    }

    /// Waits at most `patience` and calls `ready` with the number of each readable socket.
    ///
    /// # Errors
    /// What `ready` returned, or the kernel's refusal; an interruption by a signal counts as nothing ready.
    pub fn wait(
        &self,
        patience: Duration,
        mut ready: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut room = [MaybeUninit::uninit(); EVENT_COUNT];
        let events = match epoll::wait(&self.epoll, &mut room, Some(&patience)) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(refusal) => return Err(refusal.into()),
        };
        for event in events {
            ready(event.data.u64())?;
        }
        Ok(())
    }
}
