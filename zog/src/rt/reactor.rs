//! Readiness of sockets, and timers: epoll, edge by edge.
//!
//! Every socket is added once, for reading and writing, and the kernel tells when either *becomes* possible. That is
//! remembered here until an attempt finds nothing more. So a wait is one system call however many sockets there
//! are, and a socket costs none besides its reads and writes.
//!
//! A socket is waited for by tasks; or it is *served* under a number, as connections are: whatever happens to it calls the
//! one server of the thread, without a task, a waker and a queue of the executor in between.

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

/// Sockets whose readiness one look learns of.
const EVENTS: usize = 256;

/// What the kernel calls the notifier; sockets are named by their places in the table, which are lower.
const NOTIFIER: u64 = u64::MAX;

thread_local! {
    static REACTOR: Rc<Reactor> = Rc::new(Reactor::new().expect("epoll and eventfd need a file descriptor each"));
}

/// What one thread waits for.
pub(super) struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
    sources: RefCell<Slab<Rc<Source>>>,
    /// Places of sockets that are to be served, each once.
    due: RefCell<VecDeque<usize>>,
    server: RefCell<Option<Server>>,
    /// By time, and a number that tells those of one time apart.
    timers: RefCell<BTreeMap<(Instant, u64), Sleeper>>,
    last_timer: Cell<u64>,
    /// When the last look ended.
    now: Cell<Instant>,
    events: RefCell<Vec<epoll::Event>>,
}

/// Serves the socket of a number.
type Server = Rc<dyn Fn(u32)>;

/// Who waits for a time.
enum Sleeper {
    Task(Waker),
    /// The socket at this place.
    Socket(usize),
}

/// Ends the sleep of a thread from another one.
struct Notifier {
    eventfd: OwnedFd,
    is_notified: AtomicBool,
    is_asleep: AtomicBool,
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_notified.store(true, Ordering::SeqCst);
        if self.is_asleep.swap(false, Ordering::SeqCst)
            && let Err(e) = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes())
        {
            log::error!("cannot wake the daemon's thread: {e}");
        }
    }
}

impl Reactor {
    fn new() -> io::Result<Reactor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Each write is an edge of its own: nobody needs to read it.
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &eventfd, epoll::EventData::new_u64(NOTIFIER), edges)?;
        let (is_notified, is_asleep) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Reactor {
            epoll,
            notifier: Arc::new(Notifier { eventfd, is_notified, is_asleep }),
            sources: RefCell::default(),
            due: RefCell::default(),
            server: RefCell::default(),
            timers: RefCell::default(),
            last_timer: Cell::new(0),
            now: Cell::new(Instant::now()),
            events: RefCell::new(Vec::with_capacity(EVENTS)),
        })
    }

    pub(super) fn of_thread() -> Rc<Reactor> {
        REACTOR.with(Rc::clone)
    }

    /// Ends [`Reactor::look`] from whatever thread.
    pub(super) fn waker() -> Waker {
        REACTOR.with(|reactor| Waker::from(Arc::clone(&reactor.notifier)))
    }

    /// Whether the waker was called since this was asked last: a task is awake.
    pub(super) fn was_notified(&self) -> bool {
        let is_notified = &self.notifier.is_notified;
        is_notified.load(Ordering::SeqCst) && is_notified.swap(false, Ordering::SeqCst)
    }

    /// Sockets are served by this from now on.
    pub(super) fn serve_by(&self, server: impl Fn(u32) + 'static) {
        *self.server.borrow_mut() = Some(Rc::new(server));
    }

    /// Serves the socket that has waited longest. Whether there was one.
    pub(super) fn serve_next(&self) -> bool {
        let Some(place) = self.due.borrow_mut().pop_front() else { return false };
        // It may be gone, and another one have its place, which is served once too often then.
        let number = self.sources.borrow().get(place).and_then(|source| {
            source.is_due.set(false);
            source.number.get()
        });
        let server = self.server.borrow().clone();
        if let (Some(number), Some(serve)) = (number, server) {
            serve(number);
        }
        true
    }

    /// When the last look ended, which is when the present round began.
    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    fn make_due(&self, place: usize, source: &Source) {
        if source.number.get().is_some() && !source.is_due.replace(true) {
            self.due.borrow_mut().push_back(place);
        }
    }

    /// Wakes the tasks whose sockets or timers are ready; if there are none and it may sleep, waits for one, or for
    /// the waker.
    pub(super) fn look(&self, may_sleep: bool) {
        let mut events = self.events.borrow_mut();
        events.clear();
        let Notifier { is_notified, is_asleep, .. } = &*self.notifier;
        let may_sleep = may_sleep && self.due.borrow().is_empty();
        is_asleep.store(may_sleep, Ordering::SeqCst);
        let timeout = if is_notified.load(Ordering::SeqCst) || !may_sleep {
            Some(Duration::ZERO)
        } else {
            self.until_next_timer()
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => log::error!("cannot wait for sockets: {e}"),
        }
        is_asleep.store(false, Ordering::SeqCst);
        let sources = self.sources.borrow();
        for event in events.iter() {
            let place = event.data.u64() as usize;
            if let Some(source) = sources.get(place) {
                source.is_ready(event.flags);
                self.make_due(place, source);
            }
        }
        drop(sources);
        self.now.set(Instant::now());
        self.fire_timers();
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let next = self.timers.borrow().keys().next().copied()?;
        Some(next.0.saturating_duration_since(Instant::now())) // the round may have been a long one
    }

    fn fire_timers(&self) {
        let mut timers = self.timers.borrow_mut();
        while let Some(first) = timers.first_entry().filter(|first| first.key().0 <= self.now()) {
            match first.remove() {
                Sleeper::Task(waker) => waker.wake(),
                Sleeper::Socket(place) => {
                    if let Some(source) = self.sources.borrow().get(place) {
                        self.make_due(place, source);
                    }
                }
            }
        }
    }
}

