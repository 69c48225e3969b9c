//! HTTP/1.1 for squall's own purposes, over the world handed in: the sandbox's servers and calls,
//! health checks, scrapes. The load path is `client`, which measures; this does not.

mod call;
mod heads;
mod serve;

pub use call::{Answer, CallError, Caller};
pub use heads::{Heads, MOST_HEAD, too_many};
pub use serve::{Reply, Request, reply, serve};
