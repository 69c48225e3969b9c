//! What cannot be in virtual time: foreign processes, and places outside of this one.

use super::*;

impl Resolver<'_> {
    /// In virtual time there are no processes, programs and networks but the sandbox's own.
    pub(super) fn virtual_time(
        &mut self,
        place: &Place,
        timeline: &[Planned],
        links: &[Link],
        services: &[Service],
    ) {
        if !self.flags.virtual_time {
            return;
        }
        let help = "run it without `--virtual`";
        if matches!(place, Place::Http(_)) {
            self.notes.flag(
                "--virtual runs against the sandbox only",
                "add `--target sandbox`, or leave `--virtual` out",
            );
        }
        let programs = |p: &&Planned| matches!(p.fault, Fault::Exec { .. }) || !p.actions.is_empty();
        for planned in timeline.iter().filter(programs) {
            self.chaos_notes.add(planned.span, "programs cannot run in virtual time", help);
        }
        let foreign_link = links.iter().any(|l| l.listen.is_some());
        if let Some((name, _)) = self.plan.links.0.first().filter(|_| foreign_link) {
            self.chaos_notes.add(name.span, "links to other systems cannot be in virtual time", help);
        }
        let foreign_service = services.iter().any(|s| s.command.is_some());
        if let Some((name, _)) = self.plan.services.0.first().filter(|_| foreign_service) {
            self.chaos_notes.add(name.span, "other processes cannot run in virtual time", help);
        }
    }
}
