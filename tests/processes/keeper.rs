//! However squall ends, what it broke is whole again: the keeper, the journal and `squall heal`, on real
//! processes and loopback sockets.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::http::{Connection, Server};
use crate::support::{
    Bench, JUDGE, Running, code_and_text, free_address, is_gone, light_load, secs, serve, signal, state,
    wait_for,
};

/// Every fault must be healed this long after squall is gone.
const HEALED_WITHIN: Duration = Duration::from_secs(5);
/// Far below the latency that the tests inject.
const FAST: Duration = Duration::from_millis(800);

/// A run against the test's own server through a link, with the fault in force.
struct Broken {
    bench: Bench,
    squall: Running,
    link: SocketAddr,
    _server: Server,
    /// Opened and used before the fault, silent since.
    idle: Connection,
}

fn run_until_in_force(fault: &str) -> Broken {
    let (bench, server, link) = (Bench::new("keeper"), Server::fine(), free_address());
    let profile = bench.file("load.yaml", &light_load(&format!("http://{link}"), "60s"));
    let upstream = server.address;
    let plan = format!(
        "{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{upstream}\", canary: {{ http: /canary }} }}\n\
         timeline:\n  - {{ name: broken, at: 2s, for: 40s, {fault} }}\n"
    );
    let plan = bench.file("plan.yaml", &plan);
    let squall = bench.start(bench.run(&profile, Some(&plan)));
    let mut idle = wait_for("the link", secs(10), || Connection::open(link, secs(5)).ok());
    assert_eq!(idle.ask("GET", "/idle", "").unwrap().status(), 200);
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    Broken { bench, squall, link, _server: server, idle }
}

fn passes(link: SocketAddr) -> Option<()> {
    let answer = Connection::open(link, FAST).ok()?.ask("GET", "/after", "").ok()?;
    (answer.status() == 200).then_some(())
}

/// Kills squall and checks all that must hold afterwards; `idle_survives` as the fault allows.
fn killed_and_healed(fault: &str, idle_survives: bool) {
    let mut broken = run_until_in_force(fault);
    assert!(passes(broken.link).is_none(), "{fault} is in force");
    let killed = broken.squall.kill();
    wait_for("new connections to pass", HEALED_WITHIN, || passes(broken.link));
    if idle_survives {
        assert_eq!(broken.idle.ask("GET", "/idle", "").unwrap().status(), 200, "an existing connection");
    }
    assert!(killed.elapsed() < HEALED_WITHIN, "{fault}: healed after {:?}", killed.elapsed());
    let keeper = broken.bench.keeper();
    assert_eq!(broken.bench.processes(), [keeper], "only the keeper is left");
    drop(broken.idle);
    let_the_keeper_go(&broken.bench, broken.link);
}

fn let_the_keeper_go(bench: &Bench, link: SocketAddr) {
    let keeper = bench.keeper();
    let healed = bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap();
    let (code, said) = code_and_text(&healed);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&keeper.to_string()), "{said}");
    wait_for("the keeper to leave", secs(5), || is_gone(keeper).then_some(()));
    wait_for("the link's port to be free", secs(5), || TcpListener::bind(link).ok());
}

#[test]
fn after_sigkill_under_latency_existing_and_new_connections_pass_four_times() {
    for _ in 0..4 {
        killed_and_healed("latency: { link: wire, latency: 2s }", true);
    }
}

#[test]
fn after_sigkill_under_a_blackhole_idle_and_new_connections_pass_three_times() {
    for _ in 0..3 {
        killed_and_healed("blackhole: { link: wire }", true);
    }
}

#[test]
fn after_sigkill_while_a_link_is_down_new_connections_pass_three_times() {
    for _ in 0..3 {
        killed_and_healed("down: { link: wire }", false);
    }
}

/// A run on the sandbox with one fault in force.
fn sandbox_until_in_force(bench: &Bench, plan: &str) -> Running {
    let profile = bench.file("load.yaml", &light_load("{ sandbox: { start_time: 10ms } }", "60s"));
    let plan = bench.file("plan.yaml", plan);
    let mut run = bench.run(&profile, Some(&plan));
    // Hooks name their files from there, wherever they are undone.
    run.current_dir(&bench.folder);
    let squall = bench.start(run);
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    squall
}

fn only_the_keeper_is_left(bench: &Bench) {
    let keeper = bench.keeper();
    wait_for("everything but the keeper to be gone", HEALED_WITHIN, || {
        (bench.processes() == [keeper]).then_some(())
    });
}

