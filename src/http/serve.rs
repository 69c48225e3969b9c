//! A server: one task per connection, one handler for all requests.

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::world::{Listener, World};

/// Bodies above this size are refused with 413.
const BODY_LIMIT: usize = 8 << 20;

/// A request with its body read.
pub type Request = http::Request<Bytes>;
pub type Reply = http::Response<Full<Bytes>>;

/// A reply with a JSON body.
pub fn reply(status: u16, body: &serde_json::Value) -> Reply {
    http::Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
        .expect("status and header are valid")
}

/// Accepts and answers until it is dropped. A listener that fails to accept (files ran out) tries on.
/// A request whose client has gone is worked on to its end all the same, as most servers do.
pub async fn serve<H, F>(world: World, mut listener: Listener, handler: H)
where
    H: Fn(Request) -> F + 'static,
    F: Future<Output = Reply> + 'static,
{
    let handler = Rc::new(handler);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            world.sleep(crate::units::Micros::millis(10)).await;
            continue;
        };
        let handler = handler.clone();
        let tasks = world.clone();
        world.spawn(async move {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let handler = handler.clone();
                let work = tasks.spawn(async move { answer(request, &*handler).await });
                async move {
                    let failed = || reply(500, &serde_json::json!({"error": "the handler panicked"}));
                    Ok::<_, Infallible>(work.await.unwrap_or_else(|_| failed()))
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service);
            // A connection that breaks is the client's affair; there is nobody to tell.
            let _ = connection.await;
        });
    }
}

async fn answer<H, F>(request: http::Request<Incoming>, handler: &H) -> Reply
where
    H: Fn(Request) -> F,
    F: Future<Output = Reply>,
{
    let (parts, body) = request.into_parts();
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => handler(Request::from_parts(parts, body.to_bytes())).await,
        Err(_) => reply(413, &serde_json::json!({"error": "body too large"})),
    }
}
