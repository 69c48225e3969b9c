//! What expressions say, and what is said about wrong ones.

use proptest::prelude::*;

use super::*;

fn names() -> Names {
    let list = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
    Names {
        operations: list(&["create_room", "get_room", "POST /rooms", "create_burst"]),
        triggers: list(&["store_slow", "node_kill", "surge"]),
    }
}

#[test]
fn expressions_are_read_and_printed_in_one_form() {
    let rows = [
        ("p99(create_room) < 300ms during store_slow", "p99(create_room) < 300 ms during store_slow"),
        ("  p99.9<=2s  ", "p99.9 <= 2 s"),
        ("errors(create_room)<1%", "errors(create_room) < 1 %"),
        ("errors > 50% for 10s", "errors > 50 % for 10 s"),
        ("goodput >= 99.5% during baseline", "goodput >= 99.5 % during baseline"),
        ("rate(POST /rooms) > 50/s", "rate(POST /rooms) > 50/s"),
        ("count == 2000", "count = 2000"),
        ("amplification < 1.2 after node_kill", "amplification < 1.2 after node_kill"),
        ("recovery(node_kill) < 20s", "recovery(node_kill) < 20 s"),
        ("outage <= 1m30s", "outage <= 1 min 30 s"),
        (
            "rate(target.queries_total) < 500 during surge for 5s",
            "rate(target.queries_total) < 500 during surge for 5 s",
        ),
        ("target.rooms = 7", "target.rooms = 7"),
        ("mean(get_room) < 5ms during run", "mean(get_room) < 5 ms"),
    ];
    for (text, expected) in rows {
        let parsed = parse(text, &names()).unwrap_or_else(|m| panic!("{text}: {m:?}"));
        assert_eq!(parsed.to_string(), expected, "{text}");
        assert_eq!(parsed.text, text.trim());
    }
}

