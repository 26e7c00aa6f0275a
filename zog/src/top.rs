//! `zog top`: what goes on in the ring, a line for each host, anew each second.

use crate::ask::{Answer, Asker, Fact, Told, ask_all};
use crate::check;
use crate::cli::TopArgs;
use crate::exit::{Exit, Failed};
use crate::status::print;
use crate::table::table;
use ringfile::{Host, RingFile};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Home; a line of which nothing is left; nothing from here on.
const HOME: &str = "\x1b[H";
const EMPTY_LINE: &str = "\x1b[K";
const END: &str = "\x1b[J";

/// What stands below.
const HINT: &str = "q ends it";

/// Looks until `q` or a signal; once where nobody watches.
pub(crate) fn run(args: &TopArgs) -> Result<Exit, Failed> {
    let (origin, file) = check::load(&args.ring)?;
    let asker = Asker::new(&args.ring, &origin, &file, args.timeout)?;
    let mut before = Look::at(&file, &asker);
    if args.once || !isatty(io::stdout()) {
        wait(before.at + EVERY, None, &AtomicBool::new(false));
        print(&Look::at(&file, &asker).since(&before, &file))?;
        return Ok(Exit::Success);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&is_over))
            .map_err(|e| Failed::new(Exit::Io, format!("cannot wait for signals: {e}")))?;
    }
    let keys = Keys::listen();
    print("\x1b[2J")?;
    while wait(before.at + EVERY, keys.as_ref(), &is_over) {
        let look = Look::at(&file, &asker);
        print(&frame(&look.since(&before, &file), size()))?;
        before = look;
    }
    print("\n")?;
    Ok(Exit::Success)
}

/// The columns and rows of the terminal; without bounds where it does not tell.
fn size() -> (usize, usize) {
    let bound = |told: u16| if told == 0 { usize::MAX } else { usize::from(told) };
    tcgetwinsize(io::stdout())
        .map_or((usize::MAX, usize::MAX), |size| (bound(size.ws_col), bound(size.ws_row)))
}

/// As much of a text as there is room for, drawn over what was there. No line reaches beyond the last column, and none
/// is ended in the last row: either would move all that stands above.
fn frame(text: &str, (columns, rows): (usize, usize)) -> String {
    let lines = text.lines().chain([""]).take(rows - 1).chain([HINT]);
    let cut = |line: &str| line.chars().take(columns).collect::<String>();
    let drawn: Vec<String> = lines.map(|line| format!("{EMPTY_LINE}{}", cut(line))).collect();
    format!("{HOME}{}{END}", drawn.join("\n"))
}

/// Keys as they are hit, not at the end of a line; the terminal is as before at the end.
struct Keys {
    before: Termios,
}

impl Keys {
    /// None where standard input is no terminal.
    fn listen() -> Option<Keys> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &now).ok()?;
        Some(Keys { before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Err(e) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            log::warn!("the terminal stays as it is ({e}): `stty sane` mends it");
        }
    }
}

/// Waits for that moment; whether it came before `q`, the end of the keys, or a signal.
fn wait(until: Instant, keys: Option<&Keys>, is_over: &AtomicBool) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if is_over.load(Ordering::Relaxed) || left.is_zero() {
            return !is_over.load(Ordering::Relaxed);
        }
        let (stdin, timeout) = (io::stdin(), Timespec::try_from(left).ok());
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        let watched = if keys.is_some() { &mut watched[..] } else { &mut [] };
        // An error is a signal that came; the flag tells which.
        if poll(watched, timeout.as_ref()).is_ok_and(|ready| ready > 0) {
            let mut keys = [0; 64];
            if io::stdin().read(&mut keys).is_ok_and(|read| read == 0 || keys[..read].contains(&b'q')) {
                return false;
            }
        }
    }
}

/// What all hosts told at one time.
struct Look {
    at: Instant,
    answers: Vec<Answer>,
}

impl Look {
    fn at(file: &RingFile, asker: &Asker) -> Look {
        let at = Instant::now();
        Look { at, answers: ask_all(file, asker) }
    }

    /// What has happened since an earlier look.
    fn since(&self, before: &Look, file: &RingFile) -> String {
        let time = (self.at - before.at).as_secs_f64();
        let heads = [
            "host",
            "in/s",
            "log/s",
            "refused/s",
            "lacks",
            "furthest behind",
            "links",
            "clients",
            "sync p99",
            "",
        ];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for (host, (now, before)) in file.hosts.iter().zip(self.answers.iter().zip(&before.answers)) {
            rows.push(match now {
                Ok(now) => row(host, now, before.as_ref().ok(), time),
                Err(why) => {
                    let mut row = vec![String::new(); heads.len()];
                    (row[0], row[heads.len() - 1]) = (host.name.clone(), format!("TELLS NOTHING: {why}"));
                    row
                }
            });
        }
        table(&rows)
    }
}

