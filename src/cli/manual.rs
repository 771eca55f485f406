//! `kubesweep completions` and `kubesweep man`: both are generated from the declared command line.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::args::Cli;
use super::{ExitStatus, print};
use crate::error::Error;

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell) -> Result<ExitStatus, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubesweep", &mut script);
    print(|out| out.write_all(&script))?;
    Ok(ExitStatus::Swept)
}

/// Writes one page per command into a directory, which is created if necessary. Pages of the same names are
/// overwritten.
pub(super) fn man(directory: &Path) -> Result<ExitStatus, Error> {
    fs::create_dir_all(directory).map_err(|source| Error::Output { path: directory.to_owned(), source })?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    write(&program, directory)?;
    Ok(ExitStatus::Swept)
}

fn write(command: &Command, directory: &Path) -> Result<(), Error> {
    let page = Man::new(command.clone());
    let path = directory.join(page.get_filename());
    render(command, &page).and_then(|text| fs::write(&path, text)).map_err(|source| Error::Output { path, source })?;
    command.get_subcommands().try_for_each(|each| write(each, directory))
}

fn render(command: &Command, page: &Man) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    // An empty date would be left out, and the next argument taken for the date.
    let title = [name.as_str(), "1", " ", concat!("kubesweep ", env!("CARGO_PKG_VERSION")), "User Commands"];
    Roff::new().control("TH", title).to_writer(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    page.render_options_section(&mut out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut out)?;
    }
    if let Some(text) = command.get_after_help() {
        sections(&text.to_string(), &mut out)?;
    }
    Ok(out)
}

/// The sections below the options: their headings without the colon, their lines unchanged.
fn sections(text: &str, out: &mut dyn Write) -> io::Result<()> {
    for section in text.split("\n\n") {
        let Some((heading, lines)) = section.split_once(":\n") else { continue };
        let mut roff = Roff::new();
        roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []).to_writer(out)?;
    }
    Ok(())
}
