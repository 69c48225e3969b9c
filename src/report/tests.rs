use std::path::Path;

use super::fixture;
use super::{html, json, markdown, terminal, visible};

fn page() -> String {
    let timeline = fixture::timeline();
    html(&timeline, &fixture::judgement(&timeline))
}

#[test]
fn the_page_can_be_looked_at() {
    let Ok(folder) = std::env::var("SQUALL_TEST_PAGES") else { return };
    std::fs::write(Path::new(&folder).join("report.html"), page()).expect("the folder is there");
}
