//! The engine, the judge and the shipped files on real sockets. S1 is the one two-sided test on sockets, and
//! runs while nothing else of this file does.
#![allow(clippy::disallowed_methods, reason = "tests on real processes live in real time")]

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use squall::units::Micros;

use support::http::Server;
use support::witness::{Seen, Witness};
use support::{Bench, Running, code_and_text, forgiven, free_address, listens_at, root, secs, wait_for};

/// Who needs the cores alone takes it for writing: two cores are few.
static CORES: RwLock<()> = RwLock::new(());

fn beside() -> RwLockReadGuard<'static, ()> {
    CORES.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    CORES.write().unwrap_or_else(PoisonError::into_inner)
}

fn outcome(mut command: Command) -> (i32, String) {
    code_and_text(&command.output().unwrap())
}

/// A target that answers at once.
fn bored(bench: &Bench, address: SocketAddr) -> Command {
    let mut target = bench.command(env!("CARGO_BIN_EXE_squall"));
    target.args(["bench-server", "--listen", &address.to_string()]);
    target
}

fn started(bench: &Bench, target: Command, address: SocketAddr) -> Running {
    let target = bench.start(target);
    wait_for("the target", secs(5), || std::net::TcpStream::connect(address).ok());
    target
}

/// What was measured for the objective that begins so, in seconds.
fn measured(verdict: &Value, beginning: &str) -> f64 {
    let objectives = verdict["objectives"].as_array().unwrap();
    let found = objectives.iter().find(|o| o["text"].as_str().unwrap().starts_with(beginning));
    found.unwrap_or_else(|| panic!("no objective {beginning}"))["measured"]["value"].as_f64().unwrap() / 1e6
}

/// Two hundred requests per second, whatever becomes of them.
const OPEN: &str = "arrival: { constant: { rate: 200/s } }\n    flow: [{ get: /job, as: job }]";
/// As many of a hundred users who ask twice a second, unless they still wait for an answer.
const CLOSED: &str =
    "arrival: { closed: { users: 100 } }\n    flow: [{ get: /job, as: job }, { think: 499ms }]";

/// The plain server with 1 ms of service, stopped for 2 s in so many seconds after a second of warm-up.
fn stall(bench: &Bench, shape: &str, seconds: u32) -> Command {
    let profile = format!(
        "target: {{ sandbox: {{ start_time: 10ms, plain: {{ service: 1ms }} }} }}\nduration: {}s\nshapes:\n  load:\n    \
         {shape}\n    timeout: 10s\n    probes: false\n\
         objectives: [\"p99(job) < 60s\", \"p97(job) < 60s\", \"p50(job) < 60s\"]\n",
        seconds + 1
    );
    let profile = bench.file("s1.yaml", &profile);
    let plan = bench.file(
        "stall.yaml",
        &format!(
            "judge: {{ warmup: 1s, baseline: 5s, windows: 5, stretch: 2s, stretch_windows: 2 }}\n\
             timeline:\n  - {{ name: stall, at: {}s, for: 2s, pause: {{ service: plain }} }}\n",
            seconds / 2
        ),
    );
    bench.run(&profile, Some(&plan))
}

fn stalled(bench: &Bench, shape: &str, seconds: u32) -> (Value, String) {
    let (_, said) = outcome(stall(bench, shape, seconds));
    (bench.verdict(), said)
}

#[test]
fn a_closed_loop_shows_the_service_time_and_squall_says_why() {
    let _beside_others = beside();
    let bench = Bench::new("closed");
    // In half the fixture's time, and so at twice its share: an open loop's p97 would be longer than a second.
    let (verdict, said) = stalled(&bench, CLOSED, 30);
    let (p50, p97) = (measured(&verdict, "p50"), measured(&verdict, "p97"));
    println!("closed loop of 100: p50 {p50:.4} s, p97 {p97:.4} s");
    // The stall met each user once: 100 of 6,000 requests. What is left is a millisecond and the machine.
    assert!(p50 < 0.010 && p97 < 0.500, "the stall is hidden: {said}");
    assert!(said.contains("closed loop") || verdict.to_string().contains("closed loop"), "{said}");
}

/// Twelve seconds of a load that any target bears, what its p99 must stay below, and how many may be in flight.
fn light_load(bench: &Bench, target: &str, (p99, cap): (&str, &str)) -> PathBuf {
    let profile = format!(
        "target: {target}\nduration: 12s\njudge: {{ warmup: 1s }}\nshapes:\n  load:\n    \
         arrival: {{ constant: {{ rate: 100/s }} }}\n    timeout: 1s\n    in_flight: {cap}\n    \
         flow: [{{ get: /look, as: look }}]\nobjectives: [\"p99(look) < {p99}\", \"errors < 0.5%\"]\n"
    );
    bench.file("load.yaml", &profile)
}

