//! The object of a request, from its path, for records that do not name it elsewhere.

/// What a path of the Kubernetes API names (kubernetes.io, API concepts, resource URIs).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub namespace: Option<&'a str>,
    pub resource: Option<&'a str>,
    pub name: Option<&'a str>,
    pub subresource: Option<&'a str>,
}

/// Reads `/api/v1/…` and `/apis/GROUP/VERSION/…`; `None` for any other path.
pub(super) fn target(uri: &str) -> Option<Target<'_>> {
    let path = uri.split('?').next()?;
    let mut segments = path.trim_matches('/').split('/');
    let group = match segments.next()? {
        "api" => "",
        "apis" => segments.next()?,
        _ => return None,
    };
    let version = segments.next()?;
    let mut rest: Vec<&str> = segments.collect();
    let mut namespace = None;
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        namespace = Some(rest[1]);
        rest.drain(..2);
    }
    let mut rest = rest.into_iter();
    Some(Target { group, version, namespace, resource: rest.next(), name: rest.next(), subresource: rest.next() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_object() {
        let found = target("/apis/batch/v1/namespaces/prod/cronjobs/backup/status?x=1").unwrap();
        assert_eq!(
            (found.namespace, found.resource, found.name, found.subresource),
            (Some("prod"), Some("cronjobs"), Some("backup"), Some("status"))
        );
        let found = target("/api/v1/namespaces/prod").unwrap();
        assert_eq!((found.namespace, found.resource, found.name), (None, Some("namespaces"), Some("prod")));
        assert_eq!(target("/healthz"), None);
    }
}
