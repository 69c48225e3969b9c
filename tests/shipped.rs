//! Every shipped YAML is read, checked against its schema's copy, and resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use squall::diagnose::render;
use squall::experiment::{Experiment, Flags, resolve};
use squall::units::Micros;
use squall::{chaos_plan, profile};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn environment() -> BTreeMap<String, String> {
    let pairs =
        [("SQUALL_LIVEKIT_KEY", "0123456789abcdef0123456789abcdef"), ("SQUALL_LIVEKIT_DIR", "livekit")];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn lookup(host: &str, _: u16) -> Result<Vec<SocketAddr>, String> {
    Err(format!("no name is looked up in this test: {host}"))
}

fn load(profile_file: &Path, chaos_file: Option<&Path>, flags: &Flags) -> Experiment {
    let read = |file: &Path| (file.display().to_string(), std::fs::read_to_string(file).unwrap());
    let (path, text) = read(profile_file);
    let profile = profile::read(&path, &text, &environment());
    let chaos = chaos_file.map(|file| {
        let (path, text) = read(file);
        chaos_plan::read(&path, &text, &environment())
    });
    resolve(&profile, chaos.as_ref(), flags, &lookup)
        .unwrap_or_else(|problems| panic!("{}", render(&problems, false)))
}

#[test]
fn every_profile_resolves_alone() {
    for file in yaml_files("profiles") {
        let experiment = load(&file, None, &Flags::default());
        assert!(!experiment.outline.objectives.is_empty(), "{}", file.display());
    }
}

#[test]
fn every_chaos_plan_resolves_with_the_profiles_of_its_target() {
    for chaos in yaml_files("chaos") {
        let livekit = chaos.file_name().unwrap().to_str().unwrap().starts_with("livekit");
        for profile in yaml_files("profiles") {
            let same = profile.file_name().unwrap().to_str().unwrap().starts_with("livekit") == livekit;
            if same {
                let experiment = load(&profile, Some(&chaos), &Flags::default());
                assert!(!experiment.faults.is_empty());
                assert_eq!(experiment.faults.len(), experiment.outline.faults.len());
                let smoke = load(&profile, Some(&chaos), &Flags { smoke: true, ..Flags::default() });
                assert!(smoke.outline.duration <= Micros::secs(60), "{}", smoke.outline.duration);
            }
        }
    }
}

/// The YAML of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let rest = text.split("```yaml\n").skip(1);
    rest.filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// The example of a page: its first YAML is a profile, its second a chaos plan, and so on in pairs.
fn example(page: &str, nth: usize, duration: Option<Micros>) -> Experiment {
    let yaml = blocks(page);
    let [profile, chaos] = &yaml[2 * nth..2 * nth + 2] else { panic!("{page}: {} YAML blocks", yaml.len()) };
    let profile = profile::read(page, profile, &environment());
    let chaos = chaos_plan::read(page, chaos, &environment());
    let flags = Flags { duration, ..Flags::default() };
    resolve(&profile, Some(&chaos), &flags, &lookup)
        .unwrap_or_else(|problems| panic!("{}", render(&problems, false)))
}

#[test]
fn the_pages_show_files_that_work() {
    let tour = example("README.md", 0, None);
    assert!(tour.outline.objectives.len() == 3 && tour.faults.len() == 1);
    let reference = example("docs/profile.md", 0, Some(Micros::secs(230)));
    assert!(reference.outline.operations.len() == 10 && reference.faults.len() == 6);
    let recipes = example("docs/profile.md", 1, None);
    assert!(recipes.outline.operations.len() == 4 && recipes.links.len() == 1);
    assert_eq!(blocks("docs/profile.md").len(), 4);
}

/// Names of keys, of variants and of words to choose from.
fn names_in(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            let keys = map.get("properties").and_then(|p| p.as_object()).into_iter().flat_map(|p| p.keys());
            found.extend(keys.cloned());
            let words = map.get("enum").and_then(|words| words.as_array()).into_iter().flatten();
            found.extend(words.chain(map.get("const")).filter_map(|word| Some(word.as_str()?.to_owned())));
            map.values().for_each(|inner| names_in(inner, found));
        }
        serde_json::Value::Array(all) => all.iter().for_each(|inner| names_in(inner, found)),
        _ => {}
    }
}

#[test]
fn the_reference_names_everything_that_the_schemas_have() {
    let page = std::fs::read_to_string(root().join("docs/profile.md")).unwrap();
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let told: BTreeSet<&str> = page.split(|c| !part(c)).collect();
    let mut names = BTreeSet::new();
    [profile::schema(), chaos_plan::schema()].iter().for_each(|schema| names_in(schema, &mut names));
    assert!(names.len() > 100, "{}", names.len());
    let missing: Vec<&String> = names.iter().filter(|name| !told.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/profile.md does not speak of {missing:?}");
}

#[test]
fn every_shipped_file_names_its_schema() {
    for (folder, schema) in [("profiles", "profile"), ("chaos", "chaos")] {
        for file in yaml_files(folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            let first = format!("# yaml-language-server: $schema=../docs/schema/{schema}.schema.json");
            assert_eq!(text.lines().next(), Some(first.as_str()), "{}", file.display());
        }
    }
}

/// With `SQUALL_UPDATE_SCHEMAS` set the copies are written anew.
#[test]
fn the_schemas_in_docs_are_those_of_the_code() {
    for (name, schema) in [("profile", profile::schema()), ("chaos", chaos_plan::schema())] {
        let file = root().join(format!("docs/schema/{name}.schema.json"));
        let now = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("SQUALL_UPDATE_SCHEMAS").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == now, "{name} has changed: run SQUALL_UPDATE_SCHEMAS=1 cargo test --test shipped");
    }
}
