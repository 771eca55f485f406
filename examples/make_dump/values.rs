//! The values of the slots of templates: who, which object, when.

use std::fmt::Write as _;

use anyhow::Result;
use jiff::Timestamp;

use crate::random::{Random, mix, pick, uuid};

/// Names of the slots. Those from `cluster` on have one value for a whole file.
pub(crate) const SLOTS: [&str; 35] = [
    "id",
    "uid",
    "owner",
    "rv",
    "newrv",
    "ns",
    "name",
    "node",
    "suffix",
    "hash",
    "user",
    "userip",
    "nodeip",
    "tag",
    "minute",
    "hour",
    "created",
    "received",
    "staged",
    "shipped",
    "stagednanos",
    "second",
    "scheduled",
    "millis",
    "logid",
    "run",
    "pod",
    "container", // per record
    "cluster",
    "account",
    "project",
    "subscription",
    "stream",
    "date",
    "path",
];
/// The first slot with one value for a whole file.
const OF_FILE: usize = at("cluster");

/// The index of a slot. An unknown one does not compile.
const fn at(name: &str) -> usize {
    let mut slot = 0;
    while !is_equal(SLOTS[slot].as_bytes(), name.as_bytes()) {
        slot += 1;
    }
    slot
}

const fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

const NAMESPACES: [&str; 14] = [
    "shop",
    "billing",
    "search",
    "reports",
    "checkout",
    "identity",
    "media",
    "ml-batch",
    "pricing",
    "logistics",
    "analytics",
    "support",
    "partners",
    "staging",
];
const SUBJECTS: [&str; 20] = [
    "cart", "price", "invoice", "ledger", "stock", "refund", "catalog", "session", "report", "payment", "feature",
    "account", "order", "image", "audit", "search", "metrics", "export", "voucher", "shipment",
];
const TASKS: [&str; 12] =
    ["cleanup", "sync", "export", "close", "check", "retry", "indexer", "api", "worker", "backup", "import", "gateway"];
const FIRST: [&str; 20] = [
    "alice", "bob", "carol", "dana", "erin", "frank", "grace", "heidi", "ivan", "judy", "kim", "leo", "mona", "nils",
    "olga", "paul", "quinn", "rosa", "sven", "tara",
];
const LAST: [&str; 20] = [
    "abel", "brandt", "costa", "diaz", "evans", "fischer", "gupta", "haas", "ito", "jensen", "kowalski", "lopez",
    "meyer", "novak", "okafor", "peters", "quist", "rossi", "silva", "tran",
];
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many of each there are.
#[derive(Clone, Copy)]
pub(crate) struct Pools {
    pub users: u64,
    pub namespaces: u64,
    /// Per namespace.
    pub workloads: u64,
    /// How many of them are CronJobs.
    pub cronjobs: u64,
}

/// A cloud, as far as it affects names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    Aws,
    Azure,
    Google,
}

/// The values of one record, drawn anew for each.
pub(crate) struct Values {
    pub texts: [String; SLOTS.len()],
    pub random: Random,
    /// When the request was received, in microseconds.
    pub received: i64,
    pools: Pools,
    cloud: Cloud,
    cluster: u64,
    /// The hour since 1970 that `hour_text` contains, up to the first colon.
    hour: i64,
    hour_text: String,
}

/// Microseconds between two releases of a workload.
const RELEASE: i64 = 20 * 86_400_000_000;

impl Values {
    pub(crate) fn new(random: Random, pools: Pools, cloud: Cloud, cluster: u64) -> Self {
        let texts = std::array::from_fn(|_| String::new());
        Values { texts, random, received: 0, pools, cloud, cluster, hour: i64::MIN, hour_text: String::new() }
    }

    /// Sets a slot with one value for a whole file.
    pub(crate) fn set(&mut self, slot: &str, text: String) {
        if let Some(at) = SLOTS.iter().position(|name| *name == slot).filter(|at| *at >= OF_FILE) {
            self.texts[at] = text;
        }
    }

    /// Draws the values of the next record, received at this time: on a CronJob and what it makes, or on any workload.
    pub(crate) fn draw(&mut self, received: i64, of_cronjob: bool) -> Result<()> {
        self.received = received;
        let user = self.random.below(self.pools.users);
        // A person works in four namespaces.
        let namespace = (user * 5 + self.random.below(4)) % self.pools.namespaces;
        let workload = self.random.below(if of_cronjob { self.pools.cronjobs } else { self.pools.workloads });
        let object = mix((self.cluster + 1) << 48 | namespace << 24 | workload);
        self.ids(object);
        self.names(user, namespace, workload);
        self.machines();
        self.times()
    }

    /// Replaces the text of a slot.
    fn slot(&mut self, at: usize, text: std::fmt::Arguments<'_>) {
        self.texts[at].clear();
        let _ = self.texts[at].write_fmt(text);
    }

    fn ids(&mut self, object: u64) {
        let id = uuid(self.random.number(), self.random.number());
        self.texts[const { at("id") }] = id;
        self.texts[const { at("uid") }] = uuid(object, mix(object));
        self.texts[const { at("owner") }] = uuid(mix(object ^ 1), mix(object ^ 2));
        // resourceVersion grows with time, by some hundreds a second.
        let version = 100_000_000 + (self.received / 4_000 % 800_000_000) + self.random.time_below(50);
        self.slot(const { at("rv") }, format_args!("{version}"));
        self.slot(const { at("newrv") }, format_args!("{}", version + 3));
        self.slot(const { at("hash") }, format_args!("{:09x}", object >> 28));
        let log = self.random.number();
        self.slot(const { at("logid") }, format_args!("3859{:014}{log:020}{:018}", self.received / 1000, log >> 5));
    }

