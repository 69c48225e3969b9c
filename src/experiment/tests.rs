//! What resolves to what, and what is refused in which words.

use std::net::SocketAddr;

use super::*;
use crate::diagnose::{Problem, render};
use crate::units::Micros;
use crate::yaml::Env;

mod advice;
mod by_chance;
mod foresight;
mod smoke;

const CALM: &str = "target: sandbox\nduration: 90s\nshapes:\n  mix:\n    arrival: {constant: {rate: 10/s}}\n    timeout: 2s\n    flow: [{get: /rooms, as: list}]\n";
const QUICK: &str = "judge: {warmup: 5s, baseline: 20s, windows: 10, stretch: 10s}\n";

fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match host {
        "localhost" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
        "staging.example" => Ok(vec![SocketAddr::from(([192, 0, 2, 7], port))]),
        _ => Err("unknown host".to_owned()),
    }
}

fn env() -> Env {
    [
        ("KEY", "0123456789abcdef0123456789abcdef"),
        ("TOKEN", "tok-en-12345"),
        ("MOUNTED", "mounted-secret\n"),
        ("CODE", "a{{i}}{%"),
        ("PIN", "007"),
        ("RATE", "12/s"),
        ("USERS", "3"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

fn with_flags(profile: &str, chaos: Option<&str>, flags: &Flags) -> Result<Experiment, Vec<Problem>> {
    let profile = crate::profile::read("p.yaml", profile, &env());
    let chaos = chaos.map(|text| crate::chaos_plan::read("c.yaml", text, &env()));
    resolve(&profile, chaos.as_ref(), flags, &lookup)
}

fn resolved(profile: &str, chaos: Option<&str>) -> Experiment {
    with_flags(profile, chaos, &Flags::default()).unwrap_or_else(|p| panic!("{}", render(&p, false)))
}

/// All that is said about these two files.
fn refused(profile: &str, chaos: Option<&str>) -> String {
    refused_with(profile, chaos, &Flags::default())
}

fn refused_with(profile: &str, chaos: Option<&str>, flags: &Flags) -> String {
    render(&with_flags(profile, chaos, flags).expect_err("it should not resolve"), false)
}

#[test]
fn a_profile_and_a_plan_become_an_experiment() {
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 5s, every: 20s, times: 2, latency: {{link: api-store, latency: 100ms}}}}\n  - {{name: back, at: 80s, settle: 1s, failover: {{link: api-store, to: store-b, outage: 2s}}}}\n"
    );
    let experiment = resolved(&format!("{CALM}objectives: [p99(list) < 1s during slow]\n"), Some(&chaos));
    let outline = &experiment.outline;
    let names: Vec<&str> = outline.faults.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["slow#1", "slow#2", "back"]);
    assert_eq!(outline.faults[1].at, Micros::secs(60));
    assert_eq!(outline.shapes[0].planned, vec![10; 90]);
    let operations: Vec<_> =
        outline.operations.iter().map(|o| (o.name.as_str(), o.flow, o.deadline)).collect();
    assert_eq!(operations, [("mix", true, Micros::secs(2)), ("list", false, Micros::secs(2))]);
    assert!(
        matches!(&experiment.faults[2], Fault::Failover { to: Upstream::Service(s), .. } if s == "store-b")
    );
    assert_eq!(experiment.services.len(), 4);
}

