//! The requests of a cluster, and how many there are of each kind.

use serde_json::{Value, json};

use crate::bodies;
use crate::expected::Column::{self, Created, Deleted, Denied, DryRun, Hits, Modified, Seen, Suppressed};
use crate::request::{Actor, Request};

const MANAGER: &str = "kube-controller-manager/v1.31.3 (linux/amd64) kubernetes/c83cbee";
const KUBECTL: &str = "kubectl/v1.31.2 (linux/amd64) kubernetes/5864a46";
const CRONJOB: &str = "/apis/batch/v1/namespaces/<ns>/cronjobs/<name>";

fn actor(
    username: &str,
    uid: Option<&'static str>,
    groups: &[&str],
    ip: &'static str,
    agent: &str,
    reason: &str,
) -> Actor {
    let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
    Actor { username: username.to_owned(), uid, groups, ip, agent: agent.to_owned(), reason: reason.to_owned() }
}

fn kubelet() -> Actor {
    let agent = "kubelet/v1.31.3 (linux/amd64) kubernetes/c83cbee";
    actor("system:node:<node>", None, &["system:nodes"], "<nodeip>", agent, "")
}

/// A component of the control plane.
fn component(name: &str, agent: &str) -> Actor {
    let reason = format!(
        "RBAC: allowed by ClusterRoleBinding \"system:{name}\" of ClusterRole \"system:{name}\" to User \"system:{name}\""
    );
    actor(&format!("system:{name}"), None, &[], "10.0.0.9", agent, &reason)
}

fn service_account(namespace: &str, name: &str, role: &str, agent: &str) -> Actor {
    let reason = format!(
        "RBAC: allowed by ClusterRoleBinding \"{role}\" of ClusterRole \"{role}\" to ServiceAccount \"{name}/{namespace}\""
    );
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
    let username = format!("system:serviceaccount:{namespace}:{name}");
    actor(&username, Some("5e2d1c7a-93b4-4c1e-8a55-0d6f7e21b9c3"), &groups, "<nodeip>", agent, &reason)
}

fn controller(name: &str) -> Actor {
    let agent = format!("{MANAGER}/system:serviceaccount:kube-system:{name}");
    Actor { ip: "10.0.0.9", ..service_account("kube-system", name, &format!("system:controller:{name}"), &agent) }
}

fn argocd() -> Actor {
    let agent = "argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format";
    service_account("argocd", "argocd-application-controller", "argocd-application-controller", agent)
}

fn ci() -> Actor {
    service_account("ci", "deployer", "deployer", "kubectl/v1.30.1 (linux/amd64) kubernetes/6911225")
}

fn person() -> Actor {
    let reason = "RBAC: allowed by RoleBinding \"engineers/<ns>\" of ClusterRole \"edit\" to Group \"oidc:engineers\"";
    actor("<user>@corp.example", Some("<user>@corp.example"), &["oidc:engineers"], "<userip>", KUBECTL, reason)
}

/// A request whose bodies are not logged.
fn plain(share: u64, actor: Actor, verb: &'static str, uri: &'static str) -> Request {
    let code = if verb == "create" { 201 } else { 200 };
    Request { share, actor, verb, uri, code, body: Value::Null, answer: Value::Null, counts: &[] }
}

fn with_bodies(request: Request, body: Value, answer: Value) -> Request {
    Request { body, answer, ..request }
}

/// A request that sends back an object read before, changed, as controllers do.
fn update(share: u64, actor: Actor, uri: &'static str, object: Value) -> Request {
    let answer = bodies::after(&object);
    with_bodies(plain(share, actor, "update", uri), object, answer)
}

fn failed(request: Request, code: u16) -> Request {
    Request { code, ..request }
}

fn counted(request: Request, counts: &'static [Column]) -> Request {
    Request { counts, ..request }
}

