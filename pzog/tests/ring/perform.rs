//! Carries out what the nodes want done, in the order that [`pzog::event`] states, and writes down all of it.

use crate::host::Host;
use crate::network::{Party, Port, Step};
use crate::world::{UTC_SECONDS, World};
use pzog::{ConnId, Input, Now, Outputs, Prepare, Slice, Source};

impl World {
    /// Gives a host an input without bytes of its own, and carries out what it wants done.
    pub(crate) fn give(&mut self, host: usize, input: Input<'_>) {
        if let Some((_, out)) = self.handle(host, input) {
            self.perform(host, out, &[]);
        }
    }

    /// Gives a host an input, if it runs. Returns how many bytes it consumed, and what it wants done.
    pub(crate) fn handle(&mut self, host: usize, input: Input<'_>) -> Option<(usize, Outputs)> {
        let now = Now { mono: self.now, utc_seconds: UTC_SECONDS + self.now.0 / 1_000_000 };
        let Host { node, out, .. } = &mut self.hosts[host];
        let mut out = std::mem::take(out);
        let consumed = node.as_mut()?.handle(now, input, &mut out);
        Some((consumed, out))
    }

    /// Carries out what a turn wants done, in the order of the contract.
    pub(crate) fn perform(&mut self, host: usize, out: Outputs, input: &[u8]) {
        for (conn, slice) in &out.forward {
            self.send(host, *conn, out.bytes(*slice, input));
        }
        self.append(host, &out, input);
        for (conn, slice) in &out.send {
            self.send(host, *conn, out.bytes(*slice, input));
        }
        self.write_log(host, &out.log);
        for (conn, slice) in &out.answer {
            match slice {
                Slice::Oks(count) => (0..*count).for_each(|_| self.send(host, *conn, b"OK\r\n")),
                _ => self.send(host, *conn, out.bytes(*slice, input)),
            }
        }
        if out.sync {
            self.begin_sync(host);
        }
        if out.mark {
            self.hosts[host].disk.begin_mark();
            self.steps.push(Step::Marked { host });
        }
        if let Some(Prepare { segment, bytes }) = out.prepare {
            self.steps.push(Step::Prepared { host, segment, bytes });
        }
        out.release.iter().for_each(|segment| self.hosts[host].disk.release(*segment));
        out.read.iter().for_each(|read| self.steps.push(Step::Read { host, read: *read }));
        for to in &out.dial {
            let to = self.hosts[host].places[to.index()];
            self.note(&format!("{} dials {}", self.hosts[host].name, self.hosts[to].name));
            self.steps.push(Step::Dial { from: host, to });
        }
        out.close.iter().for_each(|conn| self.close(host, *conn));
        for report in &out.report {
            let text = String::from_utf8_lossy(&out.small[report.text.range()]).into_owned();
            self.report(host, report.source, &text);
        }
        self.hosts[host].wake_at = out.wake_at;
        let (reads, read) =
            (out.read_clients, std::mem::replace(&mut self.hosts[host].reads_clients, out.read_clients));
        if (reads > 0) != (read > 0) {
            let how = if reads > 0 { "reads its clients" } else { "stops reading its clients" };
            self.note(&format!("{} {how}", self.hosts[host].name));
        }
        if std::mem::replace(&mut self.hosts[host].reads_peers, out.read_peers) != out.read_peers {
            let how = if out.read_peers { "reads its peers" } else { "stops reading its peers" };
            self.note(&format!("{} {how}", self.hosts[host].name));
        }
        if out.stopped {
            self.note(&format!("{} has stopped", self.hosts[host].name));
            self.kill(host);
        }
        self.hosts[host].out = out;
    }

    fn append(&mut self, host: usize, out: &Outputs, input: &[u8]) {
        let bytes: Vec<u8> = out.append.iter().flat_map(|piece| out.bytes(*piece, input)).copied().collect();
        if let Err(what) = self.hosts[host]
            .disk
            .append(out.append_at, &bytes)
            .or_else(|what| if bytes.is_empty() { Ok(()) } else { Err(what) })
        {
            let name = self.hosts[host].name.clone();
            self.misuse(format!("{name} {what}: {:?}", out.append_at));
        }
    }

