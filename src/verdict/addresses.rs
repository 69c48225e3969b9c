//! What became of each address of a target that has several, in one sentence.

use crate::record::AddressCount;
use crate::units::grouped;

/// A sentence, where there are several and one of them did not serve all that came to it.
pub(super) fn told(all: &[AddressCount]) -> Option<String> {
    let troubled = |count: &AddressCount| count.refused + count.connect_timeouts + count.timeouts > 0;
    if all.len() < 2 || !all.iter().any(troubled) {
        return None;
    }
    let requests: u64 = all.iter().map(|count| count.requests).sum();
    let each: Vec<String> = all.iter().map(|count| words(count, requests)).collect();
    Some(format!("Of the target's addresses, {}.", each.join("; ")))
}

fn words(count: &AddressCount, all: u64) -> String {
    let share = count.requests as f64 / all.max(1) as f64 * 100.0;
    let mut out = format!("{} had {} requests ({share:.0} %)", count.address, grouped(count.requests));
    let troubles = [
        (count.refused, "connections were refused"),
        (count.connect_timeouts, "connections did not come about in time"),
        (count.timeouts, "answers did not come in time"),
    ];
    for (n, what) in troubles.iter().filter(|(n, _)| *n > 0) {
        out.push_str(&format!(", {} {what}", grouped(*n)));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn shares_refusals_and_time_outs_of_each_address_are_told_where_one_has_trouble() {
        let count = |port: u16, requests, refused, timeouts| AddressCount {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            connections: 1,
            requests,
            refused,
            connect_timeouts: 0,
            timeouts,
        };
        assert_eq!(told(&[count(1, 600, 0, 0), count(2, 150, 0, 0)]), None);
        assert_eq!(told(&[count(1, 600, 9, 9)]), None);
        assert_eq!(
            told(&[count(1, 600, 0, 0), count(2, 200, 1_200, 3)]).unwrap(),
            "Of the target's addresses, 127.0.0.1:1 had 600 requests (75 %); 127.0.0.1:2 had 200 requests (25 %), \
             1,200 connections were refused, 3 answers did not come in time."
        );
    }
}
