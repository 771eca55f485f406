//! Colours for the lines printed at the end of a scan: only the most important words.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};

/// When to print colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum When {
    // On a terminal, unless NO_COLOR is set. As documentation it would spread the help of the command.
    Auto,
    Always,
    Never,
}

/// Words coloured at the start of a line, or after its label.
const WORDS: [(&str, AnsiColor); 4] = [
    ("MALICIOUS-LIKELY", AnsiColor::Red),
    ("SUSPICIOUS", AnsiColor::Yellow),
    ("partial", AnsiColor::Yellow),
    ("failed", AnsiColor::Red),
];
/// Width of a label, in columns.
const LABEL: usize = 11;

/// Prints to standard error. If that is closed, this is not an error: the reports are written.
pub(super) fn print(text: &str, when: When) {
    let choice = match when {
        When::Auto => AutoStream::choice(&io::stderr()),
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    let _ = AutoStream::new(io::stderr(), choice).write_all(painted(text).as_bytes());
}

fn painted(text: &str) -> String {
    text.split_inclusive('\n').map(painted_line).collect()
}

fn painted_line(line: &str) -> String {
    let places = [Some((0, line)), line.get(LABEL..).map(|rest| (LABEL, rest))];
    let found = places.into_iter().flatten().find_map(|(at, rest)| {
        WORDS.iter().find(|(word, _)| rest.starts_with(word)).map(|(word, color)| (at, *word, *color))
    });
    let Some((at, word, color)) = found else { return line.to_owned() };
    let style = Style::new().bold().fg_color(Some(color.into()));
    format!("{}{style}{word}{style:#}{}", &line[..at], &line[at + word.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_painted_where_they_lead() {
        let red = |word| format!("\u{1b}[1m\u{1b}[31m{word}\u{1b}[0m");
        for (line, painted) in [
            ("gravest    MALICIOUS-LIKELY  x\n", format!("gravest    {}  x\n", red("MALICIOUS-LIKELY"))),
            ("failed     a.gz\n", format!("{}     a.gz\n", red("failed"))),
            ("             [failed] created\n", "             [failed] created\n".to_owned()),
            ("é", "é".to_owned()),
        ] {
            assert_eq!(painted_line(line), painted);
        }
    }
}
