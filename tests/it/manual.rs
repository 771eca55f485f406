//! What the program prints about itself: help, completions, man pages.

use std::fs;
use std::process::Command;

use crate::{kubesweep, root};

/// The words of every command after `kubesweep`, the program itself first.
fn commands() -> Vec<Vec<String>> {
    fn visit(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        all.push(words.to_vec());
        for next in command.get_subcommands().filter(|next| next.get_name() != "help") {
            visit(next, &[words, &[next.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    visit(&kubesweep::cli::command(), &[], &mut all);
    assert!(all.len() > 10, "the commands are there");
    all
}

#[test]
fn help_is_grouped_and_narrow_and_has_examples() {
    for command in commands() {
        let run = kubesweep(root(), &[&command[..], &["--help".to_owned()]].concat());
        let wide: Vec<&str> = run.stdout.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{command:?} is wider than 80 columns: {wide:#?}");
        let examples =
            run.stdout.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command:?} has no examples")).1;
        let examples =
            examples.split_once("\n\nExit status:\n").unwrap_or_else(|| panic!("{command:?} has no exit status")).0;
        let count = examples.lines().filter(|line| line.contains("kubesweep ")).count();
        assert!((2..=4).contains(&count), "{command:?} has {count} examples");
        // If there are more than a few options, they are listed below headings.
        let plain =
            run.stdout.split("\nOptions:\n").nth(1).map_or(0, |rest| {
                rest.split("\n\n").next().unwrap().lines().filter(|line| line.contains(" --")).count()
            });
        assert!(plain <= 3, "{command:?} has {plain} options without a heading");
    }
}

#[test]
fn completions_of_every_shell_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = kubesweep(root(), &["completions", shell]);
        assert_eq!(run.exit, 0, "{}", run.stderr);
        for word in commands().iter().flatten() {
            assert!(run.stdout.contains(word.as_str()), "{shell} does not know {word}");
        }
        assert!(run.stdout.contains("fail-on"), "{shell} does not know --fail-on");
    }
}

/// What bash offers for the last of some words.
fn offered(words: &[&str]) -> String {
    let script = kubesweep(root(), &["completions", "bash"]).stdout;
    let (last, before) = words.split_last().unwrap();
    let ask = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _kubesweep kubesweep '{last}' '{}'; echo \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        before.len(),
        before.last().unwrap(),
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes() {
    assert_eq!(offered(&["kubesweep", "insp"]), "inspect");
    assert_eq!(offered(&["kubesweep", "scan", "--fail"]), "--fail-on");
    assert_eq!(offered(&["kubesweep", "events", "--sort", ""]), "source time");
    assert_eq!(offered(&["kubesweep", "rules", "sh"]), "show");
}

#[test]
fn man_pages_are_written_for_every_command() {
    let here = tempfile::tempdir().unwrap();
    let run = kubesweep(here.path(), &["man", "new/man1"]);
    assert_eq!((run.exit, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    let pages = fs::read_dir(here.path().join("new/man1")).unwrap().count();
    assert_eq!(pages, commands().len());
    for command in commands() {
        let name = ["kubesweep"].into_iter().chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        let page = fs::read_to_string(here.path().join(format!("new/man1/{name}.1"))).unwrap();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "\"EXIT STATUS\""] {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{name}.1 has no {section}");
        }
    }
    fs::write(here.path().join("file"), "").unwrap();
    let refused = kubesweep(here.path(), &["man", "file"]);
    assert_eq!(refused.exit, 2);
    assert!(refused.stderr.starts_with("error: cannot write file"), "{}", refused.stderr);
}
