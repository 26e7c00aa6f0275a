//! A run: send, wait for the answers, sum up.

use crate::bench;
use crate::cli::{self, Cli, Command, RingArgs};
use crate::client::{Client, Manner};
use crate::exit::{Exit, Failure};
use crate::feed::{Feed, Stopped};
use crate::lane;
use crate::ledger::Ledger;
use crate::rt::{self, Signals};
use crate::status;
use crate::target::targets_to_send_to;
use crate::who;
use futures_lite::future::or;
use rand::TryRng;
use rand::rngs::SysRng;
use std::rc::Rc;
use std::time::Duration;

/// After a signal, answers are waited for at most so long.
const DRAIN: Duration = Duration::from_secs(5);

/// Does what the command line asks for.
pub(crate) fn run(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Some(Command::Who { message, ask }) => who::run(message, ask),
        Some(Command::Status(ask)) => status::run(ask),
        Some(Command::Completions { shell }) => cli::write_completions(*shell),
        Some(Command::Man { dir }) => cli::write_man(dir.as_deref()),
        Some(Command::Bench(args)) => bench::run(args),
        None => send(cli),
    }
}

/// Sends as the options say, and answers for what was sent.
fn send(cli: &Cli) -> Result<Exit, Failure> {
    let (targets, settings) = targets_to_send_to(&cli.ring)?;
    let tokens = targets.iter().map(|_| token()).collect::<Result<Vec<_>, _>>()?;
    let seed = cli.messages.seed.map_or_else(random_seed, Ok)?;
    let ledger = Ledger::open(cli.report.log.as_deref(), &cli.shown(), &targets)?;
    let RingArgs { hosts, window, ack, .. } = &cli.ring;
    let manner = Manner { timeout: hosts.timeout, window: *window, ack: *ack };
    let client = Rc::new(Client::new(&manner, targets, &settings, ledger, &tokens));
    let mut feed = Feed::new(cli, seed, &client);
    let stopped = rt::block_on(send_all(&client, feed.run(&client)))?;
    client.ledger.borrow_mut().close(client.now() - pzog::Time::default(), seed)?;
    Ok(verdict(&client, stopped))
}

/// Serves all lanes while `feed` fills them, then until everything has ended.
pub(crate) async fn send_all(
    client: &Rc<Client>,
    feed: impl Future<Output = Result<Stopped, Failure>>,
) -> Result<Stopped, Failure> {
    let signals = Signals::catch().map_err(|e| signals_failed(&e))?;
    for index in 0..client.lanes.len() {
        rt::spawn(lane::serve(Rc::clone(client), index));
    }
    let failed = async { Err(client.failed().await) };
    let signalled = async { signals.wait().await.map(|()| Stopped::Signal).map_err(|e| signals_failed(&e)) };
    let stopped = or(failed, or(signalled, feed)).await?;
    drain(client, &signals, stopped).await?;
    for lane in &client.lanes {
        client.give_up(lane, "sprog was told to stop");
    }
    Ok(stopped)
}

/// Waits for the answers that are still to come; with a signal, before or now, not for long.
async fn drain(client: &Client, signals: &Signals, stopped: Stopped) -> Result<(), Failure> {
    let failed = async { Err(client.failed().await) };
    let drained = async {
        client.drained().await;
        Ok(())
    };
    let told_to_stop = async {
        if stopped != Stopped::Signal {
            signals.wait().await.map_err(|e| signals_failed(&e))?;
        }
        rt::sleep(DRAIN).await;
        Ok(())
    };
    or(failed, or(drained, told_to_stop)).await
}

/// How a run ends that stopped for this reason.
pub(crate) fn verdict(client: &Client, stopped: Stopped) -> Exit {
    let total = client.ledger.borrow().total();
    let badly = total.refused + total.lost;
    if stopped == Stopped::NoHost || (total.lost > 0 && !client.was_reached()) {
        Exit::Unavailable
    } else if badly > 0 {
        Exit::Unanswered
    } else {
        Exit::Answered
    }
}

fn signals_failed(e: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("signals cannot be caught: {e}"))
}

/// 128 random bits in hexadecimal: a session that no host has heard of.
pub(crate) fn token() -> Result<String, Failure> {
    Ok(format!("{:016x}{:016x}", random_seed()?, random_seed()?))
}

/// A number that nobody foresees.
pub(crate) fn random_seed() -> Result<u64, Failure> {
    SysRng
        .try_next_u64()
        .map_err(|e| Failure::new(Exit::Io, format!("the system gives no random numbers: {e}")))
}
