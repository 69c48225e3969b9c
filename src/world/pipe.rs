//! One in-memory connection: two bounded byte queues with TCP's two ways to end.
//!
//! A side that shuts down sends end of file; a side that is dropped without it resets its peer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that one direction holds before its writer waits: a small socket buffer.
const CAPACITY: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Eof,
    Reset,
}

#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    end: Option<End>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of an in-memory connection.
pub struct Pipe {
    incoming: Rc<RefCell<Direction>>,
    outgoing: Rc<RefCell<Direction>>,
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

impl Pipe {
    /// Both ends of a new connection between two addresses.
    pub fn pair(a: SocketAddr, b: SocketAddr) -> (Pipe, Pipe) {
        let (there, back) = (Rc::<RefCell<Direction>>::default(), Rc::<RefCell<Direction>>::default());
        let first = Pipe { incoming: back.clone(), outgoing: there.clone(), local: a, peer: b };
        (first, Pipe { incoming: there, outgoing: back, local: b, peer: a })
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut direction = self.incoming.borrow_mut();
        if direction.bytes.is_empty() {
            return match direction.end {
                Some(End::Eof) => Poll::Ready(Ok(())),
                Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    direction.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let n = buf.remaining().min(direction.bytes.len());
        let (front, back) = direction.bytes.as_slices();
        let from_front = n.min(front.len());
        buf.put_slice(&front[..from_front]);
        buf.put_slice(&back[..n - from_front]);
        direction.bytes.drain(..n);
        wake(&mut direction.writer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut direction = self.outgoing.borrow_mut();
        if direction.reader_gone || direction.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY - direction.bytes.len();
        if room == 0 {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = room.min(bytes.len());
        direction.bytes.extend(&bytes[..n]);
        wake(&mut direction.reader);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut direction = self.outgoing.borrow_mut();
        direction.end.get_or_insert(End::Eof);
        wake(&mut direction.reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.end.get_or_insert(End::Reset);
        wake(&mut outgoing.reader);
        let mut incoming = self.incoming.borrow_mut();
        incoming.reader_gone = true;
        incoming.bytes = VecDeque::new();
        wake(&mut incoming.writer);
    }
}
