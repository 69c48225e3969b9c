//! The world handed in: clock, sleep, spawn and transport as arguments.
//!
//! Everything on floor 3 acts through a `World`, so that the same engine, proxy and sandbox run on
//! real sockets and, one process, one thread, in virtual time. Nothing else calls `tokio::time`,
//! `tokio::net` or the operating system's clocks (clippy's disallowed-methods hold that).

mod files;
mod group;
mod network;
mod pacer;
mod pipe;
mod programs;
mod stream;
mod turns;
mod wakes;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use files::{OWN_FILES, has_files_for, open_files, open_many_files, opens_as_many_as_before, own_files};
pub use group::TaskGroup;
pub use network::Network;
pub use pacer::Pacer;
pub use programs::Programs;
pub use stream::{Listener, Stream};
pub use turns::Turns;
pub use wakes::Wake;

use tokio::net::TcpSocket;

use crate::units::Micros;

/// Connections that wait to be accepted, as far as the system allows. With tokio's 128 a link or a paused
/// sandbox soon loses handshakes, and clients see a second more of delay than there is.
const BACKLOG: u32 = 4096;
/// 2000-01-01T00:00:00Z in microseconds since 1970: where virtual wall time begins.
const VIRTUAL_EPOCH: i64 = 946_684_800_000_000;

/// The niceness of what is done aside.
const NICE: i32 = 10;
/// Threads for what is done aside: more at a time would only take each other's processor and memory.
const ASIDE: usize = 2;

/// Ports that no usual system gives to outgoing connections: Linux begins at 32,768, others higher.
const FIXED_PORTS: std::ops::Range<u16> = 12_000..32_768;
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// A real process's clock: one origin for all its threads.
#[derive(Clone, Copy, Debug)]
pub struct Origin(Instant);

impl Origin {
    #[allow(clippy::disallowed_methods)]
    pub fn now() -> Origin {
        Origin(Instant::now())
    }

    #[allow(clippy::disallowed_methods)]
    fn micros(self) -> i64 {
        self.0.elapsed().as_micros() as i64
    }
}

#[derive(Clone)]
enum Kind {
    Real(Origin),
    /// tokio's paused clock, 1,000 times slower than simulated time: its timers round up to 1 ms,
    /// which is one simulated microsecond.
    Virtual {
        start: tokio::time::Instant,
        network: Rc<Network>,
    },
}

/// A handle to the world; clones share clock and network. Times count from its zero.
#[derive(Clone)]
pub struct World {
    kind: Kind,
    zero: Micros,
}

/// The time ran out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

#[allow(clippy::disallowed_methods)]
impl World {
    pub fn real(origin: Origin) -> World {
        World { kind: Kind::Real(origin), zero: Micros::ZERO }
    }

    /// A virtual world with a network of its own. Call it inside `run_virtual`.
    fn virtual_() -> World {
        let kind = Kind::Virtual { start: tokio::time::Instant::now(), network: Rc::default() };
        World { kind, zero: Micros::ZERO }
    }

    /// The same world with its zero at this one's `at`.
    pub fn rebased(&self, at: Micros) -> World {
        World { kind: self.kind.clone(), zero: self.zero + at }
    }

    pub fn is_virtual(&self) -> bool {
        matches!(self.kind, Kind::Virtual { .. })
    }

    /// The zero in the process's own time: what another thread's world is rebased to.
    pub fn zero(&self) -> Micros {
        self.zero
    }

    pub fn now(&self) -> Micros {
        let since_start = match &self.kind {
            Kind::Real(origin) => origin.micros(),
            Kind::Virtual { start, .. } => start.elapsed().as_millis() as i64,
        };
        Micros(since_start) - self.zero
    }

    /// This thread's latest wake, and how late it was; in virtual time nothing is late.
    pub fn wake(&self) -> Wake {
        match &self.kind {
            Kind::Real(_) => wakes::latest(),
            Kind::Virtual { .. } => Wake::default(),
        }
    }

    /// For how long this thread has run, or waited for a processor, so far; none where nobody counts it.
    pub fn busy(&self) -> Option<Micros> {
        match &self.kind {
            Kind::Real(_) => wakes::busy(),
            Kind::Virtual { .. } => None,
        }
    }

