//! How runs are stopped: by signals, by an abort rule, by the end of their load; what is healed and told then.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::http::Server;
use crate::support::{self, Bench, JUDGE, free_address, profile, says, secs, serve, wait_for};

/// Teardown's request is answered late.
fn slow_to_delete(late: std::time::Duration) -> Server {
    Server::start(move |message| {
        if message.first_line.starts_with("DELETE") {
            std::thread::sleep(late);
        }
        (200, String::new())
    })
}

fn interrupted_run(
    bench: &Bench,
    server: &Server,
    link: std::net::SocketAddr,
    steps: &str,
) -> support::Running {
    let more = format!("teardown: {{ steps: [{steps}] }}");
    let target = format!("[\"http://{link}\", \"{}\"]", server.url());
    let file = bench.file("load.yaml", &profile(&target, "60s", "errors < 5%", &more));
    let plan = format!(
        "{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{}\", canary: {{ http: /canary }} }}\n\
         timeline:\n  - {{ name: slow, at: 2s, for: 50s, latency: {{ link: wire, latency: 100ms }} }}\n",
        server.address
    );
    let plan = bench.file("plan.yaml", &plan);
    let run = bench.run(&file, Some(&plan));
    // Where the tests themselves go on without a terminal (`nohup`), so would it.
    let mut hears_hang_ups = bench.command("env");
    hears_hang_ups.arg("--default-signal=HUP").arg(run.get_program()).args(run.get_args());
    let squall = bench.start(hears_hang_ups);
    bench.wait_for_history(&["\"slow\"", "\"effective\""]);
    squall
}

/// `timeout` and others pass on what the group gets too, and of a terminal that closes shell and system tell: one stop.
#[test]
fn one_ctrl_c_heals_tears_down_reports_and_ends_with_105() {
    for (told, apart) in [(&[Signal::INT; 2][..], 50), (&[Signal::HUP; 3], 250), (&[Signal::TERM], 50)] {
        let (bench, server, link) = (Bench::new("once"), slow_to_delete(secs(1)), free_address());
        let mut squall = interrupted_run(&bench, &server, link, "{ delete: /made }");
        for signal in told {
            squall.signal(*signal);
            std::thread::sleep(secs(1) * apart / 1_000);
        }
        assert_eq!(squall.end(secs(15)).code(), Some(105), "{}", squall.said());
        assert!(!squall.said().contains("teardown was cut short"), "{}", squall.said());
        assert_eq!(server.count("DELETE /made"), 1, "teardown ran");
        let history = fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
        assert!(history.lines().any(|l| l.contains("\"slow\"") && l.contains("\"verified\"")), "healed");
        assert_eq!(bench.verdict()["exit"]["code"], 105);
        for file in ["report.html", "summary.md"] {
            assert!(bench.run_folder().join(file).exists(), "{file}");
        }
        wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
    }
}

#[test]
fn a_second_ctrl_c_leaves_at_once_healed() {
    let (bench, server, link) = (Bench::new("twice"), slow_to_delete(secs(14)), free_address());
    let mut squall = interrupted_run(&bench, &server, link, "{ delete: /made }");
    squall.signal(Signal::INT);
    bench.wait_for_history(&["\"slow\"", "\"verified\""]);
    std::thread::sleep(secs(1) / 2);
    assert!(!squall.ended(), "it waits for teardown");
    squall.signal(Signal::INT);
    // Well before teardown has its answer.
    assert_eq!(squall.end(secs(8)).code(), Some(105), "{}", squall.said());
    wait_for("the keeper to leave", secs(20), || bench.processes().is_empty().then_some(()));
}

/// It has three seconds to hear the first one.
#[test]
fn a_second_ctrl_c_waits_for_no_service_that_is_deaf() {
    let (bench, server, address) = (Bench::new("deaf"), Server::fine(), free_address());
    let script = format!("trap '' TERM; exec {}", serve(address));
    let plan = format!(
        "services:\n  deaf: {{ start: [sh, -c, \"{script}\"], ready: {{ http: \"http://{address}/\" }} }}\n"
    );
    let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    bench.wait_for_history(&["\"header\""]);
    squall.signal(Signal::INT);
    std::thread::sleep(secs(1) / 2);
    let again = Instant::now();
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(15)).code(), Some(105), "{}", squall.said());
    assert!(again.elapsed() < secs(2), "{:?}", again.elapsed());
    wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
}