/// A day of a cluster: mostly reads, leases and status.
pub(crate) fn mixed() -> Vec<Request> {
    let mut all = leases();
    all.extend(reads());
    all.extend(nodes_and_pods());
    all.extend(workloads());
    all.extend(cronjobs_read(1));
    all.extend(changes(1));
    all.push(cronjob_status(8_000));
    all
}

fn leases() -> Vec<Request> {
    let node = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/<node>?timeout=10s";
    let manager = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager?timeout=5s";
    let scheduler = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler?timeout=5s";
    let leader =
        |name: &str| component(name, &format!("{name}/v1.31.3 (linux/amd64) kubernetes/c83cbee/leader-election"));
    vec![
        plain(270_000, kubelet(), "update", node),
        plain(45_000, leader("kube-controller-manager"), "update", manager),
        plain(25_000, leader("kube-controller-manager"), "get", manager),
        plain(45_000, leader("kube-scheduler"), "update", scheduler),
        plain(25_000, leader("kube-scheduler"), "get", scheduler),
    ]
}

fn reads() -> Vec<Request> {
    let kubelet_watch = "allowWatchBookmarks=true&fieldSelector=metadata.name%3D<name>&resourceVersion=<rv>&timeoutSeconds=431&watch=true";
    let uri = |path: &str, query: &str| -> &'static str { format!("{path}?{query}").leak() };
    let secrets = service_account(
        "external-secrets",
        "external-secrets",
        "external-secrets-controller",
        "external-secrets/v0.10.7 (linux/amd64) kubernetes/$Format",
    );
    let prometheus = service_account("monitoring", "prometheus-k8s", "prometheus-k8s", "Prometheus/2.55.1");
    let adapter = service_account(
        "monitoring",
        "metrics-adapter",
        "system:auth-delegator",
        "adapter/v0.12.0 (linux/amd64) kubernetes/$Format",
    );
    let review = bodies::access_review();
    vec![
        plain(
            22_000,
            kubelet(),
            "watch",
            "/api/v1/pods?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3D<node>&resourceVersion=<rv>&timeoutSeconds=431&watch=true",
        ),
        plain(38_000, kubelet(), "watch", uri("/api/v1/namespaces/<ns>/configmaps", kubelet_watch)),
        plain(32_000, kubelet(), "watch", uri("/api/v1/namespaces/<ns>/secrets", kubelet_watch)),
        plain(50_000, kubelet(), "get", "/api/v1/namespaces/<ns>/configmaps/kube-root-ca.crt"),
        plain(36_000, secrets.clone(), "get", "/api/v1/namespaces/<ns>/secrets/<name>-credentials"),
        plain(
            4_000,
            secrets,
            "list",
            "/api/v1/secrets?labelSelector=reconcile.external-secrets.io%2Fmanaged%3Dtrue&limit=500",
        ),
        plain(8_000, prometheus.clone(), "list", "/api/v1/pods?limit=500&resourceVersion=0"),
        plain(
            18_000,
            prometheus,
            "watch",
            "/api/v1/endpoints?allowWatchBookmarks=true&resourceVersion=<rv>&timeoutSeconds=377&watch=true",
        ),
        plain(40_000, adapter.clone(), "create", "/apis/authentication.k8s.io/v1/tokenreviews"),
        with_bodies(
            plain(34_000, adapter, "create", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
            review.0,
            review.1,
        ),
        plain(
            20_000,
            component("kube-scheduler", "kube-scheduler/v1.31.3 (linux/amd64) kubernetes/c83cbee/scheduler"),
            "get",
            "/api/v1/namespaces/<ns>/services/<name>",
        ),
        plain(20_000, component("kube-controller-manager", MANAGER), "get", "/api/v1/namespaces/<ns>/endpoints/<name>"),
        plain(
            16_000,
            controller("endpointslice-controller"),
            "update",
            "/apis/discovery.k8s.io/v1/namespaces/<ns>/endpointslices/<name>-<suffix>",
        ),
        plain(15_000, argocd(), "patch", "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/<name>"),
        failed(plain(7_000, argocd(), "get", "/apis/rbac.authorization.k8s.io/v1/namespaces/<ns>/roles/<name>"), 404),
        failed(plain(3_500, person(), "list", "/api/v1/namespaces/<ns>/configmaps?limit=500"), 403),
    ]
}

fn nodes_and_pods() -> Vec<Request> {
    let node = bodies::node_status();
    let kept =
        |owner: &str| bodies::kept_pod(owner, &Value::Null, &json!({"phase": "Pending", "qosClass": "Burstable"}));
    let binding = json!({"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "<name>-<hash>-<suffix>", "namespace": "<ns>",
        "uid": "<uid>", "creationTimestamp": null}, "target": {"kind": "Node", "name": "<node>"}});
    let bound = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let status = json!({"metadata": {"uid": "<uid>"}, "status": bodies::pod_status()});
    let running = bodies::kept_pod("ReplicaSet", &Value::Null, &bodies::pod_status());
    let scheduler = component("kube-scheduler", "kube-scheduler/v1.31.3 (linux/amd64) kubernetes/c83cbee/scheduler");
    vec![
        with_bodies(plain(24_000, kubelet(), "patch", "/api/v1/nodes/<node>/status?timeout=10s"), node.0, node.1),
        with_bodies(
            plain(21_000, kubelet(), "patch", "/api/v1/namespaces/<ns>/pods/<name>-<hash>-<suffix>/status"),
            status,
            running,
        ),
        with_bodies(
            plain(4_000, controller("replicaset-controller"), "create", "/api/v1/namespaces/<ns>/pods"),
            bodies::pod("ReplicaSet"),
            kept("ReplicaSet"),
        ),
        with_bodies(
            plain(3_000, controller("job-controller"), "create", "/api/v1/namespaces/<ns>/pods"),
            bodies::pod("Job"),
            kept("Job"),
        ),
        with_bodies(
            plain(6_000, scheduler, "create", "/api/v1/namespaces/<ns>/pods/<name>-<hash>-<suffix>/binding"),
            binding,
            bound,
        ),
        plain(6_000, kubelet(), "get", "/api/v1/namespaces/<ns>/pods/<name>-<hash>-<suffix>"),
        plain(45_000, kubelet(), "create", "/api/v1/namespaces/<ns>/serviceaccounts/<name>/token"),
        plain(24_000, kubelet(), "patch", "/api/v1/namespaces/<ns>/events/<name>-<hash>-<suffix>"),
    ]
}

