//! `squall report`: history in, every report out. `squall run` ends with the same.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::print::{error, look, out};
use super::signals;
use crate::cli;
use crate::exit;
use crate::history;
use crate::report;
use crate::timeline::Timeline;
use crate::verdict::{self, Exit, Judgement};

/// What is written beside the run's own files, and whether anything is printed.
#[derive(Debug, Default)]
pub struct Outputs {
    copies: Vec<(Kind, PathBuf)>,
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Html,
    Verdict,
    Summary,
}

const KINDS: [(&str, Kind); 3] =
    [("html", Kind::Html), ("verdict", Kind::Verdict), ("summary", Kind::Summary)];

impl Outputs {
    /// Reads `--out kind=path`.
    pub fn parse(output: &cli::Output) -> Result<Outputs, String> {
        let mut copies = Vec::new();
        for text in &output.out {
            let known = crate::diagnose::one_of(KINDS.iter().map(|(word, _)| *word));
            let (word, path) = text
                .split_once('=')
                .ok_or_else(|| format!("--out {text}: write it like `html=report.html` ({known})"))?;
            let kind = KINDS
                .iter()
                .find(|(name, _)| *name == word)
                .ok_or_else(|| format!("--out {text}: no kind `{word}` ({known})"))?;
            // As where a variable is not set: `--out summary="$SUMMARY"`.
            if path.is_empty() || path.ends_with('/') {
                return Err(format!("--out {text}: no file is named after `=`; name one, or leave it out"));
            }
            can_be_written(Path::new(path)).map_err(|e| {
                format!(
                    "--out {text}: {path} cannot be written: {e}; make its folder, or choose another place"
                )
            })?;
            copies.push((kind.1, PathBuf::from(path)));
        }
        Ok(Outputs { copies, quiet: output.quiet })
    }

    /// No copy may take the place of what the run is made of: a slip of the pen would cost the user the file.
    pub fn spare(&self, inputs: &[&Path]) -> Result<(), String> {
        let same = |a: &Path, b: &Path| {
            fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).ok() == Some(a))
        };
        let copies = || self.copies.iter().map(|(_, path)| path);
        match copies().find(|copy| inputs.iter().any(|input| same(copy, input))) {
            Some(copy) => {
                let copy = copy.display();
                Err(format!("--out ...={copy}: {copy} is what the run is made of; name another file"))
            }
            None => Ok(()),
        }
    }

    /// Takes away what an earlier run left there: of a run that ends before it began, nobody shall find that one's word.
    pub fn forget(&self) {
        let files = self.copies.iter().map(|(_, path)| path);
        for file in files.filter(|path| fs::symlink_metadata(path).is_ok_and(|m| m.is_file())) {
            // One that can only be written to, as a mount, is left empty.
            if fs::remove_file(file).is_err() {
                let _ = File::create(file);
            }
        }
    }

    /// One line is all that is wanted, and none of a PASS.
    pub fn quiet(&self) -> bool {
        self.quiet
    }
}

/// Whether a file could be written there, as far as can be told without doing so.
fn can_be_written(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Ok(access(path, Access::WRITE_OK)?),
        Err(_) => Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?),
    }
}

/// The command: makes all reports of a run again.
pub fn run(folder: &Path, output: &cli::Output) -> u8 {
    let outputs = match Outputs::parse(output) {
        Ok(outputs) => outputs,
        Err(why) => {
            error(&format!("error: {why}"));
            return exit::BAD_CONFIGURATION;
        }
    };
    match report(folder, &outputs, None) {
        Ok(judgement) => judgement.exit.code,
        Err(why) => {
            error(&format!("error: {why}"));
            exit::RUNTIME_ERROR
        }
    }
}