/// Whoever has to wait presses it again.
#[test]
fn a_third_ctrl_c_changes_nothing_about_how_the_second_one_leaves() {
    let (bench, server, flag) = (Bench::new("thrice"), Server::fine(), "broken.flag");
    let file = bench.file("load.yaml", &profile(&server.url(), "60s", "errors < 5%", ""));
    let flag = bench.reports().with_file_name(flag).display().to_string();
    let hook = format!(
        "run: [touch, \"{flag}\"], undo: [sh, -c, \"sleep 2; rm {flag}\"], check: [test, -e, \"{flag}\"]"
    );
    let plan = format!("{JUDGE}\ntimeline:\n  - {{ name: hook, at: 2s, for: 50s, exec: {{ {hook} }} }}\n");
    let plan = bench.file("plan.yaml", &plan);
    let mut squall = bench.start(bench.run(&file, Some(&plan)));
    bench.wait_for_history(&["\"hook\"", "\"effective\""]);
    for _ in 0..4 {
        squall.signal(Signal::INT);
        std::thread::sleep(secs(1) / 3);
    }
    assert_eq!(squall.end(secs(15)).code(), Some(105), "{}", squall.said());
    assert!(!fs::exists(&flag).unwrap(), "healed");
    wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
}

#[test]
fn a_teardown_that_was_cut_short_is_told_and_ends_with_105() {
    let (bench, server) = (Bench::new("cut"), slow_to_delete(secs(14)));
    let more = "teardown: { steps: [{ delete: /made }, { delete: /more }] }";
    let file = bench.file("load.yaml", &profile(&server.url(), "3s", "errors < 100%", more));
    let plan = bench.file("plan.yaml", JUDGE);
    let mut squall = bench.start(bench.run(&file, Some(&plan)));
    bench.wait_for_history(&["\"header\""]);
    wait_for("teardown", secs(20), || squall.said().contains("teardown").then_some(()));
    std::thread::sleep(secs(1));
    squall.signal(Signal::INT);
    std::thread::sleep(secs(1));
    assert!(!squall.ended(), "once: it waits for teardown");
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(8)).code(), Some(105), "{}", squall.said());
    says(&squall.said(), &["teardown was cut short", "DELETE /made", "DELETE /more"]);
    let verdict = bench.verdict();
    assert_eq!(verdict["exit"]["code"], 105);
    assert!(verdict["left"].to_string().contains("DELETE /made"), "{}", verdict["left"]);
}

/// Nobody is there to stop it.
#[test]
fn a_teardown_that_hangs_ends_at_its_own_limit() {
    let (bench, server) = (Bench::new("within"), slow_to_delete(secs(14)));
    let more = "teardown: { within: 1s, steps: [{ delete: /made }] }";
    let file = bench.file("load.yaml", &profile(&server.url(), "3s", "errors < 100%", more));
    let mut squall = bench.start(bench.run(&file, Some(&bench.file("plan.yaml", JUDGE))));
    squall.end(secs(12));
    assert!(squall.said().contains("teardown was cut short: DELETE /made not done"), "{}", squall.said());
    assert!(bench.verdict()["left"].to_string().contains("DELETE /made"), "{}", squall.said());
}

/// Answers take two seconds: what was asked for when the load was stopped has its deadline all the same.
#[test]
fn what_is_in_flight_at_a_ctrl_c_is_waited_for() {
    let server = Server::start(|_| {
        std::thread::sleep(secs(2));
        (200, String::new())
    });
    let bench = Bench::new("flight");
    let text = format!(
        "target: {}\nduration: 60s\n{JUDGE}\nshapes:\n  s:\n    arrival: {{ constant: {{ rate: 10/s }} }}\n    \
         probes: false\n    timeout: 10s\n    flow: [{{ get: /x, as: x }}]\n",
        server.url()
    );
    let mut squall = bench.start(bench.run(&bench.file("load.yaml", &text), None));
    wait_for("some to be asked for", secs(20), || (server.count("GET /x") >= 25).then_some(()));
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(15)).code(), Some(105), "{}", squall.said());
    let verdict = bench.verdict();
    let x = verdict["operations"].as_array().unwrap().iter().find(|o| o["name"] == "x").unwrap();
    let phases = x["phases"].as_array().unwrap();
    let sum = |figure: &str| phases.iter().map(|p| p[figure].as_f64().unwrap()).sum::<f64>();
    assert_eq!((sum("n") as usize, sum("bad"), sum("cut")), (server.count("GET /x"), 0.0, 0.0), "{x}");
}

