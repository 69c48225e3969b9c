//! The sandbox: a rooms service of several processes, squall's default target and test bed.
//!
//! API nodes in front of a store with a bounded worker pool, and a second store to fail over to; or,
//! plain, one FIFO server. Each role is one process (an OS process of this binary, or a task group in
//! virtual time); starting and stopping them is for `service`.

mod api;
mod metrics;
pub mod plain;
mod queue;
mod store;

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::experiment::SandboxOptions;
use crate::http::serve;
use crate::units::Micros;
use crate::world::World;

/// What one process of the sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An API node and the address under which it reaches the store.
    Api {
        store: SocketAddr,
    },
    /// A store and its peer.
    Store {
        peer: SocketAddr,
    },
    Plain,
}

/// All that a process of the sandbox needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub role: Role,
    pub listen: SocketAddr,
    pub options: SandboxOptions,
}

/// Names of the sandbox's processes in the order in which they start.
pub fn names(options: &SandboxOptions) -> Vec<String> {
    if options.plain.is_some() {
        return vec!["plain".to_owned()];
    }
    let nodes = (1..=options.nodes).map(|n| format!("api-{n}"));
    ["store-a", "store-b"].into_iter().map(str::to_owned).chain(nodes).collect()
}

/// Runs one process until it is dropped or killed; `ready` is called with its address once it serves.
///
/// # Errors
/// The address is taken.
pub async fn run(world: World, process: Process, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let Process { role, listen, options } = process;
    if options.start_time > Micros::ZERO {
        world.sleep(options.start_time).await;
    }
    match role {
        Role::Api { store } => {
            let api = api::Api::new(world.clone(), &options, store);
            let listener = world.listen(listen).await?;
            ready(listener.local_addr()?);
            serve(world, listener, move |request| api.clone().handle(request)).await;
        }
        Role::Store { peer } => {
            let store = store::Store::new(world.clone(), options, peer);
            store.load().await;
            let listener = world.listen(listen).await?;
            ready(listener.local_addr()?);
            serve(world, listener, move |request| store.clone().handle(request)).await;
        }
        Role::Plain => {
            let plain = plain::Plain::new(world.clone(), options.plain.unwrap_or_default());
            let listener = world.listen(listen).await?;
            ready(listener.local_addr()?);
            serve(world, listener, move |request| plain.clone().handle(request)).await;
        }
    }
    Ok(())
}
