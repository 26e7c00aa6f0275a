//! Which host of the ring this machine is.

use ringfile::{Host, RingFile};
use std::net::{IpAddr, UdpSocket};

/// The host that `-n` names, or the one that is this machine. The error tells what to do.
pub(crate) fn find(file: &RingFile, name: Option<&str>, local: bool) -> Result<usize, String> {
    match name {
        Some(name) => file.hosts.iter().position(|h| h.name == name).ok_or_else(|| {
            format!("there is no host {name:?} in the ring; its hosts are {}", names(&file.hosts))
        }),
        None => {
            let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
            // With --local every host has the address 127.0.0.1: only the name can tell.
            guess(&file.hosts, &machine, |address| !local && is_mine(address))
        }
    }
}

fn guess(hosts: &[Host], machine: &str, is_mine: impl Fn(&str) -> bool) -> Result<usize, String> {
    if let Some(by_name) = hosts.iter().position(|h| is_name_of(machine, &h.name)) {
        return Ok(by_name);
    }
    let mine: Vec<usize> = (0..hosts.len()).filter(|i| is_mine(&hosts[*i].address)).collect();
    match mine[..] {
        [one] => Ok(one),
        [] => Err(format!(
            "no host of the ring has the name of this machine ({machine}) or one of its addresses; \
             say which one it is with -n: {}",
            names(hosts)
        )),
        [..] => {
            let several: Vec<&Host> = mine.iter().map(|i| &hosts[*i]).collect();
            Err(format!(
                "several hosts of the ring have addresses of this machine; say which one this is with -n: {}",
                names(several)
            ))
        }
    }
}

/// Whether the machine `box.lab.example` or `box` is the host `Box`.
fn is_name_of(machine: &str, host: &str) -> bool {
    let short = machine.split('.').next().unwrap_or(machine);
    host.eq_ignore_ascii_case(machine) || host.eq_ignore_ascii_case(short)
}

/// Only an address of this machine can be bound.
fn is_mine(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|ip| UdpSocket::bind((ip, 0)).is_ok())
}

fn names<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> String {
    hosts.into_iter().map(|h| h.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<Host> {
        [("MV", "10.0.0.1"), ("PA", "10.0.0.2"), ("G", "10.0.0.3")]
            .map(|(name, address)| Host {
                name: name.into(),
                address: address.into(),
                ring_port: 55551,
                client_address: address.into(),
                client_port: 55552,
                http_port: None,
                is_retired: false,
            })
            .into()
    }

    #[test]
    fn the_machines_name_decides_first() {
        assert_eq!(guess(&hosts(), "pa.lab.example", |a| a == "10.0.0.1"), Ok(1));
        assert_eq!(guess(&hosts(), "G", |_| true), Ok(2));
    }

    #[test]
    fn else_its_address() {
        assert_eq!(guess(&hosts(), "somebox", |a| a == "10.0.0.3"), Ok(2));
    }

    #[test]
    fn none_and_several_name_the_choices() {
        let none = guess(&hosts(), "somebox", |_| false).unwrap_err();
        assert!(none.contains("somebox") && none.contains("-n: MV, PA, G"), "{none}");
        let several = guess(&hosts(), "somebox", |a| a != "10.0.0.2").unwrap_err();
        assert!(several.contains("-n: MV, G"), "{several}");
    }

    #[test]
    fn an_address_of_this_machine_can_be_bound() {
        assert!(is_mine("127.0.0.1"));
        assert!(!is_mine("192.0.2.1"));
        assert!(!is_mine("a-name"));
    }
}
