//! Clients that want too much: memory and the other clients stay as they are.

use std::collections::VecDeque;
use std::env;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tests::{Connection, Plan, Ring, open_files, peak_memory, raise_open_files, wait_until};

const MIB: usize = 1 << 20;

/// What a daemon may need more than before, whatever a client does.
const MEMORY: u64 = 16 << 20;

#[test]
fn a_line_of_1_gib_leaves_memory_flat() {
    let mut ring = Plan::of(2).start();
    let mut client = ring.client(0);
    client.expect("MSG before", "OK");
    let pid = ring.daemon(0).pid();
    let before = peak_memory(pid);
    let block = vec![b'x'; MIB];
    (0..1024).for_each(|_| client.send(&block));
    client.send("\r\n");
    assert!(client.line().starts_with("ERR 413 "));
    client.expect("MSG after", "OK");
    let after = peak_memory(pid);
    assert!(after - before < MEMORY, "memory grew from {before} to {after} bytes");
    ring.wait_for_lines(&[0, 1], 2);
    let address = client.local_address().to_string();
    assert_eq!(ring.error_lines(0, &[&address]).len(), 1, "one line in error.log for one line refused");
}

#[test]
fn a_client_that_never_reads_is_not_read_and_disturbs_nobody() {
    let mut ring = Plan::of(2).start();
    let pid = ring.daemon(0).pid();
    let before = peak_memory(pid);
    let mut deaf = ring.client(0);
    deaf.narrow();
    deaf.give_up_writing_after(Duration::from_millis(500));
    let block = "x\r\n".repeat(MIB / 3);
    let taken = (0..256).take_while(|_| deaf.try_send(&block).is_ok()).count();
    assert!(taken < 256, "the daemon read {taken} MiB from a client that never reads");
    ring.client(0).expect("MSG of another client", "OK");
    ring.wait_for_text(&[0, 1], "of another client");
    let after = peak_memory(pid);
    assert!(after - before < MEMORY, "memory grew from {before} to {after} bytes");
}

#[test]
fn ten_thousand_idle_clients_disturb_nobody() {
    const CLIENTS: usize = 10_000;
    let _alone = MANY_FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if !may_open(CLIENTS + 500) {
        return;
    }
    let mut ring = Plan::of(2).with_limit("first_byte = \"5m\"").start();
    let pid = ring.daemon(0).pid();
    // Without the second handle that a `Connection` has.
    let address = ring.client_address(0);
    let idle: Vec<_> =
        (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).expect("the daemon accepts")).collect();
    // The kernel connects them before the daemon has accepted them. Files of its own come and go meanwhile.
    wait_until("the daemon holds them all", || open_files(pid) >= CLIENTS);
    let mut client: Connection = ring.client(0);
    client.expect("MSG in the crowd", "OK");
    ring.wait_for_text(&[0, 1], "in the crowd");
    drop(idle);
    client.expect("MSG after the crowd", "OK");
    assert!(ring.daemon(0).try_wait().is_none());
}

/// Whether this process, and those that it starts, may open so many files; where not, the test is skipped, if that
/// was asked for by hand: nobody shall take a test that did nothing for one that passed.
fn may_open(files: usize) -> bool {
    if raise_open_files(files as u64) {
        return true;
    }
    let why = format!("the hard limit of open files is below {files}: see `ulimit -Hn`");
    let may_skip = env::var_os("ZOG_ALLOW_SKIPS").is_some_and(|value| value == "1");
    assert!(may_skip, "{why}; ZOG_ALLOW_SKIPS=1 skips this test");
    eprintln!("SKIPPED: {why}");
    false
}

/// Strangers: clients that send a byte now and then and never a line, and others that knock at the ring port, from the
/// address of a host and from elsewhere. Until dropped.
struct Crowd {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// The daemon, and the files that it had open before.
    host: u32,
    open: usize,
}

/// Where all tests are in one process, one of them opens so many files at a time.
static MANY_FILES: Mutex<()> = Mutex::new(());

/// Files that a daemon may have open now and then.
const FEW: usize = 10;

/// Connections to the ring port that are left open.
const KNOCKING: usize = 500;

