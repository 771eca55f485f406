//! What a stream is, from its first bytes. File names are unreliable: Firehose writes gzip without `.gz`.

/// The format that the first bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the formats'")]
pub enum Kind {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    Tar,
    Zip,
    Avro,
    Parquet,
    Utf16,
    Text,
    Binary,
    Empty,
    /// A case file: written by kubesweep, so it holds no logs.
    Case,
    /// A known format that may hold audit logs but is not supported; with its name.
    Unsupported(&'static str),
}

impl Kind {
    /// Whether it contains other streams.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, Kind::Gzip | Kind::Zstd | Kind::Bzip2 | Kind::Xz | Kind::Tar | Kind::Zip)
    }

    /// The name that reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gzip => "gzip",
            Kind::Zstd => "zstd",
            Kind::Bzip2 => "bzip2",
            Kind::Xz => "xz",
            Kind::Tar => "tar",
            Kind::Zip => "zip",
            Kind::Avro => "avro",
            Kind::Parquet => "parquet",
            Kind::Utf16 => "utf-16",
            Kind::Text => "text",
            Kind::Binary => "binary",
            Kind::Empty => "empty",
            Kind::Case => "case file",
            Kind::Unsupported(what) => what,
        }
    }
}

const MAGIC: [(&[u8], Kind); 17] = [
    (b"\x1f\x8b\x08", Kind::Gzip),
    (b"\x28\xb5\x2f\xfd", Kind::Zstd),
    (b"BZh", Kind::Bzip2),
    (b"\xfd7zXZ\0", Kind::Xz),
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    (b"Obj\x01", Kind::Avro),
    (b"\xff\xfe", Kind::Utf16),
    (b"\xfe\xff", Kind::Utf16),
    (b"PAR1", Kind::Parquet),
    (b"ORC", Kind::Unsupported("orc")),
    (b"\xff\x06\x00\x00sNaPpY", Kind::Unsupported("snappy")),
    (b"\x04\x22\x4d\x18", Kind::Unsupported("lz4")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Unsupported("7z")),
    (b"Rar!\x1a\x07", Kind::Unsupported("rar")),
    (SQLITE, Kind::Unsupported("sqlite")),
    (b"ElfFile\0", Kind::Unsupported("evtx")),
];

const SQLITE: &[u8] = b"SQLite format 3\0";

/// A run of at least this many zero bytes is a hole in the file.
const ZEROS: usize = 16;

/// If this many leading bytes are text, the stream is a text log.
const RECORD: usize = 128;

/// Keys of events, rows of AKSAudit and entries, as they begin lines of YAML. Other YAML lies beside logs, in archives of
/// must-gather, and is no loss.
const YAML_KEYS: [&[u8]; 6] =
    [b"auditID: ", b"objectRef:", b"AuditId: ", b"ObjectRef:", b"insertId: ", b"protoPayload:"];

/// File name extensions, the format each promises, and the extension of what is inside. One extension may stand for two
/// layers.
const ENDINGS: [(&str, Kind, &str); 28] = [
    (".gz", Kind::Gzip, ""),
    (".gzip", Kind::Gzip, ""),
    (".tgz", Kind::Gzip, ".tar"),
    (".zst", Kind::Zstd, ""),
    (".zstd", Kind::Zstd, ""),
    (".tzst", Kind::Zstd, ".tar"),
    (".bz2", Kind::Bzip2, ""),
    (".bzip2", Kind::Bzip2, ""),
    (".tbz", Kind::Bzip2, ".tar"),
    (".tbz2", Kind::Bzip2, ".tar"),
    (".xz", Kind::Xz, ""),
    (".txz", Kind::Xz, ".tar"),
    (".tar", Kind::Tar, ""),
    (".zip", Kind::Zip, ""),
    (".avro", Kind::Avro, ""),
    (".parquet", Kind::Parquet, ""),
    (".orc", Kind::Unsupported("orc"), ""),
    (".snappy", Kind::Unsupported("snappy"), ""),
    (".hsnappy", Kind::Unsupported("snappy"), ""),
    (".sz", Kind::Unsupported("snappy"), ""),
    (".lz4", Kind::Unsupported("lz4"), ""),
    (".br", Kind::Unsupported("brotli"), ""),
    (".zz", Kind::Unsupported("zlib"), ""),
    (".zlib", Kind::Unsupported("zlib"), ""),
    (".deflate", Kind::Unsupported("deflate"), ""),
    (".lzma", Kind::Unsupported("lzma"), ""),
    (".lz", Kind::Unsupported("lzip"), ""),
    (".z", Kind::Unsupported("compress"), ""),
];

/// Bytes that suffice to recognise a stream: a tar header, or enough text.
pub(super) const SNIFFED: usize = 4096;

