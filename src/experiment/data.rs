//! Sources of values as written to those that the engine draws from.

use crate::experiment::Data;
use crate::experiment::notes::{Notes, is_name};
use crate::profile;
use crate::yaml::{At, Entries};

pub(super) fn resolve(notes: &mut Notes, written: &Entries<At<profile::Data>>) -> Vec<(String, Data)> {
    let mut out = Vec::new();
    for (name, data) in written.iter() {
        if !is_name(name) || name.contains(['-', '.']) {
            let help = "use letters from a to z, digits and `_`";
            notes.add(name.span, format!("`{}` is no name for data", name.value), help);
        }
        out.push((name.value.clone(), source(notes, data)));
    }
    out
}

fn source(notes: &mut Notes, data: &At<profile::Data>) -> Data {
    match &data.value {
        profile::Data::Sequence(s) => Data::Sequence { start: s.start, step: s.step.unwrap_or(1) },
        profile::Data::Random(r) => {
            if r.from > r.to {
                let help = format!("write `{{from: {}, to: {}}}`", r.to, r.from);
                notes.add(data.span, "the range ends before it begins", help);
            }
            Data::Random { from: r.from, to: r.to }
        }
        profile::Data::List(items) => Data::List(some(notes, data, items)),
        profile::Data::Pick(items) => Data::Pick(some(notes, data, items)),
    }
}

fn some(notes: &mut Notes, at: &At<profile::Data>, items: &[serde_json::Value]) -> Vec<serde_json::Value> {
    if items.is_empty() {
        notes.add(at.span, "a list of nothing", "write it like `[us, eu]`");
    }
    items.to_vec()
}
