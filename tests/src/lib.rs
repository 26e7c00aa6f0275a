//! Whole processes under test: rings of real daemons on 127.0.0.0/8, bare connections to their ports, and what
//! they leave in their logs. A test waits for conditions and never for time to pass; when it fails, everything
//! that the daemons wrote is printed.

mod account;
mod binaries;
mod chaos;
mod clients;
mod connection;
mod daemon;
mod disk;
mod keys;
mod load;
mod logs;
mod namespace;
mod net;
mod ports;
mod process_info;
mod random;
mod ring;
mod status;
mod terminal;
mod wait;

pub use account::{Tally, assert_account, write_sent_log};
pub use binaries::{sprog, zog};
pub use chaos::{Chaos, Done, Weights};
pub use clients::{Answer, Clients, Message};
pub use connection::Connection;
pub use daemon::Daemon;
pub use disk::{Disk, with_own_mounts};
pub use keys::{Authority, Keys};
pub use load::{Load, Sent};
pub use logs::{count_of, counts, texts};
pub use namespace::{add_ipv6, set_network, with_own_network};
pub use net::{Net, Way};
pub use process_info::{
    allow_open_files, cpu_ticks, established_on, open_files, peak_memory, raise_open_files,
};
pub use random::Random;
pub use ring::{Plan, Ring};
pub use status::field;
pub use terminal::Terminal;
pub use wait::wait_until;
