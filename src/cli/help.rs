//! The text below the options of every command, in `--help` and in its man page: examples and exit status.

/// Joins the sections of a command. Each begins with a heading, and its lines are indented: the man pages are made from
/// the same text.
pub(super) fn below(examples: &str, exit_status: &str) -> String {
    format!("Examples:\n{examples}\n\nExit status:\n{exit_status}")
}

pub(super) const PROGRAM: &str = "  \
  kubesweep scan /logs -o report
  kubesweep inspect /logs
  kubesweep runbook /logs --user eve
  kubesweep events /logs --user eve --sort time";

pub(super) const SCAN: &str = "  \
  kubesweep scan /logs -o report
  kubesweep scan /logs --case prod.case --since 24h --fail-on suspicious \\
      -o report --force
  kubesweep scan /logs -r builtin:all -r rules/ --tune tune.yml
  aws s3 cp s3://bucket/export/000000.gz - | kubesweep scan - -o report";

pub(super) const MERGE: &str = "  \
  kubesweep merge partials/ -o report
  kubesweep merge one.partial two.partial --fail-on suspicious -o report";

pub(super) const RUNBOOK: &str = "  \
  kubesweep runbook /logs --user eve
  kubesweep runbook /logs --deep -o runbook
  kubesweep runbook --case prod.case --namespace kube-system";

pub(super) const INSPECT: &str = "  \
  kubesweep inspect /logs
  kubesweep inspect /logs --format json";

pub(super) const EVENTS: &str = "  \
  kubesweep events /logs --user eve --resource pods/exec --sort time
  kubesweep events /logs --source-ip 203.0.113.0/24 --since 2026-11-20
  kubesweep events /logs --audit-id '5a1c*' --raw
  kubesweep events /logs --user eve --format timesketch > eve.jsonl";

pub(super) const VERIFY: &str = "  \
  kubesweep verify report
  kubesweep verify report --dump /logs";

pub(super) const RULES: &str = "  \
  kubesweep rules list
  kubesweep rules show Kubernetes.DaemonSet.Created
  kubesweep rules test rules/";

pub(super) const RULES_LIST: &str = "  \
  kubesweep rules list
  kubesweep rules list builtin:cronjob rules/";

pub(super) const RULES_SHOW: &str = "  \
  kubesweep rules show Kubernetes.CronJob.CreatedOrModified
  kubesweep rules show Team.CronJob.ForeignRegistry rules/";

pub(super) const RULES_TEST: &str = "  \
  kubesweep rules test
  kubesweep rules test rules/ --format json";

pub(super) const RULES_FIELDS: &str = "  \
  kubesweep rules fields
  kubesweep rules fields | grep image";

pub(super) const COMPLETIONS: &str = "  \
  kubesweep completions bash > /etc/bash_completion.d/kubesweep
  kubesweep completions zsh > ~/.zfunc/_kubesweep
  kubesweep completions fish > ~/.config/fish/completions/kubesweep.fish";

pub(super) const MAN: &str = "  \
  kubesweep man ~/.local/share/man/man1
  kubesweep man . && man ./kubesweep-scan.1";

pub(super) const SWEPT: &str = "  \
  0  swept; everything could be decoded and decided
  1  swept, and an alert reaches --fail-on
  2  nothing swept: arguments, a path that does not exist, output not writable
  3  swept, but an input could not be decoded or decided in full
  130  interrupted; what was read is in the reports, marked incomplete";

pub(super) const MERGED: &str = "  \
  0  merged; everything could be decoded and decided
  1  merged, and an alert reaches --fail-on
  2  nothing merged: arguments, a partial that is missing, damaged or of
     another run, output not writable
  3  merged, but an input could not be decoded or decided in full, or a partial
     is missing (--allow-missing)";

pub(super) const READ: &str = "  \
  0  read; everything could be decoded and decided
  2  nothing read: arguments, a path that does not exist, output not writable
  3  read, but an input could not be decoded or decided in full
  130  interrupted; what was read is told, and that it is not all";

pub(super) const VERIFIED: &str = "  \
  0  all as written
  1  something differs, or the sweep was interrupted
  2  cannot verify: no report directory, or one without run.json";

pub(super) const TESTED: &str = "  \
  0  done; all tests passed
  1  a test failed
  2  a rule cannot be read";

pub(super) const WRITTEN: &str = "  \
  0  done
  2  arguments, output not writable";
