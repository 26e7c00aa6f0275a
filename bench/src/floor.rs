//! The least there is to do: one node of the tree that only copies chunks on and appends them to a file.
//!
//! What comes to a port is cut behind the last line end, sent to the ports behind it, and appended to the file. Nothing
//! is looked at, nothing is kept, nothing survives anything. With answers, each line is answered `OK`.

use anyhow::{Context, Result, bail};
use clap::Args;
use memchr::{memchr_iter, memrchr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// One node of the floor.
#[derive(Args, Debug)]
pub struct FloorArgs {
    /// The file to which everything is appended
    #[arg(long)]
    file: PathBuf,
    /// Answer each line that comes to the first port
    #[arg(long)]
    answer: bool,
    /// Ports to listen on, each with the ports that what comes there is sent to: PORT=NEXT,NEXT
    #[arg(required = true)]
    roles: Vec<Role>,
}

/// A port and where it leads.
#[derive(Clone, Debug)]
pub struct Role {
    port: u16,
    next: Vec<u16>,
}

impl FromStr for Role {
    type Err = anyhow::Error;

    fn from_str(written: &str) -> Result<Role> {
        let (port, next) = written.split_once('=').context("it is written PORT=NEXT,NEXT")?;
        let next = next.split(',').filter(|port| !port.is_empty()).map(str::parse);
        Ok(Role { port: port.parse()?, next: next.collect::<Result<_, _>>()? })
    }
}

/// Runs the node until it is ended from outside.
pub fn run(args: &FloorArgs) -> Result<()> {
    let listeners: Vec<TcpListener> = args
        .roles
        .iter()
        .map(|role| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, role.port))
                .with_context(|| format!("port {} cannot be listened on", role.port))
        })
        .collect::<Result<_>>()?;
    thread::scope(|scope| {
        let mut listening = Vec::new();
        for (index, (role, listener)) in args.roles.iter().zip(&listeners).enumerate() {
            let answer = args.answer && index == 0;
            listening.push(scope.spawn(move || accept(listener, role, &args.file, answer)));
        }
        listening.into_iter().try_for_each(|thread| match thread.join() {
            Ok(ended) => ended,
            Err(_) => bail!("a listening thread panicked"),
        })
    })
}

fn accept(listener: &TcpListener, role: &Role, file: &PathBuf, answer: bool) -> Result<()> {
    loop {
        let (from, _) = listener.accept().context("no connection can be accepted")?;
        let file = OpenOptions::new().create(true).append(true).open(file)?;
        let next = role.next.clone();
        thread::spawn(move || {
            if let Err(e) = relay(from, &next, file, answer) {
                eprintln!("floor: {e:#}");
            }
        });
    }
}

/// Bytes read at a time, at most.
const CHUNK: usize = 64 << 10;

fn relay(mut from: TcpStream, next: &[u16], mut file: File, answer: bool) -> Result<()> {
    from.set_nodelay(true)?;
    let mut next: Vec<TcpStream> = next.iter().map(|port| connect(*port)).collect::<Result<_>>()?;
    let mut buffer = vec![0; CHUNK];
    let mut filled = 0;
    loop {
        match from.read(&mut buffer[filled..])? {
            0 if filled == 0 => return Ok(()),
            0 => bail!("a connection ended inside a line, or sent one longer than {CHUNK} bytes"),
            count => filled += count,
        }
        let Some(last) = memrchr(b'\n', &buffer[..filled]) else { continue };
        let whole = &buffer[..=last];
        next.iter_mut().try_for_each(|to| to.write_all(whole))?;
        file.write_all(whole)?;
        if answer {
            from.write_all(&b"OK\r\n".repeat(memchr_iter(b'\n', whole).count()))?;
        }
        buffer.copy_within(last + 1..filled, 0);
        filled -= last + 1;
    }
}

/// How long another node may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

fn connect(port: u16) -> Result<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10)); // between two attempts
            }
            Err(e) => return Err(e).context(format!("port {port} cannot be reached")),
        }
    }
}
