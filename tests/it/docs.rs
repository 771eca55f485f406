//! The documentation is true: `console` blocks show what is printed (`UPDATE_EXPECT=1` updates them), the program
//! accepts every command line, and every link leads somewhere.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use saphyr::{LoadableYamlNode, Yaml};

use crate::root;

/// The README and every page below `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = below(&root().join("docs"), "md");
    assert!(pages.len() > 10, "the pages are there");
    pages.push(root().join("README.md"));
    pages
}

/// Files with an extension, or all if it is empty, by name.
fn below(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(below(&path, ending));
        } else if ending.is_empty() || path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn console_blocks_print_what_is_printed() {
    let wrong: Vec<String> = pages().par_iter().filter_map(|page| wrong(page)).collect();
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites them\n{}", wrong.join("\n"));
}

/// The first line of a page that differs from what is printed.
fn wrong(page: &Path) -> Option<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut parts = text.split("```console\n");
    let mut real = parts.next().unwrap().to_owned();
    for part in parts {
        let (block, rest) = part.split_once("```").unwrap();
        real.extend(["```console\n", &performed(block), "```", rest]);
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(page, real).unwrap();
        return None;
    }
    let differs = text.lines().zip(real.lines()).find(|(told, printed)| told != printed);
    (text != real).then(|| format!("{}: {differs:#?}", page.display()))
}

/// A block with the output of its commands, standard output first. They run in one directory that contains `fixtures`.
fn performed(block: &str) -> String {
    let here = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("fixtures"), here.path().join("fixtures")).unwrap();
    let mut text = String::new();
    for part in block.split("$ ").skip(1) {
        let lines = part.lines().collect::<Vec<_>>();
        let last = lines.iter().position(|line| !line.ends_with('\\')).unwrap();
        let command = lines[..=last].join("\n");
        let run = bash(here.path(), &command.replace("cargo run --release -- ", "kubesweep "));
        text.extend(["$ ", &command, "\n", &run.0, &run.1]);
    }
    text
}

fn bash(directory: &Path, command: &str) -> (String, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_kubesweep")).parent().unwrap();
    let mut path = OsString::from(program);
    path.push(":/usr/local/bin:/usr/bin:/bin");
    let run = Command::new("bash")
        .args(["--norc", "-c", command])
        .current_dir(directory)
        .env_clear()
        .env("PATH", path)
        .output()
        .unwrap();
    (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
}

/// The blocks of a language on a page.
fn blocks(page: &Path, language: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn shell_blocks_are_shell() {
    let mut count = 0;
    for block in pages().iter().flat_map(|page| blocks(page, "sh").into_iter().map(move |block| (page, block))) {
        let (page, script) = block;
        let run = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
        assert!(run.status.success(), "{}: {}\n{script}", page.display(), String::from_utf8_lossy(&run.stderr));
        count += 1;
    }
    assert!(count > 5, "the pages have commands");
}

/// Command lines that name the program, each up to the end of the command.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let variable = regex::Regex::new(r"\$\(\([^)]*\)\)|\$\([^)]*\)|\$\{[^}]*\}|\$\w+").unwrap();
    let text = variable.replace_all(text, "1").replace("\\\n", " ");
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let line = line.trim_start().strip_prefix("$ ").unwrap_or(line);
        let line = line.replace("cargo run --release -- ", "kubesweep ").replace("; ", " ; ");
        if !line.contains("kubesweep") {
            continue;
        }
        let words = shlex::split(&line).unwrap_or_else(|| panic!("an open quote: {line}"));
        for command in words.split(|word| ["|", "||", "&&", ";", "&"].contains(&word.as_str())) {
            let end = command.iter().position(|word| word.contains(['>', '<'])).unwrap_or(command.len());
            // A path is the program if it begins a command, and an argument elsewhere.
            let begins = |at: usize| at == 0 || ["do", "then", "sudo", "exec", "!"].contains(&command[at - 1].as_str());
            let is_program =
                |at: &usize| command[*at] == "kubesweep" || (command[*at].ends_with("/kubesweep") && begins(*at));
            if let Some(program) = (0..end).find(is_program) {
                lines.push(command[program..end].to_vec());
            }
        }
    }
    lines
}

fn is_taken(words: &[String]) -> Result<(), String> {
    match kubesweep::cli::command().try_get_matches_from(words) {
        Err(error) if error.use_stderr() => Err(format!("{words:?}\n{error}")),
        _ => Ok(()),
    }
}

