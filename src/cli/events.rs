//! `kubesweep events`.

use std::io::{self, Write};
use std::net::IpAddr;

use clap::{Args, ValueEnum};

use super::args::{Dump, Span, named};
use super::{ExitStatus, options, print_stats, progress, redactor, stats, status, warn_if_nothing};
use crate::aggregate::{Plan, finish};
use crate::error::Error;
use crate::events::{Filter, Form, Order, Printer};
use crate::report::closing_events;
use crate::rule::{Pack, Tuning, is_cidr};
use crate::stats::{Stage, timed};
use crate::sweep;

#[derive(Debug, Args)]
pub(super) struct Events {
    #[command(flatten)]
    pub dump: Dump,

    /// User who asked, or in whose name; `*` stands for any text. Filters are
    /// repeatable: any of the values, all of the filters
    #[arg(long, value_name = "U", value_parser = named, help_heading = "Filters")]
    pub user: Vec<String>,

    /// Namespace
    #[arg(long, value_name = "N", value_parser = named, help_heading = "Filters")]
    pub namespace: Vec<String>,

    /// Verb: get, list, create, …
    #[arg(long, value_name = "V", help_heading = "Filters")]
    pub verb: Vec<String>,

    /// Resource: pods (with any subresource), pods/exec
    #[arg(long, value_name = "R", help_heading = "Filters")]
    pub resource: Vec<String>,

    /// Name of the object
    #[arg(long, value_name = "N", help_heading = "Filters")]
    pub name: Vec<String>,

    /// Any of the source addresses, or a block (10.0.0.0/8)
    #[arg(long, value_name = "IP", help_heading = "Filters")]
    pub source_ip: Vec<String>,

    /// Audit id
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    pub audit_id: Vec<String>,

    #[command(flatten)]
    pub span: Span,

    /// Read files too whose path proves them outside the window
    #[arg(long, help_heading = "Time")]
    pub no_prune: bool,

    /// Order: by place, or by time; more than 256 MiB are sorted in temporary
    /// files
    #[arg(long, value_enum, default_value = "source", help_heading = "Output")]
    pub sort: Sort,

    /// Output format
    #[arg(long, value_enum, default_value = "jsonl", help_heading = "Output")]
    pub format: EventFormat,

    /// Mask secrets: values of environment variables, data of Secrets,
    /// tokens, keys, passwords and last-applied annotations
    #[arg(long, help_heading = "Output")]
    pub redact: bool,

    /// Print the original bytes of the records instead; needs a filter
    #[arg(long, conflicts_with_all = ["format", "redact"], help_heading = "Output")]
    pub raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// Files by name, records as they stand there
    Source,
    /// By time, then by place; without a time last
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EventFormat {
    /// As audit.k8s.io/v1 writes them, with origin and evidence
    Jsonl,
    /// For Timesketch, with the keys of hits.jsonl
    Timesketch,
}

/// Reads everything and prints the requested events; writes no file.
pub(super) fn run(events: &Events) -> Result<ExitStatus, Error> {
    let filter = filter(events);
    let is_address = |text: &str| text.contains('*') || is_cidr(text) || text.parse::<IpAddr>().is_ok();
    if let Some(text) = filter.source_ips.iter().find(|text| !is_address(text)) {
        return Err(Error::Usage(format!(
            "--source-ip {text} is neither an address nor a block of them; write 10.20.4.17 or 10.0.0.0/8, for instance"
        )));
    }
    if events.raw && filter.is_empty() {
        return Err(Error::Usage("--raw needs a filter, for instance --audit-id; without one the files are it".into()));
    }
    let (_, window) = options::window(&events.span)?;
    let pack = Pack::new(Vec::new(), Tuning::default(), vec![filter.interest()]);
    let Dump { paths, origin, input } = &events.dump;
    let job = options::job(input, origin, pack, window)?;
    let stats = stats(input.stats);
    let found = options::found(paths, &[], (!events.no_prune).then_some(window))?;
    let order = if events.sort == Sort::Time { Order::Time } else { Order::Source };
    let redactor = events.redact.then(redactor).transpose()?;
    let printer = Printer::new(io::stdout(), form(events), order, &filter, redactor);
    let progress = progress(&found, input, stats.as_ref());
    let tally = sweep::stream(&found, &job, &progress, &printer);
    progress.finish();
    let count = match timed(stats.as_ref(), Stage::Reports, || printer.finish()) {
        // `kubesweep … | head` has what it wants. What was not read says nothing about the dump.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitStatus::Swept),
        finished => finished.map_err(|source| Error::Output { path: "standard output".into(), source })?,
    };
    let report = timed(stats.as_ref(), Stage::Finish, || finish(tally, &job.pack, &Plan::default()))
        .map_err(Error::Temporary)?;
    if !input.quiet {
        let _ = io::stderr().write_all(closing_events(count, !filter.is_empty(), &report).as_bytes());
        warn_if_nothing(&report);
    }
    print_stats(stats.as_ref(), &report.totals);
    Ok(status(report.extent, &report.totals))
}

fn filter(events: &Events) -> Filter {
    Filter {
        users: events.user.clone(),
        namespaces: events.namespace.clone(),
        verbs: events.verb.clone(),
        resources: events.resource.clone(),
        names: events.name.clone(),
        source_ips: events.source_ip.clone(),
        audit_ids: events.audit_id.clone(),
    }
}

fn form(events: &Events) -> Form {
    match events.format {
        _ if events.raw => Form::Original,
        EventFormat::Jsonl => Form::Json,
        EventFormat::Timesketch => Form::Timesketch,
    }
}