#[test]
fn the_deadline_of_a_flow_is_the_sum_along_its_longest_path() {
    let profile = "target: sandbox\nduration: 20s\nshapes:\n  s:\n    arrival: {closed: {users: 2}}\n    timeout: 2s\n    flow:\n      - {get: /a, as: a}\n      - think: 5s\n      - repeat: {times: 3, steps: [{get: /b, as: b, timeout: 1s}]}\n      - choice: [{steps: [{get: /c, as: c}]}, {weight: 2, steps: [{get: /d}, {get: /e}]}]\n      - group: {as: g, steps: [{get: /f}, {get: /g}]}\n";
    let outline = resolved(profile, None).outline;
    let deadline = |name: &str| outline.operations.iter().find(|o| o.name == name).map(|o| o.deadline);
    assert_eq!(deadline("s"), Some(Micros::secs(2 + 3 + 4 + 4)));
    assert_eq!(deadline("g"), Some(Micros::secs(4)));
    assert_eq!(deadline("GET /d"), Some(Micros::secs(2)));
    assert_eq!(deadline("b"), Some(Micros::secs(1)));
}

#[test]
fn secrets_are_kept_apart_and_nowhere_else() {
    let profile = "target: \"http://bob:s3cret@localhost:8080/api\"\nduration: 20s\nheaders: {x-key: \"${TOKEN}\", cookie: a=literal-cookie}\nshapes:\n  s: {arrival: {constant: {rate: 1/s}}, flow: [{post: /a, json: {k: \"${KEY}\"}}]}\n";
    let flags = Flags {
        command: "squall run p.yaml --target http://bob:s3cret@localhost".into(),
        ..Flags::default()
    };
    let experiment = with_flags(profile, None, &flags).unwrap_or_else(|p| panic!("{}", render(&p, false)));
    let shown = experiment.redacted().to_string();
    for secret in ["s3cret", "tok-en", "literal-cookie", "0123456789abcdef", "Ym9iOnMzY3JldA"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(experiment.outline.target, "http://***@localhost:8080/api");
    assert!(experiment.outline.command.ends_with("http://***@localhost"), "{}", experiment.outline.command);
}

#[test]
fn ten_mistakes_in_one_file_are_ten_problems() {
    let profile = "target: sandbox\nduration: 90\nheader: {a: b}\nauth: {jwt: {key: short, claims: {sub: \"{{ usr }}\"}}}\nshapes:\n  mix:\n    arrival: {constant: {rate: 0/s}}\n    in_flight: 0\n    flow:\n      - {gte: /rooms}\n      - {get: /rooms, think: 1s}\n      - {post: rooms, json: {name: \"{{ data.room }}\"}}\n      - {get: /rooms, as: list, capture: {id: \"$.[\"}}\nobjectives:\n  - p99(lsit) < 300ms\n";
    let problems = with_flags(profile, None, &Flags::default()).unwrap_err();
    insta::assert_snapshot!(render(&problems, false));
    assert!(problems.len() >= 10, "{}", problems.len());
}

#[test]
fn a_wrong_timeline_is_refused_in_words() {
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: a, at: 3s, for: 5s, latency: {{link: api-stor, latency: 1s}}}}\n  - {{name: a, at: 40s, down: {{link: api-store}}}}\n  - {{name: b, at: 50s, for: 5s, restart: {{service: api-3}}}}\n  - {{name: c, at: 30s, for: 5s, every: 8s, times: 9, blackhole: {{link: api-store}}}}\n  - {{name: run, at: 30s, for: 5s, pause: {{service: api-1}}}}\n  - {{name: d, at: 32s, kill: {{service: api-1}}}}\n  - {{name: e, at: 88s, for: 5s}}\n  - {{name: f, at: 89s, failover: {{link: api-store, to: store-c, outage: 3s}}}}\n  - {{name: mix, at: 34s, exec: {{run: [a], undo: []}}}}\n"
    );
    insta::assert_snapshot!(refused(CALM, Some(&chaos)));
}

#[test]
fn a_load_that_ends_too_early_is_told_how_long_it_must_be() {
    let chaos = format!("{QUICK}timeline:\n  - {{name: kill, at: 80s, kill: {{service: api-1}}, for: 5s}}\n");
    let profile = format!("{CALM}objectives: [recovery(kill) < 5s, \"p99 < 1s after kill\"]\n");
    insta::assert_snapshot!(refused(&profile, Some(&chaos)));
}

