//! What is done with counts, as `KILN_COUNTS` says.

/// The variable.
pub const VARIABLE: &str = "KILN_COUNTS";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are compared with the table.
    Check,
    /// The same, and they are printed in the table's form.
    Print,
    /// They become the table.
    Write,
    /// They are compared, and the traces that they come from stay, to see which calls are too many.
    Keep,
}

impl Mode {
    #[track_caller]
    pub fn of_environment() -> Self {
        match std::env::var(VARIABLE).unwrap_or_default().as_str() {
            "" => Self::Check,
            "print" => Self::Print,
            "write" => Self::Write,
            "keep" => Self::Keep,
            other => panic!("{VARIABLE} is `{other}`; it may be `print`, `write` or `keep`"),
        }
    }
}
