//! Counts, sizes and times in readable form.

use jiff::Timestamp;

/// A time to the minute, in UTC.
pub(crate) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A count with its noun: `1 file`, `2 files`.
pub(crate) fn plural(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A size in powers of 1024.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn size(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit < 4 {
        size /= 1024.0;
        unit += 1;
    }
    let unit_name = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {unit_name}") }
}
