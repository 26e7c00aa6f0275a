//! The node.

use crate::event::{Input, Outputs};
use crate::ring::{HostIndex, Ring};
use crate::settings::Settings;
use crate::time::Now;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The ring it is a host of.
    pub ring: Ring,
    /// Its own place in it.
    pub me: HostIndex,
    /// 64 random bits, drawn at each start.
    pub incarnation: u64,
    /// The process id, told to peers for the people who read their logs.
    pub process: u32,
    /// For jitter.
    pub seed: u64,
}

/// One host of the ring as a state machine.
#[derive(Debug)]
pub struct Node {
    #[expect(dead_code)]
    identity: Identity,
}

impl Node {
    /// A node that has just started. Give it [`Input::Deadline`] first: it dials its peers.
    #[must_use]
    pub fn new(identity: Identity, _settings: Settings) -> Node {
        Node { identity }
    }

    /// One turn: takes one input and leaves in `out` what is to be done. Returns how many bytes of the input's
    /// lines were consumed (0 for other inputs).
    pub fn handle(&mut self, _now: Now, _input: Input<'_>, out: &mut Outputs) -> usize {
        out.clear();
        0
    }
}
