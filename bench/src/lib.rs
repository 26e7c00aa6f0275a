//! The benchmark of zog: five nodes on this machine, in turn zog's, other systems', and bare processes that do the least
//! there is to do.
//!
//! `cli` says what can be asked for; `rounds` takes the turns; `measure` is one of them: a `site` with directories and
//! ports, a `fleet` of processes of one of the `systems`, a `load` of messages spoken in a `dialect`, for latency a
//! `watch` on the files; then `check` reads every file. `account` tells what processes took, `machine` what they ran on.
//! What came of it is kept as `record`s, asked as `runs`, and told as a `table` with the `targets`. `growth` takes zog through more
//! hosts, longer messages and more clients, lets a host `catchup`, fills memory and journals in `longrun`s, and draws a
//! `plot` of each.

pub mod account;
pub mod catchup;
pub mod check;
pub mod cli;
pub mod dialect;
pub mod document;
pub mod fleet;
pub mod floor;
pub mod growth;
pub mod interrupt;
pub mod load;
pub mod longrun;
pub mod machine;
pub mod measure;
pub mod message;
pub mod nats;
pub mod plan;
pub mod plot;
pub mod record;
pub mod rounds;
pub mod runs;
pub mod short;
pub mod sink;
pub mod site;
pub mod systems;
pub mod table;
pub mod targets;
pub mod watch;