fn row(host: &Host, now: &Told, before: Option<&Told>, time: f64) -> Vec<String> {
    let before = before.filter(|before| is_same_life(now, before));
    let count = |told: &Told, key: &str| told.of_kind("count").next().map_or(0, |count| count.number(key));
    let rate = |key: &str| match before {
        Some(before) => format!("{:.0}", count(now, key).saturating_sub(count(before, key)) as f64 / time),
        None => "-".to_owned(),
    };
    let peers = now.of_kind("peer").count();
    let up = now.of_kind("peer").filter(|peer| peer.word(2) == "up").count();
    let is_full = now.node().is_some_and(|node| node.value("journal") == Some("full"));
    vec![
        host.name.clone(),
        rate("taken"),
        rate("logged"),
        rate("refused"),
        now.lacks().to_string(),
        furthest_behind(now),
        format!("{up} of {peers}"),
        count(now, "clients").to_string(),
        sync_p99(now, before),
        if is_full { "JOURNAL FULL".to_owned() } else { String::new() },
    ]
}

fn is_same_life(now: &Told, before: &Told) -> bool {
    let of = |told: &Told| told.node()?.value("incarnation").map(str::to_owned);
    of(now) == of(before)
}

/// Who lacks most of what that host knows, as it was told.
fn furthest_behind(told: &Told) -> String {
    let lacking = |peer: &Fact| (told.says_lacking(peer.word(1)), peer.word(1).to_owned());
    match told.of_kind("peer").map(lacking).max() {
        Some((missing, name)) if missing > 0 => format!("{name} by {missing}"),
        _ => "-".to_owned(),
    }
}

/// How long all but one of a hundred syncs took at most, since the earlier look.
fn sync_p99(now: &Told, before: Option<&Told>) -> String {
    let counts = |told: &Told| -> Vec<(u64, u64)> {
        let syncs = told.of_kind("syncs").next();
        let bound = |key: &str| key.strip_prefix("us").map_or(Some(u64::MAX), |bound| bound.parse().ok());
        syncs.into_iter().flat_map(Fact::numbers).filter_map(|(key, n)| Some((bound(key)?, n))).collect()
    };
    let earlier = before.map(counts).unwrap_or_default();
    let was = |bound| earlier.iter().find(|(earlier, _)| *earlier == bound).map_or(0, |(_, count)| *count);
    let mut ranges: Vec<(u64, u64)> =
        counts(now).into_iter().map(|(bound, count)| (bound, count.saturating_sub(was(bound)))).collect();
    ranges.sort_unstable();
    let all: u64 = ranges.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    let reached = ranges.iter().find(|(_, count)| {
        below += count;
        below > 0 && 100 * below >= 99 * all
    });
    match reached {
        Some((u64::MAX, _)) => "> 10 s".to_owned(),
        Some((bound, _)) => format!("{:?}", Duration::from_micros(*bound)),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_frame_is_as_large_as_the_terminal_and_the_hint_stays() {
        let text = "host  in/s\nA     é7\nB     8\n";
        let all = frame(text, (usize::MAX, usize::MAX));
        assert_eq!(
            all,
            "\x1b[H\x1b[Khost  in/s\n\x1b[KA     é7\n\x1b[KB     8\n\x1b[K\n\x1b[Kq ends it\x1b[J"
        );
        assert_eq!(frame(text, (7, 3)), "\x1b[H\x1b[Khost  i\n\x1b[KA     é\n\x1b[Kq ends \x1b[J");
        assert_eq!(frame(text, (1, 1)), "\x1b[H\x1b[Kq\x1b[J");
    }

    #[test]
    fn rates_are_those_between_two_looks_of_one_life() {
        let text = "[[host]]\nname = \"A\"\naddress = \"a\"\n[[host]]\nname = \"B\"\naddress = \"b\"\n";
        let file = RingFile::parse(text, Path::new("ring.toml")).unwrap();
        let at = Instant::now();
        let told = |life: &str, taken: u64, syncs: &str| {
            let (node, count) =
                (format!("node A incarnation={life}"), format!("count taken={taken} clients=3"));
            let rest = ["peer B up", "stream A/1 missing=2", "mark B A/1 missing=7"];
            Ok(Told::of(&[&node, &count, &format!("syncs {syncs}"), rest[0], rest[1], rest[2]]))
        };
        let gone = || Err("connection refused".to_owned());
        let before = Look { at, answers: vec![told("1", 100, "us100=5 us5000=1"), gone()] };
        let now = |life, taken, syncs| Look {
            at: at + Duration::from_secs(2),
            answers: vec![told(life, taken, syncs), gone()],
        };
        assert_eq!(
            now("1", 300, "us100=6 us250=1 us5000=1").since(&before, &file),
            "\
host  in/s  log/s  refused/s  lacks  furthest behind  links   clients  sync p99  \n\
A     100   0      0          2      B by 7           1 of 1  3        250µs
B                                                                                TELLS NOTHING: connection refused
"
            .replace("  \n", "\n")
        );
        let other = now("2", 300, "us100=190 us500=11 more=1").since(&before, &file);
        assert!(other.contains("A     -     -      -  ") && other.contains("  500µs\n"), "{other}");
        let quiet = now("1", 100, "us100=5 us5000=1").since(&before, &file);
        assert!(quiet.contains("  3        -\n"), "{quiet}");
    }
}