/// What is known of one socket.
#[derive(Default)]
struct Source {
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// The other end has shut its side, or all is over: no edge will follow, so a read must find that out.
    ended: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    /// Under which it is served, if it is.
    number: Cell<Option<u32>>,
    /// It waits to be served.
    is_due: Cell<bool>,
}

impl Source {
    fn is_ready(&self, flags: epoll::EventFlags) {
        let over = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(over | epoll::EventFlags::RDHUP) {
            self.ended.set(true);
        }
        if flags.intersects(over | epoll::EventFlags::RDHUP | epoll::EventFlags::IN) {
            become_ready(&self.readable, &self.reader);
        }
        if flags.intersects(over | epoll::EventFlags::OUT) {
            become_ready(&self.writable, &self.writer);
        }
    }
}

fn become_ready(is_ready: &Cell<bool>, waiting: &RefCell<Option<Waker>>) {
    is_ready.set(true);
    if let Some(waker) = waiting.borrow_mut().take() {
        waker.wake();
    }
}

fn poll_ready(is_ready: &Cell<bool>, waiting: &RefCell<Option<Waker>>, cx: &mut Context<'_>) -> Poll<()> {
    if is_ready.get() {
        return Poll::Ready(());
    }
    match &mut *waiting.borrow_mut() {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
    Poll::Pending
}

/// A socket that never blocks and can be waited for, for reading by one task and for writing by one.
pub(crate) struct Async<T: AsFd> {
    io: T,
    source: Rc<Source>,
    place: usize,
}

impl<T: AsFd> Async<T> {
    /// Has the system tell when it is ready.
    pub(crate) fn new(io: T) -> io::Result<Async<T>> {
        rustix::io::ioctl_fionbio(&io, true)?;
        let source = Rc::<Source>::default();
        let reactor = Reactor::of_thread();
        let place = reactor.sources.borrow_mut().insert(Rc::clone(&source));
        let name = epoll::EventData::new_u64(place as u64);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        if let Err(e) = epoll::add(&reactor.epoll, &io, name, flags | epoll::EventFlags::ET) {
            reactor.sources.borrow_mut().remove(place);
            return Err(e.into());
        }
        Ok(Async { io, source, place })
    }

    /// The socket itself. Whoever reads or writes it goes past what is remembered of its readiness.
    pub(crate) fn get_ref(&self) -> &T {
        &self.io
    }

    /// Waits until a read will find something, most likely.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        poll_ready(&self.source.readable, &self.source.reader, cx)
    }

    /// Waits until a write will find room, most likely.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        poll_ready(&self.source.writable, &self.source.writer, cx)
    }

    /// Whether a read will find something, as far as is known.
    pub(crate) fn is_readable(&self) -> bool {
        self.source.readable.get()
    }

    /// Whether a write will find room, as far as is known.
    pub(crate) fn is_writable(&self) -> bool {
        self.source.writable.get()
    }

    /// From now on it is served under this number whenever something happens to it; once at first.
    pub(crate) fn serve_as(&self, number: u32) {
        self.source.number.set(Some(number));
        self.serve_again();
    }

    /// Has it served once more, behind the others that are to be.
    pub(crate) fn serve_again(&self) {
        Reactor::of_thread().make_due(self.place, &self.source);
    }

    /// Whether the time of this timer has come; if not, the socket is served when it has.
    pub(crate) fn has_come(&self, timer: &mut Timer) -> bool {
        timer.has_come(|| Sleeper::Socket(self.place))
    }

    fn not_readable(&self) -> ErrorKind {
        self.source.readable.set(false);
        ErrorKind::WouldBlock
    }

    /// Tries until it does not fail for want of something to read.
    async fn when_readable<R>(&self, mut attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| {
            loop {
                ready!(self.poll_readable(cx));
                match attempt(&self.io) {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => self.source.readable.set(false),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    done => return Poll::Ready(done),
                }
            }
        })
        .await
    }
}

