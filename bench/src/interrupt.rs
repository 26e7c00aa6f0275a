//! Ctrl-C and SIGTERM: what waits looks here now and then, so that everything that was started is ended in order.

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::{Arc, OnceLock, atomic::AtomicBool, atomic::Ordering};

/// Says that a signal has ended the process in order.
pub const EXIT: u8 = 130;

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on these signals are noted, and a second one ends the process.
pub fn note_signals() -> Result<()> {
    let raised = FLAG.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, EXIT.into(), raised.clone())?;
        flag::register(signal, raised.clone())?;
    }
    Ok(())
}

/// Fails once a signal has come.
pub fn check() -> Result<()> {
    if FLAG.get().is_some_and(|raised| raised.load(Ordering::Relaxed)) {
        bail!("interrupted");
    }
    Ok(())
}
