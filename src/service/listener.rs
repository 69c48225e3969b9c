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
        let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .flat_map(|table| listening(&fs::read_to_string(table).unwrap_or_default(), address))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        if sockets.is_empty() {
            return None;
        }
        let pid = pids().find(|pid| holds(*pid, &sockets))?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        Some(Holder { process: ProcessId::of(pid)?, name })
    }
}

/// For people: `python3, pid 4711`.
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, pid {}", self.name, self.process.pid)
    }
}

fn holds(pid: i32, sockets: &[String]) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.to_str().is_some_and(|target| sockets.iter().any(|s| s == target)))
}

/// Inodes of the sockets in a table of proc(5) that listen on this address, or on its port everywhere.
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let (ip, port) = local.split_once(':')?;
        let ip = ip_of(ip)?;
        let here = ip == address.ip() || ip.is_unspecified();
        let matches = *state == "0A" && here && u16::from_str_radix(port, 16).ok()? == address.port();
        matches.then(|| (*inode).to_owned())
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
        assert_eq!(Holder::of(address), None, "closed again");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn tables_are_read_in_both_families_and_everywhere_counts() {
        let row = |local: &str, state: &str, inode: u32| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000 0 {inode} 1 0\n"
            )
        };
        let table = row("0100007F:1F90", "0A", 1)
            + &row("00000000:1F90", "0A", 2)
            + &row("0200007F:1F90", "0A", 3)
            + &row("0100007F:1F90", "01", 4)
            + &row("00000000000000000000000001000000:1F90", "0A", 5)
            + &row("00000000000000000000000000000000:1F90", "0A", 6);
        let found = |address: &str| listening(&table, address.parse().unwrap()).join(" ");
        assert_eq!(found("127.0.0.1:8080"), "1 2 6");
        assert_eq!(found("[::1]:8080"), "2 5 6");
        assert_eq!(found("127.0.0.1:8081"), "");
    }
}
