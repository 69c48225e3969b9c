//! Tables: real ones, numbers to the right, and on a telephone either scrolled or one card per row.
//!
//! Owns the elements; what stands in the cells is handed in.

use crate::report::markup::Markup;

/// A cell of the head: its text, and whether numbers stand below it.
pub(super) type Column = (&'static str, bool);

/// How a table fits a page that is too narrow for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is moved sideways.
    Scroll,
    /// Every row becomes a card, each cell after its column's name.
    Cards,
}

/// A row under way.
pub(super) struct Row<'a> {
    markup: &'a mut Markup,
    columns: &'a [Column],
    fit: Fit,
    at: usize,
}

impl Row<'_> {
    /// The next cell, with text.
    pub(super) fn text(&mut self, text: &str) {
        self.cell("", |cell| cell.text(text));
    }

    /// The next cell, with anything.
    pub(super) fn cell(&mut self, class: &str, inside: impl FnOnce(&mut Markup)) {
        let (name, number) = self.columns.get(self.at).copied().unwrap_or(("", false));
        self.at += 1;
        let class = if number { format!("num {class}") } else { class.to_owned() };
        let attrs = [("class", class.trim()), ("data-name", if self.fit == Fit::Cards { name } else { "" })];
        self.markup.el("td", &attrs, |td| {
            if self.fit == Fit::Cards { td.el("div", &[], inside) } else { inside(td) }
        });
    }

    /// The next cell, with a first line and a fainter second one.
    pub(super) fn two(&mut self, first: &str, second: &str) {
        self.cell("", |cell| {
            cell.text(first);
            if !second.is_empty() {
                cell.void("br", &[]);
                cell.leaf("small", &[], second);
            }
        });
    }
}

/// Names of more characters than this may break where there is no room.
const LONG: usize = 24;

/// A name in a cell: a short one never breaks.
pub(super) fn named(cell: &mut Markup, name: &str) {
    let class = if name.chars().count() > LONG { "long" } else { "short" };
    cell.leaf("b", &[("class", class)], name);
}

/// Beside numbers, words of more than this may.
const WORD: usize = 16;

/// Words in a cell that break within a word only where one of them is long.
pub(super) fn words(cell: &mut Markup, element: &'static str, text: &str) {
    let is_long = text.split(' ').any(|word| word.chars().count() > WORD);
    cell.leaf(element, &[("class", if is_long { "long" } else { "" })], text);
}

/// A table; `each` fills one row after the other with a class for the row.
pub(super) fn table<T>(
    page: &mut Markup,
    fit: Fit,
    columns: &[Column],
    rows: &[T],
    mut each: impl FnMut(&mut Row, &T),
    class: impl Fn(&T) -> &'static str,
) {
    let wrapper = if fit == Fit::Cards { "cards" } else { "scroll" };
    page.el("div", &[("class", wrapper)], |page| {
        page.el("table", &[], |t| {
            t.el("thead", &[], |head| {
                head.el("tr", &[], |tr| {
                    for (name, number) in columns {
                        let class = if *number { "num" } else { "" };
                        tr.leaf("th", &[("scope", "col"), ("class", class)], name);
                    }
                });
            });
            t.el("tbody", &[], |body| {
                for row in rows {
                    body.el("tr", &[("class", class(row))], |markup| {
                        each(&mut Row { markup, columns, fit, at: 0 }, row);
                    });
                }
            });
        });
    });
}

/// A table whose rows are all alike.
pub(super) fn plain<T>(page: &mut Markup, columns: &[Column], rows: &[T], each: impl FnMut(&mut Row, &T)) {
    table(page, Fit::Scroll, columns, rows, each, |_| "");
}