    /// Wall time in microseconds since 1970, UTC.
    pub fn wall(&self) -> i64 {
        match &self.kind {
            Kind::Real(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64),
            Kind::Virtual { start, .. } => VIRTUAL_EPOCH + start.elapsed().as_millis() as i64,
        }
    }

    fn instant(&self, at: Micros) -> tokio::time::Instant {
        let since_start = (at + self.zero).0.clamp(0, 1 << 50) as u64;
        match &self.kind {
            Kind::Real(origin) => (origin.0 + Duration::from_micros(since_start)).into(),
            Kind::Virtual { start, .. } => *start + Duration::from_millis(since_start),
        }
    }

    pub async fn sleep_until(&self, at: Micros) {
        tokio::time::sleep_until(self.instant(at)).await;
    }

    pub async fn sleep(&self, length: Micros) {
        self.sleep_until(self.now() + length).await;
    }

    pub async fn timeout_at<F: Future>(&self, at: Micros, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout_at(self.instant(at), future).await.map_err(|_| Elapsed)
    }

    pub async fn timeout<F: Future>(&self, length: Micros, future: F) -> Result<F::Output, Elapsed> {
        self.timeout_at(self.now() + length, future).await
    }

    /// An exact sleeper for arrivals.
    pub fn pacer(&self) -> Pacer {
        Pacer::new(self.clone())
    }

