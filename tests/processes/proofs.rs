//! What is said of faults that go wrong: hooks, services that do not come back; on real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::http::Server;
use crate::support::{Bench, Running, free_address, secs, serve, wait_for};

/// A run of some seconds against a server of the test's own, with this plan below the judge's line.
fn start(bench: &Bench, server: &Server, plan: &str) -> Running {
    let mut run = bench.light_run(&server.url(), "7s", plan);
    run.current_dir(&bench.folder);
    bench.start(run)
}

/// What the history has of the one fault.
fn events(bench: &Bench) -> Vec<serde_json::Value> {
    let history = fs::read_to_string(bench.run_folder().join("history.jsonl")).unwrap();
    let events = history.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events.filter(|event| event["t"] == "fault").collect()
}

/// Its stages with their details.
fn stages(bench: &Bench) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    events(bench).iter().map(|event| (text(&event["stage"]), text(&event["detail"]))).collect()
}

/// Milliseconds from one of its stages to another.
fn between(bench: &Bench, from: &str, to: &str) -> i64 {
    let events = events(bench);
    let at = |stage| events.iter().find(|event| event["stage"] == stage).unwrap()["at"].as_i64().unwrap();
    (at(to) - at(from)) / 1_000
}

fn hook(run: &str, undo: &str) -> String {
    format!(
        "timeline:\n  - name: broken\n    at: 2s\n    for: 1s\n    exec:\n      run: [sh, -c, \"{run}\"]\n      \
         undo: [sh, -c, \"{undo}\"]\n      check: [test, -e, flag]\n"
    )
}

#[test]
fn a_hook_that_fails_is_told_with_its_status_and_its_own_words() {
    let denied = "echo permission denied for table rooms >&2; exit 13";
    let told = "exit status: 13; it said: permission denied for table rooms";
    let check =
        hook("touch flag", "rm -f flag").replace("[test, -e, flag]", &format!("[sh, -c, \"{denied}\"]"));
    for (plan, told) in
        [(hook(denied, "rm -f flag"), told.to_owned()), (check, format!("`sh -c {denied}`: {told}"))]
    {
        let (bench, server) = (Bench::new("words"), Server::fine());
        let mut squall = start(&bench, &server, &plan);
        assert_eq!(squall.end(secs(20)).code(), Some(97), "{}", squall.said());
        let problem = bench.verdict()["faults"][0]["problem"].as_str().unwrap().to_owned();
        assert!(problem.contains(&told), "{problem}");
    }
}

#[test]
fn a_hook_whose_program_is_not_there_is_told_before_anything_is_sent() {
    let action = |then: &str| hook("touch flag", "rm -f flag") + then;
    for (plan, program) in [
        (hook("", "rm -f flag").replacen("sh,", "./promot.sh,", 1), "./promot.sh"),
        (hook("touch flag", "").replace("undo: [sh,", "undo: [pg_ctrl,"), "pg_ctrl"),
        (action("    then: [{ after: 500ms, run: [promot, now] }]\n"), "promot"),
    ] {
        let (bench, server) = (Bench::new("no-program"), Server::fine());
        let mut squall = start(&bench, &server, &plan);
        assert_eq!(squall.end(secs(20)).code(), Some(104), "{}", squall.said());
        let told = format!("fault `broken` runs `{program}`, and there is no such program");
        assert!(squall.said().contains(&told), "{}", squall.said());
        assert_eq!(server.count(""), 0);
    }
}

#[test]
fn what_somebody_else_takes_back_before_its_end_proves_nothing() {
    let (server, address) = (Server::fine(), free_address());
    let service = format!(
        "services:\n  other: {{ start: [sh, -c, \"echo $$ > pid; exec {}\"], ready: {{ tcp: \"{address}\" }} }}\n",
        serve(address)
    );
    let pause =
        format!("{service}timeline:\n  - {{ name: broken, at: 2s, for: 2s, pause: {{ service: other }} }}\n");
    for (plan, others, told) in [
        (
            hook("touch flag", "rm -f flag").replace("for: 1s", "for: 2s"),
            "rm flag",
            "its check says that it is not",
        ),
        (pause, "kill -CONT $(cat pid)", "the process is running"),
    ] {
        let bench = Bench::new("taken");
        let mut squall = start(&bench, &server, &plan);
        bench.wait_for_history(&["\"broken\"", "\"effective\""]);
        let done = Command::new("sh").args(["-c", others]).current_dir(&bench.folder).status().unwrap();
        assert!(done.success());
        assert_eq!(squall.end(secs(20)).code(), Some(97), "{}", squall.said());
        let problem = bench.verdict()["faults"][0]["problem"].to_string();
        assert!(problem.contains(&format!("did not last until its end: {told}")), "{problem}");
    }
}

