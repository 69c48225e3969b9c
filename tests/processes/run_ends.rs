//! How runs end, as users see it: exit codes, one sentence with the next step, and what is kept.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use crate::support::http::Server;
use crate::support::{Bench, JUDGE, code_and_text, free_address, profile, root, says, secs, serve, wait_for};

fn outcome(mut command: Command) -> (i32, String) {
    code_and_text(&command.output().unwrap())
}

#[test]
fn a_kept_objective_ends_with_0_and_a_broken_one_with_99() {
    let (bench, server) = (Bench::new("pass"), Server::fine());
    let good = bench.file("good.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let (code, said) = outcome(bench.run(&good, None));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("PASS") && said.contains("report.html"), "{said}");
    let (bench, server) = (Bench::new("fail"), Server::start(|_| (500, "no".to_owned())));
    let bad = bench.file("bad.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    // With the plan's short warm-up all twelve seconds are judged, and no hiccup of the machine spoils most.
    let plan = bench.file("plan.yaml", JUDGE);
    let (code, said) = outcome(bench.run(&bad, Some(&plan)));
    assert_eq!(code, 99, "{said}");
    assert!(said.contains("FAIL") && said.contains("errors < 5%") && said.contains("look"), "{said}");
    assert!(said.contains("GET /look") && said.contains("500"), "errors have samples: {said}");
    let verdict = bench.verdict();
    assert_eq!((verdict["verdict"].as_str(), verdict["exit"]["code"].as_i64()), (Some("FAIL"), Some(99)));
}

#[test]
fn bad_files_end_with_104_name_everything_at_once_and_nothing_is_sent() {
    let (bench, server) = (Bench::new("bad"), Server::fine());
    let text = profile(&server.url(), "12s", "p99(lok) < 5", "shaps: 1").replace("50/s", "50");
    let bad = bench.file("bad.yaml", &text);
    for words in [vec!["check"], vec!["plan"], vec!["run"]] {
        let mut command = bench.squall(&words);
        command.arg(&bad);
        if words == ["run"] {
            command.arg("--reports").arg(bench.reports());
        }
        let (code, said) = outcome(command);
        assert_eq!(code, 104, "{words:?}: {said}");
        for word in ["shaps", "shapes", "50/s", "bad.yaml:"] {
            assert!(said.contains(word), "{words:?}: `{word}` is missing in: {said}");
        }
        assert!(said.matches("error").count() >= 2, "everything at once: {said}");
    }
    let plan = bench.file("bad-plan.yaml", "timelin: 1");
    let mut command = bench.squall(["check"]);
    let (code, said) = outcome({
        command.arg(&bad).arg("--chaos").arg(&plan);
        command
    });
    assert!(code == 104 && said.contains("`timelin`"), "a plan as `run` takes it: {said}");
    let few = bench.file("few.yaml", &profile(&server.url(), "12s", "p99.9(look) < 5ms", ""));
    let mut command = bench.squall(["check"]);
    let (code, said) = outcome({
        command.arg(&few);
        command
    });
    assert!(
        code == 0 && said.contains("note: ") && said.contains("are planned for it, and it takes"),
        "{said}"
    );
    assert_eq!(server.connections.load(Ordering::Relaxed), 0, "nothing was sent");
    assert!(!bench.has_run());
}

#[test]
fn plan_prints_what_would_happen_and_sends_nothing() {
    let (bench, server) = (Bench::new("plan"), Server::fine());
    let good = bench.file("good.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let (code, said) = outcome({
        let mut command = bench.squall(["plan"]);
        command.arg(&good);
        command
    });
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("look") && said.contains("600"), "50/s for 12 s: {said}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

#[test]
fn an_unreachable_target_ends_with_104_and_the_next_step() {
    let bench = Bench::new("unreachable");
    let nobody = free_address();
    let file = bench.file("load.yaml", &profile(&format!("http://{nobody}"), "12s", "errors < 5%", ""));
    let (code, said) = outcome(bench.run(&file, None));
    assert_eq!(code, 104, "{said}");
    says(&said, &[&nobody.to_string(), "cannot be reached", "connection refused", "--target"]);
    assert!(!bench.has_run(), "a run that never began leaves no folder");
}

/// A service that ends without its database, and is started again by whoever looks after it, has it only from now on.
#[test]
fn a_target_that_cannot_start_without_its_link_is_waited_for() {
    for (name, started) in [("needs_link", false), ("needs_service", true)] {
        let (bench, server, database) = (Bench::new(name), Server::fine(), free_address());
        let (link, target) = (free_address(), free_address());
        let start = serve(database).replace(' ', ", ");
        let services =
            format!("services: {{ db: {{ start: [{start}], ready: {{ tcp: \"{database}\" }} }} }}");
        let (services, upstream) =
            if started { (services, database) } else { (String::new(), server.address) };
        let plan =
            format!("links: {{ db: {{ listen: \"{link}\", upstream: \"{upstream}\" }} }}\n{services}\n");
        let mut running = bench.start(bench.light_run(&format!("http://{target}"), "5s", &plan));
        wait_for("the link", secs(30), || TcpStream::connect(link).ok());
        std::thread::sleep(secs(1));
        let mut service =
            bench.command("sh").args(["-c", &format!("exec {}", serve(target))]).spawn().unwrap();
        let ended = running.end(secs(60));
        service.kill().unwrap();
        service.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "{name}: {}", running.said());
    }
}

#[test]
fn a_target_that_never_answers_in_setup_counts_as_104_and_teardown_runs() {
    let bench = Bench::new("silent");
    // Accepts and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let more = "setup: { within: 1s, retries: 0, steps: [{ post: /make }] }";
    let target = format!("http://{}", listener.local_addr().unwrap());
    let file = bench.file("load.yaml", &profile(&target, "12s", "errors < 5%", more));
    let (code, said) = outcome(bench.run(&file, None));
    assert_eq!(code, 104, "{said}");
    says(&said, &["the target never answered in setup", "POST /make"]);
    assert_eq!(bench.verdict()["exit"]["code"].as_i64(), Some(104), "the file says what the process said");
    let mut again = bench.squall(["report"]);
    again.arg(bench.run_folder());
    assert_eq!(outcome(again).0, 104, "and so does the history");
}

#[test]
fn quiet_is_one_line_with_word_headline_and_report_and_none_for_pass() {
    let quietly = |bench: &Bench, file: &Path, plan: &Path| {
        let mut command = bench.run(file, Some(plan));
        command.arg("-q");
        outcome(command)
    };
    let (bench, server) = (Bench::new("quiet"), Server::start(|_| (500, "no".to_owned())));
    let plan = bench.file("plan.yaml", JUDGE);
    let bad = bench.file("bad.yaml", &profile(&server.url(), "5s", "errors < 5%", ""));
    let (code, said) = quietly(&bench, &bad, &plan);
    assert_eq!((code, said.lines().count()), (99, 1), "{said}");
    assert!(said.starts_with("FAIL (exit 99): ") && said.contains("100 % of look"), "{said}");
    assert!(said.trim_end().ends_with("report.html"), "{said}");
    let (bench, server) = (Bench::new("silence"), Server::fine());
    let plan = bench.file("plan.yaml", JUDGE);
    let good = bench.file("good.yaml", &profile(&server.url(), "5s", "errors < 5%", ""));
    assert_eq!(quietly(&bench, &good, &plan), (0, String::new()));
}

#[test]
fn a_setup_that_fails_later_ends_with_107_and_teardown_still_runs() {
    let bench = Bench::new("setup");
    let server = Server::start(|m| (if m.first_line.contains("/second") { 500 } else { 200 }, String::new()));
    let more = "setup: { retries: 1, steps: [{ post: /first }, { post: /second }] }\n\
                teardown: { steps: [{ delete: /first }] }";
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", more));
    let (code, said) = outcome(bench.run(&file, None));
    assert_eq!(code, 107, "{said}");
    says(&said, &["setup failed", "POST /second", "500"]);
    assert_eq!((server.count("POST /second"), server.count("DELETE /first")), (2, 1));
    assert_eq!(server.count("GET /look"), 0, "no load");
}

#[test]
fn a_taken_port_ends_with_104_and_leaves_nothing_behind() {
    let (bench, server) = (Bench::new("port"), Server::fine());
    let free = free_address();
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, upstream) = (holder.local_addr().unwrap(), server.address);
    let plan = format!(
        "{JUDGE}\nlinks:\n  first: {{ listen: \"{free}\", upstream: \"{upstream}\" }}\n  \
         second: {{ listen: \"{taken}\", upstream: \"{upstream}\" }}\n"
    );
    let plan = bench.file("plan.yaml", &plan);
    let (code, said) = outcome(bench.run(&file, Some(&plan)));
    assert_eq!(code, 104, "{said}");
    says(&said, &["link `second`", &format!("port {} is in use", taken.port()), "`listen`"]);
    wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
}