#[test]
fn ctrl_c_while_a_service_starts_leaves_nothing_behind() {
    let (bench, server) = (Bench::new("early"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let ready = free_address();
    let plan = format!(
        "{JUDGE}\nservices:\n  slow: {{ start: [sleep, \"100\"], ready: {{ tcp: \"{ready}\" }}, within: 60s }}\n"
    );
    let plan = bench.file("plan.yaml", &plan);
    let mut squall = bench.start(bench.run(&file, Some(&plan)));
    wait_for("squall, keeper and service", secs(10), || (bench.processes().len() == 3).then_some(()));
    wait_for("the service in the journal", secs(10), || {
        let journal = fs::read_to_string(bench.run_folder().join("journal.jsonl")).ok()?;
        journal.contains("\"end\"").then_some(())
    });
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(10)).code(), Some(105), "{}", squall.said());
    wait_for("everything to end", secs(5), || bench.processes().is_empty().then_some(()));
}

#[test]
fn an_abort_rule_ends_the_run_early_healed_and_with_99() {
    let (bench, server) = (Bench::new("abort"), Server::start(|_| (500, String::new())));
    let file = bench.file("load.yaml", &profile(&server.url(), "60s", "errors < 99%", ""));
    let plan = bench.file("plan.yaml", &format!("{JUDGE}\nabort: [\"errors > 50% for 2s\"]\n"));
    let mut squall = bench.start(bench.run(&file, Some(&plan)));
    assert_eq!(squall.end(secs(30)).code(), Some(99), "{}", squall.said());
    assert!(squall.said().contains("errors > 50%"), "{}", squall.said());
}

/// Sick for the third second, and from the sixth on: only then, and no sooner than two seconds after, is it sick for
/// two seconds on end.
#[test]
fn an_abort_rule_over_two_seconds_fires_after_two_seconds_on_end() {
    let asked = std::sync::atomic::AtomicU64::new(0);
    let sick = move |n: u64| (100..150).contains(&n) || n >= 250;
    let server = Server::start(move |_| {
        let n = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (if sick(n) { 500 } else { 200 }, String::new())
    });
    let bench = Bench::new("on-end");
    let file = bench.file("load.yaml", &profile(&server.url(), "60s", "errors < 99%", ""));
    let plan = bench.file("plan.yaml", &format!("{JUDGE}\nabort: [\"errors > 50% for 2s\"]\n"));
    let mut squall = bench.start(bench.run(&file, Some(&plan)));
    assert!(squall.end(secs(50)).code().is_some(), "{}", squall.said());
    let run = &bench.verdict()["run"];
    assert!(run["duration"].as_i64().unwrap() >= 7_000_000, "{run}");
    let asked = server.count("GET /look");
    assert!((350..2_000).contains(&asked), "it fired, and not before: {asked}\n{}", squall.said());
}

/// Ten users who walk on for minutes, twice a second each, beside some who are refused.
fn walkers(bench: &Bench, server: &Server, duration: &str, plan: &str) -> support::Running {
    let profile = format!(
        "target: {}\nduration: {duration}\nshapes:\n  walkers:\n    arrival: {{ closed: {{ users: 10 }} }}\n    timeout: 1s\n    \
         flow: [{{ repeat: {{ times: 600, steps: [{{ get: /walk, as: walk }}, {{ think: 500ms }}] }} }}]\n  \
         refused:\n    arrival: {{ constant: {{ rate: 20/s }} }}\n    timeout: 1s\n    probes: false\n    \
         flow: [{{ get: /sick, as: sick }}]\nobjectives: []\n",
        server.url()
    );
    let (profile, plan) =
        (bench.file("walk.yaml", &profile), bench.file("plan.yaml", &format!("{JUDGE}\n{plan}")));
    bench.start(bench.run(&profile, Some(&plan)))
}

/// Nothing more is asked from now on, but for what was on its way; and the run ends within seconds.
fn stands_still(server: &Server, squall: &mut support::Running) -> Option<i32> {
    std::thread::sleep(std::time::Duration::from_millis(500));
    let asked = server.count("GET /walk");
    let code = squall.end(secs(8)).code();
    assert!(asked >= 10, "the users walked: {asked}");
    assert_eq!(server.count("GET /walk"), asked, "no flow began a further step");
    code
}

