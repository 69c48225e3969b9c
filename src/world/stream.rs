//! Byte streams and listeners of both worlds behind one type each.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::network::PipeListener;
use super::pipe::Pipe;

/// A connection.
pub enum Stream {
    Tcp(TcpStream),
    Pipe(Pipe),
}

impl Stream {
    /// One that was dialled. At a port of those that the system gives to outgoing connections, where nobody listens, one of
    /// them may come to itself in the end: nobody took it, and whoever is to listen there must have the port.
    ///
    /// # Errors
    /// Nobody took it, or the system's.
    pub(super) fn dialled(tcp: TcpStream) -> io::Result<Stream> {
        let own = tcp.local_addr().ok();
        if own.is_some() && own == tcp.peer_addr().ok() {
            // Closed in order it would keep the port for a minute.
            tcp.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        tcp.set_nodelay(true)?;
        Ok(Stream::Tcp(tcp))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Stream::Tcp(tcp) => tcp.local_addr(),
            Stream::Pipe(pipe) => Ok(pipe.local),
        }
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Stream::Tcp(tcp) => tcp.peer_addr(),
            Stream::Pipe(pipe) => Ok(pipe.peer),
        }
    }

    /// Bytes that were written and that the peer's system has not taken, and so nobody there has read; none where
    /// that cannot be told.
    pub fn untaken(&self) -> Option<u64> {
        match self {
            Stream::Tcp(tcp) => untaken(tcp),
            Stream::Pipe(_) => None,
        }
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn untaken(tcp: &TcpStream) -> Option<u64> {
    use rustix::ioctl::{Getter, ioctl};
    /// What is written less what was acknowledged; also of a connection that is over.
    const SIOCOUTQ: u32 = 0x5411;
    // SAFETY: on a socket this request writes one int, and takes nothing.
    let bytes = unsafe { ioctl(tcp, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) };
    bytes.ok().and_then(|bytes| u64::try_from(bytes).ok())
}

#[cfg(not(target_os = "linux"))]
fn untaken(_: &TcpStream) -> Option<u64> {
    None
}

/// Forwards one poll to whichever stream it is.
macro_rules! forward {
    ($self:expr, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).$method($($argument),*),
            Stream::Pipe(pipe) => Pin::new(pipe).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(tcp) => tcp.is_write_vectored(),
            Stream::Pipe(pipe) => pipe.is_write_vectored(),
        }
    }
}

/// A listening address.
pub enum Listener {
    Tcp(TcpListener),
    Pipe(PipeListener),
}

impl Listener {
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Tcp(tcp) => tcp.local_addr(),
            Listener::Pipe(pipe) => Ok(pipe.address),
        }
    }

    /// The next connection and its peer's address.
    pub async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Listener::Tcp(tcp) => {
                let (stream, peer) = tcp.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer))
            }
            Listener::Pipe(listener) => {
                let pipe = poll_fn(|cx| listener.poll_accept(cx)).await;
                let peer = pipe.peer;
                Ok((Stream::Pipe(pipe), peer))
            }
        }
    }
}
