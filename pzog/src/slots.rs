//! The connections of one port, by [`ConnId`].

use crate::event::ConnId;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A table with a place for each [`ConnId`]. What is in use is taken out and put back, so that the rest of the
/// node stays free to act.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Option<Box<T>>>,
    /// The places in use: after a crowd has left, walking over the rest costs what the rest is.
    live: Vec<ConnId>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { slots: Vec::new(), live: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// A new connection.
    pub(crate) fn insert(&mut self, conn: ConnId, value: T) {
        let at = conn.0 as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        self.live.push(conn);
        self.slots[at] = Some(Box::new(value));
    }

    /// The end of a connection.
    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Box<T>> {
        let value = self.slots.get_mut(conn.0 as usize)?.take()?;
        let at = self.live.iter().rposition(|c| *c == conn)?;
        self.live.swap_remove(at);
        Some(value)
    }

    /// Takes the state of a connection out for a while.
    pub(crate) fn take(&mut self, conn: ConnId) -> Option<Box<T>> {
        self.slots.get_mut(conn.0 as usize)?.take()
    }

    /// Puts it back.
    pub(crate) fn put(&mut self, conn: ConnId, value: Box<T>) {
        self.slots[conn.0 as usize] = Some(value);
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut T> {
        self.slots.get_mut(conn.0 as usize)?.as_deref_mut()
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> u32 {
        self.live.len() as u32
    }

    /// All that are not taken out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.live.iter().filter_map(|conn| Some((*conn, self.slots[conn.0 as usize].as_deref()?)))
    }
}
