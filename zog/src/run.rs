//! `zog run`: puts the daemon together, opens its ports, and lives until a signal ends it.

use crate::access_log::AccessLog;
use crate::check;
use crate::cli::RunArgs;
use crate::connection::Kind;
use crate::daemon::{Daemon, Shared};
use crate::error_log::ErrorLog;
use crate::exit::{Exit, Failed};
use crate::reload::{self, Origin};
use crate::rt::{self, Async};
use crate::signals::Signals;
use crate::{alarm, listener, state_dir, stop};
use flexi_logger::{LogSpecification, Logger, LoggerHandle};
use futures_lite::future;
use pzog::{HostIndex, Identity, Input, Node, Severity};
use rand::TryRng;
use rand::rngs::SysRng;
use ringfile::{Host, RingFile};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Logs, links to hosts, handshakes and what the runtime needs.
const FILES_BESIDE_CLIENTS: u64 = 256;

/// Files are for this user and its group.
const UMASK: Mode = Mode::WGRP.union(Mode::RWXO);

/// Runs the daemon to its end.
pub(crate) fn run(args: &RunArgs) -> Result<Exit, Failed> {
    let _diagnostics = diagnostics(args)?;
    let (origin, file) = check::load(&args.ring)?;
    let me = check::who(&args.ring, &origin, &file)?;
    rustix::process::umask(UMASK);
    raise_file_limit(file.settings.clients_max);
    let (state, logs) = directories(args, &file.hosts[me].name);
    let _lock = state_dir::lock(&state)?;
    state_dir::create(&logs, "--log-dir")?;
    rt::run(live(origin, file, HostIndex(me as u8), logs))?;
    Ok(Exit::Success)
}

/// Every connection is a file descriptor: takes as many as the system allows.
fn raise_file_limit(clients_max: u32) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = if raised.is_ok() { maximum } else { current };
    if let Some(allowed) = allowed
        && allowed < u64::from(clients_max) + FILES_BESIDE_CLIENTS
    {
        log::warn!("`ulimit -n` allows {allowed} open files, too few for {clients_max} clients at one time");
    }
}

/// What is told on standard error.
fn diagnostics(args: &RunArgs) -> Result<LoggerHandle, Failed> {
    Logger::with(LogSpecification::builder().default(args.level()).build())
        .log_to_stderr()
        .start()
        .map_err(|e| Failed::new(Exit::Io, format!("cannot write diagnostics to standard error: {e}")))
}

fn directories(args: &RunArgs, name: &str) -> (PathBuf, PathBuf) {
    let or = |given: &Option<PathBuf>, kind: &str, system: &str| {
        let default =
            || if args.ring.local { ["zog-local", name, kind].iter().collect() } else { system.into() };
        given.clone().unwrap_or_else(default)
    };
    (or(&args.state_dir, "state", "/var/lib/zog"), or(&args.log_dir, "log", "/var/log/zog"))
}

async fn live(origin: Origin, file: RingFile, me: HostIndex, logs: PathBuf) -> Result<(), Failed> {
    let signal = |e| Failed::new(Exit::Io, format!("cannot wait for signals: {e}"));
    let stop_signals = Signals::stop().map_err(signal)?;
    let reload_signals = Signals::reload().map_err(signal)?;
    let host = &file.hosts[me.index()];
    // A port that is taken is waited for, but not against the will of whoever stops us.
    let opened = async { open_ports(host).await.map(Some) };
    let stopped = async { stop_signals.next().await.map(|()| None).map_err(signal) };
    let Some((ring, clients)) = future::or(opened, stopped).await? else { return Ok(()) };
    let daemon = assemble(&file, me, &logs)?;
    announce(&host.name, &ring, &clients)
        .map_err(|e| Failed::new(Exit::Io, format!("cannot write to standard output: {e}")))?;

    let listeners = vec![
        rt::spawn(listener::accept(daemon.clone(), ring, Kind::Peer(None))),
        rt::spawn(listener::accept(daemon.clone(), clients, Kind::Client)),
    ];
    rt::spawn(alarm::watch(daemon.clone()));
    rt::spawn(reload::reload_at(reload_signals, daemon.clone(), origin, file));
    daemon.borrow_mut().turn(Input::Deadline);
    stop_signals.next().await.map_err(signal)?;
    stop::stop(&daemon, listeners).await
}

async fn open_ports(host: &Host) -> Result<(Async<TcpListener>, Async<TcpListener>), Failed> {
    let ring = listener::open(&host.address, host.ring_port, "ring").await?;
    let clients = listener::open(&host.address, host.client_port, "client").await?;
    Ok((ring, clients))
}

fn assemble(file: &RingFile, me: HostIndex, logs: &Path) -> Result<Shared, Failed> {
    let opening = |e: io::Error| {
        Failed::new(
            Exit::Io,
            format!("cannot open the logs in {}: {e}; name another one with --log-dir", logs.display()),
        )
    };
    let names = file.hosts.iter().map(|h| h.name.clone()).collect();
    let error_log = ErrorLog::open(logs, &file.log, names).map_err(opening)?;
    let (access_log, torn) = AccessLog::open(logs, &file.log).map_err(opening)?;
    let node = Node::new(identity(file, me)?, file.settings);
    let daemon = Daemon::new(file, me, node, access_log, error_log);
    if torn > 0 {
        let mut daemon = daemon.borrow_mut();
        let text = format!("TORN access.log ended in the middle of a line; {torn} bytes were cut off");
        let utc_seconds = daemon.clock.now().utc_seconds;
        daemon.reports.node(utc_seconds, Severity::Error, text);
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
fn announce(name: &str, ring: &Async<TcpListener>, clients: &Async<TcpListener>) -> io::Result<()> {
    let (ring, clients) = (ring.get_ref().local_addr()?, clients.get_ref().local_addr()?);
    let mut out = io::stdout().lock();
    writeln!(out, "zog {name} ready ring={ring} clients={clients}")?;
    out.flush()
}
