//! What reports must show, whatever they look like.

use std::path::Path;

use super::chart::label::{Anchor, Area, Spot, area};
use super::fixture;
use super::{Look, html, json, markdown, one_line, series, terminal, visible, words};
use crate::objective::PhaseName;
use crate::record::AddressCount;
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{Band, Exit, JudgedFault, Judgement, OperationPhase, Span, Tail, UnsoundCell, Word};

const PLAIN: Look = Look { columns: 100, colour: false };

fn run() -> (Timeline, Judgement) {
    let timeline = fixture::timeline();
    let judgement = fixture::judgement(&timeline);
    (timeline, judgement)
}

fn address(port: u16, requests: u64, refused: u64) -> AddressCount {
    AddressCount {
        address: ([127, 0, 0, 1], port).into(),
        connections: 5,
        requests,
        refused,
        connect_timeouts: 2,
        timeouts: 4,
    }
}

fn page() -> String {
    let (timeline, judgement) = run();
    html(&timeline, &judgement)
}

/// For people: with `SQUALL_TEST_PAGES` set to a folder, what was made is left there.
fn leave(name: &str, text: &str) {
    if let Ok(folder) = std::env::var("SQUALL_TEST_PAGES") {
        std::fs::write(Path::new(&folder).join(name), text).expect("the folder is there");
    }
}

/// Everything between `<name` and `</name>`, one after the other.
pub(super) fn elements<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let pieces = page.split(open.as_str()).skip(1);
    pieces
        .filter(|p| p.starts_with([' ', '>']))
        .map(|p| p.split(close.as_str()).next().unwrap_or(p))
        .collect()
}

fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let tag = element.split('>').next()?;
    tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()
}

/// The text of an element without the elements in it.
fn words_of(element: &str) -> String {
    let inner = element.split_once('>').map_or("", |(_, inner)| inner);
    let pieces = inner.split('<').enumerate();
    let texts = pieces.map(|(i, p)| if i == 0 { p } else { p.split_once('>').map_or("", |(_, text)| text) });
    texts.filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ").replace("&lt;", "<").replace("&gt;", ">")
}

/// The boxes of all texts in a picture.
pub(super) fn boxes(svg: &str) -> Vec<(String, Area)> {
    let number = |e: &str, name| attribute(e, name).and_then(|v| v.parse::<f64>().ok()).expect("a number");
    let texts = elements(svg, "text").into_iter();
    texts
        .map(|e| {
            let anchor = match attribute(e, "text-anchor") {
                Some("middle") => Anchor::Middle,
                Some("end") => Anchor::End,
                _ => Anchor::Start,
            };
            let (text, bold) = (words_of(e), attribute(e, "font-weight").is_some());
            let spot = Spot { x: number(e, "x"), y: number(e, "y"), anchor };
            let size = attribute(e, "font-size").map_or(11.0, |v| v.parse().expect("a number"));
            let area = area(&text, spot, size, bold);
            (text, area)
        })
        .collect()
}

pub(super) fn assert_no_label_covers_another(page: &str) {
    for svg in elements(page, "svg") {
        let boxes = boxes(svg);
        for (i, (one, a)) in boxes.iter().enumerate() {
            for (other, b) in &boxes[i + 1..] {
                assert!(!a.overlaps(b), "`{one}` {a:?} and `{other}` {b:?} in {}", &svg[..200]);
            }
        }
    }
}

