//! The README prints only what was really printed: every `console` block is run and compared.
//! `UPDATE_EXPECT=1` puts in what is printed now.

use crate::{kubesweep, root};

#[test]
fn the_readme_prints_what_is_printed() {
    let file = root().join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let mut parts = readme.split("```console\n");
    let mut real = parts.next().unwrap().to_owned();
    let mut commands = 0;
    for part in parts {
        let (block, text) = part.split_once("```").unwrap();
        real += "```console\n";
        // The commands of a block see what those before them left.
        let temporary = tempfile::tempdir().unwrap();
        for command in block.split("$ ").skip(1) {
            let line = command.lines().next().unwrap();
            commands += 1;
            real += "$ ";
            real += line;
            real += "\n";
            real += &printed(temporary.path(), line);
        }
        real += "```";
        real += text;
    }
    assert!(commands >= 3, "the README has examples");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(file, real).unwrap();
    } else {
        assert_eq!(readme, real);
    }
}

fn printed(temporary: &std::path::Path, line: &str) -> String {
    let arguments = line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("kubesweep "));
    let arguments = arguments.unwrap_or_else(|| panic!("not a kubesweep command: {line}"));
    let place = |word: &str| temporary.join(word).to_str().unwrap().to_owned();
    let is_output = |word: &str| word == "report" || word.ends_with(".partial");
    let words: Vec<String> =
        arguments.split_whitespace().map(|word| if is_output(word) { place(word) } else { word.to_owned() }).collect();
    let run = kubesweep(root(), &words);
    (run.stdout + &run.stderr).replace(&place(""), "")
}

#[test]
fn the_readme_rule_and_tuning_are_taken() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("rule.yml"), blocks[0]).unwrap();
    let run = kubesweep(here.path(), &["rules", "test", "rule.yml"]);
    assert!(run.stdout.ends_with("2 passed, 0 failed\n"), "{}{}", run.stdout, run.stderr);
    std::fs::write(here.path().join("tune.yml"), blocks[1]).unwrap();
    let runbook = readme.split("```yml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(here.path().join("tune.yml"), format!("{}{runbook}", blocks[1])).unwrap();
    let dump = root().join("fixtures/cases/container-gzip/input");
    let arguments = ["scan", dump.to_str().unwrap(), "-o", "out", "--tune", "tune.yml", "-r", "builtin:all"];
    assert_eq!(kubesweep(here.path(), &arguments).exit, 0);
}

/// Commands in `sh` blocks run too, over the fixtures.
#[test]
fn the_readme_commands_are_taken() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let here = tempfile::tempdir().unwrap();
    let dumps = root().join("fixtures/dumps");
    let blocks = readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines =
        blocks.flat_map(str::lines).filter_map(|line| line.split(" #").next().unwrap().strip_prefix("kubesweep "));
    let mut commands = 0;
    for line in lines {
        let words = line.split_whitespace().map(|word| if word == "/logs" { dumps.to_str().unwrap() } else { word });
        let run = kubesweep(here.path(), &words.collect::<Vec<_>>());
        assert!(run.exit < 2, "{line}: {}", run.stderr);
        commands += 1;
    }
    assert!(commands >= 2, "the README has commands");
}