/// Its shape's load ends before the run: there is nothing left in which to see the return.
#[test]
fn a_shape_that_ends_too_early_is_told_how_long_it_must_last() {
    let chaos = format!("{QUICK}timeline:\n  - {{name: kill, at: 45s, kill: {{service: api-1}}, for: 5s}}\n");
    let profile = |long: &str| format!("{CALM}    for: {long}\nobjectives: [recovery(kill) < 5s]\n");
    insta::assert_snapshot!(refused(&profile("60s"), Some(&chaos)));
    assert!(with_flags(&profile("70s"), Some(&chaos), &Flags::default()).is_ok());
    // Another shape that lasts longer does not help it: the worst counts.
    let other = CALM.split("shapes:\n").nth(1).unwrap().replace("mix", "other").replace("list", "look");
    let two = profile("60s").replace("objectives", &format!("{other}objectives"));
    assert!(refused(&two, Some(&chaos)).contains("the load of `mix` ends at 1 min"));
}

#[test]
fn a_trigger_that_comes_too_early_to_judge_the_one_before_is_refused() {
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: away, at: 30s, failover: {{link: api-store, to: store-b, outage: 4s}}}}\n  \
         - {{name: dead, at: 50s, for: 5s, kill: {{service: api-1}}}}\n"
    );
    let with = |limits: &str| format!("{CALM}objectives: [{limits}]\n");
    insta::assert_snapshot!(refused(&with("recovery(away) < 8s, outage(away) < 10s"), Some(&chaos)));
    // 30 s + 4 s + 5 s + a stretch of 10 s and a cell is 50 s.
    assert!(
        with_flags(&with("recovery(away) < 5s, outage(away) < 9s"), Some(&chaos), &Flags::default()).is_ok()
    );
}

#[test]
fn what_could_never_break_or_never_come_true_is_refused() {
    let chaos = |rule: &str| {
        format!(
            "{QUICK}abort: [{rule}]\ntimeline: [{{name: cut, at: 40s, for: 5s, down: {{link: api-store}}}}]\n"
        )
    };
    let fine = chaos("errors > 90% for 85s");
    for (objective, message) in [
        ("errors < 150%", "expected a share such as `1%`, found `150%`"),
        ("errors < 5% during cut for 6s", "`for 6 s` can never be: `during cut` lasts 5 s"),
        ("errors < 5% during baseline for 34s", "`for 34 s` can never be: `baseline` lasts 33 s"),
    ] {
        let text = refused(&format!("{CALM}objectives: [{objective}]\n"), Some(&fine));
        assert!(text.starts_with(&format!("error: {message}")), "{text}");
        assert_eq!(text.matches("error: ").count(), 1, "{text}");
    }
    let text = refused(CALM, Some(&chaos("errors > 90% for 90s")));
    assert!(text.contains("`for 1 min 30 s` can never be: `run` lasts 1 min 25 s"), "{text}");
    assert!(text.contains("ask for 85s on end or less"), "{text}");
    resolved(&format!("{CALM}objectives: [errors <= 100%, errors < 5% during cut for 5s]\n"), Some(&fine));
}

#[test]
fn where_services_are_ready_is_asked_as_written_and_paths_have_no_host() {
    let plan = |ready: &str| format!("services: {{api: {{start: [./api], ready: {{http: \"{ready}\"}}}}}}\n");
    for (ready, asked) in [
        ("http://localhost:80/up/?deep=1#x", "/up/?deep=1"),
        ("http://localhost/up", "/up"),
        ("http://localhost", "/"),
    ] {
        let experiment = resolved(CALM, Some(&plan(ready)));
        let api = experiment.services.iter().find(|s| s.name == "api").unwrap();
        assert!(matches!(&api.ready, Ready::Http(ready) if ready.path == asked), "{ready}: {:?}", api.ready);
    }
    let text = refused(CALM, Some(&plan("/up")));
    assert!(text.contains("`/up` is no URL") && text.contains("write all of it: `http://"), "{text}");
    let text = refused(&CALM.replace("get: /rooms", "get: \"http://a.example/rooms?x=1\""), None);
    assert!(text.contains("a path begins with `/`"), "{text}");
    assert!(text.contains("the host is that of `target`: write `/rooms?x=1`"), "{text}");
}