/// Judges the history in `folder` and writes report.html, summary.md and verdict.json beside it.
///
/// `outranked` is the exit code of the process that made the run, where that knows better than the history: what is
/// written says the same as it exits with.
///
/// # Errors
/// In words: the history cannot be read, or a report cannot be written.
pub fn report(folder: &Path, outputs: &Outputs, outranked: Option<u8>) -> Result<Judgement, String> {
    let path = if folder.is_dir() { folder.join("history.jsonl") } else { folder.to_owned() };
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = File::open(&path).map_err(|e| {
        let path = path.display();
        format!("{path} cannot be read: {e}; name a run's folder, such as reports/20261121-081200-steady-mix")
    })?;
    let timeline = history::read(BufReader::new(file)).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut judgement = verdict::judge(&timeline);
    outranked.into_iter().for_each(|code| judgement.exit = outranking(code));
    if let Err(why) = write_all(folder, outputs, &timeline, &judgement) {
        judgement.exit = outranking(outranked.unwrap_or(exit::RUNTIME_ERROR));
        signals::end_with_code(judgement.exit.code);
        // What could be written before must not say anything else than the exit code; a full disk allows nothing.
        let json = report::json(&judgement);
        let copies = outputs.copies.iter().filter(|(kind, _)| *kind == Kind::Verdict).map(|(_, path)| path);
        [&folder.join("verdict.json")].into_iter().chain(copies).for_each(|path| {
            let _ = write(path, &json);
        });
        return Err(why);
    }
    let shown = folder.join("report.html").display().to_string();
    signals::end_with(judgement.exit.code, None);
    match outputs.quiet {
        true => out(&report::one_line(&judgement, &shown)),
        false => out(&report::terminal(&judgement, &shown, look())),
    }
    Ok(judgement)
}

fn outranking(code: u8) -> Exit {
    Exit { code, reason: exit::reason(code).to_owned() }
}

/// Each file for itself, the shortest first: what a full disk leaves room for is there. The first that failed is told.
fn write_all(
    folder: &Path,
    outputs: &Outputs,
    timeline: &Timeline,
    judgement: &Judgement,
) -> Result<(), String> {
    let html = report::html(timeline, judgement);
    let json = report::json(judgement);
    let summary = report::markdown(judgement);
    let text = |kind: &Kind| match kind {
        Kind::Html => &html,
        Kind::Verdict => &json,
        Kind::Summary => &summary,
    };
    let own = [("verdict.json", &json), ("summary.md", &summary), ("report.html", &html)];
    let own = own.map(|(name, text)| (folder.join(name), text));
    let copies = outputs.copies.iter().map(|(kind, path)| (path.clone(), text(kind)));
    let all = own.into_iter().chain(copies);
    let one = |(path, text): (PathBuf, &String)| {
        let written = write(&path, text);
        // Whoever stops squall now finds a verdict, which says what it exits with.
        signals::end_with_code(judgement.exit.code);
        written.err()
    };
    let failed: Vec<String> = all.filter_map(one).collect();
    failed.into_iter().next().map_or(Ok(()), Err)
}

/// All of it or nothing: half a page says something else than the whole.
fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| {
        if fs::symlink_metadata(path).is_ok_and(|m| m.is_file()) {
            let _ = fs::remove_file(path);
        }
        let path = path.display();
        format!("{path} cannot be written: {e}; the history is safe, `squall report` makes it again")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_without_a_file_is_refused_before_there_is_anything_to_lose() {
        let parse = |out: &str| Outputs::parse(&cli::Output { out: vec![out.to_owned()], quiet: false });
        for out in ["summary=", "html=pages/", "html=/"] {
            let why = parse(out).expect_err(out);
            assert!(why.starts_with(&format!("--out {out}: no file is named")), "{why}");
        }
        assert!(parse("summary=summary.md").is_ok());
    }

    #[test]
    fn a_copy_in_the_place_of_a_profile_is_refused() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let out = concat!("summary=", env!("CARGO_MANIFEST_DIR"), "/src/../Cargo.toml").to_owned();
        let outputs = Outputs::parse(&cli::Output { out: vec![out], quiet: false }).unwrap();
        let why = outputs.spare(&[Path::new("no-such.yaml"), Path::new(manifest)]).unwrap_err();
        assert!(why.ends_with("is what the run is made of; name another file"), "{why}");
        assert!(outputs.spare(&[Path::new("no-such.yaml")]).is_ok());
    }
}
