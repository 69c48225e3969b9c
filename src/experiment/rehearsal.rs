//! Virtual time: what a rehearsal in one process cannot have.

use crate::chaos_plan::ChaosPlan;
use crate::experiment::fault::Planned;
use crate::experiment::notes::Notes;
use crate::experiment::{Fault, Link, Place, Service};

/// Refuses processes, programs and networks other than the sandbox's own.
pub(super) fn refuse(
    (notes, chaos_notes): (&mut Notes, &mut Notes),
    plan: &ChaosPlan,
    place: &Place,
    timeline: &[Planned],
    (links, services): (&[Link], &[Service]),
) {
    let help = "run it without `--virtual`";
    if matches!(place, Place::Http(_)) {
        notes.flag(
            "--virtual runs against the sandbox only",
            "add `--target sandbox`, or leave `--virtual` out",
        );
    }
    let programs = |p: &&Planned| matches!(p.fault, Fault::Exec { .. }) || !p.actions.is_empty();
    for planned in timeline.iter().filter(programs) {
        chaos_notes.add(planned.span, "programs cannot run in virtual time", help);
    }
    let foreign_link = links.iter().any(|l| l.listen.is_some());
    if let Some((name, _)) = plan.links.0.first().filter(|_| foreign_link) {
        chaos_notes.add(name.span, "links to other systems cannot be in virtual time", help);
    }
    let foreign_service = services.iter().any(|s| s.command.is_some());
    if let Some((name, _)) = plan.services.0.first().filter(|_| foreign_service) {
        chaos_notes.add(name.span, "other processes cannot run in virtual time", help);
    }
}
