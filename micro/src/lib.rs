//! What single steps of the core cost, for criterion (`cargo bench -p micro`, times) and for callgrind
//! (`scripts/counts`, instructions). Each step is written once, in [`steps`]; both measure the same calls.




mod meter;

pub mod steps;
mod world;

/// What stands in the names of the functions whose instructions are counted (callgrind's `--toggle-collect`).
pub const COUNTED: &str = "*counted_from_here*";
