-- DuckDB: lines, cut into the messages of CloudWatch payloads, which follow each other without a newline.
WITH
lines AS (
    SELECT line
    FROM read_csv('@DUMP/**', columns = {'line': 'VARCHAR'}, auto_detect = false, header = false, delim = '\x01',
        quote = '', escape = '', compression = 'gzip', max_line_size = 67108864,
        hive_partitioning = false)
    WHERE line @FILTER
),
texts AS (
    SELECT line AS text FROM lines WHERE NOT starts_with(line, '{"messageType"')
    UNION ALL
    -- Quotes inside a message are escaped, so that this is the end of the event and of its string.
    SELECT '"' || message[1:strpos(message, '}"}') + 1] AS text
    FROM (SELECT unnest(list_filter(string_split(line, '"message":"')[2:], lambda x: x @FILTER AND starts_with(x, '{'))) AS message FROM lines
        WHERE starts_with(line, '{"messageType"'))
),
events AS (
    SELECT CASE
        WHEN starts_with(text, '{"kind"') OR starts_with(text, '{"insertId"') THEN text
        WHEN starts_with(text, '"') THEN json_extract_string(text, '$')
        WHEN text[1] BETWEEN '0' AND '9' THEN text[26:]
        WHEN json_extract_string(text, '$.category') IN ('kube-audit', 'kube-audit-admin')
            THEN json_extract_string(text, '$.properties.log')
        ELSE text END AS event
    FROM texts
),
parsed AS (
    SELECT json_extract_string(event, ['$.verb', '$.objectRef.resource', '$.objectRef.subresource',
        '$.objectRef.namespace', '$.user.username', '$.responseStatus.code', '$.auditID',
        '$.protoPayload.methodName', '$.protoPayload.resourceName', '$.protoPayload.authenticationInfo.principalEmail',
        '$.protoPayload.status.code', '$.insertId']) AS e,
        string_split(e[9], '/') AS path,
        e[8] IS NOT NULL AS is_gke
    FROM events
),
fields AS (
    SELECT
        if(is_gke, string_split(e[8], '.')[-1], e[1]) AS verb,
        if(is_gke, coalesce(path[5], path[3]), e[2]) AS resource,
        coalesce(if(is_gke, path[7], e[3]), '') AS subresource,
        coalesce(if(is_gke, if(path[3] = 'namespaces', path[4], ''), e[4]), '') AS namespace,
        coalesce(if(is_gke, e[10], e[5]), '') AS username,
        coalesce(if(is_gke, e[11], e[6])::BIGINT, 0) AS code,
        if(is_gke, e[12], e[7]) AS id
    FROM parsed
)
SELECT namespace, username, count(DISTINCT id) AS hits
FROM fields
WHERE verb IN ('create', 'update', 'patch') AND resource = 'cronjobs' AND subresource != 'status'
    AND code < 400 AND NOT code BETWEEN 1 AND 16
    AND NOT (namespace IN ('kube-system', 'gke-system', 'kube-node-lease', 'kube-public')
        AND (username = 'aksService' OR username LIKE 'system:%' AND username NOT LIKE '%serviceaccount%'
            OR regexp_matches(username, '^(\.iam\.gserviceaccount\.com|system:serviceaccount:kube-system:|eks:|masterclient|gke-|azure-)')))
GROUP BY namespace, username
ORDER BY namespace, username
