//! What a sandbox process counts about itself, in OpenMetrics text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use http_body_util::Full;

use crate::http::Reply;

/// Requests by method and status.
#[derive(Default)]
pub struct Counters {
    requests: RefCell<BTreeMap<(String, u16), u64>>,
}

impl Counters {
    pub fn count(&self, method: &str, status: u16) {
        *self.requests.borrow_mut().entry((method.to_owned(), status)).or_default() += 1;
    }

    /// All counters under `family`, and gauges beside them.
    pub fn reply(&self, family: &str, gauges: &[(&str, u64)]) -> Reply {
        let mut text = format!("# TYPE sandbox_{family} counter\n");
        for ((method, status), n) in self.requests.borrow().iter() {
            let labels = format!("{{method=\"{method}\",status=\"{status}\"}}");
            let _ = writeln!(text, "sandbox_{family}_total{labels} {n}");
        }
        for (name, value) in gauges {
            let _ = writeln!(text, "# TYPE sandbox_{name} gauge\nsandbox_{name} {value}");
        }
        text.push_str("# EOF\n");
        http::Response::builder()
            .header("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(Full::from(text))
            .expect("the header is valid")
    }
}