#[test]
fn the_terminal_summary_begins_with_the_verdict_and_fits_a_hundred_columns() {
    let text = terminal(&run().1, "reports/run/report.html", PLAIN);
    leave("terminal.txt", &text);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_fault_that_could_not_be_undone_is_told_with_the_command_that_finds_it() {
    let (_, mut judgement) = run();
    let page = "/mnt/nights/20261127-220557-load/report.html";
    assert!(!terminal(&judgement, page, PLAIN).contains("squall heal"));
    judgement.exit.code = crate::exit::NOT_UNDONE;
    let text = terminal(&judgement, page, PLAIN);
    assert!(text.contains("\nheal:   squall heal /mnt/nights/20261127-220557-load\n"), "{text}");
}

#[test]
fn at_eighty_columns_no_line_is_longer_and_no_word_is_broken() {
    let (_, mut judgement) = run();
    judgement.addresses = vec![address(17_001, 600_000, 0), address(17_002, 200_000, 1_200)];
    let text = terminal(&judgement, "reports/run/report.html", Look { columns: 80, ..PLAIN });
    leave("terminal-80.txt", &text);
    let copied = |line: &&str| line.starts_with("again:");
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80 && !copied(line)).collect();
    assert!(long.is_empty(), "{long:#?}");
    let wide = terminal(&judgement, "reports/run/report.html", PLAIN);
    let words = |text: &str| {
        let words = text.split_whitespace().filter(|word| word.contains(char::is_alphabetic));
        words.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let broken: Vec<String> = words(&wide).difference(&words(&text)).cloned().collect();
    assert_eq!(broken, ["p90"], "the page has it");
}

#[test]
fn names_that_are_longer_than_their_columns_are_broken_where_they_are_joined() {
    let (_, mut judgement) = run();
    let (operation, fault) = ("list_participants_of_room_by_moderator", "primary_database_network_partition");
    for o in &mut judgement.objectives {
        o.text = format!("errors({operation}) < 1% during {fault}");
        o.phase = PhaseName::During(fault.to_owned());
    }
    for op in &mut judgement.operations {
        op.name = operation.to_owned();
        op.phases.iter_mut().for_each(|p| p.phase = PhaseName::During(fault.to_owned()));
    }
    judgement
        .errors
        .iter_mut()
        .for_each(|e| e.operation = "GET /twirp/livekit.RoomService/ListParticipants".into());
    judgement.faults.iter_mut().for_each(|f| f.name = fault.to_owned());
    for columns in [80, 90, 100] {
        let text = terminal(&judgement, "reports/run/report.html", Look { columns, ..PLAIN });
        leave(&format!("terminal-long-{columns}.txt"), &text);
        let copied = |line: &&str| line.starts_with("again:");
        let long = |line: &&str| line.chars().count() > usize::from(columns);
        let long: Vec<&str> = text.lines().filter(|line| long(line) && !copied(line)).collect();
        assert!(long.is_empty(), "{long:#?}");
        assert!(text.lines().all(|line| !["✗", "✓", "FAIL", "PASS"].contains(&line.trim())), "{text}");
        assert!(text.contains("list_participants_of_"), "{text}");
    }
}

#[test]
fn the_markdown_summary_tells_the_same_in_the_same_order() {
    insta::assert_snapshot!(markdown(&run().1));
}

#[test]
fn what_an_objective_leaves_out_is_told_wherever_it_is_shown() {
    let (timeline, mut judgement) = run();
    let note = "No flow came to seldom, so nothing is said of it.";
    judgement.objectives.iter_mut().take(2).for_each(|o| o.notes = vec![note.to_owned()]);
    let times = |text: &str| text.matches(note).count();
    assert_eq!(times(&terminal(&judgement, "x", PLAIN)), 1);
    assert_eq!(times(&markdown(&judgement)), 1);
    assert_eq!(times(&html(&timeline, &judgement)), 2);
}

#[test]
fn the_page_tells_its_sections_in_order_and_every_chart_says_what_it_shows() {
    let page = page();
    let mut outline = String::new();
    for section in page.split("<h2").skip(1) {
        outline += &format!("## {}\n", words_of(section.split("</h2>").next().unwrap_or("")));
        for svg in elements(section, "svg").into_iter().filter(|svg| !svg.contains("chart narrow")) {
            outline += &format!("chart: {}\n", words_of(elements(svg, "title").first().expect("a title")));
        }
        for table in elements(section, "table") {
            let head: Vec<String> = elements(table, "th").into_iter().map(words_of).collect();
            outline += &format!("table: {} ({} rows)\n", head.join(" | "), elements(table, "tr").len() - 1);
        }
    }
    insta::assert_snapshot!(outline);
}

#[test]
fn what_the_target_says_is_shown_and_never_obeyed() {
    let (timeline, judgement) = run();
    let page = html(&timeline, &judgement);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m") && page.contains("\\u{202e}"));
    assert_eq!(page.matches("<script>").count(), 1, "only the page's own");
    let plain = terminal(&judgement, "x", PLAIN);
    assert!(
        plain.contains("<script>alert(1)</script>\\x1b[31m\\r\\n") && !plain.contains(['\x1b', '\u{202e}'])
    );
    let coloured = terminal(&judgement, "x", Look { colour: true, ..PLAIN });
    assert!(coloured.contains('\x1b') && !coloured.contains("\x1b[31m\r") && !coloured.contains('\u{202e}'));
    let markdown = markdown(&judgement);
    assert!(!markdown.contains("<script>") && !markdown.contains('\x1b'));
    assert_eq!(visible(fixture::HOSTILE), "<script>alert(1)</script>\\x1b[31m\\r\\n| **bold** \\u{202e}");
}

#[test]
fn a_hostile_name_stays_text_wherever_it_is_shown() {
    let (mut timeline, mut judgement) = run();
    for op in &mut timeline.header.outline.operations {
        op.name = fixture::HOSTILE.to_owned();
    }
    judgement.operations[0].name = fixture::HOSTILE.to_owned();
    judgement.faults[0].what = fixture::HOSTILE.to_owned();
    judgement.objectives[0].text = fixture::HOSTILE.to_owned();
    judgement.run.target = fixture::HOSTILE.to_owned();
    judgement.run.command = fixture::HOSTILE.to_owned();
    assert_eq!(html(&timeline, &judgement).matches("<script>").count(), 1);
    assert!(!terminal(&judgement, "x", PLAIN).contains('\x1b'));
    let summary = markdown(&judgement);
    let mut outside_code = summary.lines().filter(|line| !line.starts_with("    "));
    assert!(outside_code.all(|line| !line.contains("<script>") && !line.contains("| **")));
}

#[test]
fn no_label_covers_another() {
    assert_no_label_covers_another(&page());
}

#[test]
fn no_label_covers_another_when_faults_crowd() {
    let (timeline, mut judgement) = run();
    let first: JudgedFault = judgement.faults[0].clone();
    for i in 0..12 {
        let at = Micros::secs(50 + 3 * i);
        let name = format!("store_failover#{i}");
        judgement.faults.push(JudgedFault { name, effective: Some(at), verified: Some(at), ..first.clone() });
        let during = judgement.phases.iter_mut().find(|p| p.name.to_string() == "during store_slow");
        during.expect("a phase").spans.push(Span { from: at, to: at + Micros::SECOND });
    }
    assert_no_label_covers_another(&html(&timeline, &judgement));
}

#[test]
fn every_number_in_a_picture_is_finite() {
    let page = page();
    for svg in elements(&page, "svg") {
        for name in ["x", "y", "width", "height", "cx", "cy", "stroke-width", "font-size"] {
            let before = format!(" {name}=\"");
            let values = svg.split(before.as_str()).skip(1).filter_map(|v| v.split('"').next());
            assert!(values.into_iter().all(|v| v.parse::<f64>().is_ok_and(f64::is_finite)), "{name}");
        }
        let paths = svg.split(" d=\"").skip(1).filter_map(|d| d.split('"').next());
        let numbers =
            paths.flat_map(|d| d.split(['M', 'L', 'Z', 'v', 'V', 'l', 'H', ' '])).filter(|n| !n.is_empty());
        assert!(numbers.into_iter().all(|n| n.parse::<f64>().is_ok_and(f64::is_finite)));
    }
}

#[test]
fn every_element_is_closed_in_order() {
    let page = page();
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or("");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.starts_with('!') || tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap_or("")),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_is_small() {
    let page = page();
    leave("report.html", &page);
    assert!(page.len() < 400 * 1024, "{} bytes", page.len());
    for word in ["http:", "https:", "//cdn", "@import", "url(", " src=", " href=", " style="] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn words_among_numbers_may_be_broken_and_so_may_long_names_within_themselves() {
    let (timeline, mut judgement) = run();
    let fault = "primary_database_network_partition";
    let trigger = &mut judgement.triggers[0];
    (trigger.outage, trigger.recovery) = (Some(Micros::ZERO), Some(Micros::ZERO));
    let objective = &mut judgement.objectives[0];
    (objective.phase, objective.text) =
        (PhaseName::During(fault.to_owned()), format!("errors < 1% during {fault}"));
    let page = html(&timeline, &judgement);
    let words = "<td class=\"num words\" data-name=\"recovery\"><div>nothing to recover from";
    for piece in [words, &format!("<span class=\"long\">during {fault}"), "<code class=\"long\">errors"] {
        assert!(page.contains(piece), "{piece}");
    }
    assert!(page.contains("<td class=\"num\" data-name=\"at worst\">"), "numbers are not");
}

#[test]
fn a_run_in_which_nothing_was_sent_still_has_a_report() {
    let (timeline, judgement) = run();
    let empty = Timeline::new(timeline.header);
    let none = Judgement {
        objectives: vec![],
        phases: vec![],
        triggers: vec![],
        faults: vec![],
        operations: vec![],
        errors: vec![],
        baseline: vec![],
        ..judgement
    };
    assert!(html(&empty, &none).contains("nothing was sent"));
    assert!(terminal(&none, "report.html", PLAIN).contains("report: report.html"));
    assert!(markdown(&none).contains("FAIL"));
}

#[test]
fn verdict_json_reads_back_to_the_same_verdict() {
    let judgement = run().1;
    let back: Judgement = serde_json::from_str(&json(&judgement)).expect("it is valid");
    assert_eq!(
        (back.verdict, back.exit, back.objectives),
        (judgement.verdict, judgement.exit, judgement.objectives)
    );
    assert_eq!((back.faults, back.errors), (judgement.faults, judgement.errors));
}

#[test]
fn one_line_has_the_word_the_headline_and_the_report_and_pass_has_none_unless_something_is_left() {
    let judgement = Judgement { left: Vec::new(), ..run().1 };
    let line = one_line(&judgement, "reports/run/report.html");
    assert_eq!(line.lines().count(), 1);
    assert!(line.starts_with("FAIL (exit 99): ") && line.contains(&judgement.summary.verdict), "{line}");
    assert!(line.ends_with(" reports/run/report.html\n"), "{line}");
    let exit = Exit { code: 0, reason: String::new() };
    let mut pass = Judgement { verdict: Word::Pass, exit, ..judgement };
    assert_eq!(one_line(&pass, "x"), "");
    pass.left = vec!["service `shop` (pid 7)".to_owned(), "room 1".to_owned(), "room 2".to_owned()];
    let line = one_line(&pass, "x");
    assert!(line.starts_with("PASS (exit 0): ") && line.lines().count() == 1, "{line}");
    assert!(line.ends_with("Left behind: service `shop` (pid 7), and 2 more. x\n"), "{line}");
}

#[test]
fn the_rate_of_a_run_that_was_cut_short_is_over_the_time_that_it_had_load() {
    let (_, mut judgement) = run();
    judgement.run.intended = 600;
    judgement.run.lasted = Micros::secs(12);
    let facts = words::facts(&judgement).join("; ");
    assert!(facts.contains("50 operations/s for 12 s, of 1 min 30 s planned"), "{facts}");
}

#[test]
fn no_harm_at_all_does_not_read_like_no_recovery() {
    let mut trigger = run().1.triggers[0].clone();
    (trigger.outage, trigger.recovery) = (Some(Micros::ZERO), Some(Micros::ZERO));
    let told = [words::outage(&trigger), words::recovery(&trigger)];
    assert_eq!(told, ["no outage", "nothing to recover from"]);
    (trigger.outage, trigger.margin) = (Some(Micros::secs(9)), Micros::SECOND);
    assert_eq!([words::outage(&trigger), words::recovery(&trigger)], ["9 s ± 1 s", "at once"]);
    (trigger.outage, trigger.recovery) = (None, None);
    trigger.shapes[0].outage_so_far = Micros::SECOND;
    assert_eq!([words::outage(&trigger), words::recovery(&trigger)], ["not over", "not over"]);
    trigger.shapes.iter_mut().for_each(|s| s.outage_so_far = Micros::ZERO);
    assert_eq!([words::outage(&trigger), words::recovery(&trigger)], ["none seen", "–"], "a short end");
    (trigger.outage, trigger.doubt) = (Some(Micros::ZERO), Some("it was not proven".to_owned()));
    assert_eq!([words::outage(&trigger), words::recovery(&trigger)], ["–", "–"]);
}

#[test]
fn a_smoke_run_is_marked_wherever_it_is_told() {
    let (timeline, mut judgement) = run();
    judgement.run.smoke = Some(9.0);
    for text in [html(&timeline, &judgement), markdown(&judgement), terminal(&judgement, "x", PLAIN)] {
        assert!(text.contains(", a smoke run"), "{}", &text[..300]);
    }
}

/// A made-up operation in a phase, with so many of it.
fn of(n: u64) -> OperationPhase {
    let p = run().1.operations[0].phases[1].clone();
    OperationPhase { n, ..p }
}

#[test]
fn a_quantile_that_so_few_cannot_bound_is_marked_as_a_guess() {
    let marked = |n| words::quantiles(&of(n)).map(|text| text.starts_with('~'));
    assert_eq!(marked(117), [false, false, true, true, false]);
    assert_eq!(marked(5), [true, true, true, true, false], "a maximum is what it is");
    assert_eq!(marked(4_000), [false; 5]);
    let (timeline, judgement) = run();
    for text in [html(&timeline, &judgement), markdown(&judgement), terminal(&judgement, "x", PLAIN)] {
        assert!(text.contains("a guess: to bound it takes"), "{}", &text[..200]);
    }
}

#[test]
fn the_line_above_the_median_is_what_the_points_can_carry_and_is_named_so() {
    let (timeline, _) = run();
    let points = series::points(&timeline, crate::sample::OpId(0));
    let named = |n: u64| {
        let points: Vec<_> = points.iter().map(|p| series::Point { intended: n, ..p.clone() }).collect();
        series::upper(&points).name
    };
    assert_eq!([38, 100, 400].map(named), ["max", "p95", "p99"]);
    let page = page();
    assert!(!page.contains(">p99</text>"), "the fixture has forty a second");
    assert!(page.contains(">max</text>") && page.contains("max is worst at"));
}

#[test]
fn the_chart_shows_what_recovery_is_judged_by_and_whose_health_changed() {
    let page = page();
    let felt = page.split("What users felt").nth(1).unwrap().split("<h2").next().unwrap();
    for text in ["normal for list", "normal from ", ">over</text>", ">well again</text>"] {
        assert!(felt.contains(text), "{text}");
    }
    assert!(felt.contains("unhealthy: ") && felt.contains(" unhealthy from "), "a service was unwell");
    let (mut timeline, mut judgement) = run();
    for trigger in &mut judgement.triggers {
        (trigger.one_shot, trigger.t_clear) = (true, trigger.t_effective);
    }
    assert!(
        !html(&timeline, &judgement).contains(">over</text>"),
        "what killed a service is not over with the kill"
    );
    assert!(!felt.contains("squall unsound"));
    judgement.generator.unsound =
        [7, 8, 20].map(|at| UnsoundCell { at: Micros::secs(at), why: "late".to_owned() }).into();
    let page = html(&timeline, &judgement);
    assert!(
        page.contains("squall unsound: 0:07 to 0:09<") && page.contains("squall unsound: 0:20 to 0:21<"),
        "{page}"
    );
    let lists = judgement.baseline.iter_mut().find(|band| band.shape == "lists").unwrap();
    let band = Band { median: 1.0, limit: 1.0, moved: false };
    lists.tail = Some(Tail { quantile: 0.95, band });
    let page = html(&timeline, &judgement);
    assert!(
        !page.contains("normal for lists: p95") && page.contains(": average to "),
        "one of several is far from it"
    );
    timeline.header.outline.objectives.retain(|o| !o.text.starts_with("recovery"));
    assert!(!html(&timeline, &judgement).contains("normal for"), "nothing rests on it");
}

#[test]
fn what_is_normal_of_operations_that_each_have_their_own_is_told_in_times() {
    let (_, judgement) = run();
    assert!(judgement.baseline.iter().any(|band| band.shape == "rooms" && !band.each.is_empty()));
    let page = page();
    assert!(page.contains(": average to ") && !page.contains("normal for rooms: p"));
}

#[test]
fn errors_are_counted_for_each_phase() {
    let (timeline, judgement) = run();
    let group = judgement.errors.iter().max_by_key(|e| e.count).unwrap();
    assert!(!group.phases.is_empty() && group.phases.iter().all(|p| p.count <= group.count), "{group:?}");
    let told = words::by_phase(group);
    for text in [html(&timeline, &judgement), terminal(&judgement, "x", PLAIN)] {
        assert!(text.contains(&told), "{told}");
    }
    assert_eq!(words::outcome(crate::sample::Kind::Status, 0), "further statuses");
}

#[test]
fn short_names_never_break_and_long_ones_may() {
    let (timeline, mut judgement) = run();
    judgement.faults[0].name = "a-name-that-is-longer-than-any-column".to_owned();
    let page = html(&timeline, &judgement);
    assert!(page.contains("<b class=\"short\">store_failover</b>"));
    assert!(page.contains("<b class=\"long\">a-name-that-is-longer-than-any-column</b>"));
}

#[test]
fn each_address_of_a_target_that_has_several_has_its_row() {
    let (timeline, mut judgement) = run();
    judgement.addresses = vec![address(7_001, 600, 0)];
    assert!(!html(&timeline, &judgement).contains("Addresses of the target"), "one says nothing");
    judgement.addresses.push(address(7_002, 200, 1_200));
    let expected = ["127.0.0.1:7002", "200", "25.0", "1,200", "2", "4"].map(str::to_owned);
    assert_eq!(words::addresses(&judgement)[1], expected);
    for text in [html(&timeline, &judgement), markdown(&judgement), terminal(&judgement, "x", PLAIN)] {
        assert!(text.contains("127.0.0.1:7002") && text.contains("25.0"), "{}", &text[..200]);
    }
}