#[test]
fn an_undo_that_fails_is_told_with_its_status_its_own_words_and_how_to_heal() {
    let (bench, server) = (Bench::new("undo"), Server::fine());
    let undo = "[ -e late ] && rm -f flag || { echo no such role >&2; exit 4; }";
    let mut squall = start(&bench, &server, &hook("touch flag", undo));
    assert_eq!(squall.end(secs(20)).code(), Some(110), "{}", squall.said());
    let problem = bench.verdict()["faults"][0]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("exit status: 4; it said: no such role"), "{problem}");
    assert!(squall.said().contains("squall heal "), "{}", squall.said());
    fs::write(bench.folder.join("late"), "").unwrap();
    let mut heal = bench.squall(["heal"]);
    heal.arg(bench.run_folder()).current_dir(&bench.folder);
    assert!(heal.output().unwrap().status.success() && !bench.folder.join("flag").exists());
}

#[test]
fn an_undo_that_works_at_the_second_try_has_worked() {
    let (bench, server) = (Bench::new("twice"), Server::fine());
    let plan = hook("touch flag", "[ -e tried ] && rm -f flag || ! touch tried");
    let mut squall = start(&bench, &server, &plan);
    assert_eq!(squall.end(secs(20)).code(), Some(0), "{}", squall.said());
    assert!(!bench.folder.join("flag").exists());
    assert_eq!(stages(&bench).last().unwrap().0, "verified");
}

#[test]
fn a_hook_is_gone_as_its_undo_has_ended_however_long_its_check_takes() {
    let (bench, server) = (Bench::new("slow-check"), Server::fine());
    let slow = "[sh, -c, \"sleep 1; test -e flag\"]";
    let plan = hook("touch flag", "sleep 0.2; rm -f flag").replace("[test, -e, flag]", slow);
    let mut squall = start(&bench, &server, &plan);
    assert_eq!(squall.end(secs(20)).code(), Some(0), "{}", squall.said());
    let undoing = between(&bench, "clearing", "verified");
    assert!((200..900).contains(&undoing), "{undoing} ms");
}

#[test]
fn a_hook_is_in_force_for_its_length_however_long_its_run_takes() {
    let (bench, server) = (Bench::new("slow-run"), Server::fine());
    let mut squall = start(&bench, &server, &hook("sleep 1.2; touch flag", "rm -f flag"));
    assert_eq!(squall.end(secs(20)).code(), Some(0), "{}", squall.said());
    let lasted = between(&bench, "effective", "clearing");
    assert!(lasted > 900, "{lasted} ms");
}

#[test]
fn a_service_that_does_not_come_back_is_its_own_failure_and_told_with_its_last_words() {
    for fault in ["settle: 1s, restart: { service: other }", "for: 1s, kill: { service: other }"] {
        let (bench, server, address) = (Bench::new("away"), Server::fine(), free_address());
        let script = format!(
            "[ -e started ] && echo schema 7 is newer than 6 >&2 && exit 4; touch started; exec {}",
            serve(address)
        );
        let plan = format!(
            "services:\n  other: {{ start: [sh, -c, \"{script}\"], ready: {{ tcp: \"{address}\" }} }}\n\
             timeline:\n  - {{ name: broken, at: 2s, {fault} }}\n"
        );
        let mut squall = start(&bench, &server, &plan);
        let code = squall.end(secs(20)).code();
        assert_ne!(code, Some(110), "nothing is left to undo: {}", squall.said());
        let (stage, detail) = stages(&bench).pop().unwrap();
        assert_eq!(stage, "not_back", "{detail}");
        assert!(detail.contains("ended before it was ready (exit status: 4)"), "{detail}");
        assert!(detail.ends_with("its last words: schema 7 is newer than 6"), "{detail}");
    }
}

