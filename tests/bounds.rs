//! What runs of hours and days cost: memory while they go on, time and memory to judge and report them. Those of a
//! day are ignored here and run by `make long`, as optimised as what users have.
#![allow(clippy::disallowed_methods, reason = "tests on real processes live in real time")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::http::Server;
use support::{Bench, Running, free_address, secs, wait_for};

/// Two shapes that answer at once, a slow link every so often, and rules that look back.
fn virtual_run(bench: &Bench, duration: &str, fault: &str) -> Command {
    let profile = format!(
        "target: {{ sandbox: {{ rooms: 20 }} }}\nduration: {duration}\ndata: {{ n: {{ random: {{ from: 1, to: 9 }} }} }}\n\
         shapes:\n  readers:\n    arrival: {{ constant: {{ rate: 4/s }} }}\n    timeout: 2s\n    \
         flow: [{{ get: \"/rooms/seed-00000{{{{ data.n }}}}\", as: get_room }}]\n  \
         listers:\n    arrival: {{ poisson: {{ rate: 1/s }} }}\n    timeout: 2s\n    probes: false\n    \
         flow: [{{ get: \"/rooms?limit=10\", as: list_rooms, items: $.rooms }}]\n\
         objectives: [p99(get_room) < 500ms, errors < 5%, \"errors(get_room) < 1% for 10m\", recovery(slow) < 2m]\n"
    );
    let plan = format!(
        "judge: {{ warmup: 1m, baseline: 5m, windows: 10, stretch: 1m, stretch_windows: 3 }}\n\
         abort: [errors(get_room) > 90% for 1m]\n\
         timeline:\n  - {{ name: slow, {fault}, latency: {{ link: api-store, latency: 100ms }} }}\n"
    );
    let (profile, plan) = (bench.file("long.yaml", &profile), bench.file("slow.yaml", &plan));
    let mut run = bench.run(&profile, Some(&plan));
    run.args(["--virtual", "--seed", "7", "--shards", "1", "-q"]);
    run
}

/// A line of `/proc/PID/status` in MB (proc(5)); none if it is gone.
fn status(pid: i32, name: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb / 1_024.0)
}

/// The exit code, how long it took, and the most memory that it had in MB.
fn cost(mut running: Running, within: Duration) -> (Option<i32>, Duration, f64) {
    let (began, mut most) = (Instant::now(), 0.0_f64);
    wait_for("its end", within, || {
        most = most.max(status(running.pid(), "VmHWM:").unwrap_or(0.0));
        running.ended().then_some(())
    });
    (running.end(secs(1)).code(), began.elapsed(), most)
}

/// Waits until the history has come to this cell.
fn wait_for_cell(bench: &Bench, cell: u32, within: Duration) {
    let wanted = format!("\"t\":\"happened\",\"cell\":{cell},");
    let mut file = fs::File::open(bench.run_folder().join("history.jsonl")).unwrap();
    let mut new = String::new();
    wait_for("the cell", within, || {
        // What the last look ended with may be half of it.
        new.drain(..new.len().saturating_sub(wanted.len()));
        file.read_to_string(&mut new).unwrap();
        new.contains(&wanted).then_some(())
    });
}

/// Memory in MB at these cells of a run.
fn memory_at(bench: &Bench, running: &Running, cells: &[u32], within: Duration) -> Vec<f64> {
    let at = cells.iter().map(|&cell| {
        wait_for_cell(bench, cell, within);
        status(running.pid(), "VmRSS:").expect("it still runs")
    });
    at.collect()
}

fn judged_again(bench: &Bench, folder: &Path, within: Duration) -> (Option<i32>, Duration, f64) {
    let mut report = bench.squall(["report"]);
    report.arg(folder).arg("-q");
    cost(bench.start(report), within)
}

