//! Secrets never come out: not in any file of a run, not in what squall prints, not even when the target
//! sends them back in the bodies of its errors.

use std::path::Path;

use crate::support::http::{Message, Server};
use crate::support::{Bench, JUDGE, code_and_text, free_address, serve};

const HEADER: &str = "header-s3cr3t-8c1f";
const BEARER: &str = "bearer-s3cr3t-77aa";
const JWT_KEY: &str = "jwt-key-s3cr3t-0123456789abcdef0123456789abcdef";
const USER: &str = "alice-s3cr3t";
const PASSWORD: &str = "hunter2-s3cr3t";
const BODY: &str = "body-s3cr3t-5e5e";
const HOOK: &str = "hook-s3cr3t-4b4b";

/// Sends back all that came in, as an error.
fn echo(message: &Message) -> (u16, String) {
    (500, format!("{} {:?} {}", message.first_line, message.headers, message.body))
}

fn profile(target: &str, auth: &str) -> String {
    format!(
        "target: {target}\nduration: 12s\nheaders: {{ x-api-key: \"${{TEST_HEADER}}\" }}\n{auth}\
         setup: {{ retries: 0, steps: [{{ post: /setup, expect: {{ status: 500 }} }}] }}\n\
         teardown: {{ steps: [{{ delete: /left }}] }}\n\
         shapes:\n  load:\n    arrival: {{ constant: {{ rate: 20/s }} }}\n    timeout: 500ms\n    flow:\n      \
         - post: /look\n        as: look\n        json: {{ token: \"${{TEST_BODY}}\" }}\n\
         objectives: [\"errors < 5%\"]\n"
    )
}

/// Its environment has them all.
fn knows_the_secrets(command: &mut std::process::Command) {
    command.env("TEST_HEADER", HEADER).env("TEST_BODY", BODY).env("TEST_HOOK", HOOK);
    command.env("TEST_BEARER", BEARER).env("TEST_KEY", JWT_KEY);
}

