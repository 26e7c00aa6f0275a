//! `zog run`: puts the daemon together, opens its ports, and lives until a signal ends it.

use crate::access_log::AccessLog;
use crate::check;
use crate::cli::RunArgs;
use crate::connection::Kind;
use crate::daemon::{Daemon, Shared};
use crate::door::Door;
use crate::error_log::ErrorLog;
use crate::exit::{Exit, Failed};
use crate::http::{self, Standing};
use crate::journal::{self, Found, Journal};
use crate::reload::{self, Origin, Running};
use crate::rt::{self, Async, Task, Timer};
use crate::signals::Signals;
use crate::tls::{self, Hosts, Tls};
use crate::tokens::Tokens;
use crate::{alarm, descriptors, failure, listener, notify, rotate, state_dir, stop};
use flexi_logger::{LogSpecification, Logger, LoggerHandle};
use futures_lite::future;
use pzog::{HostIndex, Identity, Input, Node, Severity};
use rand::TryRng;
use rand::rngs::SysRng;
use ringfile::{Host, RingFile};
use ringkeys::Files;
use rustix::fs::Mode;
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// After the journal has failed it is tried again after this time, doubled up to the other.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether work of a life that has failed is still under way.
const UNDER_WAY_AGAIN: Duration = Duration::from_millis(20);

/// Files are for this user and its group.
const UMASK: Mode = Mode::WGRP.union(Mode::RWXO);

/// Runs the daemon to its end.
pub(crate) fn run(args: &RunArgs) -> Result<Exit, Failed> {
    let _diagnostics = diagnostics(args)?;
    let (origin, file) = check::load(&args.ring)?;
    let me = check::who(&args.ring, &origin, &file)?;
    rustix::process::umask(UMASK);
    let dirs = directories(args, &file.hosts[me].name);
    let _lock = state_dir::lock(&dirs.state)?;
    state_dir::create(&dirs.logs, "--log-dir")?;
    let tls = protection(args, &origin, &file, me)?;
    rt::run(live(origin, file, HostIndex(me as u8), dirs, tls))?;
    Ok(Exit::Success)
}

/// The keys of this host, where they are used. Says so where links are not protected, and that matters.
fn protection(
    args: &RunArgs,
    origin: &Origin,
    file: &RingFile,
    me: usize,
) -> Result<Option<Rc<Tls>>, Failed> {
    if let Some(text) = check::exposure(file) {
        log::warn!("{text}");
    }
    if !Tls::is_wanted(file) {
        return Ok(None);
    }
    let files = Files::of(&origin.keys(args.ring.keys.as_deref()));
    let hosts = Hosts { names: file.hosts.iter().map(|h| h.name.clone()).collect(), me };
    let loaded = Tls::load(files, hosts, file);
    let failed = |why| Failed::new(Exit::Config, format!("{why}; `zog keys check` shows all keys"));
    loaded.map(|tls| Some(Rc::new(tls))).map_err(failed)
}

/// What is told on standard error.
fn diagnostics(args: &RunArgs) -> Result<LoggerHandle, Failed> {
    Logger::with(LogSpecification::builder().default(args.level()).build())
        .log_to_stderr()
        // It may be a file on a disk that is full: what is told there is in error.log, too.
        .panic_if_error_channel_is_broken(false)
        .start()
        .map_err(|e| Failed::new(Exit::Io, format!("cannot write diagnostics to standard error: {e}")))
}

/// Where everything of this host is.
struct Directories {
    state: PathBuf,
    logs: PathBuf,
}

fn directories(args: &RunArgs, name: &str) -> Directories {
    let or = |given: &Option<PathBuf>, kind: &str, system: &str| {
        let default =
            || if args.ring.local { ["zog-local", name, kind].iter().collect() } else { system.into() };
        given.clone().unwrap_or_else(default)
    };
    Directories {
        state: or(&args.state_dir, "state", "/var/lib/zog"),
        logs: or(&args.log_dir, "log", "/var/log/zog"),
    }
}

