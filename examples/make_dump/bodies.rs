//! The objects in requests and responses: as a client sends them, and as the API server stores them.

use serde_json::{Map, Value, json};

/// `metadata.managedFields` of one manager over some members of an object.
fn managed(manager: &str, api: &str, owned: &Value) -> Value {
    json!([{"manager": manager, "operation": "Update", "apiVersion": api, "time": "<second>", "fieldsType": "FieldsV1",
            "fieldsV1": fields(owned)}])
}

/// A value in FieldsV1 form: `f:key`, and `k:{"name":"c"}` for list items that have names.
fn fields(value: &Value) -> Value {
    let mut all = Map::new();
    match value {
        Value::Object(members) => {
            all.extend(members.iter().map(|(key, member)| (format!("f:{key}"), fields(member))));
        }
        Value::Array(items) if items.iter().all(Value::is_object) => {
            for item in items {
                let key =
                    ["name", "type", "uid", "key"].iter().find(|key| item.get(**key).is_some()).unwrap_or(&"name");
                let mut owned = fields(item);
                owned["."] = json!({});
                all.insert(format!("k:{{\"{key}\":{}}}", item[*key]), owned);
            }
        }
        _ => {}
    }
    all.into()
}

/// An object as the API server stores it; its manager owns `spec` and `status`.
fn stored(kind: &str, api: &str, metadata: &Value, manager: &str, spec: &Value, status: &Value) -> Value {
    let mut owned = json!({"metadata": {}, "spec": spec, "status": status});
    for key in ["labels", "ownerReferences"] {
        if let Some(value) = metadata.get(key) {
            owned["metadata"][key] = value.clone();
        }
    }
    let mut metadata = metadata.clone();
    metadata["managedFields"] = managed(manager, api, &owned);
    json!({"kind": kind, "apiVersion": api, "metadata": metadata, "spec": spec, "status": status})
}

fn owner(kind: &str, api: &str, name: &str) -> Value {
    json!([{"apiVersion": api, "kind": kind, "name": name, "uid": "<owner>", "controller": true, "blockOwnerDeletion": true}])
}

/// The object with another resourceVersion: the response to an update.
pub(crate) fn after(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = "<newrv>".into();
    object
}

fn container(defaulted: bool) -> Value {
    let mut container = json!({"name": "<name>", "image": "registry.corp.example/<ns>/<name>:<tag>",
        "command": ["/app/<name>"], "args": ["--region=eu-central-1", "--log-format=json"],
        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "TEAM", "value": "<ns>"}], "resources": {
            "limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}}});
    if defaulted {
        container["terminationMessagePath"] = "/dev/termination-log".into();
        container["terminationMessagePolicy"] = "File".into();
        container["imagePullPolicy"] = "IfNotPresent".into();
    }
    container
}

/// The spec of a pod template.
fn pod_spec(restart: &str, defaulted: bool) -> Value {
    let mut spec = json!({"containers": [container(defaulted)], "restartPolicy": restart});
    if defaulted {
        spec["terminationGracePeriodSeconds"] = 30.into();
        spec["dnsPolicy"] = "ClusterFirst".into();
    }
    spec["serviceAccountName"] = "<name>".into();
    if defaulted {
        spec["serviceAccount"] = "<name>".into();
        spec["securityContext"] = json!({});
        spec["schedulerName"] = "default-scheduler".into();
    }
    spec
}

fn cronjob_spec(defaulted: bool) -> Value {
    let template = json!({"metadata": {"creationTimestamp": null}, "spec": pod_spec("OnFailure", defaulted)});
    let mut spec = json!({"schedule": "<minute> <hour> * * *"});
    if defaulted {
        spec["concurrencyPolicy"] = "Allow".into();
        spec["suspend"] = false.into();
    }
    spec["jobTemplate"] = json!({"metadata": {"creationTimestamp": null}, "spec": {"template": template}});
    if defaulted {
        spec["successfulJobsHistoryLimit"] = 3.into();
        spec["failedJobsHistoryLimit"] = 1.into();
    }
    spec
}

/// A CronJob as a client sends it.
pub(crate) fn cronjob() -> Value {
    let metadata = json!({"name": "<name>", "namespace": "<ns>", "creationTimestamp": null, "labels": {"app": "<name>", "team": "<ns>"}});
    json!({"kind": "CronJob", "apiVersion": "batch/v1", "metadata": metadata, "spec": cronjob_spec(false), "status": {}})
}

/// A CronJob as the API server stores it.
pub(crate) fn kept_cronjob(manager: &str, status: &Value) -> Value {
    let metadata = json!({"name": "<name>", "namespace": "<ns>", "uid": "<uid>", "resourceVersion": "<rv>", "generation": 3,
        "creationTimestamp": "<created>", "labels": {"app": "<name>", "team": "<ns>"}});
    stored("CronJob", "batch/v1", &metadata, manager, &cronjob_spec(true), status)
}

/// The status that the cronjob-controller writes.
pub(crate) fn cronjob_status() -> Value {
    json!({"active": [{"kind": "Job", "namespace": "<ns>", "name": "<name>-<run>", "uid": "<owner>", "apiVersion": "batch/v1",
                       "resourceVersion": "<rv>"}],
           "lastScheduleTime": "<scheduled>", "lastSuccessfulTime": "<scheduled>"})
}

/// The strategic merge patch that rolls out a new image.
pub(crate) fn image_patch() -> Value {
    json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "<name>"}],
        "containers": [{"image": "registry.corp.example/<ns>/<name>:<tag>", "name": "<name>"}]}}}}}})
}

