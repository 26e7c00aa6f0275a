//! What the kernel knows: memory, sockets, limits.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::fs;

/// The largest amount of memory that a process ever held, in bytes.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("VmHWM stands in /proc/PID/status");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of KiB");
    kib << 10
}

/// How many files and sockets a process has open.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process").count()
}

/// How long a process has used the CPU, in hundredths of a second.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |field: usize| -> u64 {
        behind_name.split_whitespace().nth(field).and_then(|n| n.parse().ok()).expect("a number of ticks")
    };
    ticks(11) + ticks(12)
}

/// From now on a process may have only so many files open.
///
/// # Panics
/// If that is not allowed.
pub fn allow_open_files(pid: u32, files: u64) {
    let pid = Pid::from_raw(pid.cast_signed());
    let limit = Rlimit { current: Some(files), maximum: Some(64) };
    prlimit(pid, Resource::Nofile, limit).expect("the limit of a process of ours");
}

/// How many established connections were accepted on these ports of 127.0.0.0/8.
///
/// # Panics
/// If /proc/net/tcp cannot be read.
#[must_use]
pub fn established_on(ports: &[u16]) -> usize {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
    let local_port_and_state = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let port = words.next()?.split_once(':')?.1.to_owned();
        Some((u16::from_str_radix(&port, 16).ok()?, words.nth(1)?.to_owned()))
    };
    let rows = table.lines().skip(1).filter_map(local_port_and_state);
    rows.filter(|(port, state)| ports.contains(port) && state == ESTABLISHED).count()
}

/// Allows this process and those that it starts `wanted` open files; `false` where the hard limit forbids it.
#[must_use]
pub fn raise_open_files(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return false;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).is_ok()
}
