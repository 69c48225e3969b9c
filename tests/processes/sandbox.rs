//! `squall sandbox` as a service of its own, and what its processes do when things go wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::http::{Connection, Message, ask};
use crate::support::{Bench, JUDGE, Running, forgiven, secs, wait_for};

/// Starts `squall sandbox` and waits for the addresses that it prints.
fn start(bench: &Bench, words: &[&str], addresses: usize) -> (Running, Vec<SocketAddr>) {
    let squall = bench.start(bench.squall(["sandbox"].iter().chain(words)));
    let printed = wait_for("its addresses", secs(20), || {
        let said = squall.said();
        let lines = said.lines().filter_map(|line| line.strip_prefix("http://"));
        let found: Vec<SocketAddr> = lines.filter_map(|address| address.parse().ok()).collect();
        (found.len() == addresses && said.contains("serving")).then_some(found)
    });
    (squall, printed)
}

fn create(node: SocketAddr, name: &str) -> Message {
    ask(node, "POST", "/rooms", &json!({ "name": name }).to_string()).unwrap()
}

fn get(node: SocketAddr, path: &str) -> Message {
    ask(node, "GET", path, "").unwrap()
}

#[test]
fn rooms_are_created_once_read_listed_and_deleted_through_any_node() {
    let bench = Bench::new("rooms");
    let (_squall, nodes) = start(&bench, &[], 2);
    let (one, two) = (nodes[0], nodes[1]);
    let created = create(one, "hall");
    assert_eq!(created.status(), 201);
    let again = create(two, "hall");
    assert_eq!(
        (again.status(), again.json()["id"].clone()),
        (200, created.json()["id"].clone()),
        "idempotent"
    );
    assert_eq!(get(two, "/rooms/hall").json()["name"], "hall");
    assert_eq!(get(one, "/rooms/hall/participants").json(), json!({ "participants": [] }));
    assert_eq!(ask(one, "PUT", "/rooms/hall/participants/ann", "").unwrap().status(), 200);
    assert_eq!(get(two, "/rooms/hall/participants").json(), json!({ "participants": ["ann"] }));
    assert_eq!(ask(one, "DELETE", "/rooms/hall", "").unwrap().status(), 204);
    assert_eq!(get(two, "/rooms/hall").status(), 404);
    let rows = [
        ("POST", "/rooms", "{}", 400, "a room needs a name"),
        ("POST", "/rooms", "no JSON", 400, "a body that is no JSON"),
        ("POST", "/rooms", "{\"name\": \"a/b\"}", 400, "a name that is no path segment"),
        ("GET", "/rooms/nowhere", "", 404, "no such room"),
        ("DELETE", "/rooms/nowhere", "", 404, "no such room to delete"),
        ("GET", "/nothing", "", 404, "no such path"),
        ("PATCH", "/rooms", "", 405, "no such method on rooms"),
        ("POST", "/rooms/hall", "", 405, "no such method on a room"),
        ("GET", "/livez", "", 200, "alive"),
        ("GET", "/readyz", "", 200, "ready"),
    ];
    for (method, path, body, status, why) in rows {
        assert_eq!(ask(one, method, path, body).unwrap().status(), status, "{why}");
    }
}

#[test]
fn a_list_is_walked_page_by_page_to_its_end() {
    let bench = Bench::new("pages");
    let (_squall, nodes) = start(&bench, &["--rooms", "57"], 2);
    let mut connection = Connection::open(nodes[0], secs(5)).unwrap();
    let (mut names, mut pages, mut cursor) = (BTreeSet::new(), 0, String::new());
    loop {
        let page = connection.ask("GET", &format!("/rooms?limit=10&cursor={cursor}"), "").unwrap().json();
        let rooms = page["rooms"].as_array().unwrap();
        assert!(rooms.len() <= 10);
        names.extend(rooms.iter().map(|room| room["name"].as_str().unwrap().to_owned()));
        pages += 1;
        assert!(pages <= 57, "it goes round in circles");
        match &page["next"] {
            Value::String(next) => next.clone_into(&mut cursor),
            _ => break,
        }
    }
    assert_eq!((names.len(), pages), (57, 6), "every room once, no page empty");
}

/// A line of OpenMetrics text: a comment that says what a family is, a sample, or the end.
fn is_open_metrics(line: &str) -> bool {
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        return rest.ends_with(" counter") || rest.ends_with(" gauge");
    }
    let Some((series, value)) = line.rsplit_once(' ') else { return false };
    let name = series.split('{').next().unwrap();
    let labels = series[name.len()..].trim_start_matches('{').trim_end_matches('}');
    let good_label =
        |label: &str| label.split_once('=').is_some_and(|(_, v)| v.starts_with('"') && v.ends_with('"'));
    name.starts_with("sandbox_")
        && value.parse::<f64>().is_ok()
        && (labels.is_empty() || labels.split(',').all(good_label))
}

#[test]
fn metrics_are_open_metrics_and_count_what_was_asked() {
    let bench = Bench::new("metrics");
    let (_squall, nodes) = start(&bench, &[], 2);
    for n in 0..3 {
        create(nodes[0], &format!("room-{n}"));
    }
    let answer = get(nodes[0], "/metrics");
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text; version=1.0.0"));
    let text = answer.body.strip_suffix("# EOF\n").expect("it ends with # EOF");
    assert!(text.lines().all(is_open_metrics), "{text}");
    assert!(text.contains("sandbox_requests_total{method=\"POST\",status=\"201\"} 3"), "{text}");
}