#[test]
fn a_wrong_word_is_marked_and_the_right_one_named() {
    let rows = [
        "p98.5(create_rom) < 1s",
        "erors < 1%",
        "p99 < 300",
        "p100 < 1s",
        "errors < 0.05",
        "rate > 50",
        "count > 5/s",
        "lost = 0",
        "p99 300ms",
        "p99 => 300ms",
        "p99(create_room < 3s",
        "p99() < 3s",
        "p99 < 3s during store_slo",
        "p99 < 3s after baseline",
        "p99 < 3s while surge",
        "recovery(node_kil) < 3s",
        "recovery < 3s after node_kill",
        "errors > 5% for 10",
        "",
        "during",
    ];
    let shown: Vec<String> = rows
        .iter()
        .map(|text| {
            let m = parse(text, &names()).expect_err(text);
            format!(
                "{text}\n{:indent$}{} {}; {}\n",
                "",
                "^".repeat(m.range.len().max(1)),
                m.message,
                m.help,
                indent = m.range.start
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_phase_behind_its_for_is_told_the_order() {
    for (text, word) in [
        ("errors > 5% for 10s during node_kill", "during"),
        ("errors > 5% for 10s after node_kill", "after"),
        ("errors > 5% during node_kill after node_kill", "after"),
        ("errors > 5% for 10s for 5s", "for"),
    ] {
        let mistake = parse(text, &names()).unwrap_err();
        assert_eq!(mistake.message, format!("`{word}` is not expected here"), "{text}");
        let phase = if text.contains("10s after") { "after node_kill" } else { "during node_kill" };
        let phase = if text.contains("node_kill") { phase } else { "during x" };
        let help = format!("write one phase, then one `for`: `errors > 5% {phase} for 10s`");
        assert_eq!(mistake.help, help, "{text}");
    }
    assert!(parse("errors > 5% during node_kill for 10s", &names()).is_ok());
}

/// `p95(a) > 250` was told to be written like `p95 < 300ms`, and an abort rule like `errors < 1%`.
#[test]
fn a_value_is_told_in_its_unit_with_the_users_own_number_and_operator() {
    for (text, help) in [
        ("p95(get_room) > 250", "`p95(get_room) > 250ms`"),
        ("p95 < 2 during surge", "`p95 < 2s during surge` or `p95 < 2ms during surge`"),
        ("mean < 0.25", "`mean < 0.25s` or `mean < 0.25ms`"),
        ("p99 <= 300 ms for 10s", "`p99 <= 300ms for 10s`"),
        ("p99 > 300msec", "`p99 > 300ms`"),
        ("recovery(surge) < 20", "`recovery(surge) < 20s`"),
        ("goodput > 99", "`goodput > 99%`"),
        ("goodput >= 1", "`goodput >= 100%`"),
        ("goodput > 0.995 during baseline", "`goodput > 99.5% during baseline`"),
        ("errors < 0.05", "`errors < 5%`"),
        ("errors < 0.07 after surge", "`errors < 7% after surge`"),
        ("errors = 0", "`errors = 0%`"),
        ("errors < 1", "`errors < 1%`"),
        ("errors > 90 for 10s", "`errors > 90% for 10s`"),
        ("errors > 90 % for 10s", "`errors > 90% for 10s`"),
        ("errors > 120%", "`errors > 50%`"),
        ("rate(get_room) >= 50", "`rate(get_room) >= 50/s`"),
        ("rate > fast", "`rate > 50/s`"),
        ("count > 2,000", "`count > 2000`"),
        ("count >", "`count > 1000`"),
        ("p99 < three hundred ms", "`p99 < 300ms`"),
    ] {
        let mistake = parse(text, &names()).expect_err(text);
        assert_eq!(mistake.help, format!("write it like {help}"), "{text}");
        for told in help.split('`').skip(1).step_by(2) {
            assert!(parse(told, &names()).is_ok(), "{told}");
        }
    }
    let help = |text: &str| parse(text, &names()).expect_err(text).help;
    assert_eq!(help("recovery > 3s after surge"), "write `recovery(surge) > 3s`");
    assert_eq!(help("errors > 5% for 30"), "write it like `for 30s`");
}

/// They passed as names that no target has: the run was INCONCLUSIVE when it was over.
#[test]
fn labels_and_ranges_behind_a_metric_of_the_target_are_told_to_go() {
    for text in [
        r#"rate(target.failed_total{code="500"}) < 1"#,
        "rate(target.failed_total[5m]) < 1",
        "max(target.failed_total by code) < 1",
        r#"target.failed_total{code="500"} < 1"#,
    ] {
        let mistake = parse(text, &names()).unwrap_err();
        assert!(mistake.help.starts_with("write `target.failed_total`, a name alone"), "{text}: {mistake:?}");
    }
    assert!(parse("rate(target.) < 1", &names()).unwrap_err().help.starts_with("write `target.NAME`"));
    assert!(parse("rate( target.job:failed_total.sum-1 ) < 1", &names()).is_ok());
}

/// A chaos plan was asked for, or another trigger's name.
#[test]
fn a_shape_that_is_no_trigger_is_told_to_become_one() {
    for triggers in [names().triggers, Some(vec![])] {
        let names = Names { triggers, ..names() };
        for text in [
            "recovery(create_burst) < 5s",
            "errors < 1% during create_burst",
            "rate > 1/s after create_burst",
        ] {
            let help = parse(text, &names).unwrap_err().help;
            assert_eq!(help, "if `create_burst` is the shape, write `trigger: true` into it", "{text}");
        }
    }
}

#[test]
fn unknown_names_pass_where_names_are_not_known() {
    assert!(parse("p99(anything) < 1s after whatever", &Names::default()).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(p99|errors|target\\.|\\PC|[<>=() %]| during | for ){0,12}") {
        if let Err(m) = parse(&text, &names()) {
            prop_assert!(text.get(m.range.clone()).is_some(), "{:?}", m);
        }
    }
}