fn half_sick() -> Server {
    Server::start(|message| (if message.first_line.contains("/sick") { 500 } else { 200 }, String::new()))
}

#[test]
fn the_first_ctrl_c_stops_the_load() {
    let (bench, server) = (Bench::new("walk-c"), half_sick());
    let mut squall = walkers(&bench, &server, "60s", "");
    wait_for("the users", secs(10), || (server.count("GET /walk") >= 30).then_some(()));
    squall.signal(Signal::INT);
    assert_eq!(stands_still(&server, &mut squall), Some(105), "{}", squall.said());
    assert_eq!(bench.verdict()["exit"]["code"], 105);
}

#[test]
fn an_abort_stops_the_load() {
    let (bench, server) = (Bench::new("walk-a"), half_sick());
    let mut squall = walkers(&bench, &server, "60s", "abort: [\"errors(sick) > 50% for 2s\"]\n");
    bench.wait_for_history(&["\"t\":\"rule\"", "errors(sick)"]);
    assert_eq!(stands_still(&server, &mut squall), Some(99), "{}", squall.said());
}

#[test]
fn the_planned_end_of_the_load_is_its_end() {
    let (bench, server) = (Bench::new("walk-e"), half_sick());
    let mut squall = walkers(&bench, &server, "4s", "");
    squall.end(secs(20));
    let asked = server.count("GET /walk");
    assert!((30..=90).contains(&asked), "ten users, twice a second, for four seconds: {asked}");
}

/// Rounds in which an `if` takes no way wait for nothing: they neither outlast the load nor hold up what else is sent.
#[test]
fn a_loop_of_steps_that_nobody_takes_ends_with_the_load_and_holds_up_nobody() {
    let (bench, server) = (Bench::new("idle-loop"), half_sick());
    let never = "[{ if: \"{{ i == 1000000 }}\", then: [{ get: /never, as: never }] }]";
    let profile = format!(
        "target: {}\nduration: 4s\njudge: {{ warmup: 200ms, baseline: 500ms }}\nshapes:\n  idle:\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    \
         timeout: 1s\n    probes: false\n    flow: [{{ get: /walk, as: walk }}, {{ repeat: {{ times: 1000000000, steps: {never} }} }}]\n  \
         beside:\n    arrival: {{ constant: {{ rate: 50/s }} }}\n    timeout: 1s\n    probes: false\n    flow: [{{ get: /beat, as: beat }}]\n\
         objectives: [\"errors(beat) < 5%\", \"rate(beat) > 45/s\"]\n",
        server.url()
    );
    let file = bench.file("idle.yaml", &profile);
    let mut squall = bench.start(bench.run(&file, None));
    let code = squall.end(secs(20)).code();
    assert_eq!((code, server.count("GET /beat")), (Some(0), 200), "{}", squall.said());
}

/// Whoever watches may have pressed Ctrl-S, or lost the connection: what is shown is not worth a fault that stays.
#[test]
fn a_terminal_that_takes_nothing_holds_up_neither_the_load_nor_a_stop() {
    let (bench, server) = (Bench::new("stuck"), Server::fine());
    let (_nobody_reads, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'x'; 65_536]).unwrap();
    let profile = profile(&server.url(), "60s", "errors < 50%", "setup: { steps: [{ post: /setup }] }\n");
    let mut command = bench.run(&bench.file("load.yaml", &profile), None);
    let mut squall = command.stdout(Stdio::null()).stderr(full).spawn().unwrap();
    wait_for("load", secs(10), || (server.count("GET") > 20).then_some(()));
    support::signal(squall.id() as i32, Signal::INT);
    let ended = wait_for("its end", secs(10), || squall.try_wait().unwrap());
    assert_eq!(ended.code(), Some(105));
}

#[test]
fn a_summary_that_nobody_takes_keeps_nobody_from_ending_squall() {
    let (bench, server) = (Bench::new("untaken"), Server::fine());
    let (_nobody_reads, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'x'; 65_536]).unwrap();
    let mut command = bench.light_run(&server.url(), "2s", "");
    let mut squall = command.stdout(full).stderr(Stdio::null()).spawn().unwrap();
    let summary = || bench.has_run() && bench.run_folder().join("summary.md").exists();
    wait_for("the report", secs(20), || summary().then_some(()));
    let ended = wait_for("its end", secs(10), || {
        support::signal(squall.id() as i32, Signal::TERM);
        squall.try_wait().unwrap()
    });
    assert_eq!(ended.code(), Some(0));
}

