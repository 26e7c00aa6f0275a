//! The scripts in `tests/scripts/`: commands, then `---`, then all that happened.

use crate::disk::Mood;
use crate::network::Port;
use crate::world::World;
use goldenscript::Context;
use pzog::time::Duration;
use pzog::{Connect, HostIndex, Input, Level, Ring, Scheme, Settings};
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

/// What a script may say. After each command all happens that can happen without time going on.
#[derive(goldenscript::Command)]
enum Command {
    /// `ring MV PA scheme=origin`: the hosts in ring order, none of them running.
    Ring {
        names: Vec<String>,
        #[arg(key, optional)]
        scheme: Option<String>,
        #[arg(key, optional)]
        connect: Option<String>,
    },
    /// `set keepalive=1s`: changes settings, also of hosts that run.
    Set(Vec<(String, String)>),
    /// Starts these hosts, all at the same moment.
    Start(Vec<String>),
    /// `start_with PA PA MV`: starts a host whose ring.toml has other hosts, or in another order.
    StartWith { host: String, names: Vec<String> },
    /// Tells these hosts to stop in good order.
    Stop(Vec<String>),
    /// Ends these hosts as `kill -9` does.
    Kill(Vec<String>),
    /// Ends these hosts as a power loss does: no connection closes, and what was not synced is lost.
    Vanish(Vec<String>),
    /// `client alice MV`: a client connects.
    Client { name: String, host: String },
    /// `peer eve MV`: somebody connects to the ring port.
    Peer { name: String, host: String },
    /// `prove eve PA`: an outsider shows a certificate that names this host; without one: a bad certificate.
    Prove { name: String, host: Option<String> },
    /// `say alice "MSG hello" QUIT`: these lines, all at once.
    Say(Vec<String>),
    /// `messages alice 1000 each`: so many `MSG <word> <n>` at once.
    Messages { name: String, count: usize, word: String },
    /// `bytes alice "MSG he"`: these bytes as they are.
    Bytes { name: String, bytes: String },
    /// An outsider closes its connection.
    Leave(String),
    /// An outsider shuts its end and goes on reading.
    Finish(String),
    /// Breaks the connections between two hosts.
    Cut(String, String),
    /// What the first sends to the second stays under way.
    Hold(String, String),
    /// It goes on again.
    Release(String, String),
    /// `disk MV hangs`: `works`, `hangs`, `fails` or `full`.
    Disk(String, String),
    /// Lets time go on.
    Run(String),
    /// Shows what a host has counted.
    Counters(String),
    /// Shows how many lines each log has, and whether all have the same.
    Logs,
}

struct Runner {
    world: World,
}

impl Runner {
    fn host(&self, name: &str) -> Result<usize, Box<dyn Error>> {
        self.world.find(name).ok_or_else(|| format!("no host {name:?}").into())
    }

    fn each(&mut self, names: &[String], does: impl Fn(&mut World, usize)) -> Done {
        for name in names {
            let host = self.host(name)?;
            does(&mut self.world, host);
        }
        Ok(())
    }

