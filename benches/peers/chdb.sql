-- ClickHouse: lines, cut into the messages of CloudWatch payloads, which follow each other without a newline.
WITH
texts AS (
    SELECT arrayJoin(if(
        startsWith(line, '{"messageType"'),
        -- Quotes inside a message are escaped, so that this is the end of the event and of its string.
        arrayMap(x -> '"' || substring(x, 1, position(x, '}"}') + 1),
            arrayFilter(x -> x @FILTER, arraySlice(splitByString('"message":"', line), 2))),
        [line])) AS text
    FROM file('@DUMP/**', 'LineAsString', 'line String', 'gzip')
    WHERE line @FILTER
),
events AS (
    SELECT multiIf(
        startsWith(text, '"'), JSONExtractString('[' || text || ']', 1),
        startsWith(text, '{"kind"') OR startsWith(text, '{"insertId"'), text,
        substring(text, 1, 1) BETWEEN '0' AND '9', substring(text, 26),
        JSONExtractString(text, 'category') IN ('kube-audit', 'kube-audit-admin'),
            JSONExtractString(text, 'properties', 'log'),
        text) AS event
    FROM texts
),
parsed AS (
    SELECT JSONExtract(event, 'Tuple(
        verb String, auditID String, user Tuple(username String),
        objectRef Tuple(resource String, subresource String, namespace String),
        responseStatus Tuple(code Int64), insertId String,
        protoPayload Tuple(methodName String, resourceName String,
            authenticationInfo Tuple(principalEmail String), status Tuple(code Int64)))') AS e,
        splitByChar('/', e.protoPayload.resourceName) AS path,
        e.protoPayload.methodName != '' AS is_gke
    FROM events
),
fields AS (
    SELECT
        if(is_gke, arrayElement(splitByChar('.', e.protoPayload.methodName), -1), e.verb) AS verb,
        if(is_gke, if(path[5] != '', path[5], path[3]), e.objectRef.resource) AS resource,
        if(is_gke, path[7], e.objectRef.subresource) AS subresource,
        if(is_gke, if(path[3] = 'namespaces', path[4], ''), e.objectRef.namespace) AS namespace,
        if(is_gke, e.protoPayload.authenticationInfo.principalEmail, e.user.username) AS username,
        if(is_gke, e.protoPayload.status.code, e.responseStatus.code) AS code,
        if(is_gke, e.insertId, e.auditID) AS id
    FROM parsed
)
SELECT namespace, username, uniqExact(id) AS hits
FROM fields
WHERE verb IN ('create', 'update', 'patch') AND resource = 'cronjobs' AND subresource != 'status'
    AND code < 400 AND NOT code BETWEEN 1 AND 16
    AND NOT (namespace IN ('kube-system', 'gke-system', 'kube-node-lease', 'kube-public')
        AND (username = 'aksService' OR username LIKE 'system:%' AND username NOT LIKE '%serviceaccount%'
            OR match(username, '^(\\.iam\\.gserviceaccount\\.com|system:serviceaccount:kube-system:|eks:|masterclient|gke-|azure-)')))
GROUP BY namespace, username
ORDER BY namespace, username
SETTINGS max_threads = 2, use_hive_partitioning = 0
