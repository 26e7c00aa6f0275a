//! Carries out what a node wants done, in the order that [`pzog::event`] states; a process may end between any two
//! of these things.

use crate::event::{Event, MILLI, Process};
use crate::host::Ending;
use crate::network::Port;
use crate::world::World;
use pzog::{ConnId, Input, Outputs, Place, Prepare, Severity, Slice, Source};

impl World {
    /// Carries out a turn. After a rotation the journal is synced at once, before the new log is written.
    pub(crate) fn perform(&mut self, place: u8, out: Outputs, input: &[u8], is_rotation: bool) {
        let ending = self.carry_out(place, &out, input, is_rotation);
        self.trace
            .add(out.append.len() as u64 | (out.send.len() as u64) << 20 | (out.answer.len() as u64) << 40);
        self.trace.add(out.forward.len() as u64);
        self.trace.add_bytes(&out.log);
        match ending {
            Err(ending) => self.end(place, ending),
            Ok(()) if out.stopped => self.end(place, Ending::Stopped),
            Ok(()) => {
                let host = &mut self.hosts[usize::from(place)];
                host.wake_at = out.wake_at.map(|at| host.clock.when(at));
                let clients_again = out.read_clients > 0 && host.reads_clients == 0;
                let peers_again = out.read_peers && !host.reads_peers;
                (host.reads_clients, host.reads_peers) = (out.read_clients, out.read_peers);
                if clients_again {
                    self.unpark(|c| c.port == Port::Clients && c.hosts[0] == place);
                }
                if peers_again {
                    self.unpark(|c| c.port == Port::Ring && c.hosts.contains(&place));
                }
                self.arm_wake(place);
            }
        }
        self.hosts[usize::from(place)].out = out;
    }

    fn carry_out(&mut self, place: u8, out: &Outputs, input: &[u8], is_rotation: bool) -> Result<(), Ending> {
        self.send_all(place, &out.forward, out, input)?;
        self.append(place, out, input)?;
        if is_rotation {
            self.sync_now(place);
        }
        self.send_all(place, &out.send, out, input)?;
        self.write_log(place, &out.log)?;
        for (conn, slice) in &out.answer {
            self.strike(place)?;
            match slice {
                Slice::Oks(count) => self.send(place, *conn, &b"OK\r\n".repeat(*count as usize)),
                _ => self.send(place, *conn, out.bytes(*slice, input)),
            }
        }
        self.strike(place)?;
        self.report(place, out);
        self.ask_disk(place, out)?;
        for to in &out.dial {
            let host = &self.hosts[usize::from(place)];
            let (from, to) = (host.process(place), host.places[to.index()]);
            self.queue.add(self.now + self.scenario.network.latency_us, Event::Dial { from, to });
        }
        for conn in &out.close {
            self.close(place, *conn);
        }
        Ok(())
    }

    fn send_all(
        &mut self,
        place: u8,
        lines: &[(ConnId, Slice)],
        out: &Outputs,
        input: &[u8],
    ) -> Result<(), Ending> {
        for (conn, slice) in lines {
            self.strike(place)?;
            self.send(place, *conn, out.bytes(*slice, input));
        }
        Ok(())
    }

    /// The process may end here.
    pub(crate) fn strike(&mut self, place: u8) -> Result<(), Ending> {
        match &mut self.hosts[usize::from(place)].doom {
            None => Ok(()),
            Some((0, ending)) => Err(*ending),
            Some((steps, _)) => {
                *steps -= 1;
                Ok(())
            }
        }
    }

    fn append(&mut self, place: u8, out: &Outputs, input: &[u8]) -> Result<(), Ending> {
        if out.append.is_empty() {
            return Ok(());
        }
        let pieces: Vec<&[u8]> = out.append.iter().map(|piece| out.bytes(*piece, input)).collect();
        let bytes = pieces.concat();
        let doomed = self.strike(place);
        let host = &mut self.hosts[usize::from(place)];
        let fails = std::mem::take(&mut host.mood.next_append_fails);
        let is_partial = fails || doomed.is_err() && self.dice.disk.chance(0.3);
        let upto = if is_partial { self.dice.disk.below(bytes.len()) } else { bytes.len() };
        if doomed.is_ok() || is_partial {
            let host = &mut self.hosts[usize::from(place)];
            if let Err(what) = host.disk.append(out.append_at, &bytes[..upto]) {
                let what = format!("{} {what}: {:?}", host.name, out.append_at);
                self.checks.fail(self.now, what);
            }
        }
        if is_partial {
            let own = out.append.iter().filter(|piece| matches!(piece, Slice::Own(..)));
            own.for_each(|piece| self.checks.cut_short(out.bytes(*piece, input)));
        }
        doomed?;
        if fails {
            return Err(Ending::Failed);
        }
        let end = self.hosts[usize::from(place)].disk.end();
        let of = self.hosts[usize::from(place)].process(place);
        for piece in &out.append {
            let is_own = matches!(piece, Slice::Own(..));
            self.checks.appended(of, end, out.bytes(*piece, input), is_own, self.now);
        }
        Ok(())
    }

