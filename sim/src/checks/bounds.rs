//! The bounds of the journal: what was released though a host lacked it, and what that host gave up then. Nothing is
//! given up that nobody has told to have released, and nothing is lost that was not told to be given up.

use std::collections::{HashMap, HashSet};

/// A stream's name, as it stands on the wire, and a number.
type Id = (Vec<u8>, u64);

#[derive(Default)]
pub(crate) struct Bounds {
    /// Every number under which a message was published.
    ids: HashMap<u32, Vec<Id>>,
    /// Released though this host had not told to have it, by its place.
    released: HashMap<u8, Vec<Range>>,
    /// Told to be given up by this host.
    given_up: HashMap<u8, HashSet<Id>>,
}

/// Numbers of a stream, both ends included.
pub(super) struct Range {
    pub(super) stream: Vec<u8>,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Bounds {
    /// A message stands in a journal under this number.
    pub(crate) fn published(&mut self, message: u32, stream: &[u8], seq: u64) {
        let ids = self.ids.entry(message).or_default();
        if !ids.iter().any(|(name, number)| name == stream && *number == seq) {
            ids.push((stream.to_vec(), seq));
        }
    }

    /// A host says in error.log that something was released which `about` has not told to have.
    pub(crate) fn released(&mut self, about: u8, text: &[u8]) -> Option<()> {
        let range = range(text.strip_prefix(b"RELEASED ")?)?;
        self.released.entry(about).or_default().push(range);
        Some(())
    }

    /// A host says that it gives something up. Returns a number of which nobody said that it was released.
    pub(crate) fn given_up(&mut self, place: u8, text: &[u8]) -> Option<u64> {
        let numbers = text.strip_prefix(b"GIVEN UP ").or_else(|| text.strip_prefix(b"BEFORE OUR TIME "))?;
        let Range { stream, from, to } = range(numbers)?;
        let released = self.released.entry(place).or_default();
        let is_released = |seq: u64| {
            released.iter().any(|range| range.stream == stream && (range.from..=range.to).contains(&seq))
        };
        let unexplained = (from..=to).find(|seq| !is_released(*seq));
        let given_up = self.given_up.entry(place).or_default();
        given_up.extend((from..=to).map(|seq| (stream.clone(), seq)));
        unexplained
    }

    /// Whether a host has told to have given up this message. It may have been published once more, through a host that
    /// lost it again: so one of its numbers suffices.
    pub(crate) fn has_given_up(&self, place: u8, message: u32) -> bool {
        let (Some(ids), Some(given_up)) = (self.ids.get(&message), self.given_up.get(&place)) else {
            return false;
        };
        ids.iter().any(|id| given_up.contains(id))
    }

    /// How many numbers a host has told to have given up.
    pub(crate) fn count(&self, place: u8) -> u64 {
        self.given_up.get(&place).map_or(0, |ids| ids.len() as u64)
    }
}

/// `<stream>.<from> to <to>`, and whatever follows.
pub(super) fn range(text: &[u8]) -> Option<Range> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let (stream, from) = words.next()?.rsplit_once('.')?;
    let to = words.nth(1)?.trim_end_matches([',', ':']);
    Some(Range { stream: stream.as_bytes().to_vec(), from: from.parse().ok()?, to: to.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_was_released_before_and_excuses_what_it_names() {
        let mut bounds = Bounds::default();
        bounds.published(7, b"H0/0000000000000100", 3);
        let given_up =
            b"GIVEN UP H0/0000000000000100.3 to 4: no host of the ring can give what is missing there";
        assert_eq!(bounds.given_up(2, given_up), Some(3));
        let released =
            b"RELEASED H0/0000000000000100.1 to 4, which this host has not told to have: the bounds";
        assert_eq!(bounds.released(2, released), Some(()));
        assert_eq!(bounds.given_up(2, given_up), None);
        assert_eq!(bounds.count(2), 2);
        assert!(bounds.has_given_up(2, 7) && !bounds.has_given_up(1, 7) && !bounds.has_given_up(2, 8));
    }
}
