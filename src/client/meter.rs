//! A connection that notes when the first byte of a request leaves and how many bytes pass.
//!
//! A peer that answers before the request is sent to its end often closes at once, and what is written then fails:
//! the answer is read all the same, and the rest of the request goes nowhere.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::Heads;
use crate::units::Micros;
use crate::world::{Stream, Turns, World};

/// Bytes that one connection reads on end before it is all others' turn: one that never stops talking (interim
/// answers without end) would hold up its whole shard, every time-out included.
const TURN: usize = 64 * 1024;
/// Less than the least that a system lets its peer send before it is read: whoever sent no more has waited for nobody.
const WINDOW: usize = 32 * 1024;

/// Stamps and counters of one connection, shared between its I/O and whoever uses it.
#[derive(Debug, Default)]
pub struct Meter {
    first_byte: Cell<Option<Micros>>,
    sent: Cell<u64>,
    received: Cell<u64>,
    heads: Heads,
    cut_off: Cell<bool>,
    /// Bytes that the peer had not taken when it ended the connection in order; none known where it broke off.
    untaken: Cell<Option<u64>>,
    /// Of its I/O.
    turns: Turns,
    /// For how long what was read since nothing was left to read had waited to be read.
    late: Cell<Micros>,
}

/// What a meter has read since it was armed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub first_byte: Option<Micros>,
    pub sent: u64,
    pub received: u64,
}

impl Meter {
    pub fn new(world: &World) -> Rc<Meter> {
        Rc::new(Meter { turns: Turns::of(world), ..Meter::default() })
    }

    /// A new request begins. Gives back for how long the connection waited for squall before that.
    pub fn arm(&self) -> Micros {
        self.first_byte.set(None);
        self.sent.set(0);
        self.received.set(0);
        self.late.set(Micros::ZERO);
        self.heads.begin();
        self.turns.take_waited()
    }

    /// The head of the answer is there.
    pub fn answers(&self) {
        self.heads.end();
    }

    /// What the connection's I/O is done by.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// The peer took no more of the request.
    pub fn cut_off(&self) -> bool {
        self.cut_off.get()
    }

    /// The connection ended before its peer took a byte of the request: it had closed it already. Its end says how
    /// much it had taken. A reset does not: whoever resets may have read what its system has not acknowledged yet.
    pub fn took_nothing(&self) -> bool {
        let reset = self.cut_off.get() && self.sent.get() > 0;
        let untaken = self.untaken.get().filter(|_| self.received.get() == 0 && !reset);
        untaken.is_some_and(|bytes| bytes >= self.sent.get())
    }

    pub fn read(&self) -> Reading {
        Reading { first_byte: self.first_byte.get(), sent: self.sent.get(), received: self.received.get() }
    }
}

pub struct Metered {
    stream: Stream,
    meter: Rc<Meter>,
    world: World,
    /// Bytes read on end.
    turn: usize,
    /// Bytes read since nothing was left to read, and whether nothing is left once more.
    taken: usize,
    empty: bool,
}

impl Metered {
    pub fn new(stream: Stream, meter: Rc<Meter>, world: World) -> Metered {
        Metered { stream, meter, world, turn: 0, taken: 0, empty: false }
    }

