# The rule in jq, on a stream of records of any form: namespace, username and id of every hit.
def is_system:
  . == "aksService" or (startswith("system:") and (contains("serviceaccount") | not))
  or test("^([.]iam[.]gserviceaccount[.]com|system:serviceaccount:kube-system:|eks:|masterclient|gke-|azure-)");

def native:
  [.verb, .objectRef.resource, .objectRef.subresource, .objectRef.namespace // "", .user.username // "",
   .responseStatus.code // 0, .auditID];

def gke:
  .insertId as $id | .protoPayload | (.resourceName // "" | split("/")) as $path
  | [(.methodName // "" | split(".") | last), $path[4] // $path[2], $path[6],
     (if $path[2] == "namespaces" then $path[3] // "" else "" end),
     .authenticationInfo.principalEmail // "", .status.code // 0, $id];

if .logEvents then select(.messageType == "DATA_MESSAGE") | .logEvents[].message | fromjson
elif .properties then
  if .category == "kube-audit" or .category == "kube-audit-admin" then .properties.log | fromjson else empty end
else . end
| if .protoPayload then gke else native end
| . as [$verb, $resource, $subresource, $namespace, $user, $code, $id]
| select($resource == "cronjobs" and $subresource != "status"
    and ($verb == "create" or $verb == "update" or $verb == "patch")
    and $code < 400 and ($code < 1 or $code > 16)
    and ((["kube-system", "gke-system", "kube-node-lease", "kube-public"] | index($namespace) | not)
      or ($user | is_system | not)))
| [$namespace, $user, $id] | @tsv
