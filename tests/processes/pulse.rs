//! A keeper that stands still or is gone is known, with its times; on real processes.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::http::Server;
use crate::support::{Bench, Running, free_address, secs, signal};

/// Seven seconds through a link, no fault planned.
fn start(bench: &Bench, server: &Server) -> Running {
    let link = free_address();
    let plan = format!("links:\n  wire: {{ listen: \"{link}\", upstream: \"{}\" }}\n", server.address);
    bench.start(bench.light_run(&format!("http://{link}"), "7s", &plan))
}

/// What the history says of the keeper in this way, in seconds.
fn told(bench: &Bench, what: &str, times: &[&str]) -> Vec<Vec<Option<f64>>> {
    let history = fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    let events = history.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = events.filter(|event| event["t"] == "keeper" && event["what"] == what);
    let seconds = |value: &Value| value.as_f64().map(|micros| micros / 1e6);
    ours.map(|event| times.iter().map(|time| seconds(&event[*time])).collect()).collect()
}

#[test]
fn a_keeper_that_stood_still_is_told_with_its_late_beat_and_its_silence() {
    let (bench, server) = (Bench::new("frozen"), Server::fine());
    let mut squall = start(&bench, &server);
    bench.wait_for_history(&["\"t\":\"happened\",\"cell\":1,"]);
    signal(bench.keeper(), Signal::STOP);
    std::thread::sleep(secs(3));
    signal(bench.keeper(), Signal::CONT);
    squall.end(secs(30));
    let beats = told(&bench, "beats", &["from", "at", "late"]);
    let frozen = beats.iter().find(|beat| beat[2].unwrap() > 2.5).unwrap_or_else(|| panic!("{beats:?}"));
    let (from, at) = (frozen[0].unwrap(), frozen[1].unwrap());
    assert!((0.9..3.5).contains(&from) && (2.8..3.6).contains(&(at - from)), "{frozen:?}");
    let silent = told(&bench, "silent", &["from", "to"]);
    assert_eq!(silent.len(), 2, "first without an end: {silent:?}");
    assert_eq!((silent[0][1], silent[0][0]), (None, silent[1][0]), "{silent:?}");
    assert!(silent[1][0].unwrap() <= from && silent[1][1].unwrap() >= at - 0.1, "{silent:?} {frozen:?}");
    assert!(told(&bench, "gone", &["at"]).is_empty());
}

#[test]
fn a_keeper_that_was_killed_is_told_at_once_and_a_healthy_one_is_not() {
    for killed in [true, false] {
        let (bench, server) = (Bench::new("pulse"), Server::fine());
        let mut squall = start(&bench, &server);
        bench.wait_for_history(&["\"t\":\"happened\",\"cell\":1,"]);
        if killed {
            signal(bench.keeper(), Signal::KILL);
        }
        squall.end(secs(30));
        let gone = told(&bench, "gone", &["at"]);
        assert_eq!(gone.len(), usize::from(killed), "{gone:?}");
        assert!(gone.iter().all(|at| (0.9..3.5).contains(&at[0].unwrap())), "{gone:?}");
        assert!(told(&bench, "silent", &["from"]).is_empty());
    }
}