    fn names(&mut self, user: u64, namespace: u64, workload: u64) {
        let round = namespace / NAMESPACES.len() as u64;
        let dash = if round > 0 { "-" } else { "" };
        let number = |number: u64| if number > 0 { number.to_string() } else { String::new() };
        self.slot(const { at("ns") }, format_args!("{}{dash}{}", pick(&NAMESPACES, namespace), number(round)));
        let (task, again) = (workload / SUBJECTS.len() as u64, workload / 240);
        let dash = if again > 0 { "-" } else { "" };
        let name = (pick(&SUBJECTS, workload), pick(&TASKS, task));
        self.slot(const { at("name") }, format_args!("{}-{}{dash}{}", name.0, name.1, number(again)));
        self.slot(const { at("user") }, format_args!("{}.{}", pick(&FIRST, user), pick(&LAST, user / 20 + user)));
        self.slot(const { at("userip") }, format_args!("10.20.{}.{}", 4 + user / 200, 10 + user % 200));
        // What runs changes every few weeks.
        let release = self.received / RELEASE;
        self.slot(const { at("tag") }, format_args!("1.{}.{}", workload % 30, release % 10));
        self.slot(const { at("minute") }, format_args!("{}", workload * 7 % 60));
        self.slot(const { at("hour") }, format_args!("{}", workload % 24));
        self.slot(
            const { at("created") },
            format_args!("2026-0{}-1{}T09:{}:07Z", 1 + workload % 9, workload % 7, 10 + workload % 50),
        );
    }

    fn machines(&mut self) {
        let node = self.random.below(40);
        let (high, low) = (12 + node / 16, 30 + node * 5);
        self.slot(const { at("nodeip") }, format_args!("10.0.{high}.{low}"));
        match self.cloud {
            Cloud::Aws => {
                self.slot(const { at("node") }, format_args!("ip-10-0-{high}-{low}.eu-central-1.compute.internal"));
            }
            Cloud::Azure => self.slot(const { at("node") }, format_args!("aks-pool1-31417-vmss0000{node:02}")),
            Cloud::Google => {
                let cluster = self.cluster;
                self.slot(
                    const { at("node") },
                    format_args!("gke-payments-{cluster}-pool-1-{:08x}-{node:02}zq", mix(cluster) >> 32),
                );
            }
        }
        let mut suffix = self.random.number();
        self.texts[const { at("suffix") }].clear();
        for _ in 0..5 {
            self.texts[const { at("suffix") }].push(char::from(pick(SUFFIX, suffix)));
            suffix >>= 8;
        }
        // Two API servers take turns.
        let server = self.random.below(2);
        let hash = mix(self.cluster * 2 + server + 1);
        self.slot(const { at("pod") }, format_args!("kube-apiserver-6797f4455b-{}", pick(&["jdgtt", "x2k9f"], server)));
        self.slot(
            const { at("container") },
            format_args!("{hash:016x}{:016x}{:016x}{:016x}", mix(hash), mix(hash ^ 1), mix(hash ^ 2)),
        );
    }

    fn times(&mut self) -> Result<()> {
        let staged = self.received + 900 + self.random.time_below(38_000);
        let shipped = staged / 1000 + 40 + self.random.time_below(860);
        self.time(const { at("received") }, self.received, format_args!("{:06}", self.received % 1_000_000))?;
        self.time(const { at("staged") }, staged, format_args!("{:06}", staged % 1_000_000))?;
        self.time(const { at("shipped") }, shipped * 1000, format_args!("{:03}", shipped % 1000))?;
        let nanos = self.random.below(1000);
        self.time(const { at("stagednanos") }, staged + 1, format_args!("{:06}{nanos:03}", (staged + 1) % 1_000_000))?;
        self.time(const { at("second") }, self.received, format_args!(""))?;
        self.time(const { at("scheduled") }, self.received / 60_000_000 * 60_000_000, format_args!(""))?;
        self.slot(const { at("millis") }, format_args!("{shipped}"));
        self.slot(const { at("run") }, format_args!("{}", self.received / 60_000_000));
        Ok(())
    }

    /// `2026-11-24T03:16:43.101Z`, or without a fraction.
    fn time(&mut self, at: usize, micros: i64, fraction: std::fmt::Arguments<'_>) -> Result<()> {
        let second = micros.div_euclid(1_000_000);
        if second / 3600 != self.hour {
            self.hour = second / 3600;
            self.hour_text = Timestamp::from_second(second)?.strftime("%Y-%m-%dT%H:").to_string();
        }
        let (minute, second) = (second / 60 % 60, second % 60);
        let text = &mut self.texts[at];
        text.clear();
        let _ = write!(text, "{}{minute:02}:{second:02}", self.hour_text);
        let _ = if fraction.as_str() == Some("") { write!(text, "Z") } else { write!(text, ".{fraction}Z") };
        Ok(())
    }
}
