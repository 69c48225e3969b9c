//! A ruling: what one judge says of one subject.

use super::judgement::{Span, Told, Word};
use super::measure::Measured;

/// What a judge concluded; the verdict of a run is the worst of all, its headline that one's sentence.
#[derive(Clone, Debug)]
pub(super) struct Ruling {
    pub(super) word: Word,
    /// The operation, shape, trigger, fault or service that it speaks of.
    pub(super) subject: Option<String>,
    pub(super) span: Option<Span>,
    pub(super) measured: Measured,
    /// Whole, for somebody who was not there.
    pub(super) sentence: String,
    /// What weakens or supports it.
    pub(super) evidence: Vec<String>,
    /// What would help.
    pub(super) advice: Option<String>,
}

impl Ruling {
    pub(super) fn new(word: Word, subject: Option<String>, sentence: String) -> Ruling {
        Ruling {
            word,
            subject,
            span: None,
            measured: Measured::default(),
            sentence,
            evidence: Vec::new(),
            advice: None,
        }
    }

    pub(super) fn told(&self) -> Told {
        let (subject, sentence) = (self.subject.clone(), self.sentence.clone());
        Told { word: self.word, subject, span: self.span, sentence, advice: self.advice.clone() }
    }

    pub(super) fn measured(self, measured: Measured) -> Ruling {
        Ruling { measured, ..self }
    }

    pub(super) fn over(self, span: Option<Span>) -> Ruling {
        Ruling { span, ..self }
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Ruling {
        Ruling { advice: Some(advice.into()), ..self }
    }
}