#[test]
fn a_service_that_squall_cannot_start_again_is_a_fault_that_could_not_be_undone() {
    let (bench, server, address) = (Bench::new("lost"), Server::fine(), free_address());
    let program = bench.file("program", &format!("#!/bin/sh\nexec {}\n", serve(address)));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let plan = format!(
        "services:\n  other: {{ start: [\"{}\"], ready: {{ tcp: \"{address}\" }} }}\n\
         timeline:\n  - {{ name: broken, at: 2s, for: 1s, kill: {{ service: other }} }}\n",
        program.display()
    );
    let mut squall = start(&bench, &server, &plan);
    bench.wait_for_history(&["\"broken\"", "\"effective\""]);
    fs::remove_file(program).unwrap();
    assert_eq!(squall.end(secs(20)).code(), Some(110), "{}", squall.said());
    let (stage, detail) = stages(&bench).pop().unwrap();
    assert!(stage == "not_cleared" && detail.contains("was not found"), "{stage}: {detail}");
}

/// A fault with something that is done about it, its undo, and what it does if squall ends early.
fn with_action(run: &str, undo: &str) -> String {
    let hook = hook("touch flag", "rm -f flag");
    format!(
        "{hook}    then:\n      - {{ after: 2s, run: [sh, -c, \"{run}\"], undo: [sh, -c, \"{undo}\"] }}\n"
    )
}

#[test]
fn what_is_to_be_done_then_is_done_at_its_time_and_taken_back_at_the_end() {
    let (bench, server) = (Bench::new("then"), Server::fine());
    let plan = with_action("[ ! -e flag ] && touch promoted", "rm promoted; touch demoted");
    let mut squall = start(&bench, &server, &plan);
    bench.wait_for_history(&["\"broken\"", "\"verified\""]);
    wait_for("it to be done", secs(3), || bench.folder.join("promoted").exists().then_some(()));
    assert_eq!(squall.end(secs(20)).code(), Some(0), "{}", squall.said());
    assert!(!bench.folder.join("promoted").exists() && bench.folder.join("demoted").exists());
    let verdict = bench.verdict();
    assert!(verdict["notes"].to_string().contains("was run 2 s later"), "{}", verdict["notes"]);
    let triggers: Vec<_> = verdict["triggers"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert_eq!(triggers, ["broken"], "it is no trigger");
}

#[test]
fn what_could_not_be_done_then_is_told_with_its_own_words() {
    let (bench, server) = (Bench::new("then-not"), Server::fine());
    let mut squall = start(&bench, &server, &with_action("echo no replica >&2; exit 5", "true"));
    squall.end(secs(20));
    let all = stages(&bench);
    let told = all.iter().find(|(stage, _)| stage == "not_effective").unwrap_or_else(|| panic!("{all:?}"));
    assert!(told.1.contains("exit status: 5; it said: no replica"), "{}", told.1);
}

#[test]
fn nothing_is_done_about_a_fault_that_was_not_injected() {
    let (bench, server) = (Bench::new("then-none"), Server::fine());
    let plan = with_action("touch promoted", "true").replace("touch flag", "exit 13");
    let mut squall = start(&bench, &server, &plan);
    squall.end(secs(20));
    assert_eq!(bench.verdict()["verdict"], "INVALID", "{}", squall.said());
    assert!(!bench.folder.join("promoted").exists(), "a healthy system is left alone");
}

#[test]
fn what_was_done_then_is_taken_back_after_sigkill_too() {
    let (bench, server) = (Bench::new("then-kill"), Server::fine());
    let mut squall = start(&bench, &server, &with_action("touch promoted", "rm -f promoted"));
    let promoted = bench.folder.join("promoted");
    wait_for("it to be done", secs(20), || promoted.exists().then_some(()));
    squall.kill();
    wait_for("it to be taken back", secs(5), || (!promoted.exists()).then_some(()));
}

/// By squall as the run ends, and by the keeper after a SIGKILL.
#[test]
fn what_was_done_last_is_taken_back_first() {
    for killed in [false, true] {
        let (bench, server) = (Bench::new("then-order"), Server::fine());
        let plan = hook("touch flag", "rm -f flag")
            + "    then:\n      - { after: 100ms, run: [mkdir, made], undo: [rmdir, made] }\n      \
               - { after: 1s, run: [touch, made/file], undo: [sh, -c, \"sleep 0.7; rm made/file\"] }\n";
        let mut squall = start(&bench, &server, &plan);
        let made = bench.folder.join("made");
        bench.wait_for_history(&["\"note\"", "touch made/file"]);
        if killed {
            squall.kill();
            wait_for("it to be taken back", secs(5), || (!made.exists()).then_some(()));
        } else {
            assert_eq!(squall.end(secs(20)).code(), Some(0), "{}", squall.said());
            assert!(!made.exists());
        }
    }
}