/// Lives until a signal ends it: one life after the other, should the journal fail.
async fn live(
    origin: Origin,
    file: RingFile,
    me: HostIndex,
    dirs: Directories,
    tls: Option<Rc<Tls>>,
) -> Result<(), Failed> {
    let signal = |e| Failed::new(Exit::Io, format!("cannot wait for signals: {e}"));
    let stop_signals = Signals::stop().map_err(signal)?;
    // From here on: a SIGHUP that comes while the journal is read must not end the daemon.
    let reload_signals = Rc::new(Signals::reload().map_err(signal)?);
    let running = Rc::new(RefCell::new(file));
    rt::spawn(notify::feed_watchdog());
    let standing = watched(&running.borrow(), me, &dirs);
    let mut pause = AGAIN_MIN;
    let (mut is_first, mut is_ready) = (true, false);
    loop {
        // A port that is taken, or a disk, is waited for, but not against the will of whoever stops us.
        let file = running.borrow().clone();
        let begun = async { begin(&file, me, &dirs, &tls, !is_first).await.map(Some) };
        let stopped = async { stop_signals.next().await.map(|()| None).map_err(signal) };
        match future::or(begun, stopped).await {
            Ok(None) => return Ok(()),
            Ok(Some(life)) => {
                standing.begins(&life.daemon);
                life.daemon.borrow_mut().turn(Input::Deadline);
                if let Some(tls) = &tls {
                    tls.certify(&mut life.daemon.borrow_mut());
                }
                is_ready |= life.announce(&file.hosts[me.index()].name, is_ready)?;
                is_first = false;
                let begun = Instant::now();
                match life.run(&origin, &running, &stop_signals, &reload_signals).await? {
                    End::Stopped => return Ok(()),
                    End::Failed if begun.elapsed() > AGAIN_MAX => pause = AGAIN_MIN,
                    End::Failed => {}
                }
            }
            Err(failed) if is_first => return Err(failed),
            Err(failed) => log::error!("{}; trying again", failed.message),
        }
        let paused = async {
            Timer::after(pause).await;
            Ok(false)
        };
        let stopped = async { stop_signals.next().await.map(|()| true).map_err(signal) };
        if future::or(paused, stopped).await? {
            return Ok(());
        }
        pause = (2 * pause).min(AGAIN_MAX);
    }
}

/// Shows this process to those who watch it, from now to its end.
fn watched(file: &RingFile, me: HostIndex, dirs: &Directories) -> Rc<Standing> {
    let host = &file.hosts[me.index()];
    let standing = Rc::new(Standing::new(host, dirs.state.clone()));
    rt::spawn(http::answer_for_ever(standing.clone(), host.clone(), file.http));
    standing
}

/// One life of the daemon.
struct Life {
    daemon: Shared,
    listeners: Vec<Task>,
    /// What the ring port and the client port listen on.
    addresses: [SocketAddr; 2],
}

/// How a life ends.
enum End {
    /// As a signal wanted.
    Stopped,
    /// The journal, or access.log, has failed.
    Failed,
}

/// Opens the ports, reads the journal, and sets the daemon going.
async fn begin(
    file: &RingFile,
    me: HostIndex,
    dirs: &Directories,
    tls: &Option<Rc<Tls>>,
    is_doubted: bool,
) -> Result<Life, Failed> {
    let (ring, clients) = open_ports(&file.hosts[me.index()]).await?;
    let address = |port: &Async<TcpListener>| {
        let failed = |e| Failed::new(Exit::Io, format!("cannot tell what a port listens on: {e}"));
        port.get_ref().local_addr().map_err(failed)
    };
    let addresses = [address(&ring)?, address(&clients)?];
    let daemon = assemble(file, me, dirs, addresses[0].ip(), is_doubted).await?;
    protect(&mut daemon.borrow_mut(), file, tls);
    let listeners = vec![
        rt::spawn(listener::accept(daemon.clone(), ring, Kind::Peer(None))),
        rt::spawn(listener::accept(daemon.clone(), clients, Kind::Client)),
    ];
    Ok(Life { daemon, listeners, addresses })
}

/// From the first connection on.
fn protect(daemon: &mut Daemon, file: &RingFile, tls: &Option<Rc<Tls>>) {
    daemon.tls.clone_from(tls);
    if let Some(tls) = tls {
        tls::warn_of_expiry(tls, daemon);
    }
    if let Some(text) = check::exposure(file) {
        daemon.tell(Severity::Warning, text);
    }
}

impl Life {
    /// Says that the host takes connections, unless its first turns have failed: once for a process on standard output,
    /// for later lives in error.log.
    fn announce(&self, name: &str, is_ready: bool) -> Result<bool, Failed> {
        let [ring, clients] = self.addresses;
        let mut daemon = self.daemon.borrow_mut();
        if daemon.has_failed {
            return Ok(false);
        }
        if is_ready {
            let text = "BEGUN AGAIN with what the disk has: messages are taken";
            daemon.tell(Severity::Warning, text);
        } else {
            print_ready(&format!("zog {name} ready ring={ring} clients={clients}\n"))
                .map_err(|e| Failed::new(Exit::Io, format!("cannot write to standard output: {e}")))?;
        }
        notify::ready();
        Ok(true)
    }

