//! What resolves to what, and what is refused in which words.
