//! Markup: elements, attributes and text, escaped by construction.
//!
//! Owns escaping for HTML and for SVG inside it. There is no way to add raw text but `raw`, which is for
//! the page's own style sheet and script.

use super::words::visible;

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// An element with what `inside` adds to it.
    pub(super) fn el(&mut self, tag: &str, attrs: &[(&str, &str)], inside: impl FnOnce(&mut Markup)) {
        self.open(tag, attrs);
        self.0.push('>');
        inside(self);
        self.0.push_str(&format!("</{tag}>"));
    }

    /// An element with nothing but text.
    pub(super) fn leaf(&mut self, tag: &str, attrs: &[(&str, &str)], text: &str) {
        self.el(tag, attrs, |m| m.text(text));
    }

    /// An element without content.
    pub(super) fn void(&mut self, tag: &str, attrs: &[(&str, &str)]) {
        self.open(tag, attrs);
        self.0.push_str("/>");
    }

    fn open(&mut self, tag: &str, attrs: &[(&str, &str)]) {
        self.0.push_str(&format!("<{tag}"));
        for (name, value) in attrs.iter().filter(|(_, value)| !value.is_empty()) {
            self.0.push_str(&format!(" {name}=\"{}\"", escape(value)));
        }
    }

    /// Text, escaped; control characters are written out.
    pub(super) fn text(&mut self, text: &str) {
        self.0.push_str(&escape(text));
    }

    /// What this crate wrote itself.
    pub(super) fn raw(&mut self, own: &str) {
        self.0.push_str(own);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// A bound as a page shows it.
pub(super) fn typeset(text: &str) -> String {
    text.replace(">= ", "≥ ")
}

fn escape(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_cannot_leave_their_place() {
        let mut m = Markup::default();
        m.leaf("td", &[("title", "\" onclick='x'"), ("class", "")], "<script>\x1b[31m & co");
        let expected = "<td title=\"&quot; onclick=&#39;x&#39;\">&lt;script&gt;\\x1b[31m &amp; co</td>";
        assert_eq!(m.into_string(), expected);
    }
}