fn run_and_look(auth: &str, user_info: &str, carried: &[&str]) {
    let (bench, server) = (Bench::new("secrets"), Server::start(echo));
    let target = format!("http://{user_info}{}", server.address);
    let file = bench.file("load.yaml", &profile(&target, auth));
    let mut said = String::new();
    for words in ["plan", "check", "run"] {
        let mut command = bench.squall([words]);
        command.arg(&file);
        if words == "run" {
            command.arg("--reports").arg(bench.reports());
        }
        knows_the_secrets(&mut command);
        said += &code_and_text(&command.output().unwrap()).1;
    }
    let seen = server.seen.lock().unwrap();
    let sent = seen.iter().map(|m| format!("{:?} {}", m.headers, m.body)).collect::<String>();
    for secret in carried {
        assert!(sent.contains(secret), "{secret} was sent, so that the target could send it back");
    }
    // A minted token is as good as its key while it lives.
    let mut tokens: Vec<String> = seen
        .iter()
        .filter_map(|m| m.headers.get("authorization")?.split(' ').nth(1).map(str::to_owned))
        .collect();
    tokens.dedup();
    assert!(said.contains("***"), "something was masked: {said}");
    let secrets = [HEADER, BEARER, JWT_KEY, USER, PASSWORD, BODY].map(str::to_owned);
    let not_in = |place: &str, text: &str| {
        for secret in secrets.iter().chain(&tokens) {
            let at = text.find(secret.as_str());
            assert!(at.is_none(), "{secret} in {place}: {:?}", at.map(|at| &text[at.saturating_sub(80)..at]));
        }
    };
    not_in("what squall said", &said);
    let written = bench.every_file();
    let run = bench.run_folder();
    let ours = |path: &Path| path.starts_with(&run);
    assert!(written.iter().filter(|(path, _)| ours(path)).count() >= 5, "the run's folder has files");
    for (path, bytes) in written.iter().filter(|(path, _)| ours(path)) {
        not_in(&path.display().to_string(), &String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_the_target_says_when_setup_fails_is_masked_and_so_is_a_file_that_is_wrong() {
    let (bench, server) = (Bench::new("failing"), Server::start(echo));
    let jwt = "auth: { jwt: { key: \"${TEST_KEY}\" } }\n";
    let asking_for_200 = |text: String| text.replace("status: 500", "status: 200");
    let with_token = asking_for_200(profile(&server.url(), jwt));
    let text = asking_for_200(profile(&format!("http://{USER}:{PASSWORD}@{}", server.address), ""));
    let run = |text: &str| {
        let file = bench.file("load.yaml", text);
        let mut command = bench.run(&file, None);
        command.env("TEST_HEADER", HEADER).env("TEST_BODY", BODY).env("TEST_KEY", JWT_KEY);
        code_and_text(&command.output().unwrap())
    };
    let rows = [
        (107, with_token, "setup failed"),
        (107, text.clone(), "setup failed"),
        (104, text.replace("http://", "https://"), "https is not in this build"),
        (104, text.replace("http://", "http//"), "is no target"),
        (104, text.replace("status: 200", "status: 2000"), "2000"),
    ];
    for (expected, text, sentence) in rows {
        let (code, said) = run(&text);
        assert_eq!(code, expected, "{said}");
        assert!(said.contains(sentence), "{said}");
        for secret in [HEADER, BODY, JWT_KEY, USER, PASSWORD, "eyJ", "Basic "] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

#[test]
fn a_bearer_token_and_values_of_the_environment_never_come_out() {
    run_and_look("auth: { bearer: \"${TEST_BEARER}\" }\n", "", &[HEADER, BEARER, BODY]);
}

#[test]
fn a_jwt_key_and_the_tokens_made_with_it_never_come_out() {
    let auth = "auth: { jwt: { key: \"${TEST_KEY}\", claims: { sub: \"user-{{ user }}\" } } }\n";
    run_and_look(auth, "", &[HEADER, BODY, "authorization"]);
}

#[test]
fn user_info_of_a_url_never_comes_out() {
    run_and_look("", &format!("{USER}:{PASSWORD}@"), &[HEADER, BODY, "Basic "]);
}

/// A secret with everything that is written otherwise somewhere, in a path, a query, a form and JSON.
#[test]
fn no_form_of_a_secret_comes_out_wherever_a_request_carries_it() {
    let (bench, server) = (Bench::new("forms"), Server::start(echo));
    let (secret, place) = ("q\"u\\o te&9{{x", "hidden-place");
    let text = format!(
        "target: {}\nduration: 2s\nauth: {{ bearer: \"${{TEST_BEARER}}\" }}\nshapes:\n  load:\n    arrival: {{ constant: {{ rate: 5/s }} }}\n    timeout: 500ms\n    probes: false\n    flow:\n      \
         - {{ post: \"/in/${{TEST_PLACE}}/a\", json: {{ t: \"${{TEST_BEARER}} of {{{{ i }}}}\", pin: \"${{TEST_PIN}}\" }}, query: {{ q: \"${{TEST_BEARER}}\" }}, expect: {{ status: 500 }} }}\n      \
         - {{ post: /form, form: {{ q: \"${{TEST_BEARER}}\" }}, expect: {{ body: {{ contains: \"${{TEST_BEARER}}\" }} }} }}\n",
        server.url()
    );
    let file = bench.file("load.yaml", &text);
    let plan = bench.file("plan.yaml", "judge: { warmup: 100ms, baseline: 1s }\n");
    let mut command = bench.run(&file, Some(&plan));
    command.env("TEST_BEARER", secret).env("TEST_PLACE", place).env("TEST_PIN", "0048291576314029");
    let said = code_and_text(&command.output().unwrap()).1;
    let seen = server.seen.lock().unwrap();
    assert!(seen.len() > 10, "{said}");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {secret}"), "as it is, and no template");
    assert_eq!(seen[0].json()["t"], format!("{secret} of 0"));
    assert_eq!(seen[0].json()["pin"], "0048291576314029", "text stays text");
    assert!(
        seen[0].first_line.contains("/in/hidden-place/a?q=q%22u%5Co%20te%269%7B%7Bx"),
        "{}",
        seen[0].first_line
    );
    let json = |text: &str| serde_json::to_string(text).unwrap().trim_matches('"').to_owned();
    let forms = [
        secret.to_owned(),
        json(secret),
        json(&json(secret)),
        "q%22u%5Co%20te%269".to_owned(),
        "48291576314029".to_owned(),
        place.to_owned(),
    ];
    let written = bench.every_file().into_iter().filter(|(path, _)| path.starts_with(bench.reports()));
    let texts = written
        .map(|(path, bytes)| (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    for (place, text) in texts.chain([("what squall said".to_owned(), said)]) {
        for form in &forms {
            assert!(!text.contains(form.as_str()), "{form} in {place}: {text}");
        }
    }
}

/// Hooks whose words hold a secret: one that works, and one that fails, which is told as a fault's detail.
fn hooks(bench: &Bench, undo: &str) -> std::path::PathBuf {
    let flag = bench.folder.join("flag").display().to_string();
    let exec = |run: &str, undo: &str| {
        let word = |program: &str| format!("[sh, -c, \"{program}\", sh, \"--password=${{TEST_HOOK}}\"]");
        let check = word(&format!("test -e {flag}"));
        format!("exec: {{ run: {}, undo: {}, check: {check} }}", word(run), word(undo))
    };
    let good = exec(&format!("touch {flag}"), undo.replace("FLAG", &flag).as_str());
    let bad = exec("exit 3", &format!("rm -f {flag}"));
    let plan = format!(
        "{JUDGE}\ntimeline:\n  \
         - {{ name: bad, at: 2s, for: 1s, {bad} }}\n  - {{ name: good, at: 4s, for: 2s, {good} }}\n"
    );
    bench.file("plan.yaml", &plan)
}

#[test]
fn secret_words_of_hooks_and_what_is_told_of_their_failures_never_come_out() {
    let (bench, server) = (Bench::new("hooks"), Server::fine());
    let plan = hooks(&bench, "rm -f FLAG");
    let profile = profile(&server.url(), "").replace("status: 500", "status: 200");
    let file = bench.file("load.yaml", &profile);
    let mut said = String::new();
    for words in ["plan", "check", "run"] {
        let mut command = bench.squall([words]);
        command.arg(&file);
        if words == "check" {
            command.arg(&plan);
        } else {
            command.arg("--chaos").arg(&plan);
        }
        if words == "run" {
            command.arg("--reports").arg(bench.reports());
        }
        knows_the_secrets(&mut command);
        said += &code_and_text(&command.output().unwrap()).1;
    }
    let faults = bench.verdict()["faults"].to_string();
    assert!(faults.contains("--password=***") && faults.contains("failed"), "told, and masked: {faults}");
    assert!(!said.contains(HOOK), "{said}");
    for (path, bytes) in bench.every_file().iter().filter(|(path, _)| path.starts_with(bench.reports())) {
        assert!(!String::from_utf8_lossy(bytes).contains(HOOK), "{HOOK} in {}", path.display());
    }
}

#[test]
fn a_hook_that_could_not_be_undone_is_told_without_its_secret_words_which_only_their_owner_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (bench, server) = (Bench::new("undone"), Server::fine());
    let plan = hooks(&bench, "exit 4");
    let profile = profile(&server.url(), "").replace("status: 500", "status: 200");
    let file = bench.file("load.yaml", &profile);
    let mut command = bench.run(&file, Some(&plan));
    knows_the_secrets(&mut command);
    let (code, mut said) = code_and_text(&command.output().unwrap());
    assert_eq!(code, 110, "{said}");
    let (code, healed) = code_and_text(&bench.squall(["heal"]).arg(bench.run_folder()).output().unwrap());
    assert_eq!(code, 110, "{healed}");
    said += &healed;
    assert!(!said.contains(HOOK), "{said}");
    for (path, bytes) in bench.every_file().iter().filter(|(path, _)| path.starts_with(bench.reports())) {
        // What `squall heal` needs is kept until it has healed.
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        let hidden = !String::from_utf8_lossy(bytes).contains(HOOK);
        assert!(hidden || mode == 0o600, "{HOOK} in {} ({mode:o})", path.display());
    }
}

#[test]
fn a_program_that_does_not_start_is_named_without_secrets_and_control_characters() {
    let (bench, server) = (Bench::new("program"), Server::fine());
    let file = bench.file("load.yaml", &profile(&server.url(), ""));
    let plan =
        "services:\n  other: { start: [\"no-\\e[31msuch-${TEST_HOOK}\"], ready: { tcp: \"127.0.0.1:9\" } }\n";
    let plan = bench.file("plan.yaml", plan);
    let mut command = bench.run(&file, Some(&plan));
    knows_the_secrets(&mut command);
    let (code, said) = code_and_text(&command.output().unwrap());
    assert_eq!(code, 104, "{said}");
    assert!(said.contains("`no-\\x1b[31msuch-***` was not found"), "{said:?}");
}

#[test]
fn what_a_service_prints_of_its_secrets_is_masked_in_its_log_when_the_run_is_over() {
    let (bench, server) = (Bench::new("prints"), Server::fine());
    let address = free_address();
    let script = format!("echo starting with key $KEY; exec {}", serve(address));
    let plan = format!(
        "services:\n  other:\n    start: [sh, -c, \"{script}\"]\n    env: {{ KEY: \"${{TEST_HOOK}}\" }}\n    \
         ready: {{ tcp: \"{address}\" }}\n"
    );
    let mut command = bench.light_run(&server.url(), "2s", &plan);
    knows_the_secrets(&mut command);
    let (_, said) = code_and_text(&command.output().unwrap());
    let log = std::fs::read_to_string(bench.run_folder().join("services/other.log")).expect(&said);
    assert!(log.starts_with("starting with key ***\n"), "{log}");
    assert_eq!(std::fs::read_dir(bench.run_folder().join("services")).unwrap().count(), 1);
}

/// Such as a private key: it stood whole in what hooks and services had said last, and in their logs.
#[test]
fn a_key_of_several_lines_is_masked_wherever_it_is_told() {
    const KEY: &str =
        "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ9x\nab7Qx9Zr41Lk02mNv8Ws\n-----END KEY-----";
    let (bench, server) = (Bench::new("lines"), Server::fine());
    let service = "  other:\n    start: [sh, -c, 'echo \"$KEY\"; exit 3']\n    env: { KEY: \"${TEST_PEM}\" }\n    \
                   ready: { tcp: \"127.0.0.1:9\" }\n";
    let hook = "timeline:\n  - name: hook\n    at: 1800ms\n    for: 500ms\n    exec:\n      \
                run: [sh, -c, 'echo \"$1\" >&2; exit 4', hook, \"${TEST_PEM}\"]\n      undo: [\"true\"]\n      check: [\"true\"]\n";
    let file = bench.file(
        "load.yaml",
        &profile(&server.url(), "").replace("status: 500", "status: 200").replace("12s", "4s"),
    );
    let mut said = String::new();
    for (words, plan) in [("try", format!("services:\n{service}")), ("run", hook.to_owned())] {
        let plan = bench.file("plan.yaml", &format!("{JUDGE}\n{plan}"));
        let mut command = bench.squall([words]);
        command.arg(&file).arg("--chaos").arg(&plan).env("TMPDIR", &bench.folder).env("TEST_PEM", KEY);
        if words == "run" {
            command.arg("--reports").arg(bench.reports());
        }
        knows_the_secrets(&mut command);
        said += &code_and_text(&command.output().unwrap()).1;
    }
    assert!(said.contains("*** | *** | ***"), "its last words are told, and masked: {said}");
    let files = bench.every_file().into_iter().filter(|(path, _)| !path.ends_with("plan.yaml"));
    let texts =
        files.map(|(path, bytes)| (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    let texts: Vec<_> = texts.chain([("what was said".to_owned(), said)]).collect();
    assert!(texts.iter().any(|(path, text)| path.ends_with("services/other.log") && text.contains("***")));
    for (path, text) in &texts {
        assert!(!KEY.lines().any(|line| text.contains(line)), "{path}: {text}");
    }
}

/// A password of a store, a pattern, a key of the metrics and one of a health check.
#[test]
fn what_canaries_checks_metrics_and_readiness_are_given_never_comes_out() {
    const GIVEN: [(&str, &str); 4] = [
        ("TEST_STORE", "store.s3cr3t"),
        ("TEST_PATTERN", "pattern.s3cr3t"),
        ("TEST_METRICS", "metrics.s3cr3t"),
        ("TEST_READY", "ready.s3cr3t"),
    ];
    let (bench, server) = (Bench::new("given"), Server::start(echo));
    let profile = profile(&server.url(), "metrics: { path: \"/metrics?k=${TEST_METRICS}\" }\n")
        .replace("12s", "3s")
        .replace(
            "as: look\n",
            "as: look\n        expect: { status: 500, body: { matches: \"^${TEST_PATTERN}$\" } }\n",
        )
        .replace("errors < 5%", "target.up < 5");
    let file = bench.file("load.yaml", &profile);
    let link = format!(
        "links:\n  store:\n    listen: {}\n    upstream: {}\n    \
         canary: {{ bytes: {{ send: \"AUTH ${{TEST_STORE}}\\r\\n\", expect: OK }} }}\n",
        free_address(),
        server.address
    );
    let address = free_address();
    let service = format!(
        "services:\n  other:\n    start: [sleep, \"9\"]\n    within: 1s\n    \
         ready: {{ http: \"http://{address}/ready?k=${{TEST_READY}}\" }}\n"
    );
    let mut said = String::new();
    for (words, plan, told) in [
        ("run", &link, "nothing in the body matches `^***$`"),
        ("try", &link, "/metrics?k=***"),
        ("try", &service, "/ready?k=***"),
    ] {
        let plan = bench.file("plan.yaml", &format!("{JUDGE}\n{plan}"));
        let mut command = bench.squall([words]);
        command.arg(&file).arg("--chaos").arg(&plan).env("TMPDIR", &bench.folder).envs(GIVEN);
        if words == "run" {
            command.arg("--reports").arg(bench.reports());
        }
        knows_the_secrets(&mut command);
        let text = code_and_text(&command.output().unwrap()).1;
        assert!(text.contains(told), "{told}: {text}");
        said += &text;
    }
    let files = bench.every_file().into_iter().filter(|(path, _)| path.starts_with(bench.reports()));
    let texts =
        files.map(|(path, bytes)| (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    for (place, text) in texts.chain([("what was said".to_owned(), said)]) {
        for (_, secret) in GIVEN {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
}
