//! Services that squall starts, breaks and waits for: all of one, whatever became of its processes; on real
//! processes and loopback sockets.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::http::{Connection, Message, Server};
use crate::support::{self, Bench, code_and_text, free_address, secs, serve, state, wait_for};

/// A plan with the service `other`, a script that listens on `ready`, and a timeline.
fn plan(ready: SocketAddr, script: &str, timeline: &str) -> String {
    format!(
        "services:\n  other:\n    start: [sh, -c, \"{script}\"]\n    within: 3s\n    \
         ready: {{ http: \"http://{ready}/\" }}\n{timeline}"
    )
}

fn answers(address: SocketAddr) -> bool {
    let asked = Connection::open(address, secs(1)).ok().and_then(|mut c| c.ask("GET", "/", "").ok());
    asked.is_some_and(|answer| answer.status() == 200)
}

/// What squall starts only waits; what serves has a session of its own.
fn supervised(address: SocketAddr) -> String {
    format!("setsid -w {}; exit 1", serve(address))
}

#[test]
fn a_pause_and_a_kill_hit_all_of_a_service_and_their_end_brings_it_back() {
    for what in ["pause", "kill"] {
        let (bench, server, address) = (Bench::new(what), Server::fine(), free_address());
        let timeline =
            format!("timeline:\n  - {{ name: broken, at: 2s, for: 2s, {what}: {{ service: other }} }}\n");
        let plan = plan(address, &supervised(address), &timeline);
        let mut squall = bench.start(bench.light_run(&server.url(), "6s", &plan));
        bench.wait_for_history(&["\"broken\"", "\"effective\""]);
        assert!(!answers(address), "{what}: proven, and it does not answer");
        bench.wait_for_history(&["\"broken\"", "\"verified\""]);
        assert!(answers(address), "{what}: back");
        squall.end(secs(20));
        assert_eq!(bench.verdict()["faults"][0]["problem"].as_str(), None, "{}", squall.said());
    }
}

#[test]
fn after_sigkill_all_of_a_paused_service_is_gone() {
    let (bench, server, address) = (Bench::new("stalled"), Server::fine(), free_address());
    let timeline = "timeline:\n  - { name: broken, at: 2s, for: 40s, pause: { service: other } }\n";
    let plan = plan(address, &supervised(address), timeline);
    let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    let stopped = bench.processes().into_iter().filter(|pid| state(*pid) == Some('T')).count();
    assert!(stopped >= 2, "the one that waits and the one that serves: {stopped}");
    squall.kill();
    let keeper = bench.keeper();
    wait_for("everything but the keeper to be gone", secs(5), || {
        (bench.processes() == [keeper]).then_some(())
    });
}

#[test]
fn a_target_that_dies_beside_a_keeper_without_links_is_the_target() {
    let broken = Arc::new(AtomicBool::new(false));
    let answer = broken.clone();
    let server = Server::start(move |_| {
        if answer.load(Ordering::Relaxed) { (500, String::new()) } else { (200, String::new()) }
    });
    let (bench, address) = (Bench::new("no-links"), free_address());
    let plan = plan(address, &serve(address), "objectives: [errors(look) < 1%]\n");
    let mut squall = bench.start(bench.light_run(&server.url(), "6s", &plan));
    bench.wait_for_history(&["\"t\":\"happened\",\"cell\":1,"]);
    support::signal(bench.keeper(), Signal::KILL);
    broken.store(true, Ordering::Relaxed);
    assert_eq!(squall.end(secs(30)).code(), Some(99), "{}", squall.said());
}

/// As with a container that a client started: what serves was not started by the service's process.
#[test]
fn neither_pause_nor_kill_is_proven_while_the_health_check_is_answered() {
    for fault in ["settle: 1s, kill: { service: other }", "for: 2s, pause: { service: other }"] {
        let (bench, server, address) = (Bench::new("client"), Server::fine(), free_address());
        // The mark does not reach it, and its parent is gone.
        let script = format!("(setsid env -u SQUALL_MARK {} &); exec sleep 100", serve(address));
        let plan = plan(address, &script, &format!("timeline:\n  - {{ name: broken, at: 2s, {fault} }}\n"));
        let mut squall = bench.start(bench.light_run(&server.url(), "9s", &plan));
        assert_eq!(squall.end(secs(30)).code(), Some(97), "{}", squall.said());
        let problem = bench.verdict()["faults"][0]["problem"].to_string();
        assert!(problem.contains("the health check is still answered"), "{problem}");
    }
}

