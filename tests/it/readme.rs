//! The program accepts what the README says to write and run.

use crate::{kubesweep, root};

#[test]
fn the_rule_and_the_tuning_of_the_documentation_are_taken() {
    let yaml = |file: &str| {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
    };
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("rule.yml"), yaml("docs/rules.md")).unwrap();
    let run = kubesweep(here.path(), &["rules", "test", "rule.yml"]);
    assert!(run.stdout.ends_with("2 passed, 0 failed\n"), "{}{}", run.stdout, run.stderr);
    let page = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let runbook = page.split("```yml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(here.path().join("tune.yml"), yaml("README.md") + runbook).unwrap();
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
    let lines = blocks
        .flat_map(str::lines)
        .filter_map(|line| line.split(['#', '>']).next().unwrap().strip_prefix("kubesweep "));
    let mut commands = 0;
    for line in lines {
        let words = line.split_whitespace().map(|word| if word == "/logs" { dumps.to_str().unwrap() } else { word });
        let run = kubesweep(here.path(), &words.collect::<Vec<_>>());
        assert!(run.exit < 2, "{line}: {}", run.stderr);
        commands += 1;
    }
    assert!(commands >= 2, "the README has commands");
}
