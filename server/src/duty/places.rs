//! The places of a duty's clients: so many at once, whoever keeps silent gives way to whoever comes, and no user has all of them.

use std::{
    collections::BTreeMap,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The number of a Unix user.
pub(super) type Uid = u32;

/// The places of one duty.
#[derive(Clone, Debug)]
pub(super) struct Places {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug)]
struct Table {
    most: usize,
    /// What one user may have of them, so that another always finds one.
    share: usize,
    next: u64,
    /// The oldest first.
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    uid: Uid,
    client: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Its request has not come yet.
    Silent(UnixStream),
    /// It is being answered.
    Speaking,
}

/// A client's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
}

impl Places {
    /// `most`: places there are; `share`: those that one user may have.
    pub(super) fn new(most: usize, share: usize) -> Places {
        let table = Table {
            most,
            share,
            next: 0,
            taken: BTreeMap::new(),
        };
        Places {
            table: Arc::new(Mutex::new(table)),
        }
    }

    /// Gives a client of a user a place. When all are taken, or all of the user's share, the one among those that has kept silent
    /// longest is hung up on; `None` when each of them has made its request and is being answered.
    pub(super) fn take(&self, uid: Uid, stream: &UnixStream) -> Option<Place> {
        let client = Stage::Silent(stream.try_clone().ok()?);
        let mut table = self.lock();
        if table.of(uid).count() >= table.share {
            let own = table.of(uid).find(|(_, taken)| taken.is_silent());
            let number = *own?.0;
            table.hang_up(number);
        } else if table.taken.len() >= table.most {
            let mut all = table.taken.iter();
            let number = *all.find(|(_, taken)| taken.is_silent())?.0;
            table.hang_up(number);
        }
        let number = table.next;
        table.next += 1;
        table.taken.insert(number, Taken { uid, client });
        drop(table);
        Some(Place {
            places: self.clone(),
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A table cannot be left half done; a panic elsewhere does not spoil it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn of(&self, uid: Uid) -> impl Iterator<Item = (&u64, &Taken)> {
        self.taken.iter().filter(move |(_, taken)| taken.uid == uid)
    }

    fn hang_up(&mut self, number: u64) {
        if let Some(Taken {
            client: Stage::Silent(stream),
            ..
        }) = self.taken.remove(&number)
        {
            // It may have gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Taken {
    fn is_silent(&self) -> bool {
        matches!(self.client, Stage::Silent(_))
    }
}

impl Place {
    /// The client has made its request, and keeps its place; `None` when a newer client has it.
    pub(super) fn spoke(&self) -> Option<()> {
        let mut table = self.places.lock();
        table.taken.get_mut(&self.number)?.client = Stage::Speaking;
        Some(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const HANAKO: Uid = 1_001;
    const TARO: Uid = 1_002;

    /// A client's end and the duty's.
    fn client() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    #[test]
    fn clients_that_are_being_answered_keep_their_places() {
        let places = Places::new(1, 1);
        let (_far, near) = client();
        let place = places.take(HANAKO, &near).unwrap();
        place.spoke().unwrap();
        assert!(places.take(TARO, &near).is_none());
        drop(place);
        assert!(places.take(TARO, &near).is_some());
    }

    #[test]
    fn one_user_who_is_answered_in_every_place_of_the_share_leaves_places_to_others() {
        let places = Places::new(4, 3);
        let (_far, near) = client();
        let speaking: Vec<Place> = (0..3)
            .map(|_| places.take(HANAKO, &near).unwrap())
            .collect();
        speaking.iter().for_each(|place| place.spoke().unwrap());

        assert!(places.take(HANAKO, &near).is_none());
        assert!(places.take(TARO, &near).is_some());
    }

    #[test]
    fn a_silent_client_gives_way_to_its_own_user_first_and_to_another_when_all_are_taken() {
        let places = Places::new(3, 2);
        let (mut first_far, first) = client();
        let (_far, near) = client();
        let first = places.take(HANAKO, &first).unwrap();
        let second = places.take(HANAKO, &near).unwrap();

        // The share is full: the user's own oldest goes, and hears that it does.
        let third = places.take(HANAKO, &near).unwrap();
        assert_eq!(first_far.read(&mut [0]).unwrap(), 0);
        assert!(first.spoke().is_none());

        let other = places.take(TARO, &near).unwrap();
        let last = places.take(TARO, &near).unwrap();
        assert!(second.spoke().is_none());
        for place in [third, other, last] {
            place.spoke().unwrap();
        }
    }
}