    /// Runs a task on this thread; in virtual time inside the current task group.
    pub fn spawn<F: Future + 'static>(&self, future: F) -> tokio::task::JoinHandle<F::Output> {
        tokio::task::spawn_local(future)
    }

    /// Work that would hold this thread up: done on another one, behind everything that measures. In virtual time,
    /// which stands still meanwhile, it is done at once. What nobody waits for any more is not begun.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        match &self.kind {
            Kind::Virtual { .. } => Ok(work()),
            Kind::Real(_) => {
                let behind = move || {
                    // Of this thread only; where it is refused the work is done all the same.
                    let _ = rustix::process::setpriority_process(None, NICE);
                    work()
                };
                Begun(tokio::task::spawn_blocking(behind)).await
            }
        }
    }

    pub async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        match &self.kind {
            Kind::Real(_) => Stream::dialled(tokio::net::TcpStream::connect(address).await?),
            Kind::Virtual { network, .. } => network.connect(address).await.map(Stream::Pipe),
        }
    }

    /// Listens on `address`; port 0 finds a free one.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        match &self.kind {
            Kind::Real(_) => Ok(Listener::Tcp(bound(address)?.listen(BACKLOG)?)),
            Kind::Virtual { network, .. } => network.listen(address).map(Listener::Pipe),
        }
    }

    /// Keeps an address until dropped, without listening: whoever dials it is refused, and the system gives its port to
    /// no outgoing connection. In virtual time it gives none away.
    pub fn keep(&self, address: SocketAddr) -> io::Result<Option<TcpSocket>> {
        match &self.kind {
            Kind::Real(_) => bound(address).map(Some),
            Kind::Virtual { .. } => Ok(None),
        }
    }

    /// An address on loopback that is free now, for processes that must know each other's before they start
    /// and keep it when they start again: below the ports that outgoing connections use, so that none of
    /// those takes it meanwhile.
    pub async fn free_address(&self) -> io::Result<SocketAddr> {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        if matches!(self.kind, Kind::Virtual { .. }) {
            return self.listen(loopback(0)).await?.local_addr();
        }
        // Every process begins elsewhere and never comes back to a port.
        let begin = std::process::id().wrapping_mul(61);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..100 {
            let next =
                begin.wrapping_add(NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % FIXED_PORTS.len() as u32;
            let address = loopback(FIXED_PORTS.start + next as u16);
            match self.listen(address).await {
                Ok(_) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Work that is given up when this is dropped, if it has not begun.
struct Begun<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Begun<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// From here on a file that reaches its size limit (`ulimit -f`) is an error of the write, like a full
/// disk, and no longer the end of the process by SIGXFSZ.
pub fn survive_full_files() {
    use tokio::signal::unix::{SignalKind, signal};
    run_real(Origin::now(), |_| async {
        // A handler stays for as long as the process lives.
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    });
}

/// This machine itself refused: EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM. No fault of the peer.
pub fn is_local(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let local = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| local.iter().any(|errno| errno.raw_os_error() == code))
}

/// Runs a future and the tasks it spawns on real sockets and clocks, on this thread.
pub fn run_real<F: Future>(origin: Origin, main: impl FnOnce(World) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(ASIDE)
        .on_thread_unpark(wakes::note)
        .build()
        .expect("a current-thread runtime needs only an epoll descriptor");
    wakes::watch();
    let tasks = tokio::task::LocalSet::new();
    let output = tasks.block_on(&runtime, main(World::real(origin)));
    runtime.shutdown_background();
    output
}

/// Runs a future and the tasks it spawns in virtual time: whenever all of them wait, the clock jumps
/// to the next timer.
pub fn run_virtual<F: Future>(main: impl FnOnce(World) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs no descriptor");
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move { main(World::virtual_()).await })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn virtual_time_passes_to_the_microsecond_and_at_once() {
        run_virtual(|world| async move {
            let far = Micros::secs(700) + Micros(3);
            world.sleep_until(far).await;
            assert_eq!(world.now(), far);
            assert_eq!(world.wall(), VIRTUAL_EPOCH + far.0);
            assert_eq!(world.rebased(far).now(), Micros::ZERO);
            assert_eq!(world.timeout(Micros(5), std::future::pending::<()>()).await, Err(Elapsed));
            assert_eq!(world.now(), far + Micros(5));
        });
    }

    #[test]
    fn a_pacer_wakes_at_its_time_and_not_before_in_both_worlds() {
        async fn check(world: &World, mut pacer: Pacer) {
            for step in [0, 300, 1_000, 2_500] {
                let at = world.now() + Micros(step);
                pacer.until(at).await;
                assert!(world.now() >= at);
            }
        }
        run_real(Origin::now(), async |world| check(&world, world.pacer()).await);
        run_real(Origin::now(), async |world| check(&world, Pacer::on_the_wheel(world.clone())).await);
        run_virtual(async |world| check(&world, world.pacer()).await);
    }

    async fn echo_once(world: World) {
        let mut listener = world.listen(any_port()).await.unwrap();
        let address = listener.local_addr().unwrap();
        world.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = [0; 4];
            stream.read_exact(&mut text).await.unwrap();
            stream.write_all(&text).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut stream = world.connect(address).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"ping");
        drop(stream);
        world.sleep(Micros::millis(5)).await;
        let refused = world.connect(address).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn both_worlds_carry_bytes_close_in_order_and_refuse_where_nobody_listens() {
        run_real(Origin::now(), echo_once);
        run_virtual(echo_once);
    }

    #[test]
    fn a_connection_that_came_to_itself_is_refused_and_leaves_the_port_to_who_listens_there() {
        run_real(Origin::now(), async |world| {
            let socket = bound(any_port()).unwrap();
            let address = socket.local_addr().unwrap();
            let itself = Stream::dialled(socket.connect(address).await.unwrap());
            assert_eq!(itself.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
            let listener = TcpSocket::new_v4().unwrap();
            listener.bind(address).unwrap();
            let _listens = listener.listen(1).unwrap();
            assert!(world.connect(address).await.is_ok());
        });
    }

    #[test]
    fn a_paused_group_accepts_nothing_and_a_dropped_one_resets_its_peers() {
        run_virtual(|world| async move {
            let (tell, told) = tokio::sync::oneshot::channel();
            let group = TaskGroup::start({
                let world = world.clone();
                async move {
                    let mut listener = world.listen(any_port()).await.unwrap();
                    tell.send(listener.local_addr().unwrap()).unwrap();
                    loop {
                        let (mut stream, _) = listener.accept().await.unwrap();
                        world.spawn(async move {
                            let mut byte = [0];
                            while stream.read_exact(&mut byte).await.is_ok() {
                                stream.write_all(&byte).await.unwrap();
                            }
                        });
                    }
                }
            });
            let mut stream = world.connect(told.await.unwrap()).await.unwrap();
            let mut byte = [0];
            stream.write_all(b"a").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            group.pause();
            stream.write_all(b"b").await.unwrap();
            assert!(world.timeout(Micros::secs(9), stream.read_exact(&mut byte)).await.is_err());
            group.resume();
            stream.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, *b"b");
            drop(group);
            let error = stream.read_exact(&mut byte).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        });
    }
}
