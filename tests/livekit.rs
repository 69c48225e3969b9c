//! A real LiveKit: two nodes that squall starts, with Redis behind a link. `scripts/services.sh livekit up`
//! brings what is needed; without it this test says that it was skipped.
#![allow(clippy::disallowed_methods, reason = "tests on real processes live in real time")]

mod support;

use std::net::TcpStream;
use std::process::Command;

use support::{Bench, code_and_text, forgiven, root, secs, wait_for};

fn services(words: &[&str]) -> std::process::Output {
    Command::new(root().join("scripts/services.sh"))
        .args(words)
        .output()
        .expect("bash runs scripts/services.sh")
}

/// Ends again what the test brought up.
struct Up {
    down_again: bool,
    environment: Vec<(String, String)>,
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.down_again {
            services(&["livekit", "down"]);
        }
    }
}

fn environment() -> Option<Vec<(String, String)>> {
    // The shell reads its own exports back: they may be quoted.
    let script = "eval \"$(scripts/services.sh livekit env)\" && env | grep ^SQUALL_";
    let output = Command::new("bash").args(["-c", script]).current_dir(root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let found: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    found.iter().any(|(name, _)| name == "SQUALL_LIVEKIT_KEY").then_some(found)
}

/// LiveKit, if it is up, or may be brought up here; otherwise says how to get it.
fn livekit() -> Option<Up> {
    if let Some(environment) = environment() {
        // Settings alone are no Redis.
        if TcpStream::connect("127.0.0.1:7379").is_ok() {
            return Some(Up { down_again: false, environment });
        }
    }
    if std::env::var_os("CI").is_none() && std::env::var("SQUALL_SERVICES").as_deref() != Ok("1") {
        forgiven("LiveKit is not up, skipped: run scripts/services.sh livekit up, or set SQUALL_SERVICES=1");
        return None;
    }
    let up = services(&["livekit", "up"]);
    let said = code_and_text(&up).1;
    match up.status.code() {
        Some(0) => environment().map(|environment| Up { down_again: true, environment }),
        Some(3) => {
            forgiven(&format!(
                "LiveKit, skipped: {said}run scripts/services.sh livekit up once that is there"
            ));
            None
        }
        _ => panic!("scripts/services.sh livekit up: {said}"),
    }
}

const PROFILE: &str = r#"
target: http://127.0.0.1:7880
duration: 42s
auth:
  jwt:
    key: ${SQUALL_LIVEKIT_KEY}
    claims:
      iss: devkey
      sub: "user-{{ user }}"
      video: { roomCreate: true, roomList: true, roomAdmin: true }
data:
  burst: { random: { from: 1, to: 50 } }
setup:
  within: 60s
  retries: 3
  steps:
    - repeat:
        times: 200
        parallel: 8
        steps:
          - post: /twirp/livekit.RoomService/CreateRoom
            json: { name: "hall-{{ i }}", empty_timeout: 600 }
            expect: { body: { exists: $.sid } }
teardown:
  within: 20s
  steps:
    - repeat:
        times: 200
        steps:
          - post: /twirp/livekit.RoomService/DeleteRoom
            json: { room: "hall-{{ i }}" }
            expect: { status: [200, 404, 500] }
shapes:
  creators:
    arrival: { constant: { rate: 30/s } }
    users: 30
    timeout: 2s
    flow:
      - post: /twirp/livekit.RoomService/CreateRoom
        as: create_room
        json: { name: "burst-{{ data.burst }}", empty_timeout: 5 }
        expect: { body: { exists: $.sid } }
  listers:
    arrival: { constant: { rate: 2/s } }
    timeout: 2s
    flow:
      - post: /twirp/livekit.RoomService/ListRooms
        as: list_rooms
        json: {}
        items: $.rooms
objectives:
  - errors(create_room) < 5% during baseline
"#;

/// About 17 sequential round trips to Redis make a room: 5 ms more of each are plenty.
const PLAN: &str = r#"
judge: { warmup: 2s, baseline: 6s, windows: 3, stretch: 3s, stretch_windows: 2 }
links:
  redis:
    listen: 127.0.0.1:${SQUALL_REDIS_LINK_PORT}
    upstream: 127.0.0.1:${SQUALL_REDIS_PORT}
    canary: redis
services:
  node-1:
    start: ["${SQUALL_LIVEKIT_BIN}", --config, "${SQUALL_LIVEKIT_DIR}/node-1.yaml"]
    ready: { http: "http://127.0.0.1:7880/" }
  node-2:
    start: ["${SQUALL_LIVEKIT_BIN}", --config, "${SQUALL_LIVEKIT_DIR}/node-2.yaml"]
    ready: { http: "http://127.0.0.1:7890/" }
timeline:
  - name: redis_slow
    at: 12s
    for: 4s
    latency: { link: redis, latency: 5ms }
  - name: redis_pause
    at: 20s
    for: 3s
    exec:
      run: [redis-cli, -p, "${SQUALL_REDIS_PORT}", CLIENT, PAUSE, "3000", ALL]
      undo: [redis-cli, -p, "${SQUALL_REDIS_PORT}", CLIENT, UNPAUSE]
      check: [sh, -c, "timeout 0.2 redis-cli -p ${SQUALL_REDIS_PORT} PING >/dev/null 2>&1; test $? -eq 124"]
  - name: node_kill
    at: 28s
    for: 4s
    kill: { service: node-2 }
"#;

#[test]
fn real_livekit_nodes_run_under_load_and_every_fault_is_proven_and_removed() {
    let Some(up) = livekit() else { return };
    let bench = Bench::new("livekit");
    let (profile, plan) = (bench.file("rooms.yaml", PROFILE), bench.file("redis.yaml", PLAN));
    let mut command = bench.run(&profile, Some(&plan));
    command.envs(up.environment.iter().cloned());
    let mut squall = bench.start(command);
    // 42 s of load, and what setup, two starts and teardown may take.
    let code = squall.end(secs(150)).code();
    let said = squall.said();
    // Before the first fault LiveKit is healthy, and that is all that is asked of it.
    if let Some(97 | 98) = code {
        forgiven(&format!("LiveKit, exit {code:?}: the machine left squall or the baseline no peace"));
    } else {
        assert_eq!(code, Some(0), "{said}");
    }
    let verdict = bench.verdict();
    let faults = verdict["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 3);
    for fault in faults {
        for stage in ["injected", "effective", "cleared", "verified"] {
            assert!(fault[stage].is_number(), "{stage} of {fault}\n{said}");
        }
        assert!(fault["problem"].is_null(), "{fault}");
    }
    let slow = faults.iter().find(|fault| fault["name"] == "redis_slow").unwrap();
    assert!(slow["touched"]["bytes"].as_u64().unwrap() > 0, "real traffic was delayed: {slow}");
    let errors = verdict["errors"].as_array().unwrap();
    assert!(!errors.is_empty(), "a paused Redis and a dead node are felt: {said}");
    // What was never reached has none.
    for error in errors.iter().filter(|error| error["kind"] != "unreached") {
        let samples = error["samples"].as_array().unwrap();
        assert!((1..=6).contains(&samples.len()), "{error}");
    }
    let history = std::fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    assert!(history.contains("\"complete\""), "it ran to its end: {said}");
    assert!(history.contains("\"items\""), "lists have sizes");
    wait_for("every process to end", secs(10), || bench.processes().is_empty().then_some(()));
    for port in [7880, 7890, 7380] {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "port {port} is free again");
    }
    println!("livekit: exit {code:?}, {} kinds of error", errors.len());
}
