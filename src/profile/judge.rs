//! The judge's settings as written, in a profile or in a chaos plan.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::written::{Duration, Share};
use crate::yaml::At;

/// The judge's settings; each has its default.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "settings of the judge: `{warmup: 5s, baseline: 25s}`")]
pub struct Judge {
    /// Not judged, at the start; 10 s if not given.
    pub warmup: Option<At<Duration>>,
    /// How long the undisturbed load before the first trigger should be, which the rest is compared with; 60 s if
    /// not given.
    pub baseline: Option<At<Duration>>,
    /// Windows that the baseline must have; 20 if not given.
    pub windows: Option<At<u32>>,
    /// How long it must be well again to count as recovered; 30 s if not given.
    pub stretch: Option<At<Duration>>,
    /// And so many windows at least; 5 if not given.
    pub stretch_windows: Option<At<u32>>,
    /// A baseline with less goodput proves nothing; 90% if not given.
    pub goodput: Option<At<Share>>,
}