#[test]
fn the_plain_server_answers_and_its_jobs_take_their_time_one_after_the_other() {
    let bench = Bench::new("plain");
    let (_squall, nodes) = start(&bench, &["--plain", "--service", "100ms"], 1);
    let began = std::time::Instant::now();
    let askers: Vec<_> = (0..5)
        .map(|_| {
            std::thread::spawn({
                let node = nodes[0];
                move || get(node, "/job")
            })
        })
        .collect();
    for asker in askers {
        assert_eq!(asker.join().unwrap().status(), 200);
    }
    assert!(began.elapsed() >= std::time::Duration::from_millis(500), "five jobs of 100 ms, one server");
    assert_eq!(get(nodes[0], "/livez").status(), 200);
}

#[test]
fn every_process_ends_when_the_sandbox_is_killed_or_asked_to_stop() {
    for end in [Signal::KILL, Signal::TERM, Signal::INT] {
        let bench = Bench::new("ends");
        let (mut squall, _) = start(&bench, &[], 2);
        let children = bench.processes().len() - 1;
        assert!(children >= 4, "two stores and two nodes: {children}");
        squall.signal(end);
        let status = squall.end(secs(10));
        assert_eq!(status.success(), end != Signal::KILL);
        // After SIGKILL the keeper stays, for connections that others may have through its links.
        let left = usize::from(end == Signal::KILL);
        wait_for("the others to end", secs(5), || (bench.processes().len() <= left).then_some(()));
    }
}

#[test]
fn a_sandbox_that_is_asked_to_stop_while_it_starts_ends_promptly_with_all_its_processes() {
    // At different moments of its start, which takes half a second and more; again if the test was held up for
    // so long that it served before it was asked.
    for (moment, end) in [(2, Signal::INT), (4, Signal::TERM), (6, Signal::INT)] {
        let asked_in_time = || {
            let bench = Bench::new("starting");
            let mut squall = bench.start(bench.squall(["sandbox"]));
            wait_for("so many processes", secs(10), || (bench.processes().len() >= moment).then_some(()));
            squall.signal(end);
            assert!(squall.end(secs(5)).success(), "{}", squall.said());
            wait_for("every process to end", secs(5), || bench.processes().is_empty().then_some(()));
            assert_eq!(std::fs::read_dir(&bench.folder).unwrap().count(), 2, "what it said, and no folder");
            let in_time = !squall.said().contains("http://");
            if !in_time {
                forgiven(&format!("a sandbox served before it was asked to stop, at {moment} processes"));
            }
            in_time
        };
        assert!((0..3).any(|_| asked_in_time()), "never asked before it served, at {moment} processes");
    }
}

/// A run whose flow is one request a second; the test acts beside it.
fn run(bench: &Bench, sandbox: &str, plan: &str) -> (Running, Vec<SocketAddr>) {
    let profile = format!(
        "target: {{ sandbox: {{ start_time: 10ms, {sandbox} }} }}\nduration: 14s\nshapes:\n  load:\n    \
         arrival: {{ constant: {{ rate: 5/s }} }}\n    timeout: 2s\n    probes: false\n    \
         flow: [{{ get: /livez, as: look }}]\nobjectives: []\n"
    );
    let profile = bench.file("load.yaml", &profile);
    let plan = format!(
        "{JUDGE}\n\
         links: {{}}\n{plan}\n"
    );
    let plan = bench.file("plan.yaml", &plan);
    let squall = bench.start(bench.run(&profile, Some(&plan)));
    bench.wait_for_history(&["\"header\""]);
    let nodes = bench.processes().into_iter().filter_map(api_address).collect();
    (squall, nodes)
}

/// Where a process listens, if it is an API node: its command line says so.
fn api_address(pid: i32) -> Option<SocketAddr> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let spec = line.split(|byte| *byte == 0).nth(2)?;
    let spec: Value = serde_json::from_slice(spec).ok()?;
    spec["role"].get("api")?;
    spec["listen"].as_str()?.parse().ok()
}

#[test]
fn a_node_at_its_limit_answers_429_and_says_when_to_come_back() {
    let bench = Bench::new("limit");
    let (_squall, nodes) = run(&bench, "create_limit: 3/s", "");
    assert_eq!(nodes.len(), 2);
    let answers: Vec<Message> = (0..20).map(|n| create(nodes[0], &format!("room-{n}"))).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 429).collect();
    assert!(!refused.is_empty() && answers.iter().any(|answer| answer.status() == 201));
    assert!(refused.iter().all(|answer| answer.headers["retry-after"].parse::<u32>().is_ok_and(|s| s >= 1)));
}

#[test]
fn rooms_that_were_acknowledged_are_there_after_the_failover_to_the_other_store() {
    let bench = Bench::new("failover");
    let fault = "failover: { link: api-store, to: store-b, outage: 2s }";
    let plan = format!("timeline:\n  - {{ name: over, at: 4s, settle: 1s, {fault} }}");
    let (_squall, nodes) = run(&bench, "", &plan);
    // Created until the link goes: some fail then, and none of them counts.
    let mut acknowledged = Vec::new();
    wait_for("the outage", secs(10), || {
        let name = format!("room-{}", acknowledged.len());
        let status = create(nodes[acknowledged.len() % 2], &name).status();
        if status == 201 {
            acknowledged.push(name);
        }
        (status >= 500).then_some(())
    });
    bench.wait_for_history(&["\"over\"", "\"verified\""]);
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    for name in &acknowledged {
        assert_eq!(get(nodes[0], &format!("/rooms/{name}")).status(), 200, "{name} was acknowledged");
    }
    assert_eq!(create(nodes[1], "afterwards").status(), 201);
}
