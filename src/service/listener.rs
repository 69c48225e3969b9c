//! Who listens on an address of this machine, as far as the system lets squall see it (proc(5)).

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::process::{ProcessId, pids};

/// A program that holds an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub process: ProcessId,
    /// As the system calls it: `python3`.
    pub name: String,
}

impl Holder {
    /// Who listens on this address; none if nobody does, or if it cannot be seen.
    pub fn of(address: SocketAddr) -> Option<Holder> {
        let here = |(at, _): &(SocketAddr, String)| {
            at.port() == address.port() && (at.ip() == address.ip() || at.ip().is_unspecified())
        };
        let sockets: Vec<String> = listening().into_iter().filter(here).map(|(_, socket)| socket).collect();
        if sockets.is_empty() {
            return None;
        }
        let mut pids = pids().ok()?.into_iter();
        let pid = pids.find(|pid| open_sockets(*pid).any(|socket| sockets.contains(&socket)))?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        Some(Holder { process: ProcessId::of(pid).ok()??, name })
    }
}

/// For people: `python3, pid 4711`.
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, pid {}", self.name, self.process.pid)
    }
}

/// Every address that a process listens on.
pub fn listens_on(process: &ProcessId) -> Vec<SocketAddr> {
    let open: Vec<String> = open_sockets(process.pid).collect();
    let all = listening().into_iter();
    all.filter(|(_, socket)| open.contains(socket)).map(|(address, _)| address).collect()
}

/// What a process has open, as the system calls it: `socket:[4711]`.
fn open_sockets(pid: i32) -> impl Iterator<Item = String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok())
}

/// Every socket of this machine that listens.
fn listening() -> Vec<(SocketAddr, String)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter();
    tables.flat_map(|table| rows(&fs::read_to_string(table).unwrap_or_default())).collect()
}

/// The sockets of a table that listen.
fn rows(table: &str) -> Vec<(SocketAddr, String)> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let (ip, port) = local.split_once(':')?;
        let address = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
        (*state == "0A").then(|| (address, format!("socket:[{inode}]")))
    };
    table.lines().filter_map(row).collect()
}

/// Words of four bytes, each in the machine's own order.
fn ip_of(hex: &str) -> Option<IpAddr> {
    let word = |n: usize| u32::from_str_radix(hex.get(n * 8..n * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let ip = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
            Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Origin, run_real};

    #[test]
    fn who_listens_is_told_by_pid_and_nobody_is_not() {
        let (address, found) = run_real(Origin::now(), |world| async move {
            let listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = listener.local_addr().unwrap();
            (address, Holder::of(address))
        });
        assert_eq!(found.unwrap().process.pid, std::process::id() as i32);
        let own = ProcessId::of(std::process::id() as i32).unwrap().unwrap();
        assert!(!listens_on(&own).contains(&address), "closed again");
        assert_eq!(Holder::of(address), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_listens_is_read_in_both_families() {
        let row = |local: &str, state: &str, inode: u32| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000 0 {inode} 1 0\n"
            )
        };
        let table = row("0100007F:1F90", "0A", 1)
            + &row("0100007F:1F90", "01", 2)
            + &row("00000000000000000000000001000000:1F91", "0A", 3)
            + &row("0000000000000000FFFF00000100007F:1F92", "0A", 4)
            + &row("00000000:1F93", "0A", 5);
        let found: Vec<String> =
            rows(&table).into_iter().map(|(at, socket)| format!("{at} {socket}")).collect();
        let expected = [
            "127.0.0.1:8080 socket:[1]",
            "[::1]:8081 socket:[3]",
            "127.0.0.1:8082 socket:[4]",
            "0.0.0.0:8083 socket:[5]",
        ];
        assert_eq!(found, expected);
    }
}