fn workloads() -> Vec<Request> {
    let active =
        json!({"startTime": "<second>", "active": 1, "terminating": 0, "ready": 0, "uncountedTerminatedPods": {}});
    let created = with_bodies(
        plain(3_000, controller("cronjob-controller"), "create", "/apis/batch/v1/namespaces/<ns>/jobs/<name>-<run>"),
        bodies::job(),
        bodies::kept_job(&json!({})),
    );
    vec![
        created,
        update(
            4_000,
            controller("job-controller"),
            "/apis/batch/v1/namespaces/<ns>/jobs/<name>-<run>/status",
            bodies::kept_job(&active),
        ),
        update(
            9_000,
            controller("replicaset-controller"),
            "/apis/apps/v1/namespaces/<ns>/replicasets/<name>-<hash>/status",
            bodies::workload("ReplicaSet"),
        ),
        update(
            9_000,
            controller("deployment-controller"),
            "/apis/apps/v1/namespaces/<ns>/deployments/<name>/status",
            bodies::workload("Deployment"),
        ),
        update(
            16_000,
            controller("horizontal-pod-autoscaler"),
            "/apis/autoscaling/v2/namespaces/<ns>/horizontalpodautoscalers/<name>/status",
            bodies::autoscaler(),
        ),
        plain(16_000, controller("resourcequota-controller"), "list", "/api/v1/namespaces/<ns>/services?limit=500"),
    ]
}