/// A target that answers at once, whatever happens to squall.
fn frozen(length: Duration, cap: &str) {
    let _beside_others = beside();
    let (bench, server) = (Bench::new("frozen"), Server::fine());
    let profile = light_load(&bench, &server.url(), ("250ms", cap));
    let mut squall = bench.start(bench.run(&profile, None));
    bench.wait_for_history(&["\"t\":\"happened\",\"cell\":4,"]);
    squall.signal(Signal::STOP);
    // Not a wait for anything: this is how long squall is frozen.
    std::thread::sleep(length);
    squall.signal(Signal::CONT);
    let code = squall.end(secs(60)).code();
    let said = squall.said();
    assert!(matches!(code, Some(0 | 97)), "never FAIL: {said}");
    let verdict = bench.verdict();
    let generator = verdict["summary"]["generator"].to_string();
    println!("frozen for {length:?}: exit {code:?}, {generator}");
    assert!(generator.contains("unsound"), "who stood still: {generator}\n{said}");
    let errors = verdict["errors"].as_array().unwrap();
    let late = errors.iter().filter(|error| error["kind"] == "late").map(Value::to_string);
    let told = late.clone().all(|error| error.contains("after it was due"));
    assert!(told && (length < secs(5) || late.count() > 0), "by a sample: {errors:?}");
}

#[test]
fn a_healthy_target_is_not_blamed_when_squall_is_frozen_for_half_a_second() {
    frozen(Duration::from_millis(500), "1000");
}

#[test]
fn a_healthy_target_is_not_blamed_when_squall_is_frozen_for_five_seconds() {
    frozen(secs(5), "1000");
}

#[test]
fn a_healthy_target_is_not_blamed_for_what_the_cap_sheds_of_the_burst_after_a_freeze() {
    frozen(secs(2), "10");
}

/// As a container does that has used up its share of a processor: too short for a heartbeat to be a standstill.
#[test]
fn a_healthy_target_is_not_blamed_when_users_think_for_longer_since_squall_has_no_processor() {
    let _beside_others = beside();
    let (bench, server) = (Bench::new("quota"), Server::fine());
    let profile = format!(
        "target: {}\nduration: 8s\njudge: {{ warmup: 1s }}\nshapes:\n  users:\n    arrival: {{ closed: {{ users: 10 }} }}\n    \
         timeout: 1s\n    flow: [{{ get: /look, as: look }}, {{ think: 50ms }}]\nobjectives: [\"rate(look) > 150/s\"]\n",
        server.url()
    );
    let mut squall = bench.start(bench.run(&bench.file("load.yaml", &profile), None));
    bench.wait_for_history(&["\"t\":\"happened\",\"cell\":1,"]);
    for _ in 0..55 {
        squall.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(70));
        squall.signal(Signal::CONT);
        std::thread::sleep(Duration::from_millis(30));
    }
    let code = squall.end(secs(60)).code();
    let said = squall.said();
    println!(
        "seven tenths of a processor's time refused: exit {code:?}, {}",
        bench.verdict()["objectives"][0]["reason"]
    );
    assert!(matches!(code, Some(0 | 97)), "never FAIL: {said}");
}

/// What shares the cores with nothing: `make test-sockets` runs these by themselves, before the others of this file
/// (which would otherwise wait for them, three at a time).
mod alone {
    use super::*;

    /// Processes that keep one core busy until they are dropped, or a minute has passed.
    struct Busy(Vec<std::process::Child>);

    impl Busy {
        fn on(core: &str, loops: usize) -> Busy {
            Busy((0..loops).map(|_| Busy::one(&["-c", core])).collect())
        }

        /// One that runs only where nobody else wants to: a machine below this one may take its time to wake a core
        /// that has nothing to do.
        fn awake(core: &str) -> Busy {
            Busy(vec![Busy::one(&["-c", core, "chrt", "-i", "0"])])
        }

        fn one(how: &[&str]) -> std::process::Child {
            let mut command = Command::new("taskset");
            command.args(how).args(["timeout", "60", "sh", "-c", "while :; do :; done"]).spawn().unwrap()
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            for child in &mut self.0 {
                // `timeout` passes it on to its child.
                let pid = rustix::process::Pid::from_child(child);
                rustix::process::kill_process(pid, Signal::TERM).unwrap();
                child.wait().unwrap();
            }
        }
    }