/// The text below the options of every command.
fn examples(command: &clap::Command, texts: &mut Vec<(String, String)>) {
    texts.extend(command.get_after_help().map(|help| (command.get_name().to_owned(), help.to_string())));
    command.get_subcommands().for_each(|next| examples(next, texts));
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let mut texts: Vec<(String, String)> = Vec::new();
    for page in pages() {
        for language in ["sh", "console"] {
            texts.extend(blocks(&page, language).into_iter().map(|block| (page.display().to_string(), block)));
        }
    }
    let files = below(&root().join("deploy"), "sh");
    texts.extend(files.into_iter().map(|file| (file.display().to_string(), fs::read_to_string(&file).unwrap())));
    examples(&kubesweep::cli::command(), &mut texts);
    let mut count = 0;
    for (file, text) in texts {
        for words in command_lines(&text) {
            count += 1;
            is_taken(&words).unwrap_or_else(|problem| panic!("{file}: {problem}"));
        }
    }
    assert!(count > 50, "only {count} command lines were found");
}

/// The command lines of containers in a manifest: arguments of our image, our program, or a shell that calls it.
fn containers(node: &Yaml<'_>, lines: &mut Vec<Vec<String>>) {
    let words = |key: &str| -> Vec<String> {
        let list = node.as_mapping_get(key).and_then(Yaml::as_sequence).into_iter().flatten();
        list.filter_map(|word| Some(word.as_str()?.to_owned())).collect()
    };
    if let Some(members) = node.as_mapping() {
        let command = words("command");
        let is_ours =
            node.as_mapping_get("image").and_then(Yaml::as_str).is_some_and(|it| it.starts_with("kubesweep:"));
        match &command[..] {
            [] if is_ours => lines.push([vec!["kubesweep".to_owned()], words("args")].concat()),
            [shell, option, script] if shell == "sh" && option == "-c" => lines.extend(command_lines(script)),
            [program, ..] if program.ends_with("/kubesweep") => lines.push(command),
            _ => {}
        }
        members.values().for_each(|member| containers(member, lines));
    }
    node.as_sequence().into_iter().flatten().for_each(|member| containers(member, lines));
}

#[test]
fn manifests_call_the_program_as_it_is_called() {
    let mut count = 0;
    for file in ["yaml", "json"].into_iter().flat_map(|ending| below(&root().join("deploy"), ending)) {
        let text = fs::read_to_string(&file).unwrap();
        let mut lines = Vec::new();
        Yaml::load_from_str(&text).unwrap().iter().for_each(|document| containers(document, &mut lines));
        for words in lines {
            count += 1;
            is_taken(&words).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
        }
    }
    assert!(count >= 4, "the manifests have command lines");
}

#[test]
fn a_command_line_that_is_wrong_is_found() {
    let lines =
        command_lines("$ aws s3 cp x - | kubesweep scan - \\\n  --since \"$DAY\" --lookback $((1+2))d > /dev/null");
    assert_eq!(lines, [["kubesweep", "scan", "-", "--since", "1", "--lookback", "1d"].map(str::to_owned).to_vec()]);
    assert!(is_taken(&lines[0]).is_ok());
    assert!(is_taken(&command_lines("sudo /usr/bin/kubesweep scan /logs --no-such")[0]).is_err());
}

#[test]
fn links_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)#\s]+)(?:#[^)]*)?\)").unwrap();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()).filter(|to| !to.contains("://")) {
            let file = page.parent().unwrap().join(&target);
            assert!(file.exists(), "{} links to {target}", page.display());
        }
    }
}

/// Every command has a page that names all of its own options and its exit status.
#[test]
fn every_command_has_a_page() {
    let program = kubesweep::cli::command();
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let file = root().join(format!("docs/commands/{}.md", command.get_name()));
        let page = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{} is missing", file.display()));
        assert!(page.contains("## Exit status"), "{} has no exit status", file.display());
        for option in command.get_arguments().filter_map(|argument| argument.get_long()).filter(|name| *name != "help")
        {
            assert!(page.contains(&format!("--{option}")), "{} does not name --{option}", file.display());
        }
        for action in command.get_subcommands().filter(|action| action.get_name() != "help") {
            let name = action.get_name();
            assert!(page.contains(&format!("rules {name}")), "{} does not name {name}", file.display());
        }
    }
}