#[test]
fn a_value_that_could_not_be_read_is_not_held_against_the_times_of_the_rest() {
    let chaos = format!("{QUICK}timeline: [{{name: cut, at: 25s, for: 5s, down: {{link: api-store}}}}]\n");
    let profile = CALM.replace("timeout: 2s", "timeout: 2");
    let text = refused(&format!("{profile}objectives: [recovery(cut) < 5s]\n"), Some(&chaos));
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
    assert!(text.starts_with("error: a duration needs a unit: write `2s` or `2ms`"), "{text}");
}

#[test]
fn a_trigger_that_is_over_while_a_later_one_is_in_force_leaves_nothing_to_judge() {
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: slow, at: 30s, for: 8s, down: {{link: api-store}}}}\n  \
         - {{name: dead, at: 35s, for: 9s, kill: {{service: api-1}}}}\n"
    );
    let with = |limit: &str| format!("{CALM}objectives: [{limit}]\n");
    for limit in ["recovery(slow) < 5s", "errors < 5% after slow"] {
        let text = refused(&with(limit), Some(&chaos));
        assert!(text.contains("`dead` is still in force at 38 s, before this can be judged"), "{text}");
        assert!(text.contains("let `dead` end first, or begin at "), "{text}");
    }
    assert!(with_flags(&with("errors < 5% during slow"), Some(&chaos), &Flags::default()).is_ok());
}

#[test]
fn whoever_forgot_the_plan_or_the_sandbox_is_told_what_to_add() {
    let objectives =
        "objectives: [recovery(store_slow) < 5s, p95 < 1s during store_slow, p95 < 1s during bassline]";
    let forgotten = refused(&format!("{CALM}{objectives}\n"), None);
    let elsewhere = CALM.replace("sandbox", "http://127.0.0.1:7000");
    let plan = "timeline: [{name: slow, at: 40s, for: 5s, down: {link: api-store}}]\n";
    insta::assert_snapshot!(forgotten + &refused(&elsewhere, Some(plan)));
}

#[test]
fn a_watched_quantile_that_never_has_operations_enough_is_refused() {
    let timeline = "timeline: [{name: cut, at: 40s, for: 5s, down: {link: api-store}}]\n";
    let with = |rules: &str| format!("{QUICK}{timeline}{rules}\n");
    insta::assert_snapshot!(refused(
        CALM,
        Some(&with(
            "abort: [p99(list) > 2s, p99.9 > 2s for 30s, p95 > 1s during cut]\nsteady: [p99(mix) < 1s]"
        ))
    ));
    let fine = [
        "abort: [p99(list) > 2s for 40s, p50 > 1s, errors > 50%, p95 > 1s for 20s]",
        "steady: [p95(list) < 1s, mean < 1s]",
    ];
    for rules in fine {
        resolved(CALM, Some(&with(rules)));
    }
    let closed = CALM.replace("{constant: {rate: 10/s}}", "{closed: {users: 2}}");
    resolved(&closed, Some(&with("abort: [p99 > 2s]")));
    let lists = CALM.replace(
        "flow: [{get: /rooms, as: list}]",
        "flow: [{get: /rooms, as: list, capture: {r: {all: \"$.*\"}}}, {for_each: {in: r, as: n, steps: [{get: /x, as: item}]}}]",
    );
    resolved(&lists, Some(&with("abort: [p99(item) > 2s]")));
}

