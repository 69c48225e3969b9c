//! A client with a keep-alive pool for one address: what a service uses to call another.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;

use super::heads::{Heads, Limited as LimitedHeads, too_many};
use crate::units::Micros;
use crate::world::World;

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error("no answer within {0}")]
    Timeout(Micros),
    #[error("connection broke: {0}")]
    Broken(hyper::Error),
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    TooManyHeads(String),
}

/// Bytes of a body that are taken where nothing else is said.
const MOST: usize = 64 << 20;

impl From<hyper::Error> for CallError {
    fn from(error: hyper::Error) -> CallError {
        too_many(&error).map_or(CallError::Broken(error), CallError::TooManyHeads)
    }
}

/// A connection, and what has come of the heads of its answer.
struct Sender {
    requests: SendRequest<Full<Bytes>>,
    heads: Rc<Heads>,
}

/// Calls one address over at most `limit` connections; further calls wait their turn.
#[derive(Clone)]
pub struct Caller {
    world: World,
    address: SocketAddr,
    /// What it calls the address.
    host: String,
    /// How it says who it is.
    authorization: Option<String>,
    /// Bytes of a body that are taken.
    most: usize,
    idle: Rc<RefCell<Vec<Sender>>>,
    turns: Rc<Semaphore>,
}

impl Caller {
    pub fn new(world: World, address: SocketAddr, limit: usize) -> Caller {
        let (idle, turns) = (Rc::default(), Rc::new(Semaphore::new(limit)));
        Caller { world, address, host: address.to_string(), authorization: None, most: MOST, idle, turns }
    }

    /// Calls the address as it was written, and says who asks.
    pub fn named(self, host: &str, authorization: Option<&str>) -> Caller {
        Caller { host: host.to_owned(), authorization: authorization.map(str::to_owned), ..self }
    }

    /// Takes bodies of so many bytes at most.
    pub fn at_most(self, most: usize) -> Caller {
        Caller { most, ..self }
    }

    /// The status of an answer, whose body nobody reads.
    pub async fn status(&self, path: &str, timeout: Micros) -> Result<u16, CallError> {
        let request = self.request(http::Method::GET, path, Bytes::new())?;
        let exchange = async {
            let mut sender = self.connect().await?;
            Ok::<_, CallError>(sender.requests.send_request(request).await?.status().as_u16())
        };
        self.world.timeout(timeout, exchange).await.map_err(|_| CallError::Timeout(timeout))?
    }

    fn request(
        &self,
        method: http::Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> io::Result<http::Request<Full<Bytes>>> {
        let mut request =
            http::Request::builder().method(method).uri(path).header(http::header::HOST, &self.host);
        if let Some(authorization) = &self.authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        request.body(Full::new(body.into())).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
    }

    /// Sends one request and reads the whole answer within `timeout`, the wait for a turn included.
    pub async fn call(
        &self,
        method: http::Method,
        path: &str,
        body: impl Into<Bytes>,
        timeout: Micros,
    ) -> Result<Answer, CallError> {
        let request = self.request(method, path, body)?;
        let exchange = async {
            let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
            self.exchange(request).await
        };
        self.world.timeout(timeout, exchange).await.map_err(|_| CallError::Timeout(timeout))?
    }

    pub async fn get(&self, path: &str, timeout: Micros) -> Result<Answer, CallError> {
        self.call(http::Method::GET, path, Bytes::new(), timeout).await
    }

    async fn exchange(&self, mut request: http::Request<Full<Bytes>>) -> Result<Answer, CallError> {
        loop {
            let kept = self.idle.borrow_mut().pop();
            let reused = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            if sender.requests.ready().await.is_err() && reused {
                continue;
            }
            sender.heads.begin();
            match sender.requests.try_send_request(request).await {
                Ok(response) => {
                    sender.heads.end();
                    let status = response.status().as_u16();
                    let body = Limited::new(response.into_body(), self.most).collect().await;
                    let body = body.map_err(|error| self.unread(error))?.to_bytes();
                    self.idle.borrow_mut().push(sender);
                    return Ok(Answer { status, body });
                }
                Err(mut error) => match error.take_message() {
                    // The kept connection closed before anything was sent: take another.
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    fn unread(&self, error: Box<dyn std::error::Error + Send + Sync>) -> CallError {
        match error.downcast::<hyper::Error>() {
            Ok(broken) => CallError::Broken(*broken),
            Err(_) => CallError::TooLong(self.most),
        }
    }

    async fn connect(&self) -> Result<Sender, CallError> {
        let stream = self.world.connect(self.address).await?;
        let heads = Rc::<Heads>::default();
        let (requests, connection) =
            handshake(TokioIo::new(LimitedHeads::new(stream, heads.clone()))).await?;
        self.world.spawn(async move {
            // Its error reaches the caller through the sender.
            let _ = connection.await;
        });
        Ok(Sender { requests, heads })
    }
}

#[cfg(test)]
mod tests {
    use super::super::heads::MOST_HEAD;
    use super::*;
    use crate::world::run_virtual;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Of what a peer answers to `n` interim answers and then with a long body.
    fn answered(n: usize) -> Result<Answer, CallError> {
        run_virtual(async move |world| {
            let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = listener.local_addr().unwrap();
            world.spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_exact(&mut [0; 16]).await.unwrap();
                let body = "x".repeat(2 * MOST_HEAD);
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(n);
                // Whoever has had enough reads no more of it.
                let _ = stream.write_all((interim + &answer).as_bytes()).await;
                std::future::pending::<()>().await;
            });
            Caller::new(world, address, 1).get("/", Micros::SECOND).await
        })
    }

    #[test]
    fn interim_answers_are_passed_over_up_to_a_limit() {
        assert_eq!(answered(1_000).unwrap().body.len(), 2 * MOST_HEAD);
        let why = answered(20_000).unwrap_err().to_string();
        assert_eq!(why, "more than 417 kB of interim answers (1xx) came, and no answer");
    }
}
