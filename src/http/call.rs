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
    Broken(#[from] hyper::Error),
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
}

/// Bytes of a body that are taken where nothing else is said.
const MOST: usize = 64 << 20;

type Sender = SendRequest<Full<Bytes>>;

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
            Ok::<_, CallError>(sender.send_request(request).await?.status().as_u16())
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
            if sender.ready().await.is_err() && reused {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
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
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        self.world.spawn(async move {
            // Its error reaches the caller through the sender.
            let _ = connection.await;
        });
        Ok(sender)
    }
}
