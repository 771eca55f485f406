# Namespace, username and id of the event in a match of rsigma.
.event
| .protoPayload as $gke
| ($gke.resourceName // "" | split("/")) as $path
| if $gke then
    [(if $path[2] == "namespaces" then $path[3] else "" end), $gke.authenticationInfo.principalEmail, .insertId]
  else [.objectRef.namespace, .user.username, .auditID] end
| map(. // "") | @tsv
