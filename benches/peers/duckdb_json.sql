-- DuckDB with read_json, which parses every record. It cannot read lines that begin with a time, so files of export
-- tasks are left out.
WITH
records AS (
    SELECT *
    FROM read_json(@JSON_FILES, format = 'unstructured', compression = 'gzip', hive_partitioning = false, maximum_object_size = 67108864, columns = {
        'category': 'VARCHAR', 'messageType': 'VARCHAR', 'properties': 'STRUCT(log VARCHAR)', 'logEvents': 'STRUCT(message VARCHAR)[]',
        'verb': 'VARCHAR', 'auditID': 'VARCHAR', 'user': 'STRUCT(username VARCHAR)',
        'objectRef': 'STRUCT(resource VARCHAR, subresource VARCHAR, namespace VARCHAR)',
        'responseStatus': 'STRUCT(code BIGINT)', 'insertId': 'VARCHAR',
        'protoPayload': 'STRUCT(methodName VARCHAR, resourceName VARCHAR, status STRUCT(code BIGINT),
            authenticationInfo STRUCT(principalEmail VARCHAR))'})
),
texts AS (
    SELECT properties.log AS text FROM records WHERE category IN ('kube-audit', 'kube-audit-admin')
    UNION ALL
    SELECT unnest(logEvents).message AS text FROM records WHERE messageType = 'DATA_MESSAGE'
),
inner_events AS (
    SELECT json_extract_string(text, ['$.verb', '$.objectRef.resource', '$.objectRef.subresource',
        '$.objectRef.namespace', '$.user.username', '$.responseStatus.code', '$.auditID']) AS e
    FROM texts
),
fields AS (
    SELECT e[1] AS verb, e[2] AS resource, e[3] AS subresource, e[4] AS namespace, e[5] AS username,
        e[6]::BIGINT AS code, e[7] AS id
    FROM inner_events
    UNION ALL
    SELECT verb, objectRef.resource, objectRef.subresource, objectRef.namespace, "user".username, responseStatus.code,
        auditID
    FROM records WHERE verb IS NOT NULL
    UNION ALL
    SELECT string_split(protoPayload.methodName, '.')[-1], coalesce(path[5], path[3]), path[7],
        if(path[3] = 'namespaces', path[4], ''), protoPayload.authenticationInfo.principalEmail,
        protoPayload.status.code, insertId
    FROM (SELECT *, string_split(protoPayload.resourceName, '/') AS path FROM records WHERE protoPayload IS NOT NULL)
)
SELECT coalesce(namespace, '') AS namespace, coalesce(username, '') AS username, count(DISTINCT id) AS hits
FROM fields
WHERE verb IN ('create', 'update', 'patch') AND resource = 'cronjobs' AND coalesce(subresource, '') != 'status'
    AND coalesce(code, 0) < 400 AND NOT coalesce(code, 0) BETWEEN 1 AND 16
    AND NOT (coalesce(namespace, '') IN ('kube-system', 'gke-system', 'kube-node-lease', 'kube-public')
        AND (username = 'aksService' OR username LIKE 'system:%' AND username NOT LIKE '%serviceaccount%'
            OR regexp_matches(username, '^(\.iam\.gserviceaccount\.com|system:serviceaccount:kube-system:|eks:|masterclient|gke-|azure-)')))
GROUP BY ALL
ORDER BY ALL
