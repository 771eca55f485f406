//! `kubesweep events`.

use std::io::{self, Write};
use std::net::IpAddr;

use super::args::{EventFormat, Events, Sort};
use super::{ExitStatus, options, print_stats, progress, redactor, stats, status, warn_if_nothing};
use crate::aggregate::{Plan, finish};
use crate::error::Error;
use crate::events::{Filter, Form, Order, Printer};
use crate::report::closing_events;
use crate::rule::{Pack, Tuning, is_cidr};
use crate::stats::{Stage, timed};
use crate::sweep::{self, Job};

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
    let job = Job { window, ..options::job(&events.input, &events.origin, pack)? };
    let stats = stats(events.input.stats);
    let mut found = options::found(&events.paths, &[])?;
    if !events.no_prune {
        found.prune(window);
    }
    let order = if events.sort == Sort::Time { Order::Time } else { Order::Source };
    let redactor = events.redact.then(redactor).transpose()?;
    let printer = Printer::new(io::stdout(), form(events), order, &filter, redactor);
    let progress = progress(&found, &events.input, stats.as_ref());
    let tally = sweep::stream(&found, &job, &progress, &printer);
    progress.finish();
    let count = match timed(stats.as_ref(), Stage::Reports, || printer.finish()) {
        // `kubesweep … | head` has what it wants. What was not read says nothing about the dump.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitStatus::Swept),
        finished => finished.map_err(|source| Error::Output { path: "standard output".into(), source })?,
    };
    let report = timed(stats.as_ref(), Stage::Finish, || finish(tally, &job.pack, &Plan::default()))
        .map_err(Error::Temporary)?;
    if !events.input.quiet {
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
