//! The limit for all heads of one answer, those of interim answers (1xx) included: hyper's own holds for each by itself, and
//! it passes over interim ones without end.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::world::Stream;

/// Bytes that hyper takes for a head.
pub const MOST_HEAD: usize = 8_192 + 4_096 * 100;

/// What has come of the heads of one connection's latest answer.
#[derive(Debug, Default)]
pub struct Heads {
    bytes: Cell<usize>,
    /// What comes now is a body.
    over: Cell<bool>,
}

impl Heads {
    /// A new request begins.
    pub fn begin(&self) {
        self.bytes.set(0);
        self.over.set(false);
    }

    /// The last of them is there, which is the answer's own.
    pub fn end(&self) {
        self.over.set(true);
    }

    /// Bytes came.
    pub fn came(&self, n: usize) {
        self.bytes.set(self.bytes.get() + n);
    }

    /// Whether more may be read. Of a body nothing is read before whoever asked has its head, but for what came with it.
    ///
    /// # Errors
    /// `FileTooLarge`, which no socket has, in words.
    pub fn may_go_on(&self) -> io::Result<()> {
        if self.over.get() || self.bytes.get() < MOST_HEAD {
            return Ok(());
        }
        let kilo = MOST_HEAD / 1_000;
        let why = format!("more than {kilo} kB of interim answers (1xx) came, and no answer");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, why))
    }
}

/// That there were too many of them, where an error says so.
pub fn too_many(error: &hyper::Error) -> Option<String> {
    let cause = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    (cause.kind() == io::ErrorKind::FileTooLarge).then(|| cause.to_string())
}

/// A connection that reads no more than that.
pub(super) struct Limited {
    stream: Stream,
    heads: Rc<Heads>,
}

impl Limited {
    pub(super) fn new(stream: Stream, heads: Rc<Heads>) -> Limited {
        Limited { stream, heads }
    }
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.heads.may_go_on()?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.heads.came(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Limited {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
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
