//! What comes from outside without end, or at great length: it costs squall no memory and nobody else time.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::support::http::Server;
use crate::support::{Bench, code_and_text, secs, wait_for};
use crate::wire::{errors, raw};

#[test]
fn a_head_of_many_headers_is_read_up_to_a_stated_limit() {
    for (headers, limit) in [(98, None), (99, Some("100 headers"))] {
        let bench = Bench::new("headers");
        let address = raw(move |mut stream, _| {
            let many: String = (0..headers).map(|n| format!("x-{n}: {n}\r\n")).collect();
            let _ =
                write!(stream, "HTTP/1.1 200 X\r\ncontent-length: 2\r\nconnection: close\r\n{many}\r\nok");
        });
        let told = errors(&bench, &[address], "", "{ get: /x, as: x }");
        assert_eq!(told.is_empty(), limit.is_none(), "{headers}: {told:?}");
        let verdict = bench.verdict().to_string();
        assert!(limit.is_none_or(|words| verdict.contains(words)), "{verdict}");
    }
}

#[test]
fn a_length_beyond_all_numbers_is_not_told_as_a_long_head_alone() {
    let bench = Bench::new("length");
    let address = raw(|mut stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\nok", u64::MAX);
    });
    assert!(!errors(&bench, &[address], "", "{ get: /x, as: x }").is_empty());
    let verdict = bench.verdict().to_string();
    assert!(verdict.contains(" kB, or its body than squall can count"), "{verdict}");
}

/// hyper passes over each of them, and would for as long as they come.
#[test]
fn interim_answers_without_end_are_cut_off_and_told() {
    let bench = Bench::new("interim");
    let address = raw(|mut stream, _| {
        let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000);
        while stream.write_all(many.as_bytes()).is_ok() {}
    });
    let told = errors(&bench, &[address], "", "{ get: /x, as: x }");
    assert_eq!(told.keys().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["protocol"], "{told:?}");
    let verdict = bench.verdict().to_string();
    assert!(verdict.contains("more than 417 kB of interim answers (1xx) came, and no answer"), "{verdict}");
}

#[test]
fn endless_metrics_are_cut_off_and_told() {
    let bench = Bench::new("metrics");
    let address = raw(|mut stream, head| {
        if !head.starts_with("GET /metrics") {
            let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            return;
        }
        let _ = write!(stream, "HTTP/1.1 200 X\r\n\r\n");
        while stream.write_all("m_total{id=\"7\"} 1\n".repeat(1_000).as_bytes()).is_ok() {}
    });
    let lines = "metrics: { path: /metrics, every: 1s }\n";
    errors(&bench, &[address], lines, "{ get: /x, as: x }");
    let verdict = bench.verdict().to_string();
    assert!(verdict.contains("more than 4 MiB of them came at once"), "{verdict}");
}

/// To take a list apart takes a hundred times as long as a ping.
#[test]
fn a_long_list_is_counted_and_read_without_holding_up_the_rest() {
    let bench = Bench::new("list");
    let list = format!("{{\"rooms\": [{}1]}}", "{\"name\": \"room\", \"n\": 1.5},".repeat(800_000));
    let server = Server::start(move |message| match message.first_line.contains("/list") {
        true => (200, list.clone()),
        false => (200, "{}".to_owned()),
    });
    let text = format!(
        "target: {}\nduration: 9s\njudge: {{ warmup: 100ms }}\nshapes:\n  lists:\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    \
         probes: false\n    timeout: 20s\n    flow:\n      - {{ get: /list, as: list, items: $.rooms, capture: {{ first: \"$.rooms[0].name\" }} }}\n  \
         pings:\n    arrival: {{ constant: {{ rate: 50/s }} }}\n    probes: false\n    timeout: 2s\n    flow: [{{ get: /ping, as: ping }}]\n\
         objectives: [\"p90(ping) < 100ms\"]\n",
        server.url()
    );
    let mut run = bench.run(&bench.file("load.yaml", &text), None);
    run.args(["--shards", "1"]);
    let (code, said) = code_and_text(&run.output().unwrap());
    assert_eq!(code, 0, "{said}");
    let history = std::fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    assert!(history.contains("\"items\":800001"), "counted to the last");
}

#[test]
fn a_health_check_whose_answer_never_ends_is_answered_by_its_head() {
    let bench = Bench::new("health");
    let address = raw(|mut stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 X\r\n\r\n");
        while stream.write_all(&[b' '; 65_536]).is_ok() {}
    });
    let server = Server::fine();
    let plan = format!(
        "services:\n  other: {{ start: [sleep, \"60\"], ready: {{ http: \"http://{address}/readyz\" }} }}\n"
    );
    let mut squall = bench.start(bench.light_run(&server.url(), "5s", &plan));
    let code = squall.end(secs(30)).code();
    assert_eq!(code, Some(0), "{}", squall.said());
    let history = std::fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    assert!(!history.contains("unhealthy"), "{history}");
}

/// Of the default deadline, which is 30 s.
#[test]
fn an_answer_that_never_ends_is_a_time_out_without_a_timeout_too() {
    let bench = Bench::new("endless");
    let address = raw(|mut stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 X\r\n\r\n");
        // Some 100 MB in all.
        while stream.write_all(&[b' '; 65_536]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let text = format!(
        "target: http://{address}\nduration: 2s\njudge: {{ warmup: 100ms }}\nshapes:\n  s:\n    \
         arrival: {{ constant: {{ rate: 1/s }} }}\n    probes: false\n    flow: [{{ get: /x, as: x }}]\nobjectives: [errors < 5%]\n"
    );
    let mut squall = bench.start(bench.run(&bench.file("load.yaml", &text), None));
    let (pid, mut most) = (squall.pid(), 0);
    wait_for("its end", secs(60), || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        most = peak.unwrap_or(0).max(most);
        squall.ended().then_some(())
    });
    let verdict = bench.verdict();
    let kinds: Vec<_> = verdict["errors"].as_array().unwrap().iter().map(|e| &e["kind"]).collect();
    assert_eq!(kinds, ["timeout"], "{}", squall.said());
    assert!(most < 64 << 10, "{most} kB");
}

/// An answer that comes slowly holds its connection to its last byte.
#[test]
fn a_connection_whose_answer_is_still_coming_carries_no_further_request() {
    let (bench, early) = (Bench::new("trickle"), Arc::new(AtomicUsize::new(0)));
    let counted = early.clone();
    let address = raw(move |mut stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n");
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            stream.set_nonblocking(true).unwrap();
            counted.fetch_add(usize::from(stream.read(&mut [0]).is_ok_and(|n| n > 0)), Relaxed);
            stream.set_nonblocking(false).unwrap();
            let _ = stream.write_all(b"x");
        }
    });
    let told = errors(&bench, &[address], "", "{ get: /x, as: x }");
    assert_eq!((told.len(), early.load(Relaxed)), (0, 0), "{told:?}");
}