#[test]
fn a_steady_state_that_there_is_no_time_to_look_for_is_refused() {
    let storm = "  storm:\n    trigger: true\n    start: 12s\n    for: 5s\n    arrival: {constant: {rate: 5/s}}\n    timeout: 2s\n    flow: [{get: /rooms, as: again}]\n";
    let cut = |at: &str, rule: &str| {
        format!(
            "{QUICK}steady: [{rule}]\ntimeline: [{{name: cut, at: {at}, for: 5s, down: {{link: api-store}}}}]\n"
        )
    };
    let (early, stormy) = (cut("12s", "errors < 1% for 10s"), format!("{CALM}{storm}"));
    let told = refused(CALM, Some(&early));
    assert!(
        told.contains("this steady state can never be found") && told.contains("at 16s or later"),
        "{told}"
    );
    let told = refused(&stormy, Some(&cut("60s", "errors < 1% for 10s")));
    assert!(told.contains("before the first trigger (12 s)"), "{told}");
    let elsewhere = refused(CALM, Some(&cut("60s", "errors < 1%").replace("api-store", "db")));
    assert!(elsewhere.contains("there is no link `db`") && !elsewhere.contains("steady"), "{elsewhere}");
    let told = refused(CALM, Some(&format!("{QUICK}steady: [errors < 1%]\n")));
    assert!(told.contains("nobody would look for this steady state"), "{told}");
    let told = resolved(CALM, Some(&cut("12s", "errors < 1% for 5s"))).foresight.remarks.join("\n");
    assert!(told.contains("will hardly be found") && told.contains("list, and it takes 100"), "{told}");
    let told = resolved(CALM, Some(&cut("60s", "errors < 1% for 15s"))).foresight.remarks.join("\n");
    assert!(!told.contains("hardly be found"), "{told}");
    resolved(CALM, Some(&cut("12s", "errors < 1%")));
    resolved(&stormy.replace("start: 12s", "start: 16s"), Some(&cut("60s", "errors < 1% for 10s")));
}

#[test]
fn a_baseline_without_room_is_refused() {
    let chaos = format!("{QUICK}timeline:\n  - {{name: cut, at: 6s, for: 5s, down: {{link: api-store}}}}\n");
    insta::assert_snapshot!(refused(CALM, Some(&chaos)));
}

#[test]
fn targets_are_guarded() {
    let of = |target: &str, allowed: &[&str]| {
        let flags = Flags {
            target: vec![target.to_owned()],
            allow_target: allowed.iter().map(|a| (*a).to_owned()).collect(),
            ..Flags::default()
        };
        with_flags(CALM, None, &flags).map_err(|p| render(&p, false))
    };
    assert!(of("http://localhost:1", &[]).is_ok() && of("http://[::1]:1", &[]).is_ok());
    assert!(of("http://staging.example", &["staging.example"]).is_ok());
    let refusals: Vec<String> =
        ["http://staging.example", "https://localhost", "localhost:80", "http://nowhere"]
            .iter()
            .map(|t| of(t, &[]).expect_err(t))
            .collect();
    insta::assert_snapshot!(refusals.join(""));
}

#[test]
fn virtual_time_has_no_foreign_things() {
    let chaos = format!(
        "{QUICK}links: {{db: {{listen: 127.0.0.1:1, upstream: 127.0.0.1:2}}}}\nservices: {{s: {{start: [a], ready: {{tcp: 127.0.0.1:3}}}}}}\ntimeline:\n  - {{name: x, at: 40s, exec: {{run: [a], undo: [b], check: [c]}}}}\n"
    );
    let flags = Flags { virtual_time: true, ..Flags::default() };
    insta::assert_snapshot!(refused_with(CALM, Some(&chaos), &flags));
    let flags = Flags { virtual_time: true, target: vec!["http://localhost:1".into()], ..Flags::default() };
    assert!(refused_with(CALM, None, &flags).contains("sandbox only"));
}

