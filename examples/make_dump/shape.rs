//! The forms in which clouds store audit logs: the text around an event and around a batch of events, and the path of
//! the file.

use anyhow::Result;

use crate::request::Request;
use crate::template::{Quoting, Template};
use crate::values::Cloud;

/// A form of files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// CloudWatch export task: a time and an event per line.
    Export,
    /// CloudWatch subscription through Firehose: documents without separators, each in its own gzip member.
    Firehose,
    /// The same, decompressed by Firehose and compressed again as one member.
    FirehoseWhole,
    /// AKS diagnostic records.
    Azure,
    /// GKE log entries of a GCS sink.
    Gcs,
}

/// The text around the events of a file.
pub(crate) struct Frame {
    pub head: Template,
    pub between: &'static str,
    pub tail: &'static str,
    /// Bytes after which a batch ends.
    pub batch: u64,
    /// Whether each batch is a gzip member.
    pub members: bool,
    /// A record at the beginning of a file that does not belong to an audit log.
    pub foreign: Option<Template>,
}

const AZURE_ID: &str =
    "/SUBSCRIPTIONS/<subscription>/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/<cluster>";

impl Shape {
    pub(crate) fn cloud(self) -> Cloud {
        match self {
            Shape::Export | Shape::Firehose | Shape::FirehoseWhole => Cloud::Aws,
            Shape::Azure => Cloud::Azure,
            Shape::Gcs => Cloud::Google,
        }
    }

    /// A record as it appears in its file.
    pub(crate) fn record(self, request: &Request) -> Result<Template> {
        Template::new(&match self {
            Shape::Export => format!("<shipped> {}\n", request.native()),
            Shape::Firehose | Shape::FirehoseWhole => {
                let event = Quoting::Quoted.quote(&request.native());
                format!(r#"{{"id":"<logid>","timestamp":<millis>,"message":"{event}"}}"#)
            }
            Shape::Azure => {
                let event = Quoting::Azure.quote(&request.native());
                let properties =
                    format!(r#"{{"pod":"<pod>","containerID":"<container>","log":"{event}\n","stream":"stdout"}}"#);
                format!(
                    "{{ \"category\": \"kube-audit\", \"operationName\": \
                     \"Microsoft.ContainerService/managedClusters/diagnosticLogs/Read\", \"properties\": {properties}, \
                     \"resourceId\": \"{AZURE_ID}\", \"serviceBuild\": \"na\", \"time\": \"<stagednanos>\"}}\n"
                )
            }
            Shape::Gcs => format!("{}\n", request.entry()),
        })
    }

    pub(crate) fn frame(self) -> Result<Frame> {
        let lines = || -> Result<Frame> {
            let head = Template::new("")?;
            Ok(Frame { head, between: "", tail: "", batch: u64::MAX, members: false, foreign: None })
        };
        Ok(match self {
            Shape::Export | Shape::Azure => lines()?,
            Shape::Gcs => Frame { foreign: Some(Template::new(FOREIGN)?), ..lines()? },
            Shape::Firehose | Shape::FirehoseWhole => Frame {
                head: Template::new(PAYLOAD)?,
                between: ",",
                tail: "]}",
                batch: 96 << 10,
                members: self == Shape::Firehose,
                foreign: Some(Template::new(CONTROL)?),
            },
        })
    }

    /// The path of a file.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Shape::Export => "s3/aws-logs-<account>-eu-central-1/exportedlogs/<date>/<id>/<stream>/000000.gz",
            Shape::Firehose => "s3/firehose/<date>/audit-to-s3-1-<path>-<id>",
            Shape::FirehoseWhole => "s3/firehose/<date>/audit-to-s3-1-<path>-<id>.gz",
            Shape::Azure => {
                "azure/insights-logs-kube-audit/resourceId=/SUBSCRIPTIONS/<subscription>/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/<cluster>/<date>/PT1H.json.gz"
            }
            Shape::Gcs => "gcs/<project>/cloudaudit.googleapis.com/activity/<date>_S0.json.gz",
        }
    }

    /// How paths write an hour.
    pub(crate) fn date(self) -> &'static str {
        match self {
            Shape::Export => "%Y/%m/%d",
            Shape::Firehose | Shape::FirehoseWhole => "%Y/%m/%d/%H",
            Shape::Azure => "y=%Y/m=%m/d=%d/h=%H/m=00",
            Shape::Gcs => "%Y/%m/%d/%H:00:00_%H:59:59",
        }
    }
}

const PAYLOAD: &str = r#"{"messageType":"DATA_MESSAGE","owner":"<account>","logGroup":"/aws/eks/<cluster>/cluster","logStream":"<stream>","subscriptionFilters":["audit-to-firehose"],"logEvents":["#;

const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":<millis>,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;

const FOREIGN: &str = concat!(
    r#"{"insertId":"<hash>","logName":"projects/<project>/logs/cloudaudit.googleapis.com%2Factivity","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"ops@corp.example"},"authorizationInfo":[{"granted":true,"permission":"container.clusters.update","resource":"projects/<project>/locations/europe-west3/clusters/<cluster>"}],"methodName":"google.container.v1.ClusterManager.UpdateNodePool","requestMetadata":{"callerIp":"203.0.113.30","callerSuppliedUserAgent":"google-cloud-sdk gcloud/497.0.0"},"resourceName":"projects/<project>/locations/europe-west3/clusters/<cluster>/nodePools/pool-1","serviceName":"container.googleapis.com","status":{}},"receiveTimestamp":"<stagednanos>","resource":{"labels":{"project_id":"<project>"},"type":"audited_resource"},"severity":"NOTICE","timestamp":"<received>"}"#,
    "\n"
);