    async fn run(
        self,
        origin: &Origin,
        running: &Running,
        stop_signals: &Signals,
        reload_signals: &Rc<Signals>,
    ) -> Result<End, Failed> {
        let signal = |e| Failed::new(Exit::Io, format!("cannot wait for signals: {e}"));
        let Life { daemon, listeners, .. } = self;
        let mut tasks = vec![
            rt::spawn(alarm::watch(daemon.clone())),
            rt::spawn(reload::reload_at(
                reload_signals.clone(),
                daemon.clone(),
                origin.clone(),
                running.clone(),
            )),
        ];
        let tls = daemon.borrow().tls.clone();
        tasks.extend(tls.map(|tls| rt::spawn(tls::watch(daemon.clone(), tls))));
        let stopped = async { stop_signals.next().await.map(|()| End::Stopped).map_err(signal) };
        let failed = async {
            failure::failed(daemon.clone()).await;
            Ok(End::Failed)
        };
        let end = future::or(stopped, failed).await?;
        match end {
            End::Stopped => stop::stop(&daemon, listeners).await?,
            End::Failed => {
                tasks.extend(listeners);
                for task in tasks {
                    task.cancel().await;
                }
                let rewritten = async { Ok(rewrite(&daemon).await) };
                let stopped = async { stop_signals.next().await.map(|()| End::Stopped).map_err(signal) };
                return future::or(rewritten, stopped).await;
            }
        }
        Ok(end)
    }
}

/// Waits until nothing of a life that has failed is under way any more, and writes anew what may not be on the disk,
/// as often as it takes: the next life must not take for certain what is not.
async fn rewrite(daemon: &Shared) -> End {
    while Rc::strong_count(daemon) > 1 {
        Timer::after(UNDER_WAY_AGAIN).await;
    }
    let mut pause = AGAIN_MIN;
    loop {
        let rewritten = daemon.borrow_mut().journal.rewrite_unsynced();
        match rewritten {
            Ok(()) => return End::Failed,
            Err(e) => log::error!("what may not be on the disk cannot be written anew: {e}; trying again"),
        }
        Timer::after(pause).await;
        pause = (2 * pause).min(AGAIN_MAX);
    }
}

async fn open_ports(host: &Host) -> Result<(Async<TcpListener>, Async<TcpListener>), Failed> {
    let ring = listener::open(&host.address, host.ring_port, "ring").await?;
    let clients = listener::open(&host.client_address, host.client_port, "client").await?;
    Ok((ring, clients))
}

/// Reads the journal and puts the daemon together.
async fn assemble(
    file: &RingFile,
    me: HostIndex,
    dirs: &Directories,
    own: IpAddr,
    is_doubted: bool,
) -> Result<Shared, Failed> {
    let logs = &dirs.logs;
    let opening = |e: io::Error| {
        Failed::new(
            Exit::Io,
            format!("cannot open the logs in {}: {e}; name another one with --log-dir", logs.display()),
        )
    };
    let names = file.hosts.iter().map(|h| h.name.clone()).collect();
    let error_log = ErrorLog::open(logs, &file.log, names).map_err(opening)?;
    let journal_dir = dirs.state.join("journal");
    let of_thread = (file.clone(), journal_dir.clone(), logs.clone());
    let Found { recovered, findings } = rt::unblock(move || {
        let (file, journal_dir, logs) = of_thread;
        journal::read_all(&file, me, &journal_dir, &logs, is_doubted)
    })
    .await?;
    let (access_log, _) = AccessLog::open(logs, &file.log).map_err(opening)?;
    let node = Node::new(identity(file, me)?, file.settings, recovered);
    let tokens = Tokens::load(&file.access).map_err(|why| Failed::new(Exit::Config, why))?;
    let door = Door::new(file, own, tokens, descriptors::for_clients(file));
    let daemon = Daemon::new(file, me, node, Journal::new(&journal_dir), access_log, error_log, door);
    {
        let mut daemon = daemon.borrow_mut();
        let utc_seconds = daemon.clock.now().utc_seconds;
        for finding in findings {
            daemon.reports.node(utc_seconds, Severity::Error, finding);
        }
        rotate::opened(&mut daemon);
    }
    Ok(daemon)
}

fn identity(file: &RingFile, me: HostIndex) -> Result<Identity, Failed> {
    let random = || {
        SysRng
            .try_next_u64()
            .map_err(|e| Failed::new(Exit::Io, format!("the system gives no random numbers: {e}")))
    };
    Ok(Identity {
        ring: file.ring(),
        me,
        incarnation: random()?,
        process: std::process::id(),
        seed: random()?,
    })
}

/// The one line on standard output.
fn print_ready(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