#[test]
fn after_sigkill_the_sandbox_is_gone_a_paused_process_included() {
    let bench = Bench::new("pause");
    let fault = "{ name: broken, at: 2s, for: 40s, pause: { service: store-a } }";
    let mut squall = sandbox_until_in_force(&bench, &format!("{JUDGE}\ntimeline:\n  - {fault}\n"));
    assert!(bench.processes().iter().any(|pid| state(*pid) == Some('T')), "store-a is stopped");
    assert!(bench.processes().len() >= 6, "squall, keeper, two stores, two nodes");
    squall.kill();
    only_the_keeper_is_left(&bench);
    let healed = bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap();
    assert_eq!(code_and_text(&healed).0, 0);
    wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
}

/// A foreign program as a service; its script listens on `ready`.
fn plan_with_service(ready: SocketAddr, script: &str, fault: &str) -> String {
    format!(
        "{JUDGE}\nservices:\n  other:\n    start: [sh, -c, \"{script}\"]\n    ready: {{ tcp: \"{ready}\" }}\n\
         timeline:\n  - {{ name: broken, at: 2s, {fault} }}\n"
    )
}

#[test]
fn after_sigkill_a_service_that_was_restarted_is_gone_with_all_that_it_started() {
    let (bench, ready) = (Bench::new("restarted"), free_address());
    let script = format!("sleep 100 & exec {}", serve(ready));
    let plan = plan_with_service(ready, &script, "settle: 1s, restart: { service: other }");
    let mut squall = sandbox_until_in_force(&bench, &plan);
    bench.wait_for_history(&["\"broken\"", "\"verified\""]);
    squall.kill();
    only_the_keeper_is_left(&bench);
}

/// `run` makes a file, `undo` removes it and notes that it did, `check` looks for it.
fn hook(bench: &Bench, undo: &str) -> (PathBuf, String) {
    let exec =
        format!("at: 2s, for: 40s, exec: {{ run: [touch, flag], undo: [{undo}], check: [test, -e, flag] }}");
    (bench.folder.join("flag"), format!("{JUDGE}\ntimeline:\n  - {{ name: broken, {exec} }}\n"))
}

#[test]
fn after_sigkill_a_hook_is_undone_and_its_check_says_so() {
    let bench = Bench::new("hook");
    let (flag, plan) = hook(&bench, "rm, -f, flag");
    let mut squall = sandbox_until_in_force(&bench, &plan);
    assert!(flag.exists());
    squall.kill();
    wait_for("the hook to be undone", HEALED_WITHIN, || (!flag.exists()).then_some(()));
    only_the_keeper_is_left(&bench);
}

#[test]
fn after_sigkill_a_keeper_with_as_many_connections_as_it_can_carry_undoes_what_is_no_link_too() {
    let (bench, server, link) = (Bench::new("crowded"), Server::fine(), free_address());
    let profile = bench.file("load.yaml", &light_load(&server.url(), "60s"));
    let (flag, plan) = hook(&bench, "rm, -f, flag");
    let links = format!("links:\n  wire: {{ listen: \"{link}\", upstream: \"{}\" }}\n", server.address);
    let plan = bench.file("plan.yaml", &plan.replace("timeline:", &format!("{links}timeline:")));
    let mut run = bench.command("sh");
    run.args(["-c", "ulimit -n 300; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_squall"), "run"]);
    run.arg(profile).arg("--chaos").arg(plan).arg("--reports").arg(bench.reports());
    run.current_dir(&bench.folder);
    let mut squall = bench.start(run);
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    let crowd: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(link).unwrap()).collect();
    let files = || fs::read_dir(format!("/proc/{}/fd", bench.keeper())).unwrap().count();
    wait_for("the keeper to carry what it can", secs(10), || (files() > 200).then_some(()));
    std::thread::sleep(secs(1));
    squall.kill();
    wait_for("the hook to be undone", HEALED_WITHIN, || (!flag.exists()).then_some(()));
    drop(crowd);
    wait_for("the link to be free", secs(10), || passes(link));
}

#[test]
fn heal_undoes_everything_from_the_journal_alone_and_twice_is_as_good_as_once() {
    let bench = Bench::new("both");
    let (flag, plan) = hook(&bench, "rm, -f, flag");
    let ready = free_address();
    let start = format!("[sh, -c, \"exec {}\"]", serve(ready));
    let plan = plan.replace(
        "timeline:",
        &format!("services:\n  other:\n    start: {start}\n    ready: {{ tcp: \"{ready}\" }}\ntimeline:"),
    );
    let mut squall = sandbox_until_in_force(&bench, &plan);
    // The keeper first: it must not see squall go.
    signal(bench.keeper(), Signal::KILL);
    squall.kill();
    assert!(flag.exists());
    assert!(!bench.processes().is_empty(), "the foreign program is still there");
    let heal = || code_and_text(&bench.squall(["heal", "--reports"]).arg(bench.reports()).output().unwrap());
    let (code, said) = heal();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("service `other` (pid") && said.contains("hook `broken`"), "{said}");
    assert!(!flag.exists());
    wait_for("every process to be gone", secs(5), || bench.processes().is_empty().then_some(()));
    let (code, said) = heal();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nothing was left to undo"), "{said}");
}