impl Crowd {
    fn gather(ring: &Ring, host: usize, connections: usize) -> Crowd {
        let is_over = Arc::new(AtomicBool::new(false));
        let (clients, peers) = (ring.client_address(host), ring.ring_address(host));
        let open = open_files(ring.pid(host));
        let slow = {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || trickle(&connect(clients, connections), &is_over))
        };
        wait_until("the daemon holds the crowd", || open_files(ring.pid(host)) >= open + connections);
        let knocking = {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    knock(peers, connections, &is_over);
                }
            })
        };
        Crowd { is_over, threads: vec![slow, knocking], host: ring.pid(host), open }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok() || thread::panicking(), "a thread of the crowd panicked");
        }
        if !thread::panicking() {
            wait_until("the crowd has left", || open_files(self.host) <= self.open + FEW);
        }
    }
}

fn connect(address: SocketAddr, connections: usize) -> Vec<TcpStream> {
    (0..connections).map(|_| TcpStream::connect(address).expect("somebody listens")).collect()
}

/// A byte on each connection in turn, about 1000 a second.
fn trickle(connections: &[TcpStream], is_over: &AtomicBool) {
    for mut connection in connections.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        // The daemon may have closed it.
        let _ = connection.write(b"M");
        thread::sleep(Duration::from_millis(1));
    }
}

/// So many connections one after the other, half of them from an address of the ring; the last ones are left open.
fn knock(address: SocketAddr, connections: usize, is_over: &AtomicBool) {
    let mut held = VecDeque::new();
    for n in 0..connections {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let from = if n % 2 == 0 { "127.0.0.1" } else { "127.0.0.77" };
        held.push_back(Connection::from_to(from, address));
        if held.len() > KNOCKING {
            held.pop_front();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ten_thousand_strangers_on_each_port_lose_nobody_a_message() {
    const STRANGERS: usize = 10_000;
    const MESSAGES: usize = 500;
    let _alone = MANY_FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if !may_open(STRANGERS + 2 * KNOCKING + 500) {
        return;
    }
    let ring = Plan::of(3).start();
    let crowd = Crowd::gather(&ring, 0, STRANGERS);
    let texts = [ring.send(0, "through the crowd", MESSAGES), ring.send(1, "beside it", MESSAGES)].concat();
    ring.wait_for_lines(&[0, 1, 2], texts.len());
    ring.assert_equal_logs(&[0, 1, 2]);
    drop(crowd);
    for host in 0..3 {
        assert!(ring.error_lines(host, &["DOWN"]).is_empty(), "{}", ring.error_log(host));
    }
    let told = ring.error_lines(0, &["NOT LET IN"]).len();
    assert!((1..100).contains(&told), "{told} lines in error.log of strangers that were not let in");
}

/// For docs/MEASURED.md: `cargo nextest run -p tests --run-ignored only figures_of_a_crowd --no-capture`, with `ZOG_BIN`
/// and `SPROG_BIN` of a release build.
#[test]
#[ignore = "measures, and asserts nothing"]
fn figures_of_a_crowd() {
    const STRANGERS: usize = 10_000;
    let _alone = MANY_FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if !may_open(STRANGERS + 2 * KNOCKING + 500) {
        return;
    }
    let ring = Plan::of(5).start();
    let bench = |what: &str| {
        let mut sprog = tests::sprog();
        sprog.args(["bench", "-s", "A", "--rate", "1000", "-m", "10000", "--config"]).arg(ring.config());
        let output = sprog.output().expect("sprog runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{what}\n{}", String::from_utf8_lossy(&output.stdout));
    };
    for _ in 0..3 {
        bench("alone");
        let crowd = Crowd::gather(&ring, 0, STRANGERS);
        bench("in a crowd");
        drop(crowd);
    }
}

#[test]
fn a_client_beyond_the_limit_is_told_to_come_again_later() {
    let ring = Plan::of(2).with_limit("clients = 3").start();
    let mut clients: Vec<_> = (0..3).map(|_| ring.client(0)).collect();
    clients.iter_mut().for_each(|client| client.expect("KEEPALIVE", "ACK"));
    let mut fourth = ring.client(0);
    let answer = fourth.line();
    assert!(answer.starts_with("ERR 300 "), "{answer}");
    assert_eq!(fourth.rest(), "");
    drop(fourth);
    clients.remove(0).expect("QUIT", "OK");
    wait_until("there is room for another client", || {
        let mut client = ring.client(0);
        client.try_send("KEEPALIVE\r\n").is_ok() && client.next_line().as_deref() == Some("ACK")
    });
}
