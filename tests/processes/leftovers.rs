//! What squall starts ends with it, with all that it started in turn, however and whenever squall ends; on
//! real processes and loopback sockets.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::http::Server;
use crate::support::{
    self, Bench, JUDGE, code_and_text, free_address, is_gone, light_load, secs, serve, wait_for,
};

fn only_the_keeper_is_left(bench: &Bench) {
    let keeper = bench.keeper();
    wait_for("everything but the keeper to be gone", secs(5), || {
        (bench.processes() == [keeper]).then_some(())
    });
}

/// A leader with a member of its group, and one that has left the group.
const FAMILY: &str = "sleep 100 & setsid sleep 100 & exec sleep 100";

#[test]
fn after_sigkill_a_service_is_gone_with_all_that_it_started_also_what_left_its_group() {
    let (bench, server) = (Bench::new("family"), Server::fine());
    let address = free_address();
    let family = FAMILY.replace("exec sleep 100", &format!("exec {}", serve(address)));
    let plan = format!(
        "services:\n  family: {{ start: [sh, -c, \"{family}\"], ready: {{ tcp: \"{address}\" }} }}\n"
    );
    let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    bench.wait_for_history(&["\"header\""]);
    wait_for("squall, keeper and family", secs(10), || (bench.processes().len() == 5).then_some(()));
    squall.kill();
    only_the_keeper_is_left(&bench);
}

#[test]
fn ctrl_c_while_a_service_starts_ends_all_that_it_started() {
    for signal in [Signal::INT, Signal::KILL] {
        let (bench, server) = (Bench::new("starting"), Server::fine());
        let plan = format!(
            "services:\n  family: {{ start: [sh, -c, \"{FAMILY}\"], ready: {{ tcp: \"{}\" }}, within: 60s }}\n",
            free_address()
        );
        let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
        wait_for("squall, keeper and family", secs(10), || (bench.processes().len() == 5).then_some(()));
        squall.signal(signal);
        squall.end(secs(10));
        let left = usize::from(signal == Signal::KILL);
        wait_for("everything to end", secs(5), || (bench.processes().len() <= left).then_some(()));
    }
}

/// squall was killed after it wrote what it was about to start, and before it could write its pid.
#[test]
fn heal_ends_what_carries_the_mark_of_an_entry_and_nothing_else() {
    let bench = Bench::new("mark");
    let sleeper = |mark: &str| {
        let mut command = bench.command("sleep");
        command.arg("100").env("SQUALL_MARK", mark).process_group(0).spawn().unwrap()
    };
    let (mut ours, mut other) = (sleeper("1-2-3"), sleeper("1-2-33"));
    let undo = serde_json::json!({ "marked": { "what": "service `sleeper`", "mark": "1-2-3" } });
    bench.file("journal.jsonl", &format!("{}\n", serde_json::json!({ "open": { "id": 0, "undo": undo } })));
    let (code, said) = code_and_text(&bench.squall(["heal"]).arg(&bench.folder).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("service `sleeper`"), "{said}");
    assert!(ours.wait().unwrap().code().is_none(), "ended by a signal");
    assert!(!is_gone(other.id() as i32), "somebody else's is left alone");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_service_that_crashed_while_it_was_paused_needs_no_undo() {
    let (bench, server) = (Bench::new("crashed"), Server::fine());
    let address = free_address();
    let serve = serve(address);
    let plan = format!(
        "services:\n  other: {{ start: [sh, -c, \"exec {serve}\"], ready: {{ tcp: \"{address}\" }} }}\n\
         timeline:\n  - {{ name: broken, at: 2s, for: 6s, settle: 1s, pause: {{ service: other }} }}\n"
    );
    let mut squall = bench.start(bench.light_run(&server.url(), "10s", &plan));
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    let stopped = bench.processes().into_iter().find(|pid| support::state(*pid) == Some('T')).unwrap();
    support::signal(stopped, Signal::KILL);
    let code = squall.end(secs(30)).code();
    assert_eq!(code, Some(97), "{}", squall.said());
    let detail = bench.verdict()["faults"][0]["detail"].to_string();
    assert!(detail.contains("gone"), "{detail}");
    let notes = bench.verdict()["notes"].to_string();
    assert!(notes.contains("other ended by itself") && notes.contains("signal: 9"), "{notes}");
}

/// A hook whose `run` notes that it began and breaks things only after `seconds`, in a process that is not
/// the leader of its group.
fn slow_hook(bench: &Bench, seconds: u32) -> (PathBuf, PathBuf, String) {
    let (began, flag) = (bench.folder.join("began"), bench.folder.join("flag"));
    let (b, f) = (began.display(), flag.display());
    let plan = format!(
        "timeline:\n  - name: broken\n    at: 2s\n    for: 20s\n    exec:\n      \
         run: [sh, -c, \"touch {b}; (sleep {seconds}; touch {f}) & wait\"]\n      \
         undo: [rm, -f, \"{f}\"]\n      check: [test, -e, \"{f}\"]\n"
    );
    (began, flag, plan)
}

#[test]
fn a_hook_that_is_still_running_is_ended_before_it_is_undone() {
    for signal in [Signal::KILL, Signal::INT] {
        let (bench, server) = (Bench::new("slow"), Server::fine());
        let (began, flag, plan) = slow_hook(&bench, 4);
        let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
        wait_for("the hook to begin", secs(20), || began.exists().then_some(()));
        squall.signal(signal);
        squall.end(Duration::from_millis(3_000));
        std::thread::sleep(secs(5));
        assert!(!flag.exists(), "{signal:?}: it broke things after its undo");
        let left = usize::from(signal == Signal::KILL);
        wait_for("everything to end", secs(5), || (bench.processes().len() <= left).then_some(()));
    }
}

#[test]
fn a_hook_that_takes_too_long_is_ended_with_all_that_it_started() {
    let (bench, server) = (Bench::new("late"), Server::fine());
    let (began, flag, plan) = slow_hook(&bench, 13);
    let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    wait_for("the hook to begin", secs(20), || began.exists().then_some(()));
    bench.wait_for_history(&["\"broken\"", "\"not_effective\""]);
    std::thread::sleep(secs(5));
    assert!(!flag.exists(), "it broke things after its undo");
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(10)).code(), Some(105), "{}", squall.said());
}

