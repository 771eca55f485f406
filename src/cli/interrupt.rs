//! SIGINT and SIGTERM: the first signal ends a sweep and keeps what was read so far, the second ends the program at
//! once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::ExitStatus;
use crate::error::Error;
use crate::sweep::Stop;

/// A stop that these signals request.
///
/// # Errors
/// The system does not accept a signal handler.
pub(super) fn stop() -> Result<Stop, Error> {
    let asked = Arc::new(AtomicBool::new(false));
    let register = |signal| -> io::Result<()> {
        // In this order: the first signal finds the flag not yet set.
        flag::register_conditional_shutdown(signal, ExitStatus::Interrupted as i32, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
        Ok(())
    };
    let registered = [SIGINT, SIGTERM].into_iter().try_for_each(register);
    registered.map_err(|error| Error::Usage(format!("cannot listen to signals: {error}")))?;
    Ok(Stop::by(asked))
}