#[test]
fn what_could_not_be_read_is_not_held_against_the_rest() {
    let chaos = format!(
        "{QUICK}links: {{db: {{listen: 127.0.0.1:1, upstraem: 127.0.0.1:2}}}}\ntimeline:\n  - {{name: x, at: 40s, for: 1s, down: {{link: db}}}}\n"
    );
    let problems = with_flags(CALM, Some(&chaos), &Flags::default()).unwrap_err();
    assert_eq!(problems.len(), 1, "{}", render(&problems, false));
}

#[test]
fn steps_and_shapes_that_make_no_sense_are_refused_in_words() {
    let profile = "target: http://localhost:1\nduration: 20s\nsetup:\n  steps: [{group: {as: g, steps: []}}, {get: /a, capture: {tenant: $.id, user: $.u}}]\nshapes:\n  list:\n    arrival: {bursts: {size: 0, every: 1s, over: 2s}}\n    start: 30s\n    flow:\n      - {think: 1s, as: x}\n      - {get: /a, path: /b}\n      - {method: PURGE}\n      - {post: /a, json: {}, body: x}\n      - repeat: {times: 0, parallel: 3, steps: []}\n      - choice: [{weight: 0, steps: []}]\n      - for_each: {in: names, as: i, steps: [{get: \"/{{ setup.tenant }}/{{ setup.tennant }}\"}]}\n      - group: {as: g, steps: [{get: /x, as: inner}]}\n      - {get: /a, as: list, headers: {\"bad header\": x}}\n      - {}\n  list2: {arrival: {closed: {users: 0}}, for: 90s, flow: []}\n  list3: {flow: [{get: /a}]}\nobjectives: [target.rooms = 7, rate(target.x) < 5]\n";
    insta::assert_snapshot!(refused(profile, None));
}

#[test]
fn the_system_of_a_plan_is_checked_too() {
    let chaos = format!(
        "{QUICK}links:\n  api-store: {{listen: 127.0.0.1:1, upstream: 127.0.0.1:2}}\n  a: {{listen: 10.0.0.1:1, upstream: staging.example:5}}\n  b: {{listen: 127.0.0.1:7, upstream: 127.0.0.1:7}}\n  c: {{listen: 127.0.0.1:7, upstream: 127.0.0.1:x, canary: rediss}}\nservices:\n  api-1: {{start: [a], ready: {{tcp: 127.0.0.1:1}}}}\n  s: {{start: [], ready: {{http: \"https://127.0.0.1\"}}}}\nsteady: [recovery < 3s]\nabort: [errors > 50]\ntimeline: []\n"
    );
    insta::assert_snapshot!(refused(CALM, Some(&chaos)));
}