/// Behind each link is a host that takes no connection, for which squall looks for three seconds. Who presses once more as
/// nothing seems to happen had the whole load.
#[test]
fn ctrl_c_is_heard_while_links_are_looked_at() {
    for times in [1, 2] {
        ends_at_ctrl_c_among_links(times);
    }
}

fn ends_at_ctrl_c_among_links(times: usize) {
    let (bench, server) = (Bench::new("links"), Server::fine());
    let full = support::full();
    let file = bench.file("load.yaml", &profile(&server.url(), "60s", "errors < 5%", ""));
    let link = |name: &str| {
        format!("  {name}: {{ listen: \"{}\", upstream: \"{}\" }}\n", free_address(), full.address)
    };
    let links: String = ["a", "b", "c", "d"].map(link).concat();
    let plan = bench.file("plan.yaml", &format!("{JUDGE}\nlinks:\n{links}timeline: []\n"));
    let mut squall = bench.start(bench.run(&file, Some(&plan)));
    wait_for("its links", secs(10), || squall.said().contains("links are there").then_some(()));
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(500));
        squall.signal(Signal::INT);
    }
    assert_eq!(squall.end(secs(5)).code(), Some(105), "{times}: {}", squall.said());
}

/// Its end of the pipe is closed as squall ends, which heals what it does not hear of.
#[test]
fn a_second_ctrl_c_waits_but_once_for_a_keeper_that_does_not_answer() {
    let (bench, server, link) = (Bench::new("silent"), Server::fine(), free_address());
    let mut squall = interrupted_run(&bench, &server, link, "{ delete: /made }");
    let keeper = bench.keeper();
    support::signal(keeper, Signal::STOP);
    squall.signal(Signal::INT);
    std::thread::sleep(secs(1) / 2);
    squall.signal(Signal::INT);
    let ended = squall.end(secs(10));
    support::signal(keeper, Signal::CONT);
    assert_eq!(ended.code(), Some(110), "{}", squall.said());
    wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
}

/// Each `undo` has ten seconds; what is left is undone by the keeper, or by `squall heal`.
#[test]
fn a_second_ctrl_c_waits_but_once_for_an_undo_that_hangs() {
    let undone = "run: [\"true\"], undo: [sleep, \"100\"]";
    let hook = format!("exec: {{ {undone}, check: [\"true\"] }}");
    let then = format!(
        "exec: {{ run: [\"true\"], undo: [\"true\"], check: [\"true\"] }}, then: [{{ after: 100ms, {undone} }}]"
    );
    for (name, fault) in [("hangs", hook), ("then-hangs", then)] {
        let (bench, server) = (Bench::new(name), Server::fine());
        let plan = format!("timeline:\n  - {{ name: hook, at: 2s, for: 50s, {fault} }}\n");
        let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
        let done = if name == "hangs" { ["\"hook\"", "\"effective\""] } else { ["\"note\"", "was run"] };
        bench.wait_for_history(&done);
        squall.signal(Signal::INT);
        std::thread::sleep(secs(1) / 2);
        squall.signal(Signal::INT);
        assert_eq!(squall.end(secs(17)).code(), Some(110), "{name}: {}", squall.said());
    }
}

/// A pipe that nobody opens is as a disk that hangs.
#[test]
fn ctrl_c_is_heard_while_reports_are_written() {
    let (bench, server) = (Bench::new("pipe"), Server::fine());
    let pipe = bench.folder.join("page");
    assert!(bench.command("mkfifo").arg(&pipe).status().unwrap().success());
    let mut run = bench.light_run(&server.url(), "2s", "");
    run.arg("-q").arg("--out").arg(format!("html={}", pipe.display()));
    let mut squall = bench.start(run);
    let page = || bench.has_run() && bench.run_folder().join("report.html").exists();
    wait_for("the report", secs(20), || page().then_some(()));
    std::thread::sleep(secs(1));
    assert!(!squall.ended(), "nobody takes the page");
    squall.signal(Signal::TERM);
    let (ended, verdict) = (squall.end(secs(5)), bench.verdict());
    assert_eq!(ended.code(), Some(0), "as it was judged: {verdict}");
    assert_eq!(verdict["exit"]["code"], 0);
    let again = format!("`squall report {}` writes them", bench.run_folder().display());
    assert!(squall.said().contains(&again), "{}", squall.said());
}
