//! Forwarding: one queue per direction, from which chunks leave at the time that the toxics set.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, split};
use tokio::sync::Notify;

use super::backlog::{Backlog, Delayed};
use super::link::Link;
use crate::random::{Key, Purpose, Stream as Draws};
use crate::toxic::{Direction, Fate, Toxic, fate};
use crate::units::Micros;
use crate::world::Stream;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Bytes that a client may send before its upstream is reached; what it sends then waits with it.
const EARLY: usize = 64 * 1024;

/// A client that has ended its side and gets nothing for so long has given up: one that only says that it has said
/// all gets its answer sooner. Without this an upstream that hangs would hold two descriptors for each of those.
const GIVEN_UP: Micros = Micros::secs(30);

/// Where there is no room for others, it has given up after so long.
const SILENT: Micros = Micros::SECOND;

/// Dials the upstream and forwards until both directions have ended, or one broke.
///
/// # Errors
/// The upstream could not be reached.
pub async fn carry(
    link: &Link,
    id: u64,
    mut client: Stream,
    dialling: impl Future<Output = io::Result<Stream>>,
) -> io::Result<()> {
    let mut early = Vec::new();
    let dialled = async {
        tokio::select! {
            biased;
            server = dialling => server.map(Some),
            () = given_up(link, &mut client, &mut early) => Ok(None),
        }
    };
    if let Some(server) = dialled.await? {
        both_ways(link, id, (&early, client), server).await;
    }
    Ok(())
}

/// Returns when the client has gone, or ended its side some time ago; what it has sent by then is in `early`.
async fn given_up(link: &Link, client: &mut Stream, early: &mut Vec<u8>) {
    while early.len() < EARLY {
        match client.read_buf(early).await {
            Ok(1..) => {}
            Ok(0) => {
                return tokio::select! {
                    () = link.world.sleep(GIVEN_UP) => {}
                    () = link.machine.wants_room() => {}
                };
            }
            Err(_) => return,
        }
    }
    std::future::pending().await
}

/// Forwards what came `early` from the client and then all else.
async fn both_ways(link: &Link, id: u64, (early, client): (&[u8], Stream), server: Stream) {
    let (client_reader, client_writer) = split(client);
    let (server_reader, server_writer) = split(server);
    let both = Both::default();
    let up = Pump::new(link, id, Direction::Upstream, &both).run(early.chain(client_reader), server_writer);
    let up = async {
        match up.await {
            // What it said before it went is on its way.
            Err(Broken::Target) => both.upstream_goes().await,
            ended => ended,
        }
    };
    let down = async {
        let ended = Pump::new(link, id, Direction::Downstream, &both).run(server_reader, client_writer).await;
        both.answered.notify_one();
        ended
    };
    tokio::select! {
        biased;
        // A broken direction ends both: the connection is gone.
        _ = async { tokio::try_join!(biased; up, down) } => {}
        () = both.given_up(link) => {}
    }
}

/// Which side of a direction broke.
enum Broken {
    Source,
    Target,
}

/// What both directions of a connection know of each other.
#[derive(Default)]
struct Both {
    /// The client sends nothing any more: most often it has given up.
    client_ended: Cell<bool>,
    /// Rings at its end.
    end: Notify,
    /// Rings when all that the upstream said has been passed on.
    answered: Notify,
    /// When something moved last, and how many bytes delays keep back.
    moved: Cell<Micros>,
    backlog: Cell<usize>,
}

impl Both {
    fn client_ends(&self) {
        self.client_ended.set(true);
        self.end.notify_one();
    }

    /// Returns when all that an upstream said which takes nothing any more has been passed on.
    async fn upstream_goes(&self) -> Result<(), Broken> {
        // Nobody listens to it any more.
        self.client_ends();
        self.answered.notified().await;
        Err(Broken::Target)
    }

    /// Returns when the client has ended its side and nothing has moved, or was kept back, for a while.
    async fn given_up(&self, link: &Link) {
        self.end.notified().await;
        loop {
            let since = link.world.now();
            let silent = tokio::select! {
                () = link.world.sleep(GIVEN_UP) => self.moved.get() <= since,
                () = link.machine.wants_room() => link.world.now() - self.moved.get() >= SILENT,
            };
            if silent && self.backlog.get() == 0 {
                return;
            }
        }
    }
}

/// What has come; nothing at the end. The room for it is no connection's own: most of them wait, and there are many.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut room = [MaybeUninit::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut chunk))?;
        Poll::Ready(Ok(chunk.filled().to_vec()))
    })
    .await
}

