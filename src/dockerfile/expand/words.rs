//! The words of a text while it is expanded.

/// Collects words. What was quoted or escaped goes in whole; the rest ends words at white space.
/// A word of which nothing is left does not count, not even if it was quoted.
#[derive(Debug, Default)]
pub(super) struct WordList {
    words: Vec<String>,
    word: String,
}

impl WordList {
    /// A character that ends the word if it is white space.
    pub fn push(&mut self, c: char) {
        if c.is_whitespace() {
            self.end();
        } else {
            self.word.push(c);
        }
    }

    /// A character that belongs to the word in any case.
    pub fn push_raw(&mut self, c: char) {
        self.word.push(c);
    }

    /// A text that is cut.
    pub fn push_str(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }

    /// A text that is not cut.
    pub fn push_raw_str(&mut self, text: &str) {
        self.word.push_str(text);
    }

    pub fn finish(mut self) -> Vec<String> {
        self.end();
        self.words
    }

    fn end(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }
}