fn job_spec(kept: bool) -> Value {
    let labels = json!({"batch.kubernetes.io/controller-uid": "<uid>", "batch.kubernetes.io/job-name": "<name>-<run>",
                        "controller-uid": "<uid>", "job-name": "<name>-<run>"});
    let mut template = json!({"metadata": {"creationTimestamp": null}, "spec": pod_spec("OnFailure", true)});
    if !kept {
        return json!({"template": template});
    }
    template["metadata"]["labels"] = labels;
    json!({"parallelism": 1, "completions": 1, "backoffLimit": 6,
           "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "<uid>"}}, "template": template,
           "completionMode": "NonIndexed", "suspend": false})
}

/// The Job that the cronjob-controller creates.
pub(crate) fn job() -> Value {
    json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "<name>-<run>", "namespace": "<ns>",
        "creationTimestamp": null, "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "<scheduled>"},
        "ownerReferences": owner("CronJob", "batch/v1", "<name>")}, "spec": job_spec(false), "status": {}})
}

/// The same as the API server stores it.
pub(crate) fn kept_job(status: &Value) -> Value {
    let metadata = json!({"name": "<name>-<run>", "namespace": "<ns>", "uid": "<uid>", "resourceVersion": "<rv>", "generation": 1,
        "creationTimestamp": "<second>",
        "labels": {"batch.kubernetes.io/controller-uid": "<uid>", "batch.kubernetes.io/job-name": "<name>-<run>"},
        "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "<scheduled>"},
        "ownerReferences": owner("CronJob", "batch/v1", "<name>")});
    stored("Job", "batch/v1", &metadata, "kube-controller-manager", &job_spec(true), status)
}

fn pod_metadata(owner_kind: &str) -> Value {
    let (api, name) = if owner_kind == "Job" { ("batch/v1", "<name>-<run>") } else { ("apps/v1", "<name>-<hash>") };
    let labels = if owner_kind == "Job" {
        json!({"batch.kubernetes.io/controller-uid": "<owner>", "batch.kubernetes.io/job-name": name})
    } else {
        json!({"app": "<name>", "team": "<ns>", "pod-template-hash": "<hash>"})
    };
    json!({"generateName": format!("{name}-"), "creationTimestamp": null, "labels": labels,
           "ownerReferences": owner(owner_kind, api, name)})
}

/// The Pod that a controller creates.
pub(crate) fn pod(owner_kind: &str) -> Value {
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": pod_metadata(owner_kind), "spec": pod_spec("Always", true), "status": {}})
}