fn cronjob_status(share: u64) -> Request {
    let object = bodies::kept_cronjob("kube-controller-manager", &bodies::cronjob_status());
    update(share, controller("cronjob-controller"), "/apis/batch/v1/namespaces/<ns>/cronjobs/<name>/status", object)
}

/// Reads of CronJobs.
fn cronjobs_read(times: u64) -> Vec<Request> {
    let metrics = service_account(
        "monitoring",
        "kube-state-metrics",
        "kube-state-metrics",
        "kube-state-metrics/v2.14.0 (linux/amd64) kubernetes/$Format",
    );
    vec![
        plain(700 * times, metrics.clone(), "list", "/apis/batch/v1/cronjobs?limit=500&resourceVersion=0"),
        plain(
            500 * times,
            metrics,
            "watch",
            "/apis/batch/v1/cronjobs?allowWatchBookmarks=true&resourceVersion=<rv>&timeoutSeconds=412&watch=true",
        ),
        plain(60 * times, person(), "get", CRONJOB),
    ]
}

/// Changes of CronJobs by people, pipelines and the clouds' own components: about 290 hits in a million records.
fn changes(times: u64) -> Vec<Request> {
    let kept = |manager: &str| bodies::kept_cronjob(manager, &json!({"lastScheduleTime": "<scheduled>"}));
    let create = |share: u64, actor: Actor, uri: &'static str, manager: &str| {
        with_bodies(plain(share * times, actor, "create", uri), bodies::cronjob(), kept(manager))
    };
    let patch = |share: u64, actor: Actor, uri: &'static str, manager: &str| {
        with_bodies(plain(share * times, actor, "patch", uri), bodies::image_patch(), bodies::after(&kept(manager)))
    };
    let named = |query: &str| -> &'static str { format!("{CRONJOB}?{query}").leak() };
    let (apply, strict) = (
        named("fieldManager=kubectl-client-side-apply&fieldValidation=Strict"),
        named("fieldManager=kubectl-create&fieldValidation=Strict"),
    );
    let mut all = vec![
        counted(create(60, person(), apply, "kubectl-client-side-apply"), &[Hits, Created]),
        counted(patch(35, person(), named("fieldManager=kubectl-edit"), "kubectl-edit"), &[Hits, Modified]),
        counted(create(10, ci(), strict, "kubectl-create"), &[Hits, Created]),
        counted(update(40 * times, ci(), CRONJOB, kept("kubectl-replace")), &[Hits, Modified]),
        counted(patch(120, argocd(), named("fieldManager=argocd-controller"), "argocd-controller"), &[Hits, Modified]),
        counted(
            create(10, person(), named("dryRun=All&fieldManager=kubectl-create"), "kubectl-create"),
            &[Hits, DryRun],
        ),
        counted(patch(10, person(), named("dryRun=All&fieldManager=kubectl-edit"), "kubectl-edit"), &[Hits, DryRun]),
    ];
    all.extend(refusals(times));
    all.extend(system_changes(times));
    all
}

/// Requests that were refused or failed, or that delete.
fn refusals(times: u64) -> Vec<Request> {
    let refused =
        |share: u64, verb: &'static str| counted(failed(plain(share * times, person(), verb, CRONJOB), 403), &[Denied]);
    let deletion = json!({"kind": "DeleteOptions", "apiVersion": "batch/v1", "propagationPolicy": "Background"});
    let deleted = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": "<name>", "group": "batch", "kind": "cronjobs", "uid": "<uid>"}});
    let exists = Request { body: bodies::cronjob(), ..failed(plain(10 * times, ci(), "create", CRONJOB), 409) };
    let delete = |share: u64, actor: Actor| {
        counted(
            with_bodies(plain(share * times, actor, "delete", CRONJOB), deletion.clone(), deleted.clone()),
            &[Deleted],
        )
    };
    let listed = failed(plain(10 * times, person(), "list", "/apis/batch/v1/namespaces/<ns>/cronjobs?limit=500"), 403);
    vec![
        refused(20, "create"),
        refused(15, "patch"),
        counted(listed, &[Denied]),
        counted(exists, &[Seen]),
        delete(20, person()),
        delete(10, argocd()),
    ]
}