    fn make_ring(&mut self, names: &[String], scheme: Option<&str>, connect: Option<&str>) -> Done {
        let scheme = match scheme {
            None | Some("receiver") => Scheme::Receiver,
            Some("origin") => Scheme::Origin,
            Some(other) => return Err(format!("no scheme {other:?}").into()),
        };
        let connect = match connect {
            None => Connect::Always,
            Some("on-demand") => Connect::OnDemand,
            Some(other) => return Err(format!("no way to connect {other:?}").into()),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.world =
            World::new(&names, scheme, Settings { connect, segment_bytes: 1 << 20, ..Settings::default() });
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Done {
        let s = &mut self.world.settings;
        match key {
            "ack" => s.ack = Level::of_word(value.as_bytes()).ok_or("no such level")?,
            "ack_timeout" => s.ack_timeout = duration(value)?,
            "keepalive" => s.keepalive = duration(value)?,
            "peer_silence" => s.peer_silence = duration(value)?,
            "client_idle" => s.client_idle = duration(value)?,
            "redial_min" => s.redial_min = duration(value)?,
            "redial_max" => s.redial_max = duration(value)?,
            "clients_max" => s.clients_max = value.parse()?,
            "window_messages" => s.window_messages = value.parse()?,
            "segment_bytes" => s.segment_bytes = value.parse()?,
            "journal_bytes" => s.journal_bytes = value.parse()?,
            _ => return Err(format!("no setting {key:?}").into()),
        }
        let settings = self.world.settings;
        (0..self.world.hosts.len()).for_each(|h| self.world.give(h, Input::Reconfigured { settings }));
        Ok(())
    }

    fn start_with(&mut self, host: &str, names: &[String]) -> Done {
        let host = self.host(host)?;
        let scheme = self.world.scheme;
        self.world.start_with(host, Ring::new(names.to_vec(), scheme)?);
        Ok(())
    }

    fn say(&mut self, name: &str, bytes: &[u8]) -> Done {
        let said = self.world.say(name, bytes);
        said.then_some(()).ok_or_else(|| format!("{name} has no open connection").into())
    }

    fn connect(&mut self, name: &str, host: &str, port: Port) -> Done {
        let host = self.host(host)?;
        self.world.connect(name, host, port);
        Ok(())
    }

    fn prove(&mut self, name: &str, host: Option<&str>) -> Done {
        let proved = host.map(|host| self.host(host)).transpose()?.map(|host| HostIndex(host as u8));
        self.world.prove(name, proved).then_some(()).ok_or("nobody of that name")?;
        Ok(())
    }

    fn hold(&mut self, from: &str, to: &str, held: bool) -> Done {
        let way = (self.host(from)?, self.host(to)?);
        if held {
            self.world.held.insert(way)
        } else {
            self.world.held.remove(&way)
        };
        Ok(())
    }

    fn set_disk(&mut self, host: &str, disk: &str) -> Done {
        let host = self.host(host)?;
        self.world.hosts[host].disk.mood = match disk {
            "works" => Mood::Works,
            "hangs" => Mood::Hangs,
            "fails" => Mood::Fails,
            "full" => Mood::Full,
            _ => return Err(format!("no disk {disk:?}").into()),
        };
        Ok(())
    }

    fn show_counters(&mut self, name: &str) -> Done {
        let host = self.host(name)?;
        let counters = self.world.hosts[host].node.as_ref().ok_or("it does not run")?.counters();
        self.world.note(&format!("{counters:?}"));
        Ok(())
    }

    fn show_logs(&mut self) {
        let sorted: Vec<Vec<Vec<u8>>> = self
            .world
            .hosts
            .iter()
            .map(|host| {
                let mut lines: Vec<Vec<u8>> = host.log_lines().map(<[u8]>::to_vec).collect();
                lines.sort();
                lines
            })
            .collect();
        let lengths: Vec<usize> = sorted.iter().map(Vec::len).collect();
        let equal = sorted.windows(2).all(|pair| pair[0] == pair[1]);
        let how = if equal { "equal when sorted" } else { "different" };
        self.world.note(&format!("lines: {lengths:?}, {how}"));
    }

    fn perform(&mut self, command: &Command) -> Done {
        match command {
            Command::Ring { names, scheme, connect } => {
                self.make_ring(names, scheme.as_deref(), connect.as_deref())?;
            }
            Command::Set(pairs) => pairs.iter().try_for_each(|(key, value)| self.set(key, value))?,
            Command::Start(names) => self.each(names, World::start)?,
            Command::StartWith { host, names } => self.start_with(host, names)?,
            Command::Stop(names) => self.each(names, |world, host| world.give(host, Input::Stop))?,
            Command::Kill(names) => self.each(names, World::kill)?,
            Command::Vanish(names) => self.each(names, World::lose_power)?,
            Command::Client { name, host } => self.connect(name, host, Port::Clients)?,
            Command::Peer { name, host } => self.connect(name, host, Port::Ring)?,
            Command::Prove { name, host } => self.prove(name, host.as_deref())?,
            Command::Say(words) => {
                let lines: String = words[1..].iter().map(|line| format!("{line}\r\n")).collect();
                self.say(&words[0], lines.as_bytes())?;
            }
            Command::Messages { name, count, word } => {
                let lines: String = (1..=*count).map(|n| format!("MSG {word} {n}\r\n")).collect();
                self.say(name, lines.as_bytes())?;
            }
            Command::Bytes { name, bytes } => self.say(name, bytes.as_bytes())?,
            Command::Leave(name) => self.world.leave(name).then_some(()).ok_or("nobody of that name")?,
            Command::Finish(name) => self.world.finish(name).then_some(()).ok_or("nobody of that name")?,
            Command::Cut(a, b) => {
                let (a, b) = (self.host(a)?, self.host(b)?);
                self.world.cut(a, b);
            }
            Command::Hold(from, to) => self.hold(from, to, true)?,
            Command::Release(from, to) => self.hold(from, to, false)?,
            Command::Disk(host, disk) => self.set_disk(host, disk)?,
            Command::Run(time) => self.world.run(duration(time)?),
            Command::Counters(host) => self.show_counters(host)?,
            Command::Logs => self.show_logs(),
        }
        Ok(())
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        self.perform(command)?;
        self.world.settle();
        let trace = self.world.take_trace();
        let broken = self.world.checks.take_broken(&self.world.hosts);
        if broken.is_empty() {
            Ok(trace)
        } else {
            Err(format!("{}\nafter\n{trace}", broken.join("\n")).into())
        }
    }
}

/// `1s`, `20ms`.
fn duration(text: &str) -> Result<Duration, Box<dyn Error>> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or("a duration needs its unit")?;
    let number = text[..unit].parse()?;
    match &text[unit..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        other => Err(format!("no unit {other:?}").into()),
    }
}

test_each_file::test_each_path! { for ["txt"] in "./pzog/tests/scripts" as scripts => run }

fn run([path]: [&Path; 1]) {
    let world =
        World::new(&["MV"], Scheme::Receiver, Settings { segment_bytes: 1 << 20, ..Settings::default() });
    goldenscript::run(&mut Runner { world }, path).expect("the script runs, and no rule is broken");
}
