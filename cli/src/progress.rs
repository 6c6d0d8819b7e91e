//! What happens meanwhile, on standard error: a line that moves on a terminal, elsewhere one line for each change.

use std::io::IsTerminal as _;
use std::time::Duration;

use catalog::printable::printable_line;
use indicatif::{ProgressBar, ProgressStyle};

/// A line of progress; it goes when it is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    /// A line that says nothing yet.
    pub fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, last: String::new() }
    }

    /// Says what happens now.
    pub fn say(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        let text = printable_line(&text).into_owned();
        if self.last == text {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.clone()),
            None => eprintln!("{text}"),
        }
        self.last = text;
    }

    /// Says it only where the line moves: too much for a log.
    pub fn whisper(&mut self, text: impl Into<String>) {
        if self.bar.is_some() {
            self.say(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