    /// Sends or answers whole lines on a connection.
    fn send(&mut self, host: usize, conn: ConnId, bytes: &[u8]) {
        let from = self.hosts[host].name.clone();
        let Some((connection, side)) = self.hosts[host].connection(conn) else {
            return self.misuse(format!("{from} sends on {conn:?}, which is not open"));
        };
        let to = self.party_name(connection, 1 - side);
        let lines = bytes.strip_suffix(b"\r\n").unwrap_or_else(|| {
            self.misuse(format!("{from} sends {to} a piece of a line"));
            bytes
        });
        for line in lines.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)) {
            let shown = String::from_utf8_lossy(line);
            self.note(&format!("{from} → {to}  {shown}"));
            let life = self.hosts.iter().find(|h| h.name == to).map_or(0, |h| h.incarnation);
            self.checks.line_sent(&from, &to, life, line);
            if let Party::Outsider(name) = &self.connections[connection].ends[1 - side] {
                let outsider = self.outsiders.get_mut(name).expect("outsiders stay known");
                outsider.answers.push(shown.clone().into_owned());
                if self.connections[connection].port == Port::Clients {
                    self.checks.answered(&self.hosts[host], &self.hosts, outsider, &shown);
                }
            }
        }
        self.write(connection, 1 - side, bytes);
    }

    fn write_log(&mut self, host: usize, lines: &[u8]) {
        let name = self.hosts[host].name.clone();
        self.hosts[host].disk.log(lines);
        for line in lines.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or_else(|| {
                self.misuse(format!("{name} logs a piece of a line"));
                line
            });
            self.note(&format!("{name} access.log  {}", String::from_utf8_lossy(line)));
        }
    }

    fn begin_sync(&mut self, host: usize) {
        self.note(&format!("{} syncs", self.hosts[host].name));
        if self.hosts[host].disk.begin_sync() {
            self.misuse(format!("{} syncs while it syncs", self.hosts[host].name));
        }
        self.steps.push(Step::Synced { host });
    }

    fn close(&mut self, host: usize, conn: ConnId) {
        let Some((connection, side)) = self.hosts[host].connection(conn) else {
            let name = &self.hosts[host].name;
            return self.misuse(format!("{name} closes {conn:?}, which is not open"));
        };
        let (from, to) = (self.hosts[host].name.clone(), self.party_name(connection, 1 - side));
        self.note(&format!("{from} closes {to}"));
        let pipe = &mut self.connections[connection].pipes[side];
        if std::mem::replace(&mut pipe.closed, true) {
            self.misuse(format!("{from} closes {to} twice"));
            return;
        }
        self.end_pipe(connection, 1 - side);
        self.steps.push(Step::Closed { connection, side });
    }

    fn report(&mut self, host: usize, source: Source, text: &str) {
        let about = match source {
            Source::Node => self.hosts[host].name.clone(),
            Source::Host(other) => self.hosts[self.hosts[host].places[other.index()]].name.clone(),
            Source::Conn(conn) => match self.hosts[host].connection(conn) {
                Some((connection, side)) => self.party_name(connection, 1 - side),
                None => format!("{conn:?}"),
            },
        };
        self.note(&format!("{} error.log  {about}: {text}", self.hosts[host].name));
    }

    pub(crate) fn write(&mut self, connection: usize, side: usize, bytes: &[u8]) {
        let [a, b] = &mut self.connections[connection].pipes;
        let (pipe, back) = if side == 0 { (a, b) } else { (b, a) };
        if back.closed {
            return self.misuse("something is sent on a connection that its sender closed".to_owned());
        }
        if pipe.ended || pipe.closed {
            // The other side has gone, and this one has not heard of it: the bytes go nowhere.
            return;
        }
        pipe.bytes.extend_from_slice(bytes);
        self.move_pipe(connection, side);
    }

    pub(crate) fn end_pipe(&mut self, connection: usize, side: usize) {
        self.connections[connection].pipes[side].ended = true;
        self.move_pipe(connection, side);
    }

    fn move_pipe(&mut self, connection: usize, side: usize) {
        let step = Step::Deliver { connection, side };
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    /// Who is at an end; where two hosts have several connections, also who dialled it.
    fn party_name(&self, connection: usize, side: usize) -> String {
        let [dialler, other] = &self.connections[connection].names;
        let name = &self.connections[connection].names[side];
        match self.connections.iter().filter(|c| c.is_between(dialler, other)).count() {
            0 | 1 => name.clone(),
            _ => format!("{name} (dialled by {dialler})"),
        }
    }
}