#[test]
fn a_missing_variable_is_one_problem_and_no_more() {
    let profile = CALM.replace("2s\n", "${PATIENCE}\n");
    insta::assert_snapshot!(refused(&profile, None), @r"
    error: the environment has no `PATIENCE`
     --> p.yaml:6:14
      |
    6 |     timeout: ${PATIENCE}
      |              ^^^^^^^^^^^
      |
      = help: set it, or give a default: `${PATIENCE:-...}`
    ");
}

#[test]
fn no_message_shows_what_stands_before_the_at_of_a_url() {
    let profile = CALM.replace("target: sandbox", "target: https://bob:s3cret@localhost/x");
    let text = refused(&profile, None);
    assert!(text.contains("https://**********@localhost") && !text.contains("s3cret"), "{text}");
    let flags = Flags { target: vec!["https://bob:s3cret@localhost".into()], ..Flags::default() };
    let text = refused_with(CALM, None, &flags);
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn what_the_environment_brings_is_data_and_keeps_its_type() {
    let profile = "target: sandbox\nduration: 90s\nauth: {bearer: \"${CODE}\"}\nshapes:\n  mix:\n    arrival: {constant: {rate: \"${RATE}\"}}\n    users: ${USERS}\n    timeout: 2s\n    flow: [{post: \"/${PIN}\", json: {pin: \"${PIN}\", n: \"${PIN}\", own: 7, or: \"${NONE:-8}\", mixed: \"{{ i }}-${CODE}\"}}]\n";
    let experiment = resolved(profile, None);
    assert!(
        matches!(&experiment.target.auth, Some(Auth::Bearer { token: Text::Fixed(token) }) if token == "a{{i}}{%")
    );
    assert_eq!(experiment.shapes[0].users, Some(3), "a number where a number is asked for");
    let Step::Request(request) = &experiment.shapes[0].flow[0] else { panic!("a request") };
    let Body::Json(body) = &request.body else { panic!("JSON") };
    let plain = |name: &str| body[name].as_str().map(crate::template::plain);
    assert_eq!([plain("pin"), plain("n"), plain("or")], ["007", "007", "8"].map(|s| Some(s.to_owned())));
    assert_eq!(body["own"], 7);
    assert!(!experiment.redacted().to_string().contains('\u{fdd0}'), "no mark is shown");
    let text = refused(&profile.replace("{{ i }}-${CODE}", "{{ ${CODE} }}"), None);
    assert!(text.contains("what the environment gives is data"), "{text}");
}

/// Its braces would be sent, and a server that passes over what it does not know hides that.
#[test]
fn a_field_whose_name_is_meant_to_be_a_template_is_refused() {
    for (body, name) in [
        ("get: /rooms, query: {'filter[{{ i }}]': 1}", "filter[{{ i }}]"),
        ("post: /rooms, form: {'{{ user }}': 1}", "{{ user }}"),
        ("post: /rooms, json: {deep: [{'k{{ i }}': 1}]}", "k{{ i }}"),
        ("post: /rooms, json: {\"${PIN}\": 1}", "${PIN}"),
    ] {
        let said = refused(&CALM.replace("get: /rooms", body), None);
        assert!(said.contains(&format!("`{name}` is a field's name, and no template")), "{said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    }
    resolved(&CALM.replace("get: /rooms", "post: /rooms, json: {'$set': {'a{b}': 1}}"), None);
}

#[test]
fn who_would_go_through_a_list_of_setups_is_told_how_a_flow_takes_its_own_of_it() {
    let each = CALM.replace("get: /rooms, as: list", "for_each: {in: setup.r, as: n, steps: [{get: /x}]}");
    assert!(refused(&each, None).contains("`{{ setup.r[i % (setup.r | length)] }}`"));
}

#[test]
fn a_line_break_at_the_end_of_what_was_mounted_is_named() {
    let text = refused(&format!("{CALM}auth: {{bearer: \"${{MOUNTED}}\"}}\n"), None);
    assert!(text.contains("the value of `MOUNTED` ends with a line break"), "{text}");
    assert!(!text.contains("mounted-secret"), "{text}");
}

#[test]
fn what_setup_captures_for_each_of_several_at_a_time_is_not_there_later() {
    let profile = |repeat: &str| {
        format!(
            "{}setup: {{steps: [{{repeat: {{times: 2, {repeat}steps: [{{post: /a, capture: {{room: $.id}}}}]}}}}]}}\n",
            CALM.replace("/rooms", "\"/{{ setup.room }}\"")
        )
    };
    assert!(resolved(&profile(""), None).setup.steps.len() == 1, "the last one's");
    let text = refused(&profile("parallel: 2, "), None);
    assert!(
        text.contains("`setup.room` is captured only in a step that is repeated in `parallel`"),
        "{text}"
    );
}

#[test]
fn what_setup_captures_is_not_there_for_what_its_own_requests_carry_too() {
    let with = |lines: &str| {
        format!("{CALM}setup: {{steps: [{{post: /login, capture: {{token: $.t}}}}]}}\n{lines}\n")
    };
    let key = "0123456789abcdef0123456789abcdef";
    for carried in [
        "auth: {bearer: \"{{ setup.token }}\"}".to_owned(),
        "headers: {cookie: \"sid={{ setup.token }}\"}".to_owned(),
        format!("auth: {{jwt: {{key: {key}, claims: {{sub: \"{{{{ setup.token }}}}\"}}}}}}"),
    ] {
        let text = refused(&with(&carried), None);
        let why =
            "`setup.token` is captured only by setup, whose requests carry this too, and not always there";
        assert!(text.contains(why), "{carried}: {text}");
        resolved(&with(&carried.replace("token }}", "token | default('none') }}")), None);
    }
}

#[test]
fn what_the_last_repeat_asks_for_must_come_before_the_load_ends() {
    let plan = |after: &str| {
        format!(
            "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 2s, every: 16s, times: 3, latency: {{link: api-store, latency: 100ms}}, then: [{{after: {after}, run: [touch, x], undo: [rm, x]}}]}}\n"
        )
    };
    let text = refused(CALM, Some(&plan("19s")));
    assert!(text.contains("this comes at 1 min 31 s, and the load ends at 1 min 30 s"), "{text}");
    resolved(CALM, Some(&plan("17s")));
}

#[test]
fn judge_may_stand_in_a_profile_and_the_plan_wins_key_by_key() {
    let profile = format!("{CALM}judge: {{warmup: 7s, windows: 3, goodput: 80%}}\n");
    let judge = resolved(&profile, Some("judge: {windows: 4, stretch: 9s}\n")).outline.judge;
    assert_eq!((judge.warmup, judge.windows, judge.stretch), (Micros::secs(7), 4, Micros::secs(9)));
    assert!((judge.goodput - 0.8).abs() < 1e-9);
    let text = refused(&format!("{CALM}judge: {{windows: 0}}\n"), Some("judge: {stretch_windows: 0}\n"));
    assert!(text.contains("p.yaml:8") && text.contains("c.yaml:1"), "each at its own place: {text}");
}

#[test]
fn an_if_takes_one_expression_and_what_only_one_way_captures_is_not_sure() {
    let flow = |steps: &str| CALM.replace("[{get: /rooms, as: list}]", steps);
    let good = "[{get: /a, as: a, capture: {n: $.n}}, {if: \"{{ n | int > 3 }}\", then: [{get: /b, as: b, capture: {x: $.x}}], else: [{get: /c, as: c, timeout: 5s, capture: {x: $.x}}]}, {get: \"/{{ x }}\", as: d}]";
    let experiment = resolved(&flow(good), None);
    let deadline =
        |name: &str| experiment.outline.operations.iter().find(|o| o.name == name).map(|o| o.deadline);
    assert_eq!(deadline("mix"), Some(Micros::secs(2 + 5 + 2)), "the longer way");
    assert!((requests(&experiment.shapes[0].flow) - 3.0).abs() < 1e-9);
    let ahead = |name: &str| {
        let text = format!("{}objectives: [p50({name}) < 1s]\n", flow(good));
        resolved(&text, None).foresight.objectives[0].clone().map(|o| o.operation)
    };
    assert_eq!((ahead("a"), ahead("b")), (Some("a".to_owned()), None), "nobody can tell how many go there");
    let bad = "[{get: /a, then: [{get: /x}]}, {if: \"n > 3\", then: [{get: /b}]}, {if: \"{{ m }}\"}, {if: \"{{ i }}\", as: z, then: [{get: /b, capture: {x: $.x}}]}, {get: \"/{{ x }}\"}]";
    insta::assert_snapshot!(refused(&flow(bad), None));
}

#[test]
fn a_step_that_is_none_is_told_all_that_there_are() {
    let told = refused(&CALM.replace("{get: /rooms, as: list}", "{loop: 3}"), None);
    for known in ["`if`", "`repeat`", "`choice`", "`for_each`", "`group`"] {
        assert!(told.contains(known), "{told}");
    }
}