struct Pump<'a> {
    link: &'a Link,
    id: u64,
    way: Direction,
    draws: Draws,
    backlog: Backlog<'a>,
    previous: Micros,
    ended: bool,
    /// It ended by breaking.
    broke: bool,
    both: &'a Both,
    /// How many changes of the link's toxics this pump has seen.
    seen: u64,
}

impl<'a> Pump<'a> {
    fn new(link: &'a Link, id: u64, way: Direction, both: &'a Both) -> Pump<'a> {
        let key = Key { seed: 0, shape: way as u32, index: id, attempt: 0, purpose: Purpose::Jitter };
        Pump {
            link,
            id,
            way,
            draws: key.stream(),
            backlog: Backlog::new(&both.backlog, &link.machine),
            previous: Micros::ZERO,
            ended: false,
            broke: false,
            both,
            seen: link.changes.get(),
        }
    }

    async fn run(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<(), Broken> {
        loop {
            let changed = self.link.changed.notified();
            if self.seen != self.link.changes.get() {
                self.release();
            }
            let next = self.backlog.due();
            if self.ended && self.blackholed() && self.both.client_ended.get() {
                return Err(Broken::Source);
            }
            if self.broke && next.is_none() {
                return Err(Broken::Source);
            }
            if self.ended && next.is_none() && !self.blackholed() {
                return to.shutdown().await.map_err(|_| Broken::Target);
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = self.due(next), if next.is_some() => self.deliver(&mut to).await?,
                read = read(&mut from), if !self.ended && self.backlog.has_room() => {
                    self.both.moved.set(self.link.world.now());
                    match read {
                        Ok(chunk) if chunk.is_empty() => self.ends(),
                        Ok(chunk) => if let Some(chunk) = self.take(chunk) {
                            to.write_all(&chunk).await.map_err(|_| Broken::Target)?;
                        },
                        // A client that is gone wants nothing of what is on its way; an upstream may have said all.
                        Err(_) if self.way == Direction::Upstream => return Err(Broken::Source),
                        Err(_) => (self.ended, self.broke) = (true, true),
                    }
                }
            }
        }
    }

    fn ends(&mut self) {
        self.ended = true;
        if self.way == Direction::Upstream {
            self.both.client_ends();
        }
    }

    async fn due(&self, at: Option<Micros>) {
        if let Some(at) = at.filter(|&at| at > self.link.world.now()) {
            self.link.world.sleep_until(at).await;
        }
    }

    /// Keeps back, drops or hands on a chunk that may pass at once.
    fn take(&mut self, chunk: Vec<u8>) -> Option<Vec<u8>> {
        self.link.note_use(self.id);
        let now = self.link.world.now();
        let toxics = self.link.toxics();
        if toxics.is_empty() && self.backlog.is_empty() {
            return Some(chunk);
        }
        let in_force = toxics.iter().map(|(_, toxic): &(String, Toxic)| toxic);
        let fate = fate(in_force, self.way, now, self.previous, &mut self.draws);
        drop(toxics);
        match fate {
            Fate::Drop => {
                self.link.count_chunk(self.id, chunk.len(), None);
                None
            }
            Fate::Deliver(at) => {
                self.link.count_chunk(self.id, chunk.len(), Some(at - now));
                self.previous = at;
                if at <= now && self.backlog.is_empty() {
                    return Some(chunk);
                }
                self.backlog.push(Delayed { until: at, since: now, bytes: chunk });
                None
            }
        }
    }

    async fn deliver(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), Broken> {
        if let Some(Delayed { since, bytes, .. }) = self.backlog.pop() {
            self.link.note_delay(self.id, self.way, self.link.world.now() - since);
            to.write_all(&bytes).await.map_err(|_| Broken::Target)?;
        }
        Ok(())
    }

    /// A blackhole swallows the end that an upstream puts to a connection; the heal closes it. Whom its client
    /// gave up is let go, so that a long blackhole costs no more descriptors than there are clients that wait.
    fn blackholed(&self) -> bool {
        self.link.toxics().iter().any(|(_, toxic)| *toxic == Toxic::Blackhole)
    }

    /// Toxics changed: what is kept back is let go at once, in order.
    fn release(&mut self) {
        self.seen = self.link.changes.get();
        let now = self.link.world.now();
        self.backlog.release(now);
        self.previous = self.previous.min(now);
    }
}