    /// The first and the last core that this process may use.
    fn cores() -> (String, String) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        let mut cores = list.trim().split([',', '-']).map(str::to_owned);
        let first = cores.next().unwrap();
        let last = cores.next_back().unwrap_or_else(|| first.clone());
        (first, last)
    }

    /// The same command on one core.
    fn pinned(bench: &Bench, core: &str, run: &Command) -> Command {
        let mut pinned = bench.command("taskset");
        pinned.args(["-c", core]).arg(run.get_program()).args(run.get_args());
        pinned
    }

    /// A target on a core of its own that answers at once.
    fn bored_on(bench: &Bench, core: &str, address: SocketAddr) -> Running {
        started(bench, pinned(bench, core, &bored(bench, address)), address)
    }

    /// The target has another core, which the system would not always give it, and answers in far less than the
    /// objective's 2 ms; what is longer is squall's own doing. If a witness that never waits for squall's core saw it
    /// so slow for half of what the objective allows, it is measured again, twice at most.
    #[test]
    fn a_healthy_target_is_not_blamed_when_squall_shares_its_core_with_busy_loops() {
        let _alone = alone();
        let (core, other) = cores();
        for attempt in 1..=3 {
            let (bench, address) = (Bench::new("busy"), free_address());
            let _target = bored_on(&bench, &other, address);
            let profile = light_load(&bench, &format!("http://{address}"), ("2ms", "1000"));
            let run = bench.run(&profile, None);
            let busy = [Busy::on(&core, 4), Busy::awake(&other)];
            let witness = Witness::first_on(&core, address);
            let (code, said) = outcome(pinned(&bench, &core, &run));
            let seen = witness.question();
            drop(busy);
            let verdict = bench.verdict();
            let generator = verdict["summary"]["generator"].to_string();
            let p99 = measured(&verdict, "p99");
            let slow = seen.slow(Duration::from_millis(2));
            println!(
                "beside four busy loops: exit {code}, p99 {p99:.4} s, {generator}; slow for others: {slow:.4}"
            );
            if code == 99 && slow >= 0.005 && attempt < 3 {
                forgiven(&format!(
                    "busy loops, attempt {attempt}: FAIL, as the target was slow for a witness too"
                ));
                continue;
            }
            assert!(matches!(code, 0 | 97), "never FAIL: {said}");
            assert!(generator.contains("left within"), "how late squall was: {generator}");
            if code == 97 {
                let why = verdict["summary"]["verdict"].to_string();
                assert!(
                    why.contains("without squall's own part") && why.contains("held up"),
                    "who was late: {why}"
                );
            }
            return;
        }
    }

    /// Far more than one core can send: what is ready waits for its turn in squall, and the target has nothing to do.
    #[test]
    fn a_healthy_target_is_not_blamed_for_what_a_generator_at_its_limit_cannot_send() {
        let _alone = alone();
        let ((core, other), bench, address) = (cores(), Bench::new("limit"), free_address());
        let _target = bored_on(&bench, &other, address);
        let profile = format!(
            "target: http://{address}\nduration: 3s\njudge: {{ warmup: 1s }}\nshapes:\n  load:\n    \
             arrival: {{ constant: {{ rate: 25000/s }} }}\n    timeout: 3s\n    flow: [{{ get: /look, as: look }}]\n\
             objectives: [\"p95(look) < 50ms\"]\n"
        );
        let profile = bench.file("load.yaml", &profile);
        let mut run = bench.run(&profile, None);
        run.args(["--shards", "1"]);
        let (code, said) = outcome(pinned(&bench, &core, &run));
        println!("asked for 25,000/s of one core: exit {code}");
        assert!(matches!(code, 0 | 97), "never FAIL: {said}");
    }

    /// The same, and what a witness saw of the plain server.
    fn stalled_before_a_witness(bench: &Bench, shape: &str, seconds: u32) -> (Value, String, Seen) {
        let mut squall = bench.start(stall(bench, shape, seconds));
        bench.wait_for_history(&["\"service\":\"plain\"", "\"ready\""]);
        let witness =
            bench.processes().into_iter().find_map(listens_at).map(Witness::of).expect("plain listens");
        squall.end(secs(120));
        (bench.verdict(), squall.said(), witness.question())
    }

    /// A wait would be of a second and more. Where a witness, whose connection is its own, and squall's heartbeat met the
    /// machine too late for the fixture's 5 ms in half a percent of the time besides, it is measured again, twice at most.
    #[test]
    fn with_one_connection_the_wait_for_it_counts_as_response_and_not_as_service() {
        let _alone = alone();
        for attempt in 1..=3 {
            let bench = Bench::new("pool");
            // In half the fixture's time: what is asserted here holds in it as well.
            let (verdict, said, seen) =
                stalled_before_a_witness(&bench, &format!("{OPEN}\n    connections: 1"), 30);
            let response = measured(&verdict, "p99");
            assert!(response >= 1.49, "{said}");
            let (services, heartbeats) = bench.services_and_heartbeats();
            let service = services.quantile(0.99).unwrap();
            // The service itself takes 1 ms.
            let slow = seen.slow_besides(Duration::from_millis(4));
            let held = 1.0 - heartbeats.count_at_most(Micros::millis(4)) as f64 / heartbeats.len() as f64;
            let seen =
                format!("service p99 {service}, slow for others {slow:.4}, for squall itself {held:.4}");
            println!("one connection: response p99 {response:.3} s, {seen}");
            if service.0 < 5_000 {
                return;
            }
            assert!(slow + held >= 0.005 && attempt < 3, "{seen}: {said}");
            forgiven(&format!("one connection, attempt {attempt}: {seen}"));
        }
    }

    /// VERDICTS.md 4: q = S - (1 - rho)(1 - q) T + s, S as the witness saw it: how soon the kernel wakes a process
    /// is not squall's to promise. Measured again, three times at most, if the machine was busy with something else: what
    /// came out then says nothing. Connections are capped at 64, far more than it takes to keep the server busy: to
    /// accept the 400 that would pile up costs the unoptimised server 20 ms.
    #[test]
    fn s1_a_stall_shows_in_full_in_an_open_loop_on_sockets() {
        let _alone = alone();
        for attempt in 1..=4 {
            let bench = Bench::new("s1");
            let (verdict, said, seen) =
                stalled_before_a_witness(&bench, &format!("{OPEN}\n    connections: 64"), 60);
            let stall = seen.stall.as_secs_f64();
            println!("S1: stalled for {stall:.4} s, and late by at most {:?} besides", seen.else_late);
            let mut off = Vec::new();
            if (stall / 2.0 - 1.0).abs() >= 0.02 {
                off.push(format!("stalled for {stall:.4} s instead of 2 s"));
            }
            // Where the stall was the fixture's own, so must its literals be.
            let as_planned = (stall - 2.0).abs() < 0.005;
            for (quantile, rest, fixture) in [("p99", 0.01, 1.521), ("p97", 0.03, 0.561)] {
                let (measured, expected) = (measured(&verdict, quantile), stall - 0.8 * rest * 60.0 + 0.001);
                println!("S1 {quantile}: {measured:.3} s, expected {expected:.3} s, as planned {fixture} s");
                for expected in [Some(expected), as_planned.then_some(fixture)].into_iter().flatten() {
                    if (measured / expected - 1.0_f64).abs() >= 0.02 {
                        off.push(format!("{quantile} {measured:.3} s instead of {expected:.3} s"));
                    }
                }
            }
            if off.is_empty() {
                return;
            }
            let disturbed = seen.else_late > Duration::from_millis(5) || !as_planned;
            assert!(
                disturbed && attempt < 4,
                "{off:?}, late besides by at most {:?}: {said}",
                seen.else_late
            );
            forgiven(&format!(
                "S1, attempt {attempt}: {off:?}, as the machine was late by {:?}",
                seen.else_late
            ));
        }
    }
}