/// Most leading zeros skipped to recognise a stream.
pub(super) const MOST_ZEROS: usize = 1 << 20;

/// Recognises a stream by its first bytes, or by those after the zeros that overwrote them. If they are neither a known
/// format nor text, they may be destroyed: then the stream is what its name promises.
#[must_use]
pub(super) fn kind(head: &[u8], name: &str) -> Kind {
    let zeros = head.iter().take(MOST_ZEROS).take_while(|byte| **byte == 0).count();
    let head = &head[if zeros >= SNIFFED && zeros < head.len() { zeros } else { 0 }..];
    // How many bytes arrived beyond this is chance.
    let head = &head[..head.len().min(SNIFFED)];
    let kind = kind_of(head);
    match promised(name) {
        Some((_, promised, _)) if kind == Kind::Binary || kind == Kind::Text && !is_text(head, *promised) => *promised,
        _ => kind,
    }
}

fn promised(name: &str) -> Option<&'static (&'static str, Kind, &'static str)> {
    let name = name.to_ascii_lowercase();
    ENDINGS.iter().find(|(ending, ..)| name.ends_with(ending))
}

/// The name of the content of a compressed file of this name.
pub(super) fn name_inside(name: &str) -> String {
    let Some((ending, _, rest)) = promised(name) else { return name.to_owned() };
    format!("{}{rest}", &name[..name.len() - ending.len()])
}

/// Whether these bytes are UTF-8, apart from a last character that is cut; neither all zeros, nor the cut magic of a
/// kind.
fn is_text(head: &[u8], kind: Kind) -> bool {
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    let is_magic = MAGIC.iter().any(|(magic, of)| *of == kind && magic.starts_with(head));
    is_utf8 && !is_magic && head.iter().any(|&byte| byte != 0)
}

fn kind_of(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    if head.starts_with(SQLITE) && head.get(68..72) == Some(b"KSWP") {
        return Kind::Case;
    }
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *kind;
    }
    // A zstd file may start with a skippable frame (RFC 8878, 3.1.2), as pzstd writes.
    if matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
        return Kind::Zstd;
    }
    if head.get(..512).is_some_and(|head| is_tar_header(head) || &head[257..262] == b"ustar") {
        return Kind::Tar;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if is_yaml(text) {
        return Kind::Unsupported("yaml");
    }
    if is_utf16(head) {
        return Kind::Utf16;
    }
    // A log truncated in place starts with zeros, a crash leaves blocks of zeros, and many logs contain single control
    // bytes.
    let text = &text[text.iter().position(|&byte| byte != 0).unwrap_or(text.len())..];
    let is_control = |byte: &&u8| **byte < 32 && !matches!(byte, b'\t' | b'\n' | b'\r' | 27);
    let controls = text.iter().filter(is_control).count();
    let runs = text.chunk_by(|left, right| left == right);
    let zeros: usize = runs.filter(|run| run[0] == 0 && run.len() >= ZEROS).map(<[u8]>::len).sum();
    match (controls - zeros) * 20 > text.len() - zeros && !begins_as_record(text) {
        // Firehose adds no extension, so gzip is also recognised with one byte of its magic lost, and as a last resort
        // by a header further in.
        true if is_nearly_gzip(head) || gzip_header(head).is_some() => Kind::Gzip,
        true => Kind::Binary,
        false => Kind::Text,
    }
}

/// Whether this is UTF-16 without its byte order mark: nearly all characters of a log are ASCII, and have one zero byte.
fn is_utf16(head: &[u8]) -> bool {
    let zeros = |start: usize| head.iter().skip(start).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let (fewer, more) = (even.min(odd), even.max(odd));
    head.len() >= ZEROS && more * 2 * 10 >= head.len() * 9 && fewer * 2 * 10 <= head.len()
}

/// Whether this is YAML that may hold events, as `gcloud logging read` prints it by default, and kubectl. A log line may be
/// followed by text that looks like YAML, but does not itself begin with a key.
fn is_yaml(text: &[u8]) -> bool {
    let key = |line: &[u8]| {
        let line = line.strip_prefix(b"- ").unwrap_or(line);
        let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"_@.".contains(byte));
        end.is_some_and(|end| end > 0 && line[end] == b':' && matches!(line.get(end + 1), None | Some(b' ' | b'\r')))
    };
    let begins = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let line = line.strip_prefix(b"- ").unwrap_or(line);
        YAML_KEYS.iter().any(|key| line.starts_with(key))
    };
    let is_begun = |line: &&[u8]| line.is_empty() || line[0] == b'#' || line.trim_ascii_end() == b"---";
    let mut lines = text.split(|byte| *byte == b'\n').skip_while(is_begun);
    lines.next().is_some_and(|first| key(first) && (begins(first) || lines.any(begins)))
}