/// Writes in kube-system, which the rule excludes, and one that its companion matches.
fn system_changes(times: u64) -> Vec<Request> {
    let uri = "/apis/batch/v1/namespaces/kube-system/cronjobs/<name>?fieldManager=addon-manager";
    let mut body = bodies::cronjob();
    body["metadata"]["namespace"] = "kube-system".into();
    let mut kept = bodies::kept_cronjob("addon-manager", &json!({}));
    kept["metadata"]["namespace"] = "kube-system".into();
    let addons = component("addon-manager", "addon-manager/v1.31.3 (linux/amd64) kubernetes/c83cbee");
    let admin = component("admin", KUBECTL);
    let created = with_bodies(plain(8 * times, addons.clone(), "create", uri), body, kept.clone());
    let patched = |share: u64, actor: Actor| {
        with_bodies(plain(share * times, actor, "patch", uri), bodies::image_patch(), bodies::after(&kept))
    };
    vec![
        counted(created, &[Suppressed, Created]),
        counted(patched(12, addons), &[Suppressed, Modified]),
        counted(patched(2, admin), &[Hits, Suppressed, Modified]),
    ]
}

/// Records that all mention CronJobs, nearly none of which matters.
pub(crate) fn candidates() -> Vec<Request> {
    let policy = json!({"policies.corp.example/managed-by": "cronjobs"});
    let running = bodies::kept_pod("ReplicaSet", &policy, &bodies::pod_status());
    let status = json!({"metadata": {"uid": "<uid>"}, "status": bodies::pod_status()});
    let cronjobs = service_account(
        "batch",
        "cronjobs",
        "batch-operator",
        "batch-operator/v2.3.0 (linux/amd64) kubernetes/$Format",
    );
    let mut all = vec![
        cronjob_status(130_000),
        with_bodies(
            plain(35_000, kubelet(), "patch", "/api/v1/namespaces/<ns>/pods/<name>-<hash>-<suffix>/status"),
            status,
            running,
        ),
        plain(
            500_000,
            cronjobs.clone(),
            "update",
            "/apis/coordination.k8s.io/v1/namespaces/batch/leases/cronjobs-<hash>?timeout=5s",
        ),
        plain(180_000, cronjobs.clone(), "get", "/api/v1/namespaces/<ns>/configmaps/cronjobs-defaults"),
        plain(140_000, cronjobs, "list", "/apis/batch/v1/jobs?labelSelector=managed-by%3Dcronjobs&limit=500"),
    ];
    all.extend(cronjobs_read(10));
    all.extend(changes(1));
    all
}

/// Nothing but hits.
pub(crate) fn hits() -> Vec<Request> {
    let all = changes(1_000);
    all.into_iter().filter(|request| request.counts.contains(&Hits) && !request.counts.contains(&Suppressed)).collect()
}

/// Records of 256 KiB to 2 MiB.
pub(crate) fn long() -> Vec<Request> {
    let operator = service_account(
        "fleet",
        "inventory-operator",
        "inventory-operator",
        "inventory-operator/v1.4.0 (linux/amd64) kubernetes/$Format",
    );
    let uri = "/apis/fleet.corp.example/v1/namespaces/<ns>/inventories/<name>/status";
    let sized = |share: u64, items: usize| update(share, operator.clone(), uri, bodies::inventory(items));
    let wide = bodies::wide_cronjob(4_000);
    let create = with_bodies(plain(50_000, ci(), "create", CRONJOB), wide.clone(), wide);
    vec![
        sized(400_000, 450),
        sized(300_000, 800),
        sized(180_000, 1_500),
        sized(70_000, 2_800),
        counted(create, &[Hits, Created]),
    ]
}