#[test]
fn heal_continues_a_paused_process_that_the_journal_names_and_no_other() {
    let bench = Bench::new("paused");
    let start = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse::<u64>().unwrap()
    };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let sleeper = || {
        let child = bench.command("sleep").arg("100").process_group(0).spawn().unwrap();
        signal(child.id() as i32, Signal::STOP);
        wait_for("it to stop", secs(5), || (state(child.id() as i32) == Some('T')).then_some(()));
        child
    };
    let mut children = [sleeper(), sleeper()];
    let pids = [children[0].id() as i32, children[1].id() as i32];
    let entry = |id: u64, pid: i32, start: u64| {
        let process = serde_json::json!({ "pid": pid, "start": start, "boot": boot.trim() });
        let undo = serde_json::json!({ "continue": { "service": "sleeper", "process": process } });
        serde_json::json!({ "open": { "id": id, "undo": undo } }).to_string() + "\n"
    };
    // The second one has the pid of a process of the test's, but was started at another time.
    let journal = entry(0, pids[0], start(pids[0])) + &entry(1, pids[1], start(pids[1]) - 1);
    bench.file("journal.jsonl", &journal);
    for said in ["is undone", "nothing was left to undo"] {
        let (code, text) = code_and_text(&bench.squall(["heal"]).arg(&bench.folder).output().unwrap());
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(said), "{text}");
    }
    assert!(state(pids[0]).is_some_and(|state| state != 'T'), "continued, not ended");
    assert_eq!(state(pids[1]), Some('T'), "somebody else's process is left alone");
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn heal_ends_with_110_and_says_what_when_an_undo_fails() {
    let bench = Bench::new("stuck");
    let (flag, plan) = hook(&bench, "\"false\"");
    let mut squall = sandbox_until_in_force(&bench, &plan);
    signal(bench.keeper(), Signal::KILL);
    squall.kill();
    for _ in 0..2 {
        let healed = bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap();
        let (code, said) = code_and_text(&healed);
        assert_eq!(code, 110, "{said}");
        assert!(said.contains("hook `broken` could not be undone") && said.contains("`false`"), "{said}");
    }
    assert!(flag.exists());
}

#[test]
fn a_journal_with_a_torn_end_is_healed_for_good() {
    let bench = Bench::new("torn");
    let (_, plan) = hook(&bench, "rm, -f, flag");
    let mut squall = sandbox_until_in_force(&bench, &plan);
    signal(bench.keeper(), Signal::KILL);
    squall.kill();
    let journal = bench.run_folder().join("journal.jsonl");
    let mut text = fs::read_to_string(&journal).unwrap();
    text.push_str("{\"open\":{\"id\":7,\"un");
    fs::write(&journal, text).unwrap();
    let heal = || code_and_text(&bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap());
    let (code, said) = heal();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("hook `broken` is undone"), "{said}");
    assert!(heal().1.contains("nothing was left to undo"));
}

#[test]
fn heal_leaves_a_run_alone_that_is_still_going_on() {
    let bench = Bench::new("going");
    let (flag, plan) = hook(&bench, "rm, -f, flag");
    let mut squall = sandbox_until_in_force(&bench, &plan);
    let (code, said) = code_and_text(&bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("still going on") && flag.exists() && !squall.ended(), "{said}");
}