/// Whether a log begins here, whatever overwrote the rest: a document, or the time or node of a line.
fn begins_as_record(text: &[u8]) -> bool {
    let Some(head) = text.get(..RECORD) else { return false };
    let is_written = head.iter().all(|&byte| byte >= b' ' || byte == b'\t' || byte == b'\n' || byte == b'\r');
    matches!(head[0], b'{' | b'[' | b'0'..=b'9') && is_written && is_text(head, Kind::Text)
}

fn is_nearly_gzip(head: &[u8]) -> bool {
    let magic = b"\x1f\x8b\x08";
    magic.starts_with(head) || head.iter().zip(magic).filter(|(is, was)| is == was).count() == 2
}

/// Where a gzip header (RFC 1952, 2.3) is, with values that real writers use: random bytes hardly ever match.
pub(super) fn gzip_header(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(bytes, b"\x1f\x8b\x08").find(|at| match bytes.get(at + 3..at + GZIP_HEADER) {
        Some([flags, _, _, _, _, level, system]) => {
            *flags < 32 && matches!(level, 0 | 2 | 4) && (*system <= 13 || *system == 255)
        }
        _ => false,
    })
}

/// Size of a gzip header in bytes.
pub(super) const GZIP_HEADER: usize = 10;

/// Whether these 512 bytes are a tar header: the checksum holds (POSIX ustar, GNU and the older V7 form alike).
pub(super) fn is_tar_header(header: &[u8]) -> bool {
    let field = &header[148..156];
    let digits: Vec<u8> = field.iter().copied().skip_while(|b| *b == b' ').take_while(u8::is_ascii_digit).collect();
    let stored = std::str::from_utf8(&digits).ok().and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    let blanked = sum - field.iter().map(|&byte| u32::from(byte)).sum::<u32>() + 8 * u32::from(b' ');
    header[0] != 0 && stored == Some(blanked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some text, followed by garbage that overwrote the rest.
    fn overwritten(text: &[u8]) -> Vec<u8> {
        text.iter().copied().cycle().take(256).chain((0..=u8::MAX).cycle().take(2048)).collect()
    }

    #[test]
    fn content_tells_the_kind() {
        for (head, expected) in [
            (b"\x1f\x8b\x08\0".as_slice(), Kind::Gzip),
            (b"{\"kind\"", Kind::Text),
            (b"\0\0\0\0{\"kind\"", Kind::Text),
            (b"\xef\xbb\xbf{}", Kind::Text),
            (b"\x89PNG\r\n\x1a\n\0\0", Kind::Binary),
            (b"hello\x01 this is a line of a log\n{}", Kind::Text),
            (&overwritten(b"{\"kind\":\"Event\"}\n"), Kind::Text),
            (&overwritten(b"2026-11-24T03:16:43.101Z {}\n"), Kind::Text),
            (&overwritten(b"\x7fELF"), Kind::Binary),
            (b"PAR1\x15", Kind::Parquet),
            (b"{\0\"\0k\0i\0n\0d\0\"\0:\0", Kind::Utf16),
            (b"\0{\0\"\0k\0i\0n\0d\0\"\0:", Kind::Utf16),
            (b"---\r\ninsertId: a\r\n", Kind::Unsupported("yaml")),
            (b"apiVersion: audit.k8s.io/v1\nitems:\n- auditID: a\n", Kind::Unsupported("yaml")),
            (b"---\napiVersion: v1\nkind: PodList\n", Kind::Text),
            (b"apiVersion: audit.k8s.io/v1\nkind: Policy\n", Kind::Text),
            (b"", Kind::Empty),
            (&[b"SQLite format 3\0".as_slice(), &[0; 52], b"KSWP"].concat(), Kind::Case),
            (&[b"SQLite format 3\0".as_slice(), &[0; 56]].concat(), Kind::Unsupported("sqlite")),
        ] {
            assert_eq!(kind(head, "audit.log"), expected, "{head:?}");
        }
    }

    #[test]
    fn a_name_tells_what_destroyed_bytes_were() {
        for (head, name, expected) in [
            (b"\0\x8b\x08\0\xff\xfe".as_slice(), "a.json.gz", Kind::Gzip),
            (b"\0\0\0\0", "A.GZ", Kind::Gzip),
            (b"{\"kind\"", "a.gz", Kind::Text),
            ("{\"kind\":\"é".as_bytes().split_last().unwrap().1, "a.gz", Kind::Text),
            (b"\x1f\x8b\x08\0", "a.zst", Kind::Gzip),
            (b"\x89PNG\r\n\x1a\n\0\0", "a.png", Kind::Binary),
        ] {
            assert_eq!(kind(head, name), expected, "{name} {head:?}");
        }
        assert_eq!(["a.json.gz", "a.tgz", "a"].map(name_inside), ["a.json", "a.tar", "a"]);
    }
}