/// A shipped file with the numbers of its timeline made shorter; `swaps` are checked to be there.
fn shorter(bench: &Bench, file: &str, swaps: &[(&str, &str)]) -> PathBuf {
    let mut text = std::fs::read_to_string(root().join(file)).unwrap();
    for (long, short) in swaps {
        assert!(text.contains(long), "{file} has no `{long}` any more: the test's short form is out of date");
        text = text.replace(long, short);
    }
    bench.file(file.rsplit('/').next().unwrap(), &text)
}

/// The times of the sandbox's plans: a baseline of 9 s instead of 25 s.
const JUDGE: (&str, &str) = (
    "judge: { warmup: 5s, baseline: 25s, windows: 10, stretch: 10s, stretch_windows: 5 }",
    "judge: { warmup: 2s, baseline: 9s, windows: 4, stretch: 4s, stretch_windows: 2 }",
);

/// Passes, at the third time at the latest: beside other work a baseline of a few seconds may not hold still,
/// and squall then says so. That a healthy sandbox FAILs is forgiven only where the machine was not the same all along
/// for others either: an operation is two exchanges between processes at least, so what moved the p95 of a bored
/// server's by 1 ms moves it by the 2 ms that the narrowest band allows.
fn passes(profile: &str, profile_swaps: &[(&str, &str)], chaos: Option<(&str, &[(&str, &str)])>) {
    for attempt in 1..=3 {
        let _beside_others = (attempt == 1).then(beside);
        let _alone = (attempt > 1).then(alone);
        let (bench, address) = (Bench::new("shipped"), free_address());
        let profile_file = shorter(&bench, profile, profile_swaps);
        let plan = chaos.map(|(file, swaps)| shorter(&bench, file, swaps));
        let _bored = started(&bench, bored(&bench, address), address);
        let witness = Witness::of(address);
        let (code, said) = outcome(bench.run(&profile_file, plan.as_deref()));
        let moved = witness.question().moved();
        let what = format!("{profile} x {}", chaos.map_or("nothing", |(file, _)| file));
        println!("{what}: exit {code} at attempt {attempt}; moved for others by {moved:?}");
        if code == 0 {
            return;
        }
        let machine = matches!(code, 97 | 98) || code == 99 && moved >= Duration::from_millis(1);
        assert!(machine && attempt < 3, "{what}: {code}, moved for others by {moved:?}: {said}");
        forgiven(&format!("{what}, attempt {attempt}: exit {code}, moved for others by {moved:?}"));
    }
}

