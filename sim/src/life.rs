//! How processes begin and end: recovery from the disk, and what a crash leaves there.

use crate::event::{Event, Moment, SECOND};
use crate::host::Ending;
use crate::world::World;
use pzog::journal::{JournalError, Recovered, recover};
use pzog::{Identity, Input, Node, Settings};

impl World {
    /// A process ends; unless it is over for good, it starts again later.
    pub(crate) fn end(&mut self, place: u8, ending: Ending) {
        let host = &mut self.hosts[usize::from(place)];
        self.trace.note(self.now, || format!("{} ends: {ending:?}", host.name));
        self.trace.add(u64::from(place) << 8 | ending as u64);
        (host.node, host.doom, host.wake_at, host.marking) = (None, None, None, None);
        (host.wake_armed, host.paused_until) = (Moment::MAX, 0);
        host.life += 1;
        if let Some((segment, bytes)) = host.preparing.take()
            && self.dice.disk.chance(0.5)
        {
            host.disk.prepare(segment, bytes, &mut self.dice.disk);
        }
        let life = host.life;
        let loses = ending == Ending::PowerLost || ending == Ending::Failed && self.dice.disk.chance(0.3);
        if loses {
            let since = host.synced_since;
            host.disk.lose_power(&mut self.dice.disk);
            self.checks.power_lost(place, since, self.now);
        }
        let sides: Vec<_> =
            std::mem::take(&mut self.hosts[usize::from(place)].conns).into_iter().flatten().collect();
        sides.into_iter().for_each(|side| self.lose_end(side, ending == Ending::PowerLost));
        if self.scenario.twin() == Some(place) {
            return self.checks.twin_ends(self.now); // for good
        }
        if self.hosts[usize::from(place)].is_out {
            return; // for good
        }
        let mean = if ending == Ending::Failed { SECOND } else { self.scenario.lasting.down_ms * 1000 };
        let later = if self.is_calm { SECOND } else { self.dice.faults.around(mean).max(10) };
        self.queue.add(self.now + later, Event::Start { host: place, life });
    }

    /// A host that is down starts: what a driver does before there is a node, and its first two turns.
    pub(crate) fn start(&mut self, place: u8) {
        let life = self.hosts[usize::from(place)].life;
        if self.hosts[usize::from(place)].runs() || self.hosts[usize::from(place)].is_out {
            return;
        }
        if self.hosts[usize::from(place)].mood.is_full {
            return self.queue.add(self.now + SECOND, Event::Start { host: place, life });
        }
        self.take_ring(place);
        let Some(recovered) = self.recover(place) else { return };
        let host = &mut self.hosts[usize::from(place)];
        self.trace.note(self.now, || format!("{} starts, life {life}", host.name));
        let incarnation = u64::from(life + 1) << 8 | u64::from(place);
        let identity = Identity {
            ring: host.ring.clone(),
            me: host.me,
            incarnation,
            process: life,
            seed: self.dice.network.bits(),
        };
        let settings = Settings { revision: host.revision, ..self.settings };
        host.node = Some(Node::new(identity, settings, recovered));
        host.synced_since = self.now;
        self.counts.starts += 1;
        self.checks.started(place);
        let host = &self.hosts[usize::from(place)];
        let log = host.disk.log_file(host.log, host.disk.logs[host.log].bytes.len());
        if let Some((_, out)) = self.handle(place, Input::LogOpened { log }) {
            self.perform(place, out, &[], true);
        }
        self.give(place, Input::Deadline);
    }

