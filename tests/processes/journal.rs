//! The undo journal under bad conditions: torn, damaged, on a full disk; on real processes.

use std::fs;
use std::io::Write as _;

use rustix::process::Signal;

use crate::support::http::Server;
use crate::support::{Bench, code_and_text, secs, signal, wait_for};

#[test]
fn a_keeper_that_can_tell_nobody_what_failed_goes_on_undoing() {
    let bench = Bench::new("mute");
    let flag = bench.file("flag", "");
    let exec = |id: u64, undo: serde_json::Value| {
        let undo = serde_json::json!({ "exec": { "fault": "x", "undo": undo, "check": ["false"] } });
        serde_json::json!({ "open": { "id": id, "undo": undo } }).to_string() + "\n"
    };
    // The latest is undone first, and fails.
    let text = exec(0, serde_json::json!(["rm", flag])) + &exec(1, serde_json::json!(["false"]));
    let journal = bench.file("journal.jsonl", &text);
    let mut keeper = bench.squall(["keeper"]);
    keeper.arg(&journal).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    keeper.stderr(fs::File::options().write(true).open("/dev/full").unwrap());
    let mut keeper = keeper.spawn().unwrap();
    let goodbye = "{\"id\":0,\"ask\":{\"ask\":\"dismiss\"}}\n";
    keeper.stdin.take().unwrap().write_all(goodbye.as_bytes()).unwrap();
    assert_eq!(keeper.wait().unwrap().code(), Some(0));
    assert!(!flag.exists());
}

/// As in a container that shares the folder: there the pid is another's, or nobody's.
#[test]
fn a_run_that_goes_on_where_its_pid_means_nothing_is_not_healed() {
    let (bench, server) = (Bench::new("elsewhere"), Server::fine());
    let flag = bench.folder.join("flag");
    let shown = flag.display();
    let exec = format!("run: [touch, {shown}], undo: [rm, -f, {shown}], check: [test, -e, {shown}]");
    let plan = format!("timeline:\n  - {{ name: broken, at: 2s, for: 40s, exec: {{ {exec} }} }}\n");
    let mut squall = bench.start(bench.light_run(&server.url(), "60s", &plan));
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    let journal = bench.run_folder().join("journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let elsewhere = text.replacen("\"start\":", "\"start\":9", 1);
    // In its place: squall has the file, whatever is in it, and goes on with it.
    fs::write(&journal, elsewhere).unwrap();
    let heal = || code_and_text(&bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap());
    let (code, said) = heal();
    assert!(code == 0 && said.contains("still going on") && flag.exists() && !squall.ended(), "{said}");
    signal(bench.keeper(), Signal::KILL);
    squall.kill();
    let (code, said) = heal();
    assert!(code == 0 && said.contains("hook `broken` is undone") && !flag.exists(), "{said}");
}

#[test]
fn damaged_lines_in_a_journal_hide_no_others() {
    let bench = Bench::new("damaged");
    let flag = bench.file("flag", "");
    let undo = serde_json::json!({ "exec": { "fault": "x", "undo": ["rm", flag], "check": ["false"] } });
    let entry = serde_json::json!({ "open": { "id": 0, "undo": undo } }).to_string();
    let text = [b"\xff\xfe\x00\n".as_slice(), entry.as_bytes(), b"\n\xff"].concat();
    fs::write(bench.folder.join("journal.jsonl"), text).unwrap();
    let (code, said) = code_and_text(&bench.squall(["heal"]).arg(&bench.folder).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("hook `x` is undone") && !flag.exists(), "{said}");
}

#[test]
fn what_is_written_after_a_torn_line_of_the_journal_counts() {
    let bench = Bench::new("torn-then-whole");
    let flag = bench.folder.join("flag");
    let shown = flag.display();
    let second = format!(
        "  - {{ name: broken, at: 4s, for: 40s, \
         exec: {{ run: [touch, {shown}], undo: [rm, -f, {shown}], check: [test, -e, {shown}] }} }}\n"
    );
    let (first, second) =
        (second.replace("40s", "1s").replace("broken", "torn"), second.replace("4s,", "8s,"));
    let plan = format!("timeline:\n{first}{second}");
    let mut squall = bench.start(bench.light_run("{ sandbox: { start_time: 10ms } }", "60s", &plan));
    bench.wait_for_history(&["\"header\""]);
    let journal = bench.run_folder().join("journal.jsonl");
    let limit = |bytes: u64| {
        let squall = rustix::process::Pid::from_raw(squall.pid());
        let limit = rustix::process::Rlimit { current: Some(bytes), maximum: None };
        rustix::process::prlimit(squall, rustix::process::Resource::Fsize, limit).unwrap();
    };
    // 20 bytes of the next line have room; the history is far smaller.
    let whole = 4 << 20;
    let file = fs::File::options().append(true).open(&journal).unwrap();
    let padding = whole - 20 - fs::metadata(&journal).unwrap().len() as usize;
    (&file).write_all(&vec![b'\n'; padding]).unwrap();
    limit(whole as u64);
    bench.wait_for_history(&["\"torn\"", "\"not_effective\""]);
    assert_eq!(fs::metadata(&journal).unwrap().len(), whole as u64, "a torn line");
    limit(u64::MAX >> 1);
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    assert!(flag.exists());
    squall.kill();
    wait_for("the hook to be undone", secs(5), || (!flag.exists()).then_some(()));
}