#[test]
fn without_a_journal_nothing_is_injected() {
    // The journal is as large as a file may be: no more fits.
    let bench = Bench::new("full");
    let (flag, plan) = hook(&bench, "rm, -f, flag");
    let plan = plan.replace("for: 40s", "for: 1s").replace("at: 2s", "at: 4s");
    let profile = bench.file("load.yaml", &light_load("sandbox", "8s"));
    let plan = bench.file("plan.yaml", &plan);
    let mut run = bench.run(&profile, Some(&plan));
    run.current_dir(&bench.folder);
    let mut squall = bench.start(run);
    bench.wait_for_history(&["\"header\""]);
    let limit = 4 << 20;
    let journal = fs::File::options().append(true).open(bench.run_folder().join("journal.jsonl")).unwrap();
    (&journal).write_all(&vec![b'\n'; limit]).unwrap();
    rustix::process::prlimit(
        rustix::process::Pid::from_raw(squall.pid()),
        rustix::process::Resource::Fsize,
        rustix::process::Rlimit { current: Some(limit as u64), maximum: Some(limit as u64) },
    )
    .unwrap();
    let code = squall.end(secs(60)).code();
    assert!(!flag.exists(), "the hook never ran");
    assert_ne!(code, Some(0), "{}", squall.said());
    let detail = bench.verdict()["faults"][0].to_string();
    assert!(detail.contains("not injected: the undo journal cannot be written"), "{detail}");
}

#[test]
fn a_run_that_ends_well_leaves_no_process_and_no_taken_port() {
    let (bench, server, link) = (Bench::new("well"), Server::fine(), free_address());
    let profile = bench.file("load.yaml", &light_load(&format!("http://{link}"), "3s"));
    let plan = format!(
        "{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{}\", canary: {{ http: /canary }} }}\n",
        server.address
    );
    let plan = bench.file("plan.yaml", &plan);
    let output = bench.run(&profile, Some(&plan)).output().unwrap();
    assert_eq!(code_and_text(&output).0, 0, "{}", code_and_text(&output).1);
    wait_for("the keeper to leave", secs(3), || bench.processes().is_empty().then_some(()));
    assert!(TcpStream::connect(link).is_err());
    wait_for("the link's port to be free", secs(5), || TcpListener::bind(link).ok());
}

/// A run whose link has gone over from the first server to the second.
fn failed_over(bench: &Bench, link: SocketAddr, [first, second]: [&Server; 2], stay: bool) -> Running {
    let profile = bench.file("load.yaml", &light_load(&format!("http://{link}"), "60s"));
    let plan = format!(
        "{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{}\", canary: {{ http: /canary }} }}\n\
         timeline:\n  - name: over\n    at: 2s\n    settle: 1s\n    \
         failover: {{ link: wire, to: \"{}\", outage: 500ms{} }}\n",
        first.address,
        second.address,
        if stay { ", stay: true" } else { "" }
    );
    let plan = bench.file("plan.yaml", &plan);
    let squall = bench.start(bench.run(&profile, Some(&plan)));
    bench.wait_for_history(&["\"over\"", "\"verified\""]);
    squall
}

#[test]
fn after_sigkill_a_link_that_was_failed_over_goes_back_unless_it_stays() {
    for (stay, answers) in [(false, "first"), (true, "second")] {
        let (bench, link) = (Bench::new("over"), free_address());
        let [first, second] = ["first", "second"].map(|name| Server::start(|_| (200, name.to_owned())));
        let mut squall = failed_over(&bench, link, [&first, &second], stay);
        let asked = || Connection::open(link, secs(5)).ok()?.ask("GET", "/who", "").ok();
        assert_eq!(asked().unwrap().body, "second");
        squall.kill();
        std::thread::sleep(Duration::from_millis(300));
        wait_for("the keeper's answer", HEALED_WITHIN, || (asked()?.body == answers).then_some(()));
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(asked().unwrap().body, answers, "and so it remains");
    }
}

#[test]
fn a_failover_that_cannot_go_back_was_not_undone() {
    let (bench, server, link) = (Bench::new("away"), Server::fine(), free_address());
    let other = Server::fine();
    let mut squall = failed_over(&bench, link, [&server, &other], false);
    signal(bench.keeper(), Signal::KILL);
    squall.signal(Signal::INT);
    assert_eq!(squall.end(secs(20)).code(), Some(110), "{}", squall.said());
    assert_eq!(bench.verdict()["exit"]["code"], 110);
}

#[test]
fn a_keeper_whose_journal_is_gone_carries_on() {
    let mut broken = run_until_in_force("latency: { link: wire, latency: 2s }");
    fs::remove_file(broken.bench.run_folder().join("journal.jsonl")).unwrap();
    broken.squall.kill();
    wait_for("new connections to pass", HEALED_WITHIN, || passes(broken.link));
    assert_eq!(broken.idle.ask("GET", "/idle", "").unwrap().status(), 200, "an existing connection");
}