    /// Brings journal and access.log in order. `None` if the process ended in the middle of that.
    fn recover(&mut self, place: u8) -> Option<Recovered> {
        let crash_after = self.crash_in_start(place);
        let host = &mut self.hosts[usize::from(place)];
        let numbers: Vec<u64> = host.disk.segments.keys().copied().collect();
        let read = |number, most, into: &mut Vec<u8>| Ok(host.disk.read_segment(number, most, into));
        let recovered = match recover::<JournalError>(&host.ring, host.me, &numbers, read) {
            Ok(recovered) => recovered,
            Err(error) => {
                let what = format!("{} cannot use its own journal: {error}", host.name);
                self.checks.fail(self.now, what);
                return None;
            }
        };
        for finding in recovered.findings() {
            self.trace.note(self.now, || format!("{} error.log  {finding}", host.name));
            self.checks.found(place, finding, self.now);
        }
        if !planted!(NoSyncAtStart) {
            host.disk.seal(recovered.unproved());
        }
        if crash_after == Some(0) {
            return self.crash(place);
        }
        self.complete_log(place, &recovered, crash_after == Some(1))?;
        let host = &mut self.hosts[usize::from(place)];
        if crash_after == Some(2) {
            return self.crash(place);
        }
        recovered.unreadable().iter().for_each(|number| drop(host.disk.segments.remove(number)));
        host.disk.prepare(recovered.first_segment(), self.settings.segment_bytes, &mut self.dice.disk);
        host.disk.begin_life(recovered.first_segment());
        host.log = host.disk.open_log();
        if crash_after == Some(3) {
            return self.crash(place);
        }
        self.checks.recovered(place, &self.hosts[usize::from(place)].disk, self.now);
        Some(recovered)
    }

    /// After which step of the start it ends again, if it does.
    fn crash_in_start(&mut self, place: u8) -> Option<usize> {
        let faults = &self.scenario.faults;
        let can = faults.kill.is_some() || faults.power.is_some();
        let happens = can && !self.is_calm && self.hosts[usize::from(place)].life > 0;
        (happens && self.dice.faults.chance(0.1)).then(|| self.dice.faults.below(4))
    }

    fn crash<T>(&mut self, place: u8) -> Option<T> {
        let is_power = self.scenario.faults.power.is_some() && self.dice.faults.chance(0.5);
        self.end(place, if is_power { Ending::PowerLost } else { Ending::Killed });
        None
    }

    /// The file of the last mark is cut to the length of then, and completed from the journal.
    fn complete_log(&mut self, place: u8, recovered: &Recovered, crashes: bool) -> Option<()> {
        let host = &mut self.hosts[usize::from(place)];
        let mut lines = Vec::new();
        for (number, segment) in &host.disk.segments {
            if !recovered.unreadable().contains(number) {
                recovered.log_lines(*number, &segment.bytes, &mut lines);
            }
        }
        let marked = recovered.log();
        let found = marked.and_then(|m| host.disk.logs.iter().position(|log| log.inode == m.inode));
        match (found, marked) {
            (Some(at), Some(marked)) => {
                let log = &mut host.disk.logs[at];
                if (log.bytes.len() as u64) < marked.bytes {
                    let what = format!(
                        "{}: access.log has {} bytes, marked were {}",
                        host.name,
                        log.bytes.len(),
                        marked.bytes
                    );
                    self.checks.fail(self.now, what);
                    return None;
                }
                if !planted!(LogNotCut) {
                    log.truncate(marked.bytes as usize);
                    self.checks.cut(place, at, marked.bytes as usize);
                }
                // Files begun after the mark hold nothing that is certain.
                host.disk.logs[at].bytes.extend_from_slice(&lines);
                host.log = at;
            }
            _ => {
                let is_kept = host.disk.logs.iter().any(|log| log.is_named && !log.bytes.is_empty());
                if is_kept && marked.is_none() {
                    self.trace.note(self.now, || "a log without a journal is moved aside".to_owned());
                    host.disk.logs.clear();
                    self.checks.cut(place, 0, 0);
                }
                let at = host.disk.open_log();
                host.disk.logs[at].bytes.extend_from_slice(&lines);
                host.log = at;
            }
        }
        if crashes {
            return self.crash(place);
        }
        let host = &mut self.hosts[usize::from(place)];
        let log = &mut host.disk.logs[host.log];
        let bytes = log.bytes.len();
        log.sync(bytes);
        Some(())
    }
}