#[test]
fn a_service_that_ends_before_it_is_ready_leaves_nothing_but_its_log() {
    let (bench, server, address) = (Bench::new("early"), Server::fine(), free_address());
    let plan = plan(address, "setsid sleep 100 & sleep 0.2; exit 3", "");
    for run in 1..=3 {
        let (code, said) = code_and_text(&bench.light_run(&server.url(), "4s", &plan).output().unwrap());
        assert_eq!(code, 104, "{said}");
        assert!(said.contains("ended before it was ready (exit status: 3)"), "{said}");
        wait_for("everything to be gone", secs(2), || bench.processes().is_empty().then_some(()));
        let logs = bench.every_file().into_iter().filter(|(path, _)| path.ends_with("services/other.log"));
        assert_eq!(logs.count(), run, "the log that the message names");
    }
}

#[test]
fn what_an_early_end_left_is_found_by_heal_when_squall_and_keeper_are_gone() {
    let (bench, server, address) = (Bench::new("orphan"), Server::fine(), free_address());
    let script = "setsid sleep 100 & exec sleep 100";
    let plan = plan(address, script, "").replace("within: 3s", "within: 60s");
    let mut squall = bench.start(bench.light_run(&server.url(), "4s", &plan));
    wait_for("squall, keeper and the service", secs(10), || (bench.processes().len() == 4).then_some(()));
    support::signal(bench.keeper(), Signal::KILL);
    squall.kill();
    wait_for("keeper and squall to be gone", secs(5), || (bench.processes().len() == 2).then_some(()));
    let leader = bench.processes()[0];
    support::signal(leader, Signal::KILL);
    wait_for("one to be left", secs(5), || (bench.processes().len() == 1).then_some(()));
    let (code, said) = code_and_text(&bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap());
    assert_eq!(code, 0, "{said}");
    wait_for("everything to be gone", secs(2), || bench.processes().is_empty().then_some(()));
}

#[test]
fn a_stranger_on_a_services_port_is_refused_before_the_load_and_named() {
    let (bench, target, stranger) =
        (Bench::new("stranger"), Server::fine(), Server::start(|_| (503, String::new())));
    // It would listen there, and cannot.
    let plan = plan(stranger.address, "sleep 1; exit 1", "");
    let (code, said) = code_and_text(&bench.light_run(&target.url(), "4s", &plan).output().unwrap());
    assert_eq!(code, 104, "{said}");
    assert!(said.contains("answers before the service is started"), "{said}");
    assert!(said.contains(&format!("pid {}", std::process::id())), "{said}");
    assert!(!bench.has_run(), "nothing was started");
}

#[test]
fn a_service_that_ended_is_told_at_once_and_never_healthy_again_whatever_answers() {
    let (bench, server, address) = (Bench::new("ended"), Server::fine(), free_address());
    // What answers afterwards was started by it, but is not it.
    let script = format!("setsid {} & sleep 2.4; exit 7", serve(address));
    let plan = plan(address, &script, "");
    let mut squall = bench.start(bench.light_run(&server.url(), "5s", &plan));
    bench.wait_for_history(&["\"ended\"", "exit status: 7"]);
    assert!(answers(address));
    squall.end(secs(20));
    let history = std::fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    let events = history.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let events: Vec<_> = events.filter(|event| event["t"] == "service").collect();
    let told = |what: &str| events.iter().filter(|event| event["what"] == what).count();
    assert_eq!((told("ended"), told("unhealthy"), told("healthy")), (1, 1, 0), "{events:?}");
    assert!(!answers(address), "what it left ended with squall");
}

/// Serves who calls it by its name and says who asks, as virtual hosts and guarded services do.
fn strict(stream: TcpStream, host: &str) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    while let Ok(message) = Message::read(&mut reader) {
        let header = |name: &str| message.headers.get(name).map(String::as_str);
        let known = header("authorization") == Some("Basic Ym9iOnBAc3M=");
        let status = if header("host") != Some(host) {
            421
        } else if known {
            200
        } else {
            401
        };
        write!(writer, "HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nm 7\n").ok()?;
    }
    Some(())
}

#[test]
fn health_checks_and_metrics_call_the_host_by_its_name_and_say_who_asks() {
    let (bench, address) = (Bench::new("names"), free_address());
    let (port, host) = (address.port(), format!("localhost:{}", address.port()));
    let started = bench.reports().with_file_name("up");
    let script = format!("touch {}; exec sleep 60", started.display());
    for ip in ["127.0.0.1", "::1"] {
        let (host, started) = (host.clone(), started.clone());
        std::thread::spawn(move || {
            wait_for("the service to start", secs(20), || started.exists().then_some(()));
            for stream in TcpListener::bind((ip, port)).unwrap().incoming().flatten() {
                let host = host.clone();
                std::thread::spawn(move || strict(stream, &host));
            }
        });
    }
    let url = format!("http://bob:p%40ss@{host}");
    let plan = plan(address, &script, "").replace(&format!("http://{address}/"), &format!("{url}/readyz"));
    let profile = support::light_load(&url, "3s").replace("objectives: [", "objectives: [target.m = 7, ");
    let profile = profile + "metrics: { path: /metrics, every: 1s }\n";
    let plan = bench.file("plan.yaml", &format!("judge: {{ warmup: 100ms }}\n{plan}"));
    let (code, said) =
        code_and_text(&bench.run(&bench.file("load.yaml", &profile), Some(&plan)).output().unwrap());
    assert_eq!(code, 0, "{said}");
    let history = std::fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    assert!(!history.contains("unhealthy") && !history.contains("were not read"), "{said}");
}

