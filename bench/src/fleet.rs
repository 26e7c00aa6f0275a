//! The processes of one system while it is measured: started, warmed up, and ended whatever happens.

use crate::account::Account;
use crate::check::WARM_UP;
use crate::interrupt;
use crate::load::{self, Load};
use crate::site::Site;
use crate::systems::System;
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// One process of a system.
#[derive(Debug)]
pub struct Process {
    /// The node that it belongs to.
    pub node: usize,
    /// What is started.
    pub command: Command,
    /// Ports that it must listen on before it counts as started.
    pub ports: Vec<u16>,
}

/// A system that runs.
pub struct Fleet<'a> {
    system: &'a dyn System,
    site: &'a Site,
    size: usize,
    running: Vec<Running>,
}

struct Running {
    node: usize,
    /// The file that holds what it says.
    said: PathBuf,
    child: Child,
}

/// How long a process may take to listen, a message to be everywhere, a process to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Messages from each node before anything is measured.
const WARM_UP_MESSAGES: u32 = 20;

impl<'a> Fleet<'a> {
    /// Of a system of which nothing runs yet. Messages have `size` bytes.
    pub fn new(system: &'a dyn System, site: &'a Site, size: usize) -> Fleet<'a> {
        Fleet { system, site, size, running: Vec::new() }
    }

    /// Starts everything, and sends from every node until it is in every file. Messages have `size` bytes.
    pub fn start(system: &'a dyn System, site: &'a Site, size: usize) -> Result<Fleet<'a>> {
        let mut fleet = Fleet::new(system, site, size);
        for group in [System::daemons, System::subscribers] {
            let processes = group(system, site)?;
            let ports: Vec<u16> = processes.iter().flat_map(|process| process.ports.clone()).collect();
            processes.into_iter().try_for_each(|process| fleet.spawn(process))?;
            ports.into_iter().try_for_each(|port| fleet.wait_for_port(port))?;
            system.settle(site)?;
        }
        (0..site.nodes()).try_for_each(|node| fleet.warm_up(node))?;
        fleet.wait_until_still()?;
        Ok(fleet)
    }

    fn spawn(&mut self, mut process: Process) -> Result<()> {
        let program = process.command.get_program().to_string_lossy().into_owned();
        let name = program.rsplit('/').next().unwrap_or_default().to_owned();
        let node = process.node;
        let said = self.site.node_dir(node).join(format!("{name}.{}.out", self.running.len()));
        let out = File::create(&said)?;
        // In a group of its own, so that Ctrl-C reaches the benchmark alone, which then ends everything in order.
        process.command.process_group(0).stdout(out.try_clone()?).stderr(out);
        let child = process.command.spawn().with_context(|| format!("{program} cannot be started"))?;
        self.running.push(Running { node, said, child });
        Ok(())
    }

    /// Starts the daemon of one node, and waits until it says that it is ready. How long that took.
    pub fn launch(&mut self, node: usize) -> Result<Duration> {
        let process = self.system.daemons(self.site)?.into_iter().find(|process| process.node == node);
        let began = Instant::now();
        self.spawn(process.with_context(|| format!("there is no node {node}"))?)?;
        self.wait_until(&format!("node {node} is not ready"), |fleet| {
            let said = fs::read_to_string(&fleet.running[fleet.running.len() - 1].said)?;
            Ok(said.contains(" ready "))
        })?;
        Ok(began.elapsed())
    }

    /// Ends the processes of one node with this signal, and waits until they have.
    pub fn end(&mut self, node: usize, signal: Signal) -> Result<()> {
        let (ended, left) = self.running.drain(..).partition(|process| process.node == node);
        self.running = left;
        let ended: Vec<Running> = ended;
        for mut process in ended {
            kill(Pid::from_raw(process.child.id().cast_signed()), signal)?;
            process.child.wait()?;
        }
        Ok(())
    }

    fn wait_for_port(&mut self, port: u16) -> Result<()> {
        self.wait_until(&format!("nothing listens on port {port}"), |_| {
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
        })
    }

    /// Waits for a condition as long as every process runs, and no longer than [`PATIENCE`].
    fn wait_until(&mut self, otherwise: &str, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self)? {
            self.must_run()?;
            if Instant::now() >= deadline {
                bail!("{otherwise} after {} s; see {}", PATIENCE.as_secs(), self.site.dir().display());
            }
            thread::sleep(Duration::from_millis(2)); // between two looks
        }
        Ok(())
    }

    /// Fails if a process has ended, or somebody wants all to end.
    pub fn must_run(&mut self) -> Result<()> {
        interrupt::check()?;
        for Running { said, child, .. } in &mut self.running {
            if let Some(status) = child.try_wait()? {
                let text = fs::read_to_string(&*said).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(3).collect();
                bail!("a process ended ({status}); {} ends with: {}", said.display(), last.join(" | "));
            }
        }
        Ok(())
    }

    /// Sends from a node until all files grow by all of it: systems without sessions lose what comes too early.
    fn warm_up(&mut self, node: usize) -> Result<()> {
        let load = Load {
            dialect: self.system.dialect(),
            entrances: vec![self.system.entrance(self.site, node)],
            first_client: WARM_UP,
            each: WARM_UP_MESSAGES,
            size: self.size,
            window: self.system.dialect().window(),
            rate: None,
        };
        let grown = u64::from(WARM_UP_MESSAGES) * self.line();
        let mut before = self.sizes();
        load::send(&load, PATIENCE)?;
        let mut again = Instant::now() + Duration::from_secs(2);
        let otherwise = format!("what is given to node {node} is not in every file");
        self.wait_until(&otherwise, |fleet| {
            let now = fleet.sizes();
            if now.iter().zip(&before).all(|(now, before)| *now >= before + grown) {
                return Ok(true);
            }
            if Instant::now() >= again {
                before = now;
                load::send(&load, PATIENCE)?;
                again = Instant::now() + Duration::from_secs(2);
            }
            Ok(false)
        })
    }

    /// Waits until no file has grown for a while.
    fn wait_until_still(&mut self) -> Result<()> {
        const STILL: Duration = Duration::from_millis(500);
        let (mut sizes, mut since) = (self.sizes(), Instant::now());
        self.wait_until("the files still grow", |fleet| {
            let now = fleet.sizes();
            if now != sizes {
                (sizes, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= STILL)
        })
    }

    /// Bytes of one line in a file.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.system.line().length(self.size)
    }

    /// Bytes of each file.
    #[must_use]
    pub fn sizes(&self) -> Vec<u64> {
        // What is not there yet is empty.
        (0..self.site.nodes())
            .map(|node| fs::metadata(self.site.log(node)).map_or(0, |file| file.len()))
            .collect()
    }

    /// What all processes have taken so far.
    pub fn account(&self) -> Result<Account> {
        Account::of(self.running.iter().map(|process| process.child.id()))
    }

    /// Asks each process to end, and waits until it has.
    fn stop(&mut self) -> Result<()> {
        for Running { child, .. } in &self.running {
            // One that has ended by itself is waited for all the same.
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        }
        let deadline = Instant::now() + Duration::from_secs(6);
        for Running { mut child, .. } in self.running.drain(..) {
            while child.try_wait()?.is_none() {
                if Instant::now() >= deadline {
                    child.kill()?;
                }
                thread::sleep(Duration::from_millis(5)); // between two looks
            }
        }
        Ok(())
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.stop() {
            eprintln!("a process of {} could not be ended: {e:#}", self.system.name());
        }
    }
}