#[test]
fn a_second_ctrl_c_waits_for_no_service_that_starts_again() {
    let (bench, server) = (Bench::new("again"), Server::fine());
    let (address, flag) = (free_address(), bench.folder.join("started"));
    // Once started it is never ready again.
    let script = format!("[ -e {0} ] && exec sleep 100; touch {0}; exec {1}", flag.display(), serve(address));
    let plan = format!(
        "services:\n  other: {{ start: [sh, -c, \"{script}\"], ready: {{ tcp: \"{address}\" }}, within: 60s }}\n\
         timeline:\n  - {{ name: broken, at: 3s, settle: 1s, restart: {{ service: other }} }}\n"
    );
    let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    squall.signal(Signal::INT);
    std::thread::sleep(secs(1));
    assert!(!squall.ended(), "once: it waits");
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(5)).code(), Some(105), "{}", squall.said());
    wait_for("everything to end", secs(5), || bench.processes().is_empty().then_some(()));
}

#[test]
fn of_a_service_that_was_restarted_only_its_present_life_stands_in_the_journal() {
    let (bench, server, address) = (Bench::new("lives"), Server::fine(), free_address());
    let plan = format!(
        "services:\n  other: {{ start: [sh, -c, \"exec {}\"], ready: {{ tcp: \"{address}\" }} }}\n\
         timeline:\n  - {{ name: broken, at: 3s, settle: 1s, restart: {{ service: other }} }}\n",
        serve(address)
    );
    let _squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    bench.wait_for_history(&["\"broken\"", "\"verified\""]);
    let journal = fs::read_to_string(bench.run_folder().join("journal.jsonl")).unwrap();
    let count = |what: &str| journal.lines().filter(|line| line.contains(what)).count();
    // A mark and a pid of each; by the end of the run the first pid may be another's.
    assert_eq!((count("{\"open\""), count("{\"closed\"")), (4, 2), "{journal}");
}

/// Soft and hard limit of open files.
fn file_limits(pid: i32) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut words = line.split_whitespace().skip(3).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

/// A service that leaks files ends where it ends without squall.
#[test]
fn squall_and_its_keeper_may_open_as_many_files_as_the_system_lets_them_and_a_service_as_many_as_ever() {
    let (bench, server, link) = (Bench::new("files"), Server::fine(), free_address());
    let profile = bench.file("load.yaml", &light_load(&format!("http://{link}"), "60s"));
    let ready = free_address();
    let plan = format!(
        "{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{}\" }}\nservices:\n  other:\n    \
         start: [sh, -c, \"ulimit -Sn; exec {}\"]\n    ready: {{ http: \"http://{ready}/\" }}\n",
        server.address,
        serve(ready)
    );
    let plan = bench.file("plan.yaml", &plan);
    let mut shell = bench.command("sh");
    shell.arg("-c").arg("ulimit -Sn 256; exec \"$@\"").arg("sh").arg(env!("CARGO_BIN_EXE_squall"));
    shell.arg("run").arg(&profile).arg("--chaos").arg(&plan).arg("--reports").arg(bench.reports());
    let squall = bench.start(shell);
    bench.wait_for_history(&["\"header\""]);
    for pid in [squall.pid(), bench.keeper()] {
        let (soft, hard) = file_limits(pid);
        assert_eq!(soft, hard);
    }
    let log = bench.run_folder().join("services/other.log");
    assert_eq!(fs::read_to_string(log).unwrap().lines().next(), Some("256"));
}