/// A Pod as the API server stores it, with its token volume and tolerations.
pub(crate) fn kept_pod(owner_kind: &str, annotations: &Value, status: &Value) -> Value {
    let mut metadata = pod_metadata(owner_kind);
    let generated = metadata["generateName"].as_str().unwrap_or_default().to_owned();
    metadata["name"] = format!("{generated}<suffix>").into();
    for (key, value) in
        [("namespace", "<ns>"), ("uid", "<uid>"), ("resourceVersion", "<rv>"), ("creationTimestamp", "<second>")]
    {
        metadata[key] = value.into();
    }
    if !annotations.is_null() {
        metadata["annotations"] = annotations.clone();
    }
    let mut spec = pod_spec("Always", true);
    spec["volumes"] = json!([{"name": "kube-api-access-<suffix>", "projected": {"sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}],
        "defaultMode": 420}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "kube-api-access-<suffix>", "readOnly": true,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    let tolerates =
        |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    spec["nodeName"] = "<node>".into();
    spec["tolerations"] =
        json!([tolerates("node.kubernetes.io/not-ready"), tolerates("node.kubernetes.io/unreachable")]);
    spec["priority"] = 0.into();
    spec["enableServiceLinks"] = true.into();
    spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    stored("Pod", "v1", &metadata, "kube-controller-manager", &spec, status)
}

fn conditions(kinds: &[&str]) -> Value {
    let condition =
        |kind: &&str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "<second>"});
    kinds.iter().map(condition).collect()
}

/// The status that a kubelet writes.
pub(crate) fn pod_status() -> Value {
    json!({"phase": "Running", "conditions": conditions(&["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]),
           "hostIP": "<nodeip>", "podIP": "<nodeip>", "startTime": "<second>", "containerStatuses": [{"name": "<name>",
           "state": {"running": {"startedAt": "<second>"}}, "lastState": {}, "ready": true, "restartCount": 0,
           "image": "registry.corp.example/<ns>/<name>:<tag>", "imageID": "registry.corp.example/<ns>/<name>@sha256:<container>",
           "containerID": "containerd://<container>", "started": true}], "qosClass": "Burstable"})
}

/// The patch with which a kubelet reports its node, and the Node in the response.
pub(crate) fn node_status() -> (Value, Value) {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "False", "lastHeartbeatTime": "<second>", "lastTransitionTime": "<created>",
               "reason": reason, "message": message})
    };
    let conditions = json!([
        condition("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "KubeletReady", "kubelet is posting ready status"),
    ]);
    let image = |name: &&str| {
        json!({"names": [format!("registry.corp.example/{name}@sha256:<container>"), format!("registry.corp.example/{name}:<tag>")],
               "sizeBytes": 104_857_600 + 7919 * name.len()})
    };
    let images = [
        "shop/cart-cleanup",
        "shop/price-sync",
        "billing/invoice-export",
        "billing/ledger",
        "ml-batch/trainer",
        "base/pause",
        "kube/kube-proxy",
        "kube/coredns",
        "kube/aws-node",
        "kube/csi-node-driver",
        "monitoring/node-exporter",
        "logging/fluent-bit",
    ];
    let mut status = json!({"capacity": {"cpu": "8", "ephemeral-storage": "83873772Ki", "memory": "32386480Ki", "pods": "58"},
        "allocatable": {"cpu": "7910m", "ephemeral-storage": "76224326324", "memory": "31369648Ki", "pods": "58"},
        "conditions": conditions, "addresses": [{"type": "InternalIP", "address": "<nodeip>"}, {"type": "Hostname", "address": "<node>"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {"machineID": "ec2<hash>", "systemUUID": "<uid>", "bootID": "<owner>", "kernelVersion": "6.1.115-126.197",
            "osImage": "Bottlerocket OS 1.27.1", "containerRuntimeVersion": "containerd://1.7.24", "kubeletVersion": "v1.31.3",
            "kubeProxyVersion": "v1.31.3", "operatingSystem": "linux", "architecture": "amd64"}});
    let patch = json!({"metadata": {"resourceVersion": null}, "status": {"$setElementOrder/conditions": [{"type": "MemoryPressure"},
        {"type": "DiskPressure"}, {"type": "PIDPressure"}, {"type": "Ready"}], "conditions": conditions}});
    let labels = json!({"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/instance-type": "m6i.2xlarge", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": "<node>", "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "eu-central-1a"});
    let metadata = json!({"name": "<node>", "uid": "<uid>", "resourceVersion": "<newrv>", "creationTimestamp": "<created>", "labels": labels,
        "annotations": {"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"}});
    let owned = status.clone();
    status["images"] = images.iter().map(image).collect();
    let mut node =
        stored("Node", "v1", &metadata, "kubelet", &json!({"providerID": "aws:///eu-central-1a/<node>"}), &owned);
    node["status"] = status;
    (patch, node)
}

/// A Deployment or ReplicaSet as the API server stores it.
pub(crate) fn workload(kind: &str) -> Value {
    let labels = json!({"app": "<name>", "team": "<ns>"});
    let name = if kind == "ReplicaSet" { "<name>-<hash>" } else { "<name>" };
    let mut metadata = json!({"name": name, "namespace": "<ns>", "uid": "<uid>", "resourceVersion": "<rv>", "generation": 12,
        "creationTimestamp": "<created>", "labels": labels, "annotations": {"deployment.kubernetes.io/revision": "12"}});
    if kind == "ReplicaSet" {
        metadata["ownerReferences"] = owner("Deployment", "apps/v1", "<name>");
    }
    let spec = json!({"replicas": 3, "selector": {"matchLabels": labels}, "template": {
        "metadata": {"creationTimestamp": null, "labels": labels}, "spec": pod_spec("Always", true)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600});
    let status = json!({"observedGeneration": 12, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        "conditions": conditions(&["Available", "Progressing"])});
    stored(kind, "apps/v1", &metadata, "kube-controller-manager", &spec, &status)
}

/// A HorizontalPodAutoscaler as the API server stores it.
pub(crate) fn autoscaler() -> Value {
    let metric = |usage: u64| json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": format!("{usage}m"), "averageUtilization": 41}}}]);
    let metadata = json!({"name": "<name>", "namespace": "<ns>", "uid": "<uid>", "resourceVersion": "<rv>",
        "creationTimestamp": "<created>", "labels": {"app": "<name>", "team": "<ns>"}});
    let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "<name>", "apiVersion": "apps/v1"}, "minReplicas": 3, "maxReplicas": 12,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]});
    let status = json!({"lastScaleTime": "<second>", "currentReplicas": 3, "desiredReplicas": 3, "currentMetrics": metric(214),
        "conditions": conditions(&["AbleToScale", "ScalingActive", "ScalingLimited"])});
    stored("HorizontalPodAutoscaler", "autoscaling/v2", &metadata, "kube-controller-manager", &spec, &status)
}