    /// What was written, or where the peer takes no more: as if it were, and nothing is counted.
    fn written(&self, outcome: io::Result<usize>, asked: usize) -> io::Result<usize> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match outcome {
            Ok(n) => {
                self.count_sent(n);
                Ok(n)
            }
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.meter.cut_off.set(true);
                Ok(asked)
            }
            Err(error) => Err(error),
        }
    }

    /// Bytes came. Where all that had come before was read, and the peer has sent these since in its own time, it held
    /// nothing up that those had waited.
    fn came(&mut self, n: usize) {
        let turns = &self.meter.turns;
        if std::mem::take(&mut self.empty) {
            let late = self.meter.late.take();
            if std::mem::take(&mut self.taken) < WINDOW {
                turns.forget(late);
            }
        }
        self.taken += n;
        self.meter.late.set(self.meter.late.get() + turns.goes_on());
        self.meter.received.set(self.meter.received.get() + n as u64);
        self.meter.heads.came(n);
    }

    fn count_sent(&self, n: usize) {
        self.meter.turns.goes_on();
        if self.meter.first_byte.get().is_none() {
            self.meter.first_byte.set(Some(self.world.now()));
        }
        self.meter.sent.set(self.meter.sent.get() + n as u64);
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.meter.heads.may_go_on()?;
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) else {
            (self.turn, self.empty) = (0, true);
            return Poll::Pending;
        };
        let n = buf.filled().len() - before;
        read?;
        if n == 0 {
            self.meter.untaken.set(self.stream.untaken());
        }
        self.turn += n;
        self.came(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.meter.cut_off() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.written(outcome, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = parts.iter().map(|part| part.len()).sum();
        if self.meter.cut_off() {
            return Poll::Ready(Ok(all));
        }
        let outcome = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts));
        Poll::Ready(self.written(outcome, all))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Origin, run_real, run_virtual};
    use std::future::poll_fn;
    use std::pin::pin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn a_peer_that_always_has_more_to_say_leaves_others_their_turn() {
        run_virtual(|world| async move {
            let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let stream = world.connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            let meter = Meter::new(&world);
            meter.answers();
            let mut metered = Metered::new(stream, meter, world.clone());
            let (mut turns, mut bytes) = (0, [0; 16 * 1024]);
            for _ in 0..40 {
                peer.write_all(&[b'x'; 16 * 1024]).await.unwrap();
                let mut buf = ReadBuf::new(&mut bytes);
                let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut metered).poll_read(cx, &mut buf))).await;
                if read.is_pending() {
                    turns += 1;
                    poll_fn(|cx| Pin::new(&mut metered).poll_read(cx, &mut buf)).await.unwrap();
                }
                assert_eq!(buf.filled().len(), 16 * 1024);
            }
            assert_eq!(turns, 40 * 16 * 1024 / TURN - 1, "one in each {TURN} bytes");
        });
    }

    /// For how long squall held up a peer that sends so many bytes ten times, 30 ms apart, to each of which it comes
    /// 10 ms late.
    fn held_up(bytes: usize) -> Micros {
        run_real(Origin::now(), async move |world| {
            let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut other = world.connect(address).await.unwrap();
            let (mut before, _) = listener.accept().await.unwrap();
            let clock = world.clone();
            world.spawn(async move {
                while let Ok(1..) = other.read(&mut [0; 1]).await {
                    let until = clock.now() + Micros::millis(10);
                    while clock.now() < until {}
                }
            });
            let meter = Meter::new(&world);
            let stream = world.connect(address).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            let (mut metered, turns) =
                (Metered::new(stream, meter.clone(), world.clone()), meter.turns.clone());
            world.spawn(async move {
                let mut some = vec![0; TURN];
                let reading = async { while let Ok(1..) = metered.read(&mut some).await {} };
                turns.count(pin!(reading)).await;
            });
            for _ in 0..10 {
                before.write_all(b"x").await.unwrap();
                peer.write_all(&vec![b'x'; bytes]).await.unwrap();
                world.sleep(Micros::millis(30)).await;
            }
            meter.turns.take_waited()
        })
    }

    /// A peer that sends piece by piece, each in its own time, is held up by what squall is late to the last of them.
    #[test]
    fn what_waited_before_the_peer_was_waited_for_once_more_held_nothing_up() {
        let (pieces, windows) = (held_up(1), held_up(WINDOW));
        assert!(pieces < Micros::millis(60), "{pieces}");
        assert!(
            windows >= Micros::millis(90),
            "who may send no more before it is read waits for squall: {windows}"
        );
    }
}
