//! What squall tells people, as texts and files.

pub mod plan;
pub fn html(_: &crate::timeline::Timeline, j: &crate::verdict::Judgement) -> String { j.summary.verdict.clone() }
pub fn json(j: &crate::verdict::Judgement) -> String { serde_json::to_string_pretty(j).unwrap() }
pub fn markdown(j: &crate::verdict::Judgement) -> String { j.summary.verdict.clone() }
pub fn terminal(j: &crate::verdict::Judgement, p: &str, _: bool) -> String {
    let mut s = format!("{:?} {}\n{:?}\n{}\n", j.verdict, j.summary.verdict, j.summary.recovery, j.summary.generator);
    for o in &j.objectives { s += &format!("{:?} {} {:?} {:?} n={} {}\n", o.word, o.text, o.decided, o.measured, o.n, o.reason); }
    for f in &j.faults { s += &format!("{f:?}\n"); }
    for e in &j.errors { s += &format!("{:?} {:?} {} {}\n", e.operation, e.kind, e.status, e.count); }
    for n in &j.notes { s += &format!("note: {n}\n"); }
    for n in &j.triggers { s += &format!("trigger: {} out {:?} rec {:?}\n", n.name, n.outage, n.recovery); }
    s + p + "\n"
}