#[test]
fn an_hour_in_virtual_time_takes_flat_memory_and_little_to_judge() {
    let bench = Bench::new("hour");
    let running = bench.start(virtual_run(&bench, "1h", "at: 20m, for: 2m"));
    wait_for("the run", secs(20), || bench.has_run().then_some(()));
    let memory = memory_at(&bench, &running, &[400, 3_300], secs(120));
    assert!(memory[1] - memory[0] < 8.0, "MB after 400 s and after 3,300 s: {memory:?}");
    let (code, ..) = cost(running, secs(60));
    assert_eq!(code, Some(0));
    let (code, took, most) = judged_again(&bench, &bench.run_folder(), secs(60));
    println!("an hour: {memory:?} MB while it runs; judged and reported in {took:?} with {most:.0} MB");
    assert_eq!(code, Some(0));
    assert!(took < secs(15) && most < 128.0, "{took:?}, {most} MB");
}

/// Clients that hold a pool or listen for events wait most of the time: each took 38 kB of the keeper.
#[test]
fn connections_that_wait_on_a_link_take_little_memory() {
    let (bench, target, link) = (Bench::new("idle"), Server::fine(), free_address());
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in upstream.incoming().flatten() {
            stream.write_all(b"+").unwrap();
            held.push(stream);
        }
    });
    let plan = format!("links:\n  wire: {{ listen: \"{link}\", upstream: \"{address}\" }}\n");
    let _running = bench.start(bench.light_run(&format!("http://{}", target.address), "60s", &plan));
    let greeted = || {
        let mut stream = TcpStream::connect(link).ok()?;
        stream.read_exact(&mut [0]).ok()?;
        Some(stream)
    };
    let first = wait_for("the link", secs(10), greeted);
    let memory = || status(bench.keeper(), "VmRSS:").expect("the keeper runs");
    let before = memory();
    let waiting: Vec<TcpStream> = (0..300).map(|_| greeted().expect("a connection")).collect();
    let each = (memory() - before) * 1_024.0 / waiting.len() as f64;
    println!("a connection that waits on a link: {each:.1} kB of the keeper");
    assert!(each < 16.0, "{each} kB");
    drop(first);
}

#[test]
#[ignore = "minutes: make long"]
fn a_day_in_virtual_time_is_judged_and_reported_in_ten_seconds_and_512_mb() {
    let bench = Bench::new("day");
    let running = bench.start(virtual_run(&bench, "24h", "at: 2h, every: 2h, times: 10, for: 10m"));
    wait_for("the run", secs(20), || bench.has_run().then_some(()));
    let memory = memory_at(&bench, &running, &[1_200, 84_000], secs(900));
    println!("a day in virtual time: {memory:?} MB after 20 minutes and after 23 hours");
    assert!(memory[1] - memory[0] < 8.0, "{memory:?}");
    let (code, ..) = cost(running, secs(120));
    assert_eq!(code, Some(0));
    let (code, took, most) = judged_again(&bench, &bench.run_folder(), secs(120));
    println!("a day: judged and reported in {took:?} with {most:.0} MB");
    assert_eq!(code, Some(0));
    assert!(took < secs(10) && most < 512.0, "{took:?}, {most} MB");
}

#[test]
#[ignore = "minutes: make long"]
fn at_five_thousand_a_second_memory_is_flat_and_small() {
    let (bench, address) = (Bench::new("rate"), free_address());
    let mut server = bench.squall(["bench-server", "--listen"]);
    let _server = server.arg(address.to_string()).spawn().map(Ended).unwrap();
    let profile = format!(
        "target: http://{address}\nduration: 24h\nshapes:\n  load:\n    arrival: {{ constant: {{ rate: 5000/s }} }}\n    \
         timeout: 2s\n    probes: false\n    flow: [{{ get: /, as: look }}]\nobjectives: [errors < 1%]\n"
    );
    let profile = bench.file("day.yaml", &profile);
    wait_for("the server", secs(5), || TcpStream::connect(address).ok());
    let mut running = bench.start(bench.run(&profile, None));
    wait_for("the run", secs(30), || bench.has_run().then_some(()));
    let memory = memory_at(&bench, &running, &[60, 120, 180, 300], secs(150));
    println!("5,000/s of a day's plan: {memory:.1?} MB after 1, 2, 3 and 5 minutes");
    assert!(memory[3] < 64.0 && memory[3] - memory[1] < 3.0, "{memory:?}");
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.end(secs(30)).code(), Some(105), "{}", running.said());
}

/// Ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