#[test]
fn a_link_that_cannot_be_healed_yet_is_said_so_and_healed_as_soon_as_it_can_be() {
    let mut broken = run_until_in_force("down: { link: wire }");
    let squatter = TcpListener::bind(broken.link).unwrap();
    broken.squall.kill();
    wait_for("everything but the keeper to be gone", secs(5), || {
        (broken.bench.processes() == [broken.bench.keeper()]).then_some(())
    });
    let heal = || {
        let output = broken.bench.squall(["heal"]).arg(broken.bench.run_folder()).output();
        code_and_text(&output.unwrap())
    };
    let log = broken.bench.run_folder().join("keeper.log");
    wait_for("the keeper to say so", secs(5), || {
        fs::read_to_string(&log).ok().filter(|s| s.contains("wire"))
    });
    let (code, said) = heal();
    assert_eq!(code, 110, "{said}");
    assert!(said.contains("on link `wire` could not be undone") && said.contains("keeper"), "{said}");
    drop(squatter);
    wait_for("new connections to pass", HEALED_WITHIN, || passes(broken.link));
    wait_for("the journal to say so", secs(5), || (heal().0 == 0).then_some(()));
}

#[test]
fn heal_waits_for_a_keeper_that_heals_meanwhile() {
    let mut broken = run_until_in_force("down: { link: wire }");
    let squatter = TcpListener::bind(broken.link).unwrap();
    broken.squall.kill();
    let mut heal = broken.bench.squall(["heal"]);
    heal.arg(broken.bench.run_folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let heal = heal.spawn().unwrap();
    std::thread::sleep(secs(1));
    drop(squatter);
    let (code, said) = code_and_text(&heal.wait_with_output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("on link `wire` is undone"), "{said}");
}

#[test]
fn heal_lets_a_keeper_go_only_when_nobody_uses_its_links() {
    let mut broken = run_until_in_force("latency: { link: wire, latency: 2s }");
    let keeper = broken.bench.keeper();
    broken.squall.kill();
    wait_for("new connections to pass", HEALED_WITHIN, || passes(broken.link));
    let (code, said) =
        code_and_text(&broken.bench.squall(["heal"]).arg(broken.bench.run_folder()).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&keeper.to_string()) && said.contains("connection"), "{said}");
    assert_eq!(broken.idle.ask("GET", "/idle", "").unwrap().status(), 200, "an existing connection");
    drop(broken.idle);
    wait_for("the keeper to leave", secs(5), || is_gone(keeper).then_some(()));
}

/// The next run with the same link, for some seconds; its exit code and what it said.
fn next_run(broken: &Broken) -> (i32, String) {
    let bench = &broken.bench;
    let profile = bench.file("next.yaml", &light_load(&format!("http://{}", broken.link), "3s"));
    let plan = std::fs::read_to_string(bench.folder.join("plan.yaml")).unwrap();
    let plan = bench.file("next-plan.yaml", plan.split_once("timeline:").unwrap().0);
    let mut run = bench.squall(["run"]);
    run.arg(profile).arg("--chaos").arg(plan).arg("--reports").arg(bench.folder.join("next"));
    code_and_text(&run.output().unwrap())
}

#[test]
fn the_run_after_a_kill_takes_the_keepers_ports_over_also_from_connections() {
    let mut broken = run_until_in_force("latency: { link: wire, latency: 2s }");
    let keeper = broken.bench.keeper();
    broken.squall.kill();
    let (code, said) = next_run(&broken);
    assert_eq!(code, 0, "{said}");
    assert!(is_gone(keeper), "it has left");
    assert!(broken.idle.ask("GET", "/idle", "").is_err(), "its connections have ended with it");
}

#[test]
fn a_port_of_a_run_that_goes_on_is_not_taken_and_the_run_is_named() {
    let broken = run_until_in_force("latency: { link: wire, latency: 2s }");
    let (code, said) = next_run(&broken);
    assert_eq!(code, 104, "{said}");
    assert!(
        said.contains("still going on") && said.contains(&format!("pid {}", broken.squall.pid())),
        "{said}"
    );
    assert!(passes(broken.link).is_none(), "the fault is still in force");
}

#[test]
fn a_port_of_a_foreign_program_is_named_with_its_pid() {
    let (bench, server) = (Bench::new("foreign"), Server::fine());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let profile = bench.file("load.yaml", &light_load(&server.url(), "60s"));
    let link = format!("{{ listen: \"{}\", upstream: \"{}\" }}", other.local_addr().unwrap(), server.address);
    let plan = bench.file("plan.yaml", &format!("links:\n  wire: {link}\n"));
    let (code, said) = code_and_text(&bench.run(&profile, Some(&plan)).output().unwrap());
    assert_eq!(code, 104, "{said}");
    assert!(said.contains(&format!("pid {}", std::process::id())) && said.contains("`listen`"), "{said}");
}
