//! Canaries: squall's own request through a link, to see a fault come and go with its own eyes.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::link::{Felt, Link};
use super::message::{CanaryResult, Reply, Sighting};
use crate::experiment::Canary;
use crate::units::Micros;
use crate::world::{Stream, World, is_local};

/// How long a canary may take where nothing else is said.
pub const CANARY_TIMEOUT: Micros = Micros::secs(1);

/// Sends the link's canary over a new connection and reads until the answer is recognised; a link without one is
/// only knocked at.
pub async fn send(world: &World, link: &Link, timeout: Micros) -> Reply {
    let felt = Rc::new(Felt::default());
    let exchange = async {
        let stream = match world.connect(link.address()).await {
            Ok(stream) => stream,
            // What this machine refuses says nothing about the link.
            Err(error) if is_local(&error) => return Err(format!("no canary could be sent: {error}")),
            Err(_) => return Ok(CanaryResult::Refused),
        };
        let Ok(peer) = stream.local_addr() else { return Ok(CanaryResult::Closed) };
        let _uncounted = link.uncounted(peer, felt.clone());
        let Some(canary) = &link.canary else { return Ok(CanaryResult::None) };
        Ok(match exchange(stream, request(canary, link.address()), canary).await {
            Ok(answer) if answer.is_empty() => CanaryResult::Closed,
            Ok(answer) if expected(canary, &answer) => CanaryResult::Answered,
            Ok(answer) => CanaryResult::Wrong { answer: String::from_utf8_lossy(&answer).into_owned() },
            Err(_) => CanaryResult::Closed,
        })
    };
    match world.timeout(timeout, exchange).await.unwrap_or(Ok(CanaryResult::Silent)) {
        Ok(saw) => Reply::Canary(Sighting { saw, delay: felt.delay(), dropped: felt.dropped.get() }),
        Err(error) => Reply::Failed { error },
    }
}

/// As whoever uses the link would ask.
fn request(canary: &Canary, link: SocketAddr) -> String {
    match canary {
        Canary::Http { path } => format!("GET {path} HTTP/1.1\r\nHost: {link}\r\nConnection: close\r\n\r\n"),
        Canary::Redis => "PING\r\n".to_owned(),
        Canary::Bytes { send, .. } => send.clone(),
    }
}

fn expected(canary: &Canary, answer: &[u8]) -> bool {
    match canary {
        Canary::Http { .. } => answer.starts_with(b"HTTP/1.1 2") || answer.starts_with(b"HTTP/1.0 2"),
        Canary::Redis => answer.starts_with(b"+PONG"),
        Canary::Bytes { expect, .. } => answer.starts_with(expect.as_bytes()),
    }
}

/// How many bytes tell a good answer from a bad one.
fn enough(canary: &Canary) -> usize {
    match canary {
        Canary::Http { .. } => "HTTP/1.1 200".len(),
        Canary::Redis => "+PONG".len(),
        Canary::Bytes { expect, .. } => expect.len(),
    }
}

async fn exchange(mut stream: Stream, request: String, canary: &Canary) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 256];
    while answer.len() < enough(canary) {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..n]);
    }
    Ok(answer)
}
