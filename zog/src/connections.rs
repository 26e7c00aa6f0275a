//! All connections by their index.

use crate::connection::Connection;
use pzog::ConnId;

/// A table whose free rows are used again.
#[derive(Default)]
pub(crate) struct Connections {
    rows: Vec<Option<Connection>>,
    free: Vec<ConnId>,
}

impl Connections {
    /// Gives a connection an index.
    pub(crate) fn insert(&mut self, connection: Connection) -> ConnId {
        if let Some(conn) = self.free.pop() {
            self.rows[conn.0 as usize] = Some(connection);
            return conn;
        }
        self.rows.push(Some(connection));
        ConnId((self.rows.len() - 1) as u32)
    }

    /// The connection of an index, while it lives.
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.rows.get(conn.0 as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.rows.get_mut(conn.0 as usize)?.as_mut()
    }

    /// Closes the socket and frees the index.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        if self.rows[conn.0 as usize].take().is_some() {
            self.free.push(conn);
        }
    }

    /// All that live.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.rows.iter().flatten()
    }

    /// All that live, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.rows.iter_mut().flatten()
    }

    /// Whether none lives.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.rows.len()
    }
}
