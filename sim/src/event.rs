//! What happens next, and when.

use pzog::Read;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::faults::Fault;

/// Microseconds of virtual time since the beginning.
pub(crate) type Moment = u64;

/// One second.
pub(crate) const SECOND: Moment = 1_000_000;
/// One millisecond.
pub(crate) const MILLI: Moment = 1_000;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Side {
    pub(crate) connection: u32,
    /// 0 dialled.
    pub(crate) side: u8,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        Side { side: 1 - self.side, ..self }
    }
}

/// A process: a host in one of its lives. What was under way when it ended concerns no later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    pub(crate) host: u8,
    pub(crate) life: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The time that a node asked for.
    Wake(Process),
    /// A dial reaches the other host.
    Dial {
        from: Process,
        to: u8,
    },
    DialFailed {
        from: Process,
        to: u8,
    },
    /// Who dialled hears that it is connected.
    Connected(Side),
    /// Bytes, or the end, come to this side.
    Arrive(Side),
    /// Who closed a connection is told that it is closed.
    Closed(Side),
    Blocked(Side),
    Drained(Side),
    Synced {
        of: Process,
        segment: u64,
        offset: u32,
    },
    Marked {
        of: Process,
        mark: u32,
    },
    Prepared {
        of: Process,
        segment: u64,
        bytes: u32,
    },
    Read {
        of: Process,
        read: Read,
    },
    /// access.log is renamed; a while later the daemon hears of it.
    Rename {
        host: u8,
    },
    Reopen(Process),
    /// A host that is down starts.
    Start {
        host: u8,
        life: u32,
    },
    /// A client does the next thing it has in mind.
    Client {
        client: u16,
    },
    /// The next host gets the ring.toml or the build that is rolled out.
    Turn,
    /// The next fault of this kind.
    Fault(Fault),
    /// One of the faults of a storm.
    Strike(Fault),
    /// The copy of a host ends.
    TwinEnds {
        life: u32,
    },
    /// A fault that lasts is over.
    Heal {
        from: u8,
        to: u8,
        cut: u32,
    },
    DiskWorks {
        host: u8,
    },
}

struct Entry {
    at: Moment,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// All that is to come, in order of time, then in the order in which it was said.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Queue {
    pub(crate) fn add(&mut self, at: Moment, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, event }));
    }

    /// The next event, if it is not later than this.
    pub(crate) fn next(&mut self, until: Moment) -> Option<(Moment, Event)> {
        let Reverse(first) = self.heap.peek()?;
        if first.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_then_as_they_were_said() {
        let mut queue = Queue::default();
        for (at, client) in [(5, 0), (3, 1), (5, 2), (9, 3)] {
            queue.add(at, Event::Client { client });
        }
        let mut seen = Vec::new();
        while let Some((at, Event::Client { client })) = queue.next(8) {
            seen.push((at, client));
        }
        assert_eq!(seen, [(3, 1), (5, 0), (5, 2)]);
    }
}
