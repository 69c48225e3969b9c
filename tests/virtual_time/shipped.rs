//! What ships: the same to the byte, minutes in seconds, and each file with the verdict it should have.

use std::path::{Path, PathBuf};
use std::process::Command;

use squall::experiment::{Flags, PhaseAhead};
use squall::objective::PhaseName;
use squall::units::Micros;
use squall::world::{Origin, World};

use crate::common::{Ran, conducted, conducted_beside, experiment, flags, root, sandbox_files, shipped};

fn ran(profile: &str, chaos: Option<&str>, flags: &Flags) -> Ran {
    conducted(experiment(&shipped(profile), chaos.map(shipped).as_deref(), flags))
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("squall-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary's exit code and the history that it wrote.
fn squall(reports: &Path, seed: &str) -> (Option<i32>, Vec<u8>) {
    let output = Command::new(env!("CARGO_BIN_EXE_squall"))
        .args(["run", "profiles/steady-mix.yaml", "--chaos", "chaos/store-latency.yaml", "--virtual"])
        .args(["--seed", seed, "--shards", "2", "--reports"])
        .arg(reports)
        .current_dir(root())
        .output()
        .unwrap();
    let run = std::fs::read_dir(reports).unwrap().next().unwrap().unwrap().path();
    (output.status.code(), std::fs::read(run.join("history.jsonl")).unwrap())
}

#[test]
fn the_same_seed_writes_the_same_history_to_the_byte_and_another_seed_does_not() {
    let folder = Folder::new("bytes");
    let [first, again, other] =
        [("a", "7"), ("b", "7"), ("c", "8")].map(|(name, seed)| squall(&folder.0.join(name), seed));
    assert_eq!(first.0, Some(0));
    assert!(first.1.len() > 10_000);
    assert!(first == again, "the same seed must give the same bytes");
    assert!(first.1 != other.1, "another seed is another run");
}

#[test]
fn ten_minutes_pass_in_seconds() {
    let flags = Flags { duration: Some(Micros::secs(600)), ..flags() };
    let clock = World::real(Origin::now());
    let ran = ran("profiles/steady-mix.yaml", Some("chaos/store-latency.yaml"), &flags);
    println!("600 s of steady-mix took {}", clock.now());
    assert_eq!(ran.exit(), 0, "{}", ran.story());
    assert!(ran.judgement.run.intended > 70_000);
}

#[test]
fn a_smoke_run_takes_seconds_proves_its_faults_and_passes_nothing() {
    let flags = Flags { smoke: true, ..flags() };
    let ran = ran("profiles/steady-mix.yaml", Some("chaos/store-latency.yaml"), &flags);
    proven(&ran, "smoke");
    assert!(ran.judgement.run.duration <= Micros::secs(12), "{}", ran.judgement.run.duration);
    assert_eq!(ran.exit(), 98, "{}", ran.story());
    let addresses = &ran.judgement.addresses;
    assert!(addresses.len() == 2 && addresses.iter().all(|a| a.requests > 100), "{addresses:?}");
    assert!(ran.judgement.summary.verdict.contains("smoke run"), "{}", ran.judgement.summary.verdict);
    let broken = Flags { flaws: vec!["unbounded_list".to_owned()], ..flags };
    let ran = ran_with_errors(&broken);
    assert_eq!(ran.exit(), 99, "a smoke run may fail: {}", ran.story());
}

fn ran_with_errors(flags: &Flags) -> Ran {
    let profile = shipped("profiles/steady-mix.yaml").replace("status: 201", "status: 202");
    conducted(experiment(&profile, Some(&shipped("chaos/store-latency.yaml")), flags))
}

/// Every fault came and went, and was proven to.
fn proven(ran: &Ran, what: &str) {
    for fault in &ran.judgement.faults {
        assert_eq!(fault.problem, None, "{what}: {}", fault.name);
        assert!(fault.effective.is_some() && fault.verified.is_some(), "{what}: {}", fault.name);
    }
    assert!(ran.judgement.generator.sound, "{what}: {}", ran.judgement.generator.sentence);
    assert_eq!(ran.judgement.generator.delivered, Some(1.0), "{what}");
    assert!(ran.judgement.left.is_empty(), "{what}: {:?}", ran.judgement.left);
}

/// The phases of the plan are those of the judge, to the cell: a fault is proven to have gone a moment after it did.
fn as_foreseen(foreseen: &[PhaseAhead], ran: &Ran, what: &str) {
    let names = |all: Vec<&PhaseName>| all.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let judged = &ran.judgement.phases;
    assert_eq!(
        names(foreseen.iter().map(|p| &p.name).collect()),
        names(judged.iter().map(|p| &p.name).collect()),
        "{what}"
    );
    let near = |a: Micros, b: Micros| (a.0 - b.0).abs() <= ran.timeline.outline().cell.0;
    for (ahead, was) in foreseen.iter().zip(judged) {
        let told = format!("{what}: {}: {:?} and {:?}", ahead.name, ahead.spans, was.spans);
        let (first, last) = (ahead.spans.first().unwrap(), ahead.spans.last().unwrap());
        // How long a one-shot lasts the service decides.
        let after_one_shot = ahead.one_shot && matches!(ahead.name, PhaseName::After(_));
        assert!(near(first.start, was.from) || after_one_shot, "{told}");
        let during_one_shot = ahead.one_shot && matches!(ahead.name, PhaseName::During(_));
        assert!(near(last.end, was.to) || during_one_shot, "{told}");
    }
}

#[test]
fn every_shipped_profile_passes_on_a_healthy_sandbox() {
    for profile in sandbox_files("profiles") {
        let ran = ran(&profile, None, &flags());
        assert_eq!(ran.exit(), 0, "{profile}: {}", ran.story());
        proven(&ran, &profile);
    }
}

#[test]
fn every_shipped_plan_passes_on_a_healthy_sandbox_and_each_of_its_faults_is_proven() {
    for profile in sandbox_files("profiles") {
        for chaos in sandbox_files("chaos") {
            let what = format!("{profile} x {chaos}");
            let planned = experiment(&shipped(&profile), Some(&shipped(&chaos)), &flags());
            let foreseen = planned.foresight.phases.clone();
            let ran = conducted(planned);
            as_foreseen(&foreseen, &ran, &what);
            assert!(!ran.judgement.faults.is_empty(), "{what}");
            proven(&ran, &what);
            assert_eq!(ran.exit(), 0, "{what}: {}", ran.story());
            assert!(
                ran.judgement.objectives.iter().all(|o| o.word.text() == "PASS"),
                "{what}: {}",
                ran.story()
            );
            let recovery = ran.judgement.summary.recovery.clone().unwrap_or_default();
            assert!(!recovery.contains("did not recover"), "{what}: {recovery}");
        }
    }
}

/// What the summary says of a failover is what happened: 4 s of refusals, and well with the first
/// answer of the other store.
#[test]
fn a_failover_is_told_as_it_was() {
    let ran = ran("profiles/steady-mix.yaml", Some("chaos/store-failover.yaml"), &flags());
    let trigger = &ran.judgement.triggers[0];
    assert_eq!(trigger.t_effective, Some(Micros::secs(33)));
    assert_eq!(trigger.t_clear, Some(Micros::secs(37)));
    let (outage, recovery) = (trigger.outage.unwrap(), trigger.recovery.unwrap());
    let (least, most) = (Micros::secs(4), Micros::secs(4) + trigger.margin);
    assert!((least..=most).contains(&outage), "to within a window: {outage}");
    assert!(recovery <= trigger.margin, "{recovery}");
    let bad = ran.timeline.tally(ran.op("get_room"), &(33..37).collect());
    assert_eq!(bad.good(), 0, "nothing went well while it was away");
    let well = ran.timeline.tally(ran.op("get_room"), &(38..90).collect());
    assert_eq!(well.good(), well.intended, "and all of it afterwards");
}

#[test]
fn a_list_without_pages_pulls_down_creating_rooms_and_the_verdict_says_so() {
    let flags = Flags { flaws: vec!["unbounded_list".into()], ..flags() };
    for chaos in [None, Some("chaos/store-latency.yaml")] {
        let ran = ran("profiles/unbounded-list.yaml", chaos, &flags);
        assert_eq!(ran.exit(), 99, "{}", ran.story());
        proven(&ran, "unbounded-list");
        let failed: Vec<&str> = ran
            .judgement
            .objectives
            .iter()
            .filter(|o| o.word.text() == "FAIL")
            .map(|o| o.text.as_str())
            .collect();
        assert!(failed.contains(&"p95(create_room) < 500ms during listers"), "{failed:?}");
        assert!(ran.judgement.summary.verdict.contains("While listers was in force"), "{}", ran.story());
        let held = ran.objective("p95(create_room) < 500ms during baseline");
        assert_eq!(held.word.text(), "PASS", "{}", held.reason);
    }
}

#[test]
fn four_shards_find_what_one_finds() {
    let run = |shards| {
        let text = shipped("profiles/steady-mix.yaml");
        let chaos = shipped("chaos/store-latency.yaml");
        conducted_beside(experiment(&text, Some(&chaos), &flags()), shards, |_| {})
    };
    let (one, four) = (run(1), run(4));
    for (op, outline) in one.timeline.operations() {
        let n = |ran: &Ran| ran.timeline.tally(op, &ran.timeline.all_cells()).intended;
        assert_eq!(n(&one), n(&four), "{}", outline.name);
    }
    assert_eq!(one.exit(), four.exit());
    assert_eq!(four.judgement.generator.shards, 4);
}