/// It asks its database, which is cold.
#[test]
fn a_service_whose_health_check_takes_longer_than_a_second_becomes_ready() {
    let (bench, server, address) = (Bench::new("slow"), Server::fine(), free_address());
    let started = bench.reports().with_file_name("up");
    let script = format!("touch {}; exec sleep 60", started.display());
    std::thread::spawn(move || {
        wait_for("the service to start", secs(20), || started.exists().then_some(()));
        for stream in TcpListener::bind(address).unwrap().incoming().flatten() {
            std::thread::spawn(move || {
                Message::read(&mut BufReader::new(stream.try_clone().ok()?)).ok()?;
                // Not a wait for anything: this is how slow it is.
                std::thread::sleep(Duration::from_millis(1_300));
                write!(&stream, "HTTP/1.1 200 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()
            });
        }
    });
    let plan = plan(address, &script, "").replace("within: 3s", "within: 20s");
    let (code, said) = code_and_text(&bench.light_run(&server.url(), "2s", &plan).output().unwrap());
    assert!(code == 0 && bench.has_run(), "{said}");
}

#[test]
fn a_service_that_ends_by_itself_is_told_in_a_trial_with_its_own_last_words() {
    let (bench, address) = (Bench::new("dies"), free_address());
    let profile = format!(
        "target: http://{address}\nduration: 20s\nshapes:\n  s:\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    \
         flow: [{{ think: 2s }}, {{ get: /x, as: x }}]\n"
    );
    let script = format!("{} & sleep 1; kill $!; echo heap is full >&2; exit 3", serve(address));
    let file = bench.file("load.yaml", &profile);
    let plan = bench.file("plan.yaml", &plan(address, &script, ""));
    let (code, said) =
        code_and_text(&bench.squall(["try"]).arg(&file).arg("--chaos").arg(&plan).output().unwrap());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("! it ends here: GET /x: connection refused"), "{said}");
    let told = "! service `other` ended by itself (exit status: 3; its last words: heap is full)";
    assert!(said.contains(told), "{said}");
}

#[test]
fn metrics_that_a_target_refuses_are_told() {
    let server = Server::start(|message| match message.first_line.contains("/metrics") {
        true => (401, "m 7\n".to_owned()),
        false => (200, String::new()),
    });
    let bench = Bench::new("refused");
    let profile =
        support::light_load(&server.url(), "3s").replace("objectives: [", "objectives: [target.m = 7, ");
    let file = bench
        .file("load.yaml", &(profile + "judge: { warmup: 100ms }\nmetrics: { path: /metrics, every: 1s }\n"));
    let (code, said) = code_and_text(&bench.run(&file, None).output().unwrap());
    assert_eq!(code, 98, "{said}");
    assert!(said.contains("`/metrics` gave status 401"), "{said}");
}

/// A name that is not there would be known after the night only.
#[test]
fn a_trial_shows_what_there_is_of_the_metrics_that_objectives_use() {
    let metrics = |path: &str| match path {
        "/metrics" => (200, "# TYPE done counter\ndone_total 7\nqueue_depth 3\nidle NaN\n".to_owned()),
        "/none" => (404, String::new()),
        _ => (200, String::new()),
    };
    let server = Server::start(move |m| metrics(m.first_line.split(' ').nth(1).unwrap()));
    let bench = Bench::new("try-metrics");
    let said = |path: &str| {
        let text = format!(
            "target: {}\nduration: 20s\nmetrics: {{ path: {path} }}\nshapes:\n  s:\n    \
             arrival: {{ constant: {{ rate: 1/s }} }}\n    flow: [{{ get: /x }}]\nobjectives:\n  \
             - max(target.queue_dept) < 9\n  - rate(target.done_total) > 1\n  - target.other < 1\n  - target.idle < 1\n",
            server.url()
        );
        let file = bench.file("load.yaml", &text);
        let (code, said) = code_and_text(&bench.squall(["try"]).arg(&file).output().unwrap());
        assert_eq!(code, 0, "{said}");
        said.split("metrics\n").nth(1).unwrap().to_owned()
    };
    let there = said("/metrics");
    assert!(there.contains("= done_total: 7\n"), "{there}");
    assert!(there.contains("! `idle` has no number as yet\n"), "{there}");
    assert!(there.contains("! `queue_dept` is not there, unless something is to be counted first; did you mean `queue_depth`?\n"), "{there}");
    assert!(there.contains("! `other` is not there, unless something is to be counted first\n"), "{there}");
    let none = said("/none");
    assert!(none.contains("! they were not read: `/none` gave status 404\n"), "{none}");
}