    fn write_log(&mut self, place: u8, lines: &[u8]) -> Result<(), Ending> {
        if lines.is_empty() {
            return Ok(());
        }
        let doomed = self.strike(place);
        let host = &mut self.hosts[usize::from(place)];
        let log = host.log;
        if let Err(ending) = doomed {
            if self.dice.disk.chance(0.3) {
                let upto = self.dice.disk.below(lines.len());
                self.hosts[usize::from(place)].disk.logs[log].bytes.extend_from_slice(&lines[..upto]);
            }
            return Err(ending);
        }
        let file = &mut host.disk.logs[log].bytes;
        let start = file.len();
        file.extend_from_slice(lines);
        if self.trace.prints() {
            let name = &self.hosts[usize::from(place)].name;
            for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                self.trace.note(self.now, || format!("{name} access.log  {}", String::from_utf8_lossy(line)));
            }
        }
        self.checks.logged(place, log, start, lines, self.now);
        Ok(())
    }

    fn ask_disk(&mut self, place: u8, out: &Outputs) -> Result<(), Ending> {
        let of = self.hosts[usize::from(place)].process(place);
        if out.sync {
            let (segment, offset) = self.hosts[usize::from(place)].disk.end();
            let at = self.sync_ends_at(place);
            self.hosts[usize::from(place)].sync_began = self.now;
            self.queue.add(at, Event::Synced { of, segment, offset });
        }
        if out.mark {
            let at = self.sync_ends_at(place);
            let host = &mut self.hosts[usize::from(place)];
            host.mark += 1;
            host.marking = Some((host.log, host.disk.logs[host.log].bytes.len()));
            self.queue.add(at, Event::Marked { of, mark: host.mark });
        }
        self.strike(place)?;
        if let Some(Prepare { segment, bytes }) = out.prepare {
            let at = self.now + self.dice.disk.around(self.scenario.disk.prepare_us);
            self.hosts[usize::from(place)].preparing = Some((segment, bytes));
            self.queue.add(at, Event::Prepared { of, segment, bytes });
        }
        for segment in &out.release {
            self.strike(place)?;
            let name = &self.hosts[usize::from(place)].name;
            self.trace.note(self.now, || format!("{name} releases segment {segment}"));
            self.hosts[usize::from(place)].disk.release(*segment, &mut self.dice.disk);
        }
        for read in &out.read {
            self.counts.reads += 1;
            let at = self.now + self.dice.disk.around(200);
            self.queue.add(at, Event::Read { of, read: *read });
        }
        Ok(())
    }

    fn sync_ends_at(&mut self, place: u8) -> u64 {
        let takes = self.dice.disk.around(self.scenario.disk.sync_us);
        (self.now + takes).max(self.hosts[usize::from(place)].mood.hangs_until)
    }

    /// Sends or answers whole lines on a connection.
    fn send(&mut self, place: u8, conn: ConnId, bytes: &[u8]) {
        let host = &self.hosts[usize::from(place)];
        let Some(side) = host.side(conn).filter(|_| bytes.ends_with(b"\r\n")) else {
            let what = format!("{} sends on {conn:?}, which is not open, or a piece of a line", host.name);
            return self.checks.fail(self.now, what);
        };
        let lie = self.lie(place, side, bytes);
        let bytes = lie.as_deref().unwrap_or(bytes);
        if self.trace.prints() {
            let (name, to) = (&self.hosts[usize::from(place)].name, self.party(side.other()));
            for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                self.trace.note(self.now, || format!("{name} → {to}  {}", String::from_utf8_lossy(line)));
            }
        }
        if let Some(traffic) = self.traffic.get_mut(usize::from(place))
            && self.connections[side.connection as usize].port == Port::Ring
        {
            traffic.add(bytes);
        }
        self.trace.add(u64::from(side.connection));
        self.write(side.other(), bytes);
    }

    fn close(&mut self, place: u8, conn: ConnId) {
        let Some(side) = self.hosts[usize::from(place)].side(conn) else {
            let name = &self.hosts[usize::from(place)].name;
            let what = format!("{name} closes {conn:?}, which is not open");
            return self.checks.fail(self.now, what);
        };
        self.pipe(side).close();
        self.end_pipe(side.other(), self.now + 1);
        self.queue.add(self.now + 50, Event::Closed(side));
    }

    fn report(&mut self, place: u8, out: &Outputs) {
        for report in &out.report {
            let text = &out.small[report.text.range()];
            let about = match report.source {
                Source::Host(host) => Some(self.hosts[usize::from(place)].places[host.index()]),
                Source::Conn(_) | Source::Node => None,
            };
            self.checks.reported(place, about, text, report.severity == Severity::Error, self.now);
            if let Source::Conn(conn) = report.source
                && text.starts_with(b"REFUSED 4")
                && !self.checks.is_refused_lie(text)
                && self.is_of_ring(place, conn)
            {
                let what = format!("H{place} does not understand a peer: {}", String::from_utf8_lossy(text));
                self.checks.fail(self.now, what);
            }
            if self.trace.prints() {
                let (name, text) = (&self.hosts[usize::from(place)].name, String::from_utf8_lossy(text));
                self.trace.note(self.now, || format!("{name} error.log  {:?}: {text}", report.source));
            }
        }
    }

    fn is_of_ring(&self, place: u8, conn: ConnId) -> bool {
        let side = self.hosts[usize::from(place)].side(conn);
        side.is_some_and(|side| self.connections[side.connection as usize].port == Port::Ring)
    }

    // What was asked for has ended.

    pub(crate) fn synced(&mut self, of: Process, end: (u64, u32)) {
        let host = &mut self.hosts[usize::from(of.host)];
        if std::mem::take(&mut host.mood.next_sync_fails) {
            return self.end(of.host, Ending::Failed);
        }
        if !planted!(NoSync) {
            host.disk.sync(end);
        }
        host.synced_since = host.sync_began;
        self.checks.synced(of.host, end);
        self.give(of.host, Input::Synced);
    }

    fn sync_now(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        host.disk.sync_journal();
        host.synced_since = self.now;
        let end = host.disk.end();
        self.checks.synced(place, end);
    }

    pub(crate) fn marked(&mut self, of: Process, mark: u32) {
        let host = &mut self.hosts[usize::from(of.host)];
        let Some((log, bytes)) = host.marking.take_if(|_| host.mark == mark) else { return };
        host.disk.logs[log].sync(bytes);
        let log = host.disk.log_file(log, bytes);
        self.give(of.host, Input::Marked { log });
    }

    pub(crate) fn prepared(&mut self, of: Process, segment: u64, bytes: u32) {
        let host = &mut self.hosts[usize::from(of.host)];
        host.preparing = None;
        let ok = !host.mood.is_full;
        if ok {
            host.disk.prepare(segment, bytes, &mut self.dice.disk);
        }
        self.give(of.host, Input::Prepared { ok });
    }

    pub(crate) fn read(&mut self, of: Process, read: pzog::Read) {
        let Place { segment, offset } = read.at;
        self.trace.add(segment ^ u64::from(offset));
        let mut bytes = std::mem::take(&mut self.piece);
        bytes.clear();
        bytes.extend_from_slice(self.hosts[usize::from(of.host)].disk.read(read.at, read.bytes));
        if let Some((_, out)) = self.handle(of.host, Input::JournalRead { id: read.id, bytes: &mut bytes }) {
            self.perform(of.host, out, &bytes, false);
        }
        self.piece = bytes;
    }

    /// access.log is renamed; mostly the daemon is told so a little later.
    pub(crate) fn rename_log(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        host.disk.rename_log();
        let of = host.process(place);
        self.queue.add(self.now + self.dice.disk.around(200 * MILLI), Event::Reopen(of));
    }

    /// The daemon opens access.log anew: first journal and old file are brought to the disk.
    pub(crate) fn reopen_log(&mut self, place: u8) {
        self.sync_now(place);
        let host = &mut self.hosts[usize::from(place)];
        let log = &mut host.disk.logs[host.log];
        let bytes = log.bytes.len();
        log.sync(bytes);
        (host.log, host.marking) = (host.disk.open_log(), None);
        let bytes = host.disk.logs[host.log].bytes.len();
        let log = host.disk.log_file(host.log, bytes);
        if let Some((_, out)) = self.handle(place, Input::LogOpened { log }) {
            self.perform(place, out, &[], true);
        }
    }
}