/// Answers one request per connection, so that every request needs a new one.
fn one_answer_each() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().ok()?);
                support::http::Message::read(&mut reader).ok()?;
                stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()
            });
        }
    });
    address
}

#[test]
fn a_keeper_without_files_is_squalls_own_fault_and_not_the_targets() {
    let (bench, upstream, link) = (Bench::new("starved"), one_answer_each(), free_address());
    let text =
        light_load(&format!("http://{link}"), "14s").replace("[count(look) >= 1]", "[\"errors < 1%\"]");
    let profile = bench.file("load.yaml", &text);
    let plan = format!("{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{upstream}\" }}\n");
    let plan = bench.file("plan.yaml", &plan);
    let mut squall = bench.start(bench.run(&profile, Some(&plan)));
    bench.wait_for_history(&["\"done\""]);
    let limit = |files: u64| {
        let keeper = rustix::process::Pid::from_raw(bench.keeper());
        let limit = rustix::process::Rlimit { current: Some(files), maximum: Some(10_000) };
        rustix::process::prlimit(keeper, rustix::process::Resource::Nofile, limit).unwrap();
    };
    // Fewer than are open already.
    limit(4);
    std::thread::sleep(secs(4));
    limit(1_000);
    let code = squall.end(secs(40)).code();
    let verdict = bench.verdict();
    let why = verdict["generator"]["unsound"].to_string();
    assert!(why.contains("keeper"), "{why}");
    assert_eq!((code, verdict["verdict"].as_str()), (Some(97), Some("INVALID")), "{}", squall.said());
}

#[test]
fn an_undo_that_hangs_delays_no_other() {
    for (name, keeper_lives) in [("slow", true), ("slow-heal", false)] {
        let bench = Bench::new(name);
        let flags = ["one", "two"].map(|name| bench.folder.join(name));
        let hook = |flag: &PathBuf| {
            let (flag, name) = (flag.display(), flag.file_name().unwrap().to_str().unwrap().to_owned());
            format!(
                "  - {{ name: {name}, at: 2s, for: 40s, exec: {{ run: [touch, \"{flag}\"], undo: [sh, -c, \"sleep 3; \
                 rm -f {flag}\"], check: [test, -e, \"{flag}\"] }} }}\n"
            )
        };
        let timeline = hook(&flags[0]) + &hook(&flags[1]);
        let server = Server::fine();
        let mut squall =
            bench.start(bench.light_run(&server.url(), "60s", &format!("timeline:\n{timeline}")));
        bench.wait_for_history(&["\"one\"", "\"effective\""]);
        bench.wait_for_history(&["\"two\"", "\"effective\""]);
        if !keeper_lives {
            support::signal(bench.keeper(), Signal::KILL);
        }
        squall.kill();
        let began = std::time::Instant::now();
        if !keeper_lives {
            let (code, said) =
                code_and_text(&bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap());
            assert_eq!(code, 0, "{said}");
        }
        wait_for("both to be undone", secs(5), || flags.iter().all(|f| !f.exists()).then_some(()));
        assert!(began.elapsed() < secs(5), "{name}: after {:?}", began.elapsed());
    }
}

/// `exec 9>lock; flock -n 9`, as nightly jobs do: the next night found it taken, and who read a pipe never came to its end.
#[test]
fn the_keeper_holds_nothing_that_squalls_caller_had_open() {
    let (bench, server) = (Bench::new("lock"), Server::fine());
    let link =
        format!("links: {{ wire: {{ listen: \"{}\", upstream: \"{}\" }} }}", free_address(), server.address);
    let run = bench.light_run(&server.url(), "60s", &link);
    let mut night = bench.command("sh");
    night.args(["-c", "exec 9>\"$0\" && exec \"$@\""]).arg(bench.folder.join("lock"));
    night.arg(run.get_program()).args(run.get_args());
    let mut squall = bench.start(night);
    bench.wait_for_history(&["\"due\""]);
    let held = |pid: i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).filter(|to| to.ends_with("lock")).count()
    };
    assert_eq!((held(squall.pid()), held(bench.keeper())), (1, 0));
    squall.kill();
}