/// Shorter, and with more traffic, so that quantiles still have their bounds.
const SHORT_MIX: &[(&str, &str)] = &[
    ("duration: 90s", "duration: 32s"),
    ("from: 0, to: 499", "from: 0, to: 99"),
    ("times: 500", "times: 100"),
    ("rate: 40/s", "rate: 60/s"),
    ("rate: 20/s", "rate: 60/s"),
    ("rate: 10/s", "rate: 30/s"),
];

#[test]
fn steady_mix_passes_while_the_store_is_slow() {
    let swaps = [
        ("warmup: 5s", "warmup: 2s"),
        ("baseline: 25s", "baseline: 9s"),
        ("windows: 10", "windows: 4"),
        ("stretch: 10s", "stretch: 4s"),
        ("stretch_windows: 5", "stretch_windows: 2"),
        ("at: 33s", "at: 14s"),
        ("for: 20s", "for: 5s"),
        ("recovery(store_slow) < 10s", "recovery(store_slow) < 6s"),
    ];
    passes("profiles/steady-mix.yaml", SHORT_MIX, Some(("chaos/store-latency.yaml", &swaps)));
}

#[test]
fn steady_mix_passes_while_nodes_are_killed_and_restarted() {
    let swaps = [
        JUDGE,
        ("at: 33s", "at: 14s"),
        ("for: 5s", "for: 2s"),
        ("at: 62s", "at: 26s"),
        ("restart: { service: api-2 }", "restart: { service: api-2 }\n    settle: 3s"),
        ("recovery(node_kill) < 12s", "recovery(node_kill) < 5s"),
        ("recovery(node_restart) < 12s", "recovery(node_restart) < 5s"),
    ];
    let longer: Vec<_> = SHORT_MIX[1..].iter().copied().chain([("duration: 90s", "duration: 40s")]).collect();
    passes("profiles/steady-mix.yaml", &longer, Some(("chaos/node-restart.yaml", &swaps)));
}

#[test]
fn steady_mix_passes_when_the_store_fails_over() {
    let swaps = [
        JUDGE,
        ("at: 33s", "at: 14s"),
        ("outage: 4s", "outage: 1500ms"),
        ("outage(store_failover) < 15s", "outage(store_failover) < 10s"),
        ("recovery(store_failover) < 20s", "recovery(store_failover) < 10s"),
    ];
    passes("profiles/steady-mix.yaml", SHORT_MIX, Some(("chaos/store-failover.yaml", &swaps)));
}

#[test]
fn room_creation_bursts_pass_on_a_healthy_sandbox() {
    passes("profiles/room-creation-burst.yaml", &[("duration: 90s", "duration: 31s")], None);
}

#[test]
fn a_list_passes_as_long_as_it_has_pages() {
    let swaps = [
        ("duration: 102s", "duration: 32s"),
        ("start: 87s", "start: 20s"),
        ("for: 12s", "for: 6s"),
        ("rooms: 2000", "rooms: 500"),
    ];
    passes("profiles/unbounded-list.yaml", &swaps, None);
}