/// An access review and its response.
pub(crate) fn access_review() -> (Value, Value) {
    let spec = json!({"resourceAttributes": {"namespace": "<ns>", "verb": "get", "group": "metrics.k8s.io", "version": "v1beta1",
        "resource": "pods"}, "user": "system:serviceaccount:<ns>:<name>",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:<ns>", "system:authenticated"], "uid": "<uid>"});
    let review = |status: Value| {
        json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {"creationTimestamp": null},
               "spec": spec, "status": status})
    };
    let reason = "RBAC: allowed by RoleBinding \"metrics/<ns>\" of Role \"metrics\" to ServiceAccount \"<name>/<ns>\"";
    (review(json!({"allowed": false})), review(json!({"allowed": true, "reason": reason})))
}

/// A custom resource with a list of `items` items of a hundred or so bytes each, twice that with its managedFields.
pub(crate) fn inventory(items: usize) -> Value {
    let item = |at: usize| {
        json!({"name": format!("item-{at:05}"), "digest": "sha256:<word><word>", "group": "apps", "kind": "Deployment",
               "namespace": "<ns>", "health": {"status": "Healthy"}, "syncStatus": "Synced"})
    };
    let items: Value = (0..items).map(item).collect();
    let metadata = json!({"name": "<name>", "namespace": "<ns>", "uid": "<uid>", "resourceVersion": "<rv>", "generation": 7,
        "creationTimestamp": "<created>", "labels": {"team": "<ns>"}});
    stored(
        "Inventory",
        "fleet.corp.example/v1",
        &metadata,
        "inventory-operator",
        &json!({"paused": false}),
        &json!({"items": items}),
    )
}

/// A CronJob with this many environment variables.
pub(crate) fn wide_cronjob(variables: usize) -> Value {
    let mut body = cronjob();
    let variable = |at: usize| json!({"name": format!("FEATURE_FLAG_{at:05}"), "value": "region=<word>"});
    body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"] =
        (0..variables).map(variable).collect();
    body
}
