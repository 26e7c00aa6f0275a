//! What stands in the logs of one host, in which order.

use std::collections::VecDeque;

/// A file of the host's logs, by its order, and a place in it: behind a line.
pub(crate) type LogPlace = (usize, usize);

/// Message numbers with the places of their lines.
#[derive(Default)]
pub(crate) struct Logs {
    order: VecDeque<(LogPlace, u32)>,
    counts: Vec<u8>,
}

impl Logs {
    /// A line of this message ends there. Returns how many there are now.
    pub(crate) fn add(&mut self, id: u32, end: LogPlace) -> u8 {
        self.order.push_back((end, id));
        let at = id as usize;
        self.counts.resize(self.counts.len().max(at + 1), 0);
        self.counts[at] = self.counts[at].saturating_add(1);
        self.counts[at]
    }

    /// Lines that end behind a place are not there any more.
    pub(crate) fn cut(&mut self, at: LogPlace) {
        while let Some((_, id)) = self.order.pop_back_if(|(end, _)| *end > at) {
            self.counts[id as usize] -= 1;
        }
    }

    /// Where the last line ends.
    pub(crate) fn end(&self) -> LogPlace {
        self.order.back().map_or((0, 0), |(end, _)| *end)
    }

    pub(crate) fn count(&self, id: u32) -> u8 {
        self.counts.get(id as usize).copied().unwrap_or(0)
    }

    pub(crate) fn in_order(&self) -> impl Iterator<Item = u32> {
        self.order.iter().map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_counts_no_more() {
        let mut logs = Logs::default();
        assert_eq!([logs.add(4, (0, 20)), logs.add(1, (0, 40)), logs.add(4, (1, 20))], [1, 1, 2]);
        logs.cut((0, 40));
        assert_eq!((logs.count(4), logs.count(1), logs.end()), (1, 1, (0, 40)));
        logs.cut((0, 39));
        assert_eq!(logs.in_order().collect::<Vec<_>>(), [4]);
    }
}
