//! The protocol of the zog message ring as a pure state machine: inputs and time in, outputs out.
//!
//! A [`Node`] is one host of a ring. It does no I/O, reads no clock, draws no entropy of its own and iterates no
//! hash map: given the same inputs at the same times it does the same, so that a test can run rings of it at any
//! speed and again. `docs/PROTOCOL.md` tells the protocol; these modules are its parts:
//!
//! | module | its job |
//! | --- | --- |
//! | [`event`] | what goes in, what comes out, and in which order it is carried out |
//! | [`node`] | the state, and what every turn ends with |
//! | `client`, `session`, `ack`, `status` | clients, their numbered messages, their answers, and who has what |
//! | `broadcast`, `relay` | own messages on their way; who passes on what to whom |
//! | `link`, `handshake`, `peer`, `data`, `stream`, `watermark` | connections of the ring port, what comes over them, who has what |
//! | `feed`, `repair` | what each host is sent, live or from the journal; what is lacking here, and whom to ask |
//! | [`journal`], `upkeep` | what is kept, how it is recovered, and when it goes |
//! | [`wire`], [`text`], [`time`], [`ring`] | lines, characters, times, places in the ring |
//! | [`view`] | what a node shows of itself, for whoever watches it |
//! | [`settings`], [`limits`], [`report`] | what a person may turn; every bound; what error.log is told |
//!
//! # The contract
//!
//! One input, then all of its outputs, then the next input. [`Node::handle`] empties [`Outputs`] and fills it
//! anew; whoever drives the node carries out everything in it, in the order that [`event`] states, before it
//! calls again. An output that is dropped is a message lost. What comes of an output is a later input.
//!
//! ```
//! use pzog::journal::Recovered;
//! use pzog::{ConnId, HostIndex, Identity, Input, LogFile, Node, Now, Outputs, Ring, Scheme, Settings, Time};
//!
//! let ring = Ring::new(vec!["MV".into()], Scheme::Receiver)?; // a ring of one: no socket
//! let me = Identity { ring, me: HostIndex(0), incarnation: 1, process: 1, seed: 1 };
//! let mut node = Node::new(me, Settings::default(), Recovered::default()); // there is no journal yet
//! let mut out = Outputs::default();
//! let (mut journal, mut access_log, mut answered) = (Vec::new(), Vec::new(), 0);
//!
//! let conn = ConnId(0);
//! let log = LogFile { device: 0, inode: 1, bytes: 0 };
//! let mut inputs = vec![
//!     Input::LogOpened { log },
//!     Input::Deadline,
//!     Input::ClientConnected { conn },
//!     Input::ClientLines { conn, bytes: b"MSG hello\r\n" },
//! ];
//! inputs.reverse();
//! while let Some(input) = inputs.pop() {
//!     let now = Now { mono: Time(0), utc_seconds: 1_795_229_502 };
//!     node.handle(now, input, &mut out);
//!     out.append.iter().for_each(|piece| journal.extend_from_slice(out.bytes(*piece, b"")));
//!     access_log.extend_from_slice(&out.log); // the journal, then peers, then the log, then answers, then the rest
//!     answered += out.answer.len();
//!     if out.sync {
//!         inputs.push(Input::Synced); // the disk has it
//!     }
//! }
//! assert_eq!(access_log, b"20261121T025142Z hello\n");
//! assert_eq!(answered, 1);
//! # Ok::<(), pzog::RingError>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

/// Whether a bug is planted (see [`planted`]); never without that feature.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_planted($crate::planted::Bug::$bug)
    };
}
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

mod ack;
mod broadcast;
mod client;
mod data;
pub mod digest;
pub mod event;
mod feed;
mod following;
mod handshake;
pub mod journal;
pub mod limits;
mod link;
pub mod node;
mod peer;
#[cfg(feature = "planted")]
pub mod planted;
mod relay;
mod repair;
pub mod report;
pub mod ring;
mod session;
pub mod settings;
mod slots;
mod status;
mod stream;
mod sums;
pub mod text;
pub mod time;
mod upkeep;
pub mod view;
mod watermark;
pub mod wire;

pub use event::{
    ConnId, Input, LogFile, Outputs, Place, Prepare, Read, Report, Severity, Slice, Source, Span,
};
pub use node::{Counters, Identity, Node};
pub use report::Refusal;
pub use ring::{HostIndex, Ring, RingError, Scheme};
pub use settings::{Connect, Level, Settings};
pub use time::{Now, Stamp, Time};
pub use view::View;