/// By the system's own calls: in the C library's a thread may be cancelled, and to see to that costs at low rates.
impl<T: AsFd> Async<T> {
    /// One read of what is there now.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where nothing is, and what the system says.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::read(&self.io, &mut *buffer) {
            Err(Errno::WOULDBLOCK) => Err(self.not_readable().into()),
            Ok(n) => {
                // What is less than asked for is all there was; more makes a new edge, but for the end.
                if n < buffer.len() && !self.source.ended.get() {
                    self.source.readable.set(false);
                }
                Ok(n)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Reads what is there, or the first that comes.
    pub(crate) async fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.when_readable(|io| Ok(rustix::io::read(io, &mut *buffer)?)).await
    }

    /// One write of what can be written now.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where nothing can, and what the system says.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.written(rustix::io::write(&self.io, bytes))
    }

    /// As [`Async::write_now`], of several pieces.
    pub(crate) fn write_vectored_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.written(rustix::io::writev(&self.io, parts))
    }

    fn written(&self, written: Result<usize, Errno>) -> io::Result<usize> {
        if written == Err(Errno::WOULDBLOCK) {
            self.source.writable.set(false);
        }
        Ok(written?)
    }
}

impl Async<TcpListener> {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        let (socket, address) = self.when_readable(TcpListener::accept).await?;
        Ok((Async::new(socket)?, address))
    }
}

impl Async<TcpStream> {
    /// Connects to this address, from this one if one is named.
    pub(crate) async fn connect(address: SocketAddr, from: Option<IpAddr>) -> io::Result<Async<TcpStream>> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        if let Some(from) = from {
            net::bind(&socket, &SocketAddr::new(from, 0))?;
        }
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(e) => return Err(e.into()),
        }
        let socket = Async::new(TcpStream::from(socket))?;
        poll_fn(|cx| socket.poll_writable(cx)).await;
        sockopt::socket_error(&socket.io)??;
        Ok(socket)
    }
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        // At the end of the thread there may be nobody left to forget it.
        let _gone = REACTOR.try_with(|reactor| {
            reactor.sources.borrow_mut().remove(self.place);
            if let Err(e) = epoll::delete(&reactor.epoll, &self.io) {
                log::error!("cannot forget a socket: {e}");
            }
        });
    }
}

/// Done when a time has come.
pub(crate) struct Timer {
    at: Option<Instant>,
    /// Where it stands among the timers.
    entry: Option<(Instant, u64)>,
}

impl Timer {
    /// In so long.
    pub(crate) fn after(time: Duration) -> Timer {
        Timer::at(Instant::now() + time)
    }

    /// Then.
    pub(crate) fn at(at: Instant) -> Timer {
        Timer { at: Some(at), entry: None }
    }

    /// Not before it is set.
    pub(crate) fn never() -> Timer {
        Timer { at: None, entry: None }
    }

    /// From now on it is done then.
    pub(crate) fn set_at(&mut self, at: Instant) {
        self.forget();
        self.at = Some(at);
    }

    /// Whether its time has come; if not, this sleeper is woken when it has.
    fn has_come(&mut self, sleeper: impl FnOnce() -> Sleeper) -> bool {
        let Some(at) = self.at else { return false };
        let reactor = Reactor::of_thread();
        if at <= reactor.now() {
            self.forget();
            return true;
        }
        let entry = *self.entry.get_or_insert_with(|| {
            reactor.last_timer.set(reactor.last_timer.get() + 1);
            (at, reactor.last_timer.get())
        });
        reactor.timers.borrow_mut().insert(entry, sleeper());
        false
    }

    fn forget(&mut self) {
        if let Some(entry) = self.entry.take() {
            let _gone = REACTOR.try_with(|reactor| reactor.timers.borrow_mut().remove(&entry));
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_come(|| Sleeper::Task(cx.waker().clone())) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.forget();
    }
}