#[test]
fn a_missing_file_is_named_with_the_nearest_that_is_there() {
    let bench = Bench::new("missing");
    let mut command = bench.squall(["run"]);
    command.arg(root().join("profiles/steady-mixx.yaml")).arg("--reports").arg(bench.reports());
    let (code, said) = outcome(command);
    assert_eq!(code, 104, "{said}");
    says(&said, &["there is no file", "steady-mixx.yaml", "did you mean", "steady-mix.yaml"]);
}

#[test]
fn a_target_that_is_not_on_this_machine_is_refused_unless_it_is_allowed() {
    let bench = Bench::new("outside");
    // TEST-NET-1 (RFC 5737): nobody is there.
    let file = bench.file("load.yaml", &profile("http://192.0.2.1:8080", "12s", "errors < 5%", ""));
    let (code, said) = outcome(bench.run(&file, None));
    assert_eq!(code, 104, "{said}");
    says(&said, &["192.0.2.1", "not on this machine", "--allow-target 192.0.2.1"]);
    assert!(!bench.has_run());
    let mut plan = bench.squall(["plan", "--allow-target", "192.0.2.1"]);
    plan.arg(&file);
    assert_eq!(outcome(plan).0, 0);
}

#[test]
fn a_report_that_could_not_be_written_is_one_sentence_with_the_next_step_before_the_load() {
    let (bench, server) = (Bench::new("reports"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    // A file where the folder would be: refused to root as well.
    for (option, place) in [("--reports", ""), ("--out", "html="), ("--out", "summary=none/")] {
        let mut command = bench.squall(["run"]);
        command.arg(&file).arg(option).arg(format!("{place}{}/x", file.display()));
        let (code, said) = outcome(command);
        assert_eq!(code, 104, "{said}");
        says(&said, &[" cannot be ", option]);
        assert_eq!(server.connections.load(Ordering::Relaxed), 0, "nothing was sent");
    }
}

#[test]
fn a_run_that_never_began_leaves_no_copy_of_the_one_before() {
    let bench = Bench::new("stale");
    let nobody = format!("http://{}", free_address());
    for text in [profile(&nobody, "12s", "errors < 5%", ""), "no: profile\n".to_owned()] {
        let (file, copy) = (bench.file("load.yaml", &text), bench.file("summary.md", "PASS, last night"));
        let mut run = bench.run(&file, None);
        run.arg("--out").arg(format!("summary={}", copy.display()));
        let (code, said) = outcome(run);
        assert_eq!((code, copy.exists()), (104, false), "{said}");
    }
}

#[test]
fn a_service_that_does_not_start_is_one_sentence_and_nothing_is_left() {
    let (bench, server) = (Bench::new("program"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let ready = format!("ready: {{ tcp: \"{}\" }}", free_address());
    let rows = [
        ("start: [no-such-program-anywhere]", "`no-such-program-anywhere` was not found"),
        ("start: [no-such-program --port]", "each word by itself: `[no-such-program, --port, ...]`"),
        ("directory: no/where, start: [sleep, \"9\"]", "`directory: no/where` of program"),
        ("start: [\"true\"]", "ended"),
        ("within: 500ms, start: [sleep, \"100\"]", "was not ready within 500 ms (127.0.0.1:"),
        (
            "within: 500ms, start: [sleep, \"100\"]",
            ": no connection: Connection refused (os error 111)): see ",
        ),
    ];
    for (start, sentence) in rows {
        let plan = format!("{JUDGE}\nservices:\n  other: {{ {ready}, {start} }}\n");
        let plan = bench.file("plan.yaml", &plan);
        let (code, said) = outcome(bench.run(&file, Some(&plan)));
        assert_eq!(code, 104, "{start}: {said}");
        says(&said, &[sentence]);
        wait_for("everything to end", secs(5), || bench.processes().is_empty().then_some(()));
    }
}

#[test]
fn a_link_behind_which_nobody_answers_is_told_before_the_load_and_in_the_report() {
    let (bench, server, link) = (Bench::new("dead"), Server::fine(), free_address());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let nobody = free_address();
    let plan = format!("{JUDGE}\nlinks:\n  db: {{ listen: \"{link}\", upstream: \"{nobody}\" }}\n");
    let plan = bench.file("plan.yaml", &plan);
    let mut run = bench.run(&file, Some(&plan));
    run.arg("--smoke");
    let (code, said) = outcome(run);
    assert_eq!(code, 98, "{said}");
    let sentence = format!("nobody answered at {nobody}, where link `db` leads (connection refused)");
    assert_eq!(said.matches(&sentence).count(), 1, "{said}");
    let summary = std::fs::read_to_string(bench.run_folder().join("summary.md")).unwrap();
    assert!(summary.contains(&format!("nobody answered at {nobody}")), "{summary}");
}

#[test]
fn a_full_disk_ends_with_107_one_sentence_healed_and_what_was_recorded_is_kept() {
    let (bench, server, link) = (Bench::new("disk"), Server::fine(), free_address());
    let file = bench.file("load.yaml", &profile(&format!("http://{link}"), "60s", "errors < 5%", ""));
    let plan = format!(
        "{JUDGE}\nlinks:\n  wire: {{ listen: \"{link}\", upstream: \"{}\", canary: {{ http: /canary }} }}\n\
         timeline:\n  - {{ name: slow, at: 3s, for: 50s, latency: {{ link: wire, latency: 50ms }} }}\n",
        server.address
    );
    let plan = bench.file("plan.yaml", &plan);
    // A limit on the size of files is the full disk that needs no root. In blocks of 512 bytes.
    let mut shell = bench.command("sh");
    shell.arg("-c").arg("ulimit -f 40; exec \"$@\"").arg("sh").arg(env!("CARGO_BIN_EXE_squall"));
    shell.args(["run", "-q"]).arg(&file).arg("--chaos").arg(&plan).arg("--reports").arg(bench.reports());
    let (code, said) = outcome(shell);
    assert_eq!(code, 107, "{said}");
    says(&said, &["the history could not be written", "free some space", "--reports"]);
    wait_for("the keeper to leave", secs(5), || bench.processes().is_empty().then_some(()));
    // With room again, what was recorded makes a report.
    let mut report = bench.squall(["report"]);
    report.arg(bench.run_folder());
    let (_, said) = outcome(report);
    assert!(bench.verdict()["run"]["intended"].as_u64().unwrap() > 50, "{said}");
    assert!(bench.run_folder().join("report.html").exists());
}

/// The page does not fit, what is shorter does: it is there and says how it went, and of the page there is no half.
#[test]
fn a_page_that_does_not_fit_is_not_there_and_the_verdict_is() {
    let (bench, server) = (Bench::new("page"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let copy = bench.folder.join("copy.json");
    let (code, said) = outcome(bench.run(&file, None));
    assert_eq!(code, 0, "{said}");
    let mut shell = bench.command("sh");
    shell.arg("-c").arg("ulimit -f 40; exec \"$@\"").arg("sh").arg(env!("CARGO_BIN_EXE_squall"));
    shell.arg("report").arg(bench.run_folder()).arg("--out").arg(format!("verdict={}", copy.display()));
    let (code, said) = outcome(shell);
    assert_eq!(code, 107, "{said}");
    says(&said, &["report.html cannot be written", "`squall report` makes it again"]);
    assert!(
        !bench.run_folder().join("report.html").exists() && bench.run_folder().join("summary.md").exists()
    );
    for file in [bench.run_folder().join("verdict.json"), copy] {
        let verdict: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(verdict["exit"]["code"], 107, "{}", file.display());
    }
}

/// Where squall may not open what it needs for itself nothing is sent: said in a sentence, by no panic.
#[test]
fn too_few_files_for_squall_itself_are_said_before_anything_is_sent() {
    let (bench, server) = (Bench::new("few"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    for (files, shards, needed) in [("10", "1", "64"), ("24", "1", "64"), ("100", "16", "176")] {
        let mut shell = bench.command("sh");
        shell.arg("-c").arg("ulimit -n $0; exec \"$@\"").arg(files).arg(env!("CARGO_BIN_EXE_squall"));
        shell.arg("run").arg(&file).args(["--shards", shards]).arg("--reports").arg(bench.reports());
        let (code, said) = outcome(shell);
        assert_eq!(code, 104, "{said}");
        says(&said, &[&format!("may open {files} files here and needs {needed} for itself"), "ulimit"]);
        assert!(!said.contains("panicked"), "{said}");
    }
}

fn written(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let names = ["report.html", "verdict.json", "summary.md"];
    names.map(|name| (name, fs::read(folder.join(name)).unwrap())).to_vec()
}

#[test]
fn report_makes_the_same_bytes_again_from_the_history_alone_also_when_it_was_cut_off() {
    let (bench, server) = (Bench::new("again"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), "12s", "errors < 5%", ""));
    let (code, said) = outcome(bench.run(&file, None));
    assert_eq!(code, 0, "{said}");
    let first = written(&bench.run_folder());
    let alone = bench.folder.join("alone");
    fs::create_dir(&alone).unwrap();
    fs::copy(bench.run_folder().join("history.jsonl"), alone.join("history.jsonl")).unwrap();
    let report = |folder: &Path| {
        let mut report = bench.squall(["report"]);
        report.arg(folder);
        outcome(report)
    };
    let (code, said) = report(&alone);
    assert_eq!(code, 0, "{said}");
    for ((name, first), (_, again)) in first.iter().zip(written(&alone)) {
        assert!(*first == again, "{name} differs");
    }
    // In the middle of a line, and between two.
    let history = fs::read(alone.join("history.jsonl")).unwrap();
    let half = &history[..history.len() * 2 / 3];
    let whole_lines = half.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for (end, torn) in [(whole_lines + 9, true), (whole_lines, false)] {
        fs::write(alone.join("history.jsonl"), &history[..end]).unwrap();
        let (code, said) = report(&alone);
        assert!(said.contains("The history breaks off") && said.contains("was torn off") == torn, "{said}");
        assert_ne!(code, 0, "half a run is no PASS: {said}");
    }
}
